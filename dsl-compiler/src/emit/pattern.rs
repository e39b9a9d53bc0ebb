//! Text patterns as functions `(symbol) -> 1 no, 2 yes`, asked once a distinct text of a batch.
//!
//! A pattern remembers its answers in a byte a symbol, zeroed at each call.

use super::code::{Code, at};
use super::memory::load;
use super::module::{Func, Global};
use super::{Emitter, I32};
use crate::plan::{Automaton, Field, MatcherKind};

/// Patterns that remember. With 64 and a batch of 64 KiB, at most a few hundred KiB of memory and a few microseconds
/// a call go into that; patterns beyond it are asked for each row.
const REMEMBERING: usize = 64;

const YES: u32 = 2;

/// A pattern in the module.
#[derive(Clone, Copy)]
pub(super) struct Pattern {
    function: Func,
    memo: Option<Global>,
}

impl Emitter<'_> {
    /// Emits the functions of all patterns.
    pub(super) fn patterns(&mut self) {
        let plan = self.plan;
        for (index, matcher) in plan.matchers.iter().enumerate() {
            let name = format!("pattern {index}: {}", matcher.text);
            let function = self.module.declare(&name, &[I32], &[I32]);
            let memo = (index < REMEMBERING)
                .then(|| self.module.global(&format!("answers of pattern {index}")));
            self.patterns.push(Pattern { function, memo });
            let mut code = Code::new(1);
            match &matcher.kind {
                MatcherKind::Automaton(automaton) => self.push_walk(&mut code, automaton),
                MatcherKind::StartsWith(text) => {
                    let function = self.starts_with();
                    self.push_affix(&mut code, text, function);
                }
                MatcherKind::EndsWith(text) => {
                    let function = self.ends_with();
                    self.push_affix(&mut code, text, function);
                }
                MatcherKind::Symbols(constants) => self.push_one_of(&mut code, constants),
            }
            // The answer, 0 or 1, is remembered as 1 or 2.
            code.op().i32_const(1).i32_add();
            if let Some(memo) = memo {
                let answer = code.local(I32);
                code.set(answer).global(memo).get(0);
                code.op().i32_add().local_get(answer).i32_store8(at(0, 0));
                code.get(answer);
            }
            self.module.define(function, code);
        }
    }

    fn push_walk(&mut self, code: &mut Code, automaton: &Automaton) {
        let width = automaton.width();
        let classes = self.module.data(1, automaton.classes.as_slice());
        let table: Vec<u8> = automaton
            .table
            .iter()
            .flat_map(|state| state.to_le_bytes().into_iter().take(width as usize))
            .collect();
        let table = self.module.data(width as usize, &table);
        let ends: Vec<u8> = automaton.ends.iter().map(|&end| u8::from(end)).collect();
        let ends = self.module.data(1, &ends);
        let walk = self.walk(width);
        let (address, length) = (code.local(I32), code.local(I32));
        self.push_text(code, 0);
        code.set(length).set(address).get(address);
        code.get(address).get(length);
        code.op().i32_add();
        code.i32(classes)
            .i32(automaton.stride)
            .i32(table)
            .i32(ends)
            .i32(automaton.start)
            .call(walk);
    }

    fn push_affix(&mut self, code: &mut Code, text: &str, function: Func) {
        self.push_text(code, 0);
        let address = self.module.text(text);
        code.i32(address).i32(text.len() as u32).call(function);
    }

    fn push_one_of(&mut self, code: &mut Code, constants: &[u32]) {
        let (entry, end) = self.constants_list(constants);
        let at = code.local(I32);
        let found = code.local(I32);
        code.i32(entry).set(at);
        let done = code.block();
        let next = code.loop_();
        code.get(at).i32(end);
        code.op().i32_ge_u();
        code.br_if(done);
        self.push_constant(code, at);
        code.get(0);
        code.op().i32_eq().local_tee(found);
        code.br_if(done);
        code.add(at, 4);
        code.br(next);
        code.end();
        code.end();
        code.get(found);
    }

    /// Pushes the symbol of the constant whose index is at the address in a local.
    fn push_constant(&mut self, code: &mut Code, entry: u32) {
        code.get(entry);
        load(code, 0);
        code.op().i32_const(2).i32_shl();
        code.global(self.batch.constants);
        code.op().i32_add();
        load(code, 0);
    }

    /// The addresses of the first of these indices and of what follows the last.
    fn constants_list(&mut self, constants: &[u32]) -> (u32, u32) {
        let bytes: Vec<u8> = constants
            .iter()
            .flat_map(|index| index.to_le_bytes())
            .collect();
        let start = self.module.data(4, &bytes);
        (start, start + bytes.len() as u32)
    }

    /// Pushes whether a field is text that a pattern matches.
    pub(super) fn push_match(&mut self, code: &mut Code, field: Field, row: u32, matcher: u32) {
        let Pattern { function, memo } = self.patterns[matcher as usize];
        let symbol = code.local(I32);
        self.push_symbol(code, field, row, symbol);
        code.if_i32();
        match memo {
            None => {
                code.get(symbol).call(function);
            }
            Some(memo) => {
                let answer = code.local(I32);
                code.get(symbol).global(memo);
                code.op()
                    .i32_add()
                    .i32_load8_u(at(0, 0))
                    .local_tee(answer)
                    .i32_eqz();
                code.if_i32();
                code.get(symbol).call(function);
                code.else_();
                code.get(answer);
                code.end();
            }
        }
        code.i32(YES);
        code.op().i32_eq();
        code.else_();
        code.i32(0);
        code.end();
    }

    /// A function `(symbols)` that makes the patterns forget the batch before.
    pub(super) fn define_forget(&mut self) -> Option<Func> {
        let memos: Vec<(usize, Global)> = self
            .patterns
            .iter()
            .enumerate()
            .filter_map(|(index, pattern)| pattern.memo.map(|memo| (index, memo)))
            .collect();
        if memos.is_empty() {
            return None;
        }
        let function = self.module.declare("forget answers", &[I32], &[]);
        let mut code = Code::new(1);
        let (at, size) = (code.local(I32), code.local(I32));
        code.get(0).i32(memos.len() as u32);
        code.op().i32_mul().local_tee(size);
        code.i32(1).call(self.heap.allocate).set(at);
        code.op()
            .local_get(at)
            .i32_const(0)
            .local_get(size)
            .memory_fill(0);
        for &(_, memo) in &memos {
            code.get(at).set_global(memo).get(at).get(0);
            code.op().i32_add().local_set(at);
        }
        let plan = self.plan;
        for (index, memo) in memos {
            if let MatcherKind::Symbols(constants) = &plan.matchers[index].kind {
                self.remember_symbols(&mut code, constants, memo);
            }
        }
        self.module.define(function, code);
        Some(function)
    }

    /// Answers for every symbol at once: yes for these constants, no for all others.
    fn remember_symbols(&mut self, code: &mut Code, constants: &[u32], memo: Global) {
        let (entry, end) = self.constants_list(constants);
        let (index, symbol) = (code.local(I32), code.local(I32));
        code.global(memo).i32(1).get(0);
        code.op().memory_fill(0);
        code.i32(entry).set(index);
        let done = code.block();
        let next = code.loop_();
        code.get(index).i32(end);
        code.op().i32_ge_u();
        code.br_if(done);
        self.push_constant(code, index);
        code.op().local_tee(symbol).i32_const(-1).i32_ne();
        code.if_();
        code.global(memo).get(symbol);
        code.op().i32_add();
        code.i32(YES);
        code.op().i32_store8(at(0, 0));
        code.end();
        code.add(index, 4);
        code.br(next);
        code.end();
        code.end();
    }
}
