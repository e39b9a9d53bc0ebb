//! A host on loopback and a sender in a process of its own: the host's CPU time a span, sockets included.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::app::{Host, Source};
use betrace::config::Config;
use betrace::engine::{Engine, EngineLimits};
use betrace::sinks::{self, DEFAULT_BYTES, Target, format::Format};
use betrace_benches::traffic::{SERVICES, SPANS_A_REQUEST, Traffic};
use betrace_benches::{cpu, raw, rules};
use tonic::Code;

/// The argument that makes this program the sender.
pub(crate) const SEND: &str = "--send";
const SPANS: u64 = 3_000_000;
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

/// The sender: a connection for each service, all at one group at a time.
pub(crate) fn send(address: &str, spans: &str) {
    let address: SocketAddr = address.parse().expect("an address");
    let groups = spans.parse::<u64>().expect("a number") / SPANS_A_REQUEST / SERVICES;
    let traffic = Traffic::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..SERVICES {
            clients.push(raw::connect(address, "").await);
        }
        for group in 0..groups {
            let mut calls = tokio::task::JoinSet::new();
            for (service, mut client) in (0..).zip(clients.iter().cloned()) {
                let request = traffic.request(group, service);
                calls.spawn(async move {
                    loop {
                        match raw::export(&mut client, request.clone()).await {
                            Ok(answer) => return assert!(answer.is_empty(), "spans were refused"),
                            // The host has no room: its answer asks to try again.
                            Err(status) if status.code() == Code::Unavailable => {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                            }
                            Err(status) => panic!("{status}"),
                        }
                    }
                });
            }
            calls.join_all().await;
        }
    });
}
