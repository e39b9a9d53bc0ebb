//! OTLP/gRPC over real sockets: the generated client for what is right, raw frames for what is not.

mod ingest_support;

use base64::Engine as _;
use betrace::ingest::{Limits, Transport};
use hyper::{Request, Version};
use ingest_support::{
    Host, PATIENCE, Setup, Status, body, call, compressed, framed, partly_unusable, post, request,
    request_of, send, span,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn channel(host: &Host) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", host.grpc)).expect("an address");
    endpoint
        .timeout(PATIENCE)
        .connect()
        .await
        .expect("it listens")
}

#[tokio::test]
async fn the_generated_client_is_served_plain_and_compressed() {
    let host = Host::start(Setup::default()).await;
    let channel = channel(&host).await;
    for encoding in [None, Some(Gzip), Some(Zstd)] {
        let mut client = TraceServiceClient::new(channel.clone());
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding).accept_compressed(encoding);
        }
        let answer = client.export(request(3)).await.expect("it is taken");
        assert_eq!(answer.into_inner(), ExportTraceServiceResponse::default());
        assert_eq!(host.taken(), ["n0", "n1", "n2"], "{encoding:?}");
    }
    let counted = host.counted(Transport::Grpc);
    assert_eq!(
        (counted.requests, counted.spans, counted.connections),
        (3, 9, 1)
    );
    assert_eq!(counted.bytes, 3 * request(3).encoded_len() as u64);
    assert_eq!(host.router.budget().used(), 0);
    host.ended().await;
}

#[tokio::test]
async fn bytes_are_kept_as_received() {
    let host = Host::start(Setup {
        shards: 1,
        ..Setup::default()
    })
    .await;
    // A field that no version of OTLP knows.
    let bytes = [request(1).encode_to_vec(), vec![0xfa, 0x3e, 2, 7, 7]].concat();
    let answer = call(host.grpc, &[], framed(0, &bytes)).await;
    assert_eq!(answer.grpc_status(), Code::Ok, "{answer:?}");
    let routed = host.queues[0].try_recv().expect("it is queued");
    assert_eq!(routed.parcel.request.bytes, bytes);
    host.ended().await;
}

#[tokio::test]
async fn an_empty_request_is_taken() {
    let host = Host::start(Setup::default()).await;
    let mut client = TraceServiceClient::new(channel(&host).await);
    client
        .export(ExportTraceServiceRequest::default())
        .await
        .expect("it is taken");
    assert_eq!(host.counted(Transport::Grpc).requests, 1);
    host.ended().await;
}

#[tokio::test]
async fn spans_that_cannot_be_used_are_counted_and_explained() {
    let host = Host::start(Setup::default()).await;
    let channel = channel(&host).await;
    for encoding in [Gzip, Zstd] {
        let mut client = TraceServiceClient::new(channel.clone()).accept_compressed(encoding);
        let answer = client
            .export(partly_unusable())
            .await
            .expect("it is taken in part");
        let partial = answer.into_inner().partial_success.expect("it says so");
        assert_eq!(partial.rejected_spans, 3);
        assert_eq!(
            partial.error_message,
            "3 spans were left out: a trace id has to be 16 bytes and a span id 8, and neither all zeros"
        );
        assert_eq!(host.taken(), ["good"]);
    }
    assert_eq!(host.counted(Transport::Grpc).rejected, 6);
    // What the generated client reads, it may have been sent plain: look at the bytes.
    let accept = [("grpc-accept-encoding", "identity,deflate,zstd,gzip")];
    let answer = call(
        host.grpc,
        &accept,
        framed(0, &partly_unusable().encode_to_vec()),
    )
    .await;
    assert_eq!(
        (answer.header("grpc-encoding"), answer.body[0]),
        ("zstd", 1)
    );
    host.ended().await;
}

#[tokio::test]
async fn damage_is_an_invalid_argument() {
    let host = Host::start(Setup::default()).await;
    let whole = request(20).encode_to_vec();
    let mut damaged = compressed("gzip", &whole);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let zstd_cut = &compressed("zstd", &whole)[..20];
    let cases: [(&str, &str, Vec<u8>); 7] = [
        ("not protobuf", "", framed(0, b"\x0a\xff\xff\xff\xff\x0f")),
        ("a group that never ends", "", framed(0, &[0x0b])),
        ("damaged gzip", "gzip", framed(1, &damaged)),
        ("zstd that ends early", "zstd", framed(1, zstd_cut)),
        ("compressed without saying how", "", framed(1, &whole)),
        (
            "a stream that ends early",
            "",
            framed(0, &whole)[..50].to_vec(),
        ),
        ("nothing at all", "", Vec::new()),
    ];
    for (name, encoding, bytes) in &cases {
        let headers: &[(&str, &str)] = if encoding.is_empty() {
            &[]
        } else {
            &[("grpc-encoding", encoding)]
        };
        let answer = call(host.grpc, headers, bytes.clone()).await;
        assert_eq!(
            answer.grpc_status(),
            Code::InvalidArgument,
            "{name}: {answer:?}"
        );
        assert!(
            !answer.header("grpc-message").is_empty(),
            "{name} is explained"
        );
        assert_eq!(
            answer.header("grpc-status-details-bin"),
            "",
            "{name} is not worth another try"
        );
    }
    assert_eq!(host.counted(Transport::Grpc).malformed, cases.len() as u64);
    assert_eq!((host.router.budget().used(), host.taken().len()), (0, 0));
    host.ended().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_an_invalid_argument() {
    let limits = Limits {
        request_bytes: 10_000,
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let large = request_of(vec![span(1, 1, &"x".repeat(20_000))]).encode_to_vec();
    for encoding in ["identity", "gzip", "zstd"] {
        let flag = u8::from(encoding != "identity");
        let headers = [("grpc-encoding", encoding)];
        let answer = call(
            host.grpc,
            &headers,
            framed(flag, &compressed(encoding, &large)),
        )
        .await;
        assert_eq!(
            answer.grpc_status(),
            Code::InvalidArgument,
            "{encoding}: {answer:?}"
        );
        assert!(
            answer
                .header("grpc-message")
                .contains("larger%20than%2010000%20bytes"),
            "{answer:?}"
        );
    }
    assert_eq!(host.counted(Transport::Grpc).too_large, 3);
    host.ended().await;
}

#[tokio::test]
async fn an_unknown_encoding_names_the_known_ones() {
    let host = Host::start(Setup::default()).await;
    let answer = call(
        host.grpc,
        &[("grpc-encoding", "snappy")],
        framed(1, b"whatever"),
    )
    .await;
    assert_eq!(answer.grpc_status(), Code::Unimplemented);
    assert_eq!(
        answer.header("grpc-accept-encoding"),
        "identity,gzip,zstd,deflate"
    );
    assert_eq!(host.counted(Transport::Grpc).unsupported, 1);
    host.ended().await;
}

#[tokio::test]
async fn other_services_are_not_implemented() {
    let host = Host::start(Setup::default()).await;
    let logs =
        Request::post("http://localhost/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            .header("content-type", "application/grpc")
            .body(body(framed(0, b"")))
            .expect("a request");
    let answer = send(host.grpc, Version::HTTP_2, logs).await;
    assert_eq!(answer.grpc_status(), Code::Unimplemented);
    host.ended().await;
}

#[tokio::test]
async fn overload_asks_for_another_try_and_passes() {
    let host = Host::start(Setup {
        shards: 1,
        queue: 1,
        ..Setup::default()
    })
    .await;
    let message = framed(0, &request(1).encode_to_vec());
    assert_eq!(
        call(host.grpc, &[], message.clone()).await.grpc_status(),
        Code::Ok
    );

    let refused = call(host.grpc, &[], message.clone()).await;
    assert_eq!(refused.grpc_status(), Code::Unavailable);
    let details = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(refused.header("grpc-status-details-bin"))
        .expect("base64 without padding");
    let status = Status::decode(&details[..]).expect("a google.rpc.Status");
    assert_eq!(
        (status.code, status.retry_delay()),
        (Code::Unavailable as i32, Some((1, 0)))
    );
    assert_eq!(host.counted(Transport::Grpc).overload, 1);

    assert_eq!(host.taken(), ["n0"]);
    assert_eq!(call(host.grpc, &[], message).await.grpc_status(), Code::Ok);
    host.ended().await;
}

#[tokio::test]
async fn health_says_serving_and_then_not() {
    let host = Host::start(Setup::default()).await;
    let mut client = HealthClient::new(channel(&host).await);
    let mut watched = Vec::new();
    for service in ["", "opentelemetry.proto.collector.trace.v1.TraceService"] {
        let asked = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = client.check(asked.clone()).await.expect("it is known");
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
        let mut watch = client.watch(asked).await.expect("it is known").into_inner();
        let first = watch
            .message()
            .await
            .expect("it goes on")
            .expect("it has begun");
        assert_eq!(first.status(), ServingStatus::Serving);
        watched.push(watch);
    }
    let unknown = HealthCheckRequest {
        service: "unknown".to_owned(),
    };
    assert_eq!(
        client.check(unknown).await.expect_err("it is not").code(),
        Code::NotFound
    );
    host.begin_shutdown();
    for watch in &mut watched {
        let last = watch
            .message()
            .await
            .expect("it goes on")
            .expect("it has not ended");
        assert_eq!(last.status(), ServingStatus::NotServing);
    }
    host.ended().await;
}

macro_rules! listed_by_reflection {
    ($pb:path, $host:expr) => {{
        use $pb as pb;
        let mut client =
            pb::server_reflection_client::ServerReflectionClient::new(channel($host).await);
        let ask = |asked| pb::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(asked),
        };
        let asked = [
            ask(pb::server_reflection_request::MessageRequest::ListServices(
                String::new(),
            )),
            ask(
                pb::server_reflection_request::MessageRequest::FileContainingSymbol(
                    "opentelemetry.proto.collector.trace.v1.TraceService".to_owned(),
                ),
            ),
        ];
        let mut answers = Vec::new();
        for question in asked {
            let stream = tonic::codegen::tokio_stream::iter([question]);
            let mut answer = client
                .server_reflection_info(stream)
                .await
                .expect("it answers")
                .into_inner();
            answers.push(
                answer
                    .message()
                    .await
                    .expect("it answers")
                    .expect("it answers")
                    .message_response,
            );
        }
        let listed = match answers.remove(0) {
            Some(pb::server_reflection_response::MessageResponse::ListServicesResponse(list)) => {
                list.service
                    .into_iter()
                    .map(|service| service.name)
                    .collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let described = matches!(
            answers.remove(0),
            Some(pb::server_reflection_response::MessageResponse::FileDescriptorResponse(_))
        );
        (listed, described)
    }};
}

#[tokio::test]
async fn reflection_lists_what_is_served() {
    let host = Host::start(Setup::default()).await;
    let by_v1 = listed_by_reflection!(tonic_reflection::pb::v1, &host);
    let by_v1alpha = listed_by_reflection!(tonic_reflection::pb::v1alpha, &host);
    assert_eq!(by_v1, by_v1alpha);
    let (mut listed, described) = by_v1;
    listed.sort();
    assert_eq!(
        listed,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "opentelemetry.proto.collector.trace.v1.TraceService",
        ]
    );
    assert!(described, "the trace service has a description");
    host.ended().await;
}

#[tokio::test]
async fn otlp_http_at_this_port_is_told_where_to_go() {
    let host = Host::start(Setup::default()).await;
    let answer = post(
        host.grpc,
        &[("content-type", "application/x-protobuf")],
        request(1).encode_to_vec(),
    )
    .await;
    assert_eq!(answer.status, 415);
    assert!(String::from_utf8_lossy(&answer.body).contains("this port speaks OTLP/gRPC"));
    host.ended().await;
}
