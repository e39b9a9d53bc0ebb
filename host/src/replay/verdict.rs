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
    /// Traces that it was run over; fewer than the sample's where it faulted.
    pub traces: u64,
    /// Of these, those that had what the new version needs to be asked at all.
    pub candidates: u64,
    /// Traces on which the new version and the one before fire.
    pub fires: u64,
    pub fired_before: u64,
    /// Traces that fire now and did not.
    pub newly: Side,
    /// That did and do not.
    pub no_longer: Side,
    /// That did and do, by other clauses, with other evidence or other values.
    pub otherwise: Side,
    /// That did and do, for the same reasons.
    pub unchanged: u64,
    /// Traces without a verdict of the new version, since it faulted or they were too large for it.
    pub unjudged: u64,
    /// Why, where it faulted.
    pub fault: Option<String>,
    /// Fields whose values were of a type that it does not compare with, and how many spans.
    pub unlike: Vec<(Unlike, u64)>,
    /// Where it fires on no trace: why not.
    pub silence: Option<Silence>,
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
}
