//! `cargo xtask counts`: how many instructions each stage takes, counted by callgrind and compared with a kept table.
//!
//! Unlike times, counts are nearly the same on any machine and in any company, so a test can compare them. Why not Gungraun:
//! it compares with an earlier run of the same checkout, and CI has none.
//!
//! What is built is this project's code as a release has it, on dependencies as all tests have them: to build those once more
//! takes longer than all tests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Failure, answers, cargo, root, run, say};
use crate::test::left_out;

const TABLE: &str = "benches/counts.txt";

/// Stages, and what their counts are by.
const STAGES: [(&str, &str); 5] = [
    ("scan", "span"),
    ("assemble", "span"),
    ("project", "span"),
    ("evaluate", "span"),
    ("compile", "rule"),
];

/// Percent that a count may grow by. Hashes are seeded at random, and wasmtime's clock ticks while rules run: runs of one
/// build differ by 0.2 at most; small changes anywhere move what is inlined.
const TOLERANCE: f64 = 3.0;

/// The same where the compiler is not the table's: a release of it may well inline what the one before did not.
const TOLERANCE_OF_OTHERS: f64 = 12.0;

const HELP: &str =
    "`cargo xtask counts` compares, `cargo xtask counts --bless` writes the table anew";

pub(crate) fn counts(arguments: &[String]) -> Result<(), Failure> {
    let bless = match arguments {
        [] => false,
        [flag] if flag == "--bless" => true,
        _ => return Err(Failure::new(HELP)),
    };
    if !valgrind()? {
        return Ok(());
    }
    build()?;
    let mut now = Table {
        compiler: compiler()?,
        counts: BTreeMap::new(),
    };
    for (stage, _) in STAGES {
        now.counts.insert(stage.to_owned(), count(stage)?);
    }
    let file = root().join(TABLE);
    if bless {
        return fs::write(&file, now.to_text())
            .map_err(|error| Failure::new(format!("{TABLE}: {error}")));
    }
    let kept = fs::read_to_string(&file)
        .map_err(|error| Failure::new(format!("{TABLE}: {error}; {HELP}")))?;
    let compared = compare(&Table::parse(&kept), &now);
    say(&compared.text);
    if compared.grown.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "more instructions than {TABLE} has: {}. Find what takes them (callgrind_annotate target/counts/STAGE.out) and mend \
         it; where they are worth it, write the table anew with `cargo xtask counts --bless` and say why in the commit",
        compared.grown.join("; ")
    )))
}

/// Our own crates as in release. The settings are given here and not as a profile of its own, which would build all
/// dependencies once more.
fn build() -> Result<(), Failure> {
    let mut command = cargo(["build", "--package", "betrace-benches", "--bin", "counts"]);
    for package in ["betrace", "betrace-dsl", "betrace-benches"] {
        for setting in [
            "opt-level=3",
            "codegen-units=16",
            "debug-assertions=false",
            "overflow-checks=false",
        ] {
            command
                .arg("--config")
                .arg(format!("profile.dev.package.{package}.{setting}"));
        }
    }
    // How code is cut into units would depend on what was built before.
    run(command.env("CARGO_INCREMENTAL", "0"))
}

/// Instructions a span or a rule.
fn count(stage: &str) -> Result<f64, Failure> {
    let folder = root().join("target/counts");
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let out = folder.join(format!("{stage}.out"));
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet"])
        // In `benches/src/bin/counts.rs`.
        .arg("--toggle-collect=counts::counted*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(root().join("target/debug/counts"))
        .arg(stage);
    eprintln!("+ valgrind --tool=callgrind counts {stage}");
    let output = command
        .output()
        .map_err(|error| Failure::new(format!("cannot start valgrind: {error}")))?;
    let units = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse::<f64>();
    let units = match units {
        Ok(units) if output.status.success() && units > 0.0 => units,
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("the stage `{stage}` failed: {said}")));
        }
    };
    Ok(instructions(&out)? as f64 / units)
}

/// The sum that callgrind writes at the end of a profile.
fn instructions(profile: &Path) -> Result<u64, Failure> {
    let text = fs::read_to_string(profile)
        .map_err(|error| Failure::new(format!("{}: {error}", profile.display())))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    match total.and_then(|total| total.trim().parse().ok()) {
        Some(total) if total > 0 => Ok(total),
        _ => Err(Failure::new(format!(
            "{}: callgrind counted nothing: does `counted` still have its name?",
            profile.display()
        ))),
    }
}

/// Counts by stage, and the compiler that they are of.
#[derive(Debug, PartialEq)]
struct Table {
    compiler: String,
    counts: BTreeMap<String, f64>,
}

impl Table {
    fn to_text(&self) -> String {
        let mut text = format!(
            "# Instructions of each stage, a span or a rule; `cargo xtask counts --bless` writes them anew.\n# {}\n",
            self.compiler
        );
        for (stage, unit) in STAGES {
            if let Some(count) = self.counts.get(stage) {
                let _ = writeln!(text, "{stage} {count:.1} a {unit}");
            }
        }
        text
    }

    fn parse(text: &str) -> Table {
        let mut comments = text.lines().filter_map(|line| line.strip_prefix("# "));
        let counts = text.lines().filter(|line| !line.starts_with('#'));
        Table {
            compiler: comments.nth(1).unwrap_or_default().to_owned(),
            counts: counts
                .filter_map(|line| {
                    let mut words = line.split_whitespace();
                    let stage = words.next()?.to_owned();
                    Some((stage, words.next()?.parse().ok()?))
                })
                .collect(),
        }
    }
}

struct Compared {
    text: String,
    /// One for each stage that takes too many.
    grown: Vec<String>,
}

fn compare(kept: &Table, now: &Table) -> Compared {
    let tolerance = if kept.compiler == now.compiler {
        TOLERANCE
    } else {
        TOLERANCE_OF_OTHERS
    };
    let mut text =
        format!("instructions, and those of {TABLE}; up to {tolerance} % more are taken\n");
    if kept.compiler != now.compiler {
        let _ = writeln!(
            text,
            "the table is of {}, this is {}",
            kept.compiler, now.compiler
        );
    }
    let mut grown = Vec::new();
    for (stage, unit) in STAGES {
        let count = now.counts.get(stage).copied().unwrap_or_default();
        let Some(before) = kept.counts.get(stage).copied() else {
            grown.push(format!(
                "`{stage}` {count:.1} a {unit}, of which it has none"
            ));
            continue;
        };
        let percent = (count / before - 1.0) * 100.0;
        let _ = writeln!(
            text,
            "  {stage}: {count:.1} a {unit}, {before:.1} before ({percent:+.1} %)"
        );
        if percent > tolerance {
            grown.push(format!(
                "`{stage}` {before:.1} before, {count:.1} now a {unit} ({percent:+.1} %)"
            ));
        } else if percent < -tolerance {
            let _ = writeln!(text, "    fewer: write the table anew, so that it stays so");
        }
    }
    Compared { text, grown }
}

/// What code comes from: counts of another architecture are nothing to compare with.
fn compiler() -> Result<String, Failure> {
    let output = Command::new("rustc")
        .arg("--version")
        .current_dir(root())
        .output();
    let version = output
        .map_err(|error| Failure::new(format!("cannot start rustc: {error}")))?
        .stdout;
    let version = String::from_utf8_lossy(&version);
    Ok(format!("{}, {}", version.trim(), std::env::consts::ARCH))
}

/// Whether valgrind is there, or could be installed.
fn valgrind() -> Result<bool, Failure> {
    // The table is of this one.
    if std::env::consts::ARCH != "x86_64" || std::env::consts::OS != "linux" {
        eprintln!("xtask: not counted: instructions, whose table is of x86_64 and Linux");
        return Ok(false);
    }
    if answers("valgrind", "--version") {
        return Ok(true);
    }
    // Where it asks nobody: a CI runner, or a container.
    let install = [
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        "valgrind",
    ];
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout == b"0\n");
    if answers("apt-get", "--version") && (is_root || std::env::var_os("CI").is_some()) {
        for words in [&["apt-get", "update"][..], &install[..]] {
            let mut command = Command::new(if is_root { "env" } else { "sudo" });
            run(command.args(words))?;
        }
        return Ok(true);
    }
    let how = install.join(" ");
    left_out(
        "instruction counts",
        &format!("`valgrind` is missing: {how}"),
    )?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(compiler: &str, percent: f64) -> Table {
        let counts = STAGES.map(|(stage, _)| (stage.to_owned(), 100.0 + percent));
        Table {
            compiler: compiler.to_owned(),
            counts: counts.into(),
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let written = table("rustc 1.0.0, x86_64", 0.5);
        assert_eq!(Table::parse(&written.to_text()), written);
    }

    #[test]
    fn what_grew_is_told_with_its_stage_before_and_after() {
        let kept = table("a", 0.0);
        assert!(compare(&kept, &table("a", 2.9)).grown.is_empty());
        let grown = compare(&kept, &table("a", 3.1)).grown;
        assert_eq!(grown.len(), STAGES.len());
        assert_eq!(grown[0], "`scan` 100.0 before, 103.1 now a span (+3.1 %)");
        let fewer = compare(&kept, &table("a", -4.0));
        assert!(fewer.grown.is_empty() && fewer.text.contains("write the table anew"));
    }

    #[test]
    fn another_compiler_may_take_more() {
        let kept = table("a", 0.0);
        let compared = compare(&kept, &table("b", 11.0));
        assert!(compared.grown.is_empty());
        assert!(compared.text.contains("the table is of a, this is b"));
        assert!(!compare(&kept, &table("b", 13.0)).grown.is_empty());
    }

    #[test]
    fn a_stage_that_the_table_has_not_is_told() {
        let mut kept = table("a", 0.0);
        kept.counts.remove("project");
        let grown = compare(&kept, &table("a", 0.0)).grown;
        assert_eq!(grown, ["`project` 100.0 a span, of which it has none"]);
    }
}
