//! What a trial has found of each change so far.
//!
//! Counts are exact. Traces are remembered by their place among the kept ones, newest first, and only as many of each kind
//! as a verdict names. One thread's batches ascend, and so do its places.

use std::borrow::Cow;
use std::sync::Arc;

use crate::assemble::trace::{Completion, Trace};
use crate::columns::batch::Columns;
use crate::engine::{Finding, Rule, RuleSet};
use crate::replay::diff::{Difference, Pairing};
use crate::replay::kept::{Kept, KeptBatch};
use crate::replay::verdict::Side;
use crate::signal::Emission;
use crate::signal::judge::{Judged, Unfinished, draw};

/// Traces of one kind that a verdict names; all are counted. More than a person looks through, and few enough that a
/// thousand rules' verdicts together stay below 20 MB.
pub const SIDE_IDS: usize = 256;

/// The versions of a change, as they stand in the rule set.
#[derive(Debug, Default)]
pub(super) struct Versions {
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
    pub(super) pairing: Pairing,
    /// Whether the first trace of each kind is drawn.
    pub(super) drawn: bool,
}

/// A batch that both versions have judged.
pub(super) struct Batch<'a> {
    pub(super) set: &'a RuleSet,
    pub(super) columns: &'a Columns,
    pub(super) kept: &'a [Arc<Kept>],
    pub(super) traces: &'a [Trace],
    pub(super) requests: &'a KeptBatch<'a>,
    /// The place of its first trace among all kept ones.
    pub(super) first: usize,
}

/// What one version made of a batch.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome<'a> {
    /// Ordered by trace and clause.
    pub(super) found: &'a [Finding],
    /// Pairs of rule and trace, ascending.
    pub(super) unjudged: &'a [(u32, u32)],
}

/// What was found of a change.
#[derive(Default)]
pub(super) struct Count {
    pub(super) fires: u64,
    pub(super) fired_before: u64,
    pub(super) unchanged: u64,
    pub(super) unjudged: u64,
    pub(super) unjudged_before: u64,
    pub(super) newly: Found,
    pub(super) no_longer: Found,
    pub(super) otherwise: Found,
}

/// Traces of one kind.
#[derive(Default)]
pub(super) struct Found {
    traces: u64,
    /// The first of them, ascending.
    places: Vec<u32>,
    first: Option<(u32, Box<Emission>)>,
}

impl Count {
    /// Takes a batch. A trace that either version could not judge is in no side: what one of them found there is nothing
    /// to compare with.
    pub(super) fn take(
        &mut self,
        batch: &Batch<'_>,
        versions: &Versions,
        mut before: Outcome<'_>,
        mut after: Outcome<'_>,
    ) {
        self.unjudged += after.unjudged.len() as u64;
        self.unjudged_before += before.unjudged.len() as u64;
        loop {
            let next = [before.found.first(), after.found.first()];
            let Some(trace) = next.into_iter().flatten().map(|found| found.trace).min() else {
                return;
            };
            let old = batch.counting(versions.before, before.next(trace));
            let new = batch.counting(versions.after, after.next(trace));
            self.fired_before += u64::from(!old.is_empty());
            self.fires += u64::from(!new.is_empty());
            if before.is_unjudged(trace) || after.is_unjudged(trace) {
                continue;
            }
            let (side, drawn) = match versions.pairing.compare(&old, &new) {
                Difference::Silent => continue,
                Difference::Unchanged => {
                    self.unchanged += 1;
                    continue;
                }
                Difference::Newly => (&mut self.newly, new),
                Difference::NoLonger => (&mut self.no_longer, old),
                Difference::Otherwise => (&mut self.otherwise, new),
            };
            let place = u32::try_from(batch.first).unwrap_or(u32::MAX);
            side.enter(place.saturating_add(trace), || {
                versions.drawn.then(|| batch.draw(&drawn)).flatten()
            });
        }
    }

    pub(super) fn add(&mut self, other: Count) {
        self.fires += other.fires;
        self.fired_before += other.fired_before;
        self.unchanged += other.unchanged;
        self.unjudged += other.unjudged;
        self.unjudged_before += other.unjudged_before;
        self.newly.add(other.newly);
        self.no_longer.add(other.no_longer);
        self.otherwise.add(other.otherwise);
    }
}

impl<'a> Outcome<'a> {
    /// Takes a trace's findings off the front.
    fn next(&mut self, trace: u32) -> &'a [Finding] {
        let mine = self.found.iter().take_while(|found| found.trace == trace);
        let (mine, rest) = self.found.split_at(mine.count());
        self.found = rest;
        mine
    }

    fn is_unjudged(&self, trace: u32) -> bool {
        let found = self
            .unjudged
            .binary_search_by_key(&trace, |&(_, trace)| trace);
        found.is_ok()
    }
}

impl Batch<'_> {
    /// The findings that count in their trace, as when it was judged live: of a trace that a stop cut short those that
    /// more spans can't undo. Of one that no rule set has judged, there is no more to come: it was read from a file.
    fn counting<'f>(&self, rule: Option<u32>, found: &'f [Finding]) -> Cow<'f, [Finding]> {
        let trace = found.first().map(|finding| finding.trace);
        if trace.is_none_or(|trace| self.unfinished(trace) == Unfinished::All) {
            return Cow::Borrowed(found);
        }
        let rule = rule.and_then(|rule| self.set.rules.get(rule as usize));
        let is_stable = |rule: &Arc<Rule>, finding: &Finding| {
            let clause = rule.manifest.clauses.get(finding.clause as usize);
            clause.is_some_and(|clause| clause.stable)
        };
        let stable = found
            .iter()
            .filter(|finding| rule.is_some_and(|rule| is_stable(rule, finding)));
        stable.cloned().collect()
    }

    fn unfinished(&self, trace: u32) -> Unfinished {
        let kept = self.kept.get(trace as usize);
        let is_cut =
            kept.is_some_and(|kept| kept.completion == Completion::Drained && kept.generation != 0);
        if is_cut {
            Unfinished::Stable
        } else {
            Unfinished::All
        }
    }

    /// The signal of one rule and one trace, with the trace; said to be of when the trace was judged.
    fn draw(&self, findings: &[Finding]) -> Option<Box<Emission>> {
        let trace = findings.first()?.trace;
        let judged = Judged {
            set: self.set,
            columns: self.columns,
            traces: self.traces,
            requests: self.requests,
            unfinished: self.unfinished(trace),
            outlines: true,
            detected_at: self.kept.get(trace as usize)?.judged_at,
        };
        let mut out = Vec::new();
        draw(&judged, findings, &mut out);
        out.pop().map(Box::new)
    }
}

impl Found {
    fn enter(&mut self, place: u32, draw: impl FnOnce() -> Option<Box<Emission>>) {
        self.traces += 1;
        if self.places.len() < SIDE_IDS {
            self.places.push(place);
        }
        if self.first.is_none() {
            self.first = draw().map(|drawn| (place, drawn));
        }
    }

    fn add(&mut self, other: Found) {
        self.traces += other.traces;
        self.places.extend(other.places);
        self.places.sort_unstable();
        self.places.truncate(SIDE_IDS);
        let firsts = [self.first.take(), other.first].into_iter().flatten();
        self.first = firsts.min_by_key(|(place, _)| *place);
    }

    pub(super) fn side(self, kept: &[Arc<Kept>]) -> Side {
        let ids = self.places.iter();
        Side {
            traces: self.traces,
            ids: ids
                .filter_map(|&place| Some(kept.get(place as usize)?.id))
                .collect(),
            first: self.first.map(|(_, drawn)| drawn),
        }
    }
}
