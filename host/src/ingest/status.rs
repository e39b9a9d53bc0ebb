//! `google.rpc.Status`, with which OTLP says why a request was refused, in protobuf and in JSON.

use std::time::Duration;

use prost::Message;
use serde_json::{Value, json};
use tonic::Code;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Why a request was refused, and when to try again if that makes sense.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

impl Status {
    pub(super) fn to_protobuf(&self) -> Vec<u8> {
        let details = self.retry_after.map(|delay| StatusDetail {
            type_url: RETRY_INFO.to_owned(),
            value: RetryInfo {
                retry_delay: Some(seconds_and_nanos(delay)),
            }
            .encode_to_vec(),
        });
        StatusMessage {
            code: self.code as i32,
            message: self.message.clone(),
            details: details.into_iter().collect(),
        }
        .encode_to_vec()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let details: Vec<Value> = self
            .retry_after
            .map(|delay| json!({ "@type": RETRY_INFO, "retryDelay": format!("{}s", delay.as_secs_f64()) }))
            .into_iter()
            .collect();
        json!({ "code": self.code as i32, "message": self.message, "details": details })
            .to_string()
            .into_bytes()
    }
}

/// When a `google.rpc.Status` asks to try again, if it does.
pub fn retry_delay(status: &[u8]) -> Option<Duration> {
    let status = StatusMessage::decode(status).ok()?;
    let detail = status.details.iter().find(|d| d.type_url == RETRY_INFO)?;
    let delay = RetryInfo::decode(&detail.value[..]).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    Some(Duration::new(
        seconds,
        u32::try_from(delay.nanos).ok()?.min(999_999_999),
    ))
}

fn seconds_and_nanos(duration: Duration) -> ProtoDuration {
    ProtoDuration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct StatusMessage {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<StatusDetail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct StatusDetail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_asks_for_is_read_as_it_was_written() {
        for delay in [
            None,
            Some(Duration::from_millis(2_500)),
            Some(Duration::ZERO),
        ] {
            let status = Status {
                code: Code::Unavailable,
                message: "no room".into(),
                retry_after: delay,
            };
            assert_eq!(retry_delay(&status.to_protobuf()), delay);
        }
        assert_eq!(retry_delay(b"\xff"), None);
    }
}
