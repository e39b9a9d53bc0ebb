//! Signals for tests: requests made by hand become a batch, and findings name spans by name.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::judge::{Context, Found, Unfinished, build};
use super::rule::{ClauseFacts, RuleFacts};
use super::{ClauseKind, Emission, Severity};
use crate::assemble::trace::{Completion, Requests, SpanRef, Trace};
use crate::columns::batch::Columns;
use crate::columns::projection::{
    ColumnKey, Intrinsic, Place, Projection, ProjectionBuilder, Table,
};
use crate::demo::call::{Call, record};
use crate::demo::export::Exporters;
use crate::demo::random::Random;
use crate::otlp::request::Request;
use crate::otlp::scan::Scan;

pub(crate) const START: u64 = 1_771_000_000_123_456_789;

/// A rule that reads a bit of everything.
pub(crate) fn rule() -> RuleFacts {
    RuleFacts {
        id: "payment-fraud-check".to_owned(),
        version: "9f86d081884c7d65".to_owned(),
        severity: Severity::Critical,
        tags: vec!["payments".to_owned(), "soc2.cc6_1".to_owned()],
        message: "a charge over 1000 went through without the checks that it needs".to_owned(),
        clauses: vec![
            clause(ClauseKind::Always, "payment.fraud_check", false),
            clause(ClauseKind::Never, "payment.bypass_validation", true),
        ],
        reads: vec![
            ColumnKey::intrinsic(Table::Spans, Intrinsic::Name),
            ColumnKey::attribute(Table::Spans, Place::Any, "amount"),
            ColumnKey::attribute(Table::Spans, Place::Span, "currency"),
            ColumnKey::attribute(Table::Spans, Place::Resource, "cloud.region"),
            ColumnKey::intrinsic(Table::Spans, Intrinsic::Status),
        ],
    }
}

pub(crate) fn clause(kind: ClauseKind, text: &str, stable: bool) -> ClauseFacts {
    ClauseFacts {
        kind,
        text: text.to_owned(),
        stable,
    }
}

/// A signal of [`rule`].
pub(crate) fn emission() -> Emission {
    let call = crate::demo::faults::FAULTS[0].happen(&mut Random::new(11));
    let rules = [rule()];
    let batch = Batch::of_call(&call, &rules);
    let rows = batch.rows("payment.charge_card");
    batch
        .judge(&rules, &[(0, 0, rows, 0)], Unfinished::All)
        .remove(0)
}

/// One trace as a batch.
pub(crate) struct Batch {
    requests: Vec<Request>,
    pub(crate) traces: Vec<Trace>,
    projection: Projection,
    columns: Columns,
}

impl Requests for Vec<Request> {
    fn request(&self, index: u32) -> &Request {
        &self[index as usize]
    }
}

impl Requests for Batch {
    fn request(&self, index: u32) -> &Request {
        &self.requests[index as usize]
    }
}

impl Batch {
    /// A trace as the demo would send it, complete by its root.
    pub(crate) fn of_call(call: &Call, rules: &[RuleFacts]) -> Batch {
        let mut exporters = Exporters::default();
        exporters.add(record(call, START, &mut Random::new(7)));
        Batch::of_requests(exporters.flush_all(), rules)
    }

    /// A trace of one request without resource.
    pub(crate) fn of_spans(spans: Vec<Span>, rules: &[RuleFacts]) -> Batch {
        let scope_spans = vec![ScopeSpans {
            spans,
            ..ScopeSpans::default()
        }];
        let resource_spans = vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }];
        Batch::of_requests(vec![ExportTraceServiceRequest { resource_spans }], rules)
    }

    fn of_requests(messages: Vec<ExportTraceServiceRequest>, rules: &[RuleFacts]) -> Batch {
        let mut requests = Vec::new();
        let mut spans = Vec::new();
        let mut id = [0; 16];
        let mut scan = Scan::default();
        for (index, message) in (0..).zip(messages) {
            requests.push(Request::scan(message.encode_to_vec().into(), &mut scan).unwrap());
            for span in &scan.spans {
                id = span.trace_id;
                spans.push(SpanRef {
                    request: index,
                    section: span.section,
                    range: span.range,
                });
            }
        }
        let mut builder = ProjectionBuilder::new();
        for rule in rules {
            builder.add(&rule.reads, &[] as &[&str]);
        }
        let projection = builder.build();
        let traces = vec![Trace {
            id,
            spans,
            completion: Completion::Root,
            missing_parents: 0,
            dropped: false,
            root: 0,
            through: 0,
        }];
        let mut columns = Columns::default();
        columns.project(&projection, &requests, &traces);
        Batch {
            requests,
            traces,
            projection,
            columns,
        }
    }

    /// The rows of the spans of this name.
    pub(crate) fn rows(&self, name: &str) -> Vec<u32> {
        let named = |row: &u32| {
            let at = self.columns.order[*row as usize];
            self.requests[at.request as usize].span(at.range).name() == name.as_bytes()
        };
        (0..self.columns.order.len() as u32).filter(named).collect()
    }

    /// Signals with outlines, for findings of (rule, clause, rows, more) in the one trace.
    pub(crate) fn judge(
        &self,
        rules: &[RuleFacts],
        found: &[(u32, u32, Vec<u32>, u32)],
        unfinished: Unfinished,
    ) -> Vec<Emission> {
        let rules = (0..).zip(rules.iter().cloned()).collect();
        let context = Context {
            rules: &rules,
            projection: &self.projection,
            columns: &self.columns,
            traces: &self.traces,
            requests: &self.requests,
            unfinished,
            outlines: true,
            detected_at: START + 7_000_000_000,
        };
        let mut found: Vec<Found<'_>> = found
            .iter()
            .map(|(rule, clause, rows, more)| Found {
                rule: *rule,
                trace: 0,
                clause: *clause,
                rows,
                more: *more,
            })
            .collect();
        let mut out = Vec::new();
        build(&context, &mut found, &mut out);
        out
    }
}
