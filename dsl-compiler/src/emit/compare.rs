//! Comparisons of a field with a literal or a field as code. False where a side is missing or the types are unlike.

use wasm_encoder::Ieee64;

use super::code::Code;
use super::helpers::{UNLIKE, tag};
use super::{Emitter, I32};
use crate::plan::{Field, FieldKind, FloatTest, IntTest, Literal};
use crate::types::tree::Comparison;

impl Emitter<'_> {
    pub(super) fn push_compare(
        &mut self,
        code: &mut Code,
        field: Field,
        row: u32,
        comparison: Comparison,
        literal: &Literal,
    ) {
        let equal = comparison == Comparison::Equal;
        match literal {
            Literal::Bool(bool) => self.push_bool(code, field, row, *bool == equal),
            Literal::Symbol(constant) => self.push_symbol_is(code, field, row, equal, *constant),
            Literal::Text(text) => self.push_text_order(code, field, row, comparison, text),
            Literal::Int(int) => self.push_number(
                code,
                field,
                row,
                IntTest::Compare(comparison, *int),
                FloatTest::with_int(comparison, *int),
            ),
            Literal::Float(bits) => {
                let float = f64::from_bits(*bits);
                self.push_number(
                    code,
                    field,
                    row,
                    IntTest::with_float(comparison, float),
                    FloatTest::Compare(comparison, float),
                );
            }
            Literal::Duration(ns) => {
                self.push_w64(code, field, row);
                code.op().i64_const(*ns);
                i64(code, comparison);
                if comparison.holds((-1).cmp(ns)) {
                    self.push_w64(code, field, row);
                    code.op().i64_const(-1).i64_ne().i32_and();
                }
            }
            Literal::Enum(number) => {
                self.push_w8(code, field, row);
                code.i32(u32::from(*number));
                u32(code, comparison);
            }
        }
    }

    /// Pushes whether a field is this bool.
    pub(super) fn push_bool(&mut self, code: &mut Code, field: Field, row: u32, is: bool) {
        match field.kind {
            FieldKind::Flag(bit) => {
                self.push_flag(code, field, row, bit);
                if !is {
                    code.op().i32_eqz();
                }
            }
            _ => {
                self.push_tag(code, field, row);
                code.i32(tag::BOOL);
                code.op().i32_eq();
                self.push_value_w32(code, field, row);
                code.i32(u32::from(is));
                code.op().i32_eq().i32_and();
            }
        }
    }

    fn push_flag(&mut self, code: &mut Code, field: Field, row: u32, bit: u8) {
        self.push_w8(code, field, row);
        code.i32(u32::from(bit));
        code.op().i32_shr_u().i32_const(1).i32_and();
    }

    fn push_symbol_is(
        &mut self,
        code: &mut Code,
        field: Field,
        row: u32,
        equal: bool,
        constant: u32,
    ) {
        let Some(symbol) = self.batch.symbols[constant as usize] else {
            code.i32(0);
            return;
        };
        if field.kind == FieldKind::Attribute {
            self.push_value_w32(code, field, row);
            code.global(symbol);
            u32(code, equality(equal));
            self.push_tag(code, field, row);
            code.i32(tag::TEXT);
            code.op().i32_eq().i32_and();
        } else {
            self.push_w32(code, field, row);
            code.global(symbol);
            u32(code, equality(equal));
            if !equal {
                self.push_w32(code, field, row);
                code.op().i32_const(-1).i32_ne().i32_and();
            }
        }
    }

    fn push_text_order(
        &mut self,
        code: &mut Code,
        field: Field,
        row: u32,
        comparison: Comparison,
        text: &str,
    ) {
        let symbol = code.local(I32);
        self.push_symbol(code, field, row, symbol);
        code.if_i32();
        self.push_text(code, symbol);
        let address = self.module.text(text);
        code.i32(address).i32(text.len() as u32);
        let function = self.compare_text();
        code.call(function).i32(0);
        i32(code, comparison);
        code.else_();
        code.i32(0);
        code.end();
    }

    fn push_number(
        &mut self,
        code: &mut Code,
        field: Field,
        row: u32,
        int: IntTest,
        float: FloatTest,
    ) {
        if field.kind == FieldKind::Int {
            if let IntTest::Always(answer) = int {
                code.i32(u32::from(answer));
            } else {
                self.push_w32(code, field, row);
                code.op().i64_extend_i32_u();
                int_test(code, int);
            }
            return;
        }
        let of = code.local(I32);
        self.push_tag(code, field, row);
        code.op().local_tee(of);
        code.i32(tag::INT);
        code.op().i32_eq();
        code.if_i32();
        if let IntTest::Always(answer) = int {
            code.i32(u32::from(answer));
        } else {
            self.push_w64(code, field, row);
            int_test(code, int);
        }
        code.else_();
        code.get(of).i32(tag::FLOAT);
        code.op().i32_eq();
        code.if_i32();
        match float {
            FloatTest::Always(answer) => {
                code.i32(u32::from(answer));
            }
            FloatTest::Compare(comparison, with) => {
                self.push_f64(code, field, row);
                code.op().f64_const(Ieee64::from(with));
                f64(code, comparison);
            }
        }
        code.else_();
        code.i32(0);
        code.end();
        code.end();
    }

    pub(super) fn push_compare_fields(
        &mut self,
        code: &mut Code,
        (left, left_row): (Field, u32),
        comparison: Comparison,
        (right, right_row): (Field, u32),
    ) {
        self.push_value(code, left, left_row);
        self.push_value(code, right, right_row);
        let function = self.compare_values(!comparison.is_equality());
        code.call(function);
        if comparison == Comparison::NotEqual {
            let order = code.local(I32);
            code.op().local_tee(order).i32_const(0).i32_ne();
            code.get(order).i32(UNLIKE);
            code.op().i32_ne().i32_and();
            return;
        }
        // -1, 0 and 1 are orders; what is above is none.
        match comparison {
            Comparison::Less => code.i32(u32::MAX),
            Comparison::Greater => code.i32(1),
            Comparison::LessOrEqual => {
                code.op().i32_const(0).i32_le_s();
                return;
            }
            Comparison::GreaterOrEqual => {
                code.op().i32_const(2).i32_lt_u();
                return;
            }
            Comparison::Equal | Comparison::NotEqual => code.i32(0),
        };
        code.op().i32_eq();
    }

    /// Pushes a field's tag and value.
    fn push_value(&mut self, code: &mut Code, field: Field, row: u32) {
        let tagged = |code: &mut Code, tag: u32| {
            code.i32(tag);
        };
        match field.kind {
            FieldKind::Attribute => {
                self.push_tag(code, field, row);
                self.push_w64(code, field, row);
            }
            FieldKind::Text => {
                let symbol = code.local(I32);
                self.push_w32(code, field, row);
                code.set(symbol).i32(tag::TEXT).i32(tag::MISSING);
                code.get(symbol);
                code.op()
                    .i32_const(-1)
                    .i32_ne()
                    .select()
                    .local_get(symbol)
                    .i64_extend_i32_u();
            }
            FieldKind::Duration | FieldKind::Time => {
                let of = if field.kind == FieldKind::Time {
                    tag::TIME
                } else {
                    tag::DURATION
                };
                code.i32(of).i32(tag::MISSING);
                self.push_w64(code, field, row);
                code.op().i64_const(-1).i64_ne().select();
                self.push_w64(code, field, row);
            }
            FieldKind::Int => {
                tagged(code, tag::INT);
                self.push_w32(code, field, row);
                code.op().i64_extend_i32_u();
            }
            FieldKind::Kind | FieldKind::Status => {
                tagged(
                    code,
                    if field.kind == FieldKind::Kind {
                        tag::KIND
                    } else {
                        tag::STATUS
                    },
                );
                self.push_w8(code, field, row);
                code.op().i64_extend_i32_u();
            }
            FieldKind::Flag(bit) => {
                tagged(code, tag::BOOL);
                self.push_flag(code, field, row, bit);
                code.op().i64_extend_i32_u();
            }
        }
    }
}

fn equality(equal: bool) -> Comparison {
    if equal {
        Comparison::Equal
    } else {
        Comparison::NotEqual
    }
}

fn int_test(code: &mut Code, test: IntTest) {
    if let IntTest::Compare(comparison, with) = test {
        code.op().i64_const(with);
        i64(code, comparison);
    }
}

pub(super) fn u32(code: &mut Code, comparison: Comparison) {
    match comparison {
        Comparison::Equal => code.op().i32_eq(),
        Comparison::NotEqual => code.op().i32_ne(),
        Comparison::Less => code.op().i32_lt_u(),
        Comparison::LessOrEqual => code.op().i32_le_u(),
        Comparison::Greater => code.op().i32_gt_u(),
        Comparison::GreaterOrEqual => code.op().i32_ge_u(),
    };
}

fn i32(code: &mut Code, comparison: Comparison) {
    match comparison {
        Comparison::Equal => code.op().i32_eq(),
        Comparison::NotEqual => code.op().i32_ne(),
        Comparison::Less => code.op().i32_lt_s(),
        Comparison::LessOrEqual => code.op().i32_le_s(),
        Comparison::Greater => code.op().i32_gt_s(),
        Comparison::GreaterOrEqual => code.op().i32_ge_s(),
    };
}

fn i64(code: &mut Code, comparison: Comparison) {
    match comparison {
        Comparison::Equal => code.op().i64_eq(),
        Comparison::NotEqual => code.op().i64_ne(),
        Comparison::Less => code.op().i64_lt_s(),
        Comparison::LessOrEqual => code.op().i64_le_s(),
        Comparison::Greater => code.op().i64_gt_s(),
        Comparison::GreaterOrEqual => code.op().i64_ge_s(),
    };
}

fn f64(code: &mut Code, comparison: Comparison) {
    match comparison {
        Comparison::Equal => code.op().f64_eq(),
        Comparison::NotEqual => code.op().f64_ne(),
        Comparison::Less => code.op().f64_lt(),
        Comparison::LessOrEqual => code.op().f64_le(),
        Comparison::Greater => code.op().f64_gt(),
        Comparison::GreaterOrEqual => code.op().f64_ge(),
    };
}
