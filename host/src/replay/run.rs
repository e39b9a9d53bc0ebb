//! Recorded requests through one shard, the rules and the signals, on the caller's thread.
//!
//! The clock stands still: what is recorded has all come when the input ends, so no trace settles or idles before that.
//! The bounds on a trace's spans and bytes and on memory hold as in `serve`, and are told in the [`Summary`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::explain::Picker;
use crate::assemble::counters::Counters;
use crate::assemble::limits::Limits;
use crate::assemble::shard::{DrainMode, Shard};
use crate::assemble::trace::{Parcel, Trace};
use crate::columns::census::tag_name;
use crate::columns::projection::{ColumnKey, Table};
use crate::engine::{Engine, RuleSet};
use crate::otlp::request::Request;
use crate::otlp::scan::{Malformed, Scan};
use crate::pipeline::judge::Judge;
use crate::signal::evidence::field_name;
use crate::signal::judge::Unfinished;
use crate::signal::{Certainty, Emission};
use crate::time::Time;

/// How a replay runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub limits: Limits,
    /// Whether signals are drawn for a person.
    pub outlines: bool,
    /// When the signals are said to be detected, in Unix nanoseconds.
    pub detected_at: u64,
}

/// What a replay saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub requests: u64,
    pub spans: u64,
    /// Spans without usable ids.
    pub rejected: u64,
    pub traces: u64,
    pub signals: u64,
    pub unsure: u64,
    pub assembly: Counters,
    /// Texts that rules read and that are not UTF-8.
    pub invalid_utf8: u64,
    /// Values of a type that their rule does not compare with.
    pub unlike: BTreeMap<Unlike, u64>,
}

/// A field whose values were of another type than its rule expects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unlike {
    pub rule: String,
    pub field: String,
    pub table: Table,
    /// What they were: `text`, `int`.
    pub tag: &'static str,
}

impl Unlike {
    /// Values with this tag in a column of a rule.
    pub fn new(rule: &str, column: &ColumnKey, tag: u8) -> Unlike {
        Unlike {
            rule: rule.to_owned(),
            field: field_name(column).unwrap_or_default(),
            table: column.table,
            tag: tag_name(tag),
        }
    }
}

/// A replay that goes on: requests in, signals out.
pub struct Replay {
    options: Options,
    set: Arc<RuleSet>,
    shard: Shard,
    judge: Judge,
    scan: Scan,
    traces: Vec<Trace>,
    summary: Summary,
    picker: Option<Picker>,
}

impl Replay {
    pub fn new(engine: Arc<Engine>, set: Arc<RuleSet>, options: Options) -> Replay {
        Replay {
            shard: Shard::new(options.limits.clone()),
            judge: Judge::new(engine, Unfinished::All, options.outlines),
            scan: Scan::default(),
            traces: Vec::new(),
            summary: Summary::default(),
            picker: None,
            set,
            options,
        }
    }

    /// Puts aside traces that are to be explained.
    pub fn pick(mut self, picker: Picker) -> Replay {
        self.picker = Some(picker);
        self
    }

    /// Takes a request. Signals come early only of traces that reach a bound.
    pub fn push(
        &mut self,
        request: bytes::Bytes,
        out: &mut Vec<Emission>,
    ) -> Result<(), Malformed> {
        let request = Request::scan(request, &mut self.scan)?;
        self.summary.requests += 1;
        self.summary.spans += self.scan.spans.len() as u64;
        self.summary.rejected += u64::from(self.scan.rejected);
        self.shard.insert(
            Parcel::whole(Arc::new(request), self.scan.spans.clone()),
            STANDSTILL,
        );
        loop {
            let more = self.shard.poll(STANDSTILL, &mut self.traces);
            self.judge_batch(out);
            if !more {
                return Ok(());
            }
        }
    }

    /// The input has ended: every trace is complete. Calls `emit` batch by batch, until it breaks off.
    pub fn finish(self, emit: impl FnMut(Vec<Emission>) -> ControlFlow<()>) -> Summary {
        self.finish_picked(emit).0
    }

    /// As [`finish`](Self::finish), with the traces that were put aside.
    pub fn finish_picked(
        mut self,
        mut emit: impl FnMut(Vec<Emission>) -> ControlFlow<()>,
    ) -> (Summary, Option<Picker>) {
        loop {
            let more = self
                .shard
                .drain(STANDSTILL, DrainMode::End, &mut self.traces);
            let mut out = Vec::new();
            self.judge_batch(&mut out);
            if emit(out).is_break() || !more {
                break;
            }
        }
        self.summary.assembly = self.shard.counters();
        (self.summary, self.picker)
    }

    /// Judges the traces that are complete, and lets them go.
    fn judge_batch(&mut self, out: &mut Vec<Emission>) {
        if self.traces.is_empty() {
            return;
        }
        let before = out.len();
        let at = self.options.detected_at;
        self.judge
            .judge(&self.set, &self.shard, &self.traces, at, out);
        self.count();
        let new = out.get(before..).unwrap_or_default();
        self.summary.signals += new.len() as u64;
        self.summary.unsure += new
            .iter()
            .filter(|emission| emission.signal.certainty == Certainty::Unsure)
            .count() as u64;
        if let Some(picker) = &mut self.picker {
            picker.take(self.judge.columns(), &self.traces, &self.shard, new);
        }
        for trace in self.traces.drain(..) {
            self.shard.release(trace);
        }
    }

    fn count(&mut self) {
        let columns = self.judge.columns();
        self.summary.traces += self.traces.len() as u64;
        self.summary.invalid_utf8 += columns.symbols.invalid_utf8();
        for (rule, binding) in self.set.rules.iter().zip(&self.set.bindings) {
            for (column, index) in rule.manifest.columns.iter().zip(&binding.columns) {
                let Some(rows) = columns.columns.get(*index as usize) else {
                    continue;
                };
                let census = rows.census(0..u32::MAX);
                for (tag, count) in census.unlike(column.compared.into()) {
                    let unlike = Unlike::new(&rule.id, &column.key, tag);
                    *self.summary.unlike.entry(unlike).or_default() += count;
                }
            }
        }
    }
}

/// The one time of a replay.
const STANDSTILL: Time = Time(0);
