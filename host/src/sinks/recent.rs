//! The latest signals, for whoever asks: a bounded buffer that every batch passes through on its way to the sink.
//!
//! Signals are numbered as they come. A reader says from which number on; what has gone meanwhile it is told as a count.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::signal::{Emission, Signal};

/// Signals that one reader is handed at a time, at most: the lock is held for microseconds.
pub const AT_ONCE: usize = 256;

/// The latest signals.
#[derive(Debug)]
pub struct Recent {
    most: usize,
    most_bytes: usize,
    /// Names this run of the host, as numbers begin anew with it.
    epoch: u64,
    buffer: Mutex<Buffer>,
    /// The number that the next signal will have.
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Buffer {
    signals: VecDeque<(Arc<Signal>, usize)>,
    /// The number of the first.
    first: u64,
    bytes: usize,
}

/// What the buffer holds and what it let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentCounts {
    pub held: u64,
    pub bytes: u64,
    pub forgotten: u64,
}

/// Signals from some number on.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// With their numbers, ascending.
    pub signals: Vec<(u64, Arc<Signal>)>,
    /// Signals before them that are gone.
    pub missed: u64,
}

impl Recent {
    pub fn new(most: usize, most_bytes: usize, epoch: u64) -> Recent {
        Recent {
            most: most.max(1),
            most_bytes,
            epoch,
            buffer: Mutex::default(),
            news: watch::Sender::new(0),
        }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes signals, and lets the oldest go for them.
    pub fn push(&self, batch: &[Emission]) {
        let next = {
            let mut buffer = self.lock();
            for emission in batch {
                let bytes = emission.signal.bytes();
                buffer.bytes += bytes;
                buffer.signals.push_back((emission.signal.clone(), bytes));
                while buffer.signals.len() > self.most || buffer.bytes > self.most_bytes {
                    let Some((_, bytes)) = buffer.signals.pop_front() else {
                        break;
                    };
                    buffer.bytes -= bytes;
                    buffer.first += 1;
                }
            }
            buffer.next()
        };
        // Of two workers the later may have got here first.
        self.news.send_if_modified(|news| {
            let is_news = *news < next;
            *news = next.max(*news);
            is_news
        });
    }

    /// The number that the next signal will have.
    pub fn next(&self) -> u64 {
        self.lock().next()
    }

    /// Signals from number `from` on, at most so many.
    pub fn since(&self, from: u64, most: usize) -> Batch {
        let buffer = self.lock();
        let start = from.max(buffer.first);
        let begin = buffer.at(start);
        let end = buffer.signals.len().min(begin + most.min(AT_ONCE));
        let signals = buffer.signals.range(begin..end);
        Batch {
            signals: (start..)
                .zip(signals.map(|(signal, _)| signal.clone()))
                .collect(),
            missed: start - from,
        }
    }

    /// Some signals before number `before`, newest first.
    pub fn before(&self, before: u64) -> Vec<(u64, Arc<Signal>)> {
        let buffer = self.lock();
        let end = buffer.at(before);
        let begin = end.saturating_sub(AT_ONCE);
        let numbers = (buffer.first + begin as u64)..;
        let signals = buffer.signals.range(begin..end);
        let mut batch: Vec<(u64, Arc<Signal>)> = numbers
            .zip(signals.map(|(signal, _)| signal.clone()))
            .collect();
        batch.reverse();
        batch
    }

    /// Wakes when there are signals of number `from` or above.
    pub async fn wait(&self, from: u64) {
        let mut news = self.news.subscribe();
        // The sender lives as long as this.
        let _ = news.wait_for(|next| *next > from).await;
    }

    pub fn counts(&self) -> RecentCounts {
        let buffer = self.lock();
        RecentCounts {
            held: buffer.signals.len() as u64,
            bytes: buffer.bytes as u64,
            forgotten: buffer.first,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn next(&self) -> u64 {
        self.first + self.signals.len() as u64
    }

    /// The place of a number, or the end that is nearer to it.
    fn at(&self, number: u64) -> usize {
        let place = usize::try_from(number.saturating_sub(self.first));
        place.map_or(self.signals.len(), |place| place.min(self.signals.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::fixture::emission;

    fn batch(count: u64) -> Vec<Emission> {
        (0..count).map(|_| emission()).collect()
    }

    fn numbers(batch: &[(u64, Arc<Signal>)]) -> Vec<u64> {
        batch.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_is_told_what_it_missed() {
        let recent = Recent::new(4, usize::MAX, 1);
        recent.push(&batch(3));
        assert_eq!(numbers(&recent.since(1, AT_ONCE).signals), [1, 2]);
        assert_eq!(recent.since(3, AT_ONCE).signals.len(), 0);
        recent.push(&batch(4));
        let batch = recent.since(1, AT_ONCE);
        assert_eq!(
            (batch.missed, numbers(&batch.signals)),
            (2, vec![3, 4, 5, 6])
        );
        assert_eq!(recent.since(5, AT_ONCE).missed, 0);
        assert_eq!(numbers(&recent.since(3, 2).signals), [3, 4]);
        assert_eq!(recent.since(u64::MAX, 2).signals.len(), 0);
        assert_eq!(recent.counts().forgotten, 3);
        assert_eq!(recent.next(), 7);
    }

    #[test]
    fn pages_go_back_in_time() {
        let recent = Recent::new(1_000, usize::MAX, 1);
        recent.push(&batch(600));
        let page = numbers(&recent.before(u64::MAX));
        assert_eq!((page[0], page.len()), (599, AT_ONCE));
        let page = numbers(&recent.before(page[AT_ONCE - 1]));
        assert_eq!((page[0], page.len()), (343, AT_ONCE));
        assert_eq!(numbers(&recent.before(2)), [1, 0]);
        assert_eq!(recent.before(0).len(), 0);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let one = emission().signal.bytes();
        let recent = Recent::new(1_000, one * 5 / 2, 1);
        recent.push(&batch(9));
        let counts = recent.counts();
        assert_eq!((counts.held, counts.forgotten), (2, 7));
        assert_eq!(counts.bytes, 2 * one as u64);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let recent = Arc::new(Recent::new(10, usize::MAX, 1));
        let waiting = tokio::spawn({
            let recent = recent.clone();
            async move { recent.wait(2).await }
        });
        recent.push(&batch(2));
        recent.push(&batch(1));
        waiting.await.expect("it wakes");
    }
}
