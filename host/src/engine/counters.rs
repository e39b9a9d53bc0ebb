//! What each rule did, counted over all workers. Written with relaxed atomics once a call (CPU time once a batch),
//! read by metrics. A rule that no trace concerned was not touched: what it was spared is told from what all were judged by.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::fault::{Fault, FaultKind};
use super::manifest::Severity;
use super::times::{Quantiles, Times};
use crate::time::Time;

/// Counters of one rule.
#[derive(Debug, Default)]
pub struct Counters {
    /// Traces that had been judged when the rule came into force, and one; 0 where it is not in force.
    since: AtomicU64,
    candidates: AtomicU64,
    /// What was told of traces that it was spared, so that it is never told less.
    spared: AtomicU64,
    evaluations: AtomicU64,
    traces: AtomicU64,
    findings: AtomicU64,
    /// By severity, as it was then, and certainty.
    signals: [[AtomicU64; 2]; Severity::ALL.len()],
    faults: [AtomicU64; FaultKind::ALL.len()],
    input_too_large: AtomicU64,
    unjudged: AtomicU64,
    quarantined: AtomicU64,
    quarantines: AtomicU64,
    passed_over: AtomicU64,
    instances: AtomicU64,
    nanoseconds: AtomicU64,
    /// Made by the first call: of ten thousand rules most are never called.
    times: OnceLock<Box<Times>>,
    last_fault: Mutex<Option<Fault>>,
}

/// A reading of [`Counters`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `evaluate`.
    pub evaluations: u64,
    /// Traces of which the index said that the rule need not see them.
    pub skipped: u64,
    /// Candidate traces that were given to the rule.
    pub traces: u64,
    pub findings: u64,
    /// Signals made of its findings: one a trace, whichever clauses broke.
    pub signals: Signals,
    /// In the order of [`FaultKind::ALL`].
    pub faults: [u64; FaultKind::ALL.len()],
    /// Traces that no instance of the rule has the memory for. The host's bound, not the rule's fault.
    pub input_too_large: u64,
    /// Candidate traces without a verdict, since the rule had faulted in their batch, was quarantined or passed over, or the pool
    /// was full.
    pub unjudged: u64,
    /// Of these, those that came while the rule was quarantined.
    pub quarantined: u64,
    /// Times that it was quarantined, and that a probe left it there.
    pub quarantines: u64,
    /// Of those without a verdict, those that it was passed over for: a worker lagged, and it had had its share.
    pub passed_over: u64,
    /// Instances made.
    pub instances: u64,
    /// CPU time of all that was done for it: columns gathered, calls, findings checked.
    pub nanoseconds: u64,
}

/// Signals of one rule. A rule that was edited may have had another severity before, under which they stay counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    by_severity: [[u64; 2]; Severity::ALL.len()],
}

impl Signals {
    /// Of one severity: certain ones, and unsure ones.
    pub fn of(&self, severity: Severity) -> [u64; 2] {
        self.by_severity
            .get(severity as usize)
            .copied()
            .unwrap_or_default()
    }

    pub fn all(&self) -> u64 {
        self.by_severity.iter().flatten().sum()
    }

    fn each(&self, other: &Signals, of: fn(u64, u64) -> u64) -> Signals {
        Signals {
            by_severity: std::array::from_fn(|severity| {
                let (mine, others) = (self.by_severity[severity], other.by_severity[severity]);
                std::array::from_fn(|sure| of(mine[sure], others[sure]))
            }),
        }
    }
}

impl Counts {
    /// Faults of one kind.
    pub fn faults(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }

    /// Faults of any kind.
    pub fn all_faults(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// These and others together.
    pub fn and(&self, others: &Counts) -> Counts {
        self.each(others, u64::saturating_add)
    }

    /// What was counted since an earlier reading.
    pub fn since(&self, earlier: &Counts) -> Counts {
        self.each(earlier, u64::saturating_sub)
    }

    fn each(&self, other: &Counts, of: fn(u64, u64) -> u64) -> Counts {
        Counts {
            evaluations: of(self.evaluations, other.evaluations),
            skipped: of(self.skipped, other.skipped),
            traces: of(self.traces, other.traces),
            findings: of(self.findings, other.findings),
            signals: self.signals.each(&other.signals, of),
            faults: std::array::from_fn(|kind| of(self.faults[kind], other.faults[kind])),
            input_too_large: of(self.input_too_large, other.input_too_large),
            unjudged: of(self.unjudged, other.unjudged),
            quarantined: of(self.quarantined, other.quarantined),
            quarantines: of(self.quarantines, other.quarantines),
            passed_over: of(self.passed_over, other.passed_over),
            instances: of(self.instances, other.instances),
            nanoseconds: of(self.nanoseconds, other.nanoseconds),
        }
    }
}

impl Counters {
    pub fn read(&self) -> Counts {
        Counts {
            evaluations: self.evaluations.load(Relaxed),
            skipped: self.spared.load(Relaxed),
            traces: self.traces.load(Relaxed),
            findings: self.findings.load(Relaxed),
            signals: Signals {
                by_severity: std::array::from_fn(|severity| {
                    std::array::from_fn(|sure| self.signals[severity][sure].load(Relaxed))
                }),
            },
            faults: std::array::from_fn(|kind| self.faults[kind].load(Relaxed)),
            input_too_large: self.input_too_large.load(Relaxed),
            unjudged: self.unjudged.load(Relaxed),
            quarantined: self.quarantined.load(Relaxed),
            quarantines: self.quarantines.load(Relaxed),
            passed_over: self.passed_over.load(Relaxed),
            instances: self.instances.load(Relaxed),
            nanoseconds: self.nanoseconds.load(Relaxed),
        }
    }

    /// The latest fault, for whoever asks why.
    pub fn last_fault(&self) -> Option<Fault> {
        self.last_fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// As [`read`](Self::read), where so many traces were judged in all.
    pub(super) fn read_of(&self, judged: u64) -> Counts {
        if let Some(before) = self.since.load(Relaxed).checked_sub(1) {
            // A batch enters its candidates before it counts as judged: this is never more than it will be.
            let concerned = self.candidates.load(Relaxed);
            let spared = judged.saturating_sub(before).saturating_sub(concerned);
            self.spared.fetch_max(spared, Relaxed);
        }
        self.read()
    }

    /// How long calls took lately; none where there were none.
    pub(super) fn quantiles(&self, now: Time) -> Option<Quantiles> {
        self.times.get()?.quantiles(now)
    }

    /// The rule is in force, unless it was, when so many traces had been judged.
    pub(super) fn came(&self, judged: u64) {
        let is_new = |since| (since == 0).then_some(judged.saturating_add(1));
        let _ = self.since.fetch_update(Relaxed, Relaxed, is_new);
    }

    pub(super) fn candidates(&self, traces: usize) {
        self.candidates.fetch_add(traces as u64, Relaxed);
    }

    pub(super) fn called(&self, traces: usize) {
        self.evaluations.fetch_add(1, Relaxed);
        self.traces.fetch_add(traces as u64, Relaxed);
    }

    /// Adds CPU time.
    pub(super) fn worked(&self, nanoseconds: u64) {
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// A call that ended at `now` took so much CPU time.
    pub(super) fn timed(&self, nanoseconds: u64, now: Time) {
        self.times.get_or_init(Box::default).enter(nanoseconds, now);
    }

    pub(super) fn found(&self, findings: usize) {
        if findings > 0 {
            self.findings.fetch_add(findings as u64, Relaxed);
        }
    }

    pub(super) fn signalled(&self, severity: Severity, certain: u64, unsure: u64) {
        if let Some([certainly, maybe]) = self.signals.get(severity as usize) {
            certainly.fetch_add(certain, Relaxed);
            maybe.fetch_add(unsure, Relaxed);
        }
    }

    pub(super) fn input_too_large(&self) {
        self.input_too_large.fetch_add(1, Relaxed);
    }

    pub(super) fn unjudged(&self, traces: usize) {
        self.unjudged.fetch_add(traces as u64, Relaxed);
    }

    /// Traces that came while the rule was quarantined.
    pub(super) fn skipped(&self, traces: usize) {
        self.quarantined.fetch_add(traces as u64, Relaxed);
        self.unjudged(traces);
    }

    /// Traces that it was not asked about, as it had had its share.
    pub(super) fn passed_over(&self, traces: usize) {
        self.passed_over.fetch_add(traces as u64, Relaxed);
        self.unjudged(traces);
    }

    pub(super) fn opened(&self) {
        self.quarantines.fetch_add(1, Relaxed);
    }

    pub(super) fn instance_made(&self) {
        self.instances.fetch_add(1, Relaxed);
    }

    /// Counts a fault. Returns whether it is the first of its kind, which is the one worth a line in the log.
    pub(super) fn faulted(&self, fault: Fault) -> bool {
        let before = self.faults[fault.kind as usize].fetch_add(1, Relaxed);
        *self
            .last_fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(fault);
        before == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_by_kind_and_the_first_of_a_kind_is_news() {
        let counters = Counters::default();
        assert!(counters.faulted(Fault::new(FaultKind::Trap, "a")));
        assert!(!counters.faulted(Fault::new(FaultKind::Trap, "b")));
        assert!(counters.faulted(Fault::new(FaultKind::Start, "c")));
        let counts = counters.read();
        assert_eq!(counts.faults(FaultKind::Trap), 2);
        assert_eq!(counts.faults(FaultKind::Start), 1);
        assert_eq!(counts.all_faults(), 3);
        assert_eq!(
            counters.last_fault(),
            Some(Fault::new(FaultKind::Start, "c"))
        );
    }

    #[test]
    fn signals_stay_under_the_severity_that_they_had() {
        let counters = Counters::default();
        counters.signalled(Severity::Low, 2, 1);
        counters.signalled(Severity::Critical, 0, 4);
        let signals = counters.read().signals;
        assert_eq!(signals.of(Severity::Low), [2, 1]);
        assert_eq!(signals.of(Severity::Critical), [0, 4]);
        assert_eq!(signals.of(Severity::High), [0, 0]);
        assert_eq!(signals.all(), 7);
    }

    #[test]
    fn a_rule_was_spared_what_was_judged_since_it_came_and_did_not_concern_it() {
        let counters = Counters::default();
        assert_eq!(counters.read_of(100).skipped, 0, "it is not in force");
        counters.came(100);
        counters.came(150);
        counters.candidates(10);
        assert_eq!(counters.read_of(100).skipped, 0);
        assert_eq!(counters.read_of(130).skipped, 20);
        // Candidates of a batch that is not judged yet.
        counters.candidates(15);
        assert_eq!(counters.read_of(130).skipped, 20, "it never falls");
        assert_eq!(counters.read_of(160).skipped, 35);
        assert_eq!(counters.read().skipped, 35);
    }

    #[test]
    fn what_was_counted_since_and_what_was_before_are_all() {
        let counters = Counters::default();
        counters.called(3);
        counters.faulted(Fault::new(FaultKind::Stack, "a"));
        let before = counters.read();
        counters.called(4);
        counters.signalled(Severity::High, 1, 2);
        counters.passed_over(5);
        let after = counters.read();
        let since = after.since(&before);
        assert_eq!((since.evaluations, since.traces, since.unjudged), (1, 4, 5));
        assert_eq!(since.signals.of(Severity::High), [1, 2]);
        assert_eq!(since.faults(FaultKind::Stack), 0);
        assert_eq!(before.and(&since), after);
    }

    #[test]
    fn the_order_of_all_is_that_of_the_discriminants() {
        for (index, severity) in Severity::ALL.into_iter().enumerate() {
            assert_eq!(severity as usize, index);
        }
        for (index, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
