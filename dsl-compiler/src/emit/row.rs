//! Reading a row of a column.

use super::Emitter;
use super::code::{Code, at};
use super::helpers::tag;
use super::memory::load;
use crate::plan::{Field, FieldKind};
use crate::types::tree::Table;

/// The rows at hand: locals.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) span: u32,
    pub(super) event: Option<u32>,
    pub(super) link: Option<u32>,
}

impl Rows {
    pub(super) fn of_span(span: u32) -> Rows {
        Rows {
            span,
            event: None,
            link: None,
        }
    }

    /// The row of a table; none outside of its items.
    pub(super) fn of(&self, table: Table) -> Option<u32> {
        match table {
            Table::Spans => Some(self.span),
            Table::Events => self.event,
            Table::Links => self.link,
        }
    }
}

impl Emitter<'_> {
    /// Sets a local to the symbol of a field and pushes whether it is text.
    pub(super) fn push_symbol(&mut self, code: &mut Code, field: Field, row: u32, symbol: u32) {
        if field.kind == FieldKind::Attribute {
            self.push_value_w32(code, field, row);
            code.set(symbol);
            self.push_tag(code, field, row);
            code.i32(tag::TEXT);
            code.op().i32_eq();
        } else {
            self.push_w32(code, field, row);
            code.op().local_tee(symbol).i32_const(-1).i32_ne();
        }
    }

    /// Pushes a row of a `w32` column.
    pub(super) fn push_w32(&self, code: &mut Code, field: Field, row: u32) {
        self.push_address(code, field, row, 2);
        load(code, 0);
    }

    /// Pushes a row of a `w64` column, or an attribute's value.
    pub(super) fn push_w64(&mut self, code: &mut Code, field: Field, row: u32) {
        self.push_address(code, field, row, 3);
        code.op().i64_load(at(0, 3));
    }

    /// Pushes an attribute's value as a float.
    pub(super) fn push_f64(&mut self, code: &mut Code, field: Field, row: u32) {
        self.push_address(code, field, row, 3);
        code.op().f64_load(at(0, 3));
    }

    /// Pushes the lower half of an attribute's value: a symbol or a bool.
    pub(super) fn push_value_w32(&mut self, code: &mut Code, field: Field, row: u32) {
        self.push_address(code, field, row, 3);
        load(code, 0);
    }

    /// Pushes a row of a `w8` column.
    pub(super) fn push_w8(&mut self, code: &mut Code, field: Field, row: u32) {
        code.get(row)
            .global(self.batch.values[field.column as usize]);
        code.op().i32_add().i32_load8_u(at(0, 0));
    }

    /// Pushes an attribute's tag.
    pub(super) fn push_tag(&mut self, code: &mut Code, field: Field, row: u32) {
        match self.batch.tags[field.column as usize] {
            Some(tags) => {
                code.get(row).global(tags);
                code.op().i32_add().i32_load8_u(at(0, 0));
            }
            None => {
                code.i32(tag::MISSING);
            }
        }
    }

    pub(super) fn push_address(&self, code: &mut Code, field: Field, row: u32, shift: i32) {
        code.get(row);
        code.op().i32_const(shift).i32_shl();
        code.global(self.batch.values[field.column as usize]);
        code.op().i32_add();
    }
}
