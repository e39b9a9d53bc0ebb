//! The host's own traces at a real OTLP/gRPC receiver.
#![cfg(feature = "engine")]

mod support;

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use betrace::telemetry::requests::traced;
use betrace::telemetry::traces::{Counts, Traces};
use http::Uri;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use support::{PATIENCE, Serve, betrace};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tower::ServiceExt;
use tracing::{Instrument, info_span};
use tracing_subscriber::layer::SubscriberExt;

/// A request that the receiver took: the resource's service name, and the spans.
type Took = (String, Vec<Span>);

struct Collector {
    took: Sender<Took>,
    /// Answers with an error.
    refuses: bool,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        if self.refuses {
            return Err(tonic::Status::permission_denied("no"));
        }
        for of_resource in request.into_inner().resource_spans {
            let attributes = of_resource.resource.map(|resource| resource.attributes);
            let service = attributes
                .into_iter()
                .flatten()
                .find(|attribute| attribute.key == "service.name");
            let service = service.and_then(|service| service.value?.value);
            let Some(Value::StringValue(service)) = service else {
                panic!("no service name")
            };
            let spans = of_resource.scope_spans.into_iter().flat_map(|s| s.spans);
            // A test that has ended takes no more.
            let _ = self.took.send((service, spans.collect()));
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A receiver on a port of its own, for as long as the runtime lives.
fn collector(refuses: bool) -> (Runtime, Uri, Receiver<Took>) {
    let runtime = Runtime::new().expect("a runtime");
    let (took, taken) = channel();
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let service = TraceServiceServer::new(Collector { took, refuses });
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener)),
    );
    let uri = format!("http://{address}").parse().expect("a URL");
    (runtime, uri, taken)
}

/// All spans that came, once nobody sends any more.
fn rest(taken: &Receiver<Took>) -> Vec<Span> {
    taken
        .try_iter()
        .flat_map(|(service, spans)| {
            assert_eq!(service, "betrace");
            spans
        })
        .collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let span = spans.iter().find(|span| span.name == name);
    span.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|of| of.key == key);
    let value = found.and_then(|found| found.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?} in {span:#?}"),
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn own_spans_arrive_and_those_of_libraries_do_not() {
    let (_runtime, endpoint, taken) = collector(false);
    let traces = Traces::start(&endpoint, 100).expect("it starts");
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, || {
        let reload = info_span!(target: "betrace::app", "reload", number = 7).entered();
        info_span!(target: "betrace::rules", "compile", file = "a.betrace").in_scope(|| {});
        info_span!(target: "h2::client", "poll").in_scope(|| {});
        info_span!(target: "betrace_like", "other").in_scope(|| {});
        tracing::debug_span!(target: "betrace::app", "detail").in_scope(|| {});
        drop(reload);
    });
    let counts = traces.stop(PATIENCE);
    assert_eq!((counts.sent, counts.lost()), (2, 0));
    let spans = rest(&taken);
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (reload, compile) = (named(&spans, "reload"), named(&spans, "compile"));
    assert_eq!(attribute(reload, "number"), "7");
    assert_eq!(attribute(compile, "file"), "a.betrace");
    assert_eq!(compile.parent_span_id, reload.span_id);
    assert_eq!(compile.trace_id, reload.trace_id);
}

#[test]
fn spans_past_the_queue_and_those_that_are_refused_are_counted() {
    let (_runtime, endpoint, taken) = collector(true);
    let traces = Traces::start(&endpoint, 3).expect("it starts");
    // Batches are sent from three spans on, so that these wait until it is stopped.
    let ended = |spans: usize| {
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..spans {
                info_span!(target: "betrace", "reload").in_scope(|| {});
            }
        });
    };
    ended(2);
    let counts = traces.stop(PATIENCE);
    let refused = Counts {
        failed: 2,
        ..Counts::default()
    };
    assert_eq!(counts, refused);
    assert_eq!(rest(&taken), []);
}

/// Nobody takes what is sent, so that the queue fills.
#[test]
fn a_dead_endpoint_costs_no_more_than_the_queue() {
    // Accepts connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("bound"));
    let traces = Traces::start(&endpoint.parse().expect("a URL"), 10).expect("it starts");
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..1_000 {
            info_span!(target: "betrace", "reload").in_scope(|| {});
        }
    });
    let counts = traces.counters().counts();
    assert_eq!((counts.dropped, counts.waiting), (990, 10));
    let counts = traces.stop(Duration::ZERO);
    assert_eq!((counts.sent, counts.lost()), (0, 1_000));
}

#[test]
fn a_request_of_the_api_has_a_span_named_after_its_route() {
    let (_runtime, endpoint, taken) = collector(false);
    let traces = Traces::start(&endpoint, 100).expect("it starts");
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    let answer = || async {
        info_span!(target: "betrace", "look").in_scope(|| {});
        StatusCode::SERVICE_UNAVAILABLE
    };
    let api = Router::new()
        .route("/api/v1/rules/{id}", get(answer))
        .layer(axum::middleware::from_fn(traced));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    tracing::subscriber::with_default(subscriber, || {
        for (method, path) in [
            ("GET", "/api/v1/rules/slow"),
            ("BREW", "/pot"),
            ("GET", "/metrics"),
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).expect("a request");
            runtime
                .block_on(api.clone().oneshot(request).in_current_span())
                .expect("an answer");
        }
    });
    traces.stop(PATIENCE);
    let spans = rest(&taken);
    assert_eq!(spans.len(), 3, "none of a probe: {spans:#?}");
    let request = named(&spans, "GET /api/v1/rules/{id}");
    assert_eq!(attribute(request, "http.request.method"), "GET");
    assert_eq!(attribute(request, "http.route"), "/api/v1/rules/{id}");
    assert_eq!(attribute(request, "http.response.status_code"), "503");
    assert_eq!(request.kind, 2, "a server");
    assert_eq!(request.status.as_ref().map(|status| status.code), Some(2));
    assert_eq!(named(&spans, "look").parent_span_id, request.span_id);
    let odd = named(&spans, "_OTHER");
    assert_eq!(attribute(odd, "http.response.status_code"), "404");
}

/// What the host's metrics say of its own spans.
fn own_spans(serve: &Serve, outcome: &str) -> u64 {
    let metrics = format!("http://{}/metrics", serve.api);
    let metrics = ureq::get(&metrics).call().expect("an answer");
    let metrics = metrics.into_body().read_to_string().expect("text");
    let series = format!("betrace_own_spans_total{{outcome=\"{outcome}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
    count.expect("it is there").parse().expect("a count")
}

#[test]
fn a_served_host_tells_of_its_start_and_of_each_reload() {
    let (_runtime, endpoint, taken) = collector(false);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("payment.betrace");
    let rule = |name: &str| {
        format!("rule {name} {{ when {{ payment.charge_card }} never {{ payment.bypass }} }}\n")
    };
    std::fs::write(&file, rule("first")).expect("it is written");
    let endpoint = endpoint.to_string();
    let serve = Serve::with_environment(
        &["--rules", path(folder.path())],
        &[("BETRACE_TRACES_ENDPOINT", &endpoint)],
    );
    let new = folder.path().join("new");
    std::fs::write(&new, rule("second")).expect("it is written");
    std::fs::rename(&new, &file).expect("it is saved");
    let mut spans = Vec::new();
    while !spans.iter().any(|span: &Span| span.name == "verdict") {
        let (service, more) = taken.recv_timeout(PATIENCE).expect("more spans");
        assert_eq!(service, "betrace");
        spans.extend(more);
    }
    let rules = format!("http://{}/api/v1/rules", serve.api);
    ureq::get(&rules).call().expect("an answer");
    // They are counted when the endpoint has answered, and so after they are here.
    let started = Instant::now();
    while own_spans(&serve, "sent") == 0 {
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(own_spans(&serve, "dropped"), 0);
    let (_, stderr, status) = serve.terminate();
    assert!(status.success(), "{stderr:?}");
    assert!(
        !stderr.iter().any(|line| line.contains("own spans")),
        "{stderr:?}"
    );
    spans.extend(rest(&taken));
    // A save that changes no rule is a reload, too, without a verdict.
    let verdict = named(&spans, "verdict");
    let reload = spans
        .iter()
        .find(|span| span.span_id == verdict.parent_span_id);
    let reload = reload.expect("the verdict is part of a reload");
    assert_eq!(reload.name, "reload");
    assert_eq!(attribute(reload, "changes"), "1", "the other goes later");
    named(&spans, "GET /api/v1/rules");
    for around in [named(&spans, "start"), reload] {
        let compile =
            |span: &&Span| span.name == "compile" && span.parent_span_id == around.span_id;
        let compile = spans.iter().find(compile).expect("a file was compiled");
        assert_eq!(attribute(compile, "file"), path(&file));
    }
}

#[test]
fn an_endpoint_that_is_the_host_itself_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("a.betrace");
    std::fs::write(&rules, "when { a } always { b }\n").expect("it is written");
    let ended = betrace(&[
        "serve",
        "--rules",
        path(&rules),
        "--otlp-grpc",
        "0.0.0.0:43170",
    ])
    .args([
        "--traces-endpoint",
        "http://localhost:43170",
        "--log-format",
        "text",
    ])
    .output()
    .expect("it was built");
    assert_eq!(ended.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(
        stderr,
        "error: `traces-endpoint` http://localhost:43170/ is where this host listens itself (`otlp-grpc` on 0.0.0.0:43170), so \
         its own traces would come back to it\n help: name another host's endpoint, such as a Collector's, or `off`\n"
    );
}
