//! Files that no author writes: too large, too deep, or no rules at all. None makes the compiler panic, overflow the
//! stack or hang, and each says which bound it met.

use betrace_dsl::diagnostic::{Code, Diagnostic, MAX_DIAGNOSTICS};
use betrace_dsl::syntax::{MAX_FILE_BYTES, MAX_RULE_BYTES};
use betrace_dsl::{check, compile};
use proptest::prelude::*;

/// Checks and renders, as a user would.
fn told(source: impl AsRef<[u8]>) -> Vec<Diagnostic> {
    let source = source.as_ref();
    let output = compile("rule", source);
    let diagnostics = output.diagnostics;
    let text = String::from_utf8_lossy(source);
    for diagnostic in &diagnostics {
        let rendered = diagnostic.render("rule.betrace", &text, false);
        assert!(
            rendered.len() < 20_000,
            "{} bytes to tell of {}",
            rendered.len(),
            diagnostic.code
        );
    }
    let errors = diagnostics
        .iter()
        .filter(|told| told.code.as_str().starts_with('E'))
        .count();
    assert!(errors <= MAX_DIAGNOSTICS + 1);
    assert_eq!(errors > 0, output.rules.is_empty());
    diagnostics
}

fn codes(source: impl AsRef<[u8]>) -> Vec<Code> {
    told(source).iter().map(|told| told.code).collect()
}

#[test]
fn a_file_has_a_bound() {
    assert_eq!(codes(vec![b'a'; MAX_FILE_BYTES + 1]), [Code::FileTooLarge]);
    assert_eq!(codes(vec![0xff; 10 << 20]), [Code::FileTooLarge]);
}

#[test]
fn a_rule_has_a_bound_and_its_neighbours_do_not_mind() {
    let long = "x".repeat(MAX_RULE_BYTES);
    let source = format!("rule a {{ detect {{ \"{long}\" }} }}\nrule b {{ detect {{ payment }} }}");
    let (rules, diagnostics) = check("rule", source.as_bytes());
    assert_eq!(
        diagnostics.iter().map(|told| told.code).collect::<Vec<_>>(),
        [Code::RuleTooLarge]
    );
    assert_eq!(rules.len(), 1);
    assert_eq!(codes(format!("\"{long}\"")), [Code::RuleTooLarge]);
}

#[test]
fn a_pattern_has_a_bound() {
    let long = "a".repeat(4097);
    assert_eq!(
        codes(format!("spans.where(name matches '{long}')")),
        [Code::RegexTooLarge]
    );
    // Short, and its automaton has a million states.
    assert_eq!(
        codes("spans.where(name matches '(a|b)*a(a|b){20}')"),
        [Code::RegexTooLarge]
    );
}

#[test]
fn errors_past_a_hundred_are_counted() {
    let told = told("rule a { detect { 5 } }\n".repeat(300));
    assert_eq!(told.len(), MAX_DIAGNOSTICS + 1);
    let last = told.last().unwrap();
    assert_eq!(last.code, Code::TooManyErrors);
    // 300 conditions that are none, 299 ids that are taken.
    assert_eq!(last.message, "and 499 more errors");
}

#[test]
fn a_million_nots_are_one_error() {
    assert_eq!(codes("not ".repeat(1_000_000)), [Code::NestingTooDeep]);
    assert_eq!(codes("!".repeat(4_000_000)), [Code::NestingTooDeep]);
}

#[test]
fn five_thousand_parentheses_are_one_error() {
    let open = "(".repeat(5000);
    assert_eq!(
        codes(format!("{open}payment{}", ")".repeat(5000))),
        [Code::NestingTooDeep]
    );
    assert_eq!(codes(&open), [Code::NestingTooDeep]);
    assert_eq!(
        codes(format!("detect {{ {open} }}")),
        [Code::NestingTooDeep]
    );
}

#[test]
fn a_hundred_levels_are_fine() {
    let (open, close) = ("(".repeat(99), ")".repeat(99));
    assert_eq!(codes(format!("detect {{ {open}payment{close} }}")), []);
    let (rules, _) = check("rule", format!("{}payment", "not ".repeat(100)).as_bytes());
    assert_eq!(rules.len(), 1);
}

#[test]
fn long_chains_are_flat() {
    for (start, piece) in [
        ("payment", " and payment"),
        ("payment", " or a.b"),
        ("spans", ".where(a)"),
        ("spans.where(a", " or a"),
        ("a", ".b"),
        ("spans.where(a in [b", ", b"),
        ("spans.where(a", " - a"),
        ("a", " == a"),
        ("spans.any", ".any"),
        ("attr[\"a\"]", "[\"a\"]"),
    ] {
        for bytes in [MAX_RULE_BYTES, MAX_FILE_BYTES / 4] {
            told(format!(
                "{start}{}",
                piece.repeat((bytes - 100) / piece.len())
            ));
        }
    }
}

#[test]
fn every_kind_of_garbage_is_linear() {
    let size = MAX_FILE_BYTES / 8;
    for piece in [
        "\0",
        "é",
        ";",
        "'",
        "\"",
        "'\n",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "{}",
        "(}",
        "({",
        "[)",
        ".",
        "a.",
        ".a",
        "..*",
        "-",
        "- ",
        "a-",
        "1",
        "1.",
        "1e",
        "1e+",
        "1.5.",
        "#",
        "#\n",
        "//",
        "///\n",
        "///\nrule a {}\n",
        "=",
        "==",
        "=>",
        "a=>",
        "a:",
        "a{",
        "a{}",
        "rule ",
        "rule a",
        "rule a{",
        "rule a{detect{",
        "detect{",
        "when{",
        "let ",
        "let a",
        "over 1s ",
        "severity:",
        "tags:[",
        "message:\"{\"",
        "a in ",
        "a in [",
        "not in ",
        "as ",
        "any(a in b:",
        "a matches '(' ",
        "\\",
        "'\\",
        "spans.",
        "events.any(",
        "exists(",
        "any.where(",
        "\u{feff}",
        "\r",
        "\u{b}",
    ] {
        told(piece.repeat(size / piece.len()));
        told(format!(
            "detect {{ spans.where({}",
            piece.repeat(60_000 / piece.len())
        ));
    }
}

/// Words of the language and of other things, in any order.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "rule",
        "a",
        "b.c",
        "detect",
        "expect",
        "when",
        "always",
        "never",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        ".",
        "spans",
        "trace.spans",
        ".where(",
        ".any(",
        ".all(",
        ".none(",
        ".count()",
        ".exists",
        "any.where(",
        "count(",
        "exists(",
        "missing(",
        "and",
        "or",
        "not",
        "!",
        "&&",
        "||",
        "==",
        "!=",
        "<",
        ">=",
        "in",
        "not in",
        "contains",
        "like",
        "matches",
        "'x'",
        "\"GET /\"",
        "'('",
        "5",
        "1.5",
        "5s",
        "-",
        "*",
        ".*",
        "events",
        "links",
        "status",
        "error",
        "kind",
        "duration",
        "is_root",
        "attr.x",
        "resource[\"y\"]",
        "true",
        "severity:",
        "high",
        "tags:",
        "message:",
        "as",
        "before",
        "=>",
        "let",
        "list",
        "over",
        "1m",
        "by",
        "#",
        "\n",
        "///",
        "\u{0}",
        "é",
        "'",
        "\\",
    ]);
    let gap = prop::sample::select(vec!["", " ", " ", "\n"]);
    prop::collection::vec((word, gap), 0..60).prop_map(|words| {
        words
            .into_iter()
            .map(|(word, gap)| format!("{word}{gap}"))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        told(bytes);
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        told(text);
    }

    #[test]
    fn any_words_are_survived(text in words()) {
        told(text);
    }

    #[test]
    fn words_inside_a_body_are_survived(text in words()) {
        told(format!("rule a {{ detect {{ spans.where({text}).exists }} }} rule b {{ detect {{ {text} }} }}"));
    }
}

#[test]
fn rules_that_are_too_wide_are_told_up_to_a_bound() {
    let clauses: String = (0..257).map(|n| format!("never {{ s{n} }}\n")).collect();
    let rules = |count: usize| -> String {
        let rule = |n| format!("rule r{n} {{ when {{ a }}\n{clauses}}}\n");
        (0..count).map(rule).collect()
    };
    for (count, told) in [(3, 3), (40, 16)] {
        let output = betrace_dsl::compile("wide", rules(count).as_bytes());
        assert_eq!(output.diagnostics.len(), told);
        assert!(output.rules.is_empty());
    }
}
