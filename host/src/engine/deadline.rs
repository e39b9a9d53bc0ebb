//! How long a call has run. The epoch ticks by wall time; what counts is the CPU time of the thread, since on a busy
//! machine a rule may wait for the processor longer than its whole deadline.
//!
//! Nothing is read when a call starts: the clock is asked at the ticks, which few calls live to see. So a call has up to
//! one tick more than its deadline.

use std::time::{Duration, Instant};

/// The deadline of the call that runs.
#[derive(Debug)]
pub(super) struct Deadline {
    limit: Duration,
    /// The clock at the first tick of this call.
    first: Option<Duration>,
    /// Whether the deadline ended the call.
    pub(super) passed: bool,
}

impl Deadline {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            first: None,
            passed: false,
        }
    }

    /// A call starts.
    pub(super) fn restart(&mut self) {
        self.first = None;
        self.passed = false;
    }

    /// The epoch ticked during a call, at `now` by a clock of one's choice. Returns whether the call has to end.
    pub(super) fn tick(&mut self, now: Duration) -> bool {
        let first = *self.first.get_or_insert(now);
        self.passed = now.saturating_sub(first) >= self.limit;
        self.passed
    }
}

/// The clock to count a call's time by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    cpu: bool,
}

impl Clock {
    /// The CPU clock of threads if the system has one, else a wall clock.
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            cpu: thread_cpu_time().is_some(),
        }
    }

    /// The time of the thread that asks.
    pub(super) fn now(&self) -> Duration {
        match thread_cpu_time() {
            Some(time) if self.cpu => time,
            _ => self.start.elapsed(),
        }
    }
}

/// CPU time of this thread, as Linux's scheduler counts it (the first number of `schedstat`, in nanoseconds).
fn thread_cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_call_that_waits_for_the_processor_goes_on() {
        let mut deadline = Deadline::new(50 * MS);
        // A hundred ticks of wall time, in which the thread ran a tenth of a millisecond each.
        for tick in 0..100 {
            assert!(!deadline.tick(tick * MS / 10), "tick {tick}");
        }
        assert!(deadline.tick(50 * MS));
        assert!(deadline.passed);
    }

    #[test]
    fn each_call_has_the_whole_deadline() {
        let mut deadline = Deadline::new(50 * MS);
        assert!(!deadline.tick(1_000 * MS));
        assert!(deadline.tick(1_050 * MS));
        deadline.restart();
        assert!(!deadline.passed);
        assert!(!deadline.tick(1_090 * MS));
        assert!(!deadline.tick(1_139 * MS));
        assert!(deadline.tick(1_140 * MS));
    }

    #[test]
    fn the_clock_advances_while_the_thread_works() {
        let clock = Clock::new();
        let before = clock.now();
        let started = Instant::now();
        while clock.now() == before {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "the clock stands still"
            );
        }
        assert!(clock.now() > before);
    }
}
