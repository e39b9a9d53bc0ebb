//! How long a rule's calls took lately: a histogram of fixed size, written by all workers without a lock.
//!
//! ```text
//! 0 ns .. 8 us: one bucket | 8 us .. 67 s: 23 doublings, 4 buckets each | beyond: the last bucket
//! ```
//! Buckets grow with what they hold, so that a quantile is right to an eighth of itself whether calls take microseconds or the
//! whole deadline. Two halves, one for the minute that runs and one for the one before, are told apart by the time, which is an
//! argument: what is read is of the last one to two minutes, and nothing has to be cleared by anybody who only looks. 768 bytes a
//! rule, and only of rules that were ever called.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::Time;

/// How long a half is written: as long as Prometheus waits between two looks at most, as people set it up.
const HALF: Duration = Duration::from_secs(60);

/// Nanoseconds below which all calls are alike: the call itself costs a microsecond or two.
const LEAST_BITS: u32 = 13;

/// Buckets of a doubling, as a power of two.
const PARTS_BITS: u32 = 2;

/// Doublings told apart: up to a minute, which is the longest deadline that can be set.
const DOUBLINGS: u32 = 23;

const BUCKETS: usize = 1 + (DOUBLINGS << PARTS_BITS) as usize;

/// Times of one rule's calls.
#[derive(Debug)]
pub(super) struct Times {
    /// The number of the minute that was written last.
    minute: AtomicU64,
    halves: [[AtomicU32; BUCKETS]; 2],
}

/// Where the times of a rule's calls lay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    pub p50: Duration,
    pub p99: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            minute: AtomicU64::new(0),
            halves: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
        }
    }
}

impl Times {
    /// A call that ended at `now` took so long.
    pub(super) fn enter(&self, nanoseconds: u64, now: Time) {
        let minute = minute(now);
        let last = self.minute.load(Relaxed);
        if last < minute {
            self.turn(last, minute);
        }
        if let Some(count) = (self.half(minute)).get(bucket(nanoseconds)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Of the calls of this minute and the one before; none where there were none.
    pub(super) fn quantiles(&self, now: Time) -> Option<Quantiles> {
        let counts = self.counts(now);
        let all: u64 = counts.iter().sum();
        let at = |numerator: u64, denominator: u64| {
            // The nearest rank: at least so many of all calls took no longer.
            let rank = (all * numerator).div_ceil(denominator).max(1);
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            Duration::from_nanos(middle(bucket.unwrap_or(BUCKETS - 1)))
        };
        (all > 0).then(|| Quantiles {
            p50: at(1, 2),
            p99: at(99, 100),
        })
    }

    fn counts(&self, now: Time) -> [u64; BUCKETS] {
        let minute = minute(now);
        let last = self.minute.load(Relaxed);
        let mut counts = [0; BUCKETS];
        // A worker may have entered a minute that the reader's clock has not come to.
        for written in [Some(last), last.checked_sub(1)].into_iter().flatten() {
            if written.saturating_add(1) < minute {
                continue;
            }
            for (sum, count) in counts.iter_mut().zip(self.half(written)) {
                *sum += u64::from(count.load(Relaxed));
            }
        }
        counts
    }

    /// Begins a minute. One thread clears what is written anew; a call that another enters meanwhile may be lost.
    fn turn(&self, last: u64, minute: u64) {
        let won = self.minute.compare_exchange(last, minute, Relaxed, Relaxed);
        if won.is_err() {
            return;
        }
        let gone = if minute - last > 1 {
            &self.halves[..]
        } else {
            std::slice::from_ref(self.half(minute))
        };
        for count in gone.iter().flatten() {
            count.store(0, Relaxed);
        }
    }

    fn half(&self, minute: u64) -> &[AtomicU32; BUCKETS] {
        let [even, odd] = &self.halves;
        if minute.is_multiple_of(2) { even } else { odd }
    }
}

fn minute(now: Time) -> u64 {
    now.0 / HALF.as_nanos() as u64
}

fn bucket(nanoseconds: u64) -> usize {
    let doubling = nanoseconds.checked_ilog2().unwrap_or(0);
    if doubling < LEAST_BITS {
        return 0;
    }
    let part = (nanoseconds >> (doubling - PARTS_BITS)) & ((1 << PARTS_BITS) - 1);
    let at = 1 + ((doubling - LEAST_BITS) << PARTS_BITS) as usize + part as usize;
    at.min(BUCKETS - 1)
}

/// What a time of a bucket is told as: its middle.
fn middle(bucket: usize) -> u64 {
    let Some(at) = (bucket as u32).checked_sub(1) else {
        return 1 << (LEAST_BITS - 1);
    };
    let doubling = LEAST_BITS + (at >> PARTS_BITS);
    let width = 1_u64 << (doubling - PARTS_BITS);
    let part = u64::from(at & ((1 << PARTS_BITS) - 1));
    (1 << doubling) + part * width + width / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::default().after(Duration::from_secs(seconds))
    }

    /// The middle of the bucket that so many nanoseconds fall into.
    fn told(nanoseconds: u64) -> Duration {
        Duration::from_nanos(middle(bucket(nanoseconds)))
    }

    #[test]
    fn a_rare_slow_call_is_the_99th_and_not_the_50th() {
        let times = Times::default();
        assert_eq!(times.quantiles(at(0)), None);
        for _ in 0..98 {
            times.enter(100_000, at(1));
        }
        times.enter(45_000_000, at(1));
        times.enter(45_000_000, at(1));
        let quantiles = times.quantiles(at(1)).expect("there were calls");
        assert_eq!(quantiles.p50, told(100_000));
        assert_eq!(quantiles.p99, told(45_000_000));
    }

    #[test]
    fn what_is_two_minutes_old_is_forgotten() {
        let times = Times::default();
        times.enter(1_000_000, at(10));
        times.enter(9_000_000, at(70));
        let p50 = |now| times.quantiles(at(now)).map(|told| told.p50);
        assert_eq!(p50(70), Some(told(1_000_000)), "both");
        assert_eq!(p50(130), Some(told(9_000_000)), "nothing came since");
        assert_eq!(p50(180), None);
        times.enter(3_000_000, at(130));
        assert_eq!(p50(130), Some(told(3_000_000)));
        times.enter(5_000_000, at(1_000));
        assert_eq!(p50(1_000), Some(told(5_000_000)), "a long silence");
    }

    #[test]
    fn a_clock_that_lags_behind_a_worker_reads_what_it_wrote() {
        let times = Times::default();
        times.enter(1_000_000, at(61));
        assert!(times.quantiles(at(59)).is_some());
        times.enter(1_000_000, at(59));
    }

    #[test]
    fn workers_that_write_at_once_lose_nothing_within_a_minute() {
        let times = Times::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| times.enter(50_000, at(5))));
            }
        });
        assert_eq!(times.counts(at(5)).iter().sum::<u64>(), 40_000);
    }

    proptest! {
        #[test]
        fn a_time_is_told_to_an_eighth_of_itself(shift in 0..36_u32, low in any::<u64>()) {
            let nanoseconds = (1_u64 << shift) | (low & ((1 << shift) - 1));
            let at = bucket(nanoseconds);
            prop_assert!(at < BUCKETS);
            if at > 0 {
                prop_assert!(middle(at).abs_diff(nanoseconds) * 8 <= nanoseconds, "{} for {nanoseconds}", middle(at));
            } else {
                prop_assert!(nanoseconds < 1 << LEAST_BITS);
            }
        }

        #[test]
        fn longer_times_are_in_no_earlier_bucket(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!(bucket(a.min(b)) <= bucket(a.max(b)));
        }
    }
}
