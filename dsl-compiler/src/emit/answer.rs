//! The answers of an explanation: a record for each part of each trace, all at once allocated.
//!
//! ```text
//! all → | trace 0: part 0, part 1, … | trace 1: part 0, … |
//!                                      ↑ current
//! ```
//! A part is asked after those that stand in it, so that logic reads their answers.

use super::code::{Code, at};
use super::marks::Marks;
use super::module::{Func, Global, Module};
use super::{Emitter, I32};

/// `answer`: its size, and where its fields are.
pub(super) const ANSWER: u32 = 28;
const TRACE: u32 = 0;
const PART: u32 = 4;
const HOLDS: u32 = 8;
const COUNT: u32 = 12;
const OTHERS: u32 = 16;
const SPANS_ADDRESS: u32 = 20;
const SPANS_LENGTH: u32 = 24;

/// The answers of a call.
#[derive(Clone, Copy)]
pub(super) struct Answers {
    /// `(part, count, others, holds, first, end)`: writes an answer, with the rows that are marked, and unmarks them.
    pub(super) answer: Func,
    /// The list.
    pub(super) all: Global,
    /// How many there are.
    pub(super) count: Global,
    /// The trace at hand.
    pub(super) trace: Global,
    /// Its first answer.
    pub(super) current: Global,
}

impl Answers {
    pub(super) fn new(module: &mut Module, marks: &Marks) -> Answers {
        let answers = Answers {
            answer: module.declare("answer", &[I32; 6], &[]),
            all: module.global("answers"),
            count: module.global("count of answers"),
            trace: module.global("trace"),
            current: module.global("answers of the trace"),
        };
        answers.define_answer(module, marks);
        answers
    }

    fn define_answer(&self, module: &mut Module, marks: &Marks) {
        let mut code = Code::new(6);
        let (part, count, others, holds, first, end) = (0, 1, 2, 3, 4, 5);
        let (list, named, answer) = (code.local(I32), code.local(I32), code.local(I32));
        code.i32(4).set(list).get(count).get(others);
        code.op().i32_or();
        code.if_();
        code.get(first).get(end).call(marks.take);
        code.op().drop();
        code.set(named).set(list);
        code.end();
        code.global(self.current).get(part).i32(ANSWER);
        code.op().i32_mul().i32_add().local_set(answer);
        code.get(answer).global(self.trace);
        code.op().i32_store(at(TRACE, 2));
        for (offset, local) in [
            (PART, part),
            (COUNT, count),
            (OTHERS, others),
            (SPANS_ADDRESS, list),
            (SPANS_LENGTH, named),
        ] {
            code.get(answer).get(local);
            code.op().i32_store(at(offset, 2));
        }
        code.get(answer).get(holds);
        code.op().i32_store8(at(HOLDS, 0));
        module.define(self.answer, code);
    }
}

impl Emitter<'_> {
    /// Pushes whether a part holds, which has been asked of this trace; no part holds in a rule.
    pub(super) fn push_answer(&mut self, code: &mut Code, part: u32) {
        match self.answers {
            Some(current) => {
                code.global(current);
                code.op().i32_load8_u(at(part * ANSWER + HOLDS, 0));
            }
            None => {
                code.i32(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wit_parser::{Type, TypeDefKind};

    use super::super::component::Abi;
    use super::*;

    #[test]
    fn answers_are_laid_out_as_in_the_wit() {
        let abi = Abi::get().unwrap();
        let id = abi.named("answer").unwrap();
        assert_eq!(abi.sizes.size(&Type::Id(id)).size_wasm32(), ANSWER as usize);
        let TypeDefKind::Record(record) = &abi.resolve.types[id].kind else {
            panic!("a record");
        };
        let offsets = abi
            .sizes
            .field_offsets(record.fields.iter().map(|field| &field.ty));
        let offsets = offsets
            .into_iter()
            .map(|(offset, _)| offset.size_wasm32() as u32);
        let names = record.fields.iter().map(|field| field.name.as_str());
        assert_eq!(
            names.zip(offsets).collect::<Vec<_>>(),
            [
                ("trace", TRACE),
                ("part", PART),
                ("holds", HOLDS),
                ("count", COUNT),
                ("others", OTHERS),
                ("spans", SPANS_ADDRESS),
            ]
        );
        assert_eq!(SPANS_LENGTH, SPANS_ADDRESS + 4);
    }
}
