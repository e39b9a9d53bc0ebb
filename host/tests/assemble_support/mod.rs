//! Requests made by hand for the tests of assembly, and traces as values that compare.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;
use std::time::Duration;

use betrace::assemble::limits::Limits;
use betrace::assemble::shard::{DrainMode, Shard};
use betrace::assemble::trace::{Completion, Parcel, Requests, Trace};
use betrace::otlp::request::Request;
use betrace::otlp::scan::{Range, Run, ScannedSpan, Section};
use betrace::time::Time;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// The flags of a span that knows that its parent is in another process.
pub(crate) const REMOTE: u32 = 0x300;

pub(crate) fn seconds(seconds: f64) -> Time {
    Time::default().after(Duration::from_secs_f64(seconds))
}

/// A span; parent 0: none.
pub(crate) fn span(trace: u128, id: u64, parent: u64) -> Span {
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            parent.to_be_bytes().to_vec()
        },
        name: format!("span {id}"),
        ..Span::default()
    }
}

pub(crate) fn remote(span: Span) -> Span {
    Span {
        flags: REMOTE,
        ..span
    }
}

/// A parcel of one section without resource and scope.
pub(crate) fn parcel(spans: &[Span]) -> Parcel {
    sections(&[(b"", spans.to_vec())])
}

/// A parcel of several sections. The resource is any bytes, in two parts, as after a merge; the scope is `scope`.
pub(crate) fn sections(sections: &[(&[u8], Vec<Span>)]) -> Parcel {
    let mut bytes = Vec::new();
    let mut parts = Vec::new();
    let mut found = Vec::new();
    let mut spans = Vec::new();
    for (number, (resource, members)) in sections.iter().enumerate() {
        let first = parts.len() as u32;
        let (head, tail) = resource.split_at(resource.len() / 2);
        for part in [head, tail, b"scope"] {
            parts.push(append(&mut bytes, part));
        }
        found.push(Section {
            resource: Run {
                first,
                count: 2,
                schema: append(&mut bytes, b"schema"),
            },
            scope: Run {
                first: first + 2,
                count: 1,
                ..Run::default()
            },
        });
        for span in members {
            spans.push(ScannedSpan {
                trace_id: span.trace_id.as_slice().try_into().expect("16 bytes"),
                range: append(&mut bytes, &span.encode_to_vec()),
                section: number as u32,
                is_root: span.parent_span_id.iter().all(|&byte| byte == 0),
                dropped: span.dropped_attributes_count
                    + span.dropped_events_count
                    + span.dropped_links_count
                    > 0,
                // prost writes fields in order, so they lead if they are short. Any span may be read the slow way, as some are.
                ids_lead: is_short(span) && span.span_id.last().is_some_and(|byte| byte % 2 == 0),
                remote: span.flags & 0x300 == 0x300,
            });
        }
    }
    let request = Request {
        bytes: bytes.into(),
        sections: found.into(),
        parts: parts.into(),
    };
    Parcel::whole(Arc::new(request), spans)
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Range {
    // Something between the parts, as on the wire.
    bytes.push(0xff);
    let start = bytes.len() as u32;
    bytes.extend_from_slice(part);
    Range {
        start,
        len: part.len() as u32,
    }
}

/// A trace as a value: its spans' bytes instead of where they lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) id: u128,
    /// Payload, resource and scope.
    pub(crate) spans: Vec<[Vec<u8>; 3]>,
    pub(crate) completion: &'static str,
    pub(crate) missing_parents: u32,
    pub(crate) dropped: bool,
}

impl Seen {
    /// The spans' ids.
    pub(crate) fn ids(&self) -> Vec<u64> {
        let id = |[span, ..]: &[Vec<u8>; 3]| {
            let span = Span::decode(span.as_slice()).expect("a span");
            u64::from_be_bytes(span.span_id.try_into().expect("8 bytes"))
        };
        self.spans.iter().map(id).collect()
    }
}

pub(crate) fn see(shard: &Shard, trace: &Trace) -> Seen {
    let spans = trace.spans.iter().map(|span| {
        let request = shard.request(span.request);
        let section = request.sections[span.section as usize];
        let run = |run: Run| {
            let parts = &request.parts[run.first as usize..(run.first + run.count) as usize];
            parts
                .iter()
                .chain([&run.schema])
                .flat_map(|&part| request.slice(part))
                .copied()
                .collect()
        };
        [
            request.slice(span.range).to_vec(),
            run(section.resource),
            run(section.scope),
        ]
    });
    Seen {
        id: u128::from_be_bytes(trace.id),
        spans: spans.collect(),
        completion: trace.completion.name(),
        missing_parents: trace.missing_parents,
        dropped: trace.dropped,
    }
}

/// What a poll gives out, released at once.
pub(crate) fn poll(shard: &mut Shard, now: Time) -> Vec<Seen> {
    let mut traces = Vec::new();
    while shard.poll(now, &mut traces) {}
    release(shard, traces)
}

pub(crate) fn drain(shard: &mut Shard, now: Time, mode: DrainMode) -> Vec<Seen> {
    let mut traces = Vec::new();
    while shard.drain(now, mode, &mut traces) {}
    release(shard, traces)
}

pub(crate) fn release(shard: &mut Shard, traces: Vec<Trace>) -> Vec<Seen> {
    let seen = traces.iter().map(|trace| see(shard, trace)).collect();
    for trace in traces {
        shard.release(trace);
    }
    seen
}

pub(crate) fn shard() -> Shard {
    Shard::new(Limits::default())
}

/// Nothing is open, held or owed, and every span inserted is accounted for by `given` spans of traces and the counters.
#[track_caller]
pub(crate) fn assert_empty(shard: &Shard, given: u64) {
    let counters = shard.counters();
    let gauges = [
        counters.open_traces,
        counters.open_spans,
        counters.open_bytes,
        counters.memory_bytes,
        counters.dead_bytes,
        counters.held_requests,
        counters.held_bytes,
        counters.waiting,
    ];
    assert_eq!(gauges, [0; 8], "{counters:?}");
    assert_eq!(
        counters.spans,
        given + counters.duplicates + counters.late,
        "{counters:?}"
    );
    let completed: u64 = Completion::ALL
        .iter()
        .map(|&by| counters.completed_by(by))
        .sum();
    assert_eq!(counters.opened, completed, "{counters:?}");
}

/// Whether what a span begins with has lengths of one byte.
fn is_short(span: &Span) -> bool {
    let bytes = [&span.trace_id, &span.span_id, &span.parent_span_id];
    let texts = [&span.trace_state, &span.name];
    bytes.iter().all(|id| id.len() < 0x80)
        && texts.iter().all(|text| text.len() < 0x80)
        && (0..0x80).contains(&span.kind)
}
