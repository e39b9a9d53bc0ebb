//! The whole way: request bytes to signals, 100 rules.
//!
//! `memory`: one thread, no sockets; what each stage takes of it, in one run. `loopback`: a host with gRPC on loopback, the
//! sender in a process of its own, and what CPU time the host's process took. Prints tables; not divan's, since what counts
//! is CPU time and its parts. Arguments select parts: `memory`, `loopback-50`.

// Its output is the tables.
#![allow(clippy::print_stdout)]

mod loopback;
mod memory;

/// How many names the rules are over, and how many rules a trace concerns by that.
const RULE_SETS: [(usize, usize); 2] = [(100, 10), (20, 50)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [send, address, spans] = &arguments[..]
        && send == loopback::SEND
    {
        return loopback::send(address, spans);
    }
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let wanted = |part: &str| names.is_empty() || names.iter().any(|name| part.contains(*name));
    for (rule_names, concerned) in RULE_SETS {
        let title = format!("100 rules, a trace concerns {concerned}");
        if wanted(&format!("memory-{concerned}")) {
            memory::measure(rule_names, &title);
        }
        if wanted(&format!("loopback-{concerned}")) {
            loopback::measure(rule_names, &title);
        }
    }
}
