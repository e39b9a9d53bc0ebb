//! What a changed rule does to the traces that are kept, and how that differs from the version before.

use serde::Serialize;

use super::coverage::Coverage;
use super::run::Unlike;
use crate::signal::Emission;

/// What a save does to the kept traces.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub rules: Vec<RuleVerdict>,
    pub coverage: Coverage,
    /// The time of a trial was up before all traces were tried: the oldest have no verdict.
    pub out_of_time: bool,
}

/// How a rule changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Added,
    Edited,
    Removed,
}

/// What one rule's change does to the kept traces.
#[derive(Clone, Debug)]
pub struct RuleVerdict {
    pub id: String,
    pub change: ChangeKind,
    pub before: Option<String>,
    pub after: Option<String>,
    /// Traces that have a verdict of the new version, or of the one before where there is no new one; fewer than the
    /// sample's where it faulted.
    pub traces: u64,
    /// Traces that had what the new version needs to be asked at all.
    pub candidates: u64,
    /// Traces on which the new version and the one before fire.
    pub fires: u64,
    pub fired_before: u64,
    /// Traces that fire now and did not. A trace that either version could not judge is in no side, and is not unchanged.
    pub newly: Side,
    /// That did and do not.
    pub no_longer: Side,
    /// That did and do, by other clauses, with other evidence or other values.
    pub otherwise: Side,
    /// That did and do, for the same reasons.
    pub unchanged: u64,
    /// Traces without a verdict of the new version, since it faulted or they were too large for it.
    pub unjudged: u64,
    /// Why, the first time.
    pub fault: Option<String>,
    /// The same of the version before.
    pub unjudged_before: u64,
    pub fault_before: Option<String>,
    /// What the versions say of themselves otherwise. No trace is in a side because of it.
    pub facts: Vec<FactChange>,
    /// Fields whose values were of a type that it does not compare with, and how many spans.
    pub unlike: Vec<(Unlike, u64)>,
    /// Where it fires on no trace: why not.
    pub silence: Option<Silence>,
}

/// A fact of a rule that does not decide whether it fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FactChange {
    /// `severity`, `tags`, `message` or `description`.
    pub fact: &'static str,
    pub before: String,
    pub after: String,
}

/// Traces of one kind.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub traces: u64,
    /// The newest of them, bounded.
    pub ids: Vec<[u8; 16]>,
    /// The newest of them, drawn: as the new version sees it, or the one before where the new one does not fire.
    pub first: Option<Box<Emission>>,
}

impl RuleVerdict {
    /// Whether the change puts no trace into a side.
    pub fn is_same(&self) -> bool {
        self.newly.traces + self.no_longer.traces + self.otherwise.traces == 0
    }
}

/// Why a rule fires on no trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Silence {
    /// Traces that had what the rule needs to be asked at all.
    pub candidates: u64,
    /// What no trace had of that: its triggers, in words.
    pub absent: Vec<String>,
    /// Parts of the condition that were true of no trace, the deciding ones first.
    pub never: Vec<NeverTrue>,
    /// The trace that came nearest: the most parts held.
    pub nearest: Option<Nearest>,
    /// Why nothing more can be said, where the rule can't be explained.
    pub unexplained: Option<String>,
}

/// A part of a condition that was never true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct NeverTrue {
    /// As in the rule.
    pub part: String,
    /// Such as "`amount` was text in 37 of 37 spans", or "no span has the name `payment.charge_card`".
    pub why: String,
}

/// The trace on which a silent rule came nearest to firing.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    pub trace_id: [u8; 16],
    /// How many of the condition's parts held there, of how many.
    pub held: u32,
    pub parts: u32,
    pub outline: crate::signal::outline::Outline,
    /// The spans that are marked in it, with what the condition compares of them.
    pub evidence: Vec<crate::signal::Evidence>,
}
