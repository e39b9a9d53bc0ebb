//! Functions that emitted code calls, each made when it is first needed.
//!
//! An order of two values is an i32: -1, 0 or 1; [`UNORDERED`] where they differ and neither is less (a NaN, two
//! bools); [`UNLIKE`] where one is missing or they are of unlike types.

use wasm_encoder::Ieee64;

use super::code::{Code, at};
use super::memory::load;
use super::module::{Func, Module};
use super::{Emitter, F64, I32, I64, text};

pub(super) const UNORDERED: u32 = 2;
pub(super) const UNLIKE: u32 = 3;

/// Type tags: those of `wit/rule.wit`, and ours for what an attribute never is.
pub(super) mod tag {
    pub(in crate::emit) const MISSING: u32 = 0;
    pub(in crate::emit) const BOOL: u32 = 1;
    pub(in crate::emit) const INT: u32 = 2;
    pub(in crate::emit) const FLOAT: u32 = 3;
    pub(in crate::emit) const TEXT: u32 = 4;
    pub(in crate::emit) const DURATION: u32 = 16;
    pub(in crate::emit) const TIME: u32 = 17;
    pub(in crate::emit) const KIND: u32 = 18;
    pub(in crate::emit) const STATUS: u32 = 19;
}

/// Those that are there.
#[derive(Default)]
pub(super) struct Helpers {
    int_float: Option<Func>,
    compare_text: Option<Func>,
    equal_bytes: Option<Func>,
    contains: Option<Func>,
    starts_with: Option<Func>,
    ends_with: Option<Func>,
    values: [Option<Func>; 2],
    walk: [Option<Func>; 3],
}

impl Emitter<'_> {
    /// `(address, length, address, length) -> order`, bytewise.
    pub(super) fn compare_text(&mut self) -> Func {
        *self
            .helpers
            .compare_text
            .get_or_insert_with(|| text::compare_text(&mut self.module))
    }

    /// `(address, length, address, length) -> bool`: the first contains the second.
    pub(super) fn contains(&mut self) -> Func {
        let (top, allocate) = (self.heap.top, self.heap.allocate);
        *self
            .helpers
            .contains
            .get_or_insert_with(|| text::contains(&mut self.module, top, allocate))
    }

    /// `(address, length, address, length) -> bool`: the first starts with the second.
    pub(super) fn starts_with(&mut self) -> Func {
        let equal = self.equal_bytes();
        *self
            .helpers
            .starts_with
            .get_or_insert_with(|| text::affix(&mut self.module, "starts with", equal, false))
    }

    /// `(address, length, address, length) -> bool`: the first ends with the second.
    pub(super) fn ends_with(&mut self) -> Func {
        let equal = self.equal_bytes();
        *self
            .helpers
            .ends_with
            .get_or_insert_with(|| text::affix(&mut self.module, "ends with", equal, true))
    }

    /// `(tag, value, tag, value) -> order`. Unless `ordered` is asked for, 0 says that they are equal, and texts that differ
    /// are just that.
    pub(super) fn compare_values(&mut self, ordered: bool) -> Func {
        if let Some(known) = self.helpers.values[usize::from(ordered)] {
            return known;
        }
        let function = self.define_compare_values(ordered);
        self.helpers.values[usize::from(ordered)] = Some(function);
        function
    }

    /// `(address, end, classes, stride, table, ends, start) -> bool` for states of `width` bytes.
    pub(super) fn walk(&mut self, width: u32) -> Func {
        let slot = width.trailing_zeros() as usize % 3;
        *self.helpers.walk[slot].get_or_insert_with(|| text::walk(&mut self.module, width))
    }

    fn equal_bytes(&mut self) -> Func {
        *self
            .helpers
            .equal_bytes
            .get_or_insert_with(|| text::equal_bytes(&mut self.module))
    }

    /// Pushes address and length of the text of the symbol in this local.
    pub(super) fn push_text(&self, code: &mut Code, symbol: u32) {
        let offset = code.local(I32);
        let entry = code.local(I32);
        code.global(self.batch.text_offsets).get(symbol);
        code.op()
            .i32_const(2)
            .i32_shl()
            .i32_add()
            .local_tee(entry)
            .i32_load(at(0, 2))
            .local_set(offset);
        code.global(self.batch.text).get(offset);
        code.op().i32_add().local_get(entry);
        load(code, 4);
        code.op().local_get(offset).i32_sub();
    }

    fn define_compare_values(&mut self, ordered: bool) -> Func {
        let int_float = *self
            .helpers
            .int_float
            .get_or_insert_with(|| int_float(&mut self.module));
        let compare_text = ordered.then(|| self.compare_text());
        let name = if ordered {
            "order values"
        } else {
            "equate values"
        };
        let function = self.module.declare(name, &[I32, I64, I32, I64], &[I32]);
        let mut code = Code::new(4);
        let (left_tag, left, right_tag, right) = (0, 1, 2, 3);
        let is = |code: &mut Code, local: u32, tag: u32| {
            code.get(local).i32(tag);
            code.op().i32_eq();
        };
        // Numbers of two types.
        is(&mut code, left_tag, tag::INT);
        is(&mut code, right_tag, tag::FLOAT);
        code.op().i32_and();
        code.if_();
        code.get(left).get(right);
        code.op().f64_reinterpret_i64();
        code.call(int_float);
        code.op().return_();
        code.end();
        is(&mut code, left_tag, tag::FLOAT);
        is(&mut code, right_tag, tag::INT);
        code.op().i32_and();
        code.if_();
        let order = code.local(I32);
        code.get(right).get(left);
        code.op().f64_reinterpret_i64();
        code.call(int_float);
        // The other way round, but for what has no order.
        code.op()
            .local_set(order)
            .local_get(order)
            .i32_const(0)
            .local_get(order)
            .i32_sub()
            .local_get(order)
            .i32_const(UNORDERED.cast_signed())
            .i32_eq()
            .select()
            .return_();
        code.end();
        // Missing, arrays, maps and bytes are unlike everything.
        code.get(left_tag).get(right_tag);
        code.op().i32_ne();
        code.get(left_tag);
        code.op().i32_eqz().i32_or();
        code.get(left_tag).i32(tag::TEXT + 1);
        code.op()
            .i32_sub()
            .i32_const((tag::DURATION - tag::TEXT - 1).cast_signed())
            .i32_lt_u()
            .i32_or();
        code.if_();
        code.i32(UNLIKE);
        code.op().return_();
        code.end();
        is(&mut code, left_tag, tag::FLOAT);
        code.if_();
        let (x, y) = (code.local(F64), code.local(F64));
        code.get(left);
        code.op().f64_reinterpret_i64().local_set(x);
        code.get(right);
        code.op().f64_reinterpret_i64().local_set(y);
        // x > y less x < y, and unordered where neither and not equal.
        code.op()
            .i32_const(UNORDERED.cast_signed())
            .local_get(x)
            .local_get(y)
            .f64_gt()
            .local_get(x)
            .local_get(y)
            .f64_lt()
            .i32_sub()
            .local_get(x)
            .local_get(x)
            .f64_ne()
            .local_get(y)
            .local_get(y)
            .f64_ne()
            .i32_or()
            .select()
            .return_();
        code.end();
        if ordered {
            // Of attributes, bools alone have no order; kinds and status codes are never asked for theirs.
            is(&mut code, left_tag, tag::BOOL);
            code.if_();
            code.i32(UNORDERED);
            code.op().return_();
            code.end();
        }
        code.get(left).get(right);
        code.op().i64_eq();
        code.if_();
        code.i32(0);
        code.op().return_();
        code.end();
        is(&mut code, left_tag, tag::TEXT);
        code.if_();
        match compare_text {
            Some(compare_text) => {
                let (a, b) = (code.local(I32), code.local(I32));
                code.get(left);
                code.op().i32_wrap_i64().local_set(a);
                code.get(right);
                code.op().i32_wrap_i64().local_set(b);
                self.push_text(&mut code, a);
                self.push_text(&mut code, b);
                code.call(compare_text);
            }
            None => {
                code.i32(UNORDERED);
            }
        }
        code.op().return_();
        code.end();
        code.op()
            .i32_const(1)
            .i32_const(-1)
            .local_get(left)
            .local_get(right)
            .i64_gt_s()
            .select();
        self.module.define(function, code);
        function
    }
}

/// Exact: a float beyond the ints is beyond them, and what is behind its point decides between equal wholes.
fn int_float(module: &mut Module) -> Func {
    let function = module.declare("compare int and float", &[I64, F64], &[I32]);
    let mut code = Code::new(2);
    let (int, float) = (0, 1);
    let whole = code.local(I64);
    let answer = |code: &mut Code, order: i32| {
        code.if_();
        code.op().i32_const(order).return_();
        code.end();
    };
    let beyond = Ieee64::from(9_223_372_036_854_775_808.0);
    code.get(float).get(float);
    code.op().f64_ne();
    answer(&mut code, UNORDERED.cast_signed());
    code.get(float);
    code.op().f64_const(beyond).f64_ge();
    answer(&mut code, -1);
    code.get(float);
    code.op().f64_const(beyond).f64_neg().f64_lt();
    answer(&mut code, 1);
    code.get(int).get(float);
    code.op().i64_trunc_sat_f64_s().local_tee(whole).i64_lt_s();
    answer(&mut code, -1);
    code.get(int).get(whole);
    code.op().i64_gt_s();
    answer(&mut code, 1);
    code.op()
        .local_get(whole)
        .f64_convert_i64_s()
        .local_get(float)
        .f64_gt()
        .local_get(whole)
        .f64_convert_i64_s()
        .local_get(float)
        .f64_lt()
        .i32_sub();
    module.define(function, code);
    function
}
