//! `betrace compile`: rules to WebAssembly components, for shipping or for `inspect`.

use std::path::{Path, PathBuf};

use betrace_dsl::diagnostic::Level;
use clap::Args;

use super::failure::{Failure, Outcome, note};
use crate::sinks::paint::Paint;

#[derive(Debug, Args)]
#[command(after_help = "\
A file with several rules needs `--rule ID`, or a folder as OUT, which gets an ID.wasm for each.

Exit code: 0 written, 1 the file has mistakes, 2 an error.

Examples:
  betrace compile payment-fraud-check.betrace -o fraud.wasm
  betrace compile payments.betrace --rule refunds -o refunds.wasm
  betrace compile payments.betrace -o compiled/")]
pub struct CompileArgs {
    /// A rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The component to write, or a folder
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The rule to compile, of several in the file
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
}

pub fn run(args: &CompileArgs) -> Result<Outcome, Failure> {
    let path = args.file.display();
    let source = std::fs::read(&args.file).map_err(|error| {
        Failure::new(format!("can't read {path}: {error}"))
            .help("name a `.betrace` file that you may read")
    })?;
    let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
    let output = betrace_dsl::compile(&stem, &source);
    let text = String::from_utf8_lossy(&source);
    for diagnostic in &output.diagnostics {
        note(&diagnostic.render(&path.to_string(), &text, Paint::for_stderr().color));
    }
    if output
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.level == Level::Error)
    {
        return Ok(Outcome::Found);
    }
    let mut rules = output.rules;
    if let Some(wanted) = &args.rule {
        let ids: Vec<String> = rules.iter().map(|rule| format!("`{}`", rule.id)).collect();
        rules.retain(|rule| rule.id == *wanted);
        if rules.is_empty() {
            return Err(Failure::new(format!("{path} has no rule `{wanted}`"))
                .help(format!("it has {}", ids.join(", "))));
        }
    }
    let into_folder = args.output.is_dir() || ends_with_separator(&args.output);
    if !into_folder && rules.len() > 1 {
        return Err(Failure::new(format!(
            "{path} has {} rules, and {} is one file",
            rules.len(),
            args.output.display()
        ))
        .help("name one with `--rule ID`, or a folder with `-o FOLDER/`"));
    }
    for rule in &rules {
        let target = if into_folder {
            args.output.join(format!("{}.wasm", file_name(&rule.id)?))
        } else {
            args.output.clone()
        };
        write(&target, &rule.component)?;
        note(&format!(
            "wrote {} ({} bytes): rule `{}`",
            target.display(),
            rule.component.len(),
            rule.id
        ));
    }
    Ok(Outcome::Quiet)
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|&last| std::path::is_separator(char::from(last)))
}

/// An id as the name of a file in the folder, and never of one elsewhere.
fn file_name(id: &str) -> Result<&str, Failure> {
    if id.starts_with('.') || id.chars().any(|c| std::path::is_separator(c) || c == '\0') {
        return Err(Failure::new(format!("the rule id `{id}` is no file name"))
            .help("name the file with `--rule` and `-o`"));
    }
    Ok(id)
}

fn write(target: &Path, component: &[u8]) -> Result<(), Failure> {
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(target, component))
        .map_err(|error| Failure::new(format!("can't write {}: {error}", target.display())))
}
