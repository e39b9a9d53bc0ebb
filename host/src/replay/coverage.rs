//! What a sample of recent traces stands for.

use serde::Serialize;

/// What kept traces cover of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
