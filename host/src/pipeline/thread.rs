//! The thread of one shard: spans from the router's queue, traces judged as they complete, signals to the sink.
//!
//! A batch is what is complete when the thread turns to it: one trace when idle, up to the shard's `batch_spans` under
//! load. It ends when every sender of the queue is gone, after what was queued is judged; traces that are open then are judged as
//! they are, or left in the write-ahead log where there is one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, TryRecvError, after, never, select};

use super::aftermath::Aftermath;
use super::giants;
use super::judge::Judge;
use super::lag::Lag;
use crate::assemble::counters::Counters;
use crate::assemble::limits::Limits;
use crate::assemble::shard::{DrainMode, Shard, Whereabouts};
use crate::assemble::trace::{Keeping, Parcel, Trace};
use crate::engine::{Moment, RuleSet};
use crate::ingest::Routed;
use crate::replay::ring::{JudgedBatch, Part};
use crate::rules::Published;
use crate::signal::Emission;
use crate::sinks::Sink;
use crate::time::Time;
use crate::wal::{Decided, Decision, Hold, Judged, Pressure, recover::Remembered};

/// What the clock shows at the start of the process, so that it can tell of what was decided before: the longest that a trace
/// can be remembered.
const HEAD_START: Duration = crate::assemble::limits::LONGEST;

/// The time of this process, for stages that take it as an argument.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    pub fn start() -> Clock {
        let now = Instant::now();
        Clock {
            started: now.checked_sub(HEAD_START).unwrap_or(now),
        }
    }

    /// The time of a process that started then.
    pub fn started(started: Instant) -> Clock {
        Clock { started }
    }

    /// Monotonic.
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// The time of this clock at an instant; its start where that was before.
    pub fn at(&self, instant: Instant) -> Time {
        Time::default().after(instant.saturating_duration_since(self.started))
    }

    /// The wall clock, in Unix nanoseconds; 0 before 1970.
    pub fn unix_ns() -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What a thread has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub assembly: Counters,
    /// Texts that rules read and that are not UTF-8.
    pub invalid_utf8: u64,
    /// How long what the last turn began with had waited; nothing once the thread has caught up.
    pub behind: Duration,
    /// Turns that began with a lag.
    pub lagging_turns: u64,
}

/// What a thread shows to others, as of its last turn.
pub type Shown = Arc<Mutex<Progress>>;

/// A question to a shard: where is this trace?
#[derive(Debug)]
pub struct Ask {
    pub id: [u8; 16],
    pub answer: Sender<Whereabouts>,
}

/// What a shard was told before the host started.
#[derive(Debug)]
pub enum Past {
    /// Traces that were decided, first those that were decided first.
    Decided(Vec<Remembered>),
    /// Spans of traces that were not.
    Spans(Parcel, Hold),
}

/// A shard's part in the write-ahead log.
#[derive(Debug)]
pub struct ShardLog {
    pub pressure: Pressure,
    /// Wakes it to look at the pressure.
    pub wake: Receiver<()>,
    /// Taken in before anything else, until its sender is gone.
    pub past: Receiver<Past>,
    /// Told how many traces are open after that.
    pub resumed: Sender<u64>,
}

/// All that a shard's thread owns.
pub struct ShardThread {
    pub limits: Limits,
    /// How long spans are taken in before what is complete is judged, while more are queued.
    pub batch_delay: Duration,
    /// How far it is behind, and when that is a lag.
    pub lag: Lag,
    pub incoming: Receiver<Routed>,
    /// Answered between batches.
    pub asks: Receiver<Ask>,
    pub judge: Judge,
    pub rules: Arc<Published>,
    /// Where judged traces are kept.
    pub ring: Arc<Part>,
    pub sink: Sink,
    pub aftermath: Aftermath,
    pub clock: Clock,
    pub shown: Shown,
    pub log: Option<ShardLog>,
}

/// What a turn begins with.
enum First {
    Spans(Box<Routed>),
    /// A trace may be complete, since then.
    Due(Time),
    Closed,
}

/// What taking spans in led to.
enum Turn {
    /// All that arrived before this time has been taken in, so traces can be judged by it.
    Until(Time),
    /// No more can come.
    Closed,
}

impl ShardThread {
    /// Runs until the queue is closed and empty and every open trace is judged.
    ///
    /// Each turn has one rule set, that of the moment when something came or fell due: it judges what completes in the turn.
    pub fn run(mut self) {
        let mut shard = Shard::new(self.limits.clone());
        let mut traces = Vec::new();
        let mut set = self.rules.current();
        self.replay(&mut shard, &set);
        while let Turn::Until(now) = self.receive(&mut shard, &mut set) {
            self.judge_complete(&mut shard, &set, now, &mut traces);
        }
        // Nothing waits any more: what is left is judged by all rules.
        self.lag.is_over();
        self.judge_complete(&mut shard, &set, self.clock.now(), &mut traces);
        if self.log.is_some() {
            return;
        }
        set = self.rules.current();
        shard.set_generation(set.generation);
        loop {
            let more = shard.drain(self.clock.now(), DrainMode::Stop, &mut traces);
            self.judge(&mut shard, &set, &mut traces);
            if !more {
                break;
            }
        }
        self.show(&shard);
    }

    /// Takes in what the log has of before. Meanwhile time stands still: no trace falls silent because reading takes long.
    fn replay(&mut self, shard: &mut Shard, set: &RuleSet) {
        let Some(log) = &self.log else {
            return;
        };
        let (past, logged_now) = (log.past.clone(), log.pressure.now());
        let mut traces = Vec::new();
        let now = self.clock.now();
        shard.set_generation(set.generation);
        for past in past {
            match past {
                Past::Decided(decided) => {
                    for past in decided {
                        shard.remember_decided(&past, now.before(past.ago), logged_now);
                    }
                }
                Past::Spans(parcel, hold) => shard.insert_logged(parcel, now, hold),
            }
            self.judge_complete(shard, set, now, &mut traces);
            while let Ok(ask) = self.asks.try_recv() {
                self.answer(shard, &ask);
            }
        }
        shard.resume(self.clock.now());
        if let Some(log) = &self.log {
            // Who asked may have given up.
            let _ = log.resumed.send(shard.counters().open_traces);
        }
    }

    /// Waits for spans or for the next trace to complete, then takes what else is queued, up to a batch.
    ///
    /// Spans count from when they arrived, and where some are left in the queue, time stands at the last one taken: a shard
    /// that lags must not take the silence of its own queue for the end of a trace.
    fn receive(&mut self, shard: &mut Shard, set: &mut Arc<RuleSet>) -> Turn {
        let first = self.first(shard);
        *set = self.rules.current();
        shard.set_generation(set.generation);
        let began = self.clock.now();
        let until = began.after(self.batch_delay);
        let mut spans = 0;
        let mut taken = match first {
            First::Spans(routed) => {
                let waited = began.since(self.clock.at(routed.arrived));
                let room = self.incoming.capacity().unwrap_or(usize::MAX);
                self.lag.turn(waited, self.incoming.len() > room / 2);
                self.take(shard, *routed, &mut spans)
            }
            First::Due(at) => {
                self.lag.turn(began.since(at), false);
                Time::default()
            }
            First::Closed => return Turn::Closed,
        };
        while spans < self.limits.batch_spans as usize {
            let looked = self.clock.now();
            match self.incoming.try_recv() {
                Ok(routed) => taken = self.take(shard, routed, &mut spans),
                Err(TryRecvError::Empty) => return Turn::Until(looked),
                Err(TryRecvError::Disconnected) => return Turn::Closed,
            }
            if looked >= until {
                break;
            }
        }
        Turn::Until(taken)
    }

    /// Waits for the first thing to do, and answers questions meanwhile.
    fn first(&mut self, shard: &Shard) -> First {
        let mut wake = self.log.as_ref().map_or_else(never, |log| log.wake.clone());
        // Under load there is no need to look at anything else, and no question waits longer than a turn.
        loop {
            if let Ok(ask) = self.asks.try_recv() {
                self.answer(shard, &ask);
                continue;
            }
            match self.incoming.try_recv() {
                Ok(routed) => return First::Spans(Box::new(routed)),
                Err(TryRecvError::Disconnected) => return First::Closed,
                Err(TryRecvError::Empty) => {}
            }
            if self.lag.is_over() {
                self.show(shard);
            }
            let next = shard.next_deadline();
            let due = match next {
                Some(at) => after(at.since(self.clock.now())),
                None => never(),
            };
            select! {
                recv(self.incoming) -> routed => return match routed {
                    Ok(routed) => First::Spans(Box::new(routed)),
                    Err(_) => First::Closed,
                },
                recv(self.asks) -> ask => match ask {
                    Ok(ask) => self.answer(shard, &ask),
                    Err(_) => self.asks = never(),
                },
                recv(due) -> _ => return First::Due(next.unwrap_or_default()),
                recv(wake) -> woken => match woken {
                    Ok(()) => return First::Due(self.clock.now()),
                    Err(_) => wake = never(),
                },
            }
        }
    }

    /// Takes a part of a request in; returns when it arrived.
    fn take(&self, shard: &mut Shard, routed: Routed, spans: &mut usize) -> Time {
        let arrived = self.clock.at(routed.arrived);
        *spans += routed.parcel.spans.len();
        match routed.hold {
            Some(hold) => shard.insert_logged(routed.parcel, arrived, hold),
            None => shard.insert(routed.parcel, arrived),
        }
        arrived
    }

    fn judge_complete(
        &mut self,
        shard: &mut Shard,
        set: &RuleSet,
        now: Time,
        traces: &mut Vec<Trace>,
    ) {
        if let Some(log) = &self.log {
            shard.evict_below(log.pressure.evict_below());
        }
        let mut giants = Vec::new();
        loop {
            let more = shard.poll(now, traces);
            giants::set_apart(traces, self.limits.batch_spans as usize, &mut giants);
            let mut decided = self.judge(shard, set, traces);
            // What the shard gives back to the log is also of those that still have to be judged.
            let holds = match giants.is_empty() {
                true => {
                    decided.extend(shard.take_forgotten());
                    shard.take_outgoing()
                }
                false => Vec::new(),
            };
            self.settle(decided, holds);
            if !more {
                break;
            }
        }
        for giant in giants {
            traces.push(giant);
            let decided = self.judge(shard, set, traces);
            self.settle(decided, Vec::new());
        }
        self.settle(shard.take_forgotten(), shard.take_outgoing());
        self.show(shard);
    }

    /// Judges a batch, offers it to the ring, sends its signals and gives its memory back. Returns what the log has to know.
    fn judge(
        &mut self,
        shard: &mut Shard,
        set: &RuleSet,
        traces: &mut Vec<Trace>,
    ) -> Vec<Decision> {
        if traces.is_empty() {
            return Vec::new();
        }
        let mut signals: Vec<Emission> = Vec::new();
        let judged_at = Clock::unix_ns();
        let when = (self.clock.now(), judged_at);
        let moment = Moment {
            now: when.0,
            lags: self.lag.lags(),
        };
        // Those of quick rules do not wait for dear ones.
        let mut left: Vec<Emission> = Vec::new();
        let sink = &self.sink;
        let mut early = |quick: Vec<Emission>| {
            left.extend_from_slice(&quick);
            sink.send(quick);
        };
        let at = (moment, judged_at);
        let judge = &mut self.judge;
        let incidents = judge.judge_live(set, shard, traces, at, &mut early, &mut signals);
        if !incidents.is_empty() {
            self.aftermath.follow(incidents, set, traces, shard, when);
        }
        let both = (!left.is_empty()).then(|| giants::together(traces, left, &signals));
        let batch = JudgedBatch {
            traces,
            requests: &*shard,
            signals: both.as_deref().unwrap_or(&signals),
            generation: set.generation,
            judged_at,
        };
        let decided = self.decided(traces, shard.remembers_none());
        let mut keepings = self.ring.offer_all(&batch, self.clock.now()).into_iter();
        for trace in traces.drain(..) {
            let keeping = keepings.next().unwrap_or_default();
            if keeping != Keeping::default() {
                shard.was_kept(&trace.id, keeping);
            }
            shard.release(trace);
        }
        self.sink.send(signals);
        decided
    }

    /// What of these traces the log has to know.
    fn decided(&self, traces: &[Trace], forgets: bool) -> Vec<Decision> {
        if !self.sink.is_kept() {
            return Vec::new();
        }
        let mut decided = Vec::with_capacity(traces.len());
        for trace in traces {
            let decision = Decision {
                id: trace.id,
                what: Decided::By(trace.completion as u8),
                through: trace.through,
            };
            decided.push(decision);
            // At once, so that no crash comes between.
            decided.extend(forgets.then_some(Decision {
                what: Decided::Forgotten,
                ..decision
            }));
        }
        decided
    }

    /// Says that all signals of these traces were sent, and what the log may let go with them.
    fn settle(&self, traces: Vec<Decision>, holds: Vec<Hold>) {
        if !traces.is_empty() || !holds.is_empty() {
            let at = self.log.as_ref().map_or(0, |log| log.pressure.now());
            self.sink.settle(Judged { at, traces, holds });
        }
    }

    fn answer(&self, shard: &Shard, ask: &Ask) {
        let found = shard.whereabouts(&ask.id, self.clock.now());
        // Who asked may have given up.
        let _ = ask.answer.try_send(found);
    }

    fn show(&self, shard: &Shard) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Progress {
            assembly: shard.counters(),
            invalid_utf8: self.judge.invalid_utf8(),
            behind: self.lag.behind(),
            lagging_turns: self.lag.turns(),
        };
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use crossbeam_channel::{bounded, unbounded};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    use super::*;
    use crate::assemble::trace::{Completion, Parcel};
    use crate::engine::{Engine, EngineLimits};
    use crate::ingest::Budget;
    use crate::otlp::request::Request;
    use crate::otlp::scan::Scan;
    use crate::replay::ring::{Ring, RingLimits};
    use crate::signal::judge::Unfinished;
    use crate::sinks;
    use crate::sinks::format::Format;
    use crate::sinks::stream::Stream;

    /// A part of the one trace: a span of this id.
    fn part(id: u8, parent: Option<u8>, arrived: Instant) -> Routed {
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![id; 8],
            parent_span_id: parent.map_or_else(Vec::new, |parent| vec![parent; 8]),
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans,
                ..ResourceSpans::default()
            }],
        };
        let mut scan = Scan::default();
        let request =
            Request::scan(Bytes::from(request.encode_to_vec()), &mut scan).expect("it is OTLP");
        Routed {
            parcel: Parcel::whole(Arc::new(request), scan.spans),
            permit: Arc::new(Budget::new(1).reserve(1).expect("there is room")),
            arrived,
            hold: None,
        }
    }

    /// A thread of one shard without rules, its queue, and whom to ask.
    fn thread(
        limits: Limits,
        clock: Clock,
        ring: Arc<Part>,
    ) -> (ShardThread, Sender<Routed>, Sender<Ask>) {
        let (queue, incoming) = unbounded();
        let (asker, asks) = unbounded();
        let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("default limits"));
        let stream = Stream::new("nowhere", Format::Json, Box::new(std::io::sink()));
        let (sink, _writer) = sinks::start(stream, 1).expect("a thread starts");
        let thread = ShardThread {
            limits,
            batch_delay: Duration::ZERO,
            lag: Lag::new(Duration::from_secs(1)),
            incoming,
            asks,
            ring,
            judge: Judge::new(engine, Unfinished::Stable, false),
            rules: Arc::new(Published::new(Vec::new())),
            sink,
            aftermath: Aftermath::new(bounded(1).0, None),
            clock,
            shown: Shown::default(),
            log: None,
        };
        (thread, queue, asker)
    }

    /// Asks until the answer is what is waited for: spans take their time from a queue to the shard.
    fn ask(
        asker: &Sender<Ask>,
        id: [u8; 16],
        wanted: impl Fn(&Whereabouts) -> bool,
    ) -> Whereabouts {
        let started = Instant::now();
        loop {
            let (answer, answered) = crossbeam_channel::bounded(1);
            asker.send(Ask { id, answer }).expect("the thread is there");
            let found = answered
                .recv_timeout(Duration::from_secs(60))
                .expect("an answer");
            if wanted(&found) {
                return found;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{found:?}");
        }
    }

    #[test]
    fn it_says_where_a_trace_is_and_keeps_what_it_has_judged() {
        let limits = Limits {
            settle: Duration::ZERO,
            ..Limits::default()
        };
        let ring = Ring::new(&RingLimits::default(), 1);
        let (thread, queue, asker) = thread(limits, Clock::start(), ring.part(0));
        let generation = thread.rules.current().generation;
        let running = std::thread::spawn(move || thread.run());
        let id = [1; 16];
        assert_eq!(ask(&asker, id, |_| true), Whereabouts::Never);

        // Without its root it is open; with it, complete at once.
        queue
            .send(part(2, Some(1), Instant::now()))
            .expect("the thread is there");
        let open = ask(&asker, id, |found| *found != Whereabouts::Never);
        assert!(
            matches!(open, Whereabouts::Open { spans: 1, .. }),
            "{open:?}"
        );
        assert!(ring.get(&id).is_none());
        queue
            .send(part(1, None, Instant::now()))
            .expect("the thread is there");
        let is_judged = |found: &Whereabouts| matches!(found, Whereabouts::Judged { .. });
        let judged = ask(&asker, id, is_judged);
        let Whereabouts::Judged {
            completion,
            generation: by,
            late,
            keeping,
            ..
        } = judged
        else {
            panic!("{judged:?}");
        };
        assert_eq!((completion, by, late), (Completion::Root, generation, 0));
        assert_eq!(keeping, Keeping::Kept);
        let kept = ring
            .get(&id)
            .expect("it was judged before it was asked for");
        assert_eq!((kept.spans.len(), kept.generation), (2, generation));

        queue
            .send(part(3, Some(1), Instant::now()))
            .expect("the thread is there");
        ask(&asker, id, |found| {
            matches!(found, Whereabouts::Judged { late: 1, .. })
        });

        // Nobody asks any more; the end comes all the same.
        drop(asker);
        drop(queue);
        running.join().expect("it ends");
    }

    /// Parts that arrived within `settle` are one trace, however late the thread gets to them.
    #[test]
    fn a_thread_that_lags_settles_no_trace_whose_spans_are_queued() {
        let started = Instant::now()
            .checked_sub(Duration::from_secs(100))
            .expect("a clock that reaches back");
        let limits = Limits {
            settle: Duration::from_secs(1),
            // One part a turn, so that there is a verdict to be had between any two.
            batch_spans: 1,
            ..Limits::default()
        };
        let ring = Ring::new(&RingLimits::default(), 1).part(0);
        let (thread, queue, _asker) = thread(limits, Clock { started }, ring);
        let shown = thread.shown.clone();
        queue
            .send(part(1, None, started))
            .expect("the thread is there");
        queue
            .send(part(2, Some(1), started + Duration::from_millis(500)))
            .expect("the thread is there");
        drop(queue);
        thread.run();
        let assembly = shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .assembly;
        assert_eq!(assembly.completed_by(Completion::Root), 1);
        assert_eq!((assembly.spans, assembly.late), (2, 0));
    }
}
