//! Changed rules over kept traces: the version before and the new one side by side, on cores that are free.
//!
//! ```text
//! changes -> one rule set -> [kept traces, batch by batch, on some threads] -> findings -> diff -> count -> Verdict
//! ```
//! Both versions see the same columns, so that what they found can be compared row by row. Nothing of it is counted of the
//! rules, whose metrics tell of live traffic. Newest traces come first, so that they are the ones that have a verdict when
//! the time is up.

mod count;

use std::cmp::Reverse;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::diff::{Pairing, facts};
use super::kept::{Kept, KeptBatch};
use super::run::Unlike;
use super::verdict::{ChangeKind, RuleVerdict, Verdict};
use crate::columns::batch::Columns;
use crate::columns::census::Census;
use crate::engine::limits::{TRIER_INSTANCES, TRIERS};
use crate::engine::{Engine, Finding, Rule, RuleSet, Tried, Worker};
use crate::rules::update::Change;
pub use count::SIDE_IDS;
use count::{Batch, Count, Outcome, Versions};

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

/// Columns beyond which buffers are not kept for the next trial.
const KEPT_COLUMNS: usize = 64;

/// Changes of which traces are drawn: a person reads a few, and a drawing has up to a hundred spans of evidence.
const DRAWN_CHANGES: usize = 64;

/// What a person would wait for a verdict; a trial of a thousand traces takes milliseconds.
const TIME: Duration = Duration::from_secs(30);

/// How much a thread of a trial gives way to others: it gets a tenth of the time of one that judges live traffic, and so
/// still ends where all cores are busy.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// The bounds of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialLimits {
    pub threads: usize,
    /// Engine instances that a thread may keep, of those that the pool has to spare.
    pub instances: usize,
    /// After this, traces that were not tried have no verdict.
    pub time: Duration,
}

impl Default for TrialLimits {
    fn default() -> TrialLimits {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        TrialLimits {
            threads: cores.min(TRIERS),
            instances: TRIER_INSTANCES,
            time: TIME,
        }
    }
}

/// Runs changed rules over kept traces. Buffers and instances stay from one save to the next.
pub struct Trial {
    engine: Arc<Engine>,
    limits: TrialLimits,
    desks: Vec<Desk>,
}

/// What one thread works with.
struct Desk {
    worker: Worker,
    columns: Columns,
    findings: Vec<Finding>,
    tried: Tried,
}

/// What all threads work on.
struct Work<'a> {
    set: RuleSet,
    /// By change.
    versions: Vec<Versions>,
    kept: &'a [Arc<Kept>],
    batches: Vec<Range<usize>>,
    next: AtomicUsize,
    overtaken: &'a AtomicBool,
    until: Instant,
}

/// What a thread, or all of them, found.
struct Share {
    /// By change.
    counts: Vec<Count>,
    /// By column of the set: tags of its values, of those that a new version compares.
    censuses: Vec<Census>,
    /// Traces that were tried.
    traces: u64,
    candidates: Vec<u64>,
    /// By rule of the set: why it has no verdict on some trace.
    reasons: Vec<Option<String>>,
}

impl Trial {
    pub fn new(engine: Arc<Engine>) -> Trial {
        Trial::with_limits(engine, TrialLimits::default())
    }

    pub fn with_limits(engine: Arc<Engine>, limits: TrialLimits) -> Trial {
        let desk = || Desk::new(&engine, &limits);
        Trial {
            desks: (0..limits.threads.max(1)).map(|_| desk()).collect(),
            engine,
            limits,
        }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Says what changes do to kept traces, newest first. None where `overtaken` was set meanwhile: that is looked at
    /// between any two calls of a rule.
    pub fn judge(
        &mut self,
        changes: &[Change],
        kept: &[Arc<Kept>],
        coverage: Coverage,
        overtaken: &AtomicBool,
    ) -> Option<Verdict> {
        let started = Instant::now();
        let until = started.checked_add(self.limits.time).unwrap_or(started);
        let work = Work::new(changes, kept, self.desks.len(), overtaken, until);
        let mut sum = Share::new(&work);
        let mut is_broken = false;
        for share in run(&mut self.desks, &work) {
            match share {
                Some(share) => sum.add(share),
                None => is_broken = true,
            }
        }
        if is_broken {
            // Buffers that a panic left as they were are not to be trusted.
            let desks = self.desks.iter_mut();
            desks.for_each(|desk| *desk = Desk::new(&self.engine, &self.limits));
        }
        if work.set.projection.columns.len() > KEPT_COLUMNS {
            let desks = self.desks.iter_mut();
            desks.for_each(|desk| desk.columns = Columns::default());
        }
        if overtaken.load(Relaxed) {
            return None;
        }
        Some(verdict(&work, changes, sum, coverage, is_broken))
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

/// Runs the work on a thread a desk; each gives its share, or none where it panicked.
fn run(desks: &mut [Desk], work: &Work<'_>) -> Vec<Option<Share>> {
    let wanted = desks.len().min(work.batches.len());
    let mut shares = std::thread::scope(|scope| {
        let threads: Vec<_> = desks
            .iter_mut()
            .take(wanted)
            .filter_map(|desk| {
                let run = || {
                    give_way();
                    desk.run(work)
                };
                let thread = std::thread::Builder::new().name("trial".to_owned());
                thread.spawn_scoped(scope, run).ok()
            })
            .collect();
        let shares = threads.into_iter().map(|thread| thread.join().ok());
        shares.collect::<Vec<_>>()
    });
    // Where no thread can be had, the caller's has to do.
    if let (true, Some(desk)) = (shares.is_empty() && wanted > 0, desks.first_mut()) {
        shares.push(Some(desk.run(work)));
    }
    shares
}

/// Lets others go before this thread. Elsewhere than on Linux, that would hold for the whole process.
fn give_way() {
    // Where it can't be had, the trial takes its turn like others.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}

impl<'a> Work<'a> {
    fn new(
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

    fn is_halted(&self) -> bool {
        self.overtaken.load(Relaxed) || Instant::now() >= self.until
    }

    /// The attribute columns whose types matter to a new version.
    fn compared(&self) -> Vec<usize> {
        let after = self.versions.iter().filter_map(|versions| versions.after);
        let columns = after.flat_map(|after| self.columns_of(after));
        let mut columns: Vec<usize> = columns.map(|(column, _)| column).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// What a rule compares, with where that is in the set's columns.
    fn columns_of(
        &self,
        rule: u32,
    ) -> impl Iterator<Item = (usize, &crate::engine::manifest::RuleColumn)> {
        let index = rule as usize;
        let binding = self.set.bindings.get(index);
        let columns = binding.into_iter().flat_map(|binding| &binding.columns);
        let rule = self.set.rules.get(index);
        let own = rule.into_iter().flat_map(|rule| &rule.manifest.columns);
        let pairs = columns.map(|&column| column as usize).zip(own);
        pairs.filter(|(_, own)| own.compared != Default::default())
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

impl Desk {
    fn new(engine: &Arc<Engine>, limits: &TrialLimits) -> Desk {
        Desk {
            worker: Worker::with_warm(engine.clone(), limits.instances.max(1)),
            columns: Columns::default(),
            findings: Vec::new(),
            tried: Tried::default(),
        }
    }

    /// Takes batches until there is none.
    fn run(&mut self, work: &Work<'_>) -> Share {
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
    fn new(work: &Work<'_>) -> Share {
        let (changes, rules) = (work.versions.len(), work.set.rules.len());
        Share {
            counts: (0..changes).map(|_| Count::default()).collect(),
            censuses: vec![Census::default(); work.set.projection.columns.len()],
            traces: 0,
            candidates: vec![0; rules],
            reasons: vec![None; rules],
        }
    }

    fn add(&mut self, other: Share) {
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

fn verdict(
    work: &Work<'_>,
    changes: &[Change],
    mut sum: Share,
    coverage: Coverage,
    is_broken: bool,
) -> Verdict {
    let all = if work.set.rules.is_empty() {
        0
    } else {
        work.kept.len() as u64
    };
    let untried = all.saturating_sub(sum.traces);
    if is_broken {
        let reason = "a thread of the trial ended early".to_owned();
        let reasons = sum.reasons.iter_mut();
        reasons.for_each(|known| *known = known.take().or(Some(reason.clone())));
    }
    let counts = std::mem::take(&mut sum.counts);
    let rules = changes.iter().zip(&work.versions).zip(counts);
    let rules = rules.map(|((change, versions), count)| {
        of_change(work, change, versions, count, &mut sum, untried)
    });
    Verdict {
        rules: rules.collect(),
        coverage,
        out_of_time: untried > 0 && Instant::now() >= work.until,
    }
}

fn of_change(
    work: &Work<'_>,
    change: &Change,
    versions: &Versions,
    count: Count,
    sum: &mut Share,
    untried: u64,
) -> RuleVerdict {
    let version = |rule: &Option<Arc<Rule>>| rule.as_ref().map(|rule| rule.version.clone());
    let mut reason = |rule: Option<u32>| sum.reasons.get_mut(rule? as usize)?.take();
    let (fault, fault_before) = (reason(versions.after), reason(versions.before));
    let lost = |rule: Option<u32>, unjudged: u64| rule.map_or(0, |_| unjudged + untried);
    let unjudged = lost(versions.after, count.unjudged);
    let unjudged_before = lost(versions.before, count.unjudged_before);
    let candidates = versions
        .after
        .and_then(|after| sum.candidates.get(after as usize));
    let is_removed = change.after.is_none();
    RuleVerdict {
        id: change.id.clone(),
        change: match (&change.before, &change.after) {
            (None, _) => ChangeKind::Added,
            (Some(_), Some(_)) => ChangeKind::Edited,
            (Some(_), None) => ChangeKind::Removed,
        },
        before: version(&change.before),
        after: version(&change.after),
        traces: (work.kept.len() as u64).saturating_sub(if is_removed {
            unjudged_before
        } else {
            unjudged
        }),
        candidates: candidates.copied().unwrap_or_default(),
        fires: count.fires,
        fired_before: count.fired_before,
        newly: count.newly.side(work.kept),
        no_longer: count.no_longer.side(work.kept),
        otherwise: count.otherwise.side(work.kept),
        unchanged: count.unchanged,
        unjudged,
        fault,
        unjudged_before,
        fault_before,
        facts: match (&change.before, &change.after) {
            (Some(before), Some(after)) => facts(&before.manifest, &after.manifest),
            _ => Vec::new(),
        },
        unlike: unlike(work, change, versions, &sum.censuses),
        silence: None,
    }
}

/// Values of a type that the new version does not compare with, the most frequent first.
fn unlike(
    work: &Work<'_>,
    change: &Change,
    versions: &Versions,
    censuses: &[Census],
) -> Vec<(Unlike, u64)> {
    let mut all = Vec::new();
    for (index, column) in versions
        .after
        .into_iter()
        .flat_map(|rule| work.columns_of(rule))
    {
        let census = censuses.get(index).copied().unwrap_or_default();
        for (tag, count) in census.unlike(column.compared.into()) {
            all.push((Unlike::new(&change.id, &column.key, tag), count));
        }
    }
    all.sort_by_key(|(_, count)| Reverse(*count));
    all
}
