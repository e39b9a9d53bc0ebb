//! Conditions as functions `(first, end) -> bool` of a trace's rows.
//!
//! Each `and` and `or` is a function of its own, so that evidence can ask for a part without its code being there
//! twice; long ones are cut into several.

use super::code::Code;
use super::module::Func;
use super::{Emitter, I32, compare};
use crate::plan::{Condition, CountTest};

/// Parts of an `and` or `or` that one function asks.
pub(super) const PARTS: usize = 64;

impl Emitter<'_> {
    /// A function that says whether a condition is true.
    pub(super) fn condition_function(&mut self, name: &str, condition: &Condition) -> Func {
        let function = self.module.declare(name, &[I32, I32], &[I32]);
        let mut code = Code::new(2);
        match condition {
            Condition::And(parts) => self.push_chain(&mut code, parts, true),
            Condition::Or(parts) => self.push_chain(&mut code, parts, false),
            other => self.push_condition(&mut code, other),
        }
        self.module.define(function, code);
        function
    }

    /// Pushes whether a condition is true.
    pub(super) fn push_condition(&mut self, code: &mut Code, condition: &Condition) {
        match condition {
            Condition::Constant(answer) => {
                code.i32(u32::from(*answer));
            }
            Condition::Not(inner) => {
                self.push_condition(code, inner);
                code.op().i32_eqz();
            }
            Condition::And(_) | Condition::Or(_) => {
                let function = self.part_function(condition);
                code.get(0).get(1).call(function);
            }
            Condition::Exists(set) => {
                self.push_found(code, *set, 1);
                code.op().i32_const(0).i32_ne();
            }
            Condition::Every { violating, .. } => {
                self.push_found(code, *violating, 1);
                code.op().i32_eqz();
            }
            Condition::Count(_, CountTest::Always(answer)) => {
                code.i32(u32::from(*answer));
            }
            Condition::Count(set, test @ CountTest::Compare(comparison, with)) => {
                self.push_found(code, *set, test.limit());
                code.i32(*with);
                compare::u32(code, *comparison);
            }
            Condition::Counts(left, comparison, right) => {
                self.push_found(code, *left, u32::MAX);
                self.push_found(code, *right, u32::MAX);
                compare::u32(code, *comparison);
            }
            Condition::Part(part) => self.push_answer(code, *part),
        }
    }

    /// The function of an `and` or `or` inside a condition, made when it is first asked for.
    fn part_function(&mut self, condition: &Condition) -> Func {
        let key = std::ptr::from_ref(condition) as usize;
        if let Some(&known) = self.parts_of.get(&key) {
            return known;
        }
        let name = self.part_name();
        let function = self.condition_function(&name, condition);
        self.parts_of.insert(key, function);
        function
    }

    fn push_chain(&mut self, code: &mut Code, parts: &[Condition], and: bool) {
        let decided = code.block();
        if parts.len() <= PARTS {
            for part in parts {
                self.push_condition(code, part);
                if and {
                    code.op().i32_eqz();
                }
                code.br_if(decided);
            }
        } else {
            for chunk in parts.chunks(parts.len().div_ceil(PARTS).max(PARTS)) {
                let name = self.part_name();
                let function = self.module.declare(&name, &[I32, I32], &[I32]);
                let mut inner = Code::new(2);
                self.push_chain(&mut inner, chunk, and);
                self.module.define(function, inner);
                code.get(0).get(1).call(function);
                if and {
                    code.op().i32_eqz();
                }
                code.br_if(decided);
            }
        }
        code.i32(u32::from(and));
        code.op().return_();
        code.end();
        code.i32(u32::from(!and));
    }
}
