//! The tables of events and links: appended for one trace, a row an item, spans in tree order.

use super::attribute::{self, Cell};
use super::batch::{Column, NONE};
use super::intrinsics::time;
use super::plan::ItemPlan;
use super::projection::Intrinsic;
use super::read::{Lists, hex_symbol};
use super::symbols::Symbols;
use crate::otlp::wire::{Wire, fields};

/// Where an item's message keeps what it has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Event,
    Link,
}

/// Reads items to rows; `met` is by key the item that met it last.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    met: Vec<u64>,
    item: u64,
}

/// What an item has, but for attributes.
#[derive(Debug, Default)]
struct Facts<'a> {
    time: u64,
    name: &'a [u8],
    trace_id: &'a [u8],
    span_id: &'a [u8],
}

impl Reader {
    /// Appends the items of a trace's spans, in the order of `order`, from row `first` on; `start` is the trace's first
    /// start.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn append(
        &mut self,
        kind: Kind,
        plan: &ItemPlan,
        lists: &Lists<'_>,
        order: &[u32],
        first: u32,
        start: u64,
        columns: &mut [Column],
        symbols: &mut Symbols,
    ) {
        self.met.clear();
        self.met.resize(plan.keys.len(), 0);
        self.item = 0;
        for &index in &plan.columns {
            if let Some(column) = columns.get_mut(index) {
                column.resize(first as usize + lists.len());
            }
        }
        let items = order
            .iter()
            .flat_map(|&position| lists.of(position as usize));
        for (row, item) in (first as usize..).zip(items) {
            self.item += 1;
            let facts = self.read(kind, plan, item, row, columns, symbols);
            for &(intrinsic, index) in &plan.intrinsics {
                match (columns.get_mut(index), intrinsic, kind) {
                    (Some(Column::W32(out)), Intrinsic::Name, Kind::Event) => {
                        out[row] = symbols.intern(facts.name).unwrap_or(NONE);
                    }
                    (Some(Column::W64(out)), Intrinsic::Time, Kind::Event) => {
                        out[row] = time(facts.time, start)
                    }
                    (Some(Column::W32(out)), Intrinsic::TraceId, Kind::Link) => {
                        out[row] = hex_symbol(facts.trace_id, symbols);
                    }
                    (Some(Column::W32(out)), Intrinsic::SpanId, Kind::Link) => {
                        out[row] = hex_symbol(facts.span_id, symbols);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Writes the item's attributes to row `row`, and returns the rest.
    fn read<'a>(
        &mut self,
        kind: Kind,
        plan: &ItemPlan,
        item: &'a [u8],
        row: usize,
        columns: &mut [Column],
        symbols: &mut Symbols,
    ) -> Facts<'a> {
        let mut facts = Facts::default();
        for (number, wire) in fields(item) {
            match (kind, number, wire) {
                (Kind::Event, 1, Wire::Fixed64(time)) => facts.time = time,
                (Kind::Event, 2, Wire::Bytes(name)) => facts.name = name,
                (Kind::Link, 1, Wire::Bytes(id)) => facts.trace_id = id,
                (Kind::Link, 2, Wire::Bytes(id)) => facts.span_id = id,
                (Kind::Event, 3, Wire::Bytes(message)) | (Kind::Link, 4, Wire::Bytes(message)) => {
                    let attribute = attribute::split(message);
                    let Some(key) = plan.keys.find(attribute.key) else {
                        continue;
                    };
                    let (Some(met), Some(&index)) = (
                        self.met.get_mut(key as usize),
                        plan.targets.get(key as usize),
                    ) else {
                        continue;
                    };
                    if std::mem::replace(met, self.item) != self.item
                        && let Some(column) = columns.get_mut(index)
                    {
                        column.set(row, Cell::new(attribute.value(), symbols));
                    }
                }
                _ => {}
            }
        }
        facts
    }
}
