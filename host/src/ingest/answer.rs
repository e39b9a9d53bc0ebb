//! Answers in the words of each protocol: accepted, accepted in part, or refused and why.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::json;
use tonic::Code;

use super::intake::Format;
use super::refusal::Refusal;
use super::routing::Accepted;
use super::status::Status;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate");
const HTTP_ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd, deflate");

impl Format {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        })
    }
}

/// A gRPC answer to a request that was taken, compressed as the caller likes it where there is something to compress.
pub(super) fn grpc_accepted(accepted: Accepted, request: &HeaderMap) -> Response {
    let message = response_message(accepted).encode_to_vec();
    let compressed = accepted_encoding(request).filter(|_| !message.is_empty());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_ACCEPT_ENCODING, GRPC_ENCODINGS);
    let framed = match compressed.and_then(|name| Some((name, compress(name, &message)?))) {
        Some((name, bytes)) => {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(name));
            framed(1, &bytes)
        }
        None => framed(0, &message),
    };
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let mut response = Response::new(Body::new(
        Full::new(framed).with_trailers(async { Some(Ok(trailers)) }),
    ));
    *response.headers_mut() = headers;
    response
}

/// A gRPC answer to a request that was refused.
pub(super) fn grpc_refused(refusal: &Refusal, retry_after: Duration) -> Response {
    let status = status(refusal, retry_after);
    let details = status
        .retry_after
        .map(|_| Bytes::from(status.to_protobuf()))
        .unwrap_or_default();
    let mut response =
        tonic::Status::with_details(status.code, status.message, details).into_http::<Body>();
    response
        .headers_mut()
        .insert(GRPC_ACCEPT_ENCODING, GRPC_ENCODINGS);
    response
}

/// An HTTP answer to a request that was taken.
pub(super) fn http_accepted(accepted: Accepted, format: Format) -> Response {
    let message = response_message(accepted);
    let body = match (format, message.partial_success) {
        (Format::Protobuf, _) => response_message(accepted).encode_to_vec(),
        (Format::Json, None) => b"{}".to_vec(),
        (Format::Json, Some(partial)) => json!({ "partialSuccess": {
            // A 64 bit integer is text in protobuf's JSON.
            "rejectedSpans": partial.rejected_spans.to_string(),
            "errorMessage": partial.error_message,
        }})
        .to_string()
        .into_bytes(),
    };
    http_response(StatusCode::OK, format, body)
}

/// An HTTP answer to a request that was refused.
pub(super) fn http_refused(refusal: &Refusal, format: Format, retry_after: Duration) -> Response {
    let mut response = http_status(refusal.http_status(), format, &status(refusal, retry_after));
    if refusal.is_retryable() {
        // Whole seconds, and never "at once".
        let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(refusal, Refusal::Encoding(_)) {
        response
            .headers_mut()
            .insert(ACCEPT_ENCODING, HTTP_ENCODINGS);
    }
    response
}

/// An HTTP answer that carries a `Status`.
pub(super) fn http_status(http: StatusCode, format: Format, status: &Status) -> Response {
    let body = match format {
        Format::Protobuf => status.to_protobuf(),
        Format::Json => status.to_json(),
    };
    http_response(http, format, body)
}

/// A `Status` that says `message`.
pub(super) fn plain_status(code: Code, message: impl Into<String>) -> Status {
    Status {
        code,
        message: message.into(),
        retry_after: None,
    }
}

fn status(refusal: &Refusal, retry_after: Duration) -> Status {
    Status {
        code: refusal.code(),
        message: refusal.to_string(),
        retry_after: refusal.is_retryable().then_some(retry_after),
    }
}

fn http_response(status: StatusCode, format: Format, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, format.content_type());
    response
}

fn response_message(accepted: Accepted) -> ExportTraceServiceResponse {
    let partial_success = (accepted.rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::from(accepted.rejected),
        error_message: format!(
            "{} {} left out: a trace id has to be 16 bytes and a span id 8, and neither all zeros",
            accepted.rejected,
            if accepted.rejected == 1 {
                "span was"
            } else {
                "spans were"
            },
        ),
    });
    ExportTraceServiceResponse { partial_success }
}

/// The first encoding that the caller accepts and this host writes.
fn accepted_encoding(request: &HeaderMap) -> Option<&'static str> {
    let accepted = request.get(GRPC_ACCEPT_ENCODING)?.to_str().ok()?;
    accepted.split(',').find_map(|name| {
        ["gzip", "zstd"]
            .into_iter()
            .find(|ours| name.trim() == *ours)
    })
}

fn compress(encoding: &str, message: &[u8]) -> Option<Vec<u8>> {
    if encoding == "zstd" {
        return zstd::bulk::compress(message, zstd::DEFAULT_COMPRESSION_LEVEL).ok();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok()
}

/// gRPC's framing of a message.
fn framed(flag: u8, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(5 + message.len());
    bytes.push(flag);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    Bytes::from(bytes)
}
