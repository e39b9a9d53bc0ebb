//! `evaluate`: binds the batch, judges trace after trace, returns the findings.

use super::code::{Code, at};
use super::memory::load;
use super::module::Func;
use super::set::NOT_SCANNED;
use super::{Emitter, I32};
use crate::types::tree::ClauseKind;

/// Clauses that one function judges.
const CLAUSES: usize = 64;

/// `result<list<finding>, string>`: its size and where its parts are.
const RESULT: u32 = 12;
const PAYLOAD_ADDRESS: u32 = 4;
const PAYLOAD_LENGTH: u32 = 8;

const MALFORMED: &str = "the lists of the batch are not as long as its counts say";

/// The params of `evaluate`, which are the fields of `batch`.
const TRACES: u32 = 0;
const SPANS: u32 = 1;
const EVENTS: u32 = 2;
const LINKS: u32 = 3;
const SYMBOLS: u32 = 4;
const W32: (u32, u32) = (5, 6);
const W64: (u32, u32) = (7, 8);
const W8: (u32, u32) = (9, 10);
const PARAMS: usize = 11;

impl Emitter<'_> {
    /// Emits `evaluate` and all that it calls.
    pub(super) fn evaluate(&mut self) {
        let judge = self.judge();
        let forget = self.define_forget();
        let bind_constants = self.bind_constants();
        let bind_columns = self.bind_columns();
        let evaluate = self.module.declare("evaluate", &[I32; PARAMS], &[I32]);
        let mut code = Code::new(PARAMS as u32);
        for global in [
            self.evidence.findings,
            self.evidence.count,
            self.evidence.room,
            self.evidence.marks,
        ] {
            code.i32(0).set_global(global);
        }
        code.get(SPANS).set_global(self.batch.spans);
        self.start_lists(&mut code);
        for function in bind_constants {
            code.call(function);
        }
        for function in bind_columns {
            code.get(SPANS).get(EVENTS).get(LINKS).call(function);
        }
        if self.reads_text() {
            self.bind_text(&mut code);
        }
        self.refuse_malformed(&mut code);
        if let Some(forget) = forget {
            code.get(SYMBOLS).call(forget);
        }
        self.each_trace(&mut code, judge);
        let result = push_result(&mut code, self.heap.allocate, 0);
        code.get(result).global(self.evidence.findings);
        code.op().i32_store(at(PAYLOAD_ADDRESS, 2));
        code.get(result).global(self.evidence.count);
        code.op().i32_store(at(PAYLOAD_LENGTH, 2));
        code.get(result);
        self.module.define(evaluate, code);
        self.module
            .export("betrace:rule/rule@0.1.0#evaluate", evaluate);
    }

    /// The first addresses of the lists, behind the trace offsets and the constants.
    fn start_lists(&mut self, code: &mut Code) {
        let constants = self.plan.manifest.constants.len() as u32;
        code.get(W32.0).get(TRACES);
        code.op()
            .i32_const(2)
            .i32_shl()
            .i32_add()
            .i32_const(4)
            .i32_add();
        code.set_global(self.batch.constants);
        code.global(self.batch.constants).i32(4 * constants);
        code.op().i32_add();
        code.set_global(self.batch.at32);
        code.get(W64.0).set_global(self.batch.at64);
        code.get(W8.0).set_global(self.batch.at8);
    }

    fn bind_text(&mut self, code: &mut Code) {
        code.global(self.batch.at32)
            .set_global(self.batch.text_offsets);
        code.global(self.batch.at32).get(SYMBOLS);
        code.op().i32_const(2).i32_shl().i32_add();
        code.set_global(self.batch.at32);
        code.global(self.batch.at8).set_global(self.batch.text);
        // The offset behind the last symbol's text is where the text ends.
        code.global(self.batch.at8).global(self.batch.at32);
        load(code, 0);
        code.op().i32_add();
        code.set_global(self.batch.at8);
        code.global(self.batch.at32).i32(4);
        code.op().i32_add();
        code.set_global(self.batch.at32);
    }

    /// Returns an error unless what was bound is exactly what is there.
    fn refuse_malformed(&mut self, code: &mut Code) {
        let ends = [
            (self.batch.at32, W32, 2),
            (self.batch.at64, W64, 3),
            (self.batch.at8, W8, 0),
        ];
        for (index, (end, (address, length), shift)) in ends.into_iter().enumerate() {
            code.global(end).get(address).get(length);
            code.op().i32_const(shift).i32_shl().i32_add().i32_ne();
            if index > 0 {
                code.op().i32_or();
            }
        }
        code.if_();
        let result = push_result(code, self.heap.allocate, 1);
        let text = self.module.text(MALFORMED);
        code.get(result).i32(text);
        code.op().i32_store(at(PAYLOAD_ADDRESS, 2));
        code.get(result).i32(MALFORMED.len() as u32);
        code.op().i32_store(at(PAYLOAD_LENGTH, 2));
        code.get(result);
        code.op().return_();
        code.end();
    }

    fn each_trace(&mut self, code: &mut Code, judge: Func) {
        let (trace, entry) = (code.local(I32), code.local(I32));
        let remembered = self.remembered();
        let done = code.block();
        let next = code.loop_();
        code.get(trace).get(TRACES);
        code.op().i32_ge_u();
        code.br_if(done);
        for found in remembered {
            code.i32(NOT_SCANNED).set_global(found);
        }
        code.get(trace).get(W32.0).get(trace);
        code.op().i32_const(2).i32_shl().i32_add().local_tee(entry);
        load(code, 0);
        code.get(entry);
        load(code, 4);
        code.call(judge);
        code.add(trace, 1);
        code.br(next);
        code.end();
        code.end();
    }

    /// A function `(trace, first, end)` that reports the clauses that the trace breaks.
    fn judge(&mut self) -> Func {
        let plan = self.plan;
        let when = plan.when.as_ref().map(|condition| {
            self.owned_by("when".to_owned());
            let asked = self.condition_function("when", condition);
            let evidence = self.evidence_function("evidence of when", condition, true);
            (asked, evidence)
        });
        let when_evidence = when.and_then(|(_, evidence)| evidence);
        let mut functions = Vec::new();
        let chunks = plan.clauses.chunks(CLAUSES);
        for (chunk, first) in chunks.zip((0..).step_by(CLAUSES)) {
            let name = format!("judge from clause {first}");
            let function = self.module.declare(&name, &[I32; 3], &[]);
            let mut code = Code::new(3);
            for (index, _) in chunk.iter().enumerate() {
                self.judge_clause(&mut code, first + index, when_evidence);
            }
            self.module.define(function, code);
            functions.push(function);
        }
        let judge = self.module.declare("judge", &[I32; 3], &[]);
        let mut code = Code::new(3);
        let (trace, first, end) = (0, 1, 2);
        let unasked = code.block();
        if let Some((asked, _)) = when {
            code.get(first).get(end).call(asked);
            code.op().i32_eqz();
            code.br_if(unasked);
        }
        for function in functions {
            code.get(trace).get(first).get(end).call(function);
        }
        code.end();
        self.module.define(judge, code);
        judge
    }

    fn judge_clause(&mut self, code: &mut Code, index: usize, when_evidence: Option<Func>) {
        let plan = self.plan;
        let (kind, condition) = &plan.clauses[index];
        let (kind_name, broken_when) = match kind {
            ClauseKind::Detect => ("detect", true),
            ClauseKind::Expect => ("expect", false),
            ClauseKind::Always => ("always", false),
            ClauseKind::Never => ("never", true),
        };
        let text = plan.manifest.clauses.get(index);
        let text = text.map_or("", |clause| clause.text.as_str());
        self.owned_by(format!("clause {index}"));
        let asked =
            self.condition_function(&format!("clause {index}: {kind_name} {text}"), condition);
        let evidence = self.evidence_function(
            &format!("evidence of clause {index}"),
            condition,
            broken_when,
        );
        let (trace, first, end) = (0, 1, 2);
        code.get(first).get(end).call(asked);
        if !broken_when {
            code.op().i32_eqz();
        }
        code.if_();
        for function in [when_evidence, evidence].into_iter().flatten() {
            code.get(first).get(end).call(function);
        }
        code.get(trace)
            .i32(index as u32)
            .get(first)
            .get(end)
            .call(self.evidence.report);
        code.end();
    }
}

/// Allocates a result of this case and returns the local of its address.
fn push_result(code: &mut Code, allocate: Func, case: u32) -> u32 {
    let result = code.local(I32);
    code.i32(RESULT).i32(4).call(allocate);
    code.op()
        .local_tee(result)
        .i32_const(case.cast_signed())
        .i32_store(at(0, 2));
    result
}
