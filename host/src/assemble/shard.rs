//! A shard: the open traces of the ids that hash to it. Single-threaded; the time is an argument.
//!
//! ```text
//! insert(parcel, now) -> poll(now, out) -> judge the traces -> release(trace)
//!                                          drain(now, mode, out) at the end
//! ```
//!
//! Every span inserted ends in exactly one trace, or is counted as duplicate or late. A trace is given out once. Its
//! spans' requests stay until it is released.

mod arrival;
mod logged;

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;

use super::compact::compact;
use super::completion::Completer;
use super::counters::Counters;
use super::deadlines::{Deadlines, NEAR, Visit};
use super::decided::Decided;
use super::duplicates::Duplicates;
use super::held::HeldRequests;
use super::limits::Limits;
use super::logged::LoggedTraces;
use super::open::{HAS_ROOT, LOOKED, OpenTraces, REMOTE_ROOT, WATCHED};
use super::table::{Place, Table};
use super::trace::{Completion, Keeping, Parcel, Requests, SpanRef, Trace};
use super::verdict::{Verdict, judge};
use crate::otlp::request::Request;
use crate::time::Time;

/// How many expired verdicts one call forgets at most, so that a clock that jumps stalls nobody.
const FORGET_AT_ONCE: u32 = 1024;

/// Percent of the others that dead bytes may come to: references and traces themselves take a tenth of the bytes of spans, and
/// all together should stay within 1.3 times these.
const TOLERATED_DEAD_PERCENT: u64 = 15;

/// What ends the input, and so completes every open trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainMode {
    /// The host stops while spans are still on their way. A trace whose root has come lacks only `settle` and completes by
    /// `Root`; any other is `Drained`. One that might have a remote root is `Drained` too: that a parent is missing means
    /// something only after `settle`.
    Stop,
    /// The input is at its end and everything has come. A trace that has a root, be it a remote one, completes by `Root`;
    /// any other is `Drained`.
    End,
}

/// Where a trace is, as far as a shard knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// No span of it came, or it was forgotten since.
    Never,
    /// Its spans are being gathered.
    Open { spans: u64, age: Duration },
    Judged {
        completion: Completion,
        /// The rule set that judged it.
        generation: u64,
        /// Spans that came too late to be judged.
        late: u32,
        keeping: Keeping,
        ago: Duration,
    },
}

#[derive(Debug)]
pub struct Shard {
    limits: Limits,
    now: Time,
    generation: u64,
    traces: OpenTraces,
    table: Table,
    decided: Decided,
    deadlines: Deadlines,
    requests: HeldRequests,
    /// Of the traces that came to a cap and below it again, by index.
    watched: HashMap<u32, Duplicates, foldhash::fast::RandomState>,
    watched_bytes: u64,
    completer: Completer,
    /// Completed by a cap or by eviction; the next poll gives them out.
    waiting: VecDeque<Trace>,
    logged: LoggedTraces,
    counters: Counters,
}

impl Shard {
    /// Takes the limits as they are: [`Limits::check`] says whether they make sense.
    pub fn new(limits: Limits) -> Shard {
        Shard {
            now: Time::default(),
            generation: 0,
            traces: OpenTraces::default(),
            table: Table::default(),
            decided: Decided::new(limits.remember, limits.remember_traces),
            deadlines: Deadlines::new(limits.settle),
            requests: HeldRequests::new(),
            watched: HashMap::default(),
            watched_bytes: 0,
            completer: Completer::default(),
            waiting: VecDeque::new(),
            logged: LoggedTraces::default(),
            counters: Counters::default(),
            limits,
        }
    }

    /// The rule set that judges traces which complete from now on; it is remembered with them.
    pub fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Where a trace is. A shard that nothing comes to has not seen the time for long, so it is told.
    pub fn whereabouts(&self, id: &[u8; 16], now: Time) -> Whereabouts {
        let now = self.now.max(now);
        let open = |index| {
            let open = self.traces.get(index)?;
            Some(Whereabouts::Open {
                spans: open.spans.len() as u64,
                age: now.since(open.opened),
            })
        };
        let judged = |number| {
            let trace = self.decided.get(number)?;
            Some(Whereabouts::Judged {
                completion: trace.completion,
                generation: trace.generation,
                late: trace.late,
                keeping: trace.keeping,
                ago: now.since(trace.at),
            })
        };
        let known = match self.place(id) {
            Some(Place::Open(index)) => open(index),
            Some(Place::Decided(number)) => judged(number),
            None => None,
        };
        known.unwrap_or(Whereabouts::Never)
    }

    /// What became of a judged trace, to be told when somebody asks. Most of a flood are [`Keeping::Skipped`], which need not be
    /// said: this is a look into the table.
    pub fn was_kept(&mut self, id: &[u8; 16], keeping: Keeping) {
        if let Some(Place::Decided(number)) = self.place(id) {
            self.decided.was_kept(number, keeping);
        }
    }

    fn place(&self, id: &[u8; 16]) -> Option<Place> {
        self.table.find(self.table.hash(id), |place| match place {
            Place::Open(index) => self.traces.is(index, id),
            Place::Decided(number) => self.decided.is(number, id),
        })
    }

    /// Takes the spans of a request. Traces that come to a cap or have to go for want of memory are complete after this
    /// and wait for the next poll, so poll after every insert or after a few.
    pub fn insert(&mut self, parcel: Parcel, now: Time) {
        self.set_clock(now);
        self.counters.spans += parcel.spans.len() as u64;
        if !parcel.spans.is_empty() {
            let request = self.requests.add(&parcel);
            self.insert_spans(request, &parcel.spans);
        }
        self.keep_within_memory();
    }

    /// Gives out traces that are complete, until they are a batch ([`Limits::batch_spans`]). Returns whether there may be
    /// more: then call again when the batch is done.
    #[must_use = "true: more traces are complete, call again"]
    pub fn poll(&mut self, now: Time, out: &mut Vec<Trace>) -> bool {
        self.set_clock(now);
        self.tidy();
        let mut batch = Batch::new(&self.limits, out);
        while !batch.is_full() {
            if let Some(trace) = self.waiting.pop_front() {
                batch.push(trace);
                continue;
            }
            let Some(visit) = self.deadlines.next(self.now) else {
                return false;
            };
            if let Some(trace) = self.visit(visit) {
                batch.push(trace);
            }
        }
        true
    }

    /// No trace completes before this, unless spans come; none without open traces. It may be early, never late.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.waiting.is_empty() {
            return self.deadlines.earliest();
        }
        Some(self.now)
    }

    /// Completes every open trace, oldest first, and gives out a batch as [`Shard::poll`] does. Returns whether there are
    /// more.
    #[must_use = "true: more traces are open, call again"]
    pub fn drain(&mut self, now: Time, mode: DrainMode, out: &mut Vec<Trace>) -> bool {
        self.set_clock(now);
        let mut batch = Batch::new(&self.limits, out);
        while !batch.is_full() {
            if let Some(trace) = self.waiting.pop_front() {
                batch.push(trace);
                continue;
            }
            let Some(oldest) = self.traces.oldest() else {
                return false;
            };
            let completion = self.last_verdict(oldest, mode);
            if let Some(trace) = self.complete(oldest, completion) {
                batch.push(trace);
            }
        }
        true
    }

    /// Takes a trace back: the requests that only it needed are let go, and its references name nothing any more.
    pub fn release(&mut self, trace: Trace) {
        for &span in &trace.spans {
            self.requests.take_back(span);
        }
        self.traces.recycle(trace.spans);
    }

    /// The bytes of a span of a trace that was given out.
    pub fn span(&self, span: SpanRef) -> &[u8] {
        self.requests.span(span)
    }

    pub fn counters(&self) -> Counters {
        let totals = self.requests.totals();
        Counters {
            open_traces: self.traces.len() as u64,
            open_spans: totals.open_spans,
            open_bytes: totals.open,
            memory_bytes: self.memory(),
            dead_bytes: totals.dead,
            held_requests: self.requests.len() as u64,
            held_bytes: totals.share,
            waiting: self.waiting.len() as u64,
            remembered: self.decided.len() as u64,
            ..self.counters
        }
    }

    /// A clock that goes back is a clock that stands.
    fn set_clock(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// Lets go of the duplicates that the completer found.
    fn drop_duplicates(&mut self) {
        self.counters.duplicates += self.completer.duplicates.len() as u64;
        for &span in &self.completer.duplicates {
            self.requests.drop_open(span);
        }
    }

    /// What counts against the bound on memory.
    fn memory(&self) -> u64 {
        let totals = self.requests.totals();
        totals.open + totals.dead + totals.rest + self.traces.bytes() + self.watched_bytes
    }

    fn keep_within_memory(&mut self) {
        while self.memory() > self.limits.memory_bytes {
            if self.compact_above(0) {
                continue;
            }
            let Some(oldest) = self.traces.oldest() else {
                return;
            };
            let trace = self.complete(oldest, Completion::Evicted);
            self.waiting.extend(trace);
        }
    }

    /// What need not happen at once: forgetting, and copying out of half-dead requests. Spans that were released while
    /// others of their request are open count as dead now, so memory may have run short.
    fn tidy(&mut self) {
        for _ in 0..FORGET_AT_ONCE {
            let Some((id, number)) = self.decided.forget_ended(self.now) else {
                break;
            };
            self.forget(&id, number);
        }
        self.compact_above(self.limits.dead_bytes);
        self.keep_within_memory();
    }

    /// Compacts if dead bytes are more than `tolerated` and 15 % of the others. At a ninth there would be something to
    /// copy, so this can't happen twice in a row.
    fn compact_above(&mut self, tolerated: u64) -> bool {
        let totals = self.requests.totals();
        let others = totals.open + totals.out + totals.rest;
        let most = tolerated.saturating_add(others * TOLERATED_DEAD_PERCENT / 100);
        let wanted = totals.dead > most;
        if wanted {
            let enough = totals.dead - most / 2;
            self.counters.compactions += 1;
            self.counters.compacted_spans += compact(&mut self.traces, &mut self.requests, enough);
        }
        wanted
    }

    fn forget(&mut self, id: &[u8; 16], number: u32) {
        let hash = self.table.hash(id);
        self.table.remove(hash, Place::Decided(number));
    }

    /// Looks at a trace whose time may have come: completes it, or puts it back.
    fn visit(&mut self, visit: Visit) -> Option<Trace> {
        let index = visit.index;
        if self.traces.get(index)?.spoke != visit.spoke {
            return None;
        }
        let at = match self.verdict(index)? {
            Verdict::Complete(completion, _) if visit.spoke == NEAR => {
                return self.complete(index, completion);
            }
            // Others of this spoke may have been due before it.
            Verdict::Complete(_, at) | Verdict::Wait(at) => at,
            // Looked at already.
            Verdict::Look => return None,
        };
        let spoke = self.deadlines.put(index, at);
        self.traces.get_mut(index)?.spoke = spoke;
        None
    }

    fn verdict(&mut self, index: u32) -> Option<Verdict> {
        let verdict = judge(self.traces.get(index)?, &self.limits, self.now);
        if verdict != Verdict::Look {
            return Some(verdict);
        }
        self.look_for_remote_root(index);
        Some(judge(self.traces.get(index)?, &self.limits, self.now))
    }

    fn look_for_remote_root(&mut self, index: u32) -> bool {
        let Some(open) = self.traces.get_mut(index) else {
            return false;
        };
        let found = self.completer.has_remote_root(&self.requests, &open.spans);
        open.flags |= if found { LOOKED | REMOTE_ROOT } else { LOOKED };
        found
    }

    /// The verdict of a trace that nothing more will come for.
    fn last_verdict(&mut self, index: u32, mode: DrainMode) -> Completion {
        if let Some(Verdict::Complete(completion, _)) = self.verdict(index) {
            return completion;
        }
        let flags = self.traces.get(index).map_or(0, |open| open.flags);
        let has_root = match mode {
            DrainMode::Stop => flags & (HAS_ROOT | REMOTE_ROOT) != 0,
            DrainMode::End => {
                flags & (HAS_ROOT | REMOTE_ROOT) != 0 || self.look_for_remote_root(index)
            }
        };
        if has_root {
            Completion::Root
        } else {
            Completion::Drained
        }
    }

    /// Takes a trace out of the open ones and remembers it.
    fn complete(&mut self, index: u32, completion: Completion) -> Option<Trace> {
        let open = self.traces.close(index)?;
        self.logged.closed(open.segment);
        if open.flags & WATCHED != 0
            && let Some(watched) = self.watched.remove(&index)
        {
            self.watched_bytes -= watched.bytes();
        }
        let mut spans = open.spans;
        let facts = self.completer.finish(&self.requests, &mut spans);
        self.drop_duplicates();
        for &span in &spans {
            self.requests.give(span);
        }
        self.remember(open.id, index, completion);
        self.counters.completed[completion as usize] += 1;
        Some(Trace {
            id: open.id,
            spans,
            completion,
            missing_parents: facts.missing_parents,
            dropped: facts.dropped,
            root: facts.root,
            through: self.logged.newest(),
        })
    }

    fn remember(&mut self, id: [u8; 16], index: u32, completion: Completion) {
        let hash = self.table.hash(&id);
        if self.decided.is_off() {
            self.table.remove(hash, Place::Open(index));
            return;
        }
        let generation = self.generation;
        let number = self.decided.add(id, self.now, completion, generation);
        self.table
            .replace(hash, Place::Open(index), Place::Decided(number));
        if let Some((id, number)) = self.decided.forget_surplus() {
            self.counters.forgotten += 1;
            self.logged.forgot(id);
            self.forget(&id, number);
        }
    }
}

impl Requests for Shard {
    fn request(&self, index: u32) -> &Request {
        self.requests.request(index)
    }
}

/// Traces given out by one call.
struct Batch<'a> {
    out: &'a mut Vec<Trace>,
    spans_left: u64,
    bytes_left: u64,
}

impl Batch<'_> {
    fn new<'a>(limits: &Limits, out: &'a mut Vec<Trace>) -> Batch<'a> {
        Batch {
            out,
            spans_left: u64::from(limits.batch_spans).max(1),
            bytes_left: limits.batch_bytes.max(1),
        }
    }

    fn is_full(&self) -> bool {
        self.spans_left == 0 || self.bytes_left == 0
    }

    fn push(&mut self, trace: Trace) {
        let bytes: u64 = trace
            .spans
            .iter()
            .map(|span| u64::from(span.range.len))
            .sum();
        self.spans_left = self.spans_left.saturating_sub(trace.spans.len() as u64);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.out.push(trace);
    }
}
