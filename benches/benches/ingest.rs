//! Taking requests of 1,000 spans over loopback: sockets, framing, decompression, scan and routing to four shards.
//!
//! The times that divan prints are those of a round trip on one connection, client included. What the server's one thread
//! spent of it is printed at the end of each: that is the figure to compare.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use betrace::ingest::{
    Budget, Limits, Listeners, Routed, Router, Shutdown, Transport, Trigger, bind, serve,
};
use betrace::load::client::{Client, Target};
use betrace::load::retry::Answer;
use betrace::load::template::framed;
use bytes::Bytes;
use crossbeam_channel::{Receiver, unbounded};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::runtime::{Builder, Runtime};

const SPANS: u64 = 1_000;
const SHARDS: usize = 4;

fn main() {
    divan::main();
}

#[divan::bench(args = ["identity", "gzip", "zstd"])]
fn grpc(bencher: Bencher<'_, '_>, encoding: &str) {
    let server = Server::start();
    let runtime = runtime();
    let bytes = request();
    let mut client = Client::new(Target::grpc(server.grpc, encoding));
    let framed = framed(&bytes);
    counted(bencher, &bytes).bench_local(|| runtime.block_on(send(&mut client, framed.clone())));
    server.report(&format!("grpc {encoding}"));
}

#[divan::bench(args = [1, 1_000])]
fn http(bencher: Bencher<'_, '_>, spans: u64) {
    let server = Server::start();
    let bytes = request_of(spans);
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    );
    let request = [head.as_bytes(), &bytes].concat();
    let mut stream = TcpStream::connect(server.http).expect("it listens");
    bencher
        .counter(ItemsCount::new(spans))
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| {
            stream.write_all(&request).expect("it reads");
            read_answer(&mut stream);
        });
    server.report(&format!("http {spans}"));
}

/// Scan and routing alone: what is left when sockets cost nothing.
#[divan::bench]
fn route(bencher: Bencher<'_, '_>) {
    let (router, queues) = router();
    let bytes = request();
    counted(bencher, &bytes).bench_local(|| {
        let permit = router.budget().reserve(bytes.len()).expect("there is room");
        router
            .route(Transport::Grpc, bytes.clone(), permit)
            .expect("it is taken");
        queues.iter().flat_map(Receiver::try_iter).for_each(drop);
    });
}

fn counted<'a, 'b>(bencher: Bencher<'a, 'b>, bytes: &Bytes) -> Bencher<'a, 'b> {
    bencher
        .counter(ItemsCount::new(SPANS))
        .counter(BytesCount::new(bytes.len()))
}

/// A server on a thread of its own, and threads that take what it routes.
struct Server {
    grpc: SocketAddr,
    http: SocketAddr,
    router: Router,
    /// The server's thread, as the kernel names it.
    task: String,
    _trigger: Trigger,
}

impl Server {
    fn start() -> Self {
        let (router, queues) = router();
        for queue in queues {
            thread::spawn(move || queue.iter().for_each(drop));
        }
        let (trigger, shutdown) = Shutdown::new();
        let (ready, started) = unbounded();
        let served = router.clone();
        thread::spawn(move || {
            runtime().block_on(async move {
                let grpc = bind(Transport::Grpc.listens(), "127.0.0.1:0")
                    .await
                    .expect("some port is free");
                let http = bind(Transport::Http.listens(), "127.0.0.1:0")
                    .await
                    .expect("some port is free");
                let task = std::fs::read_link("/proc/thread-self").unwrap_or_default();
                let addresses = (
                    grpc.local_addr().expect("bound"),
                    http.local_addr().expect("bound"),
                );
                ready
                    .send((addresses, task.display().to_string()))
                    .expect("it is waited for");
                serve(
                    Listeners {
                        grpc: Some(grpc),
                        http: Some(http),
                    },
                    served,
                    Limits::default(),
                    shutdown,
                )
                .await;
            });
        });
        let ((grpc, http), task) = started.recv().expect("it starts");
        Self {
            grpc,
            http,
            router,
            task,
            _trigger: trigger,
        }
    }

    /// Says what the server's thread used, where the kernel says so.
    fn report(&self, name: &str) {
        let spans: u64 = [Transport::Grpc, Transport::Http]
            .map(|t| self.router.counters(t).snapshot().spans)
            .iter()
            .sum();
        let Ok(times) = std::fs::read_to_string(format!("/proc/{}/schedstat", self.task)) else {
            return;
        };
        if let Some(on_cpu) = times
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse::<u64>().ok())
        {
            eprintln!(
                "    {name}: server CPU {} ns a span over {spans} spans",
                on_cpu / spans.max(1)
            );
        }
    }
}

fn router() -> (Router, Vec<Receiver<Routed>>) {
    let (senders, queues) = (0..SHARDS).map(|_| unbounded()).unzip();
    (Router::new(senders, Budget::new(1 << 30)), queues)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn send(client: &mut Client, framed: Bytes) {
    let body = client.target().body(framed);
    assert_eq!(client.export(body).await, Answer::Taken { rejected: 0 });
}

/// Reads an answer without a body.
fn read_answer(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    while !answer.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut piece).expect("it answers");
        assert!(read > 0, "the connection stays open");
        answer.extend_from_slice(&piece[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "all spans were taken");
}

fn request() -> Bytes {
    request_of(SPANS)
}

/// Spans of about 400 bytes with 10 attributes, in traces of ten.
fn request_of(spans: u64) -> Bytes {
    let spans = (0..spans).map(span).collect();
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }
        .encode_to_vec()
        .into()
}

fn span(n: u64) -> Span {
    let attributes = (0..10).map(|i| KeyValue {
        key: format!("http.request.header.{i}"),
        value: Some(AnyValue {
            value: Some(Value::StringValue(format!("value {n}"))),
        }),
        ..KeyValue::default()
    });
    Span {
        trace_id: (u128::from(n / 10 + 1) << 64 | 7).to_be_bytes().to_vec(),
        span_id: (n + 1).to_be_bytes().to_vec(),
        name: "GET /cart/{id}".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000 + n,
        end_time_unix_nano: 1_700_000_000_000_100_000 + n,
        attributes: attributes.collect(),
        ..Span::default()
    }
}
