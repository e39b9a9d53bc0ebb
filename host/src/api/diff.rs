//! `GET /api/v1/rules/{id}/diff`: what a change of a rule does to the traces that are kept, against the version before.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::error::{Error, ErrorBody};
use super::rules::{is_known, unknown};
use super::state::State;
use crate::live::Latest;
use crate::replay::coverage::Coverage;
use crate::replay::verdict::{ChangeKind, FactChange, NeverTrue, RuleVerdict, Side, Silence};
use crate::signal::Signal;
use crate::signal::stamp::{hex, rfc3339};

/// What the last change of a rule did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LastDiff {
    /// When its file was saved.
    saved_at: String,
    /// The traces that were kept then.
    coverage: Coverage,
    /// In words, as of then.
    sample: String,
    #[serde(flatten)]
    diff: Diff,
}

/// What a change of a rule does to the traces that are kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Diff {
    rule: String,
    change: ChangeKind,
    /// The version before, and the one that came.
    before: Option<String>,
    after: Option<String>,
    /// Traces that it has a verdict on.
    traces: u64,
    /// Of these, those that had what it needs to be asked.
    candidates: u64,
    fires: u64,
    fired_before: u64,
    newly: SideView,
    no_longer: SideView,
    /// For other reasons.
    otherwise: SideView,
    unchanged: u64,
    /// Traces that it could not judge, and why.
    unjudged: u64,
    fault: Option<String>,
    /// The same of the version before.
    unjudged_before: u64,
    fault_before: Option<String>,
    /// What it says of itself otherwise than before. No trace is in a side because of it.
    facts: Vec<FactChange>,
    unlike: Vec<UnlikeView>,
    /// Why it fires on no trace; null where it fires, and where that can't be told.
    silence: Option<SilenceView>,
}

/// Traces of one kind.
#[derive(Debug, Serialize, ToSchema)]
struct SideView {
    traces: u64,
    /// The newest of them.
    ids: Vec<String>,
    /// Of the newest.
    #[schema(value_type = Option<Signal>)]
    #[serde(serialize_with = "signal")]
    first: Option<Arc<Signal>>,
}

/// A field whose values were of a type that the rule does not compare with.
#[derive(Debug, Serialize, ToSchema)]
struct UnlikeView {
    field: String,
    /// What its values were.
    was: &'static str,
    spans: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct SilenceView {
    /// Traces that had what the rule needs to be asked.
    candidates: u64,
    /// What no trace had of that.
    absent: Vec<String>,
    /// Parts of the condition that were true of no trace, the deciding ones first.
    never: Vec<NeverTrue>,
    /// The trace that came nearest.
    nearest: Option<NearestView>,
    /// Why nothing more can be said, where the rule can't be explained.
    unexplained: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct NearestView {
    trace_id: String,
    /// How many of the condition's parts held there, of how many.
    held: u32,
    parts: u32,
}

/// What the last change of a rule did to the traces that were kept then.
#[utoipa::path(
    get,
    path = "/api/v1/rules/{id}/diff",
    operation_id = "getRuleDiff",
    params(("id" = String, Path, description = "The rule's id")),
    responses(
        (status = 200, description = "The difference", body = LastDiff),
        (status = 404, description = "No such rule, or it did not change", body = ErrorBody),
    )
)]
pub(super) async fn diff(
    Extract(state): Extract<Arc<State>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<LastDiff>, Error> {
    let Path(id) = path.map_err(|error| Error::bad_request(error.body_text()))?;
    match state.book.latest(&id) {
        Some(latest) => Ok(Json(LastDiff::from(&*latest))),
        None if is_known(&state, &id) => Err(Error::not_found(format!(
            "rule `{id}` did not change since the host started"
        ))
        .help("save its file; `POST /api/v1/try` tries a rule without saving it")),
        None => Err(unknown(&state, &id)),
    }
}

impl From<&Latest> for LastDiff {
    fn from(latest: &Latest) -> LastDiff {
        LastDiff {
            saved_at: rfc3339(latest.saved_at),
            coverage: latest.coverage.clone(),
            sample: latest.coverage.sentence(latest.saved_at),
            diff: Diff::from(&latest.verdict),
        }
    }
}

impl From<&RuleVerdict> for Diff {
    fn from(verdict: &RuleVerdict) -> Diff {
        let unlike = verdict.unlike.iter().map(|(unlike, spans)| UnlikeView {
            field: unlike.field.clone(),
            was: unlike.tag,
            spans: *spans,
        });
        Diff {
            rule: verdict.id.clone(),
            change: verdict.change,
            before: verdict.before.clone(),
            after: verdict.after.clone(),
            traces: verdict.traces,
            candidates: verdict.candidates,
            fires: verdict.fires,
            fired_before: verdict.fired_before,
            newly: SideView::from(&verdict.newly),
            no_longer: SideView::from(&verdict.no_longer),
            otherwise: SideView::from(&verdict.otherwise),
            unchanged: verdict.unchanged,
            unjudged: verdict.unjudged,
            fault: verdict.fault.clone(),
            unjudged_before: verdict.unjudged_before,
            fault_before: verdict.fault_before.clone(),
            facts: verdict.facts.clone(),
            unlike: unlike.collect(),
            silence: verdict.silence.as_ref().map(SilenceView::from),
        }
    }
}

impl From<&Side> for SideView {
    fn from(side: &Side) -> SideView {
        SideView {
            traces: side.traces,
            ids: side.ids.iter().map(|id| hex(id)).collect(),
            first: side.first.as_ref().map(|first| first.signal.clone()),
        }
    }
}

impl From<&Silence> for SilenceView {
    fn from(silence: &Silence) -> SilenceView {
        SilenceView {
            candidates: silence.candidates,
            absent: silence.absent.clone(),
            never: silence.never.clone(),
            nearest: silence.nearest.as_ref().map(|nearest| NearestView {
                trace_id: hex(&nearest.trace_id),
                held: nearest.held,
                parts: nearest.parts,
            }),
            unexplained: silence.unexplained.clone(),
        }
    }
}

fn signal<S: Serializer>(signal: &Option<Arc<Signal>>, serializer: S) -> Result<S::Ok, S::Error> {
    signal.as_deref().serialize(serializer)
}
