//! The HTTP API: what a running host has found, what its rules are and do, and what it measures.
//!
//! ```text
//! GET  /api/v1/signals  /signals/stream  /rules  /rules/usage  /rules/{id}/diff  /rules/{id}/explain/{trace}  /traces/{id}  /openapi.json
//! POST /api/v1/check  /api/v1/try
//! GET  /healthz  /readyz  /metrics                              also on a listener that has nothing else
//! ```
//! It reads what others wrote, and changes nothing. What takes long (a rule to try) is bounded in size, time and number, and
//! stands beside the flow of spans on a thread of its own.

mod attempt;
mod diff;
mod error;
mod explain;
mod exposition;
mod guard;
mod health;
mod listing;
mod metrics;
mod page;
mod query;
mod rules;
mod signals;
mod state;
mod stream;
mod traces;
mod usage;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use error::{Error, ErrorBody};
pub use guard::name_of;
pub use listing::Listing;
pub use metrics::FAMILIES;
pub use state::{ApiCounters, ApiLimits, State};
#[cfg(test)]
pub(crate) use usage::ShardUsage;
pub(crate) use usage::{RuleUsage, Usage};
pub use work::Turns;

use crate::ingest::{Counters, Limits, Listens, Server, Shutdown};
use crate::telemetry::requests::traced;

/// Where the API listens.
pub const API: Listens = Listens {
    what: "the API",
    flag: "--api",
    port: 4320,
};

/// Where health and metrics listen beside it.
pub const HEALTH: Listens = Listens {
    what: "health and metrics",
    flag: "--health",
    port: 4321,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "BeTrace",
        description = "What a BeTrace host has found, what its rules do, and what it measures."
    ),
    components(schemas(ErrorBody))
)]
struct Document;

/// The routes of the API, and the OpenAPI document that is made of them.
pub fn routes() -> (Router<Arc<State>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(signals::list))
        .routes(routes!(stream::stream))
        .routes(routes!(rules::list))
        .routes(routes!(usage::usage))
        .routes(routes!(diff::diff))
        .routes(routes!(explain::explain))
        .routes(routes!(traces::get))
        .routes(routes!(attempt::check))
        .routes(routes!(attempt::attempt))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(openapi))
        .split_for_parts()
}

/// The OpenAPI document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "getOpenApi",
    responses((status = 200, description = "This document", body = Object))
)]
async fn openapi() -> Response {
    let (_, document) = routes();
    axum::Json(document).into_response()
}

/// Serves the API until `shutdown`.
pub async fn serve(listener: TcpListener, state: Arc<State>, limits: Limits, shutdown: Shutdown) {
    let (routes, _) = routes();
    let app = routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(state.limits.body))
        .layer(axum::middleware::from_fn_with_state(
            state.clone(),
            guard::guard,
        ))
        .layer(axum::middleware::from_fn(traced))
        .with_state(state.clone());
    run(
        app,
        listener,
        limits,
        state.api_server.clone(),
        "the API",
        shutdown,
    )
    .await;
}

/// Serves health and metrics alone until `shutdown`.
pub async fn serve_health(
    listener: TcpListener,
    state: Arc<State>,
    limits: Limits,
    shutdown: Shutdown,
) {
    let app = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(no_such_path)
        .with_state(state.clone());
    let counters = state.health_server.clone();
    run(
        app,
        listener,
        limits,
        counters,
        "health and metrics",
        shutdown,
    )
    .await;
}

async fn run(
    app: Router,
    listener: TcpListener,
    limits: Limits,
    counters: Arc<Counters>,
    name: &'static str,
    shutdown: Shutdown,
) {
    let server = Server {
        app,
        limits: Arc::new(limits),
        counters,
        name,
    };
    server.run(listener, shutdown, || {}).await;
}

async fn no_such_path(uri: http::Uri) -> Error {
    Error::not_found(format!("there is nothing at `{}`", uri.path()))
        .help("`/api/v1/openapi.json` lists what there is")
}

async fn no_such_method(method: http::Method, uri: http::Uri) -> Error {
    Error::new(
        http::StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("`{}` does not take {method}", uri.path()),
    )
    .help("`/api/v1/openapi.json` says what each path takes")
}
