//! One thread, from memory: route, assemble, project, evaluate, signal, keep; each stage timed in every step.
//!
//! In a step each service sends one request and about as many spans are judged, of 20,000 traces open. What counts is the
//! thread's CPU time over all steps, which is too coarse for one. A slice is the lower quartile of its steps by the clock:
//! on a busy machine, many steps are interrupted by another process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::assemble::limits::Limits;
use betrace::assemble::shard::Shard;
use betrace::columns::batch::Columns;
use betrace::engine::{Engine, EngineLimits, RuleSet, Worker};
use betrace::ingest::{Budget, Routed, Router, Transport};
use betrace::replay::ring::{JudgedBatch, Part, Ring, RingLimits};
use betrace::signal::judge::{Judged, Unfinished, signals};
use betrace::time::Time;
use betrace_benches::traffic::{SERVICES, SPANS_A_REQUEST, TRACES_A_GROUP, Traffic};
use betrace_benches::{cpu, rules};
use bytes::Bytes;
use crossbeam_channel::{Receiver, unbounded};

/// Traces open at a time: 70 MB of bytes, which no cache holds.
const OPEN: u64 = 20_000;
const STEPS_OPEN: u64 = OPEN / TRACES_A_GROUP;
/// From a trace's first span to its verdict: four fifths of a flush interval of 5 s, and `settle`.
const OPEN_FOR: Duration = Duration::from_secs(10);
const STEPS: u64 = 400;
const ROUNDS: usize = 3;
const SPANS_A_STEP: u64 = SPANS_A_REQUEST * SERVICES;

const SLICES: [&str; 6] = [
    "scan and route",
    "assemble",
    "project",
    "evaluate",
    "signals",
    "ring",
];

pub(crate) fn measure(names: usize, title: &str) {
    let traffic = Traffic::default();
    println!(
        "\nfrom memory, one thread: {title}; {} bytes a span",
        traffic.span_bytes()
    );
    let mut run = Run::new(names);
    let mut step = 0;
    while step < 2 * STEPS_OPEN {
        run.step(step, requests(&traffic, step));
        step += 1;
    }
    for round in 1..=ROUNDS {
        run.signals = 0;
        let mut slices: [Vec<u64>; 6] = Default::default();
        let (mut wall, mut on_cpu) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..STEPS {
            // Made outside of what is measured: a socket would have filled it.
            let requests = requests(&traffic, step);
            let (started, cpu_before) = (Instant::now(), cpu::thread());
            let times = run.step(step, requests);
            wall += started.elapsed();
            on_cpu += cpu_before
                .zip(cpu::thread())
                .map_or(Duration::ZERO, |(a, b)| b - a);
            for (all, time) in slices.iter_mut().zip(times) {
                all.push(time.as_nanos() as u64);
            }
            step += 1;
        }
        let mut sum = 0.0;
        let mut line = format!("  round {round}:");
        for (name, slice) in SLICES.iter().zip(&mut slices) {
            slice.sort_unstable();
            let quartile = slice[slice.len() / 4] as f64 / SPANS_A_STEP as f64;
            sum += quartile;
            line += &format!("  {name} {quartile:.0}");
        }
        let spans = STEPS * SPANS_A_STEP;
        let ns_a_span = |time: Duration| time.as_nanos() as f64 / spans as f64;
        let cpu_ns = ns_a_span(on_cpu);
        println!("{line}  (sum {sum:.0} ns a span)");
        println!(
            "    all steps: {cpu_ns:.0} ns of CPU a span, {:.2} M spans a CPU second ({:.0} ns by the clock; {} signals)",
            1e3 / cpu_ns,
            ns_a_span(wall),
            run.signals,
        );
    }
    let counters = run.ring.counters();
    println!(
        "    ring: {} traces offered, {} kept for a while",
        counters.offered, counters.kept
    );
    let counters = run.shard.counters();
    assert_eq!(counters.late, 0, "traces complete when all has come");
    assert!(counters.open_traces >= OPEN * 8 / 10, "{counters:?}");
}

/// What the services send in a step, each of a group that began so many steps ago as its phase says.
fn requests(traffic: &Traffic, step: u64) -> Vec<Bytes> {
    (0..SERVICES)
        .filter_map(|service| {
            // The root's service is neither the first nor the last to send.
            let phase = (service + 3) % SERVICES;
            let group = step.checked_sub(STEPS_OPEN * phase / 10)?;
            Some(traffic.request(group, service))
        })
        .collect()
}

struct Run {
    router: Router,
    queue: Receiver<Routed>,
    shard: Shard,
    columns: Columns,
    worker: Worker,
    set: RuleSet,
    signals: usize,
    /// By the real time: its pace is what a host at full speed has.
    ring: Ring,
    part: Arc<Part>,
    started: Instant,
}

impl Run {
    fn new(names: usize) -> Run {
        let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("an engine"));
        let (sender, queue) = unbounded();
        let ring = Ring::new(&RingLimits::default(), 1);
        Run {
            router: Router::new(vec![sender], Budget::new(1 << 30)),
            queue,
            shard: Shard::new(Limits::default()),
            columns: Columns::default(),
            set: RuleSet::new(1, rules::load(&engine, names)),
            worker: Worker::new(engine),
            signals: 0,
            part: ring.part(0),
            ring,
            started: Instant::now(),
        }
    }

    fn step(&mut self, step: u64, requests: Vec<Bytes>) -> [Duration; 6] {
        let now = Time::default().after(OPEN_FOR / STEPS_OPEN as u32 * step as u32);
        let mut watch = Watch::start();
        for bytes in requests {
            let permit = self.router.budget().reserve(bytes.len()).expect("room");
            self.router
                .route(Transport::Grpc, bytes, permit)
                .expect("it is taken");
        }
        watch.lap(0);
        for routed in self.queue.try_iter() {
            self.shard.insert(routed.parcel, now);
        }
        let (mut traces, mut findings, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let mut judged_before = 0;
        loop {
            let more = self.shard.poll(now, &mut traces);
            watch.lap(1);
            self.columns
                .project(&self.set.projection, &self.shard, &traces);
            watch.lap(2);
            self.worker
                .evaluate(&self.set, &self.columns, &traces, &mut findings);
            watch.lap(3);
            if !findings.is_empty() {
                let judged = Judged {
                    set: &self.set,
                    columns: &self.columns,
                    traces: &traces,
                    requests: &self.shard,
                    unfinished: Unfinished::Stable,
                    outlines: false,
                    detected_at: 0,
                };
                signals(&judged, &findings, &mut out);
                findings.clear();
            }
            watch.lap(4);
            let judged = JudgedBatch {
                traces: &traces,
                requests: &self.shard,
                signals: out.get(judged_before..).unwrap_or_default(),
                generation: 1,
                judged_at: step,
            };
            judged_before = out.len();
            let now = Time::default().after(self.started.elapsed());
            self.part.offer_all(&judged, now);
            watch.lap(5);
            for trace in traces.drain(..) {
                self.shard.release(trace);
            }
            watch.lap(1);
            if !more {
                break;
            }
        }
        self.signals += out.len();
        watch.laps
    }
}

struct Watch {
    last: Instant,
    laps: [Duration; 6],
}

impl Watch {
    fn start() -> Watch {
        Watch {
            last: Instant::now(),
            laps: [Duration::ZERO; 6],
        }
    }

    /// What passed since the last lap goes to a slice.
    fn lap(&mut self, slice: usize) {
        let now = Instant::now();
        self.laps[slice] += now - self.last;
        self.last = now;
    }
}
