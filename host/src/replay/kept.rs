//! A complete trace that is kept after it was judged: its spans as one request of its own, and what was known of it.

use std::sync::Arc;

use crate::assemble::copy::Copier;
use crate::assemble::trace::{Completion, REQUEST_OVERHEAD, Requests, SpanRef, Trace, footprint};
use crate::otlp::request::Request;
use crate::otlp::text::text;

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
    pub root: u32,
    /// Of the root. Texts that are not there, or are not UTF-8, are missing.
    pub root_service: Option<Arc<str>>,
    pub root_name: Option<Arc<str>>,
    /// When it was judged, in Unix nanoseconds.
    pub judged_at: u64,
    /// The rule set that judged it; 0 where none has.
    pub generation: u64,
    /// The rules that it broke then.
    pub signalled: Box<[Arc<str>]>,
}

/// How a trace was judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judgement<'a> {
    /// In Unix nanoseconds.
    pub at: u64,
    /// 0 where no rule set has judged it.
    pub generation: u64,
    pub signalled: &'a [Arc<str>],
}

/// Resources and scopes of a trace of a few services, as SDKs send them.
const SURROUNDINGS: usize = 512;

/// A trace's places in the ring, and the allocations behind it.
const OVERHEAD: usize = 128;

/// Reference, counts and allocation of a text.
const TEXT_OVERHEAD: usize = 48;

impl Kept {
    /// Copies a trace out of the requests that brought it.
    pub fn copy<R: Requests>(trace: &Trace, requests: &R, judged: Judgement<'_>) -> Kept {
        let mut copier = Copier::with_capacity(span_bytes(trace) + SURROUNDINGS);
        let spans = trace.spans.iter();
        let spans = spans.map(|&span| copier.copy(requests, span)).collect();
        Kept::new(trace, requests, judged, copier, spans)
    }

    /// The same, or none where that would be more than so many bytes: spans may be few and their resources large, which
    /// shows on the way only.
    pub fn copy_within<R: Requests>(
        trace: &Trace,
        requests: &R,
        judged: Judgement<'_>,
        most: usize,
    ) -> Option<Kept> {
        let mut copier = Copier::with_capacity((span_bytes(trace) + SURROUNDINGS).min(most));
        let mut spans = Vec::with_capacity(trace.spans.len());
        for &span in &trace.spans {
            spans.push(copier.copy(requests, span));
            if copier.len() > most {
                return None;
            }
        }
        Some(Kept::new(trace, requests, judged, copier, spans))
    }

    fn new<R: Requests>(
        trace: &Trace,
        requests: &R,
        judged: Judgement<'_>,
        copier: Copier,
        spans: Vec<SpanRef>,
    ) -> Kept {
        let [root_service, root_name] = operation(trace, requests).map(|t| t.map(Arc::from));
        Kept {
            id: trace.id,
            request: copier.finish(),
            spans,
            completion: trace.completion,
            missing_parents: trace.missing_parents,
            dropped: trace.dropped,
            root: trace.root,
            root_service,
            root_name,
            judged_at: judged.at,
            generation: judged.generation,
            signalled: judged.signalled.into(),
        }
    }

    /// About what a trace will take of memory when it is kept, for whoever has to decide before it is copied.
    pub fn expected_bytes(trace: &Trace) -> usize {
        let spans = trace.spans.len() * size_of::<SpanRef>();
        span_bytes(trace) + spans + SURROUNDINGS + REQUEST_OVERHEAD + size_of::<Kept>() + OVERHEAD
    }

    /// What it takes of memory.
    pub fn bytes(&self) -> usize {
        let texts = [&self.root_service, &self.root_name];
        let rules = self.signalled.iter();
        let texts = texts.into_iter().flatten().chain(rules);
        let texts: usize = texts.map(|text| text.len() + TEXT_OVERHEAD).sum();
        let request = usize::try_from(footprint(&self.request)).unwrap_or(usize::MAX);
        request
            .saturating_add(self.spans.len() * size_of::<SpanRef>())
            .saturating_add(size_of::<Kept>() + texts + OVERHEAD)
    }

    /// The trace, as whatever judges batches takes it, in the request of this number.
    pub fn trace(&self, request: u32) -> Trace {
        let span = |span: &SpanRef| SpanRef { request, ..*span };
        Trace {
            id: self.id,
            spans: self.spans.iter().map(span).collect(),
            completion: self.completion,
            missing_parents: self.missing_parents,
            dropped: self.dropped,
            root: self.root,
            through: 0,
        }
    }
}

fn span_bytes(trace: &Trace) -> usize {
    trace.spans.iter().map(|span| span.range.len as usize).sum()
}

/// Service and name of a trace's root.
pub fn operation<'a, R: Requests>(trace: &Trace, requests: &'a R) -> [Option<&'a str>; 2] {
    let Some(root) = trace.spans.get(trace.root as usize) else {
        return [None; 2];
    };
    let request = requests.request(root.request);
    let name = text(request.span(root.range).name()).filter(|name| !name.is_empty());
    [request.resource(root.section).service(), name]
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

    /// The traces, in order.
    pub fn traces(&self) -> Vec<Trace> {
        let numbered = (0..).zip(self.kept);
        numbered.map(|(number, kept)| kept.trace(number)).collect()
    }
}

impl Requests for KeptBatch<'_> {
    fn request(&self, index: u32) -> &Request {
        self.kept
            .get(index as usize)
            .map_or(&self.none, |kept| &kept.request)
    }
}
