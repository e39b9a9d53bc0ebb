//! The columns of one batch, and how to read them.

use crate::assemble::trace::SpanRef;

/// Missing symbol, or no parent.
pub const NONE: u32 = u32::MAX;

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
}
