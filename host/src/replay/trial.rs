//! Changed rules over kept traces: the version before and the new one side by side, on cores that are free.
//!
//! ```text
//! changes -> one rule set -> [kept traces, batch by batch, on some threads] -> findings -> compare -> Verdict
//! ```
//! Both versions see the same columns, so that what they found can be compared row by row. Nothing here is counted of the
//! rules: they are copies with counters of their own.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use super::coverage::Coverage;
use super::diff::{Difference, compare};
use super::kept::{Kept, KeptBatch};
use super::run::Unlike;
use super::verdict::{ChangeKind, RuleVerdict, Side, Verdict};
use crate::assemble::trace::Trace;
use crate::columns::batch::Columns;
use crate::engine::limits::{TRIER_INSTANCES, TRIERS};
use crate::engine::{Engine, Finding, Rule, RuleSet, Worker};
use crate::rules::update::Change;
use crate::signal::Emission;
use crate::signal::judge::{Judged, Unfinished, signals};

/// Spans of one batch, as in the live flow.
const BATCH_SPANS: usize = 16_384;

/// Traces of one kind that a verdict names; all are counted.
pub const IDS: usize = 1_000;

/// How much a thread of a trial gives way to others. 19 is the most.
const NICE: i32 = 10;

/// Runs changed rules over kept traces. Buffers and instances stay from one save to the next.
pub struct Trial {
    engine: Arc<Engine>,
    desks: Vec<Desk>,
}

/// What one thread works with.
struct Desk {
    worker: Worker,
    columns: Columns,
}

/// A version that is run: of which change, and which of its two.
struct Version {
    change: usize,
    is_after: bool,
}

impl Trial {
    pub fn new(engine: Arc<Engine>) -> Trial {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let desk = || Desk {
            worker: Worker::with_warm(engine.clone(), TRIER_INSTANCES),
            columns: Columns::default(),
        };
        Trial {
            desks: (0..cores.min(TRIERS)).map(|_| desk()).collect(),
            engine,
        }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Says what changes do to kept traces, newest first. None where `overtaken` was set meanwhile.
    pub fn judge(
        &mut self,
        changes: &[Change],
        kept: &[Arc<Kept>],
        coverage: Coverage,
        overtaken: &AtomicBool,
    ) -> Option<Verdict> {
        let versions = versions(changes);
        let batches = batches(kept);
        let next = AtomicUsize::new(0);
        let work = |desk: &mut Desk| {
            let mut part = Part::new(changes, &versions);
            while !overtaken.load(Relaxed)
                && let Some(batch) = batches.get(next.fetch_add(1, Relaxed))
            {
                let traces = kept.get(batch.clone()).unwrap_or_default();
                part.run(desk, traces, batch.start);
            }
            part.tally
        };
        let mut tallies = Vec::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .desks
                .iter_mut()
                .take(batches.len())
                .filter_map(|desk| {
                    let run = || {
                        // Where it can't be had, the trial takes its turn like others.
                        let _ = rustix::process::nice(NICE);
                        work(desk)
                    };
                    let thread = std::thread::Builder::new().name("trial".to_owned());
                    thread.spawn_scoped(scope, run).ok()
                })
                .collect();
            tallies.extend(threads.into_iter().map(|thread| thread.join()));
        });
        if overtaken.load(Relaxed) {
            return None;
        }
        let mut sum = Tally::new(changes.len());
        let mut is_broken = tallies.is_empty() && !batches.is_empty();
        for tally in tallies {
            match tally {
                Ok(tally) => sum.add(tally),
                Err(_) => is_broken = true,
            }
        }
        let mut verdict = sum.verdict(changes, kept, coverage);
        if is_broken {
            for rule in &mut verdict.rules {
                rule.fault = Some("a thread of the trial ended early".to_owned());
            }
        }
        Some(verdict)
    }
}

/// What rules that are not in force would find.
pub fn try_rules(
    trial: &mut Trial,
    rules: &[Arc<Rule>],
    kept: &[Arc<Kept>],
    coverage: Coverage,
    overtaken: &AtomicBool,
) -> Option<Verdict> {
    let added = |rule: &Arc<Rule>| Change {
        id: rule.id.clone(),
        path: rule.origin.clone(),
        before: None,
        after: Some(rule.clone()),
    };
    let changes: Vec<Change> = rules.iter().map(added).collect();
    trial.judge(&changes, kept, coverage, overtaken)
}

fn versions(changes: &[Change]) -> Vec<Version> {
    let mut versions = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        for (rule, is_after) in [(&change.before, false), (&change.after, true)] {
            if rule.is_some() {
                versions.push(Version {
                    change: index,
                    is_after,
                });
            }
        }
    }
    versions
}

/// Runs of traces of about [`BATCH_SPANS`] spans.
fn batches(kept: &[Arc<Kept>]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut spans) = (0, 0);
    for (index, trace) in kept.iter().enumerate() {
        if spans > 0 && spans + trace.spans.len() > BATCH_SPANS {
            batches.push(start..index);
            (start, spans) = (index, 0);
        }
        spans += trace.spans.len();
    }
    if start < kept.len() {
        batches.push(start..kept.len());
    }
    batches
}

/// One thread's part of a trial.
struct Part<'a> {
    versions: &'a [Version],
    set: RuleSet,
    tally: Tally,
    findings: Vec<Finding>,
}

/// What was found so far.
struct Tally {
    changes: Vec<OfChange>,
}

#[derive(Default)]
struct OfChange {
    traces: u64,
    fires: u64,
    fired_before: u64,
    unchanged: u64,
    unjudged: u64,
    candidates: u64,
    fault: Option<String>,
    newly: Found,
    no_longer: Found,
    otherwise: Found,
    unlike: BTreeMap<Unlike, u64>,
}

/// Traces of one kind, by their place among the kept ones.
#[derive(Default)]
struct Found {
    places: Vec<usize>,
    first: Option<(usize, Emission)>,
}

impl<'a> Part<'a> {
    fn new(changes: &[Change], versions: &'a [Version]) -> Part<'a> {
        let rule = |version: &Version| {
            let change = changes.get(version.change)?;
            let rule = match version.is_after {
                true => change.after.as_ref()?,
                false => change.before.as_ref()?,
            };
            Some(Arc::new(rule.in_force(None, rule.source())))
        };
        Part {
            versions,
            set: RuleSet::new(0, versions.iter().filter_map(rule).collect()),
            tally: Tally::new(changes.len()),
            findings: Vec::new(),
        }
    }

    fn run(&mut self, desk: &mut Desk, kept: &[Arc<Kept>], first: usize) {
        let requests = KeptBatch::new(kept);
        let traces = requests.traces();
        let lost_before: Vec<u64> = self.set.rules.iter().map(|rule| lost(rule)).collect();
        let asked: Vec<u64> = self.set.rules.iter().map(|r| r.counts().traces).collect();
        desk.columns
            .project(&self.set.projection, &requests, &traces);
        self.findings.clear();
        desk.worker
            .evaluate(&self.set, &desk.columns, &traces, &mut self.findings);
        self.count_unlike(&desk.columns);
        let mut of_rule: Vec<&[Finding]> = vec![&[]; self.versions.len()];
        for found in self.findings.chunk_by(|a, b| a.rule == b.rule) {
            let rule = found.first().map_or(0, |finding| finding.rule as usize);
            if let Some(place) = of_rule.get_mut(rule) {
                *place = found;
            }
        }
        for (index, change) in self.tally.changes.iter_mut().enumerate() {
            let batch = Batch {
                set: &self.set,
                columns: &desk.columns,
                traces: &traces,
                requests: &requests,
                first,
            };
            let sides = self.versions.iter().enumerate();
            let mut before: Option<&[Finding]> = None;
            let mut after: Option<&[Finding]> = None;
            let mut is_whole = true;
            for (number, version) in sides.filter(|(_, version)| version.change == index) {
                let found = of_rule.get(number).copied().unwrap_or_default();
                *(if version.is_after {
                    &mut after
                } else {
                    &mut before
                }) = Some(found);
                let Some(rule) = self.set.rules.get(number) else {
                    continue;
                };
                if lost_before.get(number) != Some(&lost(rule)) {
                    is_whole = false;
                    if version.is_after {
                        let fault = rule.last_fault().map(|fault| fault.to_string());
                        let bound = "a trace is too large for it".to_owned();
                        change.fault.get_or_insert(fault.unwrap_or(bound));
                    }
                }
                if version.is_after {
                    let asked = asked.get(number).copied().unwrap_or_default();
                    change.candidates += rule.counts().traces - asked;
                }
            }
            change.take(
                &batch,
                before.unwrap_or_default(),
                after.unwrap_or_default(),
                is_whole,
            );
        }
    }

    fn count_unlike(&mut self, columns: &Columns) {
        let rules = self.set.rules.iter().zip(&self.set.bindings);
        for ((rule, binding), version) in rules.zip(self.versions) {
            let Some(change) = self.tally.changes.get_mut(version.change) else {
                continue;
            };
            if !version.is_after {
                continue;
            }
            for (column, index) in rule.manifest.columns.iter().zip(&binding.columns) {
                let Some(rows) = columns.columns.get(*index as usize) else {
                    continue;
                };
                for (tag, count) in rows.census(0..u32::MAX).unlike(column.compared.into()) {
                    let unlike = Unlike::new(&rule.id, &column.key, tag);
                    *change.unlike.entry(unlike).or_default() += count;
                }
            }
        }
    }
}

/// Traces without a verdict.
fn lost(rule: &Rule) -> u64 {
    let counts = rule.counts();
    counts.unjudged + counts.input_too_large
}

/// A batch that both versions have judged.
struct Batch<'a> {
    set: &'a RuleSet,
    columns: &'a Columns,
    traces: &'a [Trace],
    requests: &'a KeptBatch<'a>,
    /// The place of its first trace among the kept ones.
    first: usize,
}

impl Batch<'_> {
    fn draw(&self, findings: &[Finding]) -> Option<Emission> {
        let judged = Judged {
            set: self.set,
            columns: self.columns,
            traces: self.traces,
            requests: self.requests,
            unfinished: Unfinished::All,
            outlines: true,
            detected_at: 0,
        };
        let mut out = Vec::new();
        signals(&judged, findings, &mut out);
        out.pop()
    }
}

impl OfChange {
    /// Takes a batch; where not all of it was judged, traces that only one version fires on say nothing.
    fn take(&mut self, batch: &Batch<'_>, before: &[Finding], after: &[Finding], is_whole: bool) {
        let (mut before, mut after) = (before, after);
        self.traces += batch.traces.len() as u64;
        let mut known = 0;
        for trace in 0..batch.traces.len() as u32 {
            let old = split(&mut before, trace);
            let new = split(&mut after, trace);
            let difference = compare(old, new);
            self.fired_before += u64::from(!old.is_empty());
            self.fires += u64::from(!new.is_empty());
            let is_known =
                is_whole || matches!(difference, Difference::Otherwise | Difference::Unchanged);
            known += u64::from(is_known);
            let (found, drawn) = match difference {
                _ if !is_known => continue,
                Difference::Silent => continue,
                Difference::Unchanged => {
                    self.unchanged += 1;
                    continue;
                }
                Difference::Newly => (&mut self.newly, new),
                Difference::NoLonger => (&mut self.no_longer, old),
                Difference::Otherwise => (&mut self.otherwise, new),
            };
            found.enter(batch.first + trace as usize, || batch.draw(drawn));
        }
        self.unjudged += batch.traces.len() as u64 - known;
    }
}

/// Takes a trace's findings off the front.
fn split<'a>(findings: &mut &'a [Finding], trace: u32) -> &'a [Finding] {
    let mine = findings.iter().take_while(|finding| finding.trace == trace);
    let (mine, rest) = findings.split_at(mine.count());
    *findings = rest;
    mine
}

impl Found {
    fn enter(&mut self, place: usize, draw: impl FnOnce() -> Option<Emission>) {
        self.places.push(place);
        let is_first = self.first.as_ref().is_none_or(|(first, _)| place < *first);
        if is_first && let Some(drawn) = draw() {
            self.first = Some((place, drawn));
        }
    }

    fn add(&mut self, other: Found) {
        self.places.extend(other.places);
        let firsts = [self.first.take(), other.first].into_iter().flatten();
        self.first = firsts.min_by_key(|(place, _)| *place);
    }

    fn side(mut self, kept: &[Arc<Kept>]) -> Side {
        self.places.sort_unstable();
        let ids = self.places.iter().take(IDS);
        Side {
            traces: self.places.len() as u64,
            ids: ids.filter_map(|&place| Some(kept.get(place)?.id)).collect(),
            first: self.first.map(|(_, drawn)| Box::new(drawn)),
        }
    }
}

impl Tally {
    fn new(changes: usize) -> Tally {
        Tally {
            changes: (0..changes).map(|_| OfChange::default()).collect(),
        }
    }

    fn add(&mut self, other: Tally) {
        for (sum, part) in self.changes.iter_mut().zip(other.changes) {
            sum.traces += part.traces;
            sum.fires += part.fires;
            sum.fired_before += part.fired_before;
            sum.unchanged += part.unchanged;
            sum.unjudged += part.unjudged;
            sum.candidates += part.candidates;
            sum.fault = sum.fault.take().or(part.fault);
            sum.newly.add(part.newly);
            sum.no_longer.add(part.no_longer);
            sum.otherwise.add(part.otherwise);
            for (unlike, count) in part.unlike {
                *sum.unlike.entry(unlike).or_default() += count;
            }
        }
    }

    fn verdict(self, changes: &[Change], kept: &[Arc<Kept>], coverage: Coverage) -> Verdict {
        let pairs = changes.iter().zip(self.changes);
        Verdict {
            rules: pairs.map(|(change, of)| of.verdict(change, kept)).collect(),
            coverage,
        }
    }
}

impl OfChange {
    fn verdict(self, change: &Change, kept: &[Arc<Kept>]) -> RuleVerdict {
        let version = |rule: &Option<Arc<Rule>>| rule.as_ref().map(|rule| rule.version.clone());
        let mut unlike: Vec<(Unlike, u64)> = self.unlike.into_iter().collect();
        unlike.sort_by_key(|(_, count)| Reverse(*count));
        RuleVerdict {
            id: change.id.clone(),
            change: match (&change.before, &change.after) {
                (None, _) => ChangeKind::Added,
                (Some(_), Some(_)) => ChangeKind::Edited,
                (Some(_), None) => ChangeKind::Removed,
            },
            before: version(&change.before),
            after: version(&change.after),
            traces: self.traces,
            candidates: self.candidates,
            fires: self.fires,
            fired_before: self.fired_before,
            newly: self.newly.side(kept),
            no_longer: self.no_longer.side(kept),
            otherwise: self.otherwise.side(kept),
            unchanged: self.unchanged,
            unjudged: self.unjudged,
            fault: self.fault,
            unlike,
            silence: None,
        }
    }
}
