//! A host on loopback and a sender in a process of its own: the host's CPU time a span, sockets included.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::app::{Host, Source};
use betrace::config::Config;
use betrace::engine::{Engine, EngineLimits};
use betrace::load::client::Target as To;
use betrace::load::deck::Deck;
use betrace::load::send::{Load, run};
use betrace::load::shape::Shape;
use betrace::sinks::{self, DEFAULT_BYTES, Target, format::Format};
use betrace_benches::traffic::{SERVICES, SPANS_A_TRACE};
use betrace_benches::{cpu, rules};

/// The argument that makes this program the sender.
pub(crate) const SEND: &str = "--send";
const SPANS: u64 = 3_000_000;
/// Of the sender with a request that the host has no room for.
const PATIENCE: Duration = Duration::from_secs(60);
const WORKERS: usize = 1;
/// Long enough that traces wait, and short enough that they fit into memory at the speed of loopback.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn measure(names: usize, title: &str) {
    let engine = Arc::new(Engine::new(EngineLimits::for_workers(WORKERS)).expect("an engine"));
    let rules = rules::load(&engine, names);
    let config = Config {
        otlp_grpc: Some("127.0.0.1:0".to_owned()),
        otlp_http: None,
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
    let address = host.grpc().expect("it listens").to_string();

    let (before, started) = (cpu::process(), Instant::now());
    let threads_before = cpu::threads();
    let program = std::env::current_exe().expect("this program");
    let sender = Command::new(program)
        .args([SEND, &address, &SPANS.to_string()])
        .status();
    assert!(
        sender.is_ok_and(|status| status.success()),
        "the sender failed"
    );
    let threads = cpu::threads();
    let done = host.stop();
    writer.finish().expect("it writes");
    let (Some(before), Some(after)) = (before, cpu::process()) else {
        println!("\nloopback: this system does not tell CPU time");
        return;
    };
    let taken: u64 = done.shards.iter().map(|shard| shard.spans).sum();
    assert_eq!(taken, SPANS);
    let late: u64 = done.shards.iter().map(|shard| shard.late).sum();
    let ns = (after - before).as_nanos() as f64 / SPANS as f64;
    println!(
        "\nloopback, OTLP/gRPC: {title}\n  host {ns:.0} ns of CPU a span: {:.2} M spans a CPU second ({:.1} s of wall, {} signals, {late} late)",
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
}

/// The sender, as `betrace load` is: a connection for each service.
pub(crate) fn send(address: &str, spans: &str) {
    let traces = spans.parse::<u64>().expect("a number") / SPANS_A_TRACE;
    let deck = Deck::made(&Shape::default(), Some(traces), 0).expect("it is small");
    let load = Load {
        deck: Arc::new(deck),
        target: To::grpc(address, ""),
        connections: SERVICES as usize,
        rate: None,
        duration: None,
        retry_for: PATIENCE,
        seed: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let no_look = async || std::future::pending().await;
    let sent = run(&load, std::future::pending(), no_look, |(), _, _| {});
    let tally = runtime.block_on(sent).expect("it is taken").tally;
    assert_eq!(
        (tally.failed, tally.rejected),
        (0, 0),
        "{:?}",
        tally.failure
    );
}
