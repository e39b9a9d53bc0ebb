//! `cargo xtask fuzz`: each target for a while, from the kept corpus. cargo-fuzz is installed below `target/`.
//!
//! Without a sanitizer, as nothing here is `unsafe`: what is looked for are panics, and answers that differ from an oracle's.

use std::process::Command;

use crate::run::{Failure, answers, cargo, root, run};

const CARGO_FUZZ: &str = "0.13.2";

const TARGETS: [&str; 2] = ["scan", "columns"];

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
    for target in targets {
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
            .arg(target)
            // What is new goes to the first.
            .args([&found, &kept])
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            // What they print of themselves is longer than all else.
            .args(["-print_final_stats=0", "-verbosity=0"]);
        run(&mut command)?;
    }
    Ok(())
}

/// `[TARGET] [SECONDS]`.
fn chosen(arguments: &[String]) -> Result<(Vec<&str>, &str), Failure> {
    let mut targets = TARGETS.to_vec();
    let mut seconds = SECONDS;
    for argument in arguments {
        if argument.parse::<u32>().is_ok() {
            seconds = argument;
        } else if let Some(target) = TARGETS.iter().find(|target| *target == argument) {
            targets = vec![*target];
        } else {
            let known = TARGETS.join(", ");
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
