//! Spans out of many requests into one: their bytes, and once each the resources and scopes that they need.
//!
//! A service sends the same resource with each request, and spans that are copied are few of many requests: what is the same is
//! told by its bytes, or half of what is copied would be resources.

use hashbrown::HashMap;

use super::held::{parts, slice};
use super::trace::{Requests, SpanRef};
use crate::otlp::request::Request;
use crate::otlp::scan::{Range, Run, Section};

/// A request being written.
#[derive(Debug, Default)]
pub struct Copier {
    bytes: Vec<u8>,
    sections: Vec<Section>,
    parts: Vec<Range>,
    /// Old request and section to new section; old request and run to new run.
    copied_sections: HashMap<(u32, u32), u32, foldhash::fast::RandomState>,
    copied_runs: HashMap<(u32, Run), Run, foldhash::fast::RandomState>,
    /// New resource and scope to new section.
    made_sections: HashMap<(Run, Run), u32, foldhash::fast::RandomState>,
    /// What is in a run to new run.
    made_runs: HashMap<Box<[u8]>, Run, foldhash::fast::RandomState>,
    content: Vec<u8>,
}

impl Copier {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Copier {
        Copier {
            bytes: Vec::with_capacity(bytes),
            ..Copier::default()
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Copies a span. The reference that is returned is into the new request, as its number 0.
    pub fn copy<R: Requests>(&mut self, requests: &R, span: SpanRef) -> SpanRef {
        let request = requests.request(span.request);
        SpanRef {
            request: 0,
            section: self.copy_section(request, span),
            range: self.copy_range(request, span.range),
        }
    }

    pub fn finish(self) -> Request {
        let mut bytes = self.bytes;
        bytes.shrink_to_fit();
        Request {
            bytes: bytes.into(),
            sections: self.sections.into(),
            parts: self.parts.into(),
        }
    }

    fn copy_section(&mut self, request: &Request, span: SpanRef) -> u32 {
        let key = (span.request, span.section);
        if let Some(&section) = self.copied_sections.get(&key) {
            return section;
        }
        let (resource, scope) = request
            .sections
            .get(span.section as usize)
            .map_or_else(Default::default, |section| {
                (section.resource, section.scope)
            });
        let resource = self.copy_run(request, span.request, resource);
        let scope = self.copy_run(request, span.request, scope);
        let next = self.sections.len() as u32;
        let section = *self.made_sections.entry((resource, scope)).or_insert(next);
        if section == next {
            self.sections.push(Section { resource, scope });
        }
        self.copied_sections.insert(key, section);
        section
    }

    fn copy_run(&mut self, request: &Request, index: u32, run: Run) -> Run {
        if let Some(&run) = self.copied_runs.get(&(index, run)) {
            return run;
        }
        self.content.clear();
        for part in parts(request, run).iter().chain([&run.schema]) {
            let bytes = slice(request, *part);
            self.content.extend_from_slice(&bytes.len().to_le_bytes());
            self.content.extend_from_slice(bytes);
        }
        let known = self.made_runs.get(&*self.content).copied();
        let copied = known.unwrap_or_else(|| {
            let made = self.make_run(request, run);
            self.made_runs.insert(self.content.as_slice().into(), made);
            made
        });
        self.copied_runs.insert((index, run), copied);
        copied
    }

    fn make_run(&mut self, request: &Request, run: Run) -> Run {
        let first = self.parts.len() as u32;
        for &part in parts(request, run) {
            let range = self.copy_range(request, part);
            self.parts.push(range);
        }
        Run {
            first,
            count: self.parts.len() as u32 - first,
            schema: self.copy_range(request, run.schema),
        }
    }

    /// Places in a request are 32 bits: what would lie beyond them is left empty, as a request that is sent can't be so
    /// large either.
    fn copy_range(&mut self, request: &Request, range: Range) -> Range {
        let bytes = slice(request, range);
        let Ok(start) = u32::try_from(self.bytes.len()) else {
            return Range::default();
        };
        if start.checked_add(bytes.len() as u32).is_none() {
            return Range::default();
        }
        self.bytes.extend_from_slice(bytes);
        Range {
            start,
            len: bytes.len() as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    use super::*;
    use crate::otlp::scan::Scan;

    struct Several(Vec<(Request, Scan)>);

    impl Requests for Several {
        fn request(&self, index: u32) -> &Request {
            &self.0[index as usize].0
        }
    }

    /// A request of one span.
    fn request(service: &str, scope: &str, schema: &str, span: u8) -> (Request, Scan) {
        let name = KeyValue {
            key: "service.name".to_owned(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(service.to_owned())),
            }),
            ..KeyValue::default()
        };
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![span; 8],
            ..Span::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![name],
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: scope.to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    spans: vec![span],
                    ..ScopeSpans::default()
                }],
                schema_url: schema.to_owned(),
            }],
        };
        let mut scan = Scan::default();
        let request = Request::scan(request.encode_to_vec().into(), &mut scan);
        (request.expect("it is OTLP"), scan)
    }

    #[test]
    fn what_surrounds_spans_of_many_requests_is_copied_once() {
        let requests = Several(vec![
            request("cart", "http", "", 1),
            request("cart", "http", "", 2),
            request("cart", "grpc", "", 3),
            request("bank", "http", "", 4),
            request("cart", "http", "v2", 5),
            request("cart", "http", "", 6),
        ]);
        let mut copier = Copier::default();
        let spans = requests.0.iter().zip(0..).map(|((_, scan), request)| {
            let span = scan.spans[0];
            let span = SpanRef {
                request,
                section: span.section,
                range: span.range,
            };
            (span, copier.copy(&requests, span))
        });
        let spans: Vec<(SpanRef, SpanRef)> = spans.collect();
        let copied = copier.finish();
        let sections: Vec<u32> = spans.iter().map(|(_, copy)| copy.section).collect();
        assert_eq!(sections, [0, 0, 1, 2, 3, 0]);
        for (old, new) in spans {
            let from = requests.request(old.request);
            assert_eq!(from.slice(old.range), copied.slice(new.range));
            let (was, is) = (
                &from.sections[old.section as usize],
                &copied.sections[new.section as usize],
            );
            for (was, is) in [(was.resource, is.resource), (was.scope, is.scope)] {
                let all = |request: &Request, run: Run| -> Vec<Vec<u8>> {
                    let ranges = parts(request, run).iter().chain([&run.schema]);
                    ranges.map(|range| request.slice(*range).to_vec()).collect()
                };
                assert_eq!(all(from, was), all(&copied, is));
            }
        }
    }
}
