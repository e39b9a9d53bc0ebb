//! A call with a batch: `evaluate` and `explain` bind its columns to globals, go through it trace after trace, and return
//! a list.

use super::code::{Code, at};
use super::memory::load;
use super::module::{Func, Global};
use super::set::NOT_SCANNED;
use super::{Emitter, I32};

/// `result<list<_>, string>`: its size and where its parts are.
const RESULT: u32 = 12;
const PAYLOAD_ADDRESS: u32 = 4;
const PAYLOAD_LENGTH: u32 = 8;

const MALFORMED: &str = "the lists of the batch are not as long as its counts say";

/// The params, which are the fields of `batch`.
pub(super) const TRACES: u32 = 0;
const SPANS: u32 = 1;
const EVENTS: u32 = 2;
const LINKS: u32 = 3;
const SYMBOLS: u32 = 4;
const W32: (u32, u32) = (5, 6);
const W64: (u32, u32) = (7, 8);
const W8: (u32, u32) = (9, 10);
const PARAMS: usize = 11;

/// What a call does.
pub(super) struct Call {
    /// Its name in the module, and the one that it is exported by.
    pub(super) names: (&'static str, &'static str),
    /// `(trace, first, end)`: adds what is to be said of a trace.
    pub(super) each: Func,
    /// The list that is returned, and its length.
    pub(super) list: (Global, Global),
}

impl Emitter<'_> {
    /// Emits a call. `start` is what it does once the batch is bound.
    pub(super) fn call(&mut self, call: &Call, start: impl FnOnce(&mut Self, &mut Code)) {
        let forget = self.define_forget();
        let bind_constants = self.bind_constants();
        let bind_columns = self.bind_columns();
        let function = self.module.declare(call.names.0, &[I32; PARAMS], &[I32]);
        let mut code = Code::new(PARAMS as u32);
        code.i32(0).set_global(self.marks.bits);
        code.get(SPANS).set_global(self.batch.spans);
        self.start_lists(&mut code);
        for function in bind_constants {
            code.call(function);
        }
        for function in bind_columns {
            code.get(SPANS).get(EVENTS).get(LINKS).call(function);
        }
        if self.reads_text() {
            self.bind_text(&mut code);
        }
        self.refuse_malformed(&mut code);
        if let Some(forget) = forget {
            code.get(SYMBOLS).call(forget);
        }
        start(self, &mut code);
        self.each_trace(&mut code, call.each);
        let result = push_result(&mut code, self.heap.allocate, 0);
        code.get(result).global(call.list.0);
        code.op().i32_store(at(PAYLOAD_ADDRESS, 2));
        code.get(result).global(call.list.1);
        code.op().i32_store(at(PAYLOAD_LENGTH, 2));
        code.get(result);
        self.module.define(function, code);
        self.module.export(call.names.1, function);
    }

    /// Returns an error where an i32 that was pushed is not 0.
    pub(super) fn refuse(&mut self, code: &mut Code, why: &str) {
        code.if_();
        let result = push_result(code, self.heap.allocate, 1);
        let text = self.module.text(why);
        code.get(result).i32(text);
        code.op().i32_store(at(PAYLOAD_ADDRESS, 2));
        code.get(result).i32(why.len() as u32);
        code.op().i32_store(at(PAYLOAD_LENGTH, 2));
        code.get(result);
        code.op().return_();
        code.end();
    }

    /// The first addresses of the lists, behind the trace offsets and the constants.
    fn start_lists(&mut self, code: &mut Code) {
        let constants = self.plan.manifest.constants.len() as u32;
        code.get(W32.0).get(TRACES);
        code.op()
            .i32_const(2)
            .i32_shl()
            .i32_add()
            .i32_const(4)
            .i32_add();
        code.set_global(self.batch.constants);
        code.global(self.batch.constants).i32(4 * constants);
        code.op().i32_add();
        code.set_global(self.batch.at32);
        code.get(W64.0).set_global(self.batch.at64);
        code.get(W8.0).set_global(self.batch.at8);
    }

    fn bind_text(&mut self, code: &mut Code) {
        code.global(self.batch.at32)
            .set_global(self.batch.text_offsets);
        code.global(self.batch.at32).get(SYMBOLS);
        code.op().i32_const(2).i32_shl().i32_add();
        code.set_global(self.batch.at32);
        code.global(self.batch.at8).set_global(self.batch.text);
        // The offset behind the last symbol's text is where the text ends.
        code.global(self.batch.at8).global(self.batch.at32);
        load(code, 0);
        code.op().i32_add();
        code.set_global(self.batch.at8);
        code.global(self.batch.at32).i32(4);
        code.op().i32_add();
        code.set_global(self.batch.at32);
    }

    /// Returns an error unless what was bound is exactly what is there.
    fn refuse_malformed(&mut self, code: &mut Code) {
        let ends = [
            (self.batch.at32, W32, 2),
            (self.batch.at64, W64, 3),
            (self.batch.at8, W8, 0),
        ];
        for (index, (end, (address, length), shift)) in ends.into_iter().enumerate() {
            code.global(end).get(address).get(length);
            code.op().i32_const(shift).i32_shl().i32_add().i32_ne();
            if index > 0 {
                code.op().i32_or();
            }
        }
        self.refuse(code, MALFORMED);
    }

    fn each_trace(&mut self, code: &mut Code, each: Func) {
        let (trace, entry) = (code.local(I32), code.local(I32));
        let remembered = self.remembered();
        let done = code.block();
        let next = code.loop_();
        code.get(trace).get(TRACES);
        code.op().i32_ge_u();
        code.br_if(done);
        for found in remembered {
            code.i32(NOT_SCANNED).set_global(found);
        }
        code.get(trace).get(W32.0).get(trace);
        code.op().i32_const(2).i32_shl().i32_add().local_tee(entry);
        load(code, 0);
        code.get(entry);
        load(code, 4);
        code.call(each);
        code.add(trace, 1);
        code.br(next);
        code.end();
        code.end();
    }
}

/// Allocates a result of this case and returns the local of its address.
fn push_result(code: &mut Code, allocate: Func, case: u32) -> u32 {
    let result = code.local(I32);
    code.i32(RESULT).i32(4).call(allocate);
    code.op()
        .local_tee(result)
        .i32_const(case.cast_signed())
        .i32_store(at(0, 2));
    result
}
