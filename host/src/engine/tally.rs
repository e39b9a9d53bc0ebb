//! Where it is entered what rules did in a batch: in their own counters when they judge, and there in their breakers too where
//! the traffic is live; in notes when they are only tried.
//!
//! A trial must leave no trace in the counters of a rule that is in force: its metrics would tell of signals that were
//! never sent and of faults that held up nobody. In return a trial has to know which traces have no verdict.

use std::collections::BTreeMap;

use super::breaker::{Admission, BreakerLimits};
use super::fault::{Fault, FaultKind};
use super::rule::Rule;
use crate::time::Time;

/// Faults of a rule after which a worker tries it no more: each may take a whole deadline, and three tell that it is the
/// rule and not one odd trace.
pub const TRIAL_FAULTS: u32 = 3;

/// The target of log lines about rules that keep faulting: few, and told whatever else is not.
pub const QUARANTINE: &str = "betrace::quarantine";

/// What a worker notes of a trial, beside what is found.
#[derive(Debug, Default)]
pub struct Tried {
    /// Pairs of rule and trace without a verdict, of the last batch. Those of one rule ascend.
    pub unjudged: Vec<(u32, u32)>,
    /// By rule: why it has no verdict on some trace, the first time, over all batches.
    pub reasons: BTreeMap<u32, String>,
    /// By rule: traces that it was asked for, or should have been, over all batches.
    pub candidates: BTreeMap<u32, u64>,
    /// By rule, over all batches.
    faults: BTreeMap<u32, u32>,
}

/// A fault of a rule in live traffic, for whoever follows it up.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its place in the rule set.
    pub rule: u32,
    pub fault: Fault,
    /// The traces of the call that failed, by their place in the batch.
    pub traces: Vec<u32>,
    /// Which call of its instance that was, from 1; 0 where there was no instance.
    pub call: u64,
    /// It has put the rule into quarantine.
    pub has_opened: bool,
}

/// Live traffic: when it is, and what went wrong.
pub(super) struct Live<'a> {
    pub(super) now: Time,
    pub(super) limits: &'a BreakerLimits,
    pub(super) incidents: &'a mut Vec<Incident>,
    /// How the probe stands where this batch is one for the rule at hand.
    pub(super) probe: Option<Probe>,
    /// The worker is behind what arrives, so that no rule may have more than its share.
    pub(super) lags: bool,
}

/// How a probe stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// No call has told anything yet.
    Begun,
    Passes,
    Failed,
}

/// Where a worker enters what it did.
pub(super) enum Tally<'a> {
    Counters,
    Live(Live<'a>),
    Trial {
        tried: &'a mut Tried,
        /// Whether to leave the rest.
        halted: &'a dyn Fn() -> bool,
    },
}

/// Why a rule has no say in the rest of a batch.
pub(super) enum Stop {
    Fault {
        fault: Fault,
        /// Which call of its instance that was, from 1; 0 where there is no instance.
        call: u64,
    },
    PoolFull,
}

impl Tried {
    /// Forgets all of another trial.
    pub fn clear(&mut self) {
        self.unjudged.clear();
        self.reasons.clear();
        self.candidates.clear();
        self.faults.clear();
    }

    fn because(&mut self, rule: u32, reason: impl FnOnce() -> String) {
        self.reasons.entry(rule).or_insert_with(reason);
    }

    fn unjudged(&mut self, rule: u32, traces: &[u32]) {
        self.unjudged
            .extend(traces.iter().map(|&trace| (rule, trace)));
    }
}

impl Tally<'_> {
    /// Before the calls of a rule for one batch, with its candidate traces: whether it may be asked.
    pub(super) fn asks(&mut self, rule: &Rule, index: u32, traces: &[u32]) -> bool {
        if self.counts() {
            rule.counters().candidates(traces.len());
        }
        match self {
            Tally::Counters => true,
            Tally::Live(live) => live.asks(rule, traces),
            Tally::Trial { tried, .. } => {
                *tried.candidates.entry(index).or_default() += traces.len() as u64;
                true
            }
        }
    }

    /// After the calls of a rule for one batch.
    pub(super) fn asked(&mut self, rule: &Rule) {
        if let Tally::Live(live) = self {
            live.asked(rule);
        }
    }

    /// Whether it is counted what rules do.
    pub(super) fn counts(&self) -> bool {
        matches!(self, Tally::Counters | Tally::Live(_))
    }

    /// Before each call, with the traces that are left: whether the rule is still to be called. `is_over` says
    /// whether it has had its share.
    pub(super) fn goes_on(
        &mut self,
        rule: &Rule,
        index: u32,
        rest: &[u32],
        is_over: impl FnOnce() -> bool,
    ) -> bool {
        let (tried, halted) = match self {
            Tally::Counters => return true,
            Tally::Live(live) => return live.goes_on(rule, rest, is_over),
            Tally::Trial { tried, halted } => (tried, halted),
        };
        let faults = tried.faults.get(&index).copied().unwrap_or_default();
        let goes_on = faults < TRIAL_FAULTS && !halted();
        if !goes_on {
            tried.unjudged(index, rest);
        }
        goes_on
    }

    /// When it is, where that is known.
    pub(super) fn now(&self) -> Option<Time> {
        match self {
            Tally::Live(live) => Some(live.now),
            Tally::Counters | Tally::Trial { .. } => None,
        }
    }

    pub(super) fn instance_made(&self, rule: &Rule) {
        if self.counts() {
            rule.counters().instance_made();
        }
    }

    pub(super) fn called(&self, rule: &Rule, traces: usize) {
        if self.counts() {
            rule.counters().called(traces);
        }
    }

    /// A call succeeded.
    pub(super) fn found(&mut self, rule: &Rule, findings: usize) {
        if self.counts() {
            rule.counters().found(findings);
        }
        if let Tally::Live(live) = self
            && live.probe == Some(Probe::Begun)
        {
            live.probe = Some(Probe::Passes);
        }
    }

    /// A trace that no instance of the rule has the memory for.
    pub(super) fn input_too_large(&mut self, rule: &Rule, index: u32, trace: u32) {
        match self {
            Tally::Counters | Tally::Live(_) => rule.counters().input_too_large(),
            Tally::Trial { tried, .. } => {
                tried.unjudged(index, &[trace]);
                tried.because(index, || {
                    "a trace is larger than the memory that a rule may have".to_owned()
                });
            }
        }
    }

    /// A call with the traces `now` failed, and `later` would be next. Returns whether to go on with those.
    pub(super) fn stopped(
        &mut self,
        rule: &Rule,
        index: u32,
        (now, later): (&[u32], &[u32]),
        stop: Stop,
    ) -> bool {
        match (self, stop) {
            (Tally::Counters, stop) => {
                rule.counters().unjudged(now.len() + later.len());
                if let Stop::Fault { fault, .. } = stop {
                    report(rule, fault);
                }
                false
            }
            (Tally::Live(live), stop) => {
                rule.counters().unjudged(now.len() + later.len());
                if let Stop::Fault { fault, call } = stop {
                    report(rule, fault.clone());
                    live.faulted(rule, index, fault, now, call);
                }
                false
            }
            // A verdict on what is left is worth a fresh instance: nobody waits for this batch to go on.
            (Tally::Trial { tried, .. }, Stop::Fault { fault, .. }) => {
                tried.unjudged(index, now);
                *tried.faults.entry(index).or_default() += 1;
                tried.because(index, || fault.to_string());
                true
            }
            (Tally::Trial { tried, .. }, Stop::PoolFull) => {
                tried.unjudged(index, now);
                tried.unjudged(index, later);
                tried.because(index, || {
                    "all instances that rules may have at a time were in use".to_owned()
                });
                false
            }
        }
    }
}

impl Live<'_> {
    fn asks(&mut self, rule: &Rule, traces: &[u32]) -> bool {
        self.probe = None;
        match rule.breaker().admit(self.now) {
            Admission::Closed => true,
            Admission::Probe => {
                self.probe = Some(Probe::Begun);
                tracing::info!(
                    target: QUARANTINE,
                    rule = rule.id,
                    version = rule.version,
                    "a quarantined rule is tried again on one batch"
                );
                true
            }
            Admission::Refused => {
                rule.counters().skipped(traces.len());
                false
            }
        }
    }

    /// Whether a rule is still to be asked about these traces, or has had its share.
    fn goes_on(&self, rule: &Rule, traces: &[u32], is_over: impl FnOnce() -> bool) -> bool {
        // A probe is one batch, and decides.
        if !self.lags || self.probe.is_some() || !is_over() {
            return true;
        }
        rule.counters().passed_over(traces.len());
        if rule.slow().passed_over(self.now) {
            tracing::warn!(
                rule = rule.id,
                version = rule.version,
                "a rule takes more than its share of a worker that lags: while that is so it is passed over for some traces, \
                 which are counted; make it cheaper, or see `rule-share`"
            );
        }
        false
    }

    fn asked(&mut self, rule: &Rule) {
        match self.probe.take() {
            Some(Probe::Passes) if rule.breaker().passed() => tracing::info!(
                target: QUARANTINE,
                rule = rule.id,
                version = rule.version,
                "a rule is out of quarantine"
            ),
            Some(Probe::Begun) => rule.breaker().gave_back(self.now),
            Some(Probe::Passes | Probe::Failed) | None => {}
        }
    }

    fn faulted(&mut self, rule: &Rule, index: u32, fault: Fault, traces: &[u32], call: u64) {
        let was_probe = self.probe.is_some();
        if was_probe {
            self.probe = Some(Probe::Failed);
        }
        let opened = (rule.breaker()).faulted(&fault, self.now, was_probe, self.limits);
        if let Some(opened) = opened {
            rule.counters().opened();
            tracing::warn!(
                target: QUARANTINE,
                rule = rule.id,
                version = rule.version,
                fault = fault.kind.name(),
                message = fault.message,
                retry_after_s = opened.back_off.as_secs_f64(),
                again = opened.again,
                "a rule is quarantined, as it keeps faulting: it judges nothing until it is tried again"
            );
        }
        self.incidents.push(Incident {
            rule: index,
            fault,
            traces: traces.to_vec(),
            call,
            has_opened: opened.is_some_and(|opened| !opened.again),
        });
    }
}

impl Stop {
    /// Whether the rule asked for more memory than there is.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self, Stop::Fault { fault, .. } if fault.kind == FaultKind::Memory)
    }
}

fn report(rule: &Rule, fault: Fault) {
    let (kind, message) = (fault.kind.name(), fault.message.clone());
    if rule.counters().faulted(fault) {
        tracing::warn!(
            rule = rule.id,
            version = rule.version,
            fault = kind,
            message,
            "a rule faulted; further faults of this kind are only counted"
        );
    }
}
