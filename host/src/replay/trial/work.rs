//! What a trial has to do: the versions that changed as one rule set, and kept traces in batches.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use super::count::Versions;
use crate::engine::manifest::{Compared, RuleColumn};
use crate::engine::{Rule, RuleSet};
use crate::replay::diff::Pairing;
use crate::replay::kept::Kept;
use crate::rules::update::Change;

/// Spans of one batch, as in the live flow.
const BATCH_SPANS: usize = 16_384;

/// Below this, what a batch costs beside its spans begins to show.
const LEAST_BATCH_SPANS: usize = 1_024;

/// Batches of a thread: with a few each, all end at about the same time.
const BATCHES_A_THREAD: usize = 4;

/// Rows of all columns of one batch, so that five hundred rules that change at once are tried in small batches instead of
/// in hundreds of megabytes. At most 9 bytes each.
const CELLS: usize = 2 << 20;

/// Bytes of one batch's traces, as in the live flow.
const BATCH_BYTES: usize = 16 << 20;

/// Changes of which traces are drawn: a person reads a few, and a drawing has up to a hundred spans of evidence.
const DRAWN_CHANGES: usize = 64;

/// What all threads work on.
pub(super) struct Work<'a> {
    pub(super) set: RuleSet,
    /// By change.
    pub(super) versions: Vec<Versions>,
    pub(super) kept: &'a [Arc<Kept>],
    pub(super) batches: Vec<Range<usize>>,
    pub(super) next: AtomicUsize,
    pub(super) overtaken: &'a AtomicBool,
    pub(super) until: Instant,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        changes: &[Change],
        kept: &'a [Arc<Kept>],
        threads: usize,
        overtaken: &'a AtomicBool,
        until: Instant,
    ) -> Work<'a> {
        let mut rules = Vec::new();
        let mut add = |rule: &Option<Arc<Rule>>| {
            let rule = rule.as_ref()?;
            rules.push(rule.clone());
            u32::try_from(rules.len() - 1).ok()
        };
        let versions = |(index, change): (usize, &Change)| Versions {
            before: add(&change.before),
            after: add(&change.after),
            pairing: match (&change.before, &change.after) {
                (Some(before), Some(after)) => Pairing::new(&before.manifest, &after.manifest),
                _ => Pairing::default(),
            },
            drawn: index < DRAWN_CHANGES,
        };
        let versions = changes.iter().enumerate().map(versions).collect();
        let set = RuleSet::new(0, rules);
        let batches = if set.rules.is_empty() {
            Vec::new()
        } else {
            batches(
                kept,
                batch_spans(kept, threads, set.projection.columns.len()),
            )
        };
        Work {
            set,
            versions,
            kept,
            batches,
            next: AtomicUsize::new(0),
            overtaken,
            until,
        }
    }

    pub(super) fn is_halted(&self) -> bool {
        self.overtaken.load(Relaxed) || Instant::now() >= self.until
    }

    /// The attribute columns whose types matter to a new version.
    pub(super) fn compared(&self) -> Vec<usize> {
        let after = self.versions.iter().filter_map(|versions| versions.after);
        let columns = after.flat_map(|after| self.columns_of(after));
        let mut columns: Vec<usize> = columns.map(|(column, _)| column).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// What a rule compares, with where that is in the set's columns.
    pub(super) fn columns_of(&self, rule: u32) -> impl Iterator<Item = (usize, &RuleColumn)> {
        let index = rule as usize;
        let binding = self.set.bindings.get(index);
        let columns = binding.into_iter().flat_map(|binding| &binding.columns);
        let rule = self.set.rules.get(index);
        let own = rule.into_iter().flat_map(|rule| &rule.manifest.columns);
        let pairs = columns.map(|&column| column as usize).zip(own);
        pairs.filter(|(_, own)| own.compared != Compared::default())
    }
}

/// How many spans make a batch, so that all threads have some and none takes too much memory.
fn batch_spans(kept: &[Arc<Kept>], threads: usize, columns: usize) -> usize {
    let spans: usize = kept.iter().map(|kept| kept.spans.len()).sum();
    let fair = spans.div_ceil(threads.max(1) * BATCHES_A_THREAD);
    let most = (CELLS / columns.max(1)).clamp(1, BATCH_SPANS);
    fair.max(LEAST_BATCH_SPANS).min(most)
}

/// Runs of traces of at most so many spans; a larger trace is a run of its own.
fn batches(kept: &[Arc<Kept>], most: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut spans, mut bytes) = (0, 0, 0);
    for (index, trace) in kept.iter().enumerate() {
        let more = trace.request.bytes.len();
        let is_full = spans + trace.spans.len() > most || bytes + more > BATCH_BYTES;
        if index > start && is_full {
            batches.push(start..index);
            (start, spans, bytes) = (index, 0, 0);
        }
        spans += trace.spans.len();
        bytes += more;
    }
    if start < kept.len() {
        batches.push(start..kept.len());
    }
    batches
}
