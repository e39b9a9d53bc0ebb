//! A rule that takes its time at each call, and a giant trace, beside rules and traces like all others: on real workers, with
//! times that are arguments.

mod guests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::assemble::limits::Limits;
use betrace::assemble::trace::Parcel;
use betrace::columns::projection::Intrinsic;
use betrace::engine::{Engine, EngineLimits, Finding, Moment, Rule, Worker};
use betrace::ingest::{Budget, Routed};
use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use betrace::pipeline::Judge;
use betrace::pipeline::aftermath::Aftermath;
use betrace::pipeline::lag::Lag;
use betrace::pipeline::thread::{Clock, ShardThread, Shown};
use betrace::replay::ring::{Ring, RingLimits};
use betrace::rules::Published;
use betrace::rules::update::{RuleState, RuleStatus};
use betrace::signal::Emission;
use betrace::signal::judge::Unfinished;
use betrace::sinks;
use betrace::time::Time;
use bytes::Bytes;
use crossbeam_channel::bounded;
use guests::{Describe, On, Reads, columns, engine_with, load, set, span};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// Rules beside the dear one: so many that its share is a quarter.
const HONEST: usize = 7;

/// An engine in which no rule ever reaches its deadline, however busy the machine is.
fn engine() -> Arc<Engine> {
    engine_with(EngineLimits {
        warm_instances: 32,
        deadline: Duration::from_secs(60),
        ..EngineLimits::for_workers(2)
    })
}

/// A rule that takes some ten milliseconds a call, and others that find each trace with a span `bypass`.
fn rules(engine: &Engine) -> Vec<Arc<Rule>> {
    let describe = |id| Describe {
        id,
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["bypass"],
        triggers: &[&[On::Name("bypass")]],
        ..Describe::default()
    };
    let ids = ["a", "b", "c", "d", "e", "f", "g"];
    let mut rules = vec![load(engine, "burn", &describe("dear"))];
    rules.extend(ids.map(|id| load(engine, "name", &describe(id))));
    assert_eq!(rules.len(), 1 + HONEST);
    rules
}

#[test]
fn a_dear_rule_goes_last_and_is_passed_over_while_its_worker_lags() {
    let engine = engine();
    let rules = rules(&engine);
    let (dear, honest) = (rules[0].clone(), rules[1].clone());
    let set = set(&rules);
    let mut worker = Worker::new(engine);
    let now = Time::default().after(Duration::from_secs(1));
    let (columns, traces) = columns(&set, &[vec![span("bypass", "pay")], vec![span("x", "pay")]]);
    // What was found before the dear rules were asked, if they were, and in all.
    let mut batch = |lags| {
        let (mut early, mut findings) = (None, Vec::new());
        let mut between = |found: &mut Vec<Finding>| early = Some(std::mem::take(found).len());
        let moment = Moment { now, lags };
        worker.evaluate_fairly(
            &set,
            &columns,
            &traces,
            &mut findings,
            moment,
            &mut Vec::new(),
            &mut between,
        );
        (early, findings.len())
    };
    assert_eq!(batch(false), (None, 1 + HONEST), "nobody knows it yet");
    // The clock stands, so that nothing is forgiven: it is far over its share after so many. On a machine that is busy with
    // other things a batch may tell of one rule what was another's, so not quite all are as they should be.
    let in_order = (0..100).filter(|_| {
        let (early, found) = batch(false);
        assert_eq!(early.unwrap_or_default() + found, 1 + HONEST);
        early == Some(HONEST)
    });
    let in_order = in_order.count();
    assert!(in_order > 70, "{in_order}");
    assert_eq!(dear.counts().passed_over, 0, "the worker keeps up");
    assert!(!dear.slow().is_slow(now));
    let took = dear.quantiles(now).expect("it was called").p50;
    assert!(took > Duration::from_millis(2), "{took:?}");
    assert!(honest.quantiles(now).expect("it was called").p50 < took);

    let (early, found) = batch(true);
    assert_eq!(early.unwrap_or_default() + found, HONEST);
    let counts = dear.counts();
    assert_eq!((counts.passed_over, counts.unjudged), (1, 1));
    assert_eq!((counts.evaluations, counts.traces), (101, 101));
    assert_eq!(set.counts(&dear).skipped, 0, "it was published nowhere");
    let status = RuleStatus::fixed(&dear);
    assert_eq!(status.state_now(now), RuleState::Slow);
    let later = now.after(Duration::from_secs(61));
    assert_eq!(status.state_now(later), RuleState::Active);
    let (early, found) = batch(false);
    assert_eq!(
        early.unwrap_or_default() + found,
        1 + HONEST,
        "it has caught up"
    );
    for honest in &rules[1..] {
        let counts = honest.counts();
        assert_eq!((counts.passed_over, counts.findings), (0, 103));
    }
}

#[test]
fn what_a_rule_was_spared_is_what_all_were_judged_by_without_it() {
    let engine = engine();
    let all = rules(&engine);
    let published = Published::new(all[1..3].to_vec());
    let mut worker = Worker::new(engine);
    let mut judge = |batch: &[Vec<guests::Span>]| {
        let set = published.current();
        let (columns, traces) = columns(&set, batch);
        worker.evaluate(&set, &columns, &traces, &mut Vec::new());
    };
    let concerned = || vec![span("bypass", "pay")];
    let other = || vec![span("x", "pay")];
    judge(&[concerned(), other(), other()]);
    let spared = |rule: usize| published.current().counts(&all[rule]).skipped;
    assert_eq!((spared(1), published.current().judged()), (2, 3));
    published.publish(all[1..4].to_vec());
    judge(&[other(), concerned(), other(), other()]);
    assert_eq!([1, 2, 3].map(spared), [5, 5, 3]);
}

/// A thread of one shard over a queue that was filled before it began.
struct Bench {
    rules: Vec<Arc<Rule>>,
    queue: Vec<Routed>,
    limits: Limits,
    /// When the host has started, and all that is queued has come.
    started: Instant,
}

/// What came of it.
struct Done {
    /// By the pieces in which they were sent: of which rule and trace.
    pieces: Vec<Vec<(String, u8)>>,
    lagging_turns: u64,
}

impl Bench {
    /// Everything has waited so long when the thread begins.
    fn new(engine: &Engine, waited: Duration) -> Bench {
        Bench {
            rules: rules(engine),
            queue: Vec::new(),
            limits: Limits {
                settle: Duration::ZERO,
                ..Limits::default()
            },
            started: Instant::now()
                .checked_sub(waited)
                .expect("a clock that reaches back"),
        }
    }

    fn send(&mut self, trace: u8, spans: usize) {
        self.queue.push(routed(trace, spans, self.started));
    }

    /// Runs the thread to the end of the queue. It lags once spans have waited for a minute.
    fn run(self, engine: &Arc<Engine>) -> Done {
        let (queue, incoming) = bounded(3 * self.queue.len());
        for routed in self.queue {
            queue.send(routed).expect("there is room");
        }
        drop(queue);
        let (sink, signals) = sinks::view(10_000);
        let shown = Shown::default();
        let thread = ShardThread {
            log: None,
            limits: self.limits,
            // All that fits into a batch.
            batch_delay: Duration::from_secs(3_600),
            lag: Lag::new(Duration::from_secs(60)),
            incoming,
            asks: bounded(1).1,
            judge: Judge::new(engine.clone(), Unfinished::All, false),
            rules: Arc::new(Published::new(self.rules)),
            ring: Ring::new(&RingLimits::default(), 1).part(0),
            sink,
            aftermath: Aftermath::new(bounded(1).0, None),
            clock: Clock::started(self.started),
            shown: shown.clone(),
        };
        thread.run();
        let piece = |piece: Vec<Emission>| {
            let of = |signal: &Emission| (signal.signal.rule.clone(), signal.trace_id[0]);
            piece.iter().map(of).collect()
        };
        let progress = *shown.lock().expect("nobody panicked");
        Done {
            pieces: signals.iter().map(piece).collect(),
            lagging_turns: progress.lagging_turns,
        }
    }
}

/// A trace of a root and so many spans `bypass`, as a shard gets it.
fn routed(trace: u8, spans: usize, arrived: Instant) -> Routed {
    let span = |number: usize| Span {
        trace_id: vec![trace; 16],
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: match number {
            0 => Vec::new(),
            _ => 1_u64.to_be_bytes().to_vec(),
        },
        name: "bypass".to_owned(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: (0..spans).map(span).collect(),
        ..ScopeSpans::default()
    }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    };
    let mut scan = Scan::default();
    let request = Request::scan(Bytes::from(request.encode_to_vec()), &mut scan);
    Routed {
        hold: None,
        parcel: Parcel::whole(Arc::new(request.expect("it is OTLP")), scan.spans),
        permit: Arc::new(Budget::new(1).reserve(1).expect("there is room")),
        arrived,
    }
}

#[test]
fn a_shard_that_lags_judges_by_all_others_and_their_signals_leave_first() {
    let engine = engine();
    let mut bench = Bench::new(&engine, Duration::from_secs(100));
    // A trace a turn.
    bench.limits.batch_spans = 1;
    let traces = 120;
    (1..=traces).for_each(|trace| bench.send(trace, 1));
    let rules = bench.rules.clone();
    let done = bench.run(&engine);
    assert_eq!(done.lagging_turns, u64::from(traces));

    let dear = rules[0].counts();
    assert!(dear.passed_over > 0, "{dear:?}");
    assert_eq!(dear.passed_over + dear.traces, u64::from(traces));
    assert_eq!((dear.passed_over, dear.all_faults()), (dear.unjudged, 0));
    let of_rule = |id: &str| {
        let all = done.pieces.iter().flatten();
        let traces = all.filter(|(rule, _)| rule == id).map(|(_, trace)| *trace);
        traces.collect::<Vec<_>>()
    };
    for rule in &rules[1..] {
        assert_eq!(of_rule(&rule.id), Vec::from_iter(1..=traces));
        assert_eq!(rule.counts().unjudged, 0);
    }
    assert_eq!(of_rule("dear").len() as u64, dear.findings);
    // But for the first, which nobody knew it by, its signals are in pieces of their own, behind the others'; see above for
    // why not always.
    let is_alone = |piece: &[(String, u8)]| piece.len() == 1 && piece[0].0 == "dear";
    let pairs = done.pieces.windows(2);
    let behind = pairs.filter(|pair| {
        is_alone(&pair[1]) && pair[0].len() == HONEST && pair[0][0].1 == pair[1][0].1
    });
    let behind = behind.count() as u64;
    assert!(
        behind * 10 > dear.findings * 6,
        "{behind} of {}",
        dear.findings
    );
}

#[test]
fn a_shard_that_keeps_up_passes_nobody_over() {
    let engine = engine();
    let mut bench = Bench::new(&engine, Duration::ZERO);
    bench.limits.batch_spans = 1;
    (1..=60).for_each(|trace| bench.send(trace, 1));
    let rules = bench.rules.clone();
    let done = bench.run(&engine);
    assert_eq!(done.lagging_turns, 0);
    let dear = rules[0].counts();
    assert_eq!((dear.passed_over, dear.findings), (0, 60));
    assert!(!rules[0].slow().is_slow(Time::default()));
}

#[test]
fn a_giant_trace_is_judged_after_all_that_is_complete_with_it() {
    let engine = engine();
    let mut bench = Bench::new(&engine, Duration::ZERO);
    bench.rules.remove(0);
    bench.limits.batch_spans = 400;
    // The second comes to its cap, so that it is the first of the complete ones.
    bench.limits.trace_spans = 150;
    for (trace, spans) in [(1, 1), (2, 150), (3, 1), (4, 120), (5, 1)] {
        bench.send(trace, spans);
    }
    let done = bench.run(&engine);
    let traces = |piece: &Vec<(String, u8)>| {
        let mut traces: Vec<u8> = piece.iter().map(|(_, trace)| *trace).collect();
        traces.dedup();
        traces
    };
    let pieces: Vec<Vec<u8>> = done.pieces.iter().map(traces).collect();
    assert_eq!(pieces, [vec![1, 3, 5], vec![2], vec![4]]);
}
