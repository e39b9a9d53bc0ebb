//! A host's way in on real sockets, and clients that say exactly the bytes they are told to.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use betrace::ingest::{
    Budget, Limits, Listeners, Routed, Router, Shutdown, Snapshot, Transport, Trigger, bind, serve,
};
use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(crate) const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Longer than anything takes on a busy machine, so that what hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Host {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) router: Router,
    pub(crate) queues: Vec<Receiver<Routed>>,
    trigger: Trigger,
    serving: JoinHandle<()>,
}

/// What a host is started with.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) shards: usize,
    pub(crate) queue: usize,
    pub(crate) in_flight: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            shards: 2,
            queue: 64,
            in_flight: 256 << 20,
        }
    }
}

impl Host {
    pub(crate) async fn start(setup: Setup) -> Self {
        let (senders, queues) = (0..setup.shards).map(|_| bounded(setup.queue)).unzip();
        let router = Router::new(senders, Budget::new(setup.in_flight));
        let grpc = bind(Transport::Grpc.listens(), "127.0.0.1:0")
            .await
            .expect("some port is free");
        let http = bind(Transport::Http.listens(), "127.0.0.1:0")
            .await
            .expect("some port is free");
        let addresses = (grpc.local_addr(), http.local_addr());
        let (trigger, shutdown) = Shutdown::new();
        let listeners = Listeners {
            grpc: Some(grpc),
            http: Some(http),
        };
        let serving = tokio::spawn(serve(listeners, router.clone(), setup.limits, shutdown));
        let (grpc, http) = (addresses.0.expect("bound"), addresses.1.expect("bound"));
        Self {
            grpc,
            http,
            router,
            queues,
            trigger,
            serving,
        }
    }

    /// The names of the spans that the shards were given, sorted; their bytes are let go.
    pub(crate) fn taken(&self) -> Vec<String> {
        let mut names = Vec::new();
        for routed in self.queues.iter().flat_map(Receiver::try_iter) {
            for span in &routed.parcel.spans {
                let view = routed.parcel.request.span(span.range);
                names.push(String::from_utf8(view.name().to_vec()).expect("tests send text"));
            }
        }
        names.sort();
        names
    }

    pub(crate) fn counted(&self, transport: Transport) -> Snapshot {
        self.router.counters(transport).snapshot()
    }

    pub(crate) fn begin_shutdown(&self) {
        self.trigger.fire();
    }

    /// Waits for the servers to end, which must not take `PATIENCE`.
    pub(crate) async fn ended(self) {
        self.begin_shutdown();
        tokio::time::timeout(PATIENCE, self.serving)
            .await
            .expect("it ends in time")
            .expect("it doesn't panic");
    }
}

/// A request of `count` spans, named `n0`, `n1`..., each a trace of its own.
pub(crate) fn request(count: u64) -> ExportTraceServiceRequest {
    request_of(
        (0..count)
            .map(|n| span(u128::from(n) + 1, n + 1, &format!("n{n}")))
            .collect(),
    )
}

pub(crate) fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

pub(crate) fn span(trace: u128, id: u64, name: &str) -> Span {
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: name.to_owned(),
        ..Span::default()
    }
}

/// Spans that are left out beside one that is not.
pub(crate) fn partly_unusable() -> ExportTraceServiceRequest {
    let short = Span {
        trace_id: vec![1; 15],
        ..span(1, 1, "short")
    };
    request_of(vec![
        short,
        span(0, 2, "zeros"),
        span(3, 3, "good"),
        span(4, 0, "no id"),
    ])
}

pub(crate) fn compressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder
                .write_all(bytes)
                .and_then(|()| encoder.finish())
                .expect("it compresses")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder
                .write_all(bytes)
                .and_then(|()| encoder.finish())
                .expect("it compresses")
        }
        "zstd" => zstd::encode_all(bytes, 1).expect("it compresses"),
        _ => bytes.to_vec(),
    }
}

/// gRPC's framing of a message.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("tests are small");
    [&[flag], &length.to_be_bytes()[..], message].concat()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header, or a trailer.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("headers are text"))
    }

    pub(crate) fn grpc_status(&self) -> tonic::Code {
        self.header("grpc-status")
            .parse::<i32>()
            .map_or(tonic::Code::Unknown, tonic::Code::from)
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    version: Version,
    request: Request<Full<Bytes>>,
) -> Answer {
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("it listens"));
    let answer = async {
        let response: Response<_> = if version == Version::HTTP_2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                    .await
                    .expect("it speaks HTTP/2");
            tokio::spawn(connection);
            sender.send_request(request).await.expect("it answers")
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
                .await
                .expect("it speaks HTTP/1");
            tokio::spawn(connection);
            sender.send_request(request).await.expect("it answers")
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the answer is whole");
        let mut headers = head.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        Answer {
            status: head.status.as_u16(),
            headers,
            body: body.to_bytes(),
        }
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("it answers in time")
}

pub(crate) fn body(bytes: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(bytes.into())
}

/// A `POST /v1/traces` over HTTP/1.1.
pub(crate) async fn post(
    address: SocketAddr,
    headers: &[(&str, &str)],
    bytes: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::post("/v1/traces").header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(
        address,
        Version::HTTP_11,
        request.body(body(bytes)).expect("a request"),
    )
    .await
}

/// A call of `Export` with these bytes for a body.
pub(crate) async fn call(
    address: SocketAddr,
    headers: &[(&str, &str)],
    bytes: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::post(format!("http://localhost{EXPORT}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(
        address,
        Version::HTTP_2,
        request.body(body(bytes)).expect("a request"),
    )
    .await
}

/// `google.rpc.Status`, as the tests' own reading of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Detail>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Detail {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) retry_info: Option<RetryInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(crate) delay: Option<Delay>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Delay {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl Status {
    /// The delay that a client is asked for.
    pub(crate) fn retry_delay(&self) -> Option<(i64, i32)> {
        let detail = self
            .details
            .iter()
            .find(|d| d.type_url == "type.googleapis.com/google.rpc.RetryInfo")?;
        let delay = detail.retry_info.as_ref()?.delay.as_ref()?;
        Some((delay.seconds, delay.nanos))
    }
}
