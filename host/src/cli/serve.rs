//! `betrace serve`: OTLP in, signals out, until it is told to stop.

use clap::Args;

use super::failure::{Failure, Outcome, note, note_misspelt};
use crate::config::{self, Flags};
use crate::telemetry;
use crate::telemetry::log::Notes;

#[derive(Debug, Args)]
#[command(after_help = "\
SIGTERM and SIGINT end it: what has come is judged, signals are written, and the exit code is 0. \
A second one ends it at once, with exit code 130.
With --data what was acknowledged outlives the process, however that ends; what is open is left to the next start.

Examples:
  betrace serve --rules rules/
  betrace serve --rules rules/ --signals /var/log/betrace/signals.jsonl
  betrace serve --rules rules/ --signals signals.jsonl --data /var/lib/betrace
  betrace serve --rules rules/ --otlp-grpc 0.0.0.0:4317 --otlp-http off --settle 10s
  BETRACE_RULES=rules/ betrace serve --config /etc/betrace.toml")]
pub struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
}

pub fn run(args: &ServeArgs) -> Result<Outcome, Failure> {
    let (_, config) = config::load(&args.flags, std::env::vars_os(), &[])
        .map_err(|errors| Failure::of(&errors).help("`betrace serve --help` lists all settings"))?;
    config
        .require_rules()
        .map_err(|error| Failure::of(&error))?;
    let telemetry = telemetry::start(&config, Notes::Logged)
        .map_err(|error| Failure::of(&error).help(error.help()))?;
    note_misspelt();
    let served = crate::app::serve(&config);
    let lost = telemetry.stop().lost();
    if lost > 0 {
        note(&format!("betrace: own spans that were not sent: {lost}"));
    }
    served?;
    Ok(Outcome::Quiet)
}
