//! What a list of signals may be asked for: filters, read and checked.

use utoipa::IntoParams;

use super::error::Error;
use super::query::{Parameters, Sent};
use crate::config;
use crate::signal::stamp::rfc3339;
use crate::signal::{Severity, Signal};

/// Signals of one page at most.
const LARGEST_PAGE: usize = 1_000;

/// Which signals of those that are at hand.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this rule.
    pub(super) rule: Option<String>,
    /// Of this severity: `info`, `low`, `medium`, `high` or `critical`.
    pub(super) severity: Option<String>,
    /// Of this trace: 32 hexadecimal digits.
    pub(super) trace: Option<String>,
    /// Detected since: a time (RFC 3339, UTC) or how long ago (`10m`).
    pub(super) since: Option<String>,
    /// At most so many, from 1 to 1,000; 100 by default.
    #[param(minimum = 1, maximum = 1_000)]
    pub(super) limit: Option<usize>,
    /// Where the page before this one ended: its `next`.
    pub(super) before: Option<String>,
}

/// Which signals of those to come.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Followed {
    /// Of this rule.
    rule: Option<String>,
    /// Of this severity: `info`, `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// Of this trace: 32 hexadecimal digits.
    trace: Option<String>,
}

/// Filters, as signals are compared with them.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    rule: Option<String>,
    severity: Option<Severity>,
    trace: Option<String>,
    since: Option<String>,
}

impl Wanted {
    pub(super) fn read(sent: Sent) -> Result<Wanted, Error> {
        let names = ["rule", "severity", "trace", "since", "limit", "before"];
        let sent = Parameters::read(sent, &names)?;
        Ok(Wanted {
            rule: sent.owned("rule"),
            severity: sent.owned("severity"),
            trace: sent.owned("trace"),
            since: sent.owned("since"),
            limit: sent.number("limit", 1, LARGEST_PAGE)?,
            before: sent.owned("before"),
        })
    }

    /// The filters. `now` in Unix nanoseconds.
    pub(super) fn filter(&self, now: u64) -> Result<Filter, Error> {
        Ok(Filter {
            rule: self.rule.clone(),
            severity: self.severity.as_deref().map(severity).transpose()?,
            trace: self.trace.as_deref().map(trace_id_text).transpose()?,
            since: self
                .since
                .as_deref()
                .map(|since| time(since, now))
                .transpose()?,
        })
    }
}

impl Followed {
    pub(super) fn read(sent: Sent) -> Result<Followed, Error> {
        let sent = Parameters::read(sent, &["rule", "severity", "trace"])?;
        Ok(Followed {
            rule: sent.owned("rule"),
            severity: sent.owned("severity"),
            trace: sent.owned("trace"),
        })
    }

    pub(super) fn filter(self) -> Result<Filter, Error> {
        let Followed {
            rule,
            severity,
            trace,
        } = self;
        let wanted = Wanted {
            rule,
            severity,
            trace,
            ..Wanted::default()
        };
        // Without times the present one does not matter.
        wanted.filter(0)
    }
}

impl Filter {
    pub(super) fn takes(&self, signal: &Signal) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == signal.rule)
            && self
                .severity
                .is_none_or(|severity| severity == signal.severity)
            && self
                .trace
                .as_ref()
                .is_none_or(|trace| *trace == signal.trace_id)
            && self
                .since
                .as_ref()
                .is_none_or(|since| signal.detected_at >= *since)
    }
}

fn severity(text: &str) -> Result<Severity, Error> {
    const ALL: [Severity; 5] = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
    ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
        Error::bad_request(format!("`{text}` is no severity"))
            .help("write info, low, medium, high or critical")
    })
}

/// A trace id as signals write it.
fn trace_id_text(text: &str) -> Result<String, Error> {
    trace_id(text).map(|id| crate::signal::stamp::hex(&id))
}

/// A trace id from its hexadecimal digits.
pub(super) fn trace_id(text: &str) -> Result<[u8; 16], Error> {
    let wrong = || {
        Error::bad_request(format!("`{text}` is no trace id"))
            .help("a trace id is 32 hexadecimal digits")
    };
    let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_hex {
        return Err(wrong());
    }
    u128::from_str_radix(text, 16)
        .map(u128::to_be_bytes)
        .map_err(|_| wrong())
}

/// A time in the form of signals: RFC 3339 without the `Z`, so that times compare as texts do.
fn time(text: &str, now: u64) -> Result<String, Error> {
    if let Ok(ago) = config::duration(text) {
        let ago = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
        return Ok(rfc3339(now.saturating_sub(ago)));
    }
    let shape = b"0000-00-00T00:00:00";
    let digits = text.strip_suffix('Z').unwrap_or_default();
    let (whole, fraction) = digits.split_at_checked(shape.len()).unwrap_or_default();
    let is_time = whole.len() == shape.len()
        && whole.bytes().zip(shape).all(|(digit, shape)| match shape {
            b'0' => digit.is_ascii_digit(),
            other => digit == *other,
        })
        && (fraction.is_empty()
            || fraction.starts_with('.') && fraction.bytes().skip(1).all(|d| d.is_ascii_digit()));
    if is_time {
        Ok(digits.to_owned())
    } else {
        Err(Error::bad_request(format!("`{text}` is no time"))
            .help("write a time such as 2026-11-24T10:00:00Z, or how long ago, such as 10m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_others_refused() {
        let hour = 3_600_000_000_000;
        assert_eq!(
            time("10m", hour),
            Ok("1970-01-01T00:50:00.000000000Z".to_owned())
        );
        assert_eq!(
            time("2026-11-24T10:00:00Z", 0),
            Ok("2026-11-24T10:00:00".to_owned())
        );
        assert!(time("2026-11-24T10:00:00.5Z", 0).is_ok());
        for bad in [
            "",
            "yesterday",
            "2026-11-24",
            "2026-11-24T10:00:00",
            "2026-11-24T10:00:00+01:00",
            "2026-11-24T10:00:00.xZ",
            "2026-1ä-24T10:00:00Z",
        ] {
            assert!(time(bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn trace_ids_are_read_in_either_case() {
        let id = trace_id("ABCDEF00000000000000000000000001").expect("it is one");
        assert_eq!((id[0], id[15]), (0xab, 1));
        for bad in ["", "1", "+bcdef00000000000000000000000001", &"0".repeat(33)] {
            assert!(trace_id(bad).is_err(), "{bad}");
        }
    }
}
