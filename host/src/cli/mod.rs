//! The command line: one file a command, each from its arguments to an exit code.
//!
//! Signals and what was asked for go to stdout; errors, warnings and summaries to stderr. An error is two lines: what and
//! where, then what to do.

mod ask;
pub mod check;
pub mod compile;
pub mod completions;
pub mod config;
pub mod demo;
pub mod dev;
pub mod explain;
pub mod failure;
pub mod inspect;
pub mod load;
pub mod progress;
pub mod replay;
pub mod rules;
pub mod serve;
pub mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::{Failure, Outcome};

use crate::telemetry;

/// Watches OpenTelemetry traces and signals the moment one breaks a rule
#[derive(Debug, Parser)]
#[command(
    name = "betrace",
    version,
    max_term_width = 110,
    after_help = "\
Examples:
  betrace demo                                   see it at work, nothing else needed
  betrace dev --demo                             write a rule, and see at each save what it does
  betrace check rules/                           are these rules all right?
  betrace replay --rules rules/ traces.jsonl     what would they find in these traces?
  betrace explain fraud-check 4bf92f3577b34da6a3ce929d0e0e4736
                                                 why did this rule fire on that trace, or not?
  betrace top                                    which rule takes the time of a host?
  betrace serve --rules rules/                   take OTLP on 4317 and 4318, signals to stdout"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write rules and see, at each save, what they do to the traces of the last minutes
    Dev(dev::DevArgs),
    /// Take traces over OTLP and run rules over each of them
    Serve(serve::ServeArgs),
    /// Play the traffic of a small web shop into a host and show what breaks
    Demo(demo::DemoArgs),
    /// Say whether rules are all right, and what each of them does
    Check(check::CheckArgs),
    /// Compile rules to WebAssembly components
    Compile(compile::CompileArgs),
    /// Show what a compiled rule says of itself, and its machine code
    Inspect(inspect::InspectArgs),
    /// Run rules over recorded traces
    Replay(replay::ReplayArgs),
    /// Ask a running host why a rule fired on a trace, or did not
    Explain(explain::ExplainArgs),
    /// Show what a running host is busy with, and what each rule takes of it
    Top(top::TopArgs),
    /// Send traces at a rate, or as fast as it goes, and say how they were answered
    Load(load::LoadArgs),
    /// Show the settings in effect
    Config(config::ConfigArgs),
    /// Print a script with which a shell completes commands and flags
    Completions(completions::CompletionsArgs),
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    if !command.has_settings() {
        telemetry::plain();
    }
    let outcome = match command {
        Command::Dev(args) => dev::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match outcome {
        Ok(outcome) => outcome.exit_code(),
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}

impl Command {
    /// It logs as its settings say, once it has read them.
    fn has_settings(&self) -> bool {
        matches!(self, Command::Serve(_) | Command::Dev(_))
    }
}
