//! The columns of one batch, and how to read them.

use super::attribute::Cell;
use super::project::Scratch;
use super::projection::Width;
use crate::assemble::trace::SpanRef;

/// Missing symbol, or no parent.
pub const NONE: u32 = u32::MAX;

/// Missing time or duration.
pub const NEVER: i64 = -1;

/// Type tags of an attribute, as in `wit/rule.wit`.
pub mod tag {
    pub const MISSING: u8 = 0;
    pub const BOOL: u8 = 1;
    pub const INT: u8 = 2;
    pub const FLOAT: u8 = 3;
    pub const TEXT: u8 = 4;
    pub const ARRAY: u8 = 5;
    pub const MAP: u8 = 6;
    pub const BYTES: u8 = 7;
}

/// One column's rows.
#[derive(Debug)]
pub enum Column {
    /// Symbols, numbers, or (`events`, `links`) offsets: one more than there are spans.
    W32(Vec<u32>),
    W64(Vec<i64>),
    W8(Vec<u8>),
    Attribute {
        tags: Vec<u8>,
        values: Vec<u64>,
    },
}

/// A batch of traces as columns. Rows are spans in tree preorder, trace after trace; buffers are reused.
///
/// `parent`, `subtree_end` and the offsets of `events` and `links` count rows of the whole batch: who copies a part of
/// it subtracts where that part begins.
#[derive(Debug, Default)]
pub struct Columns {
    /// Rows of trace `i`: `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<u32>,
    /// The span of each row.
    pub order: Vec<SpanRef>,
    /// First start of each trace, in Unix nanoseconds; 0 where it has no span.
    pub starts: Vec<u64>,
    /// Rows of the tables `events` and `links`; 0 unless a column is read from them.
    pub events: u32,
    pub links: u32,
    /// In the order of `Projection::columns`.
    pub columns: Vec<Column>,
    pub symbols: super::symbols::Symbols,
    /// Strings that were read and are not UTF-8; their fields are missing.
    pub invalid_utf8: u64,
    pub(crate) scratch: Scratch,
}

impl Column {
    pub fn width(&self) -> Width {
        match self {
            Column::W32(_) => Width::W32,
            Column::W64(_) => Width::W64,
            Column::W8(_) => Width::W8,
            Column::Attribute { .. } => Width::Attribute,
        }
    }

    /// Writes an attribute to a row that is there.
    #[inline]
    pub(super) fn set(&mut self, row: usize, cell: Cell) {
        if let Column::Attribute { tags, values } = self
            && let (Some(tag), Some(value)) = (tags.get_mut(row), values.get_mut(row))
        {
            *tag = cell.tag;
            *value = cell.value;
        }
    }

    /// Rows as missing as the column can say, until there are `rows`.
    pub(super) fn resize(&mut self, rows: usize) {
        match self {
            Column::W32(column) => column.resize(rows, NONE),
            Column::W64(column) => column.resize(rows, NEVER),
            Column::W8(column) => column.resize(rows, 0),
            Column::Attribute { tags, values } => {
                tags.resize(rows, tag::MISSING);
                values.resize(rows, 0);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Column::W32(column) => column.clear(),
            Column::W64(column) => column.clear(),
            Column::W8(column) => column.clear(),
            Column::Attribute { tags, values } => {
                tags.clear();
                values.clear();
            }
        }
    }
}
