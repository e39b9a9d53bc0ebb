//! What an answer to an export asks for, in the words of OTLP, and how long to wait before a request is sent again.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::Code;

use super::template::PREFIX;
use crate::demo::random::Random;
use crate::ingest::retry_delay;

/// The wait before the second attempt; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait that the sender chooses by itself. A host may ask for more.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A host that asks for more is not waited for: so long a pause is a mistake, or a host that is gone.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// How a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken, but for so many spans.
    Taken { rejected: u64 },
    /// To be sent again, no sooner than the host said.
    Again {
        after: Option<Duration>,
        why: String,
    },
    /// Not to be sent again.
    Refused { why: String },
}

/// Reads a gRPC answer. `trailers` are its headers where it has nothing else.
pub fn grpc(status: StatusCode, trailers: &HeaderMap, body: &[u8]) -> Answer {
    let Some(said) = tonic::Status::from_header_map(trailers) else {
        let why = format!("HTTP {status}, and no gRPC status: {}", beginning(body));
        return http_refusal(status, None, why);
    };
    if said.code() == Code::Ok {
        return taken(body.get(PREFIX..).unwrap_or_default());
    }
    let why = format!("{:?}: {}", said.code(), said.message());
    let after = retry_delay(said.details());
    // As the specification of OTLP lists them; an exhausted resource only with word of when.
    let again = match said.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => after.is_some(),
        _ => false,
    };
    if again {
        Answer::Again { after, why }
    } else {
        Answer::Refused { why }
    }
}

/// Reads an HTTP answer.
pub fn http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    if status.is_success() {
        return taken(body);
    }
    let after = headers.get(http::header::RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let why = format!("HTTP {status}: {}", beginning(body));
    http_refusal(status, after.map(Duration::from_secs), why)
}

fn http_refusal(status: StatusCode, after: Option<Duration>, why: String) -> Answer {
    match status.as_u16() {
        429 | 502 | 503 | 504 => Answer::Again { after, why },
        _ => Answer::Refused { why },
    }
}

fn taken(message: &[u8]) -> Answer {
    let partial = match ExportTraceServiceResponse::decode(message) {
        Ok(response) => response.partial_success,
        Err(error) => {
            let why = format!("an answer that is no OTLP: {error}");
            return Answer::Refused { why };
        }
    };
    let rejected = partial.map_or(0, |partial| partial.rejected_spans);
    Answer::Taken {
        rejected: u64::try_from(rejected).unwrap_or_default(),
    }
}

/// What can be read of an answer.
fn beginning(body: &[u8]) -> String {
    const SHOWN: usize = 200;
    let text = String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits that grow, of one request.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    random: Random,
}

impl Backoff {
    pub fn new(seed: u64) -> Backoff {
        Backoff {
            next: FIRST_WAIT,
            random: Random::new(seed),
        }
    }

    /// The wait before the next attempt: between half and all of what it has grown to, so that connections which were
    /// refused together do not come back together, and at least what the host asked for.
    pub fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let full = u64::try_from(self.next.as_nanos()).unwrap_or(u64::MAX);
        let own = Duration::from_nanos(self.random.within(full / 2..=full));
        self.next = (self.next * 2).min(LONGEST_WAIT);
        own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(code: Code, details: &'static [u8]) -> HeaderMap {
        let status = tonic::Status::with_details(code, "so it is", details.into());
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers
    }

    #[test]
    fn codes_are_retried_as_otlp_lists_them() {
        for code in (0..17).map(Code::from_i32) {
            let answer = grpc(StatusCode::OK, &trailers(code, b""), &[0; PREFIX]);
            let expected = match code {
                Code::Ok => Answer::Taken { rejected: 0 },
                Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss => Answer::Again {
                    after: None,
                    why: format!("{code:?}: so it is"),
                },
                _ => Answer::Refused {
                    why: format!("{code:?}: so it is"),
                },
            };
            assert_eq!(answer, expected);
        }
        for status in [400, 404, 413, 429, 500, 502, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", "3".parse().unwrap());
            let answer = http(status, &headers, b"no\n room");
            let again = matches!(status.as_u16(), 429 | 502..=504);
            let why = format!("HTTP {status}: no room");
            let after = Some(Duration::from_secs(3));
            let expected = if again {
                Answer::Again { after, why }
            } else {
                Answer::Refused { why }
            };
            assert_eq!(answer, expected);
        }
    }

    #[test]
    fn an_exhausted_resource_is_retried_when_it_says_when() {
        let field = |number: u8, bytes: &[u8]| {
            let length = u8::try_from(bytes.len()).unwrap();
            [&[number << 3 | 2, length], bytes].concat()
        };
        // 2 s and 500,000,000 ns in a RetryInfo in an Any in a Status.
        let delay = b"\x08\x02\x10\x80\xca\xb5\xee\x01";
        let kind = field(1, b"type.googleapis.com/google.rpc.RetryInfo");
        let details = field(3, &[kind, field(2, &field(1, delay))].concat());
        let headers = trailers(Code::ResourceExhausted, details.leak());
        let after = Some(Duration::from_millis(2_500));
        let answer = grpc(StatusCode::OK, &headers, &[]);
        assert!(
            matches!(&answer, Answer::Again { after: is, .. } if *is == after),
            "{answer:?}"
        );
    }

    #[test]
    fn what_no_grpc_server_says_is_read_as_http() {
        let answer = grpc(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"");
        assert!(matches!(answer, Answer::Again { .. }));
        let answer = grpc(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &HeaderMap::new(),
            b"wrong port",
        );
        assert!(matches!(answer, Answer::Refused { why } if why.contains("wrong port")));
    }

    #[test]
    fn waits_grow_to_a_bound_and_never_undercut_what_was_asked() {
        let mut backoff = Backoff::new(1);
        let mut most = FIRST_WAIT;
        for _ in 0..20 {
            let wait = backoff.wait(None);
            assert!(wait >= most / 2 && wait <= most, "{wait:?} of {most:?}");
            most = (most * 2).min(LONGEST_WAIT);
        }
        let mut backoff = Backoff::new(1);
        let asked = Duration::from_secs(9);
        assert_eq!(backoff.wait(Some(asked)), asked);
        assert_eq!(backoff.wait(Some(Duration::MAX)), LONGEST_ASKED);
    }
}
