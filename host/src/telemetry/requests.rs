//! A span for each request of the API: add [`traced`] with `axum::middleware::from_fn` as a layer of its router.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

/// Methods that a span is named after. Others can be anything that a client makes up.
const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
];

/// Routes that something asks for every few seconds, all day: their spans would bury the others.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Answers `request` within a span of its own. It ends with the headers of the answer, so that a stream has one, too.
pub async fn traced(request: Request, next: Next) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let method = METHODS.iter().find(|method| *method == request.method());
    let method = method.map_or("_OTHER", Method::as_str);
    let route = request.extensions().get::<MatchedPath>();
    let name = route.map_or_else(
        || method.to_owned(),
        |route| format!("{method} {}", route.as_str()),
    );
    let span = info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route.map(MatchedPath::as_str),
        http.response.status_code = Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}
