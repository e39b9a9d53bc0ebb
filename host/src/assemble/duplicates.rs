//! Duplicates found on arrival, for the few traces that came to a cap.
//!
//! Most traces keep their duplicates until they complete. One that reaches a cap is deduplicated, so that an exporter that
//! retries doesn't cut its trace short; if it is below the cap again, it gets this index, so that the cap is exact from
//! then on and no second pass over 50,000 spans is ever needed.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::completion::by_bytes;
use super::held::HeldRequests;
use super::trace::SpanRef;

/// What an entry takes at the usual load.
const ENTRY_BYTES: u64 = 40;

/// Id and kind of a span to its place in the trace.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    places: HashMap<(u64, i32), u32, foldhash::fast::RandomState>,
}

/// What became of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Added,
    /// It, or the span that it replaced, is not needed.
    Duplicate(SpanRef),
}

impl Duplicates {
    /// Of a trace's different spans, in their order.
    pub(super) fn new(identities: impl Iterator<Item = (u64, i32)>) -> Duplicates {
        Duplicates {
            places: identities.zip(0..).collect(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.places.len() as u64 * ENTRY_BYTES
    }

    /// Adds a span to its trace's, unless it is there; of two that differ the smaller stays.
    pub(super) fn add(
        &mut self,
        requests: &HeldRequests,
        spans: &mut Vec<SpanRef>,
        span: SpanRef,
    ) -> Fate {
        let ids = requests.ids(span);
        match self.places.entry((ids.span, ids.kind)) {
            Entry::Vacant(entry) => {
                entry.insert(spans.len() as u32);
                spans.push(span);
                Fate::Added
            }
            Entry::Occupied(entry) => match spans.get_mut(*entry.get() as usize) {
                Some(kept) if by_bytes(requests, span, *kept).is_lt() => {
                    Fate::Duplicate(std::mem::replace(kept, span))
                }
                _ => Fate::Duplicate(span),
            },
        }
    }
}
