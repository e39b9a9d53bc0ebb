//! How fast the newest traces may be replaced: a token bucket as large as what holds them, refilled once in `turnover`.
//!
//! A ring that is filled from empty takes all; one that is flooded takes what lets each trace stay for `turnover`.

use std::time::Duration;

use crate::time::Time;

#[derive(Debug)]
pub(super) struct Bucket {
    most: u64,
    left: u64,
    turnover: Duration,
    filled: Time,
}

impl Bucket {
    pub(super) fn new(most: u64, turnover: Duration) -> Bucket {
        Bucket {
            most,
            left: most,
            turnover,
            filled: Time::default(),
        }
    }

    /// Takes so many bytes out, if they are there.
    pub(super) fn take(&mut self, bytes: u64, now: Time) -> bool {
        if self.turnover.is_zero() {
            return true;
        }
        if self.left < bytes {
            self.fill(now);
        }
        let enough = self.left >= bytes;
        if enough {
            self.left -= bytes;
        }
        enough
    }

    fn fill(&mut self, now: Time) {
        let past = u128::from(now.0.saturating_sub(self.filled.0));
        let more = u128::from(self.most) * past / self.turnover.as_nanos().max(1);
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(self.most);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_at_first_and_fills_once_in_turnover() {
        let mut bucket = Bucket::new(100, Duration::from_secs(10));
        let at = |seconds: u64| Time(seconds * 1_000_000_000);
        assert!(bucket.take(60, at(0)) && bucket.take(40, at(0)));
        assert!(!bucket.take(11, at(1)));
        assert!(bucket.take(10, at(1)));
        assert!(!bucket.take(100, at(10)));
        assert!(bucket.take(100, at(11)));
        assert!(!bucket.take(101, at(1_000)), "never more than it holds");
    }
}
