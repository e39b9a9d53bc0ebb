//! A request as it is kept: its bytes as received, and where its resources and scopes lie in them.

use bytes::Bytes;

use super::scan::{Malformed, Range, Run, Scan, Section, scan};
use super::span::SpanView;
use super::value::{Value, attributes};
use super::wire::{Wire, fields};

/// The bytes of one export request, shared by all spans that came in it.
///
/// A [`Section`] names the resource and the scope of a span; both are runs of `parts`.
#[derive(Debug)]
pub struct Request {
    pub bytes: Bytes,
    pub sections: Box<[Section]>,
    pub parts: Box<[Range]>,
}

impl Request {
    /// Scans `bytes`; the spans are left in `scan`.
    pub fn scan(bytes: Bytes, into: &mut Scan) -> Result<Request, Malformed> {
        scan(&bytes, into)?;
        Ok(Request {
            bytes,
            sections: into.sections.as_slice().into(),
            parts: into.parts.as_slice().into(),
        })
    }

    /// The bytes of a range that this request's scan found; none of any other.
    pub fn slice(&self, range: Range) -> &[u8] {
        let start = range.start as usize;
        self.bytes
            .get(start..start.saturating_add(range.len as usize))
            .unwrap_or_default()
    }

    pub fn span(&self, range: Range) -> SpanView<'_> {
        SpanView::new(self.slice(range))
    }

    /// The resource of a section's spans.
    pub fn resource(&self, section: u32) -> ResourceView<'_> {
        let section = self.sections.get(section as usize);
        ResourceView(self.merged(section.map(|s| s.resource)))
    }

    /// The scope of a section's spans.
    pub fn scope(&self, section: u32) -> ScopeView<'_> {
        let section = self.sections.get(section as usize);
        ScopeView(self.merged(section.map(|s| s.scope)))
    }

    fn merged(&self, run: Option<Run>) -> Merged<'_> {
        let run = run.unwrap_or_default();
        let (first, count) = (run.first as usize, run.count as usize);
        let parts = self.parts.get(first..first.saturating_add(count));
        Merged {
            request: self,
            parts: parts.unwrap_or_default(),
            schema: run.schema,
        }
    }
}

/// A resource: all its parts, merged.
#[derive(Clone, Copy, Debug)]
pub struct ResourceView<'a>(Merged<'a>);

impl<'a> ResourceView<'a> {
    /// All attributes in the order they came; of a repeated key the first counts.
    pub fn attributes(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        self.0.payloads().flat_map(|part| attributes(part, 1))
    }

    pub fn dropped_attributes(self) -> u32 {
        self.0.number(2) as u32
    }

    /// Empty where none is said.
    pub fn schema_url(self) -> &'a [u8] {
        self.0.schema_url()
    }

    /// `service.name`; missing where there is none, it is no text, or not UTF-8.
    pub fn service(self) -> Option<&'a str> {
        match self.attributes().find(|(key, _)| *key == b"service.name")? {
            (_, Value::Text(bytes)) => super::text::text(bytes),
            _ => None,
        }
    }
}

/// An instrumentation scope: all its parts, merged.
#[derive(Clone, Copy, Debug)]
pub struct ScopeView<'a>(Merged<'a>);

impl<'a> ScopeView<'a> {
    pub fn name(self) -> &'a [u8] {
        self.0.bytes(1)
    }

    pub fn version(self) -> &'a [u8] {
        self.0.bytes(2)
    }

    /// All attributes in the order they came; of a repeated key the first counts.
    pub fn attributes(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        self.0.payloads().flat_map(|part| attributes(part, 3))
    }

    pub fn dropped_attributes(self) -> u32 {
        self.0.number(4) as u32
    }

    /// Empty where none is said.
    pub fn schema_url(self) -> &'a [u8] {
        self.0.schema_url()
    }
}

/// The occurrences of a message that should be there once. Merging them is reading their fields one after another.
#[derive(Clone, Copy, Debug)]
struct Merged<'a> {
    request: &'a Request,
    parts: &'a [Range],
    schema: Range,
}

impl<'a> Merged<'a> {
    fn payloads(self) -> impl Iterator<Item = &'a [u8]> {
        self.parts.iter().map(move |part| self.request.slice(*part))
    }

    fn schema_url(self) -> &'a [u8] {
        self.request.slice(self.schema)
    }

    fn last(self, number: u32) -> Option<Wire<'a>> {
        let all = self.payloads().flat_map(fields);
        all.filter(|(n, _)| *n == number)
            .map(|(_, wire)| wire)
            .last()
    }

    fn bytes(self, number: u32) -> &'a [u8] {
        match self.last(number) {
            Some(Wire::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    fn number(self, number: u32) -> u64 {
        match self.last(number) {
            Some(Wire::Varint(value)) => value,
            _ => 0,
        }
    }
}
