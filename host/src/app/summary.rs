//! What a host says on stderr when it has stopped.

use std::sync::Arc;

use super::Done;
use crate::assemble::counters::Counters;
use crate::assemble::trace::Completion;
use crate::cli::failure::note;
use crate::engine::Rule;
use crate::ingest::Transport;
use crate::sinks::text::counted;

/// Says on stderr what came and what became of it, and every bound that was hit.
pub(super) fn say(done: &Done, signals: u64, rules: &[Arc<Rule>]) {
    let sum = |of: fn(&Counters) -> u64| done.shards.iter().map(of).sum::<u64>();
    let completed = |completion| {
        done.shards
            .iter()
            .map(|shard| shard.completed_by(completion))
            .sum::<u64>()
    };
    let traces: u64 = Completion::ALL
        .iter()
        .map(|&completion| completed(completion))
        .sum();
    note(&format!(
        "betrace: {} of {} in {}: {}",
        counted(traces, "trace"),
        counted(sum(|shard| shard.spans), "span"),
        counted(done.grpc.requests + done.http.requests, "request"),
        counted(signals, "signal"),
    ));
    let reasons: Vec<String> = Completion::ALL
        .iter()
        .filter(|&&completion| completed(completion) > 0)
        .map(|&completion| format!("{} {}", completed(completion), completion.name()))
        .collect();
    if !reasons.is_empty() {
        note(&format!("  completed by: {}", reasons.join(", ")));
    }
    for (name, count) in [
        ("duplicate spans", sum(|shard| shard.duplicates)),
        ("late spans", sum(|shard| shard.late)),
        (
            "judged traces forgotten early",
            sum(|shard| shard.forgotten),
        ),
        (
            "texts that are not UTF-8, and so missing",
            done.invalid_utf8,
        ),
    ] {
        if count > 0 {
            note(&format!("  {name}: {count}"));
        }
    }
    for (transport, snapshot) in [(Transport::Grpc, &done.grpc), (Transport::Http, &done.http)] {
        for (name, count) in snapshot
            .each()
            .filter(|(name, count)| *count > 0 && !TRAFFIC.contains(name))
        {
            note(&format!(
                "  {}: {}: {count}",
                transport.name(),
                name.replace('_', " ")
            ));
        }
    }
    for rule in rules {
        let counts = rule.counts();
        if counts.all_faults() + counts.input_too_large + counts.unjudged > 0 {
            let last = rule
                .last_fault()
                .map(|fault| format!("; the last: {fault}"))
                .unwrap_or_default();
            let out = match rule.breaker().quarantine() {
                Some(_) => ", quarantined",
                None => "",
            };
            note(&format!(
                "  rule {}{out}: {}, {} too large for it, {} not judged by it{last}",
                rule.id,
                counted(counts.all_faults(), "fault"),
                counted(counts.input_too_large, "trace"),
                counted(counts.unjudged, "trace"),
            ));
        }
    }
}

/// What a host with a write-ahead log says as well.
pub(super) fn say_kept(done: &Done, repeated: u64) {
    let open: u64 = done.shards.iter().map(|shard| shard.open_traces).sum();
    note(&format!(
        "  left in the log for the next start: {}",
        counted(open, "open trace")
    ));
    let evicted: u64 = done.shards.iter().map(|shard| shard.evicted_by_log).sum();
    for (name, count) in [
        ("traces judged early for the bound on the log", evicted),
        ("signals that were written before the start", repeated),
    ] {
        if count > 0 {
            note(&format!("  {name}: {count}"));
        }
    }
}

/// Counters of the servers that say what came and went, not that something was refused.
const TRAFFIC: [&str; 5] = [
    "requests",
    "spans",
    "bytes",
    "connections",
    "connections_idle",
];
