//! What every request to the API passes: it is counted, and one that a web page elsewhere made in a browser is turned away.
//!
//! On loopback a browser is the way in for strangers: a page whose host name resolves to 127.0.0.1 could read what traces
//! hold. Such a request carries that name in `Host`. What a person or a program writes is an address, `localhost`, or the
//! name that the host was told to listen on. A page of another site could not read answers, but could have rules tried and
//! hold streams open: its requests carry that site in `Origin`.

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
    let response = match foreign(&state, request.headers(), request.uri()) {
        None => next.run(request).await,
        Some(error) => {
            state.counters.foreign.fetch_add(1, Relaxed);
            error.into_response()
        }
    };
    state.counters.answered(&route, response.status());
    response
}

/// Why a request is turned away; none where it is not.
fn foreign(state: &State, headers: &HeaderMap, uri: &Uri) -> Option<Error> {
    if !state.only_local {
        return None;
    }
    let own = state.name.as_deref();
    if let Some(host) = host(headers, uri).filter(|host| !is_own(host, own)) {
        let message = format!("the host `{host}` is not this one");
        let error = Error::new(StatusCode::FORBIDDEN, "foreign_host", message);
        return Some(error.help("ask for it by its address, such as 127.0.0.1"));
    }
    let origin = headers.get(header::ORIGIN)?;
    let origin = String::from_utf8_lossy(origin.as_bytes());
    let site = origin.split_once("://").map_or("", |(_, site)| site);
    let is_remote = name_of(site)
        .parse::<IpAddr>()
        .is_ok_and(|address| !address.is_loopback());
    if is_own(site, own) && !is_remote {
        return None;
    }
    let message = format!("the site `{origin}` may not ask this host");
    let error = Error::new(StatusCode::FORBIDDEN, "foreign_origin", message);
    Some(error.help("only pages of this machine may, and programs"))
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(header::HOST);
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    header.or_else(|| uri.authority().map(ToString::to_string))
}

/// An address, `localhost`, or the name that is this host's own, with or without a port.
fn is_own(host: &str, own: Option<&str>) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost")
        || own.is_some_and(|own| name.eq_ignore_ascii_case(own))
        || name.parse::<IpAddr>().is_ok()
}

/// A host without its port, and without the brackets of an IPv6 address.
pub fn name_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn names_that_anyone_can_have_are_foreign() {
        for plain in [
            "127.0.0.1:4320",
            "localhost",
            "LOCALHOST:1",
            "[::1]:4320",
            "10.0.0.1",
        ] {
            assert!(is_own(plain, None), "{plain}");
        }
        assert!(is_own("BeTrace.test:4320", Some("betrace.test")));
        for foreign in [
            "evil.example",
            "evil.example:4320",
            "127.0.0.1.evil.example",
            "",
            "[x]",
        ] {
            assert!(!is_own(foreign, Some("betrace.test")), "{foreign}");
        }
    }
}
