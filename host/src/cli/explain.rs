//! `betrace explain`: asks a running host why a rule fired on a trace, or did not.

use std::time::Duration;

use clap::Args;
use http::{Response, StatusCode, header};
use serde::Deserialize;

use super::failure::{Failure, Outcome, note, print};
use crate::replay::explain::{self, Explanation, elsewhere};
use crate::signal::stamp::hex;
use crate::sinks::paint::{Paint, terminal_width};
use crate::sinks::text::clean;

/// Where a host answers if nothing else is said.
const API: &str = "http://127.0.0.1:4320";

/// What a person waits for. The host itself gives up after `try-timeout`.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a host is asked that has no time, and how long it is left alone in between at most, whatever it says.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(3);

/// Bytes of an answer: an explanation is bounded far below.
const ANSWER_BYTES: u64 = 64 << 20;

/// Columns of a host's words in an error, and lines of what a compiler says of a rule.
const WORDS: usize = 400;
const LINES: usize = 30;

#[derive(Debug, Args)]
#[command(after_help = "\
The host explains with the version of the rule that is in force, for as long as it keeps the trace: `--ring-memory` and \
`--ring-signalled` of `betrace serve` say how much it keeps. A recording is explained by `betrace replay --explain`.

Exit code: 0 the rule does not fire on the trace, 1 it does, 2 an error, or the trace is not at hand.

Examples:
  betrace explain payment-fraud-check 4bf92f3577b34da6a3ce929d0e0e4736
  betrace explain payment-fraud-check 4bf92f3577b34da6a3ce929d0e0e4736 --json | jq .explained.reasons")]
pub struct ExplainArgs {
    /// The rule's id
    rule: String,
    /// The trace's id, 32 hexadecimal digits
    #[arg(value_name = "TRACE_ID", value_parser = trace_id)]
    trace: [u8; 16],
    /// The host's API
    #[arg(long, value_name = "URL", default_value = API)]
    api: String,
    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,
}

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

pub fn run(args: &ExplainArgs) -> Result<Outcome, Failure> {
    let base = base(&args.api)?;
    let url = format!(
        "{base}/api/v1/rules/{}/explain/{}",
        encoded(&args.rule),
        hex(&args.trace)
    );
    let body = get(&base, &url)?;
    let explanation: Explanation = serde_json::from_str(&body).map_err(|error| {
        Failure::new(format!("{base} answered with no explanation: {error}"))
            .help("is it a BeTrace host of this version?")
    })?;
    if let Some(last_good) = &explanation.last_good {
        note(&format!("note: {}", clean(last_good, WORDS)));
    }
    if args.json {
        print(&format!("{}\n", body.trim_end()))?;
    } else if explanation.explained.is_some() {
        print(&explain::view(
            &explanation,
            Paint::for_stdout(),
            terminal_width(),
        ))?;
    }
    outcome(&explanation)
}

/// How a command ends that told an explanation.
fn outcome(explanation: &Explanation) -> Result<Outcome, Failure> {
    match explanation.outcome {
        explain::Outcome::Fires => Ok(Outcome::Found),
        explain::Outcome::Quiet | explain::Outcome::NotAsked => Ok(Outcome::Quiet),
        explain::Outcome::Failed => Err(Failure::new("the rule could not judge the trace")
            .help("the explanation says why; mend the rule")),
        explain::Outcome::Unknown => {
            let (what, help) = elsewhere(&explanation.whereabouts);
            Err(Failure::new(what).help(help))
        }
    }
}

/// A trace id from its hexadecimal digits.
pub(super) fn trace_id(text: &str) -> Result<[u8; 16], String> {
    let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
    id.map(u128::to_be_bytes)
        .ok_or_else(|| "a trace id is 32 hexadecimal digits".to_owned())
}

/// The API's address as a URL without a path.
fn base(api: &str) -> Result<String, Failure> {
    let api = api.trim_end_matches('/');
    match api.split_once("://") {
        None => Ok(format!("http://{api}")),
        Some(("http", _)) => Ok(api.to_owned()),
        Some(_) => Err(Failure::new(format!("`{}` is not an http:// URL", clean(api, WORDS)))
            .help("the API speaks plain HTTP, on loopback by default; forward its port (`ssh -L`, `kubectl port-forward`)")),
    }
}

/// What stands in a path, whatever the rule is called.
fn encoded(segment: &str) -> String {
    let mut out = String::new();
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
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

fn get(base: &str, url: &str) -> Result<String, Failure> {
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
    fn any_rule_id_is_one_segment() {
        assert_eq!(encoded("payment-fraud_check.v2"), "payment-fraud_check.v2");
        assert_eq!(encoded("a/b?c é"), "a%2Fb%3Fc%20%C3%A9");
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
