//! `betrace check`: are these rules all right, and what does each of them do?

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Failure, Outcome, note, print};
use super::rules::{Rules, engine};
use crate::engine::Rule;
use crate::engine::manifest::Trigger;
use crate::sinks::paint::Paint;
use crate::sinks::text::{clean, counted};

/// Triggers of one group that are listed.
const MAX_TRIGGERS: usize = 6;

/// Lines of one clause that are shown: a screen's worth. Its file has the others.
const MAX_LINES: usize = 40;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit code: 0 all rules are all right, 1 some are not, 2 an error.

Examples:
  betrace check rules/
  betrace check payment-fraud-check.betrace compiled.wasm")]
pub struct CheckArgs {
    /// Rule files (`.betrace`, `.wasm`), or folders that hold them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub fn run(args: &CheckArgs) -> Result<Outcome, Failure> {
    let engine = engine(1)?;
    let rules = Rules::load(&engine, &args.paths, Paint::for_stderr().color);
    if rules.files.is_empty() {
        rules.report();
        return Err(Failure::new("there is no rule file to check"));
    }
    let mut out = String::new();
    for file in &rules.files {
        let of_file: Vec<&Rule> = rules
            .loaded
            .rules
            .iter()
            .map(|rule| &**rule)
            .filter(|rule| rule.origin == file.path)
            .collect();
        // Writing to a string can't fail.
        let _ = describe_file(&mut out, &file.path, &of_file);
    }
    print(&out)?;
    rules.report();
    let (good, bad, warnings) = (
        rules.loaded.rules.len(),
        rules.problems(),
        rules.loaded.warnings.len(),
    );
    note(&format!(
        "{} in {}, {}, {}",
        counted(good as u64, "rule"),
        counted(rules.files.len() as u64, "file"),
        counted(bad as u64, "problem"),
        counted(warnings as u64, "warning")
    ));
    Ok(if bad == 0 {
        Outcome::Quiet
    } else {
        Outcome::Found
    })
}

fn describe_file(out: &mut String, path: &Path, rules: &[&Rule]) -> std::fmt::Result {
    writeln!(out, "{}", clean(&path.display().to_string(), 200))?;
    if rules.is_empty() {
        writeln!(out, "  no rule that can run")?;
    }
    for rule in rules {
        let manifest = &rule.manifest;
        let tags: String = manifest
            .tags
            .iter()
            .map(|tag| format!(" {}", clean(tag, 60)))
            .collect();
        writeln!(
            out,
            "  {}  {}{tags}",
            clean(&rule.id, 100),
            manifest.severity.name()
        )?;
        for clause in &manifest.clauses {
            let stable = if clause.stable {
                ""
            } else {
                "  (more spans can undo it)"
            };
            describe_clause(out, clause.kind.name(), &clause.text, stable)?;
        }
        if manifest.triggers.is_empty() {
            writeln!(out, "    sees every trace")?;
        }
        for (index, group) in manifest.triggers.iter().enumerate() {
            let mut names: Vec<String> = group.iter().take(MAX_TRIGGERS).map(trigger).collect();
            if group.len() > MAX_TRIGGERS {
                names.push(format!("{} more", group.len() - MAX_TRIGGERS));
            }
            let start = if index == 0 {
                "sees traces with"
            } else {
                "  and"
            };
            writeln!(out, "    {start} {}", names.join(" or "))?;
        }
    }
    Ok(())
}

/// A clause on one line, or line by line as it was written, so that a comment ends where its line does.
fn describe_clause(out: &mut String, kind: &str, text: &str, stable: &str) -> std::fmt::Result {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if let &[line] = &lines[..]
        && !line.contains("//")
        && !line.contains('#')
    {
        return writeln!(out, "    {kind} {{ {} }}{stable}", clean(line, 160));
    }
    writeln!(out, "    {kind} {{")?;
    for line in lines.iter().take(MAX_LINES) {
        writeln!(out, "      {}", clean(line, 160))?;
    }
    if lines.len() > MAX_LINES {
        writeln!(out, "      … {} more lines", lines.len() - MAX_LINES)?;
    }
    writeln!(out, "    }}{stable}")
}

fn trigger(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Name(name) => format!("a span `{}`", clean(name, 100)),
        Trigger::NamePrefix(prefix) => format!("a span `{}*`", clean(prefix, 100)),
        Trigger::Service(service) => format!("the service `{}`", clean(service, 100)),
        Trigger::Attribute { key, .. } => format!("an attribute `{}`", clean(key, 100)),
    }
}
