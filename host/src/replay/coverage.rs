//! What a sample of recent traces stands for.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use super::kept::Kept;
use crate::sinks::text::{grouped, many};

/// What kept traces cover of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Coverage {
    pub traces: u64,
    pub spans: u64,
    /// Memory that they take.
    pub bytes: u64,
    /// When the oldest and the newest of them were judged, in Unix nanoseconds; none without traces.
    pub oldest_unix_ns: Option<u64>,
    pub newest_unix_ns: Option<u64>,
    /// Distinct pairs of root service and root name: of which a trace is kept, and that were seen of late.
    pub operations: u64,
    pub operations_seen: u64,
}

impl Coverage {
    /// Of these traces, where so many operations were seen.
    pub fn of(kept: &[Arc<Kept>], seen: u64) -> Coverage {
        let mut coverage = Coverage {
            traces: kept.len() as u64,
            oldest_unix_ns: kept.iter().map(|kept| kept.judged_at).min(),
            newest_unix_ns: kept.iter().map(|kept| kept.judged_at).max(),
            ..Coverage::default()
        };
        let mut operations = HashSet::new();
        for kept in kept {
            coverage.spans += kept.spans.len() as u64;
            coverage.bytes += kept.bytes() as u64;
            operations.insert((&kept.root_service, &kept.root_name));
        }
        coverage.operations = operations.len() as u64;
        coverage.operations_seen = seen.max(coverage.operations);
        coverage
    }

    /// In words: "4,812 traces of the last 9 min, 31 of 31 root operations".
    pub fn sentence(&self, now_unix_ns: u64) -> String {
        let Some(oldest) = self.oldest_unix_ns else {
            return "no trace yet".to_owned();
        };
        format!(
            "{} of the last {}, {} of {}",
            many(self.traces, "trace"),
            span_of_time(now_unix_ns.saturating_sub(oldest)),
            grouped(self.operations),
            many(self.operations_seen, "root operation")
        )
    }
}

/// A time in the unit that one would say it in, rounded up: nobody says "the last 0 min".
fn span_of_time(ns: u64) -> String {
    let seconds = ns.div_ceil(1_000_000_000).max(1);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_as_a_person_would() {
        let coverage = Coverage {
            traces: 4_812,
            operations: 31,
            operations_seen: 31,
            oldest_unix_ns: Some(0),
            ..Coverage::default()
        };
        let minute = 60_000_000_000;
        assert_eq!(
            coverage.sentence(9 * minute),
            "4,812 traces of the last 9 min, 31 of 31 root operations"
        );
        assert_eq!(Coverage::default().sentence(9), "no trace yet");
        let times = [1, 1_500_000_000, 2 * minute, 2 * minute + 1, 121 * minute];
        let words = times.map(span_of_time);
        assert_eq!(words, ["1 s", "2 s", "2 min", "3 min", "3 h"]);
    }
}
