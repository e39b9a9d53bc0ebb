//! Whether a rule was passed over lately, as it had had its share of a worker that lagged. One a version of a rule, shared by all
//! workers: what was mended starts anew. The time is an argument.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::Time;

/// How long it is told of a rule: as long as the times of its calls reach back, so that who looks once a minute sees it.
const TOLD: Duration = Duration::from_secs(60);

/// When a rule was passed over.
#[derive(Debug, Default)]
pub struct Slow {
    /// The last time, in nanoseconds; 0 where it never was.
    at: AtomicU64,
}

impl Slow {
    /// It was passed over. Returns whether that is the first time, which is the one worth a line in the log.
    pub(super) fn passed_over(&self, now: Time) -> bool {
        self.at.fetch_max(now.0.max(1), Relaxed) == 0
    }

    /// Whether it was passed over within the last minute.
    pub fn is_slow(&self, now: Time) -> bool {
        match self.at.load(Relaxed) {
            0 => false,
            at => now.since(Time(at)) < TOLD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_news_and_the_last_is_told_for_a_minute() {
        let at = |seconds| Time::default().after(Duration::from_secs(seconds));
        let slow = Slow::default();
        assert!(!slow.is_slow(at(0)));
        assert!(slow.passed_over(Time::default()));
        assert!(slow.is_slow(at(59)));
        assert!(!slow.is_slow(at(61)));
        assert!(!slow.passed_over(at(100)));
        assert!(
            !slow.passed_over(at(90)),
            "by a worker whose batch began before"
        );
        assert!(slow.is_slow(at(159)));
    }
}
