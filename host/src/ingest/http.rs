//! OTLP/HTTP: `POST /v1/traces` in protobuf or JSON.
//!
//! Every refusal carries a `google.rpc.Status` in the request's own format, as OTLP asks for.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tonic::Code;

use super::answer::{http_accepted, http_refused, http_status, plain_status};
use super::inflate::Encoding;
use super::intake::{Format, Framing, Intake};
use super::refusal::Refusal;

pub(super) fn app(intake: Intake) -> Router {
    Router::new()
        .route("/v1/traces", post(traces).fallback(wrong_method))
        .fallback(wrong_path)
        .with_state(intake)
}

async fn traces(State(intake): State<Intake>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let wanted = wanted(&head.headers, intake.request_bytes());
    let format = answer_format(&head.headers);
    let taken = match wanted {
        Ok((encoding, length)) => {
            intake
                .receive(body, Framing::Http { length }, encoding, format)
                .await
        }
        Err(refusal) => {
            intake
                .refuse(body, &refusal, head.headers.contains_key(EXPECT))
                .await;
            Err(refusal)
        }
    };
    match taken {
        Ok(accepted) => http_accepted(accepted, format),
        Err(refusal) => http_refused(&refusal, format, intake.retry_after()),
    }
}

async fn wrong_method(request: Request) -> Response {
    let status = plain_status(
        Code::Unimplemented,
        format!("{} is not served here: use POST", request.method()),
    );
    let mut response = http_status(
        StatusCode::METHOD_NOT_ALLOWED,
        answer_format(request.headers()),
        &status,
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn wrong_path(request: Request) -> Response {
    let what = match request.uri().path() {
        "/v1/metrics" | "/v1/logs" | "/v1development/profiles" => {
            "only traces are taken: send them to /v1/traces"
        }
        _ => "there is nothing at this path: send traces to /v1/traces",
    };
    http_status(
        StatusCode::NOT_FOUND,
        answer_format(request.headers()),
        &plain_status(Code::Unimplemented, what),
    )
}

/// The encoding and the announced length of a request that can be read, or why it can't.
fn wanted(headers: &HeaderMap, limit: usize) -> Result<(Option<Encoding>, Option<usize>), Refusal> {
    let content_type = text(headers, CONTENT_TYPE);
    if format_of(&content_type).is_none() {
        return Err(Refusal::ContentType(
            content_type.chars().take(64).collect(),
        ));
    }
    let encoding = Encoding::named(&text(headers, CONTENT_ENCODING))?;
    let length = text(headers, CONTENT_LENGTH).parse().ok();
    if length.is_some_and(|length: usize| length > limit) {
        return Err(Refusal::TooLarge { limit });
    }
    Ok((encoding, length))
}

/// The format to answer in: the request's own, or protobuf where it has none that is known.
fn answer_format(headers: &HeaderMap) -> Format {
    format_of(&text(headers, CONTENT_TYPE)).unwrap_or(Format::Protobuf)
}

/// The format of a content type; its parameters, such as a charset, don't matter.
fn format_of(content_type: &str) -> Option<Format> {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/x-protobuf" | "application/protobuf" => Some(Format::Protobuf),
        "application/json" => Some(Format::Json),
        _ => None,
    }
}

/// A header's values as one text, empty where it is missing.
fn text(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(", ")
}
