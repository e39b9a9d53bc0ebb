//! A hundred rules of a name and two attribute comparisons each, compiled from source and loaded.

use std::sync::Arc;

use betrace::engine::{Engine, Rule};

pub const RULES: usize = 100;

/// The rules, over so many names. The traffic has [`NAMES`](super::traffic::NAMES), ten of them in a trace: over 20
/// names a trace concerns 50 rules, over 100 names 10.
pub fn load(engine: &Engine, names: usize) -> Vec<Arc<Rule>> {
    let output = betrace_dsl::compile("bench", source(names).as_bytes());
    assert_eq!(output.rules.len(), RULES, "{:?}", output.diagnostics);
    output
        .rules
        .iter()
        .map(|rule| {
            Arc::new(Rule::load(engine, &rule.component, "bench").expect("a compiled rule loads"))
        })
        .collect()
}

/// Their text. Every rule is true of a span that answers 503 with a large enough amount, which one trace in 2,000 has.
pub fn source(names: usize) -> String {
    (0..RULES)
        .map(|rule| {
            let (name, least) = (rule % names, 1_000 + rule);
            format!(
                "rule rule-{rule} {{ detect {{ shop.step_{name}.where(http.response.status_code >= 500 and amount > {least}) }} }}\n"
            )
        })
        .collect()
}
