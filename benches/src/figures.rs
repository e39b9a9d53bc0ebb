//! Figures for the table that `cargo xtask bench` ends with: it names a file, and each figure becomes a line `name value` in it.
//! Which names there are, and what each has to be, stands in `xtask/src/goals.rs`.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

/// The variable that names the file.
const FILE: &str = "BETRACE_BENCH_FIGURES";

/// Whether somebody collects figures.
pub fn are_wanted() -> bool {
    std::env::var_os(FILE).is_some()
}

/// Hands a figure over; without a file it goes nowhere, as the benches print all of theirs themselves.
pub fn report(name: &str, value: f64) {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| writeln!(file, "{name} {value}"))
        .unwrap_or_else(|error| panic!("can't write to {}: {error}", path.display()));
}

/// The fastest of some runs: on a busy machine all others were interrupted.
pub fn fastest(runs: usize, mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let started = Instant::now();
        run();
        started.elapsed()
    };
    (0..runs).map(time).min().unwrap_or_default()
}
