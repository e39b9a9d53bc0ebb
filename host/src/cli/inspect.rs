//! `betrace inspect`: what a rule says of itself, and the machine code that runs it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Failure, Outcome, print};
use super::rules::{Rules, engine};
use crate::engine::{Rule, inspect};
use crate::sinks::paint::Paint;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  betrace inspect fraud.wasm
  betrace inspect fraud.wasm --asm | less
  betrace inspect payment-fraud-check.betrace")]
pub struct InspectArgs {
    /// A component, or a rule file, which is compiled first
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Show the machine code of each function
    #[arg(long)]
    asm: bool,
}

pub fn run(args: &InspectArgs) -> Result<Outcome, Failure> {
    let engine = engine(1)?;
    let rules = Rules::load(
        &engine,
        std::slice::from_ref(&args.path),
        Paint::for_stderr().color,
    );
    if rules.problems() > 0 {
        rules.report();
        return Err(Failure::new(format!(
            "{} can't be inspected",
            display(&args.path)
        )));
    }
    for rule in &rules.loaded.rules {
        print(&inspect::describe(rule))?;
        if args.asm {
            print(&assembly(rule)?)?;
        }
    }
    Ok(Outcome::Quiet)
}

fn assembly(rule: &Rule) -> Result<String, Failure> {
    let functions = inspect::assembly(rule).map_err(|error| Failure::of(&error))?;
    let text = functions.iter().map(|function| {
        format!(
            "\n{}  ({} bytes)\n{}",
            function.name, function.bytes, function.assembly
        )
    });
    Ok(text.collect())
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
