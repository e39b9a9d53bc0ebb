//! `betrace explain`: asks a running host why a rule fired on a trace, or did not.

use clap::Args;

use super::ask::{API, base, get};
use super::failure::{Failure, Outcome, note, print};
use crate::replay::explain::{self, Explanation, elsewhere};
use crate::signal::stamp::hex;
use crate::sinks::paint::{Paint, terminal_width};
use crate::sinks::text::clean;

/// Columns of what a host says of an old version.
const WORDS: usize = 400;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rule_id_is_one_segment() {
        assert_eq!(encoded("payment-fraud_check.v2"), "payment-fraud_check.v2");
        assert_eq!(encoded("a/b?c é"), "a%2Fb%3Fc%20%C3%A9");
    }
}
