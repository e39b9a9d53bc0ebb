//! `betrace config show`: the settings in effect, and where each comes from.

use clap::{Args, Subcommand};

use super::failure::{Failure, Outcome, note_misspelt, print};
use crate::config::{self, Flags};
use crate::engine::EngineLimits;

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting as `betrace serve` would take it, and where it comes from
    #[command(after_help = "\
It takes the flags, the environment and the configuration file that `betrace serve` takes. What it prints is a \
configuration file itself. Exit code: 0, or 2 where a setting is wrong; then all that are wrong are said.

Examples:
  betrace config show
  betrace config show --config /etc/betrace.toml --settle 2s
  betrace config show --json | jq 'with_entries(select(.value.from != \"default\"))'")]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// As a JSON object with a member a setting
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub fn run(args: &ConfigArgs) -> Result<Outcome, Failure> {
    let ConfigCommand::Show(args) = &args.command;
    let (written, config) = config::load(&args.flags, std::env::vars_os(), &[])
        .map_err(|errors| Failure::of(&errors).help("`betrace serve --help` lists all settings"))?;
    let warm_instances = EngineLimits::for_workers(config.workers).warm_instances;
    let settings = config::effective(&written, &config, warm_instances);
    let page = if args.json {
        format!("{:#}\n", config::json(&settings))
    } else {
        config::toml(&settings)
    };
    note_misspelt();
    print(&page)?;
    Ok(Outcome::Quiet)
}
