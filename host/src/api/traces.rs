//! `GET /api/v1/traces/{id}`: a trace that is kept, as OTLP JSON.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::error::{Error, ErrorBody};
use super::page::trace_id;
use super::state::State;
use crate::assemble::shard::Whereabouts;
use crate::otlp::json::spans_to_json;
use crate::replay::explain::{Where, elsewhere};

/// The spans of a recent trace, as an OTLP JSON request.
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}",
    operation_id = "getTrace",
    params(("id" = String, Path, description = "32 hexadecimal digits")),
    responses(
        (status = 200, description = "OTLP JSON: `resourceSpans`", body = Object),
        (status = 400, description = "No trace id", body = ErrorBody),
        (status = 404, description = "It is not kept, with the reason", body = ErrorBody),
        (status = 503, description = "It is not kept, and no shard said why", body = ErrorBody),
    )
)]
pub(super) async fn get(
    Extract(state): Extract<Arc<State>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let Path(id) = path.map_err(|error| Error::bad_request(error.body_text()))?;
    let trace = trace_id(&id)?;
    // Large traces take a while to write, and shards a moment to answer.
    let found = tokio::task::spawn_blocking(move || look(&state, trace)).await;
    match found {
        Ok(Ok(json)) => Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response()),
        Ok(Err(place)) => Err(absent(place)),
        Err(_) => Err(Error::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            "the trace could not be written",
        )
        .help("this is a bug in betrace: please report it")),
    }
}

/// The trace as JSON, or where it is instead.
fn look(state: &State, trace: [u8; 16]) -> Result<String, Option<Whereabouts>> {
    let json = || {
        let kept = state.ring.get(&trace)?;
        let spans = kept.spans.iter().map(|span| (span.section, span.range));
        Some(spans_to_json(&kept.request, spans).to_string())
    };
    // A trace may be judged between the two looks, so there is a third.
    json().map_or_else(
        || {
            let place = state.whereabouts(trace);
            json().ok_or(place)
        },
        Ok,
    )
}

/// That a trace is not at hand, and where it is instead.
fn absent(place: Option<Whereabouts>) -> Error {
    let (what, help) = elsewhere(&Where::of(place, false));
    match place {
        Some(_) => Error::not_found(what).help(help),
        None => Error::new(StatusCode::SERVICE_UNAVAILABLE, "not_known", what)
            .help(help)
            .retry_after(1),
    }
}
