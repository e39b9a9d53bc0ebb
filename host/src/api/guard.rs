//! What every request to the API passes: it is counted, and one that a web page elsewhere made in a browser is turned away.
//!
//! On loopback a browser is the way in for strangers: a page whose host name resolves to 127.0.0.1 could read what traces
//! hold. Such a request carries that name in `Host`. What a person or a program writes is an address, or `localhost`.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::{MatchedPath, Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};

use super::error::Error;
use super::state::State;

pub(super) async fn guard(
    Extract(state): Extract<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("other", MatchedPath::as_str).to_owned();
    let host = host(request.headers(), request.uri());
    let response = if !state.only_local || host.as_deref().is_none_or(is_plain) {
        next.run(request).await
    } else {
        state.counters.foreign.fetch_add(1, Relaxed);
        Error::new(
            StatusCode::FORBIDDEN,
            "foreign_host",
            format!("the host `{}` is not this one", host.unwrap_or_default()),
        )
        .help("ask for it by its address, such as 127.0.0.1")
        .into_response()
    };
    state.counters.answered(&route, response.status());
    response
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(header::HOST);
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    header.or_else(|| uri.authority().map(ToString::to_string))
}

/// An address or `localhost`, with or without a port.
fn is_plain(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn names_that_anyone_can_have_are_foreign() {
        for plain in [
            "127.0.0.1:4320",
            "localhost",
            "LOCALHOST:1",
            "[::1]:4320",
            "10.0.0.1",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for foreign in [
            "evil.example",
            "evil.example:4320",
            "127.0.0.1.evil.example",
            "",
            "[x]",
        ] {
            assert!(!is_plain(foreign), "{foreign}");
        }
    }
}
