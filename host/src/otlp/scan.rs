//! One pass over an `ExportTraceServiceRequest`: bytes in, where each span lies out.
//!
//! Accepts exactly what prost accepts (but for UTF-8, which is checked where a string is read), so that whatever reads
//! the bytes later cannot meet damage. The messages and their field numbers are drawn in `shape.rs`:
//! this module walks `ResourceSpans`, `ScopeSpans` and `Span`, and leaves what is below to the tables there.
//!
//! A request may repeat a message that should be there once (a resource, a scope): its parts are merged, wherever
//! among the other fields they lie. So a section names runs of parts:
//!
//! ```text
//! ResourceSpans { Resource a, ScopeSpans { Scope b, Span .. }, Resource c, ScopeSpans { Span .. } }
//!
//! parts      b a c                      scopes of a ResourceSpans, then its resources
//! sections   { resource: 1..3, scope: 0..1 } { resource: 1..3, scope: none }
//! ```

use std::fmt;

use thiserror::Error;

use super::check::{Cursor, NESTING, is_plain_value, malformed};
use super::shape::{RESOURCE, SCOPE, SPAN};
use super::span::is_remote;
use super::wire::{take_attribute, take_fixed64, take_lead};

/// A byte range of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Range {
    pub start: u32,
    pub len: u32,
}

/// What a scan found. The vectors are reused from request to request.
#[derive(Debug, Default)]
pub struct Scan {
    pub spans: Vec<ScannedSpan>,
    /// One for each `ScopeSpans` that holds spans.
    pub sections: Vec<Section>,
    /// Ranges of `InstrumentationScope` payloads, then of `Resource` payloads, for each `ResourceSpans`; a section names
    /// runs of them, since a singular message that comes twice is merged. Empty payloads are left out.
    pub parts: Vec<Range>,
    /// Spans that can't be used; they are not among `spans`.
    pub rejected: u32,
    /// `rejected`, by reason.
    pub reasons: Reasons,
    /// Resources of the `ResourceSpans` at hand.
    resources: Vec<Range>,
}

/// Why spans can't be used, each span counted once. Displays as the message of a partial success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Its trace id is not 16 bytes or is all zeros.
    pub trace_id: u32,
    /// Its span id is not 8 bytes or is all zeros.
    pub span_id: u32,
    /// Its parent's span id is neither 8 bytes nor absent nor all zeros: no span can have such an id, so where this one
    /// belongs is unknown.
    pub parent_id: u32,
}

/// The resource and the scope that spans share: runs of `Scan::parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    pub resource: Run,
    pub scope: Run,
}

/// A resource or a scope: `parts[first..first + count]`, and the schema URL that stands beside it; empty where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Run {
    pub first: u32,
    pub count: u32,
    pub schema: Range,
}

/// Where one span's payload lies, and what routing and assembly need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannedSpan {
    pub trace_id: [u8; 16],
    pub range: Range,
    pub section: u32,
    /// It has no parent span id (absent, empty or all zeros).
    pub is_root: bool,
    /// It says that it dropped attributes, events or links.
    pub dropped: bool,
    /// Its ids and its kind come first and once, in the order that SDKs write them: who reads them need not look behind them.
    pub ids_lead: bool,
    /// Its flags say that its parent is in another process.
    pub remote: bool,
}

/// Bytes that are no `ExportTraceServiceRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed OTLP protobuf at byte {offset}: {damage}")]
pub struct Malformed {
    pub offset: u32,
    pub damage: Damage,
}

/// What is wrong with malformed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    #[error("a number is cut short or longer than 64 bits")]
    Varint,
    #[error("a field number is 0 or too large")]
    Key,
    #[error("a field has a wire type that it can't have")]
    WireType,
    #[error("a field is longer than what holds it")]
    Short,
    #[error("a group ends that is not open")]
    EndGroup,
    #[error("messages nest deeper than {NESTING}")]
    Nesting,
    #[error("the request is larger than 4 GiB")]
    TooLarge,
}

/// Finds the spans of a request. `out` is cleared first, and left empty if the bytes are malformed.
///
/// What is kept is at most about twice the size of `bytes`, whatever they are.
pub fn scan(bytes: &[u8], out: &mut Scan) -> Result<(), Malformed> {
    out.clear();
    let result = request(bytes, out);
    if result.is_err() {
        out.clear();
    }
    result
}

impl Scan {
    pub fn clear(&mut self) {
        self.spans.clear();
        self.sections.clear();
        self.parts.clear();
        self.resources.clear();
        self.rejected = 0;
        self.reasons = Reasons::default();
    }

    /// The run of all parts from `first` on.
    fn run_from(&self, first: usize, schema: Range) -> Run {
        let count = self.parts.len() - first;
        Run {
            first: if count == 0 { 0 } else { first as u32 },
            count: count as u32,
            schema,
        }
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (
                self.trace_id,
                "a trace id that is not 16 bytes or is all zeros",
            ),
            (
                self.span_id,
                "a span id that is not 8 bytes or is all zeros",
            ),
            (self.parent_id, "a parent span id that is not 8 bytes"),
        ];
        let mut separator = "rejected ";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            let spans = if count == 1 { "span" } else { "spans" };
            write!(f, "{separator}{count} {spans} with {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Levels that are left inside each of the outer messages.
const IN_RESOURCE_SPANS: u32 = NESTING - 1;
const IN_SCOPE_SPANS: u32 = NESTING - 2;
const IN_SPAN: u32 = NESTING - 3;

fn request(bytes: &[u8], out: &mut Scan) -> Result<(), Malformed> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(malformed(0, Damage::TooLarge));
    }
    let mut cursor = Cursor { bytes, at: 0 };
    while !cursor.at_end() {
        match cursor.key()? {
            (1, wire) => resource_spans(cursor.open(wire)?, out)?,
            (number, wire) => cursor.unknown(number, wire, NESTING)?,
        }
    }
    Ok(())
}

fn resource_spans(mut cursor: Cursor<'_>, out: &mut Scan) -> Result<(), Malformed> {
    let (first_section, first_part) = (out.sections.len(), out.parts.len());
    let mut schema = Range::default();
    out.resources.clear();
    while !cursor.at_end() {
        match cursor.key()? {
            (1, wire) => {
                let resource = cursor.open(wire)?;
                resource.message(&RESOURCE, IN_RESOURCE_SPANS - 1)?;
                out.resources.extend(part(resource));
            }
            (2, wire) => scope_spans(cursor.open(wire)?, out)?,
            (3, wire) => schema = range(cursor.open(wire)?),
            (number, wire) => cursor.unknown(number, wire, IN_RESOURCE_SPANS)?,
        }
    }
    if out.sections.len() == first_section {
        out.parts.truncate(first_part);
        return Ok(());
    }
    let first = out.parts.len();
    out.parts.append(&mut out.resources);
    let run = out.run_from(first, schema);
    for section in out.sections.iter_mut().skip(first_section) {
        section.resource = run;
    }
    Ok(())
}

fn scope_spans(mut cursor: Cursor<'_>, out: &mut Scan) -> Result<(), Malformed> {
    let (section, first_span) = (out.sections.len() as u32, out.spans.len());
    let first = out.parts.len();
    let mut schema = Range::default();
    while !cursor.at_end() {
        match cursor.key()? {
            (2, wire) => span(cursor.open(wire)?, section, out)?,
            (1, wire) => {
                let scope = cursor.open(wire)?;
                scope.message(&SCOPE, IN_SCOPE_SPANS - 1)?;
                out.parts.extend(part(scope));
            }
            (3, wire) => schema = range(cursor.open(wire)?),
            (number, wire) => cursor.unknown(number, wire, IN_SCOPE_SPANS)?,
        }
    }
    if out.spans.len() == first_span {
        out.parts.truncate(first);
    } else {
        let scope = out.run_from(first, schema);
        let resource = Run::default();
        out.sections.push(Section { resource, scope });
    }
    Ok(())
}

/// The range of a resource or a scope; none if it is empty, as it then says nothing.
fn part(message: Cursor<'_>) -> Option<Range> {
    (!message.at_end()).then(|| range(message))
}

fn range(message: Cursor<'_>) -> Range {
    Range {
        start: message.at as u32,
        len: (message.bytes.len() - message.at) as u32,
    }
}

/// What a scan reads of a span. Of a field that is repeated, the last counts.
#[derive(Default)]
struct Facts<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    dropped: [bool; 3],
    flags: u32,
    ids_again: bool,
}

fn span(message: Cursor<'_>, section: u32, out: &mut Scan) -> Result<(), Malformed> {
    let facts = facts(message)?;
    let is_root = facts.parent_id.iter().all(|byte| *byte == 0);
    let reason = match (
        id::<16>(facts.trace_id),
        id::<8>(facts.span_id),
        is_root || facts.parent_id.len() == 8,
    ) {
        (Some(trace_id), Some(_), true) => {
            out.spans.push(ScannedSpan {
                trace_id,
                range: range(message),
                section,
                is_root,
                dropped: facts.dropped.contains(&true),
                ids_lead: !facts.ids_again,
                remote: is_remote(facts.flags),
            });
            return Ok(());
        }
        (None, _, _) => &mut out.reasons.trace_id,
        (_, None, _) => &mut out.reasons.span_id,
        _ => &mut out.reasons.parent_id,
    };
    *reason += 1;
    out.rejected += 1;
    Ok(())
}

/// Checks a span. What SDKs write is read in the order they write it, anything else field by field.
fn facts(mut cursor: Cursor<'_>) -> Result<Facts<'_>, Malformed> {
    let mut facts = Facts::default();
    let mut rest = cursor.rest();
    let lead = take_lead(&mut rest);
    facts.trace_id = lead.trace_id.unwrap_or_default();
    facts.span_id = lead.span_id.unwrap_or_default();
    facts.parent_id = lead.parent_id.unwrap_or_default();
    let _times = [0x39, 0x41].map(|tag| take_fixed64(&mut rest, tag));
    loop {
        let mut ahead = rest;
        while take_attribute(&mut ahead).is_some_and(|usual| is_plain_value(usual.value)) {
            rest = ahead;
        }
        if rest.is_empty() {
            return Ok(facts);
        }
        cursor.at = cursor.bytes.len() - rest.len();
        any_field(&mut cursor, &mut facts)?;
        rest = cursor.rest();
    }
}

fn any_field<'a>(cursor: &mut Cursor<'a>, facts: &mut Facts<'a>) -> Result<(), Malformed> {
    match cursor.key()? {
        (1, wire) => facts.trace_id = cursor.delimited(wire)?,
        (2, wire) => {
            facts.span_id = cursor.delimited(wire)?;
            facts.ids_again = true;
        }
        (4, wire) => {
            facts.parent_id = cursor.delimited(wire)?;
            facts.ids_again = true;
        }
        (6, wire) => {
            cursor.number(wire)?;
            facts.ids_again = true;
        }
        (16, wire) => facts.flags = cursor.fixed32(wire)?,
        // A count has 32 bits; prost cuts off what is above them.
        (10, wire) => facts.dropped[0] = cursor.number(wire)? as u32 != 0,
        (12, wire) => facts.dropped[1] = cursor.number(wire)? as u32 != 0,
        (14, wire) => facts.dropped[2] = cursor.number(wire)? as u32 != 0,
        (number, wire) => cursor.field(&SPAN, number, wire, IN_SPAN)?,
    }
    Ok(())
}

/// An id of `N` bytes that are not all zeros.
#[inline]
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let id: [u8; N] = bytes.try_into().ok()?;
    (id != [0; N]).then_some(id)
}
