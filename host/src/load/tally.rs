//! What a load has sent so far, and how it was answered.

use std::time::Duration;

use super::latency::Latencies;

/// See the module's doc. Each span that was sent is accepted, rejected or failed once it has its last answer.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub requests: u64,
    pub spans: u64,
    /// Of bodies, once each.
    pub bytes: u64,
    pub accepted: u64,
    /// Left out of a request that was taken.
    pub rejected: u64,
    pub failed: u64,
    /// Requests that were sent again, as often as they were.
    pub retries: u64,
    /// From the time at which a request was due, or was sent where none is, to the answer that took it.
    pub latencies: Latencies,
    /// Why the last failed.
    pub failure: Option<String>,
    /// Requests that failed since the last that did not.
    pub in_a_row: u32,
}

impl Tally {
    pub fn sent(&mut self, spans: u64, bytes: usize) {
        self.requests += 1;
        self.spans += spans;
        self.bytes += bytes as u64;
    }

    pub fn taken(&mut self, spans: u64, rejected: u64, latency: Duration) {
        let rejected = rejected.min(spans);
        self.rejected += rejected;
        self.accepted += spans - rejected;
        self.latencies.add(latency);
        self.in_a_row = 0;
    }

    pub fn failed(&mut self, spans: u64, why: String) {
        self.failed += spans;
        self.failure = Some(why);
        self.in_a_row += 1;
    }

    /// What happened since `before`.
    pub fn since(&self, before: &Tally) -> Tally {
        Tally {
            requests: self.requests - before.requests,
            spans: self.spans - before.spans,
            bytes: self.bytes - before.bytes,
            accepted: self.accepted - before.accepted,
            rejected: self.rejected - before.rejected,
            failed: self.failed - before.failed,
            retries: self.retries - before.retries,
            latencies: self.latencies.since(&before.latencies),
            failure: self.failure.clone(),
            in_a_row: self.in_a_row,
        }
    }
}
