//! What rules take of the processor: the time that passed, without what the thread waited for its turn.
//!
//! Linux counts the wait to the nanosecond (the second number of `schedstat`). The CPU time beside it is that of the last
//! tick, milliseconds ago, which is too coarse for a batch.

use std::fs::File;
use std::io::{Read, Seek};
use std::thread::ThreadId;
use std::time::Duration;

/// How long this thread has waited for a processor. The file stays open, as opening it takes longer than reading it.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Of the thread that asked last; no file where the system tells nothing.
    of: Option<(ThreadId, Option<File>)>,
}

impl Waits {
    /// Since the thread began; none where the system does not tell.
    pub(super) fn now(&mut self) -> Option<Duration> {
        let thread = std::thread::current().id();
        if self.of.as_ref().is_none_or(|(of, _)| *of != thread) {
            self.of = Some((thread, File::open("/proc/thread-self/schedstat").ok()));
        }
        let (_, file) = self.of.as_mut()?;
        let mut text = [0; 64];
        let file = file.as_mut()?;
        file.rewind().ok()?;
        let len = file.read(&mut text).ok()?;
        waited(str::from_utf8(text.get(..len)?).ok()?)
    }
}

fn waited(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// What each of some pieces of work took of the processor: what it took by the clock, less its share of the wait.
pub(super) fn at_work<K: Copy>(
    pieces: &[(K, Duration)],
    waited: Duration,
) -> impl Iterator<Item = (K, u64)> + '_ {
    let all: u128 = pieces.iter().map(|(_, took)| took.as_nanos()).sum();
    let worked = all.saturating_sub(waited.as_nanos());
    pieces.iter().map(move |&(piece, took)| {
        let share = took.as_nanos().saturating_mul(worked) / all.max(1);
        (piece, u64::try_from(share).unwrap_or(u64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_shared_by_the_time_that_pieces_took() {
        let ns = Duration::from_nanos;
        let pieces = [("a", ns(300)), ("b", ns(100)), ("c", ns(0))];
        let shares = |waited| at_work(&pieces, ns(waited)).collect::<Vec<_>>();
        assert_eq!(shares(0), [("a", 300), ("b", 100), ("c", 0)]);
        assert_eq!(shares(200), [("a", 150), ("b", 50), ("c", 0)]);
        assert_eq!(shares(900), [("a", 0), ("b", 0), ("c", 0)]);
        assert_eq!(at_work::<u8>(&[], ns(1)).count(), 0);
    }

    #[test]
    fn the_second_number_is_the_wait() {
        assert_eq!(waited("12 34 5\n"), Some(Duration::from_nanos(34)));
        assert_eq!(waited("12"), None);
        assert_eq!(waited("a b c"), None);
    }

    /// Each thread has its own, though one asker may move between them.
    #[test]
    fn a_wait_is_that_of_the_thread_that_asks() {
        let mut waits = Waits::default();
        let Some(before) = waits.now() else {
            return;
        };
        assert!(waits.now().is_some_and(|now| now >= before));
        let elsewhere = std::thread::spawn(move || {
            waits.now();
            waits.of.map(|(thread, _)| thread) == Some(std::thread::current().id())
        });
        assert!(elsewhere.join().expect("it asks"));
    }
}
