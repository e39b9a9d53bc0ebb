//! `evaluate`: judges trace after trace, returns the findings.

use super::call::Call;
use super::code::Code;
use super::evidence::Findings;
use super::module::Func;
use super::{Emitter, I32};
use crate::types::tree::ClauseKind;

/// Clauses that one function judges.
const CLAUSES: usize = 64;

impl Emitter<'_> {
    /// Emits `evaluate` and all that it calls.
    pub(super) fn evaluate(&mut self) {
        let findings = Findings::new(&mut self.module, &self.heap, &self.marks);
        let call = Call {
            names: ("evaluate", "betrace:rule/rule@0.1.0#evaluate"),
            each: self.judge(findings.report),
            list: (findings.list, findings.count),
        };
        self.call(&call, |_, code| {
            for global in [findings.list, findings.count, findings.room] {
                code.i32(0).set_global(global);
            }
        });
    }

    /// A function `(trace, first, end)` that reports the clauses that the trace breaks.
    fn judge(&mut self, report: Func) -> Func {
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
                self.judge_clause(&mut code, first + index, when_evidence, report);
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

    fn judge_clause(
        &mut self,
        code: &mut Code,
        index: usize,
        when_evidence: Option<Func>,
        report: Func,
    ) {
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
            .call(report);
        code.end();
    }
}
