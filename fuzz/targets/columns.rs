//! Whatever the scan accepts becomes columns: no panic, and the cells that plain code computes from prost's structs.
//!
//! The first byte says what the others are, as in `scan`; the second which columns are read.

#![no_main]

#[path = "../../host/tests/columns_support/oracle.rs"]
mod oracle;
#[path = "../../host/tests/otlp_support/mod.rs"]
mod otlp_support;

use betrace::assemble::trace::{Completion, Requests, SpanRef, Trace};
use betrace::columns::batch::Columns;
use betrace::columns::projection::{
    ColumnKey, Intrinsic, Place, Projection, ProjectionBuilder, Table,
};
use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp_support::soup::{Choices, REQUEST, message};
use prost::Message;

fuzz_target!(|input: &[u8]| {
    let [first, keys, rest @ ..] = input else {
        return;
    };
    let bytes = if first % 2 == 0 {
        rest.to_vec()
    } else {
        message(&mut Choices(rest), &REQUEST)
    };
    let mut scan = Scan::default();
    let Ok(request) = Request::scan(Bytes::from(bytes.clone()), &mut scan) else {
        return;
    };
    let keys = chosen(*keys);
    let mut builder = ProjectionBuilder::new();
    let (indices, _) = builder.add(&keys, &["GET", "a"]);
    let projection = builder.build();
    let columns = project(&projection, request, &scan);
    // Where prost reads the same spans, each cell is known; it refuses what is not UTF-8.
    if let Ok(decoded) = ExportTraceServiceRequest::decode(&bytes[..])
        && count(&decoded) == scan.spans.len()
    {
        let shown = oracle::shown(&columns, &projection.columns);
        let expected = oracle::columns(&[decoded], &keys);
        for ((key, index), expected) in keys.iter().zip(indices).zip(expected) {
            assert_eq!(shown[index as usize], expected, "{key:?}");
        }
    }
});

struct One(Request);

impl Requests for One {
    fn request(&self, _: u32) -> &Request {
        &self.0
    }
}

/// Traces in the order of their first spans, spans as they come.
fn project(projection: &Projection, request: Request, scan: &Scan) -> Columns {
    let mut traces: Vec<Trace> = Vec::new();
    for span in &scan.spans {
        let at = SpanRef {
            request: 0,
            section: span.section,
            range: span.range,
        };
        match traces.iter_mut().find(|trace| trace.id == span.trace_id) {
            Some(trace) => trace.spans.push(at),
            None => traces.push(Trace {
                id: span.trace_id,
                spans: vec![at],
                completion: Completion::Root,
                missing_parents: 0,
                dropped: false,
                root: 0,
                through: 0,
            }),
        }
    }
    let mut columns = Columns::default();
    columns.project(projection, &One(request), &traces);
    columns
}

fn count(request: &ExportTraceServiceRequest) -> usize {
    let sections = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
    sections.map(|section| section.spans.len()).sum()
}

/// Some columns of every kind.
fn chosen(bits: u8) -> Vec<ColumnKey> {
    use Intrinsic::*;
    let groups: [&[ColumnKey]; 8] = [
        &[Name, Service, Kind, Status].map(|fact| ColumnKey::intrinsic(Table::Spans, fact)),
        &[Start, End, Duration, SelfTime].map(|fact| ColumnKey::intrinsic(Table::Spans, fact)),
        &[Parent, SubtreeEnd, Depth, ChildCount]
            .map(|fact| ColumnKey::intrinsic(Table::Spans, fact)),
        &[TraceId, SpanId, ParentId, StatusMessage]
            .map(|fact| ColumnKey::intrinsic(Table::Spans, fact)),
        &[Place::Any, Place::Span, Place::Resource, Place::Scope]
            .map(|place| ColumnKey::attribute(Table::Spans, place, "a")),
        &["name", "version", "b", ""]
            .map(|key| ColumnKey::attribute(Table::Spans, Place::Scope, key)),
        &[Name, Time].map(|fact| ColumnKey::intrinsic(Table::Events, fact)),
        &[TraceId, SpanId].map(|fact| ColumnKey::intrinsic(Table::Links, fact)),
    ];
    let groups = groups.iter().enumerate();
    let chosen = groups.filter(|(bit, _)| bits & (1 << bit) != 0);
    chosen.flat_map(|(_, keys)| keys.iter().cloned()).collect()
}
