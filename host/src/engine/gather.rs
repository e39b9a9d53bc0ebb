//! A rule's share of a batch: its candidate traces, its columns, in the lists that `wit/rule.wit` lays out.
//!
//! ```text
//! Columns (rows of all traces) -> take(): how many traces fit into one call -> write(): w32 | w64 | w8
//! ```
//! Rows are counted from the call's first span. Where a column asks for text, symbols are numbered anew and densely, so
//! that only text that occurs goes along; elsewhere the batch's symbols serve as they are. Buffers are reused.

use std::ops::Range;

use super::layout::{Kind, Layout, Slot};
use super::met::MetConstants;
use super::set::{Binding, OffsetColumns};
use crate::columns::batch::{Column, Columns, NONE, tag};
use crate::columns::projection::Table;

/// One call's lists, and what is needed to map its answer back.
#[derive(Debug, Default)]
pub(super) struct Gather {
    pub(super) w32: Vec<u32>,
    pub(super) w64: Vec<u64>,
    pub(super) w8: Vec<u8>,
    pub(super) symbols: u32,
    pub(super) spans: u32,
    pub(super) events: u32,
    pub(super) links: u32,
    /// For each trace of the call, its rows in the columns.
    traces: Vec<Rows>,
    local: LocalSymbols,
    met: MetConstants,
}

/// What a rule reads and where.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) layout: &'a Layout,
    pub(super) binding: &'a Binding,
    pub(super) offsets: OffsetColumns,
    pub(super) columns: &'a Columns,
    /// How many constants the rule set has.
    pub(super) constants: usize,
}

/// What [`Gather::take`] found to be next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A call with the first so many of the traces. `oversized`: it is one trace and larger than a call should be.
    Call { traces: usize, oversized: bool },
    /// The first trace is too large for the rule's memory.
    TooLarge,
}

/// Bounds of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLimits {
    pub(super) call_bytes: usize,
    pub(super) trace_bytes: usize,
    pub(super) traces: usize,
}

/// A trace's rows, as it stands in the columns.
#[derive(Clone, Debug, Default)]
struct Rows {
    spans: Range<usize>,
    events: Range<usize>,
    links: Range<usize>,
}

/// Symbols of a call, numbered in the order that they are met.
#[derive(Debug, Default)]
struct LocalSymbols {
    /// By symbol of the batch: the call that it was last met in, and its number there.
    numbers: Vec<(u32, u32)>,
    met: Vec<Met>,
    /// Symbols that got their text since the last mark.
    journal: Vec<u32>,
    text_bytes: usize,
    call: u32,
}

#[derive(Debug)]
struct Met {
    symbol: u32,
    text: bool,
}

impl Gather {
    /// Takes as many of `traces` (indices into the batch, ascending, not empty) as one call may hold.
    pub(super) fn take(
        &mut self,
        reader: &Reader<'_>,
        traces: &[u32],
        limits: CallLimits,
    ) -> Taken {
        let layout = reader.layout;
        self.traces.clear();
        self.local.start(reader.columns.symbols.len());
        let mut rows_bytes = 0;
        for &trace in traces.iter().take(limits.traces) {
            let rows = reader.rows(trace);
            let rows_of_trace = 4
                + rows.spans.len() * layout.span_bytes
                + rows.events.len() * layout.event_bytes
                + rows.links.len() * layout.link_bytes;
            self.local.mark();
            let met = self.local.met.len();
            if layout.text {
                self.local.meet_all(reader, &rows);
            }
            let bytes = layout.fixed_bytes + rows_bytes + rows_of_trace + self.local.bytes();
            let first = self.traces.is_empty();
            if bytes > limits.call_bytes && !first {
                self.local.undo(met, reader.columns);
                break;
            }
            if first && bytes > limits.trace_bytes {
                return Taken::TooLarge;
            }
            self.traces.push(rows);
            rows_bytes += rows_of_trace;
            if bytes > limits.call_bytes {
                return Taken::Call {
                    traces: 1,
                    oversized: true,
                };
            }
        }
        Taken::Call {
            traces: self.traces.len(),
            oversized: false,
        }
    }

    /// Writes the traces that were taken.
    pub(super) fn write(&mut self, reader: &Reader<'_>) {
        let layout = reader.layout;
        self.start_call(reader);
        self.w32.push(0);
        for rows in &self.traces {
            self.spans += rows.spans.len() as u32;
            self.events += rows.events.len() as u32;
            self.links += rows.links.len() as u32;
            self.w32.push(self.spans);
        }
        let constants = self.w32.len()..self.w32.len() + layout.constants;
        self.w32.resize(constants.end, NONE);
        for (slot, &column) in layout.slots.iter().zip(&reader.binding.columns) {
            self.write_column(reader, slot, &reader.columns.columns[column as usize]);
        }
        for (index, (at, &symbol)) in constants.zip(&reader.binding.constants).enumerate() {
            self.w32[at] = if layout.text {
                self.local.number(symbol)
            } else if self.met.is_met(index, symbol) {
                symbol
            } else {
                NONE
            };
        }
        self.symbols = reader.columns.symbols.len() as u32;
        if layout.text {
            self.write_text(reader.columns);
        }
    }

    /// Traces of the call.
    pub(super) fn traces(&self) -> usize {
        self.traces.len()
    }

    /// Rows of the columns that the spans of one of the call's traces have, and the call's number of its first.
    pub(super) fn spans_of(&self, trace: usize) -> Option<(Range<usize>, u32)> {
        let rows = self.traces.get(trace)?;
        Some((rows.spans.clone(), *self.w32.get(trace)?))
    }

    fn start_call(&mut self, reader: &Reader<'_>) {
        self.w32.clear();
        self.w64.clear();
        self.w8.clear();
        (self.spans, self.events, self.links) = (0, 0, 0);
        self.met.start(&reader.binding.constants, reader.constants);
    }

    fn write_column(&mut self, reader: &Reader<'_>, slot: &Slot, column: &Column) {
        let text = reader.layout.text;
        let (first32, first64, first8) = (self.w32.len(), self.w64.len(), self.w8.len());
        match (slot.kind, column) {
            (Kind::Symbols, Column::W32(column)) => {
                for rows in runs(&self.traces, slot.table) {
                    let symbols = &column[rows];
                    if text {
                        self.w32
                            .extend(symbols.iter().map(|&symbol| self.local.number(symbol)));
                    } else {
                        self.w32.extend_from_slice(symbols);
                    }
                }
                if !text {
                    let symbols = self.w32.get(first32..).unwrap_or_default();
                    self.met.meet(symbols);
                }
            }
            (Kind::Rows, Column::W32(column)) => {
                let mut first = 0;
                for rows in &self.traces {
                    let start = rows.spans.start as u32;
                    let rebase = |&row: &u32| {
                        if row == NONE {
                            NONE
                        } else {
                            row - start + first
                        }
                    };
                    self.w32
                        .extend(column[rows.spans.clone()].iter().map(rebase));
                    first += rows.spans.len() as u32;
                }
            }
            (Kind::Numbers, Column::W32(column)) => {
                for rows in runs(&self.traces, slot.table) {
                    self.w32.extend_from_slice(&column[rows]);
                }
            }
            (Kind::Offsets(table), Column::W32(column)) => {
                let mut first = 0;
                for rows in &self.traces {
                    let items = rows.of(table);
                    let start = items.start as u32;
                    self.w32.extend(
                        column[rows.spans.clone()]
                            .iter()
                            .map(|&row| row - start + first),
                    );
                    first += items.len() as u32;
                }
                self.w32.push(first);
            }
            (Kind::Wide, Column::W64(column)) => {
                for rows in runs(&self.traces, slot.table) {
                    self.w64
                        .extend(column[rows].iter().map(|&value| value as u64));
                }
            }
            (Kind::Narrow, Column::W8(column)) => {
                for rows in runs(&self.traces, slot.table) {
                    self.w8.extend_from_slice(&column[rows]);
                }
            }
            (Kind::Attribute, Column::Attribute { tags, values }) => {
                for rows in runs(&self.traces, slot.table) {
                    let (tags, values) = (&tags[rows.clone()], &values[rows]);
                    self.w8.extend_from_slice(tags);
                    if text {
                        let local = &self.local;
                        self.w64
                            .extend(tags.iter().zip(values).map(|(&tag, &value)| match tag {
                                tag::TEXT => u64::from(local.number(value as u32)),
                                _ => value,
                            }));
                    } else {
                        self.w64.extend_from_slice(values);
                    }
                }
                if !text {
                    let tags = self.w8.get(first8..).unwrap_or_default();
                    let values = self.w64.get(first64..).unwrap_or_default();
                    self.met.meet_text(tags, values);
                }
            }
            (kind, _) => unreachable!("the projection made another column than {kind:?}"),
        }
    }

    /// Offsets of the text of all symbols of the call, and the text. Symbols that no text column holds have none.
    fn write_text(&mut self, columns: &Columns) {
        self.symbols = self.local.met.len() as u32;
        let mut end = 0;
        self.w32.push(0);
        for met in &self.local.met {
            if met.text {
                let text = columns.symbols.text(met.symbol);
                self.w8.extend_from_slice(text.as_bytes());
                end += text.len() as u32;
            }
            self.w32.push(end);
        }
    }
}

impl Reader<'_> {
    fn rows(&self, trace: u32) -> Rows {
        let trace = trace as usize;
        let spans = self.columns.offsets[trace] as usize..self.columns.offsets[trace + 1] as usize;
        let items = |column: Option<usize>, table| match column
            .map(|column| &self.columns.columns[column])
        {
            Some(Column::W32(offsets)) if self.layout.reads(table) => {
                offsets[spans.start] as usize..offsets[spans.end] as usize
            }
            _ => 0..0,
        };
        Rows {
            events: items(self.offsets.events, Table::Events),
            links: items(self.offsets.links, Table::Links),
            spans,
        }
    }
}

impl Rows {
    fn of(&self, table: Table) -> Range<usize> {
        match table {
            Table::Spans => self.spans.clone(),
            Table::Events => self.events.clone(),
            Table::Links => self.links.clone(),
        }
    }
}

impl LocalSymbols {
    fn start(&mut self, symbols: usize) {
        self.met.clear();
        self.journal.clear();
        self.text_bytes = 0;
        if self.call == u32::MAX {
            self.call = 0;
            self.numbers.clear();
        }
        self.call += 1;
        if self.numbers.len() < symbols {
            self.numbers.resize(symbols, (0, 0));
        }
    }

    /// The number of a symbol that was met in this call; none for others.
    fn number(&self, symbol: u32) -> u32 {
        match self.numbers.get(symbol as usize) {
            Some(&(call, number)) if call == self.call => number,
            _ => NONE,
        }
    }

    /// Bytes of the offsets and the text of all symbols.
    fn bytes(&self) -> usize {
        4 * self.met.len() + self.text_bytes
    }

    fn meet_all(&mut self, reader: &Reader<'_>, rows: &Rows) {
        for (slot, &column) in reader.layout.slots.iter().zip(&reader.binding.columns) {
            match (slot.kind, &reader.columns.columns[column as usize]) {
                (Kind::Symbols, Column::W32(column)) => {
                    for &symbol in &column[rows.of(slot.table)] {
                        self.meet(symbol, slot.text, reader.columns);
                    }
                }
                (Kind::Attribute, Column::Attribute { tags, values }) => {
                    let rows = rows.of(slot.table);
                    for (&tag, &value) in tags[rows.clone()].iter().zip(&values[rows]) {
                        if tag == tag::TEXT {
                            self.meet(value as u32, slot.text, reader.columns);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn meet(&mut self, symbol: u32, text: bool, columns: &Columns) {
        let Some(entry) = self.numbers.get_mut(symbol as usize) else {
            return;
        };
        if entry.0 != self.call {
            *entry = (self.call, self.met.len() as u32);
            self.met.push(Met {
                symbol,
                text: false,
            });
        }
        let met = &mut self.met[entry.1 as usize];
        if text && !met.text {
            met.text = true;
            self.text_bytes += columns.symbols.text(symbol).len();
            self.journal.push(entry.1);
        }
    }

    /// From here on, [`undo`](Self::undo) can take back what is met.
    fn mark(&mut self) {
        self.journal.clear();
    }

    /// Forgets what was met since the mark, when there were `met` symbols.
    fn undo(&mut self, met: usize, columns: &Columns) {
        for &number in &self.journal {
            let met = &mut self.met[number as usize];
            met.text = false;
            self.text_bytes -= columns.symbols.text(met.symbol).len();
        }
        for met in self.met.drain(met..) {
            self.numbers[met.symbol as usize] = (0, 0);
        }
    }
}

/// The rows of a table that a call has, neighbouring traces as one run: a rule that sees every trace copies columns whole.
fn runs(traces: &[Rows], table: Table) -> impl Iterator<Item = Range<usize>> {
    let mut rest = traces.iter().map(move |rows| rows.of(table));
    let mut next = rest.next();
    std::iter::from_fn(move || {
        let mut run = next.take()?;
        for rows in rest.by_ref() {
            if rows.start != run.end {
                next = Some(rows);
                break;
            }
            run.end = rows.end;
        }
        Some(run)
    })
}

#[cfg(test)]
mod tests;
