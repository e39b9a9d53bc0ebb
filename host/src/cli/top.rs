//! `betrace top`: what a running host is busy with, and what each rule takes of it, as it changes.
//!
//! ```text
//! GET /api/v1/rules/usage, again and again -> rates between two answers -> lines -> a screen of its own, or stdout once
//! ```

mod rates;
mod screen;
mod table;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::ask::{API, base, get};
use super::failure::{Failure, Outcome, print};
use crate::api::Usage;
use crate::config;
use crate::sinks::paint::{Paint, terminal_width};
use rates::{Sort, rates, sort};
use table::Look;

/// Two answers nearer to each other than this tell little of what a second is like.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, Args)]
#[command(after_help = "\
CPU% is of one core, over the time between two looks: a worker that does nothing else for a rule shows 100. SKIPPED/S are the \
traces that a rule was not asked about, as nothing in them can concern it. P50 and P99 are CPU times of single calls, of the \
last one to two minutes; FAULTS are since the host started. A rule is `slow` that takes more than its share of a worker that \
lags (`--rule-share` and `--lag` of `betrace serve`).

Keys: q quits, p pauses and goes on; c, e, s, f, 9 sort by CPU, evaluations, signals, faults, P99.

Examples:
  betrace top
  betrace top --api http://10.0.0.7:4320 --interval 5s
  betrace top --once --sort p99 | head
  betrace top --json | jq -r '.rules[] | select(.state != \"active\") | .id'")]
pub struct TopArgs {
    /// The host's API
    #[arg(long, value_name = "URL", default_value = API)]
    api: String,
    /// How long from one look to the next
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "2s")]
    interval: Duration,
    /// What is sorted by
    #[arg(long, value_enum, value_name = "COLUMN", default_value = "cpu")]
    sort: Sort,
    /// Print one table of all rules, over one interval; so it is too where stdout is no terminal
    #[arg(long)]
    once: bool,
    /// Print what the host answers, as JSON: counts since its start
    #[arg(long)]
    json: bool,
}

/// Asks one host.
struct Host {
    base: String,
    url: String,
}

impl Host {
    fn ask(&self) -> Result<Usage, Failure> {
        let body = get(&self.base, &self.url)?;
        serde_json::from_str(&body).map_err(|error| {
            Failure::new(format!("{} answered with no usage: {error}", self.base))
                .help("is it a BeTrace host of this version?")
        })
    }
}

pub fn run(args: &TopArgs) -> Result<Outcome, Failure> {
    let base = base(&args.api)?;
    let host = Host {
        url: format!("{base}/api/v1/rules/usage"),
        base,
    };
    if args.json {
        let body = get(&host.base, &host.url)?;
        print(&format!("{}\n", body.trim_end()))?;
        return Ok(Outcome::Quiet);
    }
    // That nobody answers is said where it stays, before there is another screen.
    let first = host.ask()?;
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if args.once || is_dumb || !std::io::stdout().is_terminal() {
        once(&host, &first, args)?;
    } else {
        screen::run(host, first, args)?;
    }
    Ok(Outcome::Quiet)
}

fn once(host: &Host, first: &Usage, args: &TopArgs) -> Result<(), Failure> {
    std::thread::sleep(args.interval);
    let second = host.ask()?;
    let mut rates = rates(Some(first), &second);
    sort(&mut rates.rules, args.sort);
    let look = Look {
        paint: Paint::for_stdout(),
        columns: terminal_width(),
        rows: usize::MAX,
        sort: args.sort,
    };
    let lines = table::draw(&second, &rates, &look);
    print(&format!("{}\n", lines.join("\n")))
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = config::duration(text)?;
    match interval >= LEAST_INTERVAL {
        true => Ok(interval),
        false => Err(format!("`{text}` is too short: at least 10ms")),
    }
}
