//! Traces in the order they came, the oldest first to go.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::replay::kept::Kept;

#[derive(Debug)]
pub(super) struct Shelf {
    traces: VecDeque<Arc<Kept>>,
    /// How many went before the first one that is here: traces are numbered.
    gone: u64,
    bytes: usize,
    most: usize,
}

impl Shelf {
    pub(super) fn new(most: usize) -> Shelf {
        Shelf {
            traces: VecDeque::new(),
            gone: 0,
            bytes: 0,
            most,
        }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a trace that fits; what has to go for it is handed to `gone`.
    pub(super) fn push(&mut self, kept: Arc<Kept>, mut gone: impl FnMut(Arc<Kept>)) {
        self.bytes += kept.bytes();
        self.traces.push_back(kept);
        while self.bytes > self.most
            && let Some(oldest) = self.traces.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.gone += 1;
            gone(oldest);
        }
    }

    /// Copies up to `most` traces from number `from` on, and says where to go on; none at the end.
    pub(super) fn copy(&self, from: u64, most: usize, out: &mut Vec<Arc<Kept>>) -> Option<u64> {
        let skip = usize::try_from(from.saturating_sub(self.gone)).unwrap_or(usize::MAX);
        out.extend(self.traces.iter().skip(skip).take(most).cloned());
        let next = skip.saturating_add(most);
        (next < self.traces.len()).then(|| self.gone + next as u64)
    }
}
