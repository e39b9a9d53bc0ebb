//! OTLP/HTTP over real sockets, in both formats, every encoding and both versions of HTTP.

mod ingest_support;

use betrace::ingest::{Limits, Transport};
use hyper::{Request, Version};
use ingest_support::{
    Host, PATIENCE, Setup, Status, body, compressed, partly_unusable, post, request, send,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

fn json_request() -> Value {
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [
        { "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "n0" },
        { "traceId": "5b8efff798038103d269b633813fc60d", "spanId": "eee19b7ec3c1b175", "name": "n1", "kind": 2 },
    ]}]}]})
}

fn status_of(body: &[u8]) -> Status {
    Status::decode(body).expect("a google.rpc.Status")
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[tokio::test]
async fn protobuf_is_served_in_every_encoding_over_both_versions() {
    let host = Host::start(Setup::default()).await;
    let bytes = request(2).encode_to_vec();
    let mut sent = 0;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for encoding in ["identity", "gzip", "zstd", "deflate"] {
            let request = Request::post(format!("http://{}/v1/traces", host.http))
                .header("host", "localhost")
                .header(PROTOBUF.0, PROTOBUF.1)
                .header("content-encoding", encoding)
                .body(body(compressed(encoding, &bytes)))
                .expect("a request");
            let answer = send(host.http, version, request).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, "application/x-protobuf")
            );
            let message = ExportTraceServiceResponse::decode(answer.body).expect("a response");
            assert_eq!(message, ExportTraceServiceResponse::default());
            assert_eq!(host.taken(), ["n0", "n1"], "{version:?} {encoding}");
            sent += 1;
        }
    }
    let counted = host.counted(Transport::Http);
    assert_eq!(
        (counted.requests, counted.spans, counted.bytes),
        (sent, 2 * sent, sent * bytes.len() as u64)
    );
    assert_eq!(host.router.budget().used(), 0);
    host.ended().await;
}

#[tokio::test]
async fn json_is_served_in_every_encoding() {
    let host = Host::start(Setup::default()).await;
    let bytes = json_request().to_string().into_bytes();
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"UTF-8\"",
    ] {
        for encoding in ["identity", "gzip", "zstd"] {
            let headers = [
                ("content-type", content_type),
                ("content-encoding", encoding),
            ];
            let answer = post(host.http, &headers, compressed(encoding, &bytes)).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, "application/json"),
                "{answer:?}"
            );
            assert_eq!(json_of(&answer.body), json!({}));
            assert_eq!(host.taken(), ["n0", "n1"], "{content_type} {encoding}");
        }
    }
    assert_eq!(host.router.budget().used(), 0);
    host.ended().await;
}

#[tokio::test]
async fn spans_that_cannot_be_used_are_counted_in_the_requests_format() {
    let host = Host::start(Setup::default()).await;
    let answer = post(host.http, &[PROTOBUF], partly_unusable().encode_to_vec()).await;
    let partial = ExportTraceServiceResponse::decode(answer.body)
        .expect("a response")
        .partial_success;
    assert_eq!(
        (answer.status, partial.expect("it says so").rejected_spans),
        (200, 3)
    );
    assert_eq!(host.taken(), ["good"]);

    let one = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [
        { "traceId": "00000000000000000000000000000000", "spanId": "eee19b7ec3c1b174", "name": "zeros" },
    ]}]}]});
    let answer = post(host.http, &[JSON], one.to_string()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        json_of(&answer.body),
        json!({ "partialSuccess": {
            "rejectedSpans": "1",
            "errorMessage":
                "1 span was left out: a trace id has to be 16 bytes and a span id 8, and neither all zeros",
        }})
    );
    assert_eq!(host.counted(Transport::Http).rejected, 4);
    host.ended().await;
}

#[tokio::test]
async fn damage_is_a_bad_request_with_a_status_in_its_format() {
    let host = Host::start(Setup::default()).await;
    let gzip = ("content-encoding", "gzip");
    let answer = post(host.http, &[PROTOBUF], "\u{a}\u{7f}not protobuf").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (400, "application/x-protobuf")
    );
    let status = status_of(&answer.body);
    assert_eq!(status.code, tonic::Code::InvalidArgument as i32);
    assert!(
        status
            .message
            .starts_with("the body is not an OTLP trace request: "),
        "{}",
        status.message
    );

    let answer = post(host.http, &[PROTOBUF, gzip], "not gzip").await;
    assert_eq!(answer.status, 400);
    assert!(
        status_of(&answer.body)
            .message
            .starts_with("the body is not valid gzip: ")
    );

    for bad in [
        "not json",
        "[]",
        "{\"resourceSpans\": 7}",
        "{\"resourceSpans\": [",
        "\u{1}",
    ] {
        let answer = post(host.http, &[JSON], bad).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, "application/json"),
            "{bad}"
        );
        let status = json_of(&answer.body);
        assert_eq!(status["code"], 3, "{status}");
        assert!(
            status["message"]
                .as_str()
                .is_some_and(|m| m.contains("not an OTLP trace request")),
            "{status}"
        );
    }
    assert_eq!(host.counted(Transport::Http).malformed, 7);
    host.ended().await;
}

#[tokio::test]
async fn what_is_not_served_says_what_is() {
    let host = Host::start(Setup::default()).await;
    let answer = post(host.http, &[PROTOBUF, ("content-encoding", "br")], "x").await;
    assert_eq!(
        (answer.status, answer.header("accept-encoding")),
        (415, "gzip, zstd, deflate")
    );
    assert!(
        status_of(&answer.body)
            .message
            .contains("content encoding `br` is not served")
    );
    for headers in [&[("content-type", "text/plain")][..], &[]] {
        let answer = post(host.http, headers, "x").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (415, "application/x-protobuf")
        );
        assert!(
            status_of(&answer.body)
                .message
                .contains("send application/x-protobuf or application/json")
        );
    }
    assert_eq!(host.counted(Transport::Http).unsupported, 3);

    let ask = |method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header(JSON.0, JSON.1);
        send(
            host.http,
            Version::HTTP_11,
            request.body(body("{}")).expect("a request"),
        )
    };
    let answer = ask("GET", "/v1/traces").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    assert_eq!(
        json_of(&answer.body)["message"],
        "GET is not served here: use POST"
    );
    let answer = ask("POST", "/v1/metrics").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        json_of(&answer.body)["message"],
        "only traces are taken: send them to /v1/traces"
    );
    assert_eq!(ask("POST", "/").await.status, 404);
    host.ended().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_however_it_comes() {
    let limits = Limits {
        request_bytes: 10_000,
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let large = vec![0; 20_000];
    for encoding in ["identity", "gzip", "zstd", "deflate"] {
        let answer = post(
            host.http,
            &[JSON, ("content-encoding", encoding)],
            compressed(encoding, &large),
        )
        .await;
        assert_eq!(answer.status, 413, "{encoding}");
        let message = json_of(&answer.body)["message"]
            .as_str()
            .map(str::to_owned)
            .expect("a message");
        assert!(
            message.starts_with("the request is larger than 10000 bytes after decompression"),
            "{message}"
        );
    }
    // Without a length, and more of it than the host reads to be polite.
    let mut stream = TcpStream::connect(host.http).await.expect("it listens");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("it listens");
    for _ in 0..3 {
        let chunk = [b"1388\r\n".as_slice(), &[0; 0x1388], b"\r\n"].concat();
        stream.write_all(&chunk).await.expect("it reads");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("it reads");
    assert!(answer_line(&mut stream).await.starts_with("HTTP/1.1 413"));
    assert_eq!(host.counted(Transport::Http).too_large, 5);
    host.ended().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_answered_before_it_sends() {
    let limits = Limits {
        request_bytes: 10_000,
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    for (length, expected) in [(20_000, "HTTP/1.1 413"), (10, "HTTP/1.1 100")] {
        let mut stream = TcpStream::connect(host.http).await.expect("it listens");
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
             content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it listens");
        assert!(
            answer_line(&mut stream).await.starts_with(expected),
            "{length}"
        );
    }
    host.ended().await;
}

#[tokio::test]
async fn overload_asks_for_another_try_and_passes() {
    let limits = Limits {
        retry_after: std::time::Duration::from_millis(2_500),
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        shards: 1,
        queue: 1,
        ..Setup::default()
    })
    .await;
    let bytes = request(1).encode_to_vec();
    assert_eq!(
        post(host.http, &[PROTOBUF], bytes.clone()).await.status,
        200
    );
    let refused = post(host.http, &[PROTOBUF], bytes.clone()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "3"));
    assert_eq!(
        status_of(&refused.body).retry_delay(),
        Some((2, 500_000_000))
    );
    let refused = post(host.http, &[JSON], json_request().to_string()).await;
    assert_eq!(refused.status, 429);
    assert_eq!(json_of(&refused.body)["details"][0]["retryDelay"], "2.5s");
    assert_eq!(host.counted(Transport::Http).overload, 2);
    assert_eq!(host.taken(), ["n0"]);
    assert_eq!(post(host.http, &[PROTOBUF], bytes).await.status, 200);
    host.ended().await;
}

/// The first line of an answer.
async fn answer_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let read = async {
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.expect("an answer"));
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("it answers in time");
    String::from_utf8(line).expect("text")
}
