//! OTLP/gRPC: `TraceService/Export`, health and reflection.
//!
//! Export is written out here instead of going through tonic's codec, which buffers whole messages outside any budget,
//! inflates them into memory that nobody counts, and answers what is too large or damaged with codes that OTLP clients
//! retry. What gRPC adds to HTTP/2 is a prefix of five bytes and a trailer.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::answer::{grpc_accepted, grpc_refused};
use super::inflate::Encoding;
use super::intake::{Format, Framing, Intake};
use super::refusal::Refusal;

const TRACE_SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What reflection lists: only what is served. The descriptors hold the services for logs and metrics, too.
const LISTED: [&str; 4] = [
    TRACE_SERVICE,
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// All services of the gRPC port, and what tells health checks how it is.
pub(super) async fn app(intake: Intake) -> (Router, HealthReporter) {
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, ServingStatus::Serving).await;
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(opentelemetry_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(
                tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            );
        LISTED
            .into_iter()
            .fold(builder, |builder, name| builder.with_service_name(name))
    };
    let router = Routes::new(health_service)
        .add_service(
            reflection()
                .build_v1()
                .expect("descriptors that were compiled in are valid"),
        )
        .add_service(
            reflection()
                .build_v1alpha()
                .expect("descriptors that were compiled in are valid"),
        )
        .into_axum_router()
        .route(EXPORT_PATH, post(export).with_state(intake))
        .layer(from_fn(grpc_only));
    (router, health)
}

/// Tells health checks `status`, for the server as a whole and for the trace service.
pub(super) async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in ["", TRACE_SERVICE] {
        health.set_service_status(service, status).await;
    }
}

async fn export(State(intake): State<Intake>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let taken = match encoding(&head.headers) {
        Ok(encoding) => {
            intake
                .receive(body, Framing::Grpc, encoding, Format::Protobuf)
                .await
        }
        Err(refusal) => {
            intake.refuse(body, &refusal, false).await;
            Err(refusal)
        }
    };
    match taken {
        Ok(accepted) => grpc_accepted(accepted, &head.headers),
        Err(refusal) => grpc_refused(&refusal, intake.retry_after()),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Refusal> {
    headers.get("grpc-encoding").map_or(Ok(None), |value| {
        Encoding::named(&String::from_utf8_lossy(value.as_bytes()))
    })
}

/// Sends OTLP/HTTP away from this port with a word that helps: 4317 for 4318 is the commonest mistake.
async fn grpc_only(request: Request, next: Next) -> Response {
    let is_grpc = |value: &http::HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if request.headers().get(CONTENT_TYPE).is_some_and(is_grpc) {
        return next.run(request).await;
    }
    (
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "this port speaks OTLP/gRPC: send OTLP/HTTP to the other one (4318 by default)\n",
    )
        .into_response()
}
