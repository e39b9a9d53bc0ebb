//! The bounds of assembly: when a trace is complete, and how much a shard holds.

use std::time::Duration;

/// SDKs export every 5 s, each service at its own phase, so the last part of a trace comes up to 5 s after its root; a
/// second more covers the way.
pub const SETTLE: Duration = Duration::from_secs(6);

/// A trace without a root (its process died, or its root is a span of hours) is judged after a minute of quiet.
pub const IDLE: Duration = Duration::from_secs(60);

/// A trace that never falls quiet must not stay open for ever.
pub const MAX_AGE: Duration = Duration::from_secs(600);

/// More than any request fans out to, and what a rule can look at in its time.
pub const TRACE_SPANS: u32 = 50_000;

/// What [`TRACE_SPANS`] spans of 670 bytes are; one trace of huge spans must not take a shard's memory.
pub const TRACE_BYTES: u64 = 32 << 20;

/// A shard's share of memory: about a million open spans.
pub const MEMORY_BYTES: u64 = 512 << 20;

/// A retry or a slow exporter comes within minutes.
pub const REMEMBER: Duration = Duration::from_secs(600);

/// At about 60 bytes each. Ten minutes of 1,700 traces a second.
pub const REMEMBER_TRACES: u32 = 1_000_000;

/// Enough that a rule call's fixed cost is small against its spans.
pub const BATCH_SPANS: u32 = 16_384;

/// What [`BATCH_SPANS`] spans of a kilobyte are.
pub const BATCH_BYTES: u64 = 16 << 20;

/// Dead bytes below this are not worth a pass over all open spans.
pub const DEAD_BYTES: u64 = 8 << 20;

/// A deadline below this is a typing mistake (the unit).
pub const SHORTEST: Duration = Duration::from_millis(1);

/// A deadline above this is one too.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A trace's bytes are counted in 32 bits.
pub const LARGEST_TRACE_BYTES: u64 = 1 << 30;

/// Traces are numbered in 31 bits, and an open one is charged at least 64 bytes.
pub const LARGEST_MEMORY_BYTES: u64 = 128 << 30;

/// Remembered traces are numbered in 31 bits.
pub const MOST_REMEMBERED: u32 = 1 << 28;

/// The bounds of one shard. `Default` has the constants of this module.
///
/// ```
/// use betrace::assemble::limits::Limits;
/// use std::time::Duration;
///
/// let limits = Limits { settle: Duration::from_millis(500), ..Limits::default() };
/// assert!(limits.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A trace with a root is complete when no span came for this long.
    pub settle: Duration,
    /// Any trace is complete when no span came for this long.
    pub idle: Duration,
    /// Any trace is complete this long after its first span came.
    pub max_age: Duration,
    /// A trace is complete when it has this many different spans.
    pub trace_spans: u32,
    /// A trace is complete when its different spans have this many bytes.
    pub trace_bytes: u64,
    /// Above this the oldest traces are evicted. Of one shard: who makes several divides.
    ///
    /// Counted: the bytes of open spans, the rest of the requests that hold them (this shard's share of resources and
    /// framing, and dead spans until they are compacted away), and what a trace and its references take. Not counted:
    /// traces that were given out, and remembered ids ([`Limits::remember_traces`] bounds those).
    pub memory_bytes: u64,
    /// How long a decided trace's id is remembered, so that late spans don't make a second trace.
    pub remember: Duration,
    /// How many decided ids are remembered at most; the oldest is forgotten first.
    pub remember_traces: u32,
    /// One [`poll`](super::shard::Shard::poll) gives out traces until they have this many spans together.
    pub batch_spans: u32,
    /// Or this many bytes.
    pub batch_bytes: u64,
    /// Dead bytes in half-used requests are tolerated up to this, and 15 % of the live ones.
    pub dead_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            settle: SETTLE,
            idle: IDLE,
            max_age: MAX_AGE,
            trace_spans: TRACE_SPANS,
            trace_bytes: TRACE_BYTES,
            memory_bytes: MEMORY_BYTES,
            remember: REMEMBER,
            remember_traces: REMEMBER_TRACES,
            batch_spans: BATCH_SPANS,
            batch_bytes: BATCH_BYTES,
            dead_bytes: DEAD_BYTES,
        }
    }
}

/// A limit that makes no sense. A shard works with any values; whoever takes them from a user checks first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    #[error("`{name}` is {value:?}: it must be from {SHORTEST:?} to {LONGEST:?}")]
    Duration { name: &'static str, value: Duration },
    #[error("`{name}` is {value}: it must be from {least} to {most}")]
    Count {
        name: &'static str,
        value: u64,
        least: u64,
        most: u64,
    },
    #[error(
        "`{shorter}` ({shorter_value:?}) is longer than `{longer}` ({longer_value:?}): raise the latter"
    )]
    Order {
        shorter: &'static str,
        shorter_value: Duration,
        longer: &'static str,
        longer_value: Duration,
    },
    #[error(
        "`trace_bytes` ({trace_bytes}) is above a shard's `memory_bytes` ({memory_bytes}): a large trace would push all others out"
    )]
    TraceAboveMemory { trace_bytes: u64, memory_bytes: u64 },
}

impl Limits {
    /// Whether a user's settings make sense.
    pub fn check(&self) -> Result<(), LimitsError> {
        let durations = [
            ("settle", self.settle),
            ("idle", self.idle),
            ("max_age", self.max_age),
            ("remember", self.remember),
        ];
        for (name, value) in durations {
            if !(SHORTEST..=LONGEST).contains(&value) {
                return Err(LimitsError::Duration { name, value });
            }
        }
        in_order(("settle", self.settle), ("idle", self.idle))?;
        in_order(("idle", self.idle), ("max_age", self.max_age))?;
        let counts = [
            (
                "trace_spans",
                self.trace_spans.into(),
                1,
                u64::from(u32::MAX),
            ),
            ("trace_bytes", self.trace_bytes, 1, LARGEST_TRACE_BYTES),
            ("memory_bytes", self.memory_bytes, 1, LARGEST_MEMORY_BYTES),
            (
                "remember_traces",
                self.remember_traces.into(),
                0,
                MOST_REMEMBERED.into(),
            ),
            (
                "batch_spans",
                self.batch_spans.into(),
                1,
                u64::from(u32::MAX),
            ),
            ("batch_bytes", self.batch_bytes, 1, u64::MAX),
        ];
        for (name, value, least, most) in counts {
            if !(least..=most).contains(&value) {
                return Err(LimitsError::Count {
                    name,
                    value,
                    least,
                    most,
                });
            }
        }
        if self.trace_bytes > self.memory_bytes {
            return Err(LimitsError::TraceAboveMemory {
                trace_bytes: self.trace_bytes,
                memory_bytes: self.memory_bytes,
            });
        }
        Ok(())
    }
}

fn in_order(
    (shorter, shorter_value): (&'static str, Duration),
    (longer, longer_value): (&'static str, Duration),
) -> Result<(), LimitsError> {
    if shorter_value <= longer_value {
        return Ok(());
    }
    Err(LimitsError::Order {
        shorter,
        shorter_value,
        longer,
        longer_value,
    })
}
