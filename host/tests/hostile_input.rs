//! Senders that mean harm, against the real `betrace serve` on real sockets. Of each: the host lives, its own gauges stay
//! within its settings, what is left out is counted and answered as OTLP says, and the signals of an honest sender beside
//! it are there.
//!
//! Closer looks at single cases lie elsewhere:
//! - a million ids, both caps and evictions, exactly: `assemble_bounds.rs`; cut chains of parents: `assemble_completion.rs`;
//! - every depth around the limit, damage at every byte, against prost: `otlp_scan.rs`;
//! - odd times and text that is not UTF-8, value by value: `columns_cases.rs`; a long chain of parents there too;
//! - compression bombs, slow bodies, silence, connections past their bound, a stalled worker: `ingest_bounds.rs`;
//! - requests that are damaged or too large: `ingest_grpc.rs`, `ingest_http.rs`; hostile rules: `hostile_rules.rs`.

mod ingest_support;
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use ingest_support::{call, framed, request_of, span};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use support::{PATIENCE, Serve};

/// One rule by names alone, and one that reads an attribute.
const RULES: &str = "\
rule no-bypass { when { payment.charge_card } never { payment.bypass_validation } }
rule marked { detect { payment.charge_card.where(note == \"marked\") } }
";

/// Traces of honest senders count from here, hostile ones below.
const HONEST: u128 = 1 << 100;

/// One worker, whose share is then all there is, and traces that are complete soon.
const SOON: [&str; 6] = ["--workers", "1", "--settle", "1ms", "--idle", "20ms"];

struct Host {
    serve: Serve,
    _folder: tempfile::TempDir,
    honest: u128,
}

/// What a request was answered with.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Host {
    fn start(arguments: &[&str]) -> Host {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.betrace"), RULES).expect("written");
        let rules = folder.path().to_str().expect("UTF-8").to_owned();
        Host {
            serve: Serve::start(&[&["--rules", &rules], arguments].concat()),
            _folder: folder,
            honest: HONEST,
        }
    }

    fn exchange(address: &str, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(
            stream,
            "{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .expect("it reads");
        stream.write_all(body).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer
            .windows(4)
            .position(|at| at == b"\r\n\r\n")
            .expect("a head");
        let status = String::from_utf8_lossy(&answer[9..12])
            .parse()
            .expect("a status");
        Answer {
            status,
            body: answer.split_off(end + 4),
        }
    }

    fn post(&self, bytes: &[u8]) -> Answer {
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}",
            bytes.len()
        );
        Host::exchange(&self.serve.http, &head, bytes)
    }

    /// Sends spans, again where the host has no room just now, as OTLP asks of clients; the request is taken as it is.
    fn send(&self, spans: Vec<Span>) {
        let bytes = request_of(spans).encode_to_vec();
        let from = Instant::now();
        loop {
            let answer = self.post(&bytes);
            if answer.status != 429 {
                assert_eq!((answer.status, answer.body.len()), (200, 0));
                return;
            }
            assert!(from.elapsed() < PATIENCE, "no room for all that time");
        }
    }

    /// A sample of `/metrics`.
    fn metric(&self, name: &str) -> u64 {
        let answer = Host::exchange(&self.serve.api, "GET /metrics HTTP/1.1", b"");
        let text = String::from_utf8_lossy(&answer.body);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("no `{name}` in\n{text}")) as u64
    }

    /// Asks until a sample is as it should be: workers publish theirs after each batch.
    fn until(&self, name: &str, right: impl Fn(u64) -> bool) -> u64 {
        let from = Instant::now();
        loop {
            let value = self.metric(name);
            if right(value) {
                return value;
            }
            assert!(from.elapsed() < PATIENCE, "`{name}` stays {value}");
        }
    }

    /// The next signals, as their rules and traces.
    fn signals(&self, count: usize) -> BTreeSet<(String, u128)> {
        let signals = (0..count).map(|_| {
            let signal = self.serve.signal();
            let text = |field: &str| signal[field].as_str().expect("a text").to_owned();
            let trace = u128::from_str_radix(&text("trace_id"), 16).expect("an id");
            (text("rule"), trace)
        });
        signals.collect()
    }

    /// An honest sender over HTTP: its trace breaks a rule, and the next signal says so.
    fn serves(&mut self) {
        self.honest += 1;
        self.send(broken(self.honest));
        assert_eq!(self.signals(1), found("no-bypass", [self.honest]));
    }

    /// The same over gRPC.
    fn serves_grpc(&mut self) {
        self.honest += 1;
        let message = framed(0, &request_of(broken(self.honest)).encode_to_vec());
        let address = self.serve.grpc.parse().expect("an address");
        let answer = runtime().block_on(call(address, &[], message));
        assert_eq!(answer.grpc_status(), tonic::Code::Ok, "{answer:?}");
        assert_eq!(self.signals(1), found("no-bypass", [self.honest]));
    }

    /// Nothing was signalled that was not asked for, and it ends as it should.
    fn ends(self) {
        let (stdout, stderr, status) = self.serve.terminate();
        assert_eq!(stdout, [""; 0], "signals of nothing");
        assert_eq!(status.code(), Some(0), "{stderr:?}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn found(rule: &str, traces: impl IntoIterator<Item = u128>) -> BTreeSet<(String, u128)> {
    traces.into_iter().map(|id| (rule.to_owned(), id)).collect()
}

fn child(trace: u128, id: u64, parent: u64, name: &str) -> Span {
    Span {
        parent_span_id: parent.to_be_bytes().to_vec(),
        ..span(trace, id, name)
    }
}

/// A trace that breaks `no-bypass`.
fn broken(trace: u128) -> Vec<Span> {
    vec![
        span(trace, 1, "POST /checkout"),
        child(trace, 2, 1, "payment.charge_card"),
        child(trace, 3, 1, "payment.bypass_validation"),
    ]
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// A broken trace whose charge has these attributes.
fn with_attributes(trace: u128, attributes: Vec<KeyValue>) -> Vec<Span> {
    let mut spans = broken(trace);
    spans[1].attributes = attributes;
    spans
}

/// OTLP knows no answer for a trace that is judged early, as it was acknowledged and is judged: the metric says it.
#[test]
fn a_flood_of_ids_pushes_the_oldest_out_and_memory_stays() {
    const MEMORY: u64 = 8 << 20;
    // A worker tells its gauges after a batch. Evicted spans that were just let go count as dead then, if others of their
    // request are open, until the next look; as the oldest go first, that is true of one request.
    const REQUEST: u64 = 64 << 10;
    const IN_FLIGHT: u64 = 3 << 20;
    let mut host = Host::start(&[
        "--workers",
        "1",
        "--settle",
        "1ms",
        "--idle",
        "10m",
        "--memory",
        "8MiB",
        "--byte-cap",
        "1MiB",
        "--in-flight",
        "3MiB",
        "--request-limit",
        "1MiB",
        "--decided-traces",
        "10000",
    ]);
    for batch in 0..200_u128 {
        // None has its root, so that none is complete.
        let spans = (1..=1_000).map(|id| child(batch * 1_000 + id, 1, 2, "flood"));
        host.send(spans.collect());
        if batch % 20 == 19 {
            let memory = host.metric("betrace_assembly_memory_bytes");
            assert!(memory <= MEMORY + REQUEST, "{memory}");
            assert!(host.metric("betrace_in_flight_bytes") <= IN_FLIGHT);
            host.serves();
        }
    }
    let opened = host.until("betrace_traces_opened_total", |opened| opened == 200_010);
    let open = host.metric("betrace_open_traces");
    let evicted = "betrace_traces_completed_total{reason=\"evicted\"}";
    let evicted = host.until(evicted, |evicted| evicted + 10 >= opened - open);
    assert!(evicted > 50_000, "the bound never bit: {evicted}");
    assert!(host.metric("betrace_judged_traces_forgotten_total") > 0);
    host.ends();
}

#[test]
fn an_endless_trace_ends_at_its_caps_and_the_rest_is_late() {
    let mut host = Host::start(&[
        "--workers",
        "1",
        "--settle",
        "1ms",
        "--idle",
        "10m",
        "--span-cap",
        "1000",
        "--byte-cap",
        "1MiB",
    ]);
    for request in 0..50_u64 {
        let ids = request * 100 + 1..=request * 100 + 100;
        host.send(ids.map(|id| child(1, id, 10_000, "small")).collect());
    }
    let capped = |cap: &str| format!("betrace_traces_completed_total{{reason=\"{cap}\"}}");
    host.until(&capped("span_cap"), |traces| traces == 1);
    host.until("betrace_late_spans_total", |late| late == 4_000);
    host.serves();
    let large = "x".repeat(100_000);
    for id in 1..=50 {
        host.send(vec![child(2, id, 10_000, &large)]);
    }
    host.until(&capped("byte_cap"), |traces| traces == 1);
    let late = host.until("betrace_late_spans_total", |late| late >= 4_039);
    assert!(late <= 4_041, "a MiB holds ten of them: {late}");
    host.serves();
    assert_eq!(host.until("betrace_open_bytes", |bytes| bytes == 0), 0);
    host.ends();
}

/// All of this is valid OTLP, which says nothing about what parents and times are: it is taken and judged.
#[test]
fn parents_and_times_that_can_not_be_are_judged_all_the_same() {
    let mut host = Host::start(&SOON);
    let cycle = |trace, parents: [u64; 3]| {
        let mut spans = broken(trace);
        for (span, parent) in spans.iter_mut().zip(parents) {
            span.parent_span_id = parent.to_be_bytes().to_vec();
        }
        spans
    };
    let at = |trace, times: [(u64, u64); 3]| {
        let mut spans = broken(trace);
        for (span, (start, end)) in spans.iter_mut().zip(times) {
            (span.start_time_unix_nano, span.end_time_unix_nano) = (start, end);
        }
        spans
    };
    const MAX: u64 = u64::MAX;
    let traces = [
        cycle(1, [2, 3, 1]),
        cycle(2, [1, 2, 3]),
        cycle(3, [9, 3, 2]),
        at(4, [(0, 0); 3]),
        at(5, [(MAX, MAX); 3]),
        at(6, [(0, MAX), (MAX, 0), (0, MAX)]),
        at(7, [(9, 3), (2, 1), (MAX, 1)]),
    ];
    for spans in traces {
        host.send(spans);
    }
    assert_eq!(host.signals(7), found("no-bypass", 1..=7));
    // Ten thousand spans in one cycle: what walks parents walks each once.
    let long = (1..=10_000).map(|id| child(8, id, id % 10_000 + 1, "payment.bypass_validation"));
    let charge = child(8, 20_000, 5_000, "payment.charge_card");
    host.send(long.chain([charge]).collect());
    assert_eq!(host.signals(1), found("no-bypass", [8]));
    host.serves();
    host.ends();
}

#[test]
fn giant_attributes_are_carried_and_many_are_read_to_the_last() {
    let mut host = Host::start(&SOON);
    let giant = "x".repeat(10 << 20);
    // One that no rule reads, and one that `marked` does.
    host.send(with_attributes(1, vec![text("other", &giant)]));
    host.send(with_attributes(2, vec![text("note", &giant)]));
    assert_eq!(host.signals(2), found("no-bypass", [1, 2]));
    let mut many: Vec<_> = (0..9_999).map(|n| text(&format!("key.{n}"), "x")).collect();
    many.push(text("note", "marked"));
    host.send(with_attributes(3, many));
    let both = [found("marked", [3]), found("no-bypass", [3])].concat_sets();
    assert_eq!(host.signals(2), both);
    host.serves();
    host.ends();

    // Past `request-limit` it is refused for good: OTLP/HTTP, "Failures": a status that clients don't retry.
    let mut host = Host::start(&[&SOON[..], &["--request-limit", "1MiB"]].concat());
    let bytes = request_of(with_attributes(1, vec![text("other", &giant)])).encode_to_vec();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}",
        bytes.len()
    );
    assert_eq!(Host::exchange(&host.serve.http, &head, b"").status, 413);
    let refused = "betrace_otlp_refused_requests_total{transport=\"http\",reason=\"too_large\"}";
    assert_eq!(host.metric(refused), 1);
    host.serves();
    host.ends();
}

trait Union {
    fn concat_sets(self) -> BTreeSet<(String, u128)>;
}

impl<const N: usize> Union for [BTreeSet<(String, u128)>; N] {
    fn concat_sets(self) -> BTreeSet<(String, u128)> {
        self.into_iter().flatten().collect()
    }
}

/// An array in an array, or a map in a map, so many times.
fn nested(depth: usize, map: bool) -> Value {
    let mut value = Value::IntValue(1);
    for _ in 0..depth {
        value = if map {
            let values = vec![attribute("k", value)];
            Value::KvlistValue(KeyValueList { values })
        } else {
            let values = vec![AnyValue { value: Some(value) }];
            Value::ArrayValue(ArrayValue { values })
        };
    }
    value
}

/// Prost reads 100 messages inside of each other, and the host as many. OTLP/HTTP, "Bad Data": 400, not to be sent again.
#[test]
fn nesting_is_taken_as_deep_as_prost_reads_and_refused_beyond() {
    let mut host = Host::start(&SOON);
    let request = |trace, depth, map| {
        let spans = with_attributes(trace, vec![attribute("note", nested(depth, map))]);
        request_of(spans).encode_to_vec()
    };
    type Export = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    for (trace, map) in [(1, false), (2, true)] {
        let deepest = (1..100)
            .take_while(|depth| Export::decode(&request(trace, *depth, map)[..]).is_ok())
            .last()
            .expect("one level is read");
        assert!(deepest >= 30, "{deepest}");
        assert_eq!(host.post(&request(trace, deepest, map)).status, 200);
        for beyond in [deepest + 1, 1_000] {
            assert_eq!(host.post(&request(3, beyond, map)).status, 400, "{beyond}");
        }
    }
    let refused = "betrace_otlp_refused_requests_total{transport=\"http\",reason=\"malformed\"}";
    assert_eq!(host.metric(refused), 4);
    assert_eq!(host.signals(2), found("no-bypass", [1, 2]));
    host.serves();
    host.ends();
}

/// A span with such a text is taken, as its ids and other texts are fine; only what a rule reads of it is missing.
#[test]
fn text_that_is_not_utf8_is_missing_and_counted() {
    let mut host = Host::start(&SOON);
    let mut spans = with_attributes(1, vec![text("MARK", "x"), text("note", "MARK")]);
    spans.push(child(1, 4, 1, "MARK"));
    let mut bytes = request_of(spans).encode_to_vec();
    while let Some(at) = bytes.windows(4).position(|at| at == b"MARK") {
        bytes[at] = 0xff;
    }
    assert_eq!(host.post(&bytes).status, 200);
    assert_eq!(host.signals(1), found("no-bypass", [1]));
    host.until("betrace_invalid_utf8_total", |texts| texts >= 1);
    host.serves();
    host.ends();
}

#[test]
fn a_thousand_idle_and_slow_connections_leave_others_served() {
    const OPEN: usize = 600;
    let mut host = Host::start(
        &[
            &SOON[..],
            &[
                "--connections",
                "600",
                "--header-timeout",
                "10m",
                "--body-timeout",
                "3s",
            ],
        ]
        .concat(),
    );
    let refused = "betrace_connections_refused_total{server=\"grpc\"}";
    let idle: Vec<TcpStream> = (0..1_000)
        .map(|_| TcpStream::connect(&host.serve.grpc).expect("the kernel accepts"))
        .collect();
    // Some promise a body at the other port and send a byte of it.
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&host.serve.http).expect("it listens");
        let head =
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n";
        write!(stream, "{head}content-length: 1000\r\n\r\nx").expect("it reads");
        slow.push(stream);
    }
    host.serves();
    host.until(refused, |refused| refused == (1_000 - OPEN) as u64);
    host.serves();
    // Who promised is cut off; when the others go, the port is for others again.
    for stream in &mut slow {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
    }
    drop(idle);
    let from = Instant::now();
    while !speaks(&host.serve.grpc) {
        assert!(from.elapsed() < PATIENCE, "no room for all that time");
    }
    host.until("betrace_in_flight_bytes", |bytes| bytes == 0);
    host.serves_grpc();
    host.ends();
}

/// Whether a connection is taken, so that the host says its HTTP/2 settings.
fn speaks(address: &str) -> bool {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let sent = stream.write_all(preface);
    sent.is_ok() && stream.read_exact(&mut [0]).is_ok()
}

/// An HTTP/2 frame of a stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, &stream.to_be_bytes()[..], payload].concat()
}

/// Whether a `GOAWAY` with `ENHANCE_YOUR_CALM` is among these frames.
fn is_sent_away(mut frames: &[u8]) -> bool {
    while let [a, b, c, kind, rest @ ..] = frames {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(payload) = rest.get(5..5 + length) else {
            return false;
        };
        if *kind == 7 && payload.get(4..8) == Some(&11_u32.to_be_bytes()) {
            return true;
        }
        frames = &rest[5 + length..];
    }
    false
}

/// RFC 9113, 10.5: who opens streams only to reset them is sent away with `ENHANCE_YOUR_CALM`, here by the `h2` library.
#[test]
fn a_rapid_reset_ends_its_connection_and_no_other() {
    const STREAMS: u32 = 10_000;
    let mut host = Host::start(&SOON);
    // `:method POST`, `:scheme http`, `:path /`, and an authority of one letter.
    let head = [0x83, 0x86, 0x84, 0x01, 1, b'x'];
    let mut attack = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    attack.extend(frame(4, 0, 0, &[]));
    for stream in (1..2 * STREAMS).step_by(2) {
        attack.extend(frame(1, 4, stream, &head));
        attack.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    for address in [host.serve.grpc.clone(), host.serve.http.clone()] {
        let mut told = 0;
        for _ in 0..10 {
            let mut stream = TcpStream::connect(&address).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            // It may be cut off before it has said all.
            let _ = stream.write_all(&attack);
            // It ends by itself, though the attacker would go on: an end or a reset, and no timeout.
            let mut rest = Vec::new();
            if let Err(error) = stream.read_to_end(&mut rest) {
                let reset = [
                    std::io::ErrorKind::ConnectionReset,
                    std::io::ErrorKind::BrokenPipe,
                ];
                assert!(reset.contains(&error.kind()), "{error}");
            }
            told += usize::from(is_sent_away(&rest));
        }
        // A reset of the connection may overtake the word, but not each time.
        assert!(told > 0, "no one was told why");
        host.serves();
        host.serves_grpc();
    }
    host.until("betrace_in_flight_bytes", |bytes| bytes == 0);
    host.ends();
}
