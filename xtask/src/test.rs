//! `cargo xtask test`: installs what the tests need, then runs all of them. CI runs this and nothing else.

use std::process::Command;

use crate::run::{Failure, answers, cargo, run};
use crate::{clients, counts, fuzz};

/// Everything: lints, unit and corpus tests, the tests with real OpenTelemetry clients, instruction counts, and a minute of fuzzing
/// each target.
pub(crate) fn test() -> Result<(), Failure> {
    targets()?;
    check()?;
    let clients = clients::install()?;
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    clients.announce(&mut command);
    run(&mut command)?;
    clients.report();
    counts::counts(&[])?;
    fuzz::fuzz(&[])
}

/// Formatting, lints and docs. A missing component is an error under CI and a sentence elsewhere.
pub(crate) fn check() -> Result<(), Failure> {
    if component("cargo-fmt", "rustfmt")? {
        run(&mut cargo(["fmt", "--all", "--check"]))?;
    }
    if component("cargo-clippy", "clippy")? {
        run(&mut cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))?;
    }
    // Fuzzers and small tools build the host without the engine.
    run(&mut cargo([
        "check",
        "--package",
        "betrace",
        "--lib",
        "--no-default-features",
    ]))?;
    run(
        cargo(["doc", "--workspace", "--lib", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Writes the expected files of the corpora and snapshots anew.
pub(crate) fn bless() -> Result<(), Failure> {
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    command.env("BLESS", "1").env("INSTA_UPDATE", "always");
    run(&mut command)
}

/// The guests under `host/tests/guests` are compiled for this target.
fn targets() -> Result<(), Failure> {
    if answers("rustup", "--version") {
        return run(Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]));
    }
    eprintln!(
        "xtask: no rustup; the tests need the target wasm32-unknown-unknown to be there already"
    );
    Ok(())
}

fn component(program: &str, component: &str) -> Result<bool, Failure> {
    if answers(program, "--version") {
        return Ok(true);
    }
    left_out(
        component,
        &format!("`{program}` is missing: rustup component add {component}"),
    )?;
    Ok(false)
}

/// Says that something was left out; under CI that is a failure.
pub(crate) fn left_out(what: &str, why: &str) -> Result<(), Failure> {
    let sentence = format!("left out: {what}: {why}");
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        return Err(Failure::new(sentence));
    }
    eprintln!("xtask: {sentence}");
    Ok(())
}
