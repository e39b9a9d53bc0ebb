//! The command line: one file a command, each from its arguments to an exit code.
//!
//! Signals and what was asked for go to stdout; errors, warnings and summaries to stderr. An error is two lines: what and
//! where, then what to do.

pub mod check;
pub mod compile;
pub mod demo;
pub mod dev;
pub mod failure;
pub mod inspect;
pub mod replay;
pub mod rules;
pub mod serve;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::{Failure, Outcome};

/// Which lines of the log are shown: `BETRACE_LOG=debug`, or by module, `BETRACE_LOG=betrace::ingest=debug`.
const LOG: &str = "BETRACE_LOG";

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
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    log(&command);
    let outcome = match command {
        Command::Dev(args) => dev::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Replay(args) => replay::run(&args),
    };
    match outcome {
        Ok(outcome) => outcome.exit_code(),
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}

/// Sends warnings, and what [`LOG`] asks for, to stderr.
fn log(command: &Command) {
    let wanted = std::env::var(LOG).unwrap_or_default();
    let quiet = match command {
        // It shows on its screen what a reload led to.
        Command::Dev(_) if wanted.is_empty() => "warn,betrace::app::reload=off",
        _ => &wanted,
    };
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .parse_lossy(quiet);
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .init();
}
