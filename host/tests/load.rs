//! `betrace load` against real sockets: all of it arrives, each round is new, and answers are obeyed.

mod ingest_support;
mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use betrace::ingest::Transport;
use betrace::load::client::{Address, Compression, Protocol, Target};
use betrace::load::deck::Deck;
use betrace::load::recorded::Recorded;
use betrace::load::send::{Load, LoadError, Sent, run};
use betrace::load::tally::Tally;
use betrace::load::traffic::trace;
use betrace::replay::input::Source;
use crossbeam_channel::Receiver;
use ingest_support::{EXPORT, Host, Setup};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::Value;
use support::{PATIENCE, Serve, betrace};

fn load(deck: Deck, address: SocketAddr, protocol: Protocol) -> Load {
    Load {
        deck: Arc::new(deck),
        target: Target {
            address: Address::new(&address.to_string()).expect("an address"),
            protocol,
            compression: Compression::None,
        },
        connections: 3,
        rate: None,
        duration: None,
        retry_for: PATIENCE,
        seed: 1,
    }
}

fn deck(traces: u64) -> Deck {
    let shape = "spans=10,services=5,request=12,open=30".parse();
    Deck::made(&shape.expect("a shape"), Some(traces), 0).expect("it is small")
}

async fn send(load: &Load) -> Result<Sent, LoadError> {
    let (never, no_look) = (std::future::pending(), async || {
        std::future::pending().await
    });
    run(load, never, no_look, |(), _: Duration, _: &Tally| {}).await
}

/// A host with room for all.
async fn host() -> Host {
    let setup = Setup {
        queue: 100_000,
        ..Setup::default()
    };
    Host::start(setup).await
}

/// The spans of each trace that has come.
fn traces(host: &Host) -> HashMap<[u8; 16], u64> {
    let mut traces = HashMap::new();
    for routed in host.queues.iter().flat_map(Receiver::try_iter) {
        for span in &routed.parcel.spans {
            *traces.entry(span.trace_id).or_default() += 1;
        }
    }
    traces
}

#[tokio::test]
async fn every_span_arrives_however_it_is_sent() {
    let host = host().await;
    let mut taken = (0, 0);
    for (protocol, address, transport) in [
        (Protocol::Grpc, host.grpc, Transport::Grpc),
        (Protocol::Http, host.http, Transport::Http),
    ] {
        for (compression, rate) in [
            (Compression::None, None),
            (Compression::Gzip, None),
            (Compression::Zstd, None),
            // By the thread that hands out requests, and so fast that none is waited for.
            (Compression::None, Some(u64::MAX)),
        ] {
            let mut load = load(deck(100), address, protocol);
            load.target.compression = compression;
            load.rate = rate;
            let sent = send(&load).await.expect("it is taken");
            let tally = &sent.tally;
            assert_eq!(
                (sent.traces, tally.spans, tally.accepted),
                (100, 1_000, 1_000)
            );
            assert_eq!((tally.rejected, tally.failed, tally.retries), (0, 0, 0));
            assert!(tally.latencies.max().is_some() && !sent.stopped);
            let arrived = traces(&host);
            assert_eq!(arrived.len(), 100);
            assert!(arrived.values().all(|spans| *spans == 10), "{arrived:?}");
            taken.0 += tally.requests;
            taken.1 += tally.spans;
            let counted = host.counted(transport);
            assert_eq!((counted.requests, counted.spans), taken);
        }
        taken = (0, 0);
    }
    host.ended().await;
}

#[tokio::test]
async fn each_round_of_a_file_is_of_new_traces() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recorded.pb");
    // Each trace in two requests with the same id.
    let recording: Vec<u8> = (0..8).flat_map(|n| trace(n / 2, 5)).collect();
    std::fs::write(&file, recording).expect("written");
    let sources = [Source::File(file)];
    let read = || Recorded::read(&sources, 10).expect("OTLP");
    let recorded = read();
    let (a_round, spans) = (recorded.traces, recorded.spans);
    assert_eq!(spans, 40);

    let host = host().await;
    let mut seen = HashMap::new();
    for seed in [1, 2] {
        let deck = Deck::recorded(read(), None, Some(3 * spans));
        let mut load = load(deck, host.grpc, Protocol::Grpc);
        load.seed = seed;
        let sent = send(&load).await.expect("it is taken");
        assert_eq!((sent.traces, sent.tally.spans), (3 * a_round, 3 * spans));
        seen.extend(traces(&host));
    }
    assert_eq!(
        seen.len() as u64,
        2 * 3 * a_round,
        "two seeds, three rounds"
    );
    assert_eq!(seen.values().sum::<u64>(), 2 * 3 * spans);
    host.ended().await;
}

/// A host that answers each request with what `answer` makes of its number, counted from 0.
async fn answering(
    answer: impl Fn(u32) -> Response + Clone + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = count.clone();
    let handler = axum::routing::post(move |body: axum::body::Bytes| async move {
        assert!(!body.is_empty());
        answer(counted.fetch_add(1, Relaxed))
    });
    let app = axum::Router::new()
        .route(EXPORT, handler.clone())
        .route("/v1/traces", handler);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, count)
}

/// A gRPC answer with trailers in its headers, as a status of its own is.
fn status(code: tonic::Code, message: &str) -> Response {
    tonic::Status::new(code, message).into_http::<axum::body::Body>()
}

#[tokio::test]
async fn what_the_host_has_no_room_for_is_sent_again() {
    let (grpc, grpc_count) = answering(|n| match n {
        0..10 => status(tonic::Code::Unavailable, "no room"),
        10..20 => status(tonic::Code::Aborted, "again"),
        _ => status(tonic::Code::Ok, ""),
    })
    .await;
    let (http, http_count) = answering(|n| match n {
        0..10 => axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
        10..20 => {
            let again = axum::http::StatusCode::TOO_MANY_REQUESTS;
            (again, [("retry-after", "0")]).into_response()
        }
        _ => ().into_response(),
    })
    .await;
    for (protocol, address, count) in [
        (Protocol::Grpc, grpc, grpc_count),
        (Protocol::Http, http, http_count),
    ] {
        let mut load = load(deck(60), address, protocol);
        // Each is refused twice or so, before its waits get long.
        load.connections = 10;
        let sent = send(&load).await.expect("it is taken in the end");
        let tally = &sent.tally;
        assert_eq!((tally.requests, tally.accepted), (50, 600));
        assert_eq!((tally.failed, tally.rejected, tally.retries), (0, 0, 20));
        assert_eq!(count.load(Relaxed), 70);
    }
}

#[tokio::test]
async fn what_is_tried_long_enough_is_counted_as_failed() {
    let (address, count) = answering(|n| match n {
        0 => status(tonic::Code::Unavailable, "no room"),
        _ => status(tonic::Code::Ok, ""),
    })
    .await;
    let mut load = load(deck(6), address, Protocol::Grpc);
    load.connections = 1;
    load.retry_for = Duration::ZERO;
    let sent = send(&load).await.expect("the rest is taken");
    let tally = &sent.tally;
    assert_eq!((tally.accepted, tally.failed, tally.retries), (48, 12, 0));
    assert_eq!(tally.failure.as_deref(), Some("Unavailable: no room"));
    assert_eq!(count.load(Relaxed), 5);
}

#[tokio::test]
async fn spans_that_the_host_left_out_are_counted() {
    let (address, _) = answering(|_| {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "two were left out".into(),
        });
        ExportTraceServiceResponse { partial_success }
            .encode_to_vec()
            .into_response()
    })
    .await;
    let sent = send(&load(deck(6), address, Protocol::Http)).await;
    let tally = sent.expect("it is taken").tally;
    assert_eq!(
        (tally.requests, tally.accepted, tally.rejected),
        (5, 50, 10)
    );
}

#[tokio::test]
async fn a_host_that_refuses_everything_ends_it() {
    let (address, count) =
        answering(|_| status(tonic::Code::Unimplemented, "no traces here")).await;
    let refused = send(&load(deck(1_000), address, Protocol::Grpc)).await;
    let error = refused.expect_err("nothing is taken").to_string();
    assert_eq!(
        error,
        "10 requests in a row failed, the last with: Unimplemented: no traces here"
    );
    assert!(count.load(Relaxed) < 20);
}

const RULE: &str = "rule slow-order { detect { shop.step_3.where(http.response.status_code >= 500 and amount > 1000) } }";

fn serve(folder: &std::path::Path) -> Serve {
    let rule = folder.join("shop.betrace");
    std::fs::write(&rule, RULE).expect("written");
    Serve::start(&["--rules", rule.to_str().expect("UTF-8"), "--settle", "1s"])
}

#[test]
fn the_summary_is_what_the_host_took_and_rules_have_something_to_find() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = serve(folder.path());
    let output = betrace(&[
        "load",
        &serve.grpc,
        "--traces",
        "300",
        "--seed",
        "7",
        "--json",
    ])
    .output()
    .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["spans"]["accepted"], 3_000, "{summary}");
    assert_eq!(
        (&summary["traces"], &summary["seed"]),
        (&300.into(), &7.into())
    );
    assert!(
        summary["latency_ms"]["p99"].as_f64() > Some(0.0),
        "{summary}"
    );
    assert_eq!(serve.signal()["rule"], "slow-order");
    let (_, stderr, _) = serve.terminate();
    let told = "betrace: 300 traces of 3,000 spans in 5 requests: 1 signal";
    let plain = |line: &String| line.replace(',', "") == told.replace(',', "");
    assert!(stderr.iter().any(plain), "{stderr:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_with_the_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = serve(folder.path());
    let load = betrace(&["load", &serve.grpc, "--rate", "20k", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    // By then something was sent, and much is not yet due.
    serve.signal();
    let interrupted = Command::new("kill")
        .args(["-INT", &load.id().to_string()])
        .status();
    assert!(interrupted.expect("kill is there").success());
    let output = load.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&summary["stopped"], &summary["rate_asked"]),
        (&true.into(), &20_000.into())
    );
    assert_eq!(summary["spans"]["sent"], summary["spans"]["accepted"]);
}

#[test]
fn nobody_there_is_told_with_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let output = betrace(&["load", &address, "--spans", "10"])
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains(&format!("can't connect to {address}")),
        "{stderr}"
    );
    assert!(stderr.contains("help: start a host there"), "{stderr}");
}
