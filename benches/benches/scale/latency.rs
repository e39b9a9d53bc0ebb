//! How long after a trace is complete its signal is written, at half of the load that a whole host takes.
//!
//! First a host is sent all that it takes, by a sender in a process of its own, until all of it is judged: that is the load. Then
//! another host is sent half of that over gRPC from this process, and the sink notes when each signal comes. A trace is complete
//! `settle` after its last request was begun to be sent, so what that request takes on its way counts as latency.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use betrace::app::{self, Host, Source};
use betrace::config::Config;
use betrace::load::client::{Client, Target};
use betrace::load::retry::Answer;
use betrace::load::template::{framed, mask};
use betrace::otlp::scan::{Scan, scan};
use betrace::sinks::format::Format;
use betrace::sinks::stream::Stream;
use betrace::sinks::{self, Writer};
use betrace_benches::sender::Sender;
use betrace_benches::traffic::{SERVICES, SPANS_A_REQUEST, SPANS_A_TRACE, TRACES_A_GROUP, Traffic};
use betrace_benches::{figures, rules};

const SETTLE: Duration = Duration::from_millis(500);
const SPANS: u64 = 3_000_000;
const SECONDS: u64 = 10;
/// Before this the host warms up.
const WARM_UP: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

/// Of each group, those whose amount is at least this and that have the probe's name: every other one.
const LEAST_AMOUNT: usize = 490;

/// When each signal of the probe was written, by its trace.
type Written = Arc<Mutex<Vec<(u128, Instant)>>>;

pub(crate) fn measure() {
    let most = most();
    let rate = most / 2.0;
    println!(
        "\nlatency: a host takes {:.0},000 spans a second by the clock; at half of it, from the completion of a trace to its signal",
        most / 1e3
    );
    let mut latencies = at(rate);
    latencies.sort_unstable();
    let of = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies[index.min(latencies.len() - 1)].as_secs_f64() * 1e3
    };
    println!(
        "  {} signals: p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
        latencies.len(),
        of(0.5),
        of(0.99),
        of(1.0)
    );
    figures::report("latency-p99-ms", of(0.99));
}

/// Spans a second that a host judges when they come as fast as they are taken.
fn most() -> f64 {
    let (host, writer, _) = start();
    let started = Instant::now();
    Sender::new(host.grpc().expect("it listens"), SPANS).run_apart();
    while host.live().rules.current().judged() < SPANS / SPANS_A_TRACE {
        std::thread::sleep(LOOK);
    }
    let took = started.elapsed() - SETTLE;
    host.stop();
    writer.finish().expect("it writes");
    SPANS as f64 / took.as_secs_f64()
}

/// From completion to signal, at so many spans a second.
fn at(rate: f64) -> Vec<Duration> {
    let (host, writer, written) = start();
    let address = host.grpc().expect("it listens");
    let sender = std::thread::spawn(move || send(address, rate));
    let sent = sender.join().expect("it sends");
    host.stop();
    writer.finish().expect("it writes");

    let written = written.lock().expect("its writer has ended");
    let written: HashMap<u128, Instant> = written.iter().copied().collect();
    let probes = probes();
    let Some(&first) = sent.first() else {
        return Vec::new();
    };
    let mut latencies = Vec::new();
    let groups = sent.iter().enumerate();
    // The last ones were judged since the host stopped.
    let settled = |last: &Instant| *last + 2 * SETTLE < *sent.last().expect("one was sent");
    for (group, last) in groups.filter(|(_, last)| **last > first + WARM_UP && settled(last)) {
        for probe in &probes {
            let id = probe ^ u128::from_be_bytes(mask(0, group as u64));
            let written = written.get(&id).expect("each probe is a signal");
            latencies.push(written.saturating_duration_since(*last + SETTLE));
        }
    }
    latencies
}

fn start() -> (Host, Writer, Written) {
    let config = Config {
        otlp_grpc: Some("127.0.0.1:0".to_owned()),
        otlp_http: None,
        api: None,
        settle: SETTLE,
        ..Config::default()
    };
    let engine = app::engine(&config).expect("an engine");
    let probe =
        format!("rule probe {{ detect {{ shop.step_0.where(amount >= {LEAST_AMOUNT}) }} }}\n");
    let rules = rules::loaded(&engine, &(rules::source(100) + &probe));
    let written = Written::default();
    let notes = Notes(written.clone());
    let stream = Stream::new("notes", Format::Json, Box::new(notes));
    let (sink, writer) = sinks::start(stream, config.signal_queue).expect("a thread");
    let host = Host::start(&config, engine, Source::Fixed(rules), sink, false).expect("it starts");
    (host, writer, written)
}

/// Sends groups of traces, and returns when the last request of each was begun.
fn send(address: std::net::SocketAddr, rate: f64) -> Vec<Instant> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let traffic = Traffic::default();
    let groups = (rate * SECONDS as f64) as u64 / (SERVICES * SPANS_A_REQUEST);
    let pace = Duration::from_secs_f64(SPANS_A_REQUEST as f64 / rate);
    runtime.block_on(async {
        let mut client = Client::new(Target::grpc(address, ""));
        let mut turns = tokio::time::interval(pace);
        let mut sent = Vec::new();
        for group in 0..groups {
            for service in 0..SERVICES {
                let request = framed(&traffic.request(group, service));
                turns.tick().await;
                if service == SERVICES - 1 {
                    sent.push(Instant::now());
                }
                let answer = client.export(request).await;
                assert_eq!(answer, Answer::Taken { rejected: 0 });
            }
        }
        sent
    })
}

/// The traces of a group that the probe finds, by their ids before the group's mask.
fn probes() -> Vec<u128> {
    let mut found = Scan::default();
    scan(&Traffic::default().request(0, 0), &mut found).expect("OTLP");
    let ids = found.spans.chunks(2).map(|spans| spans[0].trace_id);
    let unmask = |id: [u8; 16]| u128::from_be_bytes(id) ^ u128::from_be_bytes(mask(0, 0));
    let ids: Vec<u128> = ids.map(unmask).collect();
    assert_eq!(ids.len() as u64, TRACES_A_GROUP);
    ids.into_iter().skip(LEAST_AMOUNT).step_by(2).collect()
}

/// Notes when a signal of the probe is written.
struct Notes(Written);

impl Write for Notes {
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
        let now = Instant::now();
        let text = String::from_utf8_lossy(lines);
        let of_probe = text
            .lines()
            .filter(|line| line.contains("\"rule\":\"probe\""));
        let ids = of_probe.filter_map(|line| {
            let (_, rest) = line.split_once("\"trace_id\":\"")?;
            u128::from_str_radix(rest.get(..32)?, 16).ok()
        });
        let mut written = self.0.lock().expect("nobody panicked");
        written.extend(ids.map(|id| (id, now)));
        Ok(lines.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
