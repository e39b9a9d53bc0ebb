//! Traces to columns, a trace at a time: read its spans, order them, append their rows.

use super::batch::{Column, Columns, NONE};
use super::intrinsics::{self, Ordered};
use super::items::{Kind, Reader};
use super::projection::{Intrinsic, Projection, Table, Width};
use super::read::{Items, Spans, hex_symbol};
use super::sections::Sections;
use super::tree::Tree;
use crate::assemble::trace::{Requests, Trace};
use crate::otlp::touch::{AT_ONCE, touch};

/// Buffers that one trace, or the batch, needs on the way.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    spans: Spans,
    sections: Sections,
    tree: Tree,
    items: Reader,
    /// By column: it is an attribute of spans, and all its rows are missing. Of a thousand keys that rules read, a batch
    /// has few; the other columns cost nothing as long as they need not be written to say so.
    clean: Vec<bool>,
}

impl Columns {
    /// Replaces what the columns hold by `traces`, whose spans lie in `requests`.
    pub fn project(&mut self, projection: &Projection, requests: &impl Requests, traces: &[Trace]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.reset(projection, traces, &mut scratch.clean);
        scratch.sections.clear();
        let mut items = Items::default();
        for trace in traces {
            self.project_trace(projection, requests, trace, &mut scratch, &mut items);
        }
        for &(intrinsic, index) in &projection.plan.intrinsics {
            let end = match intrinsic {
                Intrinsic::Events => self.events,
                Intrinsic::Links => self.links,
                _ => continue,
            };
            if let Some(Column::W32(offsets)) = self.columns.get_mut(index) {
                offsets.push(end);
            }
        }
        self.invalid_utf8 = self.symbols.invalid_utf8();
        self.scratch = scratch;
    }

    /// Whether a column is an attribute of spans that no span of the batch has.
    pub fn is_blank(&self, column: usize) -> bool {
        self.scratch.clean.get(column) == Some(&true)
    }

    fn reset(&mut self, projection: &Projection, traces: &[Trace], clean: &mut Vec<bool>) {
        self.symbols.reset(&projection.constants);
        self.offsets.clear();
        self.offsets.push(0);
        self.order.clear();
        self.starts.clear();
        self.events = 0;
        self.links = 0;
        self.invalid_utf8 = 0;
        let rows = traces.iter().map(|trace| trace.spans.len()).sum();
        self.columns.truncate(projection.columns.len());
        clean.resize(projection.columns.len(), false);
        for (index, (key, clean)) in projection.columns.iter().zip(clean).enumerate() {
            // Attributes are written where they are found, so the rest has to be missing from the start.
            let starts_clean = key.table == Table::Spans && key.width() == Width::Attribute;
            match self.columns.get_mut(index) {
                Some(column) if column.width() != key.width() => *column = Column::new(key.width()),
                Some(_) if *clean && starts_clean => {}
                Some(column) => column.clear(),
                None => self.columns.push(Column::new(key.width())),
            }
            if let (true, Some(column)) = (starts_clean, self.columns.get_mut(index)) {
                column.resize(rows);
            }
            *clean = starts_clean;
        }
    }

    fn project_trace<'a>(
        &mut self,
        projection: &Projection,
        requests: &'a impl Requests,
        trace: &Trace,
        scratch: &mut Scratch,
        items: &mut Items<'a>,
    ) {
        let plan = &projection.plan;
        let Scratch {
            spans,
            sections,
            tree,
            items: reader,
            clean,
        } = scratch;
        spans.clear(plan);
        items.events.clear();
        items.links.clear();
        for some in trace.spans.chunks(AT_ONCE) {
            touch(
                some.iter()
                    .map(|span| requests.request(span.request).slice(span.range)),
            );
            for span in some {
                let request = requests.request(span.request);
                let section = sections.of(span, request, plan, &mut self.symbols);
                spans.read(
                    request.slice(span.range),
                    section,
                    plan,
                    &mut self.symbols,
                    items,
                );
            }
        }
        tree.build(&spans.nodes);

        let base = self.order.len() as u32;
        let start = spans.nodes.iter().map(|node| node.start).min().unwrap_or(0);
        self.order.extend(
            tree.order
                .iter()
                .filter_map(|&position| trace.spans.get(position as usize)),
        );
        self.offsets.push(self.order.len() as u32);
        self.starts.push(start);
        self.append_attributes(base as usize, spans, sections, tree, clean);
        let trace_id = if plan.wanted.trace_id {
            hex_symbol(&trace.id, &mut self.symbols)
        } else {
            NONE
        };
        let ordered = Ordered {
            spans,
            sections,
            tree,
            base,
            start,
            trace_id,
        };
        for &(intrinsic, index) in &plan.intrinsics {
            let Some(column) = self.columns.get_mut(index) else {
                continue;
            };
            let (lists, mut row) = match intrinsic {
                Intrinsic::Events => (&items.events, self.events),
                Intrinsic::Links => (&items.links, self.links),
                _ => {
                    intrinsics::append(intrinsic, column, ordered);
                    continue;
                }
            };
            let Column::W32(offsets) = column else {
                continue;
            };
            for &position in &tree.order {
                offsets.push(row);
                row += lists.of(position as usize).len() as u32;
            }
        }
        for (kind, plan, lists, rows) in [
            (Kind::Event, &plan.events, &items.events, &mut self.events),
            (Kind::Link, &plan.links, &items.links, &mut self.links),
        ] {
            if plan.read {
                reader.append(
                    kind,
                    plan,
                    lists,
                    &tree.order,
                    *rows,
                    start,
                    &mut self.columns,
                    &mut self.symbols,
                );
                *rows += lists.len() as u32;
            }
        }
    }

    /// What a section gives its spans first, then what they have themselves.
    fn append_attributes(
        &mut self,
        base: usize,
        spans: &Spans,
        sections: &Sections,
        tree: &Tree,
        clean: &mut [bool],
    ) {
        let mut set = |column: u32, row: usize, cell| {
            let column = column as usize;
            if let (Some(column), Some(clean)) =
                (self.columns.get_mut(column), clean.get_mut(column))
            {
                column.set(row, cell);
                *clean = false;
            }
        };
        let rows = if sections.have_cells() {
            &tree.order[..]
        } else {
            &[]
        };
        for (row, &position) in (base..).zip(rows) {
            let section = spans
                .facts
                .get(position as usize)
                .map(|facts| facts.section);
            for &(column, cell) in section.map_or(&[][..], |section| sections.cells(section)) {
                set(column, row, cell);
            }
        }
        for hit in &spans.hits {
            if let Some(&row) = tree.rows.get(hit.span as usize) {
                set(hit.column, base + row as usize, hit.cell);
            }
        }
    }
}

impl Column {
    fn new(width: Width) -> Column {
        match width {
            Width::W32 => Column::W32(Vec::new()),
            Width::W64 => Column::W64(Vec::new()),
            Width::W8 => Column::W8(Vec::new()),
            Width::Attribute => Column::Attribute {
                tags: Vec::new(),
                values: Vec::new(),
            },
        }
    }
}
