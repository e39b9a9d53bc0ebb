//! The most memory that a whole host takes, at the worst load that keeps within its settings' defaults.
//!
//! No trace completes before the bound on open traces makes it, half of all traces break a rule, and requests on hundreds of
//! connections come as fast as they are taken. So open traces, the ring, recent signals, those that wait to be written, and
//! requests in flight all come to their bounds.

use std::time::Duration;

use betrace::app::{self, Host, Source};
use betrace::assemble::trace::Completion;
use betrace::config::Config;
use betrace::sinks::{self, Target, format::Format};
use betrace_benches::sender::Sender;
use betrace_benches::{figures, rules};

use crate::memory;

/// The argument of the process that is the host.
pub(crate) const APART: &str = "--overload";

/// What `memory` is on two cores by default: the goal is that the whole host stays below.
const BUDGET: u64 = 1 << 30;

/// Four times what fits into the bound on open traces.
const SPANS: u64 = 10_000_000;
const CONNECTIONS: usize = 400;

/// Longer than the run: only want of memory ends a trace.
const SETTLE: Duration = Duration::from_secs(60);

pub(crate) fn measure_apart() {
    memory::apart(APART);
}

pub(crate) fn measure() {
    let config = Config {
        otlp_grpc: Some("127.0.0.1:0".to_owned()),
        otlp_http: None,
        api: None,
        workers: 2,
        settle: SETTLE,
        memory: BUDGET as usize,
        ..Config::default()
    };
    let engine = app::engine(&config).expect("an engine");
    let source = rules::source(100) + "rule every-other { detect { shop.step_0 } }\n";
    let rules = rules::loaded(&engine, &source);
    let target = Target::File("/dev/null".into());
    let opened = sinks::open(&target, Format::Json, config.signal_queue);
    let (sink, writer) = opened.expect("a sink");
    let signals = sink.counters();
    let idle = memory::resident();
    let host = Host::start(&config, engine, Source::Fixed(rules), sink, false).expect("it starts");
    let sender = Sender {
        connections: CONNECTIONS,
        ..Sender::new(host.grpc().expect("it listens"), SPANS)
    };
    sender.run_apart();
    let (peak, ring) = (memory::peak(), host.live().ring.counters().bytes);
    let done = host.stop();
    writer.finish().expect("it writes");
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "\na whole host under overload, {} MiB for open traces: {} MiB at most, {} before the first span, {} of it the ring",
        mib(BUDGET),
        mib(peak),
        mib(idle),
        mib(ring),
    );
    let evicted = done
        .shards
        .iter()
        .map(|s| s.completed_by(Completion::Evicted));
    println!(
        "  {} traces evicted, {} requests refused, {} signals",
        evicted.sum::<u64>(),
        done.grpc.overload,
        signals.written()
    );
    figures::report("peak-gib", peak as f64 / f64::from(1 << 30));
}
