//! The guest's memory: data, then a heap that only grows during a call and is empty again after it.

use super::code::Code;
use super::module::{Func, Global, Module};
use super::{I32, code};

/// The allocator.
pub(super) struct Heap {
    /// The first address of the heap.
    pub(super) start: Global,
    /// The first free address.
    pub(super) top: Global,
    /// `(size, align) -> address`; traps where the memory's limit is reached. What it returns is not zeroed.
    pub(super) allocate: Func,
}

impl Heap {
    /// `post` is the name by which the host says that it has read what a call returned.
    pub(super) fn new(module: &mut Module, post: &'static str) -> Heap {
        let heap = Heap {
            start: module.global("heap start"),
            top: module.global("heap top"),
            allocate: module.declare("allocate", &[I32, I32], &[I32]),
        };
        heap.define_allocate(module);
        heap.define_realloc(module);
        heap.define_post(module, post);
        heap
    }

    fn define_allocate(&self, module: &mut Module) {
        let mut code = Code::new(2);
        let (size, align) = (0, 1);
        let (address, end, pages) = (code.local(I32), code.local(I32), code.local(I32));
        code.op()
            .global_get(self.top.0)
            .local_get(align)
            .i32_add()
            .i32_const(1)
            .i32_sub()
            .i32_const(0)
            .local_get(align)
            .i32_sub()
            .i32_and()
            .local_tee(address)
            .local_get(size)
            .i32_add()
            .local_tee(end)
            .local_get(address)
            .i32_lt_u();
        code.if_();
        code.op().unreachable();
        code.end();
        code.op()
            .local_get(end)
            .i32_const(16)
            .i32_shr_u()
            .local_get(end)
            .i32_const(0xffff)
            .i32_and()
            .i32_const(0)
            .i32_ne()
            .i32_add()
            .local_tee(pages)
            .memory_size(0)
            .i32_gt_u();
        code.if_();
        code.op()
            .local_get(pages)
            .memory_size(0)
            .i32_sub()
            .memory_grow(0)
            .i32_const(-1)
            .i32_eq();
        code.if_();
        code.op().unreachable();
        code.end();
        code.end();
        code.op()
            .local_get(end)
            .global_set(self.top.0)
            .local_get(address);
        module.define(self.allocate, code);
    }

    fn define_realloc(&self, module: &mut Module) {
        let realloc = module.declare("cabi_realloc", &[I32, I32, I32, I32], &[I32]);
        let mut code = Code::new(4);
        let (old, old_size, align, size) = (0, 1, 2, 3);
        let address = code.local(I32);
        code.get(size).get(align).call(self.allocate).set(address);
        code.get(old_size);
        code.if_();
        code.op()
            .local_get(address)
            .local_get(old)
            .local_get(old_size)
            .local_get(size)
            .local_get(old_size)
            .local_get(size)
            .i32_lt_u()
            .select()
            .memory_copy(0, 0);
        code.end();
        code.get(address);
        module.define(realloc, code);
        module.export("cabi_realloc", realloc);
    }

    /// The host has read the list: the heap is free.
    fn define_post(&self, module: &mut Module, name: &'static str) {
        let post = module.declare("cabi_post", &[I32], &[]);
        let mut code = Code::new(1);
        code.op().global_get(self.start.0).global_set(self.top.0);
        module.define(post, code);
        module.export(name, post);
    }
}

/// Loads the i32 at an address plus `offset`.
pub(super) fn load(code: &mut Code, offset: u32) {
    code.op().i32_load(code::at(offset, 2));
}
