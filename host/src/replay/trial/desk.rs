//! One thread of a trial: batches to what was found in them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::TrialLimits;
use super::count::{Batch, Count, Outcome};
use super::work::Work;
use crate::columns::batch::Columns;
use crate::columns::census::Census;
use crate::engine::{Engine, Finding, Tried, Worker};
use crate::replay::kept::KeptBatch;

/// What one thread works with.
pub(super) struct Desk {
    worker: Worker,
    pub(super) columns: Columns,
    findings: Vec<Finding>,
    tried: Tried,
}

/// What a thread, or all of them, found.
pub(super) struct Share {
    /// By change.
    pub(super) counts: Vec<Count>,
    /// By column of the set: tags of its values, of those that a new version compares.
    pub(super) censuses: Vec<Census>,
    /// Traces that were tried.
    pub(super) traces: u64,
    pub(super) candidates: Vec<u64>,
    /// By rule of the set: why it has no verdict on some trace.
    pub(super) reasons: Vec<Option<String>>,
}

impl Desk {
    pub(super) fn new(engine: &Arc<Engine>, limits: &TrialLimits) -> Desk {
        Desk {
            worker: Worker::with_warm(engine.clone(), limits.instances.max(1)),
            columns: Columns::default(),
            findings: Vec::new(),
            tried: Tried::default(),
        }
    }

    /// Takes batches until there is none.
    pub(super) fn run(&mut self, work: &Work<'_>) -> Share {
        self.tried.clear();
        let mut share = Share::new(work);
        let compared = work.compared();
        while !work.is_halted()
            && let Some(batch) = work.batches.get(work.next.fetch_add(1, Relaxed))
        {
            self.batch(work, batch.clone(), &compared, &mut share);
        }
        for (rule, reason) in &self.tried.reasons {
            if let Some(known) = share.reasons.get_mut(*rule as usize) {
                *known = Some(reason.clone());
            }
        }
        for (rule, candidates) in &self.tried.candidates {
            if let Some(sum) = share.candidates.get_mut(*rule as usize) {
                *sum += candidates;
            }
        }
        share
    }

    fn batch(
        &mut self,
        work: &Work<'_>,
        range: Range<usize>,
        compared: &[usize],
        share: &mut Share,
    ) {
        let first = range.start;
        let kept = work.kept.get(range).unwrap_or_default();
        let requests = KeptBatch::new(kept);
        let traces = requests.traces();
        self.columns
            .project(&work.set.projection, &requests, &traces);
        self.findings.clear();
        self.worker.try_out(
            &work.set,
            &self.columns,
            &traces,
            &mut self.findings,
            &mut self.tried,
            &|| work.is_halted(),
        );
        share.traces += traces.len() as u64;
        for &column in compared {
            let rows = self.columns.columns.get(column);
            if let (Some(rows), Some(census)) = (rows, share.censuses.get_mut(column))
                && !self.columns.is_blank(column)
            {
                census.add(&rows.census(0..u32::MAX));
            }
        }
        let batch = Batch {
            set: &work.set,
            columns: &self.columns,
            kept,
            traces: &traces,
            requests: &requests,
            first,
        };
        // Both are ordered by rule, as rules are called in that order.
        let outcome = |rule: Option<u32>| {
            rule.map_or_else(Outcome::default, |rule| Outcome {
                found: of_rule(&self.findings, rule, |finding| finding.rule),
                unjudged: of_rule(&self.tried.unjudged, rule, |&(rule, _)| rule),
            })
        };
        for (count, versions) in share.counts.iter_mut().zip(&work.versions) {
            let (before, after) = (outcome(versions.before), outcome(versions.after));
            count.take(&batch, versions, before, after);
        }
    }
}

/// The run of `items` that is of a rule.
fn of_rule<T>(items: &[T], rule: u32, of: impl Fn(&T) -> u32) -> &[T] {
    let start = items.partition_point(|item| of(item) < rule);
    let rest = items.get(start..).unwrap_or_default();
    let end = rest.partition_point(|item| of(item) == rule);
    rest.get(..end).unwrap_or_default()
}

impl Share {
    pub(super) fn new(work: &Work<'_>) -> Share {
        let (changes, rules) = (work.versions.len(), work.set.rules.len());
        Share {
            counts: (0..changes).map(|_| Count::default()).collect(),
            censuses: vec![Census::default(); work.set.projection.columns.len()],
            traces: 0,
            candidates: vec![0; rules],
            reasons: vec![None; rules],
        }
    }

    pub(super) fn add(&mut self, other: Share) {
        self.traces += other.traces;
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            sum.add(count);
        }
        for (sum, census) in self.censuses.iter_mut().zip(&other.censuses) {
            sum.add(census);
        }
        for (sum, candidates) in self.candidates.iter_mut().zip(other.candidates) {
            *sum += candidates;
        }
        for (known, reason) in self.reasons.iter_mut().zip(other.reasons) {
            *known = known.take().or(reason);
        }
    }
}
