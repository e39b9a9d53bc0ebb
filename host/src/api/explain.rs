//! `GET /api/v1/rules/{id}/explain/{trace}`: why a rule fires on a trace or does not; of a trace that is not at hand, where
//! it is.
//!
//! An explanation is compiled when it is asked for, so it is bounded as a rule that is tried: so many at a time, so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use http::StatusCode;

use super::error::{Error, ErrorBody};
use super::page::trace_id;
use super::rules::{last_good, not_in_force};
use super::state::State;
use super::work::Permit;
use crate::engine::Rule;
use crate::replay::explain::{ExplainError, Explanation, Where, explain as explained};

/// Why a rule fires on a trace, or does not. `explained` is null where the trace is not at hand; `whereabouts` says why.
#[utoipa::path(
    get,
    path = "/api/v1/rules/{id}/explain/{trace}",
    operation_id = "explainTrace",
    params(
        ("id" = String, Path, description = "The rule's id"),
        ("trace" = String, Path, description = "32 hexadecimal digits"),
    ),
    responses(
        (status = 200, description = "What the rule makes of the trace, part by part", body = Explanation),
        (status = 400, description = "No trace id", body = ErrorBody),
        (status = 404, description = "No such rule", body = ErrorBody),
        (status = 422, description = "The rule can't be explained, or is broken and nothing of it is in force", body = ErrorBody),
        (status = 429, description = "Others are being explained, and too many wait", body = ErrorBody),
        (status = 503, description = "It took too long", body = ErrorBody),
    )
)]
pub(super) async fn explain(
    Extract(state): Extract<Arc<State>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Explanation>, Error> {
    let Path((id, trace)) = path.map_err(|error| Error::bad_request(error.body_text()))?;
    let trace = trace_id(&trace)?;
    let set = state.rules.current();
    let rule = set.rules.iter().find(|rule| rule.id == id).cloned();
    let rule = rule.ok_or_else(|| not_in_force(&state, &id))?;
    let work = Permit::take(&state, |state| &state.explains).await?;
    let explained = work.run(move |state, overtaken| explanation(state, &rule, trace, overtaken));
    explained.await?.map(Json).map_err(|error| {
        state.counters.explanations_failed.fetch_add(1, Relaxed);
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Error::new(status, "not_explained", error.to_string())
    })
}

fn explanation(
    state: &State,
    rule: &Rule,
    trace: [u8; 16],
    overtaken: &AtomicBool,
) -> Result<Explanation, ExplainError> {
    // Where it is comes first: a trace that is judged between the two looks is then found in the second.
    let whereabouts = state.whereabouts(trace);
    let kept = state.ring.get(&trace);
    let whereabouts = Where::of(whereabouts, kept.is_some());
    let explained = match kept {
        // To ask all shards can have taken the time.
        Some(kept) if !overtaken.load(Relaxed) => Some(explained(&state.engine, rule, &kept)?),
        _ => None,
    };
    let explanation = Explanation::new(rule, trace, whereabouts, explained);
    Ok(Explanation {
        last_good: last_good(state, &rule.id),
        ..explanation
    })
}
