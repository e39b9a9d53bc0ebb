//! What changes with scale: traces that are open at a time, spans of a trace, workers, memory, and how late a signal comes.
//!
//! Prints lines, as the other benches that are not divan's: what counts is CPU time, memory of a process, and times of a whole
//! host. Arguments select parts: `open`, `long`, `workers`, `held`, `overload`, `latency`.

// Its output is the lines.
#![allow(clippy::print_stdout)]

mod flow;
mod held;
mod latency;
mod memory;
mod open;
mod overload;
mod workers;

use betrace_benches::sender::Sender;

/// What each part is called, and what measures it.
type Part = (&'static str, fn());

/// Those that begin with `--` run in a process of their own, so that its memory is theirs.
const PARTS: [Part; 6] = [
    ("open", open::traces),
    ("long", open::lengths),
    ("workers", workers::measure),
    ("held", held::measure_apart),
    ("overload", overload::measure_apart),
    ("latency", latency::measure),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if Sender::took_over(&arguments) {
        return;
    }
    match arguments.first().map(String::as_str) {
        Some(held::APART) => return held::measure(),
        Some(overload::APART) => return overload::measure(),
        _ => {}
    }
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    for (part, measure) in PARTS {
        if names.is_empty() || names.iter().any(|name| *name == part) {
            measure();
        }
    }
}
