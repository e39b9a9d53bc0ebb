//! What the log tells of itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts only grow; gauges are as of now.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub(super) $name: AtomicU64,)*
            pub(super) replaying: AtomicBool,
        }

        impl Counters {
            $($(#[$doc])* pub fn $name(&self) -> u64 {
                self.$name.load(Relaxed)
            })*
        }
    };
}

counters! {
    /// Gauge: bytes of all its files.
    bytes,
    /// Gauge: files that hold requests.
    segments,
    /// Requests written.
    requests,
    /// Bytes written, those of decided traces too.
    written,
    /// Groups of requests that were synced: each is one `fdatasync`.
    syncs,
    /// What they took, in nanoseconds.
    sync_nanoseconds,
    /// Times that requests could not be written or synced.
    failures,
    /// Requests refused as the log was at its bound.
    full,
    /// Gauge: files with requests that were refused, which the disk would not have cut off.
    uncut,
    /// Ids of decided traces written.
    decided,
    /// Times that decided traces could not be written.
    decided_failures,
    /// Segments let go, as no trace needed them.
    trimmed,
    /// At the start: requests of which something was undecided.
    replayed_requests,
    /// At the start: their undecided spans.
    replayed_spans,
    /// At the start: the open traces that they made.
    replayed_traces,
    /// At the start: bytes of records that a crash cut off.
    cut_bytes,
    /// At the start: places where bytes were damaged.
    damaged,
    /// At the start: bytes of them.
    damaged_bytes,
}

impl Counters {
    /// Whether the log is still being read back.
    pub fn is_replaying(&self) -> bool {
        self.replaying.load(Relaxed)
    }
}

pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}
