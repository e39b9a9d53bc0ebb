//! Complete traces in, signals out: columns, rules, evidence. One a thread; buffers and instances are kept.

use std::sync::Arc;

use crate::assemble::trace::{Requests, Trace};
use crate::columns::batch::Columns;
use crate::engine::{Engine, Finding, Incident, Moment, RuleSet, Worker};
use crate::signal::Emission;
use crate::signal::judge::{Judged, Unfinished, signals};

/// Where signals go that need not wait for the rest of their batch.
type Early<'a> = &'a mut dyn FnMut(Vec<Emission>);

/// Judges batches of complete traces.
pub struct Judge {
    worker: Worker,
    columns: Columns,
    findings: Vec<Finding>,
    incidents: Vec<Incident>,
    unfinished: Unfinished,
    outlines: bool,
    invalid_utf8: u64,
}

impl Judge {
    /// `unfinished` says which findings count in a drained trace, `outlines` whether signals carry their trace for drawing.
    pub fn new(engine: Arc<Engine>, unfinished: Unfinished, outlines: bool) -> Judge {
        Judge {
            worker: Worker::new(engine),
            columns: Columns::default(),
            findings: Vec::new(),
            incidents: Vec::new(),
            unfinished,
            outlines,
            invalid_utf8: 0,
        }
    }

    /// Judges a batch by one rule set and appends its signals, in the order of traces. `detected_at` is the time now, in
    /// Unix nanoseconds.
    pub fn judge(
        &mut self,
        set: &RuleSet,
        requests: &impl Requests,
        traces: &[Trace],
        detected_at: u64,
        out: &mut Vec<Emission>,
    ) {
        self.run(set, requests, traces, detected_at, None, out);
    }

    /// As [`judge`](Self::judge), for live traffic: rules that keep faulting are left out for a while, and rules that are dear
    /// hold up nobody. `early` is given the signals of the others before those are asked; the rest is appended to `out`.
    /// Returns what went wrong.
    pub fn judge_live(
        &mut self,
        set: &RuleSet,
        requests: &impl Requests,
        traces: &[Trace],
        (moment, detected_at): (Moment, u64),
        early: Early<'_>,
        out: &mut Vec<Emission>,
    ) -> &[Incident] {
        self.incidents.clear();
        self.run(
            set,
            requests,
            traces,
            detected_at,
            Some((moment, early)),
            out,
        );
        &self.incidents
    }

    fn run(
        &mut self,
        set: &RuleSet,
        requests: &impl Requests,
        traces: &[Trace],
        detected_at: u64,
        live: Option<(Moment, Early<'_>)>,
        out: &mut Vec<Emission>,
    ) {
        if traces.is_empty() || set.rules.is_empty() {
            return;
        }
        self.columns.project(&set.projection, requests, traces);
        self.invalid_utf8 += self.columns.symbols.invalid_utf8();
        self.findings.clear();
        let (columns, findings) = (&self.columns, &mut self.findings);
        let judged = Judged {
            set,
            columns,
            traces,
            requests,
            unfinished: self.unfinished,
            outlines: self.outlines,
            detected_at,
        };
        match live {
            None => self.worker.evaluate(set, columns, traces, findings),
            Some((moment, early)) => {
                let incidents = &mut self.incidents;
                let mut between = |findings: &mut Vec<Finding>| {
                    let mut quick = Vec::new();
                    if !findings.is_empty() {
                        signals(&judged, findings, &mut quick);
                        findings.clear();
                    }
                    early(quick);
                };
                self.worker.evaluate_fairly(
                    set,
                    columns,
                    traces,
                    findings,
                    moment,
                    incidents,
                    &mut between,
                );
            }
        }
        if !findings.is_empty() {
            signals(&judged, findings, out);
        }
    }

    /// Texts that rules read and that are not UTF-8, in all batches.
    pub fn invalid_utf8(&self) -> u64 {
        self.invalid_utf8
    }

    /// The columns of the last batch.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }
}
