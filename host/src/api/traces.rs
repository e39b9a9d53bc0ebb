//! `GET /api/v1/traces/{id}`: a trace that is kept, as OTLP JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};

use super::error::{Error, ErrorBody};
use super::page::trace_id;
use super::state::State;
use crate::assemble::shard::Whereabouts;
use crate::otlp::json::spans_to_json;
use crate::signal::completion_word;

/// The spans of a recent trace, as an OTLP JSON request.
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}",
    params(("id" = String, Path, description = "32 hexadecimal digits")),
    responses(
        (status = 200, description = "OTLP JSON: `resourceSpans`", body = Object),
        (status = 400, description = "No trace id", body = ErrorBody),
        (status = 404, description = "It is not kept, with the reason", body = ErrorBody),
    )
)]
pub(super) async fn get(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let trace = trace_id(&id)?;
    if let Some(kept) = state.ring.get(&trace) {
        let spans = kept.spans.iter().map(|span| (span.section, span.range));
        return Ok(Json(spans_to_json(&kept.request, spans)).into_response());
    }
    let asked = state.clone();
    let place = tokio::task::spawn_blocking(move || asked.whereabouts(trace));
    let place = place.await.ok().flatten();
    Err(absent(&id, place))
}

/// Why a trace is not at hand.
pub(super) fn absent(id: &str, place: Option<Whereabouts>) -> Error {
    match place {
        None | Some(Whereabouts::Never) => Error::not_found(format!("no span of trace `{id}` came"))
            .help("or it came so long ago that it was forgotten; check the id, and that its services send here"),
        Some(Whereabouts::Open { spans, age }) => Error::not_found(format!(
            "trace `{id}` is not complete: {spans} spans so far, the first {} s ago",
            age.as_secs()
        ))
        .help("it is judged when its root has ended and no span came for `settle`"),
        Some(Whereabouts::Judged {
            completion,
            generation,
            ago,
            ..
        }) => Error::not_found(format!(
            "trace `{id}` was judged {} s ago by generation {generation} (complete by {}), and is not kept any more",
            ago.as_secs(),
            completion_word(completion)
        ))
        .help("`--ring-memory` says how much is kept"),
    }
}
