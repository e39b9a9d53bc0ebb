//! A batch's columns to findings, rule by rule, on one thread.
//!
//! A fault ends the part of one rule in one batch: it is counted, the instance is dropped (the next call makes a fresh
//! one), and the findings of all other rules are what they would have been without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashSet, HashSetExt};

use super::bindings::exports::betrace::rule::types::Batch;
use super::candidates::Finder;
use super::finding::{self, Asked, Finding};
use super::gather::{CallLimits, Gather, Reader, Taken};
use super::instance::{Instance, StartError};
use super::rule::Rule;
use super::runtime::Engine;
use super::set::RuleSet;
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
    /// How long each rule of the batch took by the clock.
    took: Vec<(u32, Duration)>,
    /// The rule set that the warm instances belong to.
    set: Option<u64>,
}

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
            took: Vec::new(),
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
        self.all(set, columns, traces, findings, &mut Tally::Counters);
    }

    /// As [`evaluate`](Self::evaluate), for live traffic at `now`: a rule that keeps faulting is left out for a while, as its
    /// breaker says. What went wrong is appended to `incidents`.
    pub fn evaluate_live(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
        now: Time,
        incidents: &mut Vec<Incident>,
    ) {
        let engine = self.engine.clone();
        let mut tally = Tally::Live(Live {
            now,
            limits: &engine.limits().breaker,
            incidents,
            probe: None,
        });
        self.all(set, columns, traces, findings, &mut tally);
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
        self.all(set, columns, traces, findings, &mut tally);
    }

    fn all(
        &mut self,
        set: &RuleSet,
        columns: &Columns,
        traces: &[Trace],
        findings: &mut Vec<Finding>,
        tally: &mut Tally<'_>,
    ) {
        debug_assert_eq!(
            columns.offsets.len(),
            traces.len() + 1,
            "columns of other traces"
        );
        self.enter(set);
        // Taken out, so that it can be read while instances are called.
        let mut finder = std::mem::take(&mut self.finder);
        finder.find(&set.candidates, columns);
        let waited = self.waits.now();
        self.took.clear();
        let mut started = Instant::now();
        for &rule in finder.touched() {
            self.run(
                set,
                columns,
                rule,
                finder.traces(&set.candidates, rule),
                findings,
                tally,
            );
            let ended = Instant::now();
            self.took.push((rule, ended - started));
            started = ended;
        }
        self.finder = finder;
        if tally.counts() {
            self.count_time(set, waited);
        }
    }

    /// Enters what each rule took of the processor. One reading a batch: what a rule waited is told from what another did
    /// by how long each took.
    fn count_time(&mut self, set: &RuleSet, waited_before: Option<Duration>) {
        let waited = match (waited_before, self.waits.now()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => Duration::ZERO,
        };
        for (rule, nanoseconds) in waits::at_work(&self.took, waited) {
            if let Some(rule) = set.rules.get(rule as usize) {
                rule.counters().worked(nanoseconds);
            }
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
            if !tally.goes_on(index, rest) {
                return;
            }
            let (count, oversized) = match self.gather.take(&reader, rest, limits) {
                Taken::Call { traces, oversized } => (traces, oversized),
                Taken::TooLarge => {
                    tally.input_too_large(rule, index, rest[0]);
                    rest = &rest[1..];
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
            match self.call(rule, &asked, findings, tally) {
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
