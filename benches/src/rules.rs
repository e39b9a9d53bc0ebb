//! A hundred rules of a name and two attribute comparisons each, compiled from source and loaded.

use std::sync::Arc;

use betrace::engine::{Engine, Rule};

pub const RULES: usize = 100;

/// The rules, over so many names. The traffic has [`NAMES`](super::traffic::NAMES), ten of them in a trace: over 20
/// names a trace concerns 50 rules, over 100 names 10.
pub fn load(engine: &Engine, names: usize) -> Vec<Arc<Rule>> {
    let rules = loaded(engine, &source(names));
    assert_eq!(rules.len(), RULES);
    rules
}

/// The rules of a text, none of which may be wrong.
pub fn loaded(engine: &Engine, source: &str) -> Vec<Arc<Rule>> {
    let output = betrace_dsl::compile("bench", source.as_bytes());
    assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics);
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
        .map(|number| rule(number, number % names))
        .collect()
}

/// The text of one, over a name.
pub fn rule(number: usize, name: usize) -> String {
    format!(
        "rule rule-{number} {{ detect {{ shop.step_{name}.where(http.response.status_code >= 500 and amount > {}) }} }}\n",
        1_000 + number
    )
}
