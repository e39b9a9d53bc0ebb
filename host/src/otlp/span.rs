//! A span's fields, read from its payload when asked for.
//!
//! Each call walks the payload, which is cheap for one or two fields; who wants many of them walks
//! [`fields`] once. Of a field that is repeated the last counts, as in prost.

use super::value::{Value, attributes};
use super::wire::{Wire, fields};

/// `flags` say whether the parent is in another process.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Whether a span's flags say that its parent is in another process. Older SDKs don't say.
pub(crate) fn is_remote(flags: u32) -> bool {
    flags & HAS_IS_REMOTE != 0 && flags & IS_REMOTE != 0
}

/// A span payload that [`scan`](super::scan::scan) has accepted.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a> {
    bytes: &'a [u8],
}

impl<'a> SpanView<'a> {
    pub fn new(bytes: &'a [u8]) -> SpanView<'a> {
        SpanView { bytes }
    }

    /// The payload.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// All zeros only where the scan rejected the span.
    pub fn trace_id(self) -> [u8; 16] {
        last_bytes(self.bytes, 1).try_into().unwrap_or_default()
    }

    /// All zeros only where the scan rejected the span.
    pub fn span_id(self) -> [u8; 8] {
        last_bytes(self.bytes, 2).try_into().unwrap_or_default()
    }

    pub fn parent_id(self) -> Option<[u8; 8]> {
        parent(last_bytes(self.bytes, 4))
    }

    pub fn trace_state(self) -> &'a [u8] {
        last_bytes(self.bytes, 3)
    }

    /// Not checked to be UTF-8; see [`text`](super::text::text).
    pub fn name(self) -> &'a [u8] {
        last_bytes(self.bytes, 5)
    }

    /// 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer; others as they came.
    pub fn kind(self) -> i32 {
        last_number(self.bytes, 6) as i32
    }

    /// Unix nanoseconds.
    pub fn start(self) -> u64 {
        last_fixed64(self.bytes, 7)
    }

    /// Unix nanoseconds.
    pub fn end(self) -> u64 {
        last_fixed64(self.bytes, 8)
    }

    /// 0 unset, 1 ok, 2 error; others as they came.
    pub fn status(self) -> i32 {
        let parts = payloads(self.bytes, 15).flat_map(fields);
        match parts.filter(|(number, _)| *number == 3).last() {
            Some((_, Wire::Varint(code))) => code as i32,
            _ => 0,
        }
    }

    pub fn status_message(self) -> &'a [u8] {
        let parts = payloads(self.bytes, 15).flat_map(fields);
        match parts.filter(|(number, _)| *number == 2).last() {
            Some((_, Wire::Bytes(message))) => message,
            _ => &[],
        }
    }

    pub fn flags(self) -> u32 {
        last_fixed32(self.bytes, 16)
    }

    pub fn dropped_attributes(self) -> u32 {
        last_number(self.bytes, 10) as u32
    }

    pub fn dropped_events(self) -> u32 {
        last_number(self.bytes, 12) as u32
    }

    pub fn dropped_links(self) -> u32 {
        last_number(self.bytes, 14) as u32
    }

    /// Keys and values in the order they came; of a repeated key the first counts.
    pub fn attributes(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        attributes(self.bytes, 9)
    }

    pub fn events(self) -> impl Iterator<Item = EventView<'a>> {
        payloads(self.bytes, 11).map(EventView::new)
    }

    pub fn links(self) -> impl Iterator<Item = LinkView<'a>> {
        payloads(self.bytes, 13).map(LinkView::new)
    }
}

/// What assembly needs to know of a span when its trace completes, read in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    pub span_id: [u8; 8],
    pub parent_id: Option<[u8; 8]>,
    pub kind: i32,
    /// The flags say that the parent is in another process.
    pub remote_parent: bool,
}

impl Ids {
    pub fn read(span: &[u8]) -> Ids {
        let mut ids = Ids::default();
        for (number, wire) in fields(span) {
            match (number, wire) {
                (2, Wire::Bytes(id)) => ids.span_id = id.try_into().unwrap_or_default(),
                (4, Wire::Bytes(id)) => ids.parent_id = parent(id),
                (6, Wire::Varint(kind)) => ids.kind = kind as i32,
                (16, Wire::Fixed32(flags)) => {
                    ids.remote_parent = is_remote(flags);
                }
                _ => {}
            }
        }
        ids
    }
}

/// An event's payload.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    bytes: &'a [u8],
}

impl<'a> EventView<'a> {
    pub fn new(bytes: &'a [u8]) -> EventView<'a> {
        EventView { bytes }
    }

    /// Unix nanoseconds.
    pub fn time(self) -> u64 {
        last_fixed64(self.bytes, 1)
    }

    pub fn name(self) -> &'a [u8] {
        last_bytes(self.bytes, 2)
    }

    pub fn attributes(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        attributes(self.bytes, 3)
    }

    pub fn dropped_attributes(self) -> u32 {
        last_number(self.bytes, 4) as u32
    }
}

/// A link's payload.
#[derive(Clone, Copy, Debug)]
pub struct LinkView<'a> {
    bytes: &'a [u8],
}

impl<'a> LinkView<'a> {
    pub fn new(bytes: &'a [u8]) -> LinkView<'a> {
        LinkView { bytes }
    }

    /// As it came: 16 bytes, if the sender is right.
    pub fn trace_id(self) -> &'a [u8] {
        last_bytes(self.bytes, 1)
    }

    /// As it came: 8 bytes, if the sender is right.
    pub fn span_id(self) -> &'a [u8] {
        last_bytes(self.bytes, 2)
    }

    pub fn trace_state(self) -> &'a [u8] {
        last_bytes(self.bytes, 3)
    }

    pub fn attributes(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        attributes(self.bytes, 4)
    }

    pub fn dropped_attributes(self) -> u32 {
        last_number(self.bytes, 5) as u32
    }

    pub fn flags(self) -> u32 {
        last_fixed32(self.bytes, 6)
    }
}

/// A parent's id, if there is one.
#[inline]
fn parent(bytes: &[u8]) -> Option<[u8; 8]> {
    let id: [u8; 8] = bytes.try_into().ok()?;
    (id != [0; 8]).then_some(id)
}

fn payloads(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |field| match field {
        (n, Wire::Bytes(bytes)) if n == number => Some(bytes),
        _ => None,
    })
}

fn last(message: &[u8], number: u32) -> Option<Wire<'_>> {
    fields(message)
        .filter(|(n, _)| *n == number)
        .map(|(_, wire)| wire)
        .last()
}

fn last_bytes(message: &[u8], number: u32) -> &[u8] {
    match last(message, number) {
        Some(Wire::Bytes(bytes)) => bytes,
        _ => &[],
    }
}

fn last_number(message: &[u8], number: u32) -> u64 {
    match last(message, number) {
        Some(Wire::Varint(value)) => value,
        _ => 0,
    }
}

fn last_fixed64(message: &[u8], number: u32) -> u64 {
    match last(message, number) {
        Some(Wire::Fixed64(value)) => value,
        _ => 0,
    }
}

fn last_fixed32(message: &[u8], number: u32) -> u32 {
    match last(message, number) {
        Some(Wire::Fixed32(value)) => value,
        _ => 0,
    }
}
