//! A batch's columns to findings, rule by rule, on one thread.
//!
//! A fault ends the part of one rule in one batch: it is counted, the instance is dropped (the next call makes a fresh
//! one), and the findings of all other rules are what they would have been without it.

use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashSet, HashSetExt};

use super::bindings::exports::betrace::rule::types::Batch;
use super::candidates::Finder;
use super::finding::{self, Asked, Finding};
use super::gather::{CallLimits, Gather, Reader, Taken};
use super::instance::{Instance, StartError};
use super::laps::Laps;
use super::rule::Rule;
use super::runtime::Engine;
use super::set::RuleSet;
use super::share::Ledger;
use super::tally::{Incident, Live, Stop, Tally, Tried};
use super::waits::{self, Waits};
use super::warm::Warm;
use crate::assemble::trace::Trace;
use crate::columns::batch::Columns;
use crate::time::Time;

/// Evaluates rules. Each worker thread has its own, with its own instances.
pub struct Worker {
    engine: Arc<Engine>,
    warm: Warm,
    finder: Finder,
    gather: Gather,
    waits: Waits,
    laps: Laps,
    /// Rules that the batch concerns, in the order that they are asked.
    order: Vec<u32>,
    /// What each rule took lately of this thread, in live traffic.
    ledger: Ledger,
    /// The rule set that the warm instances and the ledger belong to.
    set: Option<u64>,
}

/// When a batch of live traffic is judged.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Time,
    /// The worker is behind what arrives, so that no rule may have more than its share.
    pub lags: bool,
}

/// What becomes of the findings of the rules that are quick, before those that are dear are asked.
type Between<'a> = &'a mut dyn FnMut(&mut Vec<Finding>);

impl Worker {
    pub fn new(engine: Arc<Engine>) -> Self {
        let warm = engine.limits().warm_instances;
        Self::with_warm(engine, warm)
    }

    /// A worker beside those that the pool is made for: it keeps no more than so many instances.
    pub fn with_warm(engine: Arc<Engine>, warm: usize) -> Self {
        Self {
            warm: Warm::new(warm),
            engine,
            finder: Finder::default(),
            gather: Gather::default(),
            waits: Waits::default(),
            laps: Laps::default(),
            order: Vec::new(),
            ledger: Ledger::default(),
            set: None,
        }
    }

    /// Runs the rules of `set` over the traces that are candidates for each, and appends what they find, ordered by rule,
    /// trace and clause. `columns` are `set.projection`'s of `traces`.
    pub fn evaluate(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
    ) {
        self.all(set, columns, traces, findings, &mut Tally::Counters, None);
    }

    /// As [`evaluate`](Self::evaluate), for live traffic at `now` that the worker keeps up with: a rule that keeps faulting is
    /// left out for a while, as its breaker says. What went wrong is appended to `incidents`.
    pub fn evaluate_live(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
        now: Time,
        incidents: &mut Vec<Incident>,
    ) {
        let moment = Moment { now, lags: false };
        self.live(set, columns, traces, findings, moment, incidents, None);
    }

    /// As [`evaluate_live`](Self::evaluate_live), fair to all rules: those that took long the last time go last, and `between` is
    /// called before them with what the others found, to take it away. While the worker lags, a rule that has had its share is
    /// passed over.
    #[expect(
        clippy::too_many_arguments,
        reason = "a batch, when it is, and where what comes of it goes"
    )]
    pub fn evaluate_fairly(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
        moment: Moment,
        incidents: &mut Vec<Incident>,
        between: &mut dyn FnMut(&mut Vec<Finding>),
    ) {
        let between = Some(between);
        self.live(set, columns, traces, findings, moment, incidents, between);
    }

    #[expect(clippy::too_many_arguments, reason = "as above")]
    fn live(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
        moment: Moment,
        incidents: &mut Vec<Incident>,
        between: Option<Between<'_>>,
    ) {
        let engine = self.engine.clone();
        let mut tally = Tally::Live(Live {
            now: moment.now,
            limits: &engine.limits().breaker,
            incidents,
            probe: None,
            lags: moment.lags,
        });
        self.all(set, columns, traces, findings, &mut tally, between);
    }

    /// As [`evaluate`](Self::evaluate), but nothing is counted or logged of it: which traces a rule has no verdict on is
    /// noted in `tried`. A fault costs the traces of its call only. Ends early once `halted` says so.
    pub fn try_out(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
        tried: &mut Tried,
        halted: &dyn Fn() -> bool,
    ) {
        tried.unjudged.clear();
        let mut tally = Tally::Trial { tried, halted };
        self.all(set, columns, traces, findings, &mut tally, None);
    }

    fn all(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
        tally: &mut Tally<'_>,
        mut between: Option<Between<'_>>,
    ) {
        debug_assert_eq!(
            columns.offsets.len(),
            traces.len() + 1,
            "columns of other traces"
        );
        self.enter(set);
        // Taken out, so that it can be read while instances are called.
        let mut finder = std::mem::take(&mut self.finder);
        let mut order = std::mem::take(&mut self.order);
        finder.find(&set.candidates, columns);
        order.clear();
        order.extend_from_slice(finder.touched());
        let waited = self.waits.now();
        if let Some(now) = tally.now() {
            self.open_accounts(now, waited);
        }
        let quick = match between {
            Some(_) => self.ledger.dear_last(&mut order),
            None => order.len(),
        };
        self.laps.start(waited);
        for (at, &rule) in order.iter().enumerate() {
            if at == quick
                && at > 0
                && let Some(between) = &mut between
            {
                between(findings);
                self.laps.go_on();
            }
            let traces = finder.traces(&set.candidates, rule);
            self.run(set, columns, rule, traces, findings, tally);
        }
        self.finder = finder;
        self.order = order;
        if tally.counts() {
            self.count_time(set, tally.now());
            set.judges(traces.len());
        }
    }

    fn open_accounts(&mut self, now: Time, waited: Option<Duration>) {
        // By the clock, but for what the thread waited for a processor: on a busy machine no rule is to blame for that.
        let age = now.since(Time::default());
        let age = age.saturating_sub(waited.unwrap_or_default());
        self.ledger.begin(&self.engine.limits().share, age);
    }

    /// Enters what each rule took of the processor. One reading a batch: what a call waited is told from what another did by
    /// how long each took.
    fn count_time(&mut self, set: &RuleSet, now: Option<Time>) {
        let waited = self.laps.waited(self.waits.now());
        for (lap, nanoseconds) in waits::at_work(self.laps.all(), waited) {
            let Some(rule) = set.rules.get(lap.rule as usize) else {
                continue;
            };
            rule.counters().worked(nanoseconds);
            if lap.is_call {
                rule.counters().timed(nanoseconds, now.unwrap_or_default());
            }
            if now.is_some() {
                self.ledger.charge(lap.rule, nanoseconds);
            }
        }
    }

    /// Whether a rule has had its share, with what it took in this batch.
    fn has_had_its_share(&mut self, rule: u32) -> bool {
        let took = self.laps.of_last(rule);
        self.ledger.is_over(rule, took) && {
            // By the clock; what the thread waited meanwhile is read where it matters.
            let waited = self.laps.waited(self.waits.now());
            self.ledger.is_over(rule, took.saturating_sub(waited))
        }
    }

    /// Instances that wait for their next call.
    pub fn warm_instances(&self) -> usize {
        self.warm.len()
    }

    fn enter(&mut self, set: &RuleSet) {
        if self.set == Some(set.key) {
            return;
        }
        self.set = Some(set.key);
        self.finder = Finder::default();
        self.ledger.enter(set.rules.iter().map(|rule| rule.key()));
        let mut keys = HashSet::with_capacity(set.rules.len());
        keys.extend(set.rules.iter().map(|rule| rule.key()));
        self.warm.keep(|rule| keys.contains(&rule));
    }

    /// One rule over its candidate traces, if it may be asked.
    fn run(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        index: u32,
        traces: &[u32],
        findings: &mut Vec<Finding>,
        tally: &mut Tally<'_>,
    ) {
        let rule = &set.rules[index as usize];
        if tally.asks(rule, index, traces) {
            self.calls(set, columns, index, traces, findings, tally);
            tally.asked(rule);
        }
    }

    /// As many calls of a rule as the size of its candidate traces asks for.
    fn calls(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        index: u32,
        traces: &[u32],
        findings: &mut Vec<Finding>,
        tally: &mut Tally<'_>,
    ) {
        let rule = &set.rules[index as usize];
        let reader = Reader {
            layout: rule.layout(),
            binding: &set.bindings[index as usize],
            offsets: set.offsets,
            columns,
            constants: set.projection.constants.len(),
        };
        let limits = self.engine.limits();
        let clauses = rule.manifest.clauses.len();
        let limits = CallLimits {
            call_bytes: limits.call_bytes,
            trace_bytes: limits.trace_bytes,
            traces: (limits.findings / clauses.max(1)).max(1),
        };
        let mut rest = traces;
        while !rest.is_empty() {
            if !tally.goes_on(rule, index, rest, || self.has_had_its_share(index)) {
                return;
            }
            let (count, oversized) = match self.gather.take(&reader, rest, limits) {
                Taken::Call { traces, oversized } => (traces, oversized),
                Taken::TooLarge => {
                    tally.input_too_large(rule, index, rest[0]);
                    rest = &rest[1..];
                    self.laps.end(index, false);
                    continue;
                }
            };
            self.gather.write(&reader);
            let (now, later) = rest.split_at(count);
            let asked = Asked {
                rule: index,
                traces: now,
                clauses,
                most: self.engine.limits().findings,
            };
            let calls = self.laps.called;
            let called = self.call(rule, &asked, findings, tally);
            self.laps.end(index, self.laps.called != calls);
            match called {
                Ok(()) => {}
                // One trace, more than a call should bring, and not enough memory for it: the host's bound.
                Err(stop) if oversized && stop.is_memory() => {
                    tally.input_too_large(rule, index, rest[0]);
                }
                Err(stop) => {
                    if !tally.stopped(rule, index, (now, later), stop) {
                        return;
                    }
                }
            }
            rest = later;
        }
    }

    fn call(
        &mut self,
        rule: &Arc<Rule>,
        asked: &Asked<'_>,
        findings: &mut Vec<Finding>,
        tally: &mut Tally<'_>,
    ) -> Result<(), Stop> {
        let mut instance = self.instance(rule, tally)?;
        let gather = &self.gather;
        let batch = Batch {
            traces: gather.traces() as u32,
            spans: gather.spans,
            events: gather.events,
            links: gather.links,
            symbols: gather.symbols,
            w32: &gather.w32,
            w64: &gather.w64,
            w8: &gather.w8,
        };
        let before = findings.len();
        let result = instance.evaluate(batch);
        tally.called(rule, asked.traces.len());
        self.laps.called += 1;
        result
            .and_then(|found| finding::accept(found, asked, gather, findings))
            .map_err(|fault| Stop::Fault {
                fault,
                call: instance.calls(),
            })?;
        tally.found(rule, findings.len() - before);
        if instance.grown_bytes() <= self.engine.limits().keep_bytes {
            self.warm.put(rule.key(), instance);
        }
        Ok(())
    }

    fn instance(&mut self, rule: &Arc<Rule>, tally: &Tally<'_>) -> Result<Instance, Stop> {
        // One of code that has been replaced by better code goes.
        if let Some(instance) = self.warm.take(rule.key())
            && instance.is_of(rule.code())
        {
            return Ok(instance);
        }
        self.warm.make_room();
        loop {
            match rule.instance(&self.engine) {
                Ok(instance) => {
                    tally.instance_made(rule);
                    return Ok(instance);
                }
                Err(StartError::Fault(fault)) => return Err(Stop::Fault { fault, call: 0 }),
                Err(StartError::PoolFull) if self.warm.evict() => {}
                Err(StartError::PoolFull) => return Err(Stop::PoolFull),
            }
        }
    }
}
