//! Why a request is not taken, and what each protocol says then.
//!
//! OTLP decides by the answer whether a client tries again: `UNAVAILABLE` and `DEADLINE_EXCEEDED`, 429 and 503 are
//! retryable, `INVALID_ARGUMENT`, 400, 413 and 415 are final. A request that is too large is 413 and not 400: both are
//! final, and 413 names the cause to whoever reads a proxy's log.

use std::time::Duration;

use http::StatusCode;
use tonic::Code;

use super::budget::Full;
use super::counters::Counters;
use crate::wal::LogError;

/// Why a request is not taken.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("the body is not an OTLP trace request: {0}")]
    Malformed(String),
    #[error("the body is not valid {encoding}: {reason}")]
    Corrupt {
        encoding: &'static str,
        reason: String,
    },
    #[error(
        "the request is larger than {limit} bytes after decompression: send smaller batches, or raise `request-limit`"
    )]
    TooLarge { limit: usize },
    #[error("content encoding `{0}` is not served: send gzip, zstd or identity")]
    Encoding(String),
    #[error("content type `{0}` is not served: send application/x-protobuf or application/json")]
    ContentType(String),
    #[error("the bytes in flight are at their bound of {limit}: try again later")]
    InFlight { limit: usize },
    #[error(
        "the request needs more than the {limit} bytes that all requests together may take: send smaller batches, or \
         raise `in-flight`"
    )]
    NeverFits { limit: usize },
    #[error("the queue of a shard is full: try again later")]
    QueueFull,
    #[error(transparent)]
    Unlogged(LogError),
    #[error(transparent)]
    NeverLogged(LogError),
    #[error("the body did not arrive within {} ms: try again", .0.as_millis())]
    Timeout(Duration),
    #[error("the host is shutting down: try again")]
    Closed,
    #[error("the request ended before its body did: {0}")]
    Aborted(String),
}

impl Refusal {
    /// The status over gRPC, and in the `Status` of an HTTP answer.
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed(_)
            | Self::Corrupt { .. }
            | Self::TooLarge { .. }
            | Self::NeverFits { .. }
            | Self::NeverLogged(_) => Code::InvalidArgument,

            Self::Encoding(_) | Self::ContentType(_) => Code::Unimplemented,
            Self::InFlight { .. } | Self::QueueFull | Self::Unlogged(_) | Self::Closed => {
                Code::Unavailable
            }
            Self::Timeout(_) => Code::DeadlineExceeded,
            Self::Aborted(_) => Code::Cancelled,
        }
    }

    /// The status over HTTP.
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Corrupt { .. } | Self::Aborted(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } | Self::NeverFits { .. } | Self::NeverLogged(_) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Encoding(_) | Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InFlight { .. } | Self::QueueFull => StatusCode::TOO_MANY_REQUESTS,
            // 408 would be the word for a timeout, but OTLP clients drop what they get it for.
            Self::Timeout(_) | Self::Unlogged(_) | Self::Closed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the same request may be taken later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::InFlight { .. }
                | Self::QueueFull
                | Self::Unlogged(_)
                | Self::Timeout(_)
                | Self::Closed
        )
    }

    pub(super) fn count(&self, counters: &Counters) {
        let counter = match self {
            Self::Malformed(_) | Self::Corrupt { .. } => &counters.malformed,
            Self::TooLarge { .. } | Self::NeverFits { .. } | Self::NeverLogged(_) => {
                &counters.too_large
            }
            Self::Encoding(_) | Self::ContentType(_) => &counters.unsupported,
            Self::InFlight { .. } | Self::QueueFull => &counters.overload,
            Self::Unlogged(_) => &counters.unlogged,
            Self::Timeout(_) => &counters.timeouts,
            Self::Closed => &counters.closed,
            Self::Aborted(_) => &counters.aborted,
        };
        counter.add(1);
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        match error {
            LogError::TooLarge { .. } => Self::NeverLogged(error),
            LogError::Write { .. } | LogError::Full { .. } | LogError::Ended => {
                Self::Unlogged(error)
            }
        }
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full.ever {
            true => Self::NeverFits { limit: full.limit },
            false => Self::InFlight { limit: full.limit },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_can_never_hold_is_not_tried_again_and_all_else_is() {
        let never = Refusal::from(LogError::TooLarge {
            length: 9,
            limit: 8,
        });
        assert_eq!(never.code(), Code::InvalidArgument);
        assert_eq!(never.http_status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(!never.is_retryable());
        assert!(never.to_string().contains("raise `log-size`"), "{never}");
        let reason = "full".to_owned();
        for error in [
            LogError::Write { reason },
            LogError::Full { limit: 8 },
            LogError::Ended,
        ] {
            let later = Refusal::from(error);
            assert_eq!(later.code(), Code::Unavailable);
            assert_eq!(later.http_status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(later.is_retryable(), "{later}");
        }
    }
}
