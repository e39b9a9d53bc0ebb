//! Tests of a row as code: branches for logic, an i32 for the rest.
//!
//! A test that is too long for one function is cut into functions `(span, event, link) -> bool`.

use super::code::{Code, Label};
use super::memory::load;
use super::module::Func;
use super::row::Rows;
use super::{Emitter, I32};
use crate::plan::{CountTest, Field, FieldKind, Quantity, Test, TextRelation, Types};
use crate::types::tree::Table;

/// Tests that one function asks itself. Enough for any rule that a person writes; a machine's thousand terms become
/// functions that Cranelift compiles in time proportional to their number.
const INLINE: usize = 64;

/// A part of an `and` or `or`, where it is asked.
enum Piece<'t> {
    Here(&'t Test),
    There(Func),
}

impl Emitter<'_> {
    /// Branches to a label where a test has this value, and goes on where not.
    pub(super) fn branch(
        &mut self,
        code: &mut Code,
        test: &Test,
        value: bool,
        label: Label,
        rows: Rows,
    ) {
        match test {
            Test::Constant(answer) => {
                if *answer == value {
                    code.br(label);
                }
            }
            Test::Not(inner) => self.branch(code, inner, !value, label, rows),
            Test::And(parts) => self.chain(code, parts, true, value, label, rows),
            Test::Or(parts) => self.chain(code, parts, false, value, label, rows),
            leaf => {
                self.push(code, leaf, rows);
                if !value {
                    code.op().i32_eqz();
                }
                code.br_if(label);
            }
        }
    }

    pub(super) fn chain(
        &mut self,
        code: &mut Code,
        parts: &[Test],
        and: bool,
        value: bool,
        label: Label,
        rows: Rows,
    ) {
        let pieces = self.pieces(parts, and, rows);
        if value != and {
            // The first part that decides does so.
            for piece in pieces {
                self.branch_piece(code, piece, value, label, rows);
            }
            return;
        }
        let otherwise = code.block();
        for piece in pieces {
            self.branch_piece(code, piece, !value, otherwise, rows);
        }
        code.br(label);
        code.end();
    }

    fn branch_piece(
        &mut self,
        code: &mut Code,
        piece: Piece<'_>,
        value: bool,
        label: Label,
        rows: Rows,
    ) {
        match piece {
            Piece::Here(test) => self.branch(code, test, value, label, rows),
            Piece::There(function) => {
                call_test(code, function, rows);
                if !value {
                    code.op().i32_eqz();
                }
                code.br_if(label);
            }
        }
    }

    /// The parts of a chain, the first of them here and, where they are many, the others in functions of their own.
    fn pieces<'t>(&mut self, parts: &'t [Test], and: bool, rows: Rows) -> Vec<Piece<'t>> {
        let mut pieces = Vec::with_capacity(parts.len());
        if parts.iter().map(weight).sum::<usize>() <= INLINE {
            pieces.extend(parts.iter().map(Piece::Here));
            return pieces;
        }
        let mut rest = parts;
        while !rest.is_empty() {
            let mut sum = 0;
            let fitting = rest
                .iter()
                .take_while(|part| {
                    sum += weight(part);
                    sum <= INLINE
                })
                .count();
            let (group, others) = rest.split_at(fitting.max(1));
            if pieces.is_empty() && fitting > 0 {
                pieces.extend(group.iter().map(Piece::Here));
            } else {
                pieces.push(Piece::There(self.cut_out(group, and, rows)));
            }
            rest = others;
        }
        pieces
    }

    /// A function that says whether each (or, without `and`, one) of these tests is true.
    fn cut_out(&mut self, group: &[Test], and: bool, rows: Rows) -> Func {
        let name = self.part_name();
        let function = self.module.declare(&name, &[I32, I32, I32], &[I32]);
        let mut code = Code::new(3);
        let rows = Rows {
            span: 0,
            event: rows.event.map(|_| 1),
            link: rows.link.map(|_| 2),
        };
        let decided = code.block();
        for test in group {
            self.branch(&mut code, test, !and, decided, rows);
        }
        code.i32(u32::from(and));
        code.op().return_();
        code.end();
        code.i32(u32::from(!and));
        self.module.define(function, code);
        function
    }

    /// A function `(span, event, link) -> bool` that says whether a test is true of a row of this table.
    pub(super) fn test_function(&mut self, name: &str, table: Table, test: &Test) -> Func {
        self.owned_by(name.to_owned());
        let function = self.module.declare(name, &[I32, I32, I32], &[I32]);
        let rows = Rows {
            span: 0,
            event: (table == Table::Events).then_some(1),
            link: (table == Table::Links).then_some(2),
        };
        let mut code = Code::new(3);
        let otherwise = code.block();
        self.branch(&mut code, test, false, otherwise, rows);
        code.i32(1);
        code.op().return_();
        code.end();
        code.i32(0);
        self.module.define(function, code);
        function
    }

    /// Pushes whether a test that is no logic is true.
    fn push(&mut self, code: &mut Code, test: &Test, rows: Rows) {
        let read = match test {
            Test::IsTrue(field)
            | Test::Present(field)
            | Test::HasType(field, _)
            | Test::Compare(field, _, _)
            | Test::Fields(field, _, _)
            | Test::Match(field, _)
            | Test::Texts(field, _, _) => rows.of(field.table).map(|row| (*field, row)),
            Test::Items {
                table,
                offsets,
                test,
                quantity,
            } => return self.push_items(code, *table, *offsets, test, *quantity, rows),
            Test::Part(predicate) => {
                let function = self.predicates[*predicate as usize];
                return call_test(code, function, rows);
            }
            _ => None,
        };
        // A field of an event where there is no event.
        let Some((field, row)) = read else {
            code.i32(0);
            return;
        };
        match test {
            Test::IsTrue(_) => self.push_bool(code, field, row, true),
            Test::Present(_) => self.push_present(code, field, row),
            Test::HasType(_, types) => self.push_has_type(code, field, row, *types),
            Test::Compare(_, comparison, literal) => {
                self.push_compare(code, field, row, *comparison, literal);
            }
            Test::Match(_, matcher) => self.push_match(code, field, row, *matcher),
            Test::Fields(_, comparison, other) => match rows.of(other.table) {
                Some(other_row) => {
                    self.push_compare_fields(code, (field, row), *comparison, (*other, other_row));
                }
                None => {
                    code.i32(0);
                }
            },
            Test::Texts(_, relation, other) => match rows.of(other.table) {
                Some(other_row) => {
                    self.push_texts(code, (field, row), *relation, (*other, other_row));
                }
                None => {
                    code.i32(0);
                }
            },
            _ => {
                code.i32(0);
            }
        }
    }

    fn push_present(&mut self, code: &mut Code, field: Field, row: u32) {
        match field.kind {
            FieldKind::Text => {
                self.push_w32(code, field, row);
                code.op().i32_const(-1).i32_ne();
            }
            FieldKind::Duration | FieldKind::Time => {
                self.push_w64(code, field, row);
                code.op().i64_const(-1).i64_ne();
            }
            FieldKind::Attribute => {
                self.push_tag(code, field, row);
                code.op().i32_const(0).i32_ne();
            }
            FieldKind::Int | FieldKind::Kind | FieldKind::Status | FieldKind::Flag(_) => {
                code.i32(1);
            }
        }
    }

    fn push_has_type(&mut self, code: &mut Code, field: Field, row: u32, types: Types) {
        code.i32(u32::from(types.0));
        self.push_tag(code, field, row);
        code.op().i32_shr_u().i32_const(1).i32_and();
    }

    fn push_texts(
        &mut self,
        code: &mut Code,
        (left, left_row): (Field, u32),
        relation: TextRelation,
        (right, right_row): (Field, u32),
    ) {
        let (a, b) = (code.local(I32), code.local(I32));
        self.push_symbol(code, left, left_row, a);
        self.push_symbol(code, right, right_row, b);
        code.op().i32_and();
        code.if_i32();
        self.push_text(code, a);
        self.push_text(code, b);
        let function = match relation {
            TextRelation::Contains => self.contains(),
            TextRelation::StartsWith => self.starts_with(),
            TextRelation::EndsWith => self.ends_with(),
        };
        code.call(function);
        code.else_();
        code.i32(0);
        code.end();
    }

    fn push_items(
        &mut self,
        code: &mut Code,
        table: Table,
        offsets: u32,
        test: &Test,
        quantity: Quantity,
        rows: Rows,
    ) {
        let (item, end, count) = (code.local(I32), code.local(I32), code.local(I32));
        let limit = match quantity {
            Quantity::Some => 1,
            Quantity::Count(test) => test.limit(),
        };
        let inner = match table {
            Table::Events | Table::Spans => Rows {
                event: Some(item),
                ..rows
            },
            Table::Links => Rows {
                link: Some(item),
                ..rows
            },
        };
        code.i32(0).set(count);
        code.get(rows.span);
        code.op().i32_const(2).i32_shl();
        code.global(self.batch.values[offsets as usize]);
        code.op().i32_add().local_tee(item);
        load(code, 4);
        code.set(end).get(item);
        load(code, 0);
        code.set(item);
        let done = code.block();
        let next = code.loop_();
        code.get(item).get(end);
        code.op().i32_ge_u();
        code.br_if(done);
        let unlike = code.block();
        self.branch(code, test, false, unlike, inner);
        code.add(count, 1);
        code.get(count).i32(limit);
        code.op().i32_ge_u();
        code.br_if(done);
        code.end();
        code.add(item, 1);
        code.br(next);
        code.end();
        code.end();
        match quantity {
            Quantity::Some => {
                code.get(count);
            }
            Quantity::Count(CountTest::Always(answer)) => {
                code.i32(u32::from(answer));
            }
            Quantity::Count(CountTest::Compare(comparison, with)) => {
                code.get(count).i32(with);
                super::compare::u32(code, comparison);
            }
        }
    }
}

/// Pushes what a function `(span, event, link) -> bool` says of the rows at hand.
fn call_test(code: &mut Code, function: Func, rows: Rows) {
    code.get(rows.span);
    for row in [rows.event, rows.link] {
        match row {
            Some(row) => code.get(row),
            None => code.i32(0),
        };
    }
    code.call(function);
}

/// How much code a test is.
fn weight(test: &Test) -> usize {
    match test {
        Test::Not(inner) => weight(inner),
        Test::And(parts) | Test::Or(parts) => parts.iter().map(weight).sum(),
        Test::Items { test, .. } => 2 + weight(test),
        _ => 1,
    }
}
