//! Plan to component: a core module with a few functions of its own and nothing imported, wrapped for the host.
//!
//! ```text
//! evaluate   binds the columns of the batch to globals, then for each trace
//!   judge      asks `when`, then each clause
//!     when, clause N   ask sets how many spans they have
//!       set N            loops over the trace's rows
//!         pattern N        answers once a distinct text, and is remembered for the batch
//!     evidence N   lets the sets of a broken clause mark their rows
//!     report       writes the finding
//!
//! explain    the same of an explanation, with each part's answer in the place of findings
//!   parts from N
//!     set N, condition   as above, where nothing else has said so
//!     predicate N        a row's part of a set
//!     answer             writes the answer
//! ```
//! Invariant: every index into the plan's lists is in range, since `plan` made it.

mod answer;
mod batch;
mod call;
mod code;
mod compare;
mod component;
mod condition;
mod evaluate;
mod evidence;
mod explain;
mod helpers;
mod layout;
mod manifest;
mod marks;
mod memory;
mod module;
mod pattern;
mod row;
mod set;
mod test;
mod text;

use std::collections::HashMap;

use wasm_encoder::ValType;

use crate::plan::{Explanation, Plan, Predicate};

pub use component::EmitError;
use component::World;

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;
const F64: ValType = ValType::F64;

/// The component of a rule.
pub fn component(plan: &Plan) -> Result<Vec<u8>, EmitError> {
    component::wrap(&core_module(plan)?, World::BatchRule)
}

/// The core module of a rule, as it is before it is wrapped.
pub fn core_module(plan: &Plan) -> Result<Vec<u8>, EmitError> {
    let mut module = module::Module::default();
    let manifest = manifest::place(&plan.manifest, &mut module)?;
    let post = "cabi_post_betrace:rule/rule@0.1.0#evaluate";
    let mut emitter = Emitter::new(plan, &[], module, post);
    emitter.describe("betrace:rule/rule@0.1.0#describe", manifest);
    emitter.patterns();
    emitter.sets();
    emitter.evaluate();
    Ok(emitter.finish())
}

/// The component that explains a rule.
pub fn explanation(of: &Explanation) -> Result<Vec<u8>, EmitError> {
    component::wrap(&explanation_module(of)?, World::ExplainRule)
}

fn explanation_module(of: &Explanation) -> Result<Vec<u8>, EmitError> {
    let mut module = module::Module::default();
    let manifest = manifest::place(&of.plan.manifest, &mut module)?;
    let parts = explain::place(&of.parts, &mut module)?;
    let post = "cabi_post_betrace:rule/explanation@0.1.0#explain";
    let mut emitter = Emitter::new(&of.plan, &of.predicates, module, post);
    emitter.describe("betrace:rule/explanation@0.1.0#describe", manifest);
    emitter.patterns();
    emitter.predicates(&of.predicates);
    emitter.sets();
    emitter.explain(&of.parts, parts);
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
    /// The functions of an explanation's predicates.
    predicates: Vec<module::Func>,
    sets: Vec<set::Scan>,
    marks: marks::Marks,
    /// The answers of the trace at hand, in an explanation.
    answers: Option<module::Global>,
    owner: String,
    parts: u32,
    /// The function of each `and` and `or` of a condition, by its address in the plan.
    parts_of: HashMap<usize, module::Func>,
}

impl<'p> Emitter<'p> {
    fn new(
        plan: &'p Plan,
        predicates: &[Predicate],
        mut module: module::Module,
        post: &'static str,
    ) -> Self {
        let heap = memory::Heap::new(&mut module, post);
        let batch = batch::Batch::new(plan, predicates, &mut module);
        let marks = marks::Marks::new(&mut module, &heap, &batch);
        Emitter {
            plan,
            module,
            heap,
            batch,
            marks,
            helpers: helpers::Helpers::default(),
            patterns: Vec::new(),
            predicates: Vec::new(),
            sets: Vec::new(),
            answers: None,
            owner: String::new(),
            parts: 0,
            parts_of: HashMap::new(),
        }
    }

    /// A function that returns what stands at an address.
    fn describe(&mut self, export: &'static str, address: u32) {
        let name = export.rsplit('#').next().unwrap_or(export);
        let describe = self.module.declare(name, &[], &[I32]);
        let mut code = code::Code::new(0);
        code.i32(address);
        self.module.define(describe, code);
        self.module.export(export, describe);
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
