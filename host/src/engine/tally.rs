//! Where it is entered what rules did in a batch: in their own counters when they judge live traffic, in notes when they
//! are only tried.
//!
//! A trial must leave no trace in the counters of a rule that is in force: its metrics would tell of signals that were
//! never sent and of faults that held up nobody. In return a trial has to know which traces have no verdict.

use std::collections::BTreeMap;

use super::fault::{Fault, FaultKind};
use super::rule::Rule;

/// Faults of a rule after which a worker tries it no more: each may take a whole deadline, and three tell that it is the
/// rule and not one odd trace.
pub const TRIAL_FAULTS: u32 = 3;

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

/// Where a worker enters what it did.
pub(super) enum Tally<'a> {
    Counters,
    Trial {
        tried: &'a mut Tried,
        /// Whether to leave the rest.
        halted: &'a dyn Fn() -> bool,
    },
}

/// Why a rule has no say in the rest of a batch.
pub(super) enum Stop {
    Fault(Fault),
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
    /// Before the calls of a rule for one batch, with its candidate traces.
    pub(super) fn asks(&mut self, index: u32, traces: &[u32]) {
        if let Tally::Trial { tried, .. } = self {
            *tried.candidates.entry(index).or_default() += traces.len() as u64;
        }
    }

    /// Before each call, with the traces that are left: whether the rule is still to be called.
    pub(super) fn goes_on(&mut self, index: u32, rest: &[u32]) -> bool {
        let Tally::Trial { tried, halted } = self else {
            return true;
        };
        let faults = tried.faults.get(&index).copied().unwrap_or_default();
        let goes_on = faults < TRIAL_FAULTS && !halted();
        if !goes_on {
            tried.unjudged(index, rest);
        }
        goes_on
    }

    pub(super) fn instance_made(&self, rule: &Rule) {
        if let Tally::Counters = self {
            rule.counters().instance_made();
        }
    }

    pub(super) fn called(&self, rule: &Rule, traces: usize) {
        if let Tally::Counters = self {
            rule.counters().called(traces);
        }
    }

    pub(super) fn found(&self, rule: &Rule, findings: usize) {
        if let Tally::Counters = self {
            rule.counters().found(findings);
        }
    }

    /// A trace that no instance of the rule has the memory for.
    pub(super) fn input_too_large(&mut self, rule: &Rule, index: u32, trace: u32) {
        match self {
            Tally::Counters => rule.counters().input_too_large(),
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
                if let Stop::Fault(fault) = stop {
                    report(rule, fault);
                }
                false
            }
            // A verdict on what is left is worth a fresh instance: nobody waits for this batch to go on.
            (Tally::Trial { tried, .. }, Stop::Fault(fault)) => {
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

impl Stop {
    /// Whether the rule asked for more memory than there is.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self, Stop::Fault(fault) if fault.kind == FaultKind::Memory)
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
