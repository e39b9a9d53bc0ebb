//! `cargo xtask fuzz`: each target for a while, from the kept corpus. cargo-fuzz is installed below `target/`.
//!
//! Without a sanitizer, as nothing here is `unsafe`: what is looked for are panics, hangs, memory past a bound, and answers that
//! differ from an oracle's. wasmtime, which is, has fuzzers of its own that run with one.

use std::process::Command;

use crate::run::{Failure, answers, cargo, root, run};

const CARGO_FUZZ: &str = "0.13.2";

/// Targets, and the features that they need.
const TARGETS: [Target; 4] = [
    ("scan", None),
    ("columns", None),
    ("component", Some("engine")),
    ("describe", Some("engine")),
];

/// What one input may take, in seconds: a hundred times what the slowest of the kept ones does.
const TIMEOUT: u32 = 20;

/// What a run may take, in MiB. Code that was compiled is freed with its rule.
const MEMORY: u32 = 1_024;

/// Of each target, unless it is said otherwise.
const SECONDS: &str = "60";

pub(crate) fn fuzz(arguments: &[String]) -> Result<(), Failure> {
    let (targets, seconds) = chosen(arguments)?;
    toolchain()?;
    let tools = root().join("target/tools");
    run(
        cargo(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ])
            .arg("--root")
            .arg(&tools),
    )?;
    for (target, features) in targets {
        let found = root().join("target/fuzz/corpus").join(target);
        std::fs::create_dir_all(&found)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", found.display())))?;
        let kept = root().join("fuzz/corpus").join(target);
        let mut command = Command::new(tools.join("bin/cargo-fuzz"));
        command
            .current_dir(root().join("fuzz"))
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .args([
                "run",
                "--fuzz-dir",
                ".",
                "--sanitizer",
                "none",
                "--target-dir",
            ])
            .arg(root().join("target/fuzz"))
            .args(features.map(|features| format!("--features={features}")))
            .arg(target)
            // What is new goes to the first.
            .args([&found, &kept])
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={TIMEOUT}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            // What they print of themselves is longer than all else.
            .args(["-print_final_stats=0", "-verbosity=0"]);
        run(&mut command)?;
    }
    Ok(())
}

type Target = (&'static str, Option<&'static str>);

/// `[TARGET] [SECONDS]`.
fn chosen(arguments: &[String]) -> Result<(Vec<Target>, &str), Failure> {
    let mut targets = TARGETS.to_vec();
    let mut seconds = SECONDS;
    for argument in arguments {
        if argument.parse::<u32>().is_ok() {
            seconds = argument;
        } else if let Some(target) = TARGETS.iter().find(|(target, _)| target == argument) {
            targets = vec![*target];
        } else {
            let known = TARGETS.map(|(target, _)| target).join(", ");
            return Err(Failure::new(format!(
                "no fuzz target `{argument}`; there are: {known}; a number is seconds"
            )));
        }
    }
    Ok((targets, seconds))
}

/// libFuzzer's instrumentation is in nightly compilers only.
fn toolchain() -> Result<(), Failure> {
    let answered = Command::new("rustc")
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if answered {
        return Ok(());
    }
    if answers("rustup", "--version") {
        return run(Command::new("rustup").args([
            "toolchain",
            "install",
            "nightly",
            "--profile",
            "minimal",
        ]));
    }
    Err(Failure::new(
        "fuzzing needs a nightly compiler; install rustup",
    ))
}
