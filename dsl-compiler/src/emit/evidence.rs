//! The spans of a finding: marked by the sets of the parts that decided, then reported in order.

use super::code::{Code, at};
use super::condition::PARTS;
use super::marks::Marks;
use super::memory::Heap;
use super::module::{Func, Global, Module};
use super::{Emitter, I32};
use crate::plan::Condition;

/// `finding`: its size, and where its fields are.
const FINDING: u32 = 28;
const TRACE: u32 = 0;
const CLAUSE: u32 = 4;
const SPANS_ADDRESS: u32 = 8;
const SPANS_LENGTH: u32 = 12;
const MORE: u32 = 16;
const VALUES_ADDRESS: u32 = 20;
const VALUES_LENGTH: u32 = 24;

/// Findings that the list has room for at first.
const ROOM: u32 = 8;

/// The findings of a call.
#[derive(Clone, Copy)]
pub(super) struct Findings {
    /// `(trace, clause, first, end)`: reports what is marked, and unmarks it.
    pub(super) report: Func,
    /// The list.
    pub(super) list: Global,
    /// How many there are.
    pub(super) count: Global,
    /// How many the list has room for.
    pub(super) room: Global,
}

impl Findings {
    pub(super) fn new(module: &mut Module, heap: &Heap, marks: &Marks) -> Findings {
        let findings = Findings {
            report: module.declare("report", &[I32; 4], &[]),
            list: module.global("findings"),
            count: module.global("count of findings"),
            room: module.global("room for findings"),
        };
        findings.define_report(module, heap, marks);
        findings
    }

    fn define_report(&self, module: &mut Module, heap: &Heap, marks: &Marks) {
        let mut code = Code::new(4);
        let (trace, clause, first, end) = (0, 1, 2, 3);
        let (total, named, list) = (code.local(I32), code.local(I32), code.local(I32));
        let finding = code.local(I32);
        code.get(first).get(end).call(marks.take);
        code.set(total).set(named).set(list);
        self.make_room(&mut code, heap, finding);
        code.global(self.list).global(self.count);
        code.op()
            .i32_const(FINDING.cast_signed())
            .i32_mul()
            .i32_add()
            .local_set(finding);
        let mut store = |offset: u32, push: &dyn Fn(&mut Code)| {
            code.get(finding);
            push(&mut code);
            code.op().i32_store(at(offset, 2));
        };
        store(TRACE, &|code| {
            code.get(trace);
        });
        store(CLAUSE, &|code| {
            code.get(clause);
        });
        store(SPANS_ADDRESS, &|code| {
            code.get(list);
        });
        store(SPANS_LENGTH, &|code| {
            code.get(named);
        });
        store(MORE, &|code| {
            code.get(total).get(named);
            code.op().i32_sub();
        });
        // A value is aligned to 8.
        store(VALUES_ADDRESS, &|code| {
            code.i32(8);
        });
        store(VALUES_LENGTH, &|code| {
            code.i32(0);
        });
        code.global(self.count).i32(1);
        code.op().i32_add();
        code.set_global(self.count);
        module.define(self.report, code);
    }

    /// Doubles the list where it is full.
    fn make_room(&self, code: &mut Code, heap: &Heap, scratch: u32) {
        code.global(self.count).global(self.room);
        code.op().i32_eq();
        code.if_();
        code.global(self.room);
        code.op().i32_const(1).i32_shl();
        code.i32(ROOM).global(self.room);
        code.op().select();
        code.set_global(self.room);
        code.global(self.room).i32(FINDING);
        code.op().i32_mul();
        code.i32(4).call(heap.allocate);
        code.op().local_tee(scratch);
        code.global(self.list).global(self.count).i32(FINDING);
        code.op().i32_mul().memory_copy(0, 0);
        code.get(scratch).set_global(self.list);
        code.end();
    }
}

impl Emitter<'_> {
    /// A function `(first, end)` that marks the evidence of a condition that has this value; none where there is none.
    pub(super) fn evidence_function(
        &mut self,
        name: &str,
        condition: &Condition,
        value: bool,
    ) -> Option<Func> {
        if !has_evidence(condition, value) {
            return None;
        }
        let function = self.module.declare(name, &[I32, I32], &[]);
        let mut code = Code::new(2);
        match condition {
            Condition::And(parts) => self.mark_chain(&mut code, parts, value, value),
            Condition::Or(parts) => self.mark_chain(&mut code, parts, value, !value),
            other => self.mark_condition(&mut code, other, value),
        }
        self.module.define(function, code);
        Some(function)
    }

    fn mark_condition(&mut self, code: &mut Code, condition: &Condition, value: bool) {
        match condition {
            Condition::Constant(_) | Condition::Part(_) => {}
            Condition::Not(inner) => self.mark_condition(code, inner, !value),
            Condition::And(_) | Condition::Or(_) => {
                let name = self.part_name();
                if let Some(function) = self.evidence_function(&name, condition, value) {
                    code.get(0).get(1).call(function);
                }
            }
            Condition::Exists(set) => {
                if value {
                    self.mark_set(code, *set);
                }
            }
            Condition::Every { set, violating } => {
                self.mark_set(code, if value { *set } else { *violating });
            }
            Condition::Count(set, _) => self.mark_set(code, *set),
            Condition::Counts(left, _, right) => {
                self.mark_set(code, *left);
                self.mark_set(code, *right);
            }
        }
    }

    /// `each`: every part has the value; otherwise those that have it are evidence.
    fn mark_chain(&mut self, code: &mut Code, parts: &[Condition], value: bool, each: bool) {
        if parts.len() > PARTS {
            for chunk in parts.chunks(parts.len().div_ceil(PARTS).max(PARTS)) {
                let name = self.part_name();
                let function = self.module.declare(&name, &[I32, I32], &[]);
                let mut inner = Code::new(2);
                self.mark_chain(&mut inner, chunk, value, each);
                self.module.define(function, inner);
                code.get(0).get(1).call(function);
            }
            return;
        }
        for part in parts.iter().filter(|part| has_evidence(part, value)) {
            if each {
                self.mark_condition(code, part, value);
                continue;
            }
            self.push_condition(code, part);
            if !value {
                code.op().i32_eqz();
            }
            code.if_();
            self.mark_condition(code, part, value);
            code.end();
        }
    }
}

fn has_evidence(condition: &Condition, value: bool) -> bool {
    match condition {
        Condition::Constant(_) | Condition::Part(_) => false,
        Condition::Not(inner) => has_evidence(inner, !value),
        Condition::And(parts) | Condition::Or(parts) => {
            parts.iter().any(|part| has_evidence(part, value))
        }
        Condition::Exists(_) => value,
        Condition::Every { .. } | Condition::Count(..) | Condition::Counts(..) => true,
    }
}

#[cfg(test)]
mod tests {
    use wit_parser::{Type, TypeDefKind};

    use super::super::component::Abi;
    use super::*;

    #[test]
    fn findings_are_laid_out_as_in_the_wit() {
        let abi = Abi::get().unwrap();
        let id = abi.named("finding").unwrap();
        assert_eq!(
            abi.sizes.size(&Type::Id(id)).size_wasm32(),
            FINDING as usize
        );
        let TypeDefKind::Record(record) = &abi.resolve.types[id].kind else {
            panic!("a record");
        };
        let offsets: Vec<(&str, usize)> = record
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .zip(
                abi.sizes
                    .field_offsets(record.fields.iter().map(|field| &field.ty))
                    .into_iter()
                    .map(|(offset, _)| offset.size_wasm32()),
            )
            .collect();
        assert_eq!(
            offsets,
            [
                ("trace", TRACE as usize),
                ("clause", CLAUSE as usize),
                ("spans", SPANS_ADDRESS as usize),
                ("more", MORE as usize),
                ("values", VALUES_ADDRESS as usize),
            ]
        );
        assert_eq!(SPANS_LENGTH, SPANS_ADDRESS + 4);
        assert_eq!(VALUES_LENGTH, VALUES_ADDRESS + 4);
    }
}
