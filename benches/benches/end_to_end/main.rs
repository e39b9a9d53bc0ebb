//! The whole way: request bytes to signals, 100 rules.
//!
//! `memory`: one thread, no sockets; what each stage takes of it, in one run. `loopback`: a host on loopback, the sender in a
//! process of its own, and what CPU time the host's process took. `ways`: the same over gRPC and HTTP, plain and compressed.
//! Prints tables; not divan's, since what counts is CPU time and its parts. Arguments select parts: `memory`, `loopback-50`,
//! `ways-http`.

// Its output is the tables.
#![allow(clippy::print_stdout)]

mod loopback;
mod memory;

use betrace_benches::figures;
use betrace_benches::sender::Sender;

/// How many names the rules are over, and how many rules a trace concerns by that.
const RULE_SETS: [(usize, usize); 2] = [(100, 10), (20, 50)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if Sender::took_over(&arguments) {
        return;
    }
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let wanted = |part: &str| names.is_empty() || names.iter().any(|name| part.contains(*name));
    let title = |concerned| format!("100 rules, a trace concerns {concerned}");
    for (rule_names, concerned) in RULE_SETS {
        if wanted(&format!("memory-{concerned}")) {
            memory::measure(rule_names, &title(concerned));
        }
        if wanted(&format!("loopback-{concerned}"))
            && let Some(ns) = loopback::measure(loopback::GRPC, rule_names, &title(concerned))
        {
            figures::report(&format!("loopback-{concerned}-ns"), ns);
        }
    }
    let ways = loopback::WAYS.iter().copied();
    let ways: Vec<_> = ways
        .filter(|way| wanted(&format!("ways-{}", way.name)))
        .collect();
    let (rule_names, concerned) = RULE_SETS[0];
    loopback::compare(&ways, rule_names, &title(concerned));
}
