//! Automata, as planned and as walked by emitted code, agree with regex-automata's own search.

mod emit_support;

use betrace_dsl::plan::{self, MatcherKind};
use betrace_dsl::reference::{self, Value};
use betrace_dsl::types::tree::{Condition, Pattern, Predicate, Rule};
use emit_support::Compiled;
use emit_support::trees::{attribute, detect, spans, trace, with};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn regex() -> impl Strategy<Value = String> {
    let atom = select(vec![
        "a",
        "b",
        "é",
        ".",
        "(?s:.)",
        r"\d",
        r"\D",
        r"\w",
        r"\W",
        r"\s",
        r"\b",
        r"\B",
        "^",
        "$",
        "[ab]",
        "[^a]",
        "(?i:É)",
        r"\p{Lu}",
        "(?m:^)",
        "(?m:$)",
        r"\b{start}",
        "",
    ])
    .prop_map(str::to_owned);
    atom.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            1 => vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join("|"))),
            2 => (inner, select(vec!["*", "+", "?", "{2}", "{1,3}", "*?"]))
                .prop_map(|(inner, times)| format!("(?:{inner}){times}")),
        ]
    })
}

fn glob() -> impl Strategy<Value = String> {
    vec(select(vec!["*", "?", "a", "b", "é", "\n"]), 0..6).prop_map(|parts| parts.concat())
}

fn text() -> impl Strategy<Value = String> {
    vec(
        select(vec!["a", "b", "é", "É", "\u{1f600}", "7", " ", "\n", "_"]),
        0..8,
    )
    .prop_map(|parts| parts.concat())
}

fn rule(pattern: Pattern) -> Rule {
    detect(Condition::Exists(spans(Predicate::Text(
        attribute("x"),
        pattern,
    ))))
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        4 => regex().prop_map(Pattern::Matches),
        1 => glob().prop_map(Pattern::Like),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn planned_automata_answer_as_a_search_does(pattern in any_pattern(), texts in vec(text(), 10)) {
        let rule = rule(pattern);
        let plan = plan::plan(&rule, "").expect("small enough");
        let MatcherKind::Automaton(automaton) = &plan.matchers[0].kind else {
            panic!("an automaton");
        };
        for text in texts {
            let of = trace(vec![with(Value::Text(text.clone()))]);
            let expected = !reference::evaluate(&rule, &of).is_empty();
            prop_assert_eq!(automaton.matches(&text), expected, "{:?}", text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn emitted_code_walks_them_alike(pattern in any_pattern(), texts in vec(text(), 30)) {
        let rule = rule(pattern);
        let mut compiled = Compiled::new(&rule, "");
        let traces: Vec<_> = texts.into_iter().map(|text| trace(vec![with(Value::Text(text))])).collect();
        let expected: Vec<_> = traces.iter().map(|trace| reference::evaluate(&rule, trace)).collect();
        prop_assert_eq!(compiled.evaluate(&traces), expected);
    }
}
