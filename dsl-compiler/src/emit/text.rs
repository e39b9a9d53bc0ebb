//! Functions over bytes that emitted code calls: comparing, finding, walking an automaton.

use super::I32;
use super::code::{Code, at};
use super::module::{Func, Global, Module};

/// Address and length, twice.
const TEXT_PAIR: [wasm_encoder::ValType; 4] = [I32; 4];

/// `(address, length, address, length) -> -1, 0 or 1`, bytewise.
pub(super) fn compare_text(module: &mut Module) -> Func {
    let function = module.declare("compare text", &TEXT_PAIR, &[I32]);
    let mut code = Code::new(4);
    let (a, a_length, b, b_length) = (0, 1, 2, 3);
    let (common, index) = (code.local(I32), code.local(I32));
    let (x, y) = (code.local(I32), code.local(I32));
    code.op()
        .local_get(a_length)
        .local_get(b_length)
        .local_get(a_length)
        .local_get(b_length)
        .i32_lt_u()
        .select()
        .local_set(common);
    let done = code.block();
    let next = code.loop_();
    code.get(index).get(common);
    code.op().i32_ge_u();
    code.br_if(done);
    code.get(a).get(index);
    code.op().i32_add().i32_load8_u(at(0, 0)).local_set(x);
    code.get(b).get(index);
    code.op().i32_add().i32_load8_u(at(0, 0)).local_set(y);
    code.get(x).get(y);
    code.op().i32_ne();
    code.if_();
    push_order(&mut code, x, y);
    code.op().return_();
    code.end();
    code.add(index, 1);
    code.br(next);
    code.end();
    code.end();
    push_order(&mut code, a_length, b_length);
    module.define(function, code);
    function
}

/// The order of two unsigned locals.
fn push_order(code: &mut Code, x: u32, y: u32) {
    code.get(x).get(y);
    code.op().i32_gt_u();
    code.get(x).get(y);
    code.op().i32_lt_u().i32_sub();
}

pub(super) fn equal_bytes(module: &mut Module) -> Func {
    let function = module.declare("equal bytes", &[I32, I32, I32], &[I32]);
    let mut code = Code::new(3);
    let (a, b, length) = (0, 1, 2);
    let index = code.local(I32);
    let done = code.block();
    let next = code.loop_();
    code.get(index).get(length);
    code.op().i32_ge_u();
    code.br_if(done);
    code.get(a).get(index);
    code.op().i32_add().i32_load8_u(at(0, 0));
    code.get(b).get(index);
    code.op().i32_add().i32_load8_u(at(0, 0)).i32_ne();
    code.if_();
    code.i32(0);
    code.op().return_();
    code.end();
    code.add(index, 1);
    code.br(next);
    code.end();
    code.end();
    code.i32(1);
    module.define(function, code);
    function
}

/// Whether a text starts or, `at_end`, ends with another.
pub(super) fn affix(module: &mut Module, name: &str, equal: Func, at_end: bool) -> Func {
    let function = module.declare(name, &TEXT_PAIR, &[I32]);
    let mut code = Code::new(4);
    let (a, a_length, b, b_length) = (0, 1, 2, 3);
    code.get(a_length).get(b_length);
    code.op().i32_ge_u();
    code.if_i32();
    code.get(a);
    if at_end {
        code.get(a_length);
        code.op().i32_add();
        code.get(b_length);
        code.op().i32_sub();
    }
    code.get(b).get(b_length).call(equal);
    code.else_();
    code.i32(0);
    code.end();
    module.define(function, code);
    function
}

/// By Knuth, Morris and Pratt: both texts may be a trace's, and looking from every start costs one times the other. The
/// table lies on the heap while it is needed.
pub(super) fn contains(module: &mut Module, top: Global, allocate: Func) -> Func {
    let function = module.declare("contains", &TEXT_PAIR, &[I32]);
    let mut code = Code::new(4);
    let (a, a_length, b, b_length) = (0, 1, 2, 3);
    let (table, end) = (code.local(I32), code.local(I32));
    let (index, byte) = (code.local(I32), code.local(I32));
    let (matched, before) = (code.local(I32), code.local(I32));
    let search = Search {
        b,
        table,
        matched,
        byte,
    };
    code.get(b_length);
    code.op().i32_eqz();
    code.if_();
    code.i32(1);
    code.op().return_();
    code.end();
    code.get(a_length).get(b_length);
    code.op().i32_lt_u();
    code.if_();
    code.i32(0);
    code.op().return_();
    code.end();
    code.global(top).set(before);
    code.get(b_length).i32(4);
    code.op().i32_mul();
    code.i32(4).call(allocate).set(table);

    // Every prefix's longest end that starts the pattern, by searching the pattern for itself.
    code.get(table).i32(0);
    code.op().i32_store(at(0, 2));
    code.i32(1).set(index);
    let built = code.block();
    let next = code.loop_();
    code.get(index).get(b_length);
    code.op().i32_ge_u();
    code.br_if(built);
    code.get(b).get(index);
    code.op().i32_add().i32_load8_u(at(0, 0)).local_set(byte);
    search.step(&mut code);
    push_slot(&mut code, table, index);
    code.get(matched);
    code.op().i32_store(at(0, 2));
    code.add(index, 1);
    code.br(next);
    code.end();
    code.end();

    code.i32(0).set(matched);
    code.get(a).get(a_length);
    code.op().i32_add().local_set(end);
    let done = code.block();
    let next = code.loop_();
    code.get(a).get(end);
    code.op().i32_ge_u();
    code.br_if(done);
    code.get(a);
    code.op().i32_load8_u(at(0, 0)).local_set(byte);
    search.step(&mut code);
    code.add(a, 1);
    code.get(matched).get(b_length);
    code.op().i32_ne();
    code.br_if(next);
    code.end();
    code.end();
    code.get(before).set_global(top);
    code.get(matched).get(b_length);
    code.op().i32_eq();
    module.define(function, code);
    function
}

/// Locals of a search that is under way.
struct Search {
    /// The pattern.
    b: u32,
    /// Of every prefix of the pattern, the length of its longest end that starts the pattern.
    table: u32,
    /// How many bytes of the pattern the bytes so far end in; fewer than all.
    matched: u32,
    /// The byte that comes next.
    byte: u32,
}

impl Search {
    /// Takes the next byte in.
    fn step(&self, code: &mut Code) {
        let Search {
            b,
            table,
            matched,
            byte,
        } = *self;
        let shrunk = code.block();
        let shrink = code.loop_();
        code.get(b).get(matched);
        code.op().i32_add().i32_load8_u(at(0, 0));
        code.get(byte);
        code.op().i32_eq();
        code.if_();
        code.add(matched, 1);
        code.br(shrunk);
        code.end();
        code.get(matched);
        code.op().i32_eqz();
        code.br_if(shrunk);
        code.get(matched).i32(1);
        code.op().i32_sub().local_set(matched);
        push_slot(code, table, matched);
        code.op().i32_load(at(0, 2)).local_set(matched);
        code.br(shrink);
        code.end();
        code.end();
    }
}

/// The address of a table's i32.
fn push_slot(code: &mut Code, table: u32, index: u32) {
    code.get(table).get(index).i32(2);
    code.op().i32_shl().i32_add();
}

pub(super) fn walk(module: &mut Module, width: u32) -> Func {
    let name = format!("walk automaton of {} bit states", width * 8);
    let function = module.declare(&name, &[I32; 7], &[I32]);
    let mut code = Code::new(7);
    let (address, end, classes, stride, table, ends, start) = (0, 1, 2, 3, 4, 5, 6);
    let state = start;
    let done = code.block();
    let next = code.loop_();
    code.get(address).get(end);
    code.op().i32_ge_u();
    code.br_if(done);
    code.get(state).get(stride);
    code.op().i32_mul();
    code.get(classes).get(address);
    code.op()
        .i32_load8_u(at(0, 0))
        .i32_add()
        .i32_load8_u(at(0, 0))
        .i32_add();
    match width {
        1 => {}
        2 => {
            code.op().i32_const(1).i32_shl();
        }
        _ => {
            code.op().i32_const(2).i32_shl();
        }
    }
    code.get(table);
    code.op().i32_add();
    match width {
        1 => code.op().i32_load8_u(at(0, 0)).local_set(state),
        2 => code.op().i32_load16_u(at(0, 1)).local_set(state),
        _ => code.op().i32_load(at(0, 2)).local_set(state),
    };
    code.add(address, 1);
    // The first two states are decided.
    code.get(state).i32(1);
    code.op().i32_gt_u();
    code.br_if(next);
    code.end();
    code.end();
    code.get(ends).get(state);
    code.op().i32_add().i32_load8_u(at(0, 0));
    module.define(function, code);
    function
}
