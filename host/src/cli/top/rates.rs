//! What each rule did between two answers of a host, by the second.

use std::collections::HashMap;

use crate::api::{RuleUsage, Usage};
use crate::rules::update::RuleState;

/// What the host did in a second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rates {
    pub(super) spans: f64,
    pub(super) traces: f64,
    /// Requests turned away for want of room.
    pub(super) overload: f64,
    /// Of the worker that is furthest behind, in seconds.
    pub(super) lag: f64,
    pub(super) rules: Vec<Row>,
}

/// What a rule did in a second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) state: RuleState,
    /// Of one core, in percent.
    pub(super) cpu: f64,
    pub(super) evaluations: f64,
    pub(super) skipped: f64,
    pub(super) signals: f64,
    /// Since the host started.
    pub(super) faults: u64,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
    Cpu,
    Evaluations,
    Signals,
    Faults,
    P99,
}

impl Sort {
    fn key(self, row: &Row) -> f64 {
        match self {
            Sort::Cpu => row.cpu,
            Sort::Evaluations => row.evaluations,
            Sort::Signals => row.signals,
            Sort::Faults => row.faults as f64,
            Sort::P99 => row.p99.unwrap_or_default(),
        }
    }
}

/// What was between two answers. A host that was restarted in between, or is asked for the first time, is told of since its
/// start.
pub(super) fn rates(before: Option<&Usage>, after: &Usage) -> Rates {
    let before = before.filter(|before| before.uptime_seconds < after.uptime_seconds);
    let seconds = after.uptime_seconds - before.map_or(0.0, |before| before.uptime_seconds);
    let per_second =
        |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds.max(1e-9);
    let of = |of: fn(&Usage) -> u64| per_second(before.map_or(0, of), of(after));
    // A file that gives a rule a second time, which does not run, has its name and counts nothing.
    let counts = |rule: &&RuleUsage| rule.seconds > 0.0 || rule.skipped > 0;
    let known = before
        .iter()
        .flat_map(|before| &before.rules)
        .filter(counts);
    let known: HashMap<&str, &RuleUsage> = known.map(|rule| (rule.id.as_str(), rule)).collect();
    let row = |rule: &RuleUsage| {
        let before = known.get(rule.id.as_str());
        let of =
            |of: fn(&RuleUsage) -> u64| per_second(before.map_or(0, |rule| of(rule)), of(rule));
        let worked = rule.seconds - before.map_or(0.0, |rule| rule.seconds);
        Row {
            id: rule.id.clone(),
            state: rule.state,
            cpu: 100.0 * worked.max(0.0) / seconds.max(1e-9),
            evaluations: of(|rule| rule.evaluations),
            skipped: of(|rule| rule.skipped),
            signals: of(|rule| rule.signals),
            faults: rule.faults,
            p50: rule.p50_seconds,
            p99: rule.p99_seconds,
        }
    };
    Rates {
        spans: of(|usage| usage.spans),
        traces: of(|usage| usage.traces),
        overload: of(|usage| usage.overload),
        lag: after
            .shards
            .iter()
            .map(|s| s.lag_seconds)
            .fold(0.0, f64::max),
        rules: after.rules.iter().map(row).collect(),
    }
}

/// The largest first; of equal ones as the host has them.
pub(super) fn sort(rows: &mut [Row], by: Sort) {
    rows.sort_by(|a, b| by.key(b).total_cmp(&by.key(a)));
}
