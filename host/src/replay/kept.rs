//! A complete trace that is kept after it was judged: its spans as one request of its own, and what was known of it.

use std::sync::Arc;

use crate::assemble::trace::{Completion, Requests, SpanRef, Trace};
use crate::otlp::request::Request;

/// A complete trace, kept.
#[derive(Debug)]
pub struct Kept {
    pub id: [u8; 16],
    /// Holds the spans of this trace and nothing else, as wire bytes.
    pub request: Request,
    /// In the trace's order; `request` of each is 0.
    pub spans: Vec<SpanRef>,
    pub completion: Completion,
    pub missing_parents: u32,
    pub dropped: bool,
    /// Of the span without a parent, else of the first.
    pub root_service: Option<Arc<str>>,
    pub root_name: Option<Arc<str>>,
    /// When it was judged, in Unix nanoseconds.
    pub judged_at: u64,
    /// The rule set that judged it; 0 where none has.
    pub generation: u64,
    /// The rules that it broke then.
    pub signalled: Box<[Arc<str>]>,
}

impl Kept {
    /// What it takes of memory.
    pub fn bytes(&self) -> usize {
        crate::assemble::trace::footprint(&self.request) as usize
            + self.spans.len() * size_of::<SpanRef>()
            + size_of::<Kept>()
    }
}

/// Kept traces as a batch: request `i` is that of trace `i`.
#[derive(Debug)]
pub struct KeptBatch<'a> {
    kept: &'a [Arc<Kept>],
    none: Request,
}

impl<'a> KeptBatch<'a> {
    pub fn new(kept: &'a [Arc<Kept>]) -> KeptBatch<'a> {
        let none = Request {
            bytes: bytes::Bytes::new(),
            sections: Box::default(),
            parts: Box::default(),
        };
        KeptBatch { kept, none }
    }

    /// The traces, in order, as whatever judges batches takes them.
    pub fn traces(&self) -> Vec<Trace> {
        let trace = |(index, kept): (usize, &Arc<Kept>)| Trace {
            id: kept.id,
            spans: kept
                .spans
                .iter()
                .map(|span| SpanRef {
                    request: index as u32,
                    ..*span
                })
                .collect(),
            completion: kept.completion,
            missing_parents: kept.missing_parents,
            dropped: kept.dropped,
        };
        self.kept.iter().enumerate().map(trace).collect()
    }
}

impl Requests for KeptBatch<'_> {
    fn request(&self, index: u32) -> &Request {
        self.kept
            .get(index as usize)
            .map_or(&self.none, |kept| &kept.request)
    }
}
