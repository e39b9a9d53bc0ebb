//! A complete trace, as assembly hands it on: references into the bytes of the requests that brought its spans.

use std::sync::Arc;

use crate::otlp::request::Request;
use crate::otlp::scan::{Range, ScannedSpan};

/// The spans of one request that belong to one shard.
#[derive(Debug)]
pub struct Parcel {
    pub request: Arc<Request>,
    pub spans: Vec<ScannedSpan>,
}

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
}
