//! One stage on the benches' fixtures, for `cargo xtask counts`: callgrind counts the instructions of [`counted`] and nothing
//! else, so what a stage needs to be ready is not in it. Prints of how many spans or rules that was.

use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use betrace::assemble::limits::Limits;
use betrace::assemble::shard::Shard;
use betrace::assemble::trace::Trace;
use betrace::columns::batch::Columns;
use betrace::engine::{Engine, EngineLimits, RuleSet, Worker};
use betrace::ingest::{Budget, Router, Transport};
use betrace::otlp::scan::{Scan, scan};
use betrace::time::Time;
use betrace_benches::rules;
use betrace_benches::traffic::{SERVICES, SPANS_A_REQUEST, Traffic};
use bytes::Bytes;
use crossbeam_channel::unbounded;

/// Groups of 500 traces of ten spans, each in five requests: enough that what a span costs drowns what a call costs.
const GROUPS: u64 = 4;
const SPANS: u64 = GROUPS * SPANS_A_REQUEST * SERVICES;

/// Names that the rules are over: ten rules concern a trace, as a trace has ten of the traffic's 20.
const NAMES: usize = 100;

/// Longer than any trace waits for its spans.
const COMPLETE: Duration = Duration::from_secs(3_600);

/// Few: the pool reserves address space for each, of which valgrind has less.
const WARM_INSTANCES: usize = 2 * rules::RULES;

fn main() -> ExitCode {
    let stage = std::env::args().nth(1).unwrap_or_default();
    let units = match stage.as_str() {
        "scan" => scanned(),
        "assemble" => assembled(),
        "project" => projected(),
        "evaluate" => evaluated(),
        "compile" => compiled(),
        _ => return ExitCode::FAILURE,
    };
    match writeln!(std::io::stdout(), "{units}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs a part of a stage; callgrind knows it by its name, which `xtask/src/counts.rs` has.
#[inline(never)]
fn counted(part: &mut dyn FnMut()) {
    black_box(part)();
}

/// Runs what comes before a stage.
fn uncounted(part: &mut dyn FnMut()) {
    part();
}

type Run = fn(&mut dyn FnMut());

fn scanned() -> u64 {
    let requests = requests();
    let mut found = Scan::default();
    let mut spans = 0;
    counted(&mut || {
        for bytes in &requests {
            scan(bytes, &mut found).expect("a valid request");
            spans += found.spans.len() as u64;
        }
    });
    spans
}

/// Spans put into their traces, traces completed and released.
fn assembled() -> u64 {
    let (mut shard, traces) = assemble(counted);
    let spans = count(&traces);
    let mut traces = traces.into_iter();
    counted(&mut || traces.by_ref().for_each(|trace| shard.release(trace)));
    spans
}

/// Name, service and the two attributes that the rules read.
fn projected() -> u64 {
    let set = rule_set(&engine());
    let (shard, traces) = assemble(uncounted);
    let mut columns = Columns::default();
    counted(&mut || columns.project(&set.projection, &shard, &traces));
    count(&traces)
}

/// Candidates, gathering, calls and the rules' own code, with instances that are warm.
fn evaluated() -> u64 {
    let engine = engine();
    let set = rule_set(&engine);
    let (shard, traces) = assemble(uncounted);
    let mut columns = Columns::default();
    columns.project(&set.projection, &shard, &traces);
    let mut worker = Worker::new(engine);
    let mut findings = Vec::new();
    worker.evaluate(&set, &columns, &traces, &mut findings);
    let found = findings.len();
    counted(&mut || worker.evaluate(&set, &columns, &traces, &mut findings));
    assert!(found > 0 && findings.len() == 2 * found, "rules run");
    let faults: u64 = set
        .rules
        .iter()
        .map(|rule| rule.counts().all_faults())
        .sum();
    assert_eq!(faults, 0);
    count(&traces)
}

/// From source to component.
fn compiled() -> u64 {
    let source = rules::source(NAMES);
    let mut rules = 0;
    counted(&mut || {
        let output = betrace_dsl::compile("counts", source.as_bytes());
        rules = output.rules.len() as u64;
    });
    rules
}

fn requests() -> Vec<Bytes> {
    let traffic = Traffic::default();
    (0..GROUPS)
        .flat_map(|group| (0..SERVICES).map(move |service| (group, service)))
        .map(|(group, service)| traffic.request(group, service))
        .collect()
}

/// All traces, complete; the shard holds their bytes.
fn assemble(run: Run) -> (Shard, Vec<Trace>) {
    let (sender, queue) = unbounded();
    let router = Router::new(vec![sender], Budget::new(1 << 30));
    for bytes in requests() {
        let permit = router.budget().reserve(bytes.len()).expect("room");
        router
            .route(Transport::Grpc, bytes, permit)
            .expect("it is taken");
    }
    let mut shard = Shard::new(Limits::default());
    let mut traces = Vec::new();
    run(&mut || {
        for routed in queue.try_iter() {
            shard.insert(routed.parcel, Time::default());
        }
        while shard.poll(Time::default().after(COMPLETE), &mut traces) {}
    });
    assert_eq!(count(&traces), SPANS);
    (shard, traces)
}

fn count(traces: &[Trace]) -> u64 {
    traces.iter().map(|trace| trace.spans.len() as u64).sum()
}

fn engine() -> Arc<Engine> {
    let limits = EngineLimits {
        warm_instances: WARM_INSTANCES,
        ..EngineLimits::for_workers(1)
    };
    Arc::new(Engine::new(limits).expect("the limits are valid"))
}

fn rule_set(engine: &Engine) -> RuleSet {
    RuleSet::new(1, rules::load(engine, NAMES))
}
