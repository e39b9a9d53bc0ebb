//! Fields to columns, text to constants: each once, in order of first use.

use std::collections::HashMap;

use super::manifest::{Column, ColumnSource, Fact};
use crate::types::tree::{self, Intrinsic, Source, Table};

/// A field as the emitted code reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Whose row is read.
    pub table: Table,
    /// Index into the manifest's columns.
    pub column: u32,
    /// How a row is read.
    pub kind: FieldKind,
}

/// How a row is read, and which values are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `w32` symbol.
    Text,
    /// `w32` number; never missing.
    Int,
    /// `w64` nanoseconds, -1 missing.
    Duration,
    /// `w64` offset from the trace's start, -1 missing.
    Time,
    /// `w8` number of a span kind.
    Kind,
    /// `w8` number of a status code.
    Status,
    /// This bit of `flags`.
    Flag(u8),
    /// A tag and a value.
    Attribute,
}

/// A set of attribute types, by tag: bit `t` stands for tag `t` of `wit/rule.wit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Types(pub u8);

#[allow(missing_docs)]
impl Types {
    pub const BOOL: Types = Types(1 << 1);
    pub const NUMBER: Types = Types(1 << 2 | 1 << 3);
    pub const TEXT: Types = Types(1 << 4);

    pub fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    pub fn has(self, other: Types) -> bool {
        self.0 & other.0 != 0
    }
}

/// Columns and constants so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) columns: Vec<Column>,
    pub(super) constants: Vec<String>,
    column_of: HashMap<(Table, ColumnSource), u32>,
    constant_of: HashMap<String, u32>,
}

impl Fields {
    pub(super) fn field(&mut self, field: &tree::Field) -> Field {
        let (source, kind) = match &field.source {
            Source::Attribute(place, key) => (
                ColumnSource::Attribute(*place, key.clone()),
                FieldKind::Attribute,
            ),
            Source::Intrinsic(intrinsic) => {
                let (fact, kind) = fact(*intrinsic);
                (ColumnSource::Fact(fact), kind)
            }
        };
        Field {
            table: field.table,
            column: self.column(field.table, source),
            kind,
        }
    }

    /// The name of the span at hand.
    pub(super) fn name(&mut self) -> Field {
        Field {
            table: Table::Spans,
            column: self.column(Table::Spans, ColumnSource::Fact(Fact::Name)),
            kind: FieldKind::Text,
        }
    }

    /// The offsets of a span's events or links.
    pub(super) fn offsets(&mut self, table: Table) -> u32 {
        let fact = match table {
            Table::Links => Fact::Links,
            Table::Events | Table::Spans => Fact::Events,
        };
        self.column(Table::Spans, ColumnSource::Fact(fact))
    }

    pub(super) fn constant(&mut self, text: &str) -> u32 {
        if let Some(&index) = self.constant_of.get(text) {
            return index;
        }
        let index = self.constants.len() as u32;
        self.constants.push(text.to_owned());
        self.constant_of.insert(text.to_owned(), index);
        index
    }

    /// Notes that the text of a field is read.
    pub(super) fn reads_text(&mut self, field: Field) {
        if let Some(column) = self.columns.get_mut(field.column as usize) {
            column.text = true;
        }
    }

    /// Notes what an attribute is compared with.
    pub(super) fn compares(&mut self, field: Field, types: Types) {
        if let Some(column) = self.columns.get_mut(field.column as usize)
            && field.kind == FieldKind::Attribute
        {
            column.compared = column.compared.with(types);
        }
    }

    fn column(&mut self, table: Table, source: ColumnSource) -> u32 {
        let columns = &mut self.columns;
        *self
            .column_of
            .entry((table, source.clone()))
            .or_insert_with(|| {
                columns.push(Column {
                    table,
                    source,
                    text: false,
                    compared: Types::default(),
                });
                columns.len() as u32 - 1
            })
    }
}

fn fact(intrinsic: Intrinsic) -> (Fact, FieldKind) {
    match intrinsic {
        Intrinsic::Name => (Fact::Name, FieldKind::Text),
        Intrinsic::Service => (Fact::Service, FieldKind::Text),
        Intrinsic::StatusMessage => (Fact::StatusMessage, FieldKind::Text),
        Intrinsic::TraceId => (Fact::TraceId, FieldKind::Text),
        Intrinsic::SpanId => (Fact::SpanId, FieldKind::Text),
        Intrinsic::ParentId => (Fact::ParentId, FieldKind::Text),
        Intrinsic::Kind => (Fact::Kind, FieldKind::Kind),
        Intrinsic::Status => (Fact::Status, FieldKind::Status),
        Intrinsic::Duration => (Fact::Duration, FieldKind::Duration),
        Intrinsic::SelfTime => (Fact::SelfTime, FieldKind::Duration),
        Intrinsic::Start => (Fact::Start, FieldKind::Time),
        Intrinsic::End => (Fact::End, FieldKind::Time),
        Intrinsic::Time => (Fact::Time, FieldKind::Time),
        Intrinsic::Depth => (Fact::Depth, FieldKind::Int),
        Intrinsic::ChildCount => (Fact::ChildCount, FieldKind::Int),
        Intrinsic::IsRoot => (Fact::Flags, FieldKind::Flag(0)),
        Intrinsic::IsLeaf => (Fact::Flags, FieldKind::Flag(1)),
    }
}
