//! Rows that are to be named to the host: marked in a bitmap by the sets that find them, then taken in order.

use super::I32;
use super::batch::Batch;
use super::code::{Code, at};
use super::memory::Heap;
use super::module::{Func, Global, Module};

/// Rows of a trace that are named for one thing, as in `wit/rule.wit`.
const NAMED: u32 = 100;

/// The rows of a trace that are marked.
pub(super) struct Marks {
    /// `(row)`.
    pub(super) mark: Func,
    /// `(first, end) -> (list, named, total)`: the first rows that are marked, how many these are, and how many are
    /// marked in all; none is marked after it.
    pub(super) take: Func,
    /// A bit a row; 0 before the first mark of a call.
    pub(super) bits: Global,
}

impl Marks {
    pub(super) fn new(module: &mut Module, heap: &Heap, batch: &Batch) -> Marks {
        let marks = Marks {
            mark: module.declare("mark", &[I32], &[]),
            take: module.declare("take marked", &[I32, I32], &[I32; 3]),
            bits: module.global("marks"),
        };
        marks.define_mark(module, heap, batch);
        marks.define_take(module, heap);
        marks
    }

    fn define_mark(&self, module: &mut Module, heap: &Heap, batch: &Batch) {
        let mut code = Code::new(1);
        let row = 0;
        let (size, byte) = (code.local(I32), code.local(I32));
        code.global(self.bits);
        code.op().i32_eqz();
        code.if_();
        code.global(batch.spans);
        code.op()
            .i32_const(3)
            .i32_shr_u()
            .i32_const(1)
            .i32_add()
            .local_tee(size);
        code.i32(1).call(heap.allocate).set_global(self.bits);
        code.global(self.bits).i32(0).get(size);
        code.op().memory_fill(0);
        code.end();
        code.global(self.bits).get(row);
        code.op()
            .i32_const(3)
            .i32_shr_u()
            .i32_add()
            .local_tee(byte)
            .local_get(byte)
            .i32_load8_u(at(0, 0))
            .i32_const(1)
            .local_get(row)
            .i32_const(7)
            .i32_and()
            .i32_shl()
            .i32_or()
            .i32_store8(at(0, 0));
        module.define(self.mark, code);
    }

    fn define_take(&self, module: &mut Module, heap: &Heap) {
        let mut code = Code::new(2);
        let (first, end) = (0, 1);
        let (row, total, named, list) = (
            code.local(I32),
            code.local(I32),
            code.local(I32),
            code.local(I32),
        );
        code.i32(4).set(list).global(self.bits);
        code.if_();
        self.each_marked(&mut code, row, first, end, |code| {
            code.add(total, 1);
        });
        code.op()
            .local_get(total)
            .i32_const(NAMED.cast_signed())
            .local_get(total)
            .i32_const(NAMED.cast_signed())
            .i32_lt_u()
            .select()
            .i32_const(2)
            .i32_shl();
        code.i32(4).call(heap.allocate).set(list);
        self.each_marked(&mut code, row, first, end, |code| {
            code.get(named).i32(NAMED);
            code.op().i32_lt_u();
            code.if_();
            code.get(list).get(named);
            code.op()
                .i32_const(2)
                .i32_shl()
                .i32_add()
                .local_get(row)
                .i32_store(at(0, 2));
            code.add(named, 1);
            code.end();
        });
        // Unmarks: from the first row's byte to the last's.
        code.global(self.bits).get(first);
        code.op()
            .i32_const(3)
            .i32_shr_u()
            .i32_add()
            .i32_const(0)
            .local_get(end)
            .i32_const(3)
            .i32_shr_u()
            .local_get(first)
            .i32_const(3)
            .i32_shr_u()
            .i32_sub()
            .i32_const(1)
            .i32_add()
            .memory_fill(0);
        code.end();
        code.get(list).get(named).get(total);
        module.define(self.take, code);
    }

    fn each_marked(
        &self,
        code: &mut Code,
        row: u32,
        first: u32,
        end: u32,
        each: impl FnOnce(&mut Code),
    ) {
        code.get(first).set(row);
        let done = code.block();
        let next = code.loop_();
        code.get(row).get(end);
        code.op().i32_ge_u();
        code.br_if(done);
        code.global(self.bits).get(row);
        code.op()
            .i32_const(3)
            .i32_shr_u()
            .i32_add()
            .i32_load8_u(at(0, 0))
            .local_get(row)
            .i32_const(7)
            .i32_and()
            .i32_shr_u()
            .i32_const(1)
            .i32_and();
        code.if_();
        each(code);
        code.end();
        code.add(row, 1);
        code.br(next);
        code.end();
        code.end();
    }
}
