//! Which list of a batch a column lies in, and how many bytes a row of each table takes there.

use super::manifest::Manifest;
use crate::columns::projection::{Intrinsic, Source, Table};

/// How a column's rows are written into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `w32`: symbols of text.
    Symbols,
    /// `w32`: rows of spans, counted from the batch's first.
    Rows,
    /// `w32`: numbers, as they are.
    Numbers,
    /// `w32`: rows of another table; one more than there are spans.
    Offsets(Table),
    /// `w64`, as they are.
    Wide,
    /// `w8`, as they are.
    Narrow,
    /// Tags in `w8`, values in `w64`; where the tag is text, the value is a symbol.
    Attribute,
}

/// How a column of `source` is written.
pub(super) fn kind(source: &Source) -> Kind {
    let intrinsic = match source {
        Source::Attribute { .. } => return Kind::Attribute,
        Source::Intrinsic(intrinsic) => *intrinsic,
    };
    match intrinsic {
        Intrinsic::Name
        | Intrinsic::Service
        | Intrinsic::StatusMessage
        | Intrinsic::TraceId
        | Intrinsic::SpanId
        | Intrinsic::ParentId => Kind::Symbols,
        Intrinsic::Parent | Intrinsic::SubtreeEnd => Kind::Rows,
        Intrinsic::Depth | Intrinsic::ChildCount => Kind::Numbers,
        Intrinsic::Events => Kind::Offsets(Table::Events),
        Intrinsic::Links => Kind::Offsets(Table::Links),
        Intrinsic::Start
        | Intrinsic::End
        | Intrinsic::Duration
        | Intrinsic::SelfTime
        | Intrinsic::Time => Kind::Wide,
        Intrinsic::Kind | Intrinsic::Status | Intrinsic::Flags => Kind::Narrow,
    }
}

/// A column of a rule, as far as writing a batch is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) table: Table,
    pub(super) kind: Kind,
    pub(super) text: bool,
}

/// The layout of a rule's batches.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// In the order of the manifest.
    pub(super) slots: Vec<Slot>,
    /// Some column asks for text, so symbols are numbered anew and their text goes along.
    pub(super) text: bool,
    pub(super) constants: usize,
    /// Bytes of a row of each table, over all columns.
    pub(super) span_bytes: usize,
    pub(super) event_bytes: usize,
    pub(super) link_bytes: usize,
    /// Bytes of a batch of no traces.
    pub(super) fixed_bytes: usize,
}

impl Layout {
    pub(super) fn new(manifest: &Manifest) -> Self {
        let slots: Vec<Slot> = manifest
            .columns
            .iter()
            .map(|column| Slot {
                table: column.key.table,
                kind: kind(&column.key.source),
                text: column.text,
            })
            .collect();
        let row_bytes = |table| {
            slots
                .iter()
                .filter(|slot| slot.table == table)
                .map(|slot| bytes(slot.kind))
                .sum()
        };
        let text = slots.iter().any(|slot| slot.text);
        // The last element of every list of offsets.
        let ends = 1
            + usize::from(text)
            + slots
                .iter()
                .filter(|slot| matches!(slot.kind, Kind::Offsets(_)))
                .count();
        Self {
            text,
            constants: manifest.constants.len(),
            span_bytes: row_bytes(Table::Spans),
            event_bytes: row_bytes(Table::Events),
            link_bytes: row_bytes(Table::Links),
            fixed_bytes: 4 * (ends + manifest.constants.len()),
            slots,
        }
    }

    /// Whether the rule reads a table.
    pub(super) fn reads(&self, table: Table) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.table == table || slot.kind == Kind::Offsets(table))
    }
}

fn bytes(kind: Kind) -> usize {
    match kind {
        Kind::Symbols | Kind::Rows | Kind::Numbers | Kind::Offsets(_) => 4,
        Kind::Wide => 8,
        Kind::Narrow => 1,
        Kind::Attribute => 9,
    }
}
