//! Why a rule fired on a trace or did not: each part of the rule with its value, the spans behind it, and which decided.
//!
//! ```text
//! rule's source -> betrace_dsl::explain -> Explainer \
//! kept trace -> columns -> the rule itself, answers   -> decide -> Explained -> JSON, text
//!                                                        silence: the same over many traces
//! ```
//! The verdict is that of the rule's own component. The parts come from a second one, compiled from the same plan when
//! somebody asks; where the two disagreed, that would be said, not hidden.

mod decide;
mod desk;
mod explained;
mod fact;
mod pick;
mod read;
pub mod silence;
mod tally;
mod text;
mod triggers;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use desk::ExplainError;
pub use explained::{
    Body, Explained, Explanation, Field, InRing, Outcome, PartView, Reason, TraceView,
    TriggerGroup, TriggerView, TypeMet, Where,
};
pub use pick::{Picked, Picker};
pub use silence::{fill_silences, silence};
pub use text::{MAX_LINES, elsewhere, view};
pub use triggers::Triggers;

use super::kept::Kept;
use crate::engine::{Engine, Rule};
use desk::Desk;

/// Explains what a rule makes of a kept trace.
pub fn explain(
    engine: &Arc<Engine>,
    rule: &Rule,
    kept: &Arc<Kept>,
) -> Result<Explained, ExplainError> {
    explain_all(engine, rule, std::slice::from_ref(kept))?
        .pop()
        .ok_or(ExplainError::NoTrace)
}

/// Explains what a rule makes of some kept traces, in their order.
pub fn explain_all(
    engine: &Arc<Engine>,
    rule: &Rule,
    kept: &[Arc<Kept>],
) -> Result<Vec<Explained>, ExplainError> {
    let mut desk = Desk::open(engine, rule)?;
    kept.iter().map(|kept| desk.explain(kept)).collect()
}
