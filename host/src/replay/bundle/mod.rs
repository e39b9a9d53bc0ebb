//! A call of a rule that faulted, as one file that can be repeated elsewhere: the traces, the rule, and the bounds that held.
//!
//! ```text
//! Incident -> Bundles (rate, queue) -> [bundles] component, format -> Shelf (folder, so many and so large)
//! file -> read -> again: the same call under the same bounds -> the same fault?
//! ```

pub mod again;
pub mod format;
pub mod keeper;
pub mod shelf;

use bytes::Bytes;

use super::kept::Kept;
use crate::assemble::trace::{Completion, SpanRef, Trace};
use crate::engine::EngineLimits;
use crate::engine::fault::Fault;
use crate::otlp::request::Request;
use crate::otlp::scan::{Malformed, Run, Scan};

/// A call that faulted, and all that is needed to repeat it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// Of the host that wrote it.
    pub betrace: String,
    pub wasmtime: String,
    /// In Unix nanoseconds.
    pub faulted_at: u64,
    pub rule: String,
    /// The file that the rule came from there.
    pub origin: String,
    /// The rule set that it was in.
    pub generation: u64,
    pub component: Bytes,
    pub limits: EngineLimits,
    pub fault: Fault,
    /// Which call of its instance that was, from 1; 0 where there was no instance.
    pub call: u64,
    pub traces: Vec<BundledTrace>,
}

/// A trace as it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundledTrace {
    pub id: [u8; 16],
    /// An OTLP request of its spans alone, in the order in which they were judged.
    pub request: Bytes,
    pub completion: Completion,
    pub missing_parents: u32,
    pub dropped: bool,
    pub root: u32,
}

impl BundledTrace {
    /// A kept trace, its bytes as a request of their own.
    pub fn of(kept: &Kept) -> BundledTrace {
        BundledTrace {
            id: kept.id,
            request: wire(kept).into(),
            completion: kept.completion,
            missing_parents: kept.missing_parents,
            dropped: kept.dropped,
            root: kept.root,
        }
    }

    /// The trace, and the request that holds its spans; `number` is the request's.
    pub fn open(&self, number: u32) -> Result<(Trace, Request), Malformed> {
        let mut scan = Scan::default();
        let request = Request::scan(self.request.clone(), &mut scan)?;
        let spans = scan.spans.iter().map(|span| SpanRef {
            request: number,
            section: span.section,
            range: span.range,
        });
        let trace = Trace {
            id: self.id,
            spans: spans.collect(),
            completion: self.completion,
            missing_parents: self.missing_parents,
            dropped: self.dropped,
            root: self.root,
            through: 0,
        };
        Ok((trace, request))
    }
}

/// An `ExportTraceServiceRequest` of the spans, in their order: those in a row that share a section share a `ResourceSpans`.
fn wire(kept: &Kept) -> Vec<u8> {
    let request = &kept.request;
    let parts = |run: Run| {
        let first = run.first as usize;
        let parts = request.parts.get(first..first + run.count as usize);
        parts.unwrap_or_default().iter().copied()
    };
    let mut bytes = Vec::with_capacity(request.bytes.len() + 16 * kept.spans.len());
    for spans in kept.spans.chunk_by(|a, b| a.section == b.section) {
        let section = spans.first().map_or(0, |span| span.section) as usize;
        let Some(section) = request.sections.get(section) else {
            continue;
        };
        // A message that is there in parts is merged from them, in their order.
        let mut scope_spans = Vec::new();
        for part in parts(section.scope) {
            field(&mut scope_spans, 1, request.slice(part));
        }
        for span in spans {
            field(&mut scope_spans, 2, request.slice(span.range));
        }
        let mut resource_spans = Vec::new();
        for part in parts(section.resource) {
            field(&mut resource_spans, 1, request.slice(part));
        }
        field(&mut resource_spans, 2, &scope_spans);
        field(&mut bytes, 1, &resource_spans);
    }
    bytes
}

fn field(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    use prost::encoding::{WireType, encode_key, encode_varint};
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(payload.len() as u64, out);
    out.extend_from_slice(payload);
}
