//! Asks a running host's API, for commands that show what it answers.

use std::time::Duration;

use http::{Response, StatusCode, header};
use serde::Deserialize;

use super::failure::Failure;
use crate::sinks::text::clean;

/// Where a host answers if nothing else is said.
pub(super) const API: &str = "http://127.0.0.1:4320";

/// What a person waits for. The host itself gives up after `try-timeout`.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a host is asked that has no time, and how long it is left alone in between at most, whatever it says.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(3);

/// Bytes of an answer: all answers are bounded far below.
const ANSWER_BYTES: u64 = 64 << 20;

/// Columns of a host's words in an error, and lines of what a compiler says of a rule.
const WORDS: usize = 400;
const LINES: usize = 30;

/// How the API says that something is wrong.
#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: Problem,
}

#[derive(Debug, Deserialize)]
struct Problem {
    message: String,
    help: Option<String>,
    diagnostic: Option<String>,
}

/// The API's address as a URL without a path.
pub(super) fn base(api: &str) -> Result<String, Failure> {
    let api = api.trim_end_matches('/');
    match api.split_once("://") {
        None => Ok(format!("http://{api}")),
        Some(("http", _)) => Ok(api.to_owned()),
        Some(_) => Err(Failure::new(format!("`{}` is not an http:// URL", clean(api, WORDS)))
            .help("the API speaks plain HTTP, on loopback by default; forward its port (`ssh -L`, `kubectl port-forward`)")),
    }
}

/// How long a host wants to be left alone that has no time now; none where it has answered.
fn retry_after<T>(answer: &Response<T>) -> Option<Duration> {
    if answer.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = answer.headers().get(header::RETRY_AFTER)?;
    let seconds = seconds.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(PAUSE))
}

/// The body of the host's answer; a failure says what to do.
pub(super) fn get(base: &str, url: &str) -> Result<String, Failure> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        // An error's body says more than its status.
        .http_status_as_error(false)
        // The host is near, and no proxy knows it.
        .proxy(None)
        .build();
    let unreachable = |error: &ureq::Error| {
        let failure = Failure::new(format!("can't ask the host at {base}: {error}"));
        match error {
            ureq::Error::Timeout(_) => failure.help("is the host overloaded? ask again"),
            _ => failure.help(
                "is `betrace serve` running there? `--api` says where its API listens, on 127.0.0.1:4320 unless told otherwise",
            ),
        }
    };
    let agent = ureq::Agent::new_with_config(config);
    let mut tries = 1;
    let mut answer = loop {
        let answer = agent.get(url).call().map_err(|error| unreachable(&error))?;
        match retry_after(&answer) {
            Some(wait) if tries < TRIES => std::thread::sleep(wait),
            _ => break answer,
        }
        tries += 1;
    };
    let status = answer.status();
    let body = answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES)
        .read_to_string();
    let body = body.map_err(|error| unreachable(&error))?;
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_str::<ErrorBody>(&body) {
        Ok(ErrorBody { error }) => {
            let mut what = clean(&error.message, WORDS);
            for line in error
                .diagnostic
                .iter()
                .flat_map(|text| text.lines())
                .take(LINES)
            {
                what.push_str(&format!("\n{}", clean(line, WORDS)));
            }
            let failure = Failure::new(what);
            Err(match error.help {
                Some(help) => failure.help(clean(&help, WORDS)),
                None => failure,
            })
        }
        Err(_) => Err(
            Failure::new(format!("{base} answered with status {status}"))
                .help("is it the API of a BeTrace host? `--api` says where that is"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_and_https_says_what_to_do() {
        assert_eq!(
            base("localhost:4320/").ok().as_deref(),
            Some("http://localhost:4320")
        );
        assert_eq!(
            base("http://[::1]:4320").ok().as_deref(),
            Some("http://[::1]:4320")
        );
        let refused = base("https://host").expect_err("it is refused");
        assert!(refused.what.contains("not an http://"));
    }

    #[test]
    fn nobody_home_is_said() {
        // Bound and dropped: nothing listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let base = format!("http://{}", free.expect("a port"));
        let failure = get(&base, &base).expect_err("nothing answers");
        assert!(
            failure.what.starts_with("can't ask the host at"),
            "{failure:?}"
        );
        assert!(
            failure
                .help
                .is_some_and(|help| help.contains("betrace serve"))
        );
    }
}
