//! What a second worker adds: the same spans through the threads of one shard and of two, by the clock.
//!
//! Requests are scanned and routed beforehand, so that nothing but workers runs. By the clock a second worker shows what it is
//! worth only while no other process takes its core: so both are run in turn, and the best of each counts. Beside it stands the
//! CPU time of the busiest thread, which tells how even the work is and what threads cost each other, on a busy machine too.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use betrace::assemble::limits::Limits;
use betrace::engine::{Engine, EngineLimits, Rule};
use betrace::ingest::{Budget, Routed, Router, Transport};
use betrace::load::cpu;
use betrace::pipeline::Judge;
use betrace::pipeline::aftermath::Aftermath;
use betrace::pipeline::lag::Lag;
use betrace::pipeline::thread::{Clock, ShardThread, Shown};
use betrace::replay::ring::{Ring, RingLimits};
use betrace::rules::Published;
use betrace::signal::judge::Unfinished;
use betrace::sinks::format::Format;
use betrace::sinks::stream::Stream;
use betrace::sinks::{self, DEFAULT_BYTES, Sink};
use betrace_benches::traffic::SPANS_A_TRACE;
use betrace_benches::{figures, rules};
use crossbeam_channel::{Receiver, bounded, unbounded};

use crate::flow::Feed;

const OPEN_SPANS: u64 = 200_000;
const STEPS: u64 = 400;
const ROUNDS: usize = 4;
/// Of a host.
const BATCH_DELAY: Duration = Duration::from_millis(2);

/// Names that the rules are over: a trace concerns ten.
const NAMES: usize = 100;

/// How long a run took, and its busiest thread.
struct Took {
    wall: Duration,
    busiest: Duration,
}

pub(crate) fn measure() {
    println!("\nworkers, from memory, best of {ROUNDS} runs each");
    let engine = Arc::new(Engine::new(EngineLimits::for_workers(2)).expect("an engine"));
    let rules = rules::load(&engine, NAMES);
    let feed = Feed::new(SPANS_A_TRACE, OPEN_SPANS);
    let mut best = [Duration::MAX; 2];
    let mut busiest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for workers in [1, 2] {
            let took = run(&feed, &engine, &rules, workers);
            best[workers - 1] = best[workers - 1].min(took.wall);
            busiest[workers - 1] = busiest[workers - 1].min(took.busiest);
        }
    }
    let spans = (STEPS * feed.spans_a_step) as f64;
    for (workers, (wall, busiest)) in best.iter().zip(busiest).enumerate() {
        println!(
            "  {}: {:.2} M spans a second by the clock; the busiest thread took {:.0} ns of CPU a span",
            workers + 1,
            spans / wall.as_secs_f64() / 1e6,
            busiest.as_nanos() as f64 / spans,
        );
    }
    let ratio = |pair: [Duration; 2]| pair[0].as_secs_f64() / pair[1].as_secs_f64();
    println!(
        "  two do {:.2} times what one does by the clock, {:.2} by the CPU time of the busiest",
        ratio(best),
        ratio(busiest)
    );
    figures::report("two-workers", ratio(best));
}

fn run(feed: &Feed, engine: &Arc<Engine>, rules: &[Arc<Rule>], workers: usize) -> Took {
    let clock = Clock::start();
    let queues = routed(feed, workers);
    let stream = Stream::new("nowhere", Format::Json, Box::new(std::io::sink()));
    let (sink, writer) = sinks::start(stream, DEFAULT_BYTES).expect("a thread");
    let ring = Ring::new(&RingLimits::default(), workers);
    let published = Arc::new(Published::new(rules.to_vec()));
    let shown: Vec<Shown> = (0..workers).map(|_| Shown::default()).collect();
    let start = Barrier::new(workers + 1);
    let (wall, busiest) = std::thread::scope(|scope| {
        let threads = queues.into_iter().zip(&shown).enumerate();
        let threads: Vec<_> = threads
            .map(|(shard, (incoming, shown))| {
                let thread = ShardThread {
                    limits: Limits::default(),
                    batch_delay: BATCH_DELAY,
                    lag: Lag::new(Duration::from_secs(60)),
                    incoming,
                    asks: bounded(1).1,
                    judge: Judge::new(engine.clone(), Unfinished::Stable, false),
                    rules: published.clone(),
                    ring: ring.part(shard),
                    sink: Sink::clone(&sink),
                    aftermath: Aftermath::new(bounded(1).0, None),
                    clock,
                    shown: shown.clone(),
                    log: None,
                };
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let before = cpu::thread().unwrap_or_default();
                    thread.run();
                    cpu::thread().unwrap_or_default() - before
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        let spent = threads
            .into_iter()
            .map(|thread| thread.join().expect("it ends"));
        let busiest = spent.max().unwrap_or_default();
        (started.elapsed(), busiest)
    });
    drop(sink);
    writer.finish().expect("it writes nowhere");
    let assembly = shown
        .iter()
        .map(|shown| shown.lock().expect("it has ended").assembly);
    let (spans, late) = assembly.fold((0, 0), |(spans, late), shard| {
        (spans + shard.spans, late + shard.late)
    });
    assert!(spans > (STEPS - feed.steps_open) * feed.spans_a_step);
    assert_eq!(late, 0);
    Took { wall, busiest }
}

/// All that is to come, by shard. It comes in the future of the clock, so that no thread is ever behind.
fn routed(feed: &Feed, workers: usize) -> Vec<Receiver<Routed>> {
    let (senders, routed): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded()).unzip();
    let router = Router::new(senders, Budget::new(usize::MAX));
    let (stamped, queues): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded()).unzip();
    let started = Instant::now();
    for step in 0..STEPS {
        for bytes in feed.requests(step) {
            let permit = router.budget().reserve(bytes.len()).expect("room");
            router
                .route(Transport::Grpc, bytes, permit)
                .expect("it is taken");
        }
        let arrived = started + feed.at(step);
        for (from, to) in routed.iter().zip(&stamped) {
            for routed in from.try_iter() {
                to.send(Routed { arrived, ..routed }).expect("it is there");
            }
        }
    }
    queues
}
