//! Runs explanations: plans and emits a tree's, instantiates the component, and reads its answers.

use betrace_dsl::reference::{self, Trace};
use betrace_dsl::types::tree::Rule;
use betrace_dsl::{emit, plan};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::{batch, engine, types};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "explain-rule",
        with: {
            "betrace:rule/types": crate::emit_support::types,
        },
    });
}

use bindings::ExplainRule;
pub use bindings::exports::betrace::rule::explanation::{Answer, Part, PartKind};

/// An instance of an explanation.
pub struct Explained {
    store: Store<()>,
    explanation: ExplainRule,
    pub manifest: types::Manifest,
    pub parts: Vec<Part>,
}

impl Explained {
    pub fn new(rule: &Rule, source: &str) -> Explained {
        let planned = plan::explain(rule, source).expect("the rule can be planned");
        Explained::of_bytes(&emit::explanation(&planned).expect("the plan can be emitted"))
    }

    pub fn of_bytes(bytes: &[u8]) -> Explained {
        let component = Component::new(engine(), bytes).expect("the component is valid");
        assert_eq!(
            component.component_type().imports(engine()).count(),
            0,
            "it imports nothing"
        );
        let mut store = Store::new(engine(), ());
        let explanation = ExplainRule::instantiate(&mut store, &component, &Linker::new(engine()))
            .expect("the component starts");
        let exports = explanation.betrace_rule_explanation();
        let manifest = exports
            .call_describe(&mut store)
            .expect("it describes the rule");
        let parts = exports.call_parts(&mut store).expect("it tells its parts");
        Explained {
            store,
            explanation,
            manifest,
            parts,
        }
    }

    pub fn call(&mut self, batch: &types::Batch) -> Result<Vec<Answer>, String> {
        self.explanation
            .betrace_rule_explanation()
            .call_explain(&mut self.store, batch)
            .expect("the explanation does not trap")
    }

    /// The answers for each trace, rows counted from its first.
    pub fn explain(&mut self, traces: &[Trace]) -> Vec<Vec<reference::Answer>> {
        let batch = batch::of(&self.manifest, traces);
        let answers = self.call(&batch).expect("the batch is well-formed");
        assert_eq!(answers.len(), traces.len() * self.parts.len());
        let mut start = 0;
        let mut told = Vec::new();
        for (index, trace) in traces.iter().enumerate() {
            let of_trace = answers
                .iter()
                .skip(index * self.parts.len())
                .take(self.parts.len());
            told.push(
                of_trace
                    .enumerate()
                    .map(|(part, answer)| {
                        assert_eq!((answer.trace, answer.part), (index as u32, part as u32));
                        reference::Answer {
                            holds: answer.holds,
                            count: answer.count as usize,
                            others: answer.others as usize,
                            spans: answer
                                .spans
                                .iter()
                                .map(|row| *row as usize - start)
                                .collect(),
                        }
                    })
                    .collect(),
            );
            start += trace.spans.len();
        }
        told
    }
}
