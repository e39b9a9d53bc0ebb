//! Plan to component: a core module with two functions of its own and nothing imported, wrapped for the host.
//!
//! ```text
//! evaluate   binds the columns of the batch to globals, then for each trace
//!   judge      asks `when`, then each clause
//!     when, clause N   ask sets how many spans they have
//!       set N            loops over the trace's rows
//!         pattern N        answers once a distinct text, and is remembered for the batch
//!     evidence N   lets the sets of a broken clause mark their rows
//!     report       writes the finding
//! ```
//! Invariant: every index into the plan's lists is in range, since `plan` made it.

mod batch;
mod code;
mod compare;
mod component;
mod condition;
mod evaluate;
mod evidence;
mod helpers;
mod layout;
mod manifest;
mod memory;
mod module;
mod pattern;
mod row;
mod set;
mod test;
mod text;

use std::collections::HashMap;

use wasm_encoder::ValType;

use crate::plan::Plan;

pub use component::EmitError;

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;
const F64: ValType = ValType::F64;

/// The component of a rule.
pub fn component(plan: &Plan) -> Result<Vec<u8>, EmitError> {
    component::wrap(&core_module(plan)?)
}

/// The core module of a rule, as it is before it is wrapped.
pub fn core_module(plan: &Plan) -> Result<Vec<u8>, EmitError> {
    let mut module = module::Module::default();
    let manifest = manifest::place(&plan.manifest, &mut module)?;
    let mut emitter = Emitter::new(plan, module);
    emitter.describe(manifest);
    emitter.patterns();
    emitter.sets();
    emitter.evaluate();
    Ok(emitter.finish())
}

/// What emission knows of the module so far.
struct Emitter<'p> {
    plan: &'p Plan,
    module: module::Module,
    heap: memory::Heap,
    batch: batch::Batch,
    helpers: helpers::Helpers,
    patterns: Vec<pattern::Pattern>,
    sets: Vec<set::Scan>,
    evidence: evidence::Evidence,
    owner: String,
    parts: u32,
    /// The function of each `and` and `or` of a condition, by its address in the plan.
    parts_of: HashMap<usize, module::Func>,
}

impl<'p> Emitter<'p> {
    fn new(plan: &'p Plan, mut module: module::Module) -> Self {
        let heap = memory::Heap::new(&mut module);
        let batch = batch::Batch::new(plan, &mut module);
        let evidence = evidence::Evidence::new(&mut module, &heap, &batch);
        Emitter {
            plan,
            module,
            heap,
            batch,
            evidence,
            helpers: helpers::Helpers::default(),
            patterns: Vec::new(),
            sets: Vec::new(),
            owner: String::new(),
            parts: 0,
            parts_of: HashMap::new(),
        }
    }

    fn describe(&mut self, manifest: u32) {
        let describe = self.module.declare("describe", &[], &[I32]);
        let mut code = code::Code::new(0);
        code.i32(manifest);
        self.module.define(describe, code);
        self.module
            .export("betrace:rule/rule@0.1.0#describe", describe);
    }

    /// The name of the next function that is cut out of the one at hand.
    fn part_name(&mut self) -> String {
        self.parts += 1;
        format!("{}, part {}", self.owner, self.parts)
    }

    fn owned_by(&mut self, owner: String) {
        self.owner = owner;
        self.parts = 0;
    }

    fn finish(mut self) -> Vec<u8> {
        let start = self.module.data_end();
        self.module.set_global(self.heap.start, start);
        self.module.set_global(self.heap.top, start);
        self.module.encode(&self.plan.manifest.id)
    }
}
