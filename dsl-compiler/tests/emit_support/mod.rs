//! Runs compiled rules: plans and emits a tree, instantiates the component, lays traces out as a batch, reads findings.
#![allow(dead_code, unused_imports, unreachable_pub)]

pub mod any;
pub mod batch;
pub mod explained;
pub mod trees;

use std::sync::OnceLock;

use betrace_dsl::reference::{self, Trace};
use betrace_dsl::types::tree::Rule;
use betrace_dsl::{emit, plan};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "batch-rule" });
}

use bindings::BatchRule;
pub use bindings::exports::betrace::rule::types;

/// An instance of a rule.
pub struct Compiled {
    store: Store<()>,
    rule: BatchRule,
    pub manifest: types::Manifest,
}

/// One engine for all tests: making one is what costs.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(Engine::default)
}

impl Compiled {
    pub fn new(rule: &Rule, source: &str) -> Compiled {
        let plan = plan::plan(rule, source).expect("the rule can be planned");
        let bytes = emit::component(&plan).expect("the plan can be emitted");
        Compiled::of_bytes(&bytes)
    }

    pub fn of_bytes(bytes: &[u8]) -> Compiled {
        let component = Component::new(engine(), bytes).expect("the component is valid");
        assert_eq!(
            component.component_type().imports(engine()).count(),
            0,
            "a rule imports nothing"
        );
        let mut store = Store::new(engine(), ());
        let rule = BatchRule::instantiate(&mut store, &component, &Linker::new(engine()))
            .expect("the component starts");
        let manifest = rule
            .betrace_rule_rule()
            .call_describe(&mut store)
            .expect("the rule describes itself");
        Compiled {
            store,
            rule,
            manifest,
        }
    }

    pub fn call(&mut self, batch: &types::Batch) -> Result<Vec<types::Finding>, String> {
        self.rule
            .betrace_rule_rule()
            .call_evaluate(&mut self.store, batch)
            .expect("the rule does not trap")
    }

    /// What is found in each trace, rows counted from the trace's first.
    pub fn evaluate(&mut self, traces: &[Trace]) -> Vec<Vec<reference::Finding>> {
        let batch = batch::of(&self.manifest, traces);
        let mut first = 0;
        let mut starts = Vec::new();
        for trace in traces {
            starts.push(first);
            first += trace.spans.len();
        }
        let mut found = vec![Vec::new(); traces.len()];
        for finding in self.call(&batch).expect("the batch is well-formed") {
            assert!(finding.values.is_empty());
            let trace = finding.trace as usize;
            found[trace].push(reference::Finding {
                clause: finding.clause as usize,
                spans: finding
                    .spans
                    .iter()
                    .map(|&row| row as usize - starts[trace])
                    .collect(),
                more: finding.more as usize,
            });
        }
        found
    }

    /// What is found in one trace.
    pub fn judge(&mut self, trace: Trace) -> Vec<reference::Finding> {
        self.evaluate(&[trace]).remove(0)
    }
}

/// Whether a host that goes by the manifest's triggers would give the rule this trace.
pub fn is_candidate(manifest: &types::Manifest, trace: &Trace) -> bool {
    use betrace_dsl::types::tree::Place;
    let has = |trigger: &types::Trigger| {
        trace.spans.iter().any(|span| match trigger {
            types::Trigger::Name(name) => span.name.as_ref() == Some(name),
            types::Trigger::NamePrefix(prefix) => span
                .name
                .as_ref()
                .is_some_and(|name| name.starts_with(prefix.as_str())),
            types::Trigger::Service(service) => span.service.as_ref() == Some(service),
            types::Trigger::Attribute(attribute) => {
                span.attributes.iter().any(|(place, key, _)| {
                    *key == attribute.key
                        && match attribute.place {
                            types::Place::Any => true,
                            types::Place::Span => *place == Place::Span,
                            types::Place::OfResource => *place == Place::Resource,
                            types::Place::Scope => *place == Place::Scope,
                        }
                })
            }
        })
    };
    manifest.triggers.iter().all(|group| group.iter().any(has))
}
