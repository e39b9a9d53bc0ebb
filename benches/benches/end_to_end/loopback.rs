//! A host on loopback and a sender in a process of its own: the host's CPU time a span, sockets included.

use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::app::{Host, Source};
use betrace::config::Config;
use betrace::engine::{Engine, EngineLimits};
use betrace::sinks::{self, DEFAULT_BYTES, Target, format::Format};
use betrace_benches::sender::Sender;
use betrace_benches::{cpu, figures, rules};

const SPANS: u64 = 3_000_000;
const WORKERS: usize = 1;
/// Long enough that traces wait, and short enough that they fit into memory at the speed of loopback.
const SETTLE: Duration = Duration::from_millis(500);

/// How requests come.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    /// As this bench's arguments and the table of goals have it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    is_http: bool,
    compression: &'static str,
}

pub(crate) const GRPC: Way = Way {
    name: "grpc",
    title: "OTLP/gRPC",
    is_http: false,
    compression: "none",
};

/// All of them; the plain ones, which are compared, one after the other.
pub(crate) const WAYS: [Way; 6] = [
    GRPC,
    Way {
        name: "http",
        title: "OTLP/HTTP protobuf",
        is_http: true,
        compression: "none",
    },
    Way {
        name: "grpc-zstd",
        title: "OTLP/gRPC, zstd",
        is_http: false,
        compression: "zstd",
    },
    Way {
        name: "http-zstd",
        title: "OTLP/HTTP protobuf, zstd",
        is_http: true,
        compression: "zstd",
    },
    Way {
        name: "grpc-gzip",
        title: "OTLP/gRPC, gzip",
        is_http: false,
        compression: "gzip",
    },
    Way {
        name: "http-gzip",
        title: "OTLP/HTTP protobuf, gzip",
        is_http: true,
        compression: "gzip",
    },
];

/// Measures and prints; nanoseconds of the host's CPU time a span, where this system tells it.
pub(crate) fn measure(way: Way, names: usize, title: &str) -> Option<f64> {
    let engine = Arc::new(Engine::new(EngineLimits::for_workers(WORKERS)).expect("an engine"));
    let rules = rules::load(&engine, names);
    let listen = Some("127.0.0.1:0".to_owned());
    let config = Config {
        otlp_grpc: listen.clone().filter(|_| !way.is_http),
        otlp_http: listen.filter(|_| way.is_http),
        api: None,
        workers: WORKERS,
        settle: SETTLE,
        memory: 2 << 30,
        ..Config::default()
    };
    let target = Target::File("/dev/null".into());
    let (sink, writer) = sinks::open(&target, Format::Json, DEFAULT_BYTES).expect("a sink");
    let counters = sink.counters();
    let host = Host::start(&config, engine, Source::Fixed(rules), sink, false).expect("it starts");
    let address = host.grpc().or(host.http()).expect("it listens");
    let sender = Sender {
        is_http: way.is_http,
        compression: way.compression.to_owned(),
        ..Sender::new(address, SPANS)
    };

    let (before, started) = (cpu::process(), Instant::now());
    let threads_before = cpu::threads();
    sender.run_apart();
    let threads = cpu::threads();
    let done = host.stop();
    writer.finish().expect("it writes");
    let (Some(before), Some(after)) = (before, cpu::process()) else {
        println!("\nloopback: this system does not tell CPU time");
        return None;
    };
    let taken: u64 = done.shards.iter().map(|shard| shard.spans).sum();
    assert_eq!(taken, SPANS);
    let late: u64 = done.shards.iter().map(|shard| shard.late).sum();
    let ns = (after - before).as_nanos() as f64 / SPANS as f64;
    println!(
        "\nloopback, {}: {title}\n  host {ns:.0} ns of CPU a span: {:.2} M spans a CPU second ({:.1} s of wall, {} signals, {late} late)",
        way.title,
        1e3 / ns,
        started.elapsed().as_secs_f64(),
        counters.written(),
    );
    for (name, time) in threads {
        let spent = time.saturating_sub(threads_before.get(&name).copied().unwrap_or_default());
        let ns = spent.as_nanos() as f64 / SPANS as f64;
        if ns >= 1.0 {
            println!("    until the last request was taken, threads `{name}`: {ns:.0} ns a span");
        }
    }
    Some(ns)
}

/// All ways, each beside plain gRPC; where `ways` are fewer, only those.
pub(crate) fn compare(ways: &[Way], names: usize, title: &str) {
    let mut plain = None;
    for way in ways {
        let Some(ns) = measure(*way, names, title) else {
            return;
        };
        match way.name {
            "grpc" => plain = Some(ns),
            name => figures::report(&format!("loopback-{name}-ns"), ns),
        }
        if let ("http", Some(plain)) = (way.name, plain) {
            figures::report("http-by-grpc", ns / plain);
        }
    }
}
