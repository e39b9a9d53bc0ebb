//! Spans out of many requests into one: their bytes, and once each the resources and scopes that they need.

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
        let section = Section {
            resource: self.copy_run(request, span.request, resource),
            scope: self.copy_run(request, span.request, scope),
        };
        self.sections.push(section);
        let section = self.sections.len() as u32 - 1;
        self.copied_sections.insert(key, section);
        section
    }

    fn copy_run(&mut self, request: &Request, index: u32, run: Run) -> Run {
        if let Some(&run) = self.copied_runs.get(&(index, run)) {
            return run;
        }
        let first = self.parts.len() as u32;
        for &part in parts(request, run) {
            let range = self.copy_range(request, part);
            self.parts.push(range);
        }
        let copied = Run {
            first,
            count: self.parts.len() as u32 - first,
            schema: self.copy_range(request, run.schema),
        };
        self.copied_runs.insert((index, run), copied);
        copied
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
