//! Sets as functions `(first, end, limit, mark) -> count`: how many rows of a trace are in the set.
//!
//! They stop at `limit`, and where `mark` is set, each row that they find is marked as evidence. A set that several
//! conditions ask for is scanned once a trace; its number is remembered until the next.
//!
//! Most sets ask for a name, which few rows have: those are sought four at a time, and only they are asked the rest. A row
//! that is passed over so costs a fifth of one that is tested.

use wasm_encoder::ValType;

use super::code::{Code, Label, at};
use super::module::{Func, Global};
use super::row::Rows;
use super::{Emitter, I32};
use crate::plan::{Field, FieldKind, Literal, Test};
use crate::types::tree::{Comparison, Table};

/// A set in the module.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    function: Func,
    found: Option<Global>,
}

/// What a remembered number is before the set was scanned.
pub(super) const NOT_SCANNED: u32 = u32::MAX;

impl Emitter<'_> {
    /// Emits the functions of all sets.
    pub(super) fn sets(&mut self) {
        let plan = self.plan;
        for (index, set) in plan.sets.iter().enumerate() {
            let name = format!("set {index}: {}", set.text);
            let function = self.module.declare(&name, &[I32; 4], &[I32]);
            let found =
                (set.uses > 1).then(|| self.module.global(&format!("found of set {index}")));
            self.sets.push(Scan { function, found });
            self.owned_by(format!("set {index}"));
            let code = self.scan(&set.test);
            self.module.define(function, code);
        }
    }

    /// The numbers to be forgotten before each trace.
    pub(super) fn remembered(&self) -> Vec<Global> {
        self.sets.iter().filter_map(|set| set.found).collect()
    }

    /// Pushes how many rows are in a set, or `limit` where they are more. Params 0 and 1 are the trace's rows.
    pub(super) fn push_found(&mut self, code: &mut Code, set: u32, limit: u32) {
        let Scan { function, found } = self.sets[set as usize];
        let Some(found) = found else {
            code.get(0).get(1).i32(limit).i32(0).call(function);
            return;
        };
        let limit = self.plan.sets[set as usize].limit;
        code.global(found).i32(NOT_SCANNED);
        code.op().i32_eq();
        code.if_();
        code.get(0).get(1).i32(limit).i32(0).call(function);
        code.set_global(found);
        code.end();
        code.global(found);
    }

    /// Marks the rows that are in a set.
    pub(super) fn mark_set(&mut self, code: &mut Code, set: u32) {
        self.push_all(code, set, true);
        code.op().drop();
    }

    /// Pushes how many rows are in a set, however many they are, and marks them where `mark` says so.
    pub(super) fn push_all(&mut self, code: &mut Code, set: u32, mark: bool) {
        let function = self.sets[set as usize].function;
        code.get(0).get(1).i32(u32::MAX).i32(u32::from(mark));
        code.call(function);
    }

    fn scan(&mut self, test: &Test) -> Code {
        let mut code = Code::caching(4);
        let (row, end, limit, mark) = (0, 1, 2, 3);
        let count = code.local(I32);
        let sought = self.sought(test);
        let done = code.block();
        let needle = sought.as_ref().map(|sought| {
            let needle = code.local(ValType::V128);
            code.global(sought.symbol);
            code.op().i32x4_splat().local_set(needle);
            needle
        });
        let next = code.loop_();
        if let (Some(sought), Some(needle)) = (&sought, needle) {
            self.seek(&mut code, sought, needle, (row, end), done);
        } else {
            code.get(row).get(end);
            code.op().i32_ge_u();
            code.br_if(done);
        }
        let outside = code.block();
        let rows = Rows::of_span(row);
        match &sought {
            Some(sought) => self.chain(&mut code, &sought.rest, true, false, outside, rows),
            None => self.branch(&mut code, test, false, outside, rows),
        }
        code.add(count, 1);
        code.get(mark);
        code.if_();
        code.get(row).call(self.marks.mark);
        code.end();
        code.get(count).get(limit);
        code.op().i32_ge_u();
        code.br_if(done);
        code.end();
        code.add(row, 1);
        code.br(next);
        code.end();
        code.end();
        code.get(count);
        code
    }

    /// What rows can be sought by: a symbol that a column of all spans has to hold.
    fn sought(&self, test: &Test) -> Option<Sought> {
        let parts = match test {
            Test::And(parts) => parts,
            one => std::slice::from_ref(one),
        };
        parts.iter().enumerate().find_map(|(index, part)| {
            let Test::Compare(field, Comparison::Equal, Literal::Symbol(constant)) = part else {
                return None;
            };
            let is_column = field.table == Table::Spans && field.kind == FieldKind::Text;
            let symbol = self.batch.symbols[*constant as usize].filter(|_| is_column)?;
            let mut rest = parts.to_vec();
            rest.remove(index);
            Some(Sought {
                field: *field,
                symbol,
                rest,
            })
        })
    }

    /// Moves `row` to the next row that holds the symbol, or branches where there is none before `end`.
    fn seek(
        &self,
        code: &mut Code,
        sought: &Sought,
        needle: u32,
        (row, end): (u32, u32),
        none: Label,
    ) {
        let hits = code.local(I32);
        let found = code.block();
        let few = code.block();
        let four = code.loop_();
        code.get(row).i32(4);
        code.op().i32_add().local_get(end).i32_gt_u();
        code.br_if(few);
        self.push_address(code, sought.field, row, 2);
        code.op()
            .v128_load(at(0, 2))
            .local_get(needle)
            .i32x4_eq()
            .i32x4_bitmask()
            .local_tee(hits);
        code.if_();
        code.get(hits);
        code.op().i32_ctz().local_get(row).i32_add().local_set(row);
        code.br(found);
        code.end();
        code.add(row, 4);
        code.br(four);
        code.end();
        code.end();
        let one = code.loop_();
        code.get(row).get(end);
        code.op().i32_ge_u();
        code.br_if(none);
        self.push_w32(code, sought.field, row);
        code.global(sought.symbol);
        code.op().i32_eq();
        code.br_if(found);
        code.add(row, 1);
        code.br(one);
        code.end();
        code.end();
    }
}

/// A test of rows that hold a symbol.
struct Sought {
    field: Field,
    symbol: Global,
    /// What else they have to be.
    rest: Vec<Test>,
}
