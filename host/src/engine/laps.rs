//! How long the pieces of a batch took by the clock: one reading where a call ends and the next begins, 25 ns each (the
//! thread's CPU clock is a system call of 240 ns). What the thread waited for a processor is read once a batch, see `waits`.

use std::time::{Duration, Instant};

/// A piece of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lap {
    pub(super) rule: u32,
    /// Or else what was done for the rule without calling it.
    pub(super) is_call: bool,
}

/// The pieces of one batch, and the wait of the thread when it began.
#[derive(Debug, Default)]
pub(super) struct Laps {
    laps: Vec<(Lap, Duration)>,
    started: Option<Instant>,
    waited_before: Option<Duration>,
    /// Calls, over all batches.
    pub(super) called: u64,
}

impl Laps {
    /// A batch begins, when the thread has waited so long in all.
    pub(super) fn start(&mut self, waited: Option<Duration>) {
        self.laps.clear();
        self.waited_before = waited;
        self.go_on();
    }

    /// What was done since the last piece was no rule's.
    pub(super) fn go_on(&mut self) {
        self.started = Some(Instant::now());
    }

    /// A piece ends, and the next begins.
    pub(super) fn end(&mut self, rule: u32, is_call: bool) {
        let now = Instant::now();
        let started = self.started.replace(now).unwrap_or(now);
        self.laps.push((
            Lap { rule, is_call },
            now.saturating_duration_since(started),
        ));
    }

    pub(super) fn all(&self) -> &[(Lap, Duration)] {
        &self.laps
    }

    /// What the rule that was last at work took in this batch; nothing where it is another.
    pub(super) fn of_last(&self, rule: u32) -> Duration {
        let own = self.laps.iter().rev();
        own.take_while(|(lap, _)| lap.rule == rule)
            .map(|(_, took)| *took)
            .sum()
    }

    /// What the thread waited in this batch, as it has waited so long in all.
    pub(super) fn waited(&self, now: Option<Duration>) -> Duration {
        match (self.waited_before, now) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => Duration::ZERO,
        }
    }
}
