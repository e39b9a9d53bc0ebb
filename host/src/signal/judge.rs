//! Findings of a batch to signals: one for each rule and trace, with all clauses that broke.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::evidence::{Spot, evidence};
#[cfg(feature = "engine")]
pub use super::of_engine::{Judged, draw, signals};
use super::outline::Outline;
use super::rule::RuleFacts;
use super::stamp::{hex, rfc3339, signal_id};
use super::{BrokenClause, Certainty, Emission, Signal};
use crate::assemble::trace::{Completion, Requests, Trace};
use crate::columns::batch::Columns;
use crate::columns::projection::Projection;

/// Evidence spans of a signal: what a person can look through. The rest is counted.
pub const MAX_EVIDENCE: usize = 100;

/// Services of a trace that a signal names: traces of more are forged or broken.
pub const MAX_SERVICES: usize = 1_000;

/// A broken clause of one rule in one trace, as the engine found it.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Index into the rules of the set.
    pub rule: u32,
    /// Index into the batch's traces.
    pub trace: u32,
    pub clause: u32,
    /// Rows of the batch's columns.
    pub rows: &'a [u32],
    /// Evidence beyond `rows`.
    pub more: u32,
}

/// Which findings count in a trace that the end of the process or of the input cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// Those that more spans can't undo: a deploy must not set off every rule that misses something.
    Stable,
    /// All: there is no more to come.
    All,
}

/// All that findings refer to.
#[derive(Debug)]
pub struct Context<'a, R> {
    /// By their index in the rule set; those that found something are enough.
    pub rules: &'a BTreeMap<u32, RuleFacts>,
    pub projection: &'a Projection,
    pub columns: &'a Columns,
    pub traces: &'a [Trace],
    pub requests: &'a R,
    pub unfinished: Unfinished,
    /// Whether to draw traces for a person.
    pub outlines: bool,
    /// The time now, in Unix nanoseconds.
    pub detected_at: u64,
}

/// Appends the signals of `found`, in the order of traces and then of rules. Findings that name no rule, trace or clause
/// of the batch are ignored: the engine has counted them as faults.
pub fn build<R: Requests>(
    context: &Context<'_, R>,
    found: &mut [Found<'_>],
    out: &mut Vec<Emission>,
) {
    found.sort_unstable_by_key(|f| (f.trace, f.rule, f.clause));
    for of_trace in found.chunk_by(|a, b| a.trace == b.trace) {
        let Some(whole) = of_trace.first().and_then(|f| Whole::read(context, f.trace)) else {
            continue;
        };
        for of_rule in of_trace.chunk_by(|a, b| a.rule == b.rule) {
            out.extend(signal(context, &whole, of_rule));
        }
    }
}

fn signal<R: Requests>(
    context: &Context<'_, R>,
    whole: &Whole<'_>,
    found: &[Found<'_>],
) -> Option<Emission> {
    let rule = context.rules.get(&found.first()?.rule)?;
    let trace = whole.trace;
    let only_stable =
        trace.completion == Completion::Drained && context.unfinished == Unfinished::Stable;
    let mut clauses = Vec::new();
    let mut rows = BTreeSet::new();
    let (mut at_least, mut stable) = (0, false);
    for broken in found {
        let Some(facts) = rule.clauses.get(broken.clause as usize) else {
            continue;
        };
        if only_stable && !facts.stable {
            continue;
        }
        stable |= facts.stable;
        let clause = BrokenClause {
            kind: facts.kind,
            text: facts.text.clone(),
            index: broken.clause,
        };
        if clauses.last() != Some(&clause) {
            clauses.push(clause);
        }
        rows.extend(
            broken
                .rows
                .iter()
                .copied()
                .filter(|row| whole.rows.contains(row)),
        );
        at_least = at_least.max(broken.rows.len() as u64 + u64::from(broken.more));
    }
    if clauses.is_empty() {
        return None;
    }
    let whole_story =
        trace.completion == Completion::Root && trace.missing_parents == 0 && !trace.dropped;
    let total = at_least.max(rows.len() as u64);
    let mut shown: Vec<u32> = rows.into_iter().take(MAX_EVIDENCE).collect();
    let evidence_more = total.saturating_sub(shown.len() as u64);
    if shown.is_empty() {
        shown.extend(whole.rows.clone().next());
    }
    let spots = shown.iter().filter_map(|&row| whole.spot(context, row));
    let signal = Signal {
        id: signal_id(&rule.id, &trace.id),
        rule: rule.id.clone(),
        version: rule.version.clone(),
        severity: rule.severity,
        tags: rule.tags.clone(),
        clauses,
        certainty: if stable || whole_story {
            Certainty::Certain
        } else {
            Certainty::Unsure
        },
        message: rule.message.clone(),
        trace_id: hex(&trace.id),
        root_service: whole.root_service.clone(),
        root_name: whole.root_name.clone(),
        evidence: spots
            .map(|spot| evidence(&spot, &rule.reads, context.projection, context.columns))
            .collect(),
        services: whole.services.clone(),
        completeness: trace.completion,
        missing_parents: trace.missing_parents,
        trace_start: rfc3339(whole.start),
        detected_at: rfc3339(context.detected_at),
        evidence_more,
    };
    let outline = context.outlines.then(|| whole.outline(context, &shown));
    Some(Emission {
        trace_id: trace.id,
        signal: signal.into(),
        outline,
    })
}

/// What all signals of one trace say alike.
struct Whole<'a> {
    trace: &'a Trace,
    rows: std::ops::Range<u32>,
    /// First start, in Unix nanoseconds.
    start: u64,
    root_service: Option<String>,
    root_name: Option<String>,
    services: Vec<String>,
}

impl<'a> Whole<'a> {
    fn read<R: Requests>(context: &Context<'a, R>, index: u32) -> Option<Whole<'a>> {
        let index = index as usize;
        let trace = context.traces.get(index)?;
        let rows = *context.columns.offsets.get(index)?..*context.columns.offsets.get(index + 1)?;
        let start = context
            .columns
            .starts
            .get(index)
            .copied()
            .unwrap_or_default();
        let mut whole = Whole {
            trace,
            rows,
            start,
            root_service: None,
            root_name: None,
            services: Vec::new(),
        };
        whole.read_services(context);
        let without_parent = whole.rows.clone().find(|&row| {
            whole
                .spot(context, row)
                .is_some_and(|s| s.span.parent_id().is_none())
        });
        let root = without_parent.or(whole.rows.clone().next());
        if let Some(root) = root.and_then(|row| whole.spot(context, row)) {
            whole.root_service = root.service();
            whole.root_name = root.name();
        }
        Some(whole)
    }

    /// Each resource is read once, however many spans share it.
    fn read_services<R: Requests>(&mut self, context: &Context<'a, R>) {
        let mut seen = HashSet::new();
        let mut services = BTreeSet::new();
        for row in self.rows.clone() {
            let Some(at) = context.columns.order.get(row as usize) else {
                break;
            };
            if seen.insert((at.request, at.section)) && services.len() < MAX_SERVICES {
                services.extend(self.spot(context, row).and_then(|spot| spot.service()));
            }
        }
        self.services = services.into_iter().collect();
    }

    fn spot<'r, R: Requests>(&self, context: &Context<'r, R>, row: u32) -> Option<Spot<'r>> {
        let at = *context.columns.order.get(row as usize)?;
        Some(Spot::new(
            context.requests.request(at.request),
            at,
            row as usize,
            self.start,
        ))
    }

    fn outline<R: Requests>(&self, context: &Context<'_, R>, evidence: &[u32]) -> Outline {
        let spots = self
            .rows
            .clone()
            .filter_map(|row| self.spot(context, row))
            .collect::<Vec<_>>();
        let first = self.rows.start;
        let evidence: Vec<usize> = evidence
            .iter()
            .map(|row| row.saturating_sub(first) as usize)
            .collect();
        super::draw::outline(&spots, &evidence)
    }
}
