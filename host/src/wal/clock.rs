//! The log's time, in Unix nanoseconds. It begins with that of the wall, or where the log ended if that is later, and from then on
//! it goes as time does: a wall clock that is set makes no trace forgotten, and none remembered for longer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    /// What it showed then.
    base: AtomicU64,
    /// The latest time that was given out.
    last: AtomicU64,
}

impl Clock {
    /// Begins with the time of the wall.
    pub(super) fn start() -> Clock {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            started: Instant::now(),
            base: AtomicU64::new(nanoseconds(wall)),
            last: AtomicU64::new(0),
        }
    }

    /// It was this late before the start.
    pub(super) fn was(&self, time: u64) {
        self.base.fetch_max(time, Relaxed);
        self.last.fetch_max(time, Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        let elapsed = nanoseconds(self.started.elapsed());
        self.base.load(Relaxed).saturating_add(elapsed)
    }

    /// The first of so many times in a row, which are later than all that were given out before, and given to nobody else.
    pub(super) fn next(&self, count: u64) -> u64 {
        let now = self.now();
        let first = |last: u64| now.max(last.saturating_add(1));
        let after = |last| Some(first(last).saturating_add(count.saturating_sub(1)));
        match self.last.fetch_update(Relaxed, Relaxed, after) {
            Ok(last) | Err(last) => first(last),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_given_out_twice_and_it_never_goes_back() {
        let clock = Clock::start();
        let mut last = 0;
        for count in [1, 1_000_000_000, 1, 3, 1] {
            let first = clock.next(count);
            assert!(first > last);
            last = first + count - 1;
        }
    }

    /// The wall clock may have been set back since.
    #[test]
    fn it_goes_on_where_the_log_ended() {
        let clock = Clock::start();
        let ended = clock.now() + 3_600_000_000_000;
        clock.was(ended);
        assert!(clock.now() >= ended);
        assert!(clock.next(1) > ended);
    }
}
