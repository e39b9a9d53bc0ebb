//! `explain` and `parts`: what each part of a rule is for each trace of a batch.

use wit_parser::Type;

use super::answer::{ANSWER, Answers};
use super::call::{Call, TRACES};
use super::code::Code;
use super::component::{Abi, EmitError};
use super::layout::{self, Value};
use super::module::{Func, Module};
use super::{Emitter, I32};
use crate::plan::{Others, Part, PartKind, Predicate};

/// Parts that one function asks, so that no function grows without bound.
const PARTS: usize = 64;

/// Bytes of answers in one call: what a guest can address at all, and far more than a host gives it.
const MAX_BYTES: u32 = 1 << 30;

const TOO_MANY: &str = "these are more traces than can be explained at once";

/// Puts the list of parts into the module's data and returns the address of its address.
pub(super) fn place(parts: &[Part], module: &mut Module) -> Result<u32, EmitError> {
    let abi = Abi::get()?;
    let values: Vec<Value<'_>> = parts.iter().map(value).collect();
    layout::place_list(abi, module, &Type::Id(abi.named("part")?), &values)
}

fn value(part: &Part) -> Value<'_> {
    let parent = part.parent.map(|parent| Box::new(Value::U32(parent)));
    let columns = part.columns.iter().map(|column| Value::U32(*column));
    Value::Record(vec![
        ("kind", Value::Enum(kind(part.kind))),
        ("parent", Value::Optional(parent)),
        ("text", Value::Text(&part.text)),
        ("columns", Value::List(columns.collect())),
    ])
}

fn kind(kind: PartKind) -> &'static str {
    match kind {
        PartKind::When => "when",
        PartKind::Detect => "detect",
        PartKind::Expect => "expect",
        PartKind::Always => "always",
        PartKind::Never => "never",
        PartKind::Both => "both",
        PartKind::Either => "either",
        PartKind::Negation => "negation",
        PartKind::Present => "present",
        PartKind::Every => "every",
        PartKind::Number => "number",
        PartKind::Constant => "constant",
        PartKind::Base => "base",
        PartKind::Filter => "filter",
        PartKind::FilterBoth => "filter-both",
        PartKind::FilterEither => "filter-either",
        PartKind::FilterNegation => "filter-negation",
    }
}

impl<'p> Emitter<'p> {
    /// Emits the functions of all predicates, each behind those that it asks.
    pub(super) fn predicates(&mut self, predicates: &[Predicate]) {
        for (index, predicate) in predicates.iter().enumerate() {
            let name = format!("predicate {index}");
            let function = self.test_function(&name, predicate.table, &predicate.test);
            self.predicates.push(function);
        }
    }

    /// Emits `explain` and all that it calls, and `parts`, whose list is at this address.
    pub(super) fn explain(&mut self, parts: &'p [Part], list: u32) {
        self.describe("betrace:rule/explanation@0.1.0#parts", list);
        let answers = Answers::new(&mut self.module, &self.marks);
        self.answers = Some(answers.current);
        let call = Call {
            names: ("explain", "betrace:rule/explanation@0.1.0#explain"),
            each: self.explain_trace(parts, answers),
            list: (answers.all, answers.count),
        };
        // A rule has a clause, and so a part.
        let parts = parts.len().max(1) as u32;
        self.call(&call, |emitter, code| {
            code.get(TRACES).i32(MAX_BYTES / ANSWER / parts);
            code.op().i32_gt_u();
            emitter.refuse(code, TOO_MANY);
            code.get(TRACES).i32(parts);
            code.op().i32_mul();
            code.set_global(answers.count);
            code.global(answers.count).i32(ANSWER);
            code.op().i32_mul();
            code.i32(4).call(emitter.heap.allocate);
            code.set_global(answers.all);
        });
    }

    /// A function `(trace, first, end)` that answers for all parts, the last first.
    fn explain_trace(&mut self, parts: &'p [Part], answers: Answers) -> Func {
        let chunks = parts.chunks(PARTS).zip((0u32..).step_by(PARTS));
        let functions: Vec<Func> = chunks
            .map(|(chunk, first)| {
                let name = format!("parts from {first}");
                let function = self.module.declare(&name, &[I32, I32], &[]);
                let mut code = Code::new(2);
                let count = code.local(I32);
                for (offset, part) in chunk.iter().enumerate().rev() {
                    let index = first + offset as u32;
                    self.owned_by(format!("part {index}"));
                    self.ask(&mut code, part, index, count);
                    code.get(0).get(1).call(answers.answer);
                }
                self.module.define(function, code);
                function
            })
            .collect();
        let function = self.module.declare("explain trace", &[I32; 3], &[]);
        let mut code = Code::new(3);
        let (trace, first, end) = (0, 1, 2);
        code.get(trace).set_global(answers.trace);
        code.global(answers.all).get(trace);
        code.i32(parts.len() as u32 * ANSWER);
        code.op().i32_mul().i32_add();
        code.set_global(answers.current);
        for function in functions.into_iter().rev() {
            code.get(first).get(end).call(function);
        }
        self.module.define(function, code);
        function
    }

    /// Pushes a part's index, its count, the count of others, and whether it holds.
    fn ask(&mut self, code: &mut Code, part: &'p Part, index: u32, count: u32) {
        code.i32(index);
        match part.counted {
            Some(set) => self.push_all(code, set, true),
            None => {
                code.i32(0);
            }
        }
        code.op().local_tee(count);
        match part.others {
            Some(Others { set, named }) => self.push_all(code, set, named),
            None => {
                code.i32(0);
            }
        }
        match &part.value {
            Some(condition) => self.push_condition(code, condition),
            None => {
                code.get(count);
                code.op().i32_const(0).i32_ne();
            }
        }
    }
}
