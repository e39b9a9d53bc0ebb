//! What a shard tells of itself. Counts only grow; gauges are as of the call.

use super::trace::Completion;

/// See [`Shard::counters`](super::shard::Shard::counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Spans inserted, whatever became of them.
    pub spans: u64,
    /// Of them, those that were in their trace already (same id and kind).
    pub duplicates: u64,
    /// Of them, those whose trace had been decided.
    pub late: u64,
    /// Traces opened.
    pub opened: u64,
    /// Traces completed, by reason: see [`Counters::completed_by`].
    pub completed: [u64; Completion::ALL.len()],
    /// Of the evicted, those that went for the bound on the write-ahead log.
    pub evicted_by_log: u64,
    /// Decided traces forgotten before their time, because too many were remembered.
    pub forgotten: u64,
    /// Passes that copied live spans out of half-dead requests.
    pub compactions: u64,
    /// Spans copied by them.
    pub compacted_spans: u64,

    /// Gauge: traces open.
    pub open_traces: u64,
    /// Gauge: their spans (a duplicate counts until its trace completes).
    pub open_spans: u64,
    /// Gauge: the bytes of those spans.
    pub open_bytes: u64,
    /// Gauge: what the memory bound is compared with: see [`Limits::memory_bytes`](super::limits::Limits::memory_bytes).
    pub memory_bytes: u64,
    /// Gauge: of it, bytes of spans that nobody needs but whose request is still held.
    pub dead_bytes: u64,
    /// Gauge: requests held, for open traces or traces given out.
    pub held_requests: u64,
    /// Gauge: this shard's share of their bytes.
    pub held_bytes: u64,
    /// Gauge: traces completed by a cap or by eviction that wait for the next poll.
    pub waiting: u64,
    /// Gauge: decided traces remembered.
    pub remembered: u64,
}

impl Counters {
    /// How many traces were completed for this reason.
    pub fn completed_by(&self, completion: Completion) -> u64 {
        self.completed[completion as usize]
    }
}
