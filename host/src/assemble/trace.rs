//! A complete trace, as assembly hands it on: references into the bytes of the requests that brought its spans.

use std::sync::Arc;

use crate::otlp::request::Request;
use crate::otlp::scan::{Range, ScannedSpan};

/// The spans of one request that belong to one shard.
#[derive(Debug)]
pub struct Parcel {
    pub request: Arc<Request>,
    pub spans: Vec<ScannedSpan>,
    /// How much of the request's memory this parcel answers for, in bytes. A request lives as long as one of its spans
    /// in any shard, and no shard knows of the others: so each is charged its part, and the parts add up to the whole.
    pub share: u64,
}

impl Parcel {
    /// All usable spans of a request: the whole of it is charged to one shard.
    pub fn whole(request: Arc<Request>, spans: Vec<ScannedSpan>) -> Parcel {
        let share = footprint(&request);
        Parcel {
            request,
            spans,
            share,
        }
    }

    /// Some of a request's spans. `all_span_bytes`: [`span_bytes`] over all its spans, whichever shard they go to.
    pub fn part(request: Arc<Request>, spans: Vec<ScannedSpan>, all_span_bytes: u64) -> Parcel {
        let own = u128::from(span_bytes(&spans));
        let whole = u128::from(footprint(&request));
        let share = (whole * own).div_ceil(u128::from(all_span_bytes.max(1)));
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        Parcel {
            request,
            spans,
            share,
        }
    }
}

/// The bytes of these spans' payloads.
pub fn span_bytes(spans: &[ScannedSpan]) -> u64 {
    spans.iter().map(|span| u64::from(span.range.len)).sum()
}

/// The memory that a request takes: its bytes (which should be an allocation of their own) and its tables.
pub fn footprint(request: &Request) -> u64 {
    let tables = size_of_val::<[_]>(&request.sections) + size_of_val::<[_]>(&request.parts);
    (request.bytes.len() + tables + REQUEST_OVERHEAD) as u64
}

/// A request's own struct and reference counts, its entry in a shard, and three allocations.
pub(crate) const REQUEST_OVERHEAD: usize = 256;

/// A span of an open trace: which of the shard's requests holds it, and where. 16 bytes, since there are millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRef {
    /// Index into the shard's [`Requests`].
    pub request: u32,
    /// Index into the request's sections.
    pub section: u32,
    pub range: Range,
}

/// The requests that a shard's spans lie in.
pub trait Requests {
    fn request(&self, index: u32) -> &Request;
}

/// Why a trace is complete. It travels with the trace and into the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completion {
    /// Its root has ended and no span came for `settle`.
    Root,
    /// No span came for `idle`.
    Idle,
    /// It was open for `max_age`.
    MaxAge,
    /// It reached the bound on spans.
    SpanCap,
    /// It reached the bound on bytes.
    ByteCap,
    /// Memory ran short and it was the oldest.
    Evicted,
    /// The host stopped, or the input ended, before it was complete.
    Drained,
}

impl Completion {
    /// In the order of their declaration.
    pub const ALL: [Completion; 7] = [
        Completion::Root,
        Completion::Idle,
        Completion::MaxAge,
        Completion::SpanCap,
        Completion::ByteCap,
        Completion::Evicted,
        Completion::Drained,
    ];

    /// As signals and metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Completion::Root => "root",
            Completion::Idle => "idle",
            Completion::MaxAge => "max_age",
            Completion::SpanCap => "span_cap",
            Completion::ByteCap => "byte_cap",
            Completion::Evicted => "evicted",
            Completion::Drained => "drained",
        }
    }
}

/// What became of a judged trace where recent traces are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Keeping {
    /// Not kept: so many came that others would have had to go too soon.
    #[default]
    Skipped,
    /// Kept, for a while at least.
    Kept,
    /// Larger than all that may be kept.
    TooLarge,
    /// Not kept, as an earlier trace of its id was.
    Repeated,
    /// None like it are kept.
    Off,
}

/// A complete trace. Spans are deduplicated (same id and kind) and in an order that depends on them alone.
#[derive(Clone, Debug)]
pub struct Trace {
    pub id: [u8; 16],
    pub spans: Vec<SpanRef>,
    pub completion: Completion,
    /// Parent ids that no span of the trace has, each counted once.
    pub missing_parents: u32,
    /// Some span says that it dropped attributes, events or links.
    pub dropped: bool,
    /// Index of the span without a parent, or else of one whose parent is missing; where there are several, the first.
    pub root: u32,
    /// Where there is a write-ahead log, the time of the newest request that came before it was complete.
    pub through: u64,
}
