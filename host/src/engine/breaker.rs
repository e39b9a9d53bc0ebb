//! A rule that keeps faulting is not asked for a while: each fault costs a fresh instance, and may cost a whole deadline.
//!
//! ```text
//! closed --[so many faults within the window]--> open: nobody asks, traces are counted as without a verdict
//!   ^                                             |  ^
//!   |                                  [back-off] |  | [the probe faults: twice the back-off]
//!   '----------[the probe passes]---------- half-open: one batch of one worker
//! ```
//! One a version of a rule, shared by all workers and all rule sets that hold it: what was mended starts closed, and what
//! stays as it is stays out whatever else is published. The time is an argument. A closed breaker costs one relaxed load a
//! rule and batch; the lock is taken by faults, and by batches while it is open.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::Fault;
use crate::time::Time;

/// Faults that open a breaker: one or two may be odd traces, five within the window are the rule.
pub const FAULTS: u32 = 5;

/// Within which they have to come.
pub const WINDOW: Duration = Duration::from_secs(60);

/// The first back-off: what the rule costs falls to one fault in so long.
pub const BACK_OFF: Duration = Duration::from_secs(10);

/// The longest back-off: a rule that has recovered is back within it.
pub const LONGEST_BACK_OFF: Duration = Duration::from_secs(600);

/// When a breaker opens, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    pub faults: u32,
    pub window: Duration,
    pub back_off: Duration,
    pub longest_back_off: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            faults: FAULTS,
            window: WINDOW,
            back_off: BACK_OFF,
            longest_back_off: LONGEST_BACK_OFF,
        }
    }
}

/// The breaker of one version of a rule.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Whether there is more to know than that it is closed. A worker that sees it late asks the rule once more.
    is_open: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Within the window, at most as many as open it.
    faults: VecDeque<Time>,
    open: Option<Quarantine>,
    has_opened: bool,
}

/// Why a rule is not asked, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The latest fault.
    pub fault: Fault,
    /// From then on the next batch that needs the rule probes it.
    pub until: Time,
    /// Since when, over all probes.
    pub since: Time,
    pub back_off: Duration,
    /// A batch is probing it.
    pub is_probed: bool,
}

/// Whether a batch may ask a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Closed,
    /// This batch alone: what becomes of it decides.
    Probe,
    Refused,
}

/// A breaker that has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    pub back_off: Duration,
    /// It was open before: its probe faulted.
    pub again: bool,
}

impl Breaker {
    /// Before a batch's first call.
    pub fn admit(&self, now: Time) -> Admission {
        if !self.is_open.load(Relaxed) {
            return Admission::Closed;
        }
        let mut inner = self.lock();
        match &mut inner.open {
            None => Admission::Closed,
            Some(open) if now < open.until => Admission::Refused,
            Some(open) => {
                // Where this probe never ends, another may be made after as long again.
                open.until = now.after(open.back_off);
                open.is_probed = true;
                Admission::Probe
            }
        }
    }

    /// The rule faulted. Returns whether that opened the breaker.
    pub fn faulted(
        &self,
        fault: &Fault,
        now: Time,
        was_probe: bool,
        limits: &BreakerLimits,
    ) -> Option<Opened> {
        let mut inner = self.lock();
        let back_off = match &inner.open {
            Some(open) if was_probe => {
                (open.back_off.saturating_mul(2)).min(limits.longest_back_off)
            }
            // Of a batch that had begun before it opened.
            Some(_) => return None,
            None => {
                let is_recent = |at: &Time| now.since(*at) < limits.window;
                inner.faults.retain(is_recent);
                inner.faults.push_back(now);
                if inner.faults.len() < limits.faults as usize {
                    return None;
                }
                inner.faults.clear();
                limits.back_off.min(limits.longest_back_off)
            }
        };
        let since = inner.open.as_ref().map(|open| open.since);
        inner.open = Some(Quarantine {
            fault: fault.clone(),
            until: now.after(back_off),
            since: since.unwrap_or(now),
            back_off,
            is_probed: false,
        });
        inner.has_opened = true;
        self.is_open.store(true, Relaxed);
        Some(Opened {
            back_off,
            again: since.is_some(),
        })
    }

    /// A probe passed. Returns whether that closed the breaker.
    pub fn passed(&self) -> bool {
        let mut inner = self.lock();
        inner.faults.clear();
        self.is_open.store(false, Relaxed);
        inner.open.take().is_some()
    }

    /// A probe told nothing, as the rule could not be called: the next batch may probe.
    pub fn gave_back(&self, now: Time) {
        if let Some(open) = &mut self.lock().open {
            open.until = now;
            open.is_probed = false;
        }
    }

    /// Why the rule is not asked; none where it is.
    pub fn quarantine(&self) -> Option<Quarantine> {
        if !self.is_open.load(Relaxed) {
            return None;
        }
        self.lock().open.clone()
    }

    /// Whether it ever opened.
    pub fn has_opened(&self) -> bool {
        self.lock().has_opened
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::FaultKind;
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::default().after(Duration::from_secs(seconds))
    }

    fn fault(text: &str) -> Fault {
        Fault::new(FaultKind::Trap, text)
    }

    fn seconds(seconds: u64, again: bool) -> Option<Opened> {
        Some(Opened {
            back_off: Duration::from_secs(seconds),
            again,
        })
    }

    /// Opened at second 4 by the fifth fault.
    fn opened() -> Breaker {
        let breaker = Breaker::default();
        for second in 0..5 {
            assert_eq!(breaker.admit(at(second)), Admission::Closed);
            let opens = breaker.faulted(&fault("a"), at(second), false, &BreakerLimits::default());
            assert_eq!(opens.is_some(), second == 4);
        }
        breaker
    }

    #[test]
    fn it_opens_at_so_many_faults_within_the_window() {
        let limits = BreakerLimits::default();
        let breaker = Breaker::default();
        // One every 15 seconds: never five within a minute.
        for number in 0..40 {
            let opens = breaker.faulted(&fault("a"), at(15 * number), false, &limits);
            assert_eq!(opens, None, "fault {number}");
        }
        assert_eq!(
            breaker.faulted(&fault("b"), at(586), false, &limits),
            seconds(10, false)
        );
        assert!(breaker.has_opened());
        let quarantine = breaker.quarantine().expect("it is open");
        assert_eq!((quarantine.fault, quarantine.until), (fault("b"), at(596)));
    }

    #[test]
    fn one_batch_probes_after_the_back_off_and_its_success_closes() {
        let breaker = opened();
        assert_eq!(breaker.admit(at(13)), Admission::Refused);
        assert_eq!(breaker.admit(at(14)), Admission::Probe);
        assert!(breaker.quarantine().is_some_and(|open| open.is_probed));
        assert_eq!(breaker.admit(at(14)), Admission::Refused, "one batch alone");
        assert!(breaker.passed());
        assert_eq!(breaker.admit(at(14)), Admission::Closed);
        assert_eq!(breaker.quarantine(), None);
        assert!(breaker.has_opened(), "that it did is remembered");
        // What was before does not count any more.
        let limits = BreakerLimits::default();
        assert_eq!(breaker.faulted(&fault("c"), at(15), false, &limits), None);
    }

    #[test]
    fn each_probe_that_faults_doubles_the_back_off_up_to_the_longest() {
        let breaker = opened();
        let limits = BreakerLimits::default();
        let mut now = at(4);
        for expected in [20, 40, 80, 160, 320, 600, 600] {
            let until = breaker.quarantine().expect("it is open").until;
            assert!(until > now);
            now = until;
            assert_eq!(breaker.admit(now), Admission::Probe);
            assert_eq!(
                breaker.faulted(&fault("d"), now, true, &limits),
                seconds(expected, true)
            );
            assert_eq!(breaker.admit(now), Admission::Refused);
        }
        let until = breaker.quarantine().expect("it is open").until;
        assert_eq!(breaker.admit(until), Admission::Probe);
        assert!(breaker.passed());
        for _ in 0..4 {
            assert_eq!(breaker.faulted(&fault("e"), until, false, &limits), None);
        }
        let opens = breaker.faulted(&fault("e"), until, false, &limits);
        assert_eq!(opens, seconds(10, false), "the back-off starts over");
    }

    #[test]
    fn faults_of_batches_that_had_begun_change_nothing() {
        let breaker = opened();
        let before = breaker.quarantine();
        let limits = BreakerLimits::default();
        assert_eq!(breaker.faulted(&fault("late"), at(5), false, &limits), None);
        assert_eq!(breaker.quarantine(), before);
    }

    #[test]
    fn a_probe_that_tells_nothing_is_made_again_and_one_that_never_ends_too() {
        let breaker = opened();
        assert_eq!(breaker.admit(at(20)), Admission::Probe);
        breaker.gave_back(at(20));
        assert_eq!(breaker.admit(at(20)), Admission::Probe);
        assert_eq!(breaker.admit(at(29)), Admission::Refused);
        assert_eq!(breaker.admit(at(30)), Admission::Probe);
    }

    #[test]
    fn of_many_threads_one_probes() {
        let breaker = opened();
        let probes = std::thread::scope(|scope| {
            let ask = || scope.spawn(|| breaker.admit(at(100)) == Admission::Probe);
            let threads: Vec<_> = (0..8).map(|_| ask()).collect();
            let asked = threads
                .into_iter()
                .map(|thread| thread.join().expect("it asks"));
            asked.filter(|probes| *probes).count()
        });
        assert_eq!(probes, 1);
    }
}
