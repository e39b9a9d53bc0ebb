//! What a span takes from its resource and scope, read once for each section that the batch touches.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::attribute::{self, Cell};
use super::batch::NONE;
use super::plan::Plan;
use super::symbols::Symbols;
use crate::assemble::trace::SpanRef;
use crate::otlp::request::Request;
use crate::otlp::scan::Run;
use crate::otlp::wire::{Wire, fields};

/// Sections of the batch; buffers are reused.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    known: HashMap<(u32, u32), u32, RandomState>,
    /// The section asked for last, since neighbours share one.
    last: Option<((u32, u32), u32)>,
    sections: Vec<Facts>,
    cells: Vec<(u32, Cell)>,
    resource: Found,
    scope: Found,
}

#[derive(Clone, Copy, Debug)]
struct Facts {
    service: u32,
    first: u32,
    end: u32,
}

/// The first value of each key, by the key's index.
#[derive(Debug, Default)]
struct Found {
    cells: Vec<Option<Cell>>,
}

impl Sections {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.last = None;
        self.sections.clear();
        self.cells.clear();
    }

    /// The index of a span's section, which is read if it is new.
    #[inline]
    pub(super) fn of(
        &mut self,
        span: &SpanRef,
        request: &Request,
        plan: &Plan,
        symbols: &mut Symbols,
    ) -> u32 {
        let key = (span.request, span.section);
        if let Some((last, index)) = self.last
            && last == key
        {
            return index;
        }
        let index = match self.known.get(&key) {
            Some(&index) => index,
            None => {
                let index = self.sections.len() as u32;
                self.read(span.section, request, plan, symbols);
                self.known.insert(key, index);
                index
            }
        };
        self.last = Some((key, index));
        index
    }

    /// The symbol of the resource's `service.name`.
    #[inline]
    pub(super) fn service(&self, index: u32) -> u32 {
        self.sections
            .get(index as usize)
            .map_or(NONE, |facts| facts.service)
    }

    /// Whether any section has.
    pub(super) fn have_cells(&self) -> bool {
        !self.cells.is_empty()
    }

    /// Columns and the values that spans of the section have there, unless a span has its own; none is missing.
    #[inline]
    pub(super) fn cells(&self, index: u32) -> &[(u32, Cell)] {
        let range = self
            .sections
            .get(index as usize)
            .map_or(0..0, |facts| facts.first as usize..facts.end as usize);
        self.cells.get(range).unwrap_or_default()
    }

    fn read(&mut self, section: u32, request: &Request, plan: &Plan, symbols: &mut Symbols) {
        let first = self.cells.len() as u32;
        self.resource.clear(plan.keys.len());
        self.scope.clear(plan.keys.len());
        let (mut name, mut version): (&[u8], &[u8]) = (&[], &[]);
        if let Some(section) = request.sections.get(section as usize) {
            // A message that comes in several parts is merged: lists are joined, of scalars the last counts.
            for bytes in parts(request, section.resource) {
                for (number, wire) in fields(bytes) {
                    if let (1, Wire::Bytes(attribute)) = (number, wire) {
                        self.resource.add(attribute, plan, symbols);
                    }
                }
            }
            for bytes in parts(request, section.scope) {
                for (number, wire) in fields(bytes) {
                    match (number, wire) {
                        (1, Wire::Bytes(text)) => name = text,
                        (2, Wire::Bytes(text)) => version = text,
                        (3, Wire::Bytes(attribute)) => self.scope.add(attribute, plan, symbols),
                        _ => {}
                    }
                }
            }
        }
        for (key, targets) in plan.targets.iter().enumerate() {
            let (resource, scope) = (self.resource.cell(key), self.scope.cell(key));
            let any = if resource.is_missing() {
                scope
            } else {
                resource
            };
            for (column, cell) in [
                (targets.any, any),
                (targets.resource, resource),
                (targets.scope, scope),
            ] {
                self.push(column, cell);
            }
        }
        for (column, text) in [(plan.scope_name, name), (plan.scope_version, version)] {
            if let (Some(column), false) = (column, text.is_empty()) {
                self.push(column, Cell::text(text, symbols));
            }
        }
        let service = plan
            .service
            .map_or(Cell::MISSING, |key| self.resource.cell(key as usize));
        self.sections.push(Facts {
            service: service.symbol(),
            first,
            end: self.cells.len() as u32,
        });
    }

    fn push(&mut self, column: u32, cell: Cell) {
        if column != NONE && !cell.is_missing() {
            self.cells.push((column, cell));
        }
    }
}

impl Found {
    fn clear(&mut self, keys: usize) {
        self.cells.clear();
        self.cells.resize(keys, None);
    }

    fn add(&mut self, message: &[u8], plan: &Plan, symbols: &mut Symbols) {
        let attribute = attribute::split(message);
        if let Some(key) = plan.keys.find(attribute.key)
            && let Some(cell @ None) = self.cells.get_mut(key as usize)
        {
            *cell = Some(Cell::new(attribute.value(), symbols));
        }
    }

    fn cell(&self, key: usize) -> Cell {
        self.cells
            .get(key)
            .copied()
            .flatten()
            .unwrap_or(Cell::MISSING)
    }
}

fn parts(request: &Request, run: Run) -> impl Iterator<Item = &[u8]> {
    let (first, count) = (run.first as usize, run.count as usize);
    request
        .parts
        .iter()
        .skip(first)
        .take(count)
        .map(|&range| request.slice(range))
}
