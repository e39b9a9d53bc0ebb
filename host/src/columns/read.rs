//! One walk over a span's wire bytes: what its row will hold, in the order the spans came.
//!
//! Rows have no place before the tree order is known, so the walk keeps facts that every span has as one record, and of
//! attributes only those that a column reads, as a list of hits: a rule set may read a thousand keys of which a span
//! has three.

use super::attribute::{self, Attribute, Cell};
use super::batch::NONE;
use super::plan::Plan;
use super::symbols::Symbols;
use super::tree::Node;
use crate::otlp::wire::{Wire, fields, take_attribute, take_fixed64, take_lead};

/// The spans of one trace, as they came; buffers are reused.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(super) nodes: Vec<Node>,
    pub(super) facts: Vec<Facts>,
    pub(super) hits: Vec<Hit>,
    /// By key: the span that met it last, so that of a repeated key the first counts.
    met: Vec<u64>,
    /// Counts spans over all batches.
    span: u64,
}

/// What every span has. Symbols are [`NONE`] where missing or not wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) end: u64,
    pub(super) name: u32,
    pub(super) status_message: u32,
    pub(super) span_id: u32,
    pub(super) parent_id: u32,
    pub(super) section: u32,
    pub(super) status: i32,
    pub(super) is_root: bool,
}

/// An attribute that a column reads; it may be missing, which leaves the cell to resource and scope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) span: u32,
    pub(super) column: u32,
    pub(super) cell: Cell,
}

/// The events and links of a trace's spans, as payloads, in the order the spans came.
#[derive(Debug, Default)]
pub(super) struct Items<'a> {
    pub(super) events: Lists<'a>,
    pub(super) links: Lists<'a>,
}

/// A list of payloads a span.
#[derive(Debug, Default)]
pub(super) struct Lists<'a> {
    payloads: Vec<&'a [u8]>,
    ends: Vec<usize>,
}

impl Spans {
    pub(super) fn clear(&mut self, plan: &Plan) {
        self.nodes.clear();
        self.facts.clear();
        self.hits.clear();
        self.met.resize(plan.keys.len(), 0);
    }

    /// Reads one more span.
    pub(super) fn read<'a>(
        &mut self,
        bytes: &'a [u8],
        section: u32,
        plan: &Plan,
        symbols: &mut Symbols,
        items: &mut Items<'a>,
    ) {
        self.span += 1;
        let mut node = Node::default();
        let mut status = 0;
        let mut status_message: &[u8] = &[];
        let mut rest = bytes;
        // What SDKs write, in the order they write it; the loop reads whatever else there is.
        let lead = take_lead(&mut rest);
        let mut id = lead.span_id.unwrap_or_default();
        let mut parent = lead.parent_id.unwrap_or_default();
        let mut name = lead.name.unwrap_or_default();
        node.kind = lead.kind.unwrap_or_default().into();
        node.start = take_fixed64(&mut rest, 0x39).unwrap_or_default();
        let mut end = take_fixed64(&mut rest, 0x41).unwrap_or_default();
        loop {
            rest = self.attributes(rest, plan, symbols);
            let mut fields = fields(rest);
            match fields.next() {
                Some((9, Wire::Bytes(message))) => {
                    self.attribute(attribute::split(message), plan, symbols);
                }
                Some((2, Wire::Bytes(bytes))) => id = bytes,
                Some((4, Wire::Bytes(bytes))) => parent = bytes,
                Some((5, Wire::Bytes(text))) => name = text,
                Some((6, Wire::Varint(v))) => node.kind = v as i32,
                Some((7, Wire::Fixed64(v))) => node.start = v,
                Some((8, Wire::Fixed64(v))) => end = v,
                Some((11, Wire::Bytes(event))) if plan.events.read => {
                    items.events.payloads.push(event);
                }
                Some((13, Wire::Bytes(link))) if plan.links.read => {
                    items.links.payloads.push(link);
                }
                Some((15, Wire::Bytes(message))) => {
                    read_status(message, &mut status, &mut status_message);
                }
                Some(_) => {}
                None => break,
            }
            rest = fields.rest();
        }
        if plan.events.read {
            items.events.end_span();
        }
        if plan.links.read {
            items.links.end_span();
        }
        node.id = number_of(id);
        node.parent = number_of(parent);
        let is_root = parent.iter().all(|&byte| byte == 0);
        let mut text = |wanted: bool, text: &[u8]| match wanted {
            true => symbols.intern(text).unwrap_or(NONE),
            false => NONE,
        };
        let facts = Facts {
            end,
            name: text(plan.wanted.name, name),
            status_message: text(
                plan.wanted.status_message && !status_message.is_empty(),
                status_message,
            ),
            span_id: if plan.wanted.span_id {
                hex_symbol(id, symbols)
            } else {
                NONE
            },
            parent_id: if plan.wanted.parent_id && !is_root {
                hex_symbol(parent, symbols)
            } else {
                NONE
            },
            section,
            status,
            is_root,
        };
        self.nodes.push(node);
        self.facts.push(facts);
    }

    /// Reads attributes as SDKs write them, up to anything else. Most are read by no rule: those are turned away here.
    fn attributes<'a>(
        &mut self,
        mut rest: &'a [u8],
        plan: &Plan,
        symbols: &mut Symbols,
    ) -> &'a [u8] {
        while let Some(attribute) = take_attribute(&mut rest) {
            if plan.keys.may_have(attribute.key) {
                self.attribute(attribute.into(), plan, symbols);
            }
        }
        rest
    }

    #[inline(never)]
    fn attribute(&mut self, attribute: Attribute<'_>, plan: &Plan, symbols: &mut Symbols) {
        let Some(key) = plan.keys.find(attribute.key) else {
            return;
        };
        let (Some(targets), Some(met)) = (
            plan.targets.get(key as usize),
            self.met.get_mut(key as usize),
        ) else {
            return;
        };
        if !targets.in_span() || *met == self.span {
            return;
        }
        *met = self.span;
        let cell = Cell::new(attribute.value(), symbols);
        if cell.is_missing() {
            return;
        }
        let span = self.nodes.len() as u32;
        for column in [targets.any, targets.span] {
            if column != NONE {
                self.hits.push(Hit { span, column, cell });
            }
        }
    }
}

impl<'a> Lists<'a> {
    pub(super) fn clear(&mut self) {
        self.payloads.clear();
        self.ends.clear();
    }

    /// The payloads of a span.
    pub(super) fn of(&self, span: usize) -> &[&'a [u8]] {
        let first = span
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(span).copied().unwrap_or(first);
        self.payloads.get(first..end).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.payloads.len()
    }

    fn end_span(&mut self) {
        self.ends.push(self.payloads.len());
    }
}

/// The symbol of an id as lower-case hex; missing where it is empty.
pub(super) fn hex_symbol(id: &[u8], symbols: &mut Symbols) -> u32 {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    };
    let mut short = [0_u8; 32];
    let symbol = match id.len() {
        0 => None,
        len @ 1..=16 => {
            for (pair, byte) in short.chunks_exact_mut(2).zip(id) {
                pair.copy_from_slice(&digits(byte));
            }
            symbols.intern(&short[..len * 2])
        }
        // Only a link or a parent can be so long, and none that an SDK makes is.
        _ => symbols.intern(&id.iter().flat_map(digits).collect::<Vec<u8>>()),
    };
    symbol.unwrap_or(NONE)
}

/// A span id as a number; 0, which is no id, where it is not 8 bytes.
fn number_of(id: &[u8]) -> u64 {
    id.try_into().map_or(0, u64::from_be_bytes)
}

fn read_status<'a>(bytes: &'a [u8], code: &mut i32, message: &mut &'a [u8]) {
    for (number, wire) in fields(bytes) {
        match (number, wire) {
            (2, Wire::Bytes(text)) => *message = text,
            (3, Wire::Varint(v)) => *code = v as i32,
            _ => {}
        }
    }
}
