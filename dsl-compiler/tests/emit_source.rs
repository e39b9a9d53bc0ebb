//! From source to verdict: the two examples that people bring.

mod emit_support;

use betrace_dsl::reference::{Finding, Span, Value};
use betrace_dsl::types::tree::Place;
use betrace_dsl::{CompiledRule, Known};
use emit_support::Compiled;
use emit_support::trees::{span, trace};

#[track_caller]
fn compiled(source: &str) -> Compiled {
    let output = betrace_dsl::compile("example", source.as_bytes());
    assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics);
    assert_eq!(output.rules.len(), 1);
    Compiled::of_bytes(&output.rules[0].component)
}

fn attribute(mut span: Span, key: &str, value: Value) -> Span {
    span.attributes.push((Place::Span, key.to_owned(), value));
    span
}

#[test]
fn the_bare_condition_of_the_article() {
    let mut rule = compiled(
        "# as pasted\n\
         trace.spans.where(service == 'sales').count() > 10 AND trace.spans.any.where(user_id == '12345')",
    );
    let sale = |user: &str| {
        let of_sales = Span {
            service: Some("sales".to_owned()),
            ..span("sale")
        };
        attribute(of_sales, "user_id", Value::Text(user.to_owned()))
    };
    let mut spans = vec![sale("1"); 10];
    spans.push(attribute(
        span("other"),
        "user_id",
        Value::Text("12345".to_owned()),
    ));
    assert_eq!(rule.judge(trace(spans.clone())), []);
    spans.push(sale("1"));
    assert_eq!(
        rule.judge(trace(spans.clone())),
        [Finding {
            clause: 0,
            spans: (0..12).collect(),
            more: 0
        }]
    );
    spans[10].attributes[0].2 = Value::Int(12345);
    assert_eq!(rule.judge(trace(spans)), [], "text is never a number");
}

#[test]
fn when_always_never() {
    let mut rule = compiled(
        "when   { payment.charge_card.where(amount > 1000) }\n\
         always { payment.fraud_check }\n\
         never  { payment.bypass_validation }",
    );
    let charge = |amount| attribute(span("payment.charge_card"), "amount", Value::Float(amount));
    let finding = |clause, spans: &[usize]| Finding {
        clause,
        spans: spans.to_vec(),
        more: 0,
    };
    assert_eq!(rule.judge(trace(vec![charge(1000.0)])), []);
    assert_eq!(rule.judge(trace(vec![charge(1000.5)])), [finding(0, &[0])]);
    assert_eq!(
        rule.judge(trace(vec![
            span("payment.bypass_validation"),
            charge(5000.0),
            charge(1.0),
        ])),
        [finding(0, &[1]), finding(1, &[0, 1])]
    );
    assert_eq!(
        rule.judge(trace(vec![charge(5000.0), span("payment.fraud_check")])),
        []
    );
}

#[test]
fn functions_have_readable_names() {
    let source =
        "when { payment.charge.where(amount > 3) } never { spans.where(name matches '^x') }";
    let output = betrace_dsl::compile("example", source.as_bytes());
    let (rules, _) = betrace_dsl::check("example", source.as_bytes());
    let plan = betrace_dsl::plan::plan(&rules[0], source).unwrap();
    assert!(!output.rules.is_empty());
    let module = betrace_dsl::emit::core_module(&plan).unwrap();
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&module) {
        let wasmparser::Payload::CustomSection(section) = payload.unwrap() else {
            continue;
        };
        let wasmparser::KnownCustom::Name(section) = section.as_known() else {
            continue;
        };
        for subsection in section {
            if let wasmparser::Name::Function(functions) = subsection.unwrap() {
                names.extend(
                    functions
                        .into_iter()
                        .map(|name| name.unwrap().name.to_owned()),
                );
            }
        }
    }
    for name in [
        "evaluate",
        "when",
        "clause 0: never spans.where(name matches '^x')",
        "set 0: payment.charge.where(amount > 3)",
        "pattern 0: matches \"^x\"",
        "evidence of clause 0",
    ] {
        assert!(
            names.iter().any(|known| known == name),
            "{name} in {names:?}"
        );
    }
}

/// What a host keeps of a file for each of its rules, and explains them from.
#[test]
fn a_rule_alone_is_the_rule_in_its_file() {
    let file = b"# notes\n\
        /// Too many sales.\n\
        ///\n\
        ///   With room before it.\n\
        rule sales {\n    # inside\n    detect { spans.where(service == sales).count() > 10 }\n}\n\n\
        rule plain { detect { spans.count() > 1 } } /// of the next\n\
        rule next { when { a } always { b } }\n";
    let whole = betrace_dsl::compile("file", file);
    assert!(whole.diagnostics.is_empty(), "{:?}", whole.diagnostics);
    assert_eq!(whole.rules.len(), 3);
    for rule in &whole.rules {
        let alone = betrace_dsl::compile("file", rule.source.as_bytes());
        assert_eq!(alone.rules, std::slice::from_ref(rule), "{}", rule.source);
    }
    let bare = b"/// Why.\nspans.count() > 10 # as pasted\n";
    let whole = betrace_dsl::compile("bare", bare);
    assert_eq!(whole.rules[0].source.as_bytes(), bare);
    for known in [Known::Warned, Known::Clean] {
        let known = |id: &str, source: &str| match (id, source) == ("sales", &*sales_of(file)) {
            true => known,
            false => Known::No,
        };
        let changed = betrace_dsl::compile_changed("file", file, &known);
        let empty = changed.rules.iter().map(|rule| rule.component.is_empty());
        assert_eq!(empty.collect::<Vec<_>>(), [true, false, false]);
        for (changed, whole) in changed.rules.iter().zip(&whole_of(file)) {
            assert_eq!(
                (&changed.id, &changed.source, changed.clean),
                (&whole.id, &whole.source, true)
            );
        }
    }
}

fn whole_of(file: &[u8]) -> Vec<CompiledRule> {
    betrace_dsl::compile("file", file).rules
}

fn sales_of(file: &[u8]) -> String {
    whole_of(file)[0].source.clone()
}

/// What is known to be without a mistake is passed over, and all else of its file is told as ever.
#[test]
fn a_file_with_known_rules_is_told_of_as_the_whole_of_it() {
    let good = [
        "rule a { detect { x } }",
        "/// Of b.\nrule b { when { y } always { z } }",
    ];
    let odd = "rule w { detect { spans.where(sevice == sales) } }";
    let others = [
        odd,
        "rule c { detect { } }",
        "rule a { detect { w } }",
        "rule d { detect { x } ",
        "} rule e { detect { y } }",
        "rule b { when { y } always { zz } }",
    ];
    let mut clean = Vec::new();
    for rule in good.iter().chain([&odd]) {
        clean.extend(whole_of(rule.as_bytes()));
    }
    assert_eq!(
        clean.iter().map(|rule| rule.clean).collect::<Vec<_>>(),
        [true, true, false]
    );
    let known = |id: &str, source: &str| {
        let known = clean
            .iter()
            .find(|rule| rule.id == id && rule.source == source);
        match known.map(|rule| rule.clean) {
            None => Known::No,
            Some(true) => Known::Clean,
            Some(false) => Known::Warned,
        }
    };
    for other in others {
        for file in [
            format!("{}\n{}\n{other}", good[0], good[1]),
            format!("{}\n{other}\n{}", good[0], good[1]),
            format!("{other}\n{}\n{}", good[0], good[1]),
        ] {
            let whole = betrace_dsl::compile("file", file.as_bytes());
            let changed = betrace_dsl::compile_changed("file", file.as_bytes(), &known);
            assert_eq!(changed.diagnostics, whole.diagnostics, "{file}");
            let of = |rules: Vec<CompiledRule>| -> Vec<(String, String, bool)> {
                let of = |rule: CompiledRule| (rule.id, rule.source, rule.clean);
                rules.into_iter().map(of).collect()
            };
            assert_eq!(of(changed.rules), of(whole.rules), "{file}");
        }
    }
}
