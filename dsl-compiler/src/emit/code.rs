//! A function body under construction: structured control flow by labels, locals on demand, globals read once.

use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

use super::module::{Func, Global};

/// Globals that a function keeps in locals; more are read where they are needed.
const CACHED: usize = 32;

/// A body under construction.
pub(super) struct Code {
    bytes: Vec<u8>,
    params: u32,
    locals: Vec<ValType>,
    depth: u32,
    cached: Vec<(Global, u32)>,
    caches: bool,
}

/// A block that can be branched to: to its end, or a loop's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(u32);

impl Code {
    pub(super) fn new(params: u32) -> Code {
        Code {
            bytes: Vec::new(),
            params,
            locals: Vec::new(),
            depth: 0,
            cached: Vec::new(),
            caches: false,
        }
    }

    /// A body that loops over rows: globals that it reads don't change while it runs, and are read once.
    pub(super) fn caching(params: u32) -> Code {
        Code {
            caches: true,
            ..Code::new(params)
        }
    }

    pub(super) fn local(&mut self, of: ValType) -> u32 {
        self.locals.push(of);
        self.params + self.locals.len() as u32 - 1
    }

    /// Straight-line instructions.
    pub(super) fn op(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.bytes)
    }

    pub(super) fn get(&mut self, local: u32) -> &mut Self {
        self.op().local_get(local);
        self
    }

    pub(super) fn set(&mut self, local: u32) -> &mut Self {
        self.op().local_set(local);
        self
    }

    pub(super) fn i32(&mut self, value: u32) -> &mut Self {
        self.op().i32_const(value.cast_signed());
        self
    }

    pub(super) fn call(&mut self, function: Func) -> &mut Self {
        self.op().call(function.0);
        self
    }

    /// Adds to an i32 local.
    pub(super) fn add(&mut self, local: u32, value: u32) -> &mut Self {
        self.get(local).i32(value);
        self.op().i32_add().local_set(local);
        self
    }

    /// Pushes a global, from a local where that pays.
    pub(super) fn global(&mut self, global: Global) -> &mut Self {
        let cached = self.cached.iter().find(|(of, _)| *of == global);
        match cached {
            Some(&(_, local)) => self.get(local),
            None if self.caches && self.cached.len() < CACHED => {
                let local = self.local(ValType::I32);
                self.cached.push((global, local));
                self.get(local)
            }
            None => {
                self.op().global_get(global.0);
                self
            }
        }
    }

    pub(super) fn set_global(&mut self, global: Global) -> &mut Self {
        self.op().global_set(global.0);
        self
    }

    pub(super) fn block(&mut self) -> Label {
        self.op().block(BlockType::Empty);
        self.open()
    }

    pub(super) fn loop_(&mut self) -> Label {
        self.op().loop_(BlockType::Empty);
        self.open()
    }

    pub(super) fn if_(&mut self) -> Label {
        self.op().if_(BlockType::Empty);
        self.open()
    }

    /// An `if` that leaves an i32.
    pub(super) fn if_i32(&mut self) -> Label {
        self.op().if_(BlockType::Result(ValType::I32));
        self.open()
    }

    pub(super) fn else_(&mut self) {
        self.op().else_();
    }

    pub(super) fn end(&mut self) {
        self.depth -= 1;
        self.op().end();
    }

    pub(super) fn br(&mut self, label: Label) {
        let depth = self.depth - label.0;
        self.op().br(depth);
    }

    pub(super) fn br_if(&mut self, label: Label) {
        let depth = self.depth - label.0;
        self.op().br_if(depth);
    }

    fn open(&mut self) -> Label {
        self.depth += 1;
        Label(self.depth)
    }

    pub(super) fn finish(self) -> Function {
        let mut function = Function::new_with_locals_types(self.locals);
        let mut prologue = Vec::new();
        for (global, local) in self.cached {
            InstructionSink::new(&mut prologue)
                .global_get(global.0)
                .local_set(local);
        }
        function.raw(prologue);
        function.raw(self.bytes);
        function.instructions().end();
        function
    }
}

/// An address in memory, `align` as a power of two.
pub(super) fn at(offset: u32, align: u32) -> MemArg {
    MemArg {
        offset: u64::from(offset),
        align,
        memory_index: 0,
    }
}
