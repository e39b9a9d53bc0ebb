//! What explanations say of rules as people write them.

mod emit_support;
mod shown;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use betrace_dsl::diagnostic::{Code, Level};
use betrace_dsl::plan::{self, PartKind};
use betrace_dsl::reference::{Answer, Item, Span, Trace, Value};
use betrace_dsl::types::tree::{Place, Rule};
use betrace_dsl::{check, explain};
use emit_support::explained::Explained;
use emit_support::trees::{event, span, trace};
use emit_support::types::Source;

fn attributed(name: &str, attributes: &[(&str, Value)]) -> Span {
    let attributes = attributes.iter();
    Span {
        attributes: attributes
            .map(|(key, value)| (Place::Span, (*key).to_owned(), value.clone()))
            .collect(),
        ..span(name)
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The parts of a bare condition or of a rule, with what they are for one trace.
fn told(source: &str, trace: &Trace) -> String {
    let id = "a-rule";
    let explanation = explain(id, source.as_bytes(), id).expect("it can be explained");
    let mut explained = Explained::of_bytes(&explanation.component);
    let answers = explained.explain(std::slice::from_ref(trace)).remove(0);
    let mut out = String::new();
    let mut depths: Vec<usize> = Vec::new();
    for (part, answer) in explained.parts.iter().zip(&answers) {
        let depth = part.parent.map_or(0, |parent| depths[parent as usize] + 1);
        depths.push(depth);
        let columns: Vec<String> = part
            .columns
            .iter()
            .map(
                |column| match &explained.manifest.columns[*column as usize].source {
                    Source::Attribute(attribute) => attribute.key.clone(),
                    Source::Intrinsic(intrinsic) => last_word(intrinsic),
                },
            )
            .collect();
        let _ = write!(
            out,
            "{:indent$}{} {}: {}",
            "",
            last_word(&part.kind),
            part.text,
            answered(answer),
            indent = 2 * depth
        );
        if !columns.is_empty() {
            let _ = write!(out, " (reads {})", columns.join(", "));
        }
        out.push('\n');
    }
    out
}

fn answered(answer: &Answer) -> String {
    let mut out = answer.holds.to_string();
    if answer.count + answer.others > 0 {
        let _ = write!(out, ", {} {:?}", answer.count, answer.spans);
    }
    if answer.others > 0 {
        let _ = write!(out, ", others {}", answer.others);
    }
    out
}

/// `filterboth` of `PartKind::FilterBoth`.
fn last_word(of: &dyn std::fmt::Debug) -> String {
    let whole = format!("{of:?}");
    whole.rsplit("::").next().unwrap_or("").to_lowercase()
}

#[test]
fn both_sides_of_an_and_are_told_though_one_decides() {
    let source = "trace.spans.where(service == 'sales').count() > 2 AND trace.spans.any.where(user_id == '12345')";
    let of_sales = |name: &str, user: Value| Span {
        service: Some("sales".to_owned()),
        ..attributed(name, &[("user_id", user)])
    };
    let of = trace(vec![
        of_sales("a", text("12345")),
        of_sales("b", Value::Int(12345)),
        attributed("c", &[("user_id", text("12345"))]),
    ]);
    insta::assert_snapshot!(told(source, &of));
}

#[test]
fn a_when_that_is_false_hides_no_clause() {
    let source = "
        rule a-rule {
          when   { payment.charge_card.where(amount > 1000 and currency in [USD, EUR]) }
          always { payment.fraud_check   # of any kind
                   or manual.* }
          never  { payment.bypass_validation }
        }";
    let charge = attributed(
        "payment.charge_card",
        &[("amount", text("1500")), ("currency", text("USD"))],
    );
    let of = trace(vec![
        charge,
        span("payment.bypass_validation"),
        span("manual.check"),
    ]);
    insta::assert_snapshot!(told(source, &of));
}

#[test]
fn every_names_the_spans_that_violate_it_and_counts_those_asked() {
    let source = "expect { spans.where(status == error).all(not retried or attempt < 3) }";
    let failed = |attributes: &[(&str, Value)]| Span {
        status: 2,
        ..attributed("call", attributes)
    };
    let of = trace(vec![
        span("root"),
        failed(&[("retried", Value::Bool(true)), ("attempt", Value::Int(5))]),
        failed(&[("retried", Value::Bool(false))]),
        failed(&[
            ("retried", Value::Bool(true)),
            ("attempt", Value::Float(2.5)),
        ]),
    ]);
    insta::assert_snapshot!(told(source, &of));
}

#[test]
fn two_sets_that_are_counted_stand_side_by_side() {
    let of = trace(vec![span("a.open"), span("a.open"), span("a.close")]);
    insta::assert_snapshot!(told(
        "a.open.count() == a.close.where(duration >= 0.5s).count() or 3 <= a.*.count()",
        &of
    ));
}

#[test]
fn predicates_of_events_name_the_spans_that_have_such_an_event() {
    let source = "spans.none(events.any(name == exception and attr[\"exception.type\"] matches 'Timeout$') or links.count() > 1)";
    let thrown = |name: &str, kind: &str| Item {
        attributes: vec![("exception.type".to_owned(), text(kind))],
        ..event(name)
    };
    let with = |events: Vec<Item>, links: usize| Span {
        events,
        links: vec![Item::default(); links],
        ..span("job")
    };
    let of = trace(vec![
        with(
            vec![thrown("exception", "Other"), thrown("log", "ReadTimeout")],
            0,
        ),
        with(vec![thrown("exception", "ReadTimeout")], 1),
        with(Vec::new(), 2),
    ]);
    insta::assert_snapshot!(told(source, &of));
}

#[test]
fn constants_and_negations_are_parts_as_they_are_written() {
    let of = trace(vec![attributed("a", &[("x", Value::Int(1))])]);
    insta::assert_snapshot!(told(
        "detect { a.where(x == 'one') and true and not missing(a) }",
        &of
    ));
}

#[test]
fn more_than_a_hundred_spans_are_counted() {
    let of = trace(vec![span("a"); 250]);
    let told = told("a.count() >= 250", &of);
    assert!(
        told.contains("number a.count() >= 250: true, 250 [0, 1, "),
        "{told}"
    );
    assert!(told.contains("98, 99]\n"), "{told}");
}

fn rule_files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("tests/corpus"), root.join("../rules")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "betrace") {
                sources.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    sources
}

fn without_errors(source: &str) -> Vec<Rule> {
    let (rules, told) = check("a-rule", source.as_bytes());
    let errors = told.iter().filter(|told| told.level == Level::Error);
    let errors: Vec<String> = errors
        .map(|told| told.render("rule", source, false))
        .collect();
    assert!(errors.is_empty(), "{source}\n{}", errors.join("\n"));
    rules
}

#[test]
fn texts_of_parts_are_rules_of_the_same_meaning() {
    let mut sources = rule_files();
    assert!(sources.len() >= 60, "only {} files", sources.len());
    sources.extend(
        [
            "spans.where(a.b == 1 and not (attr.c or resource[\"d e\"] == -1.5e300) and exists(attr[\"x.exists\"]))",
            "spans.where(not a == 'q\"\\\\\\u{7f}\\n' or b not in [1, -2, true] or c like '*?' or d starts_with attr.e)",
            "spans.where(kind == SERVER or status != ok or duration > 90s or end > start or is_root or not is_leaf)",
            "spans.where(events.all(x or attr.name == n or attr.duration == 1) and links.where(trace_id == '00112233445566778899aabbccddeeff').count() < 2.5)",
            "'GET /'.where(x).count() != spans.count() or not ('where' and 'a.count' and 'not' and 'spans' and trace.*) or 'name'",
            "'5xx' or '' or 'a.-b' or a-b.c_d or 'café'.all(5 < depth) or a.5xx or (x or y and z) and not not (w or v)",
            "spans.where(duration <= 0s or duration == 1ns or duration < 1500us or duration > 36h or self_time == duration)",
            "spans.where(scope.name == 'lib' or scope[\"name\"] == 'l' or resource.in == 'x' or key == list or attr.exists.y == 1)",
        ]
        .map(str::to_owned),
    );
    let mut conditions = 0;
    for source in &sources {
        for rule in without_errors(source) {
            let explanation = plan::explain(&rule, source).unwrap();
            let clauses = rule
                .when
                .iter()
                .chain(rule.clauses.iter().map(|(_, clause)| clause));
            let roots = explanation
                .parts
                .iter()
                .zip(explanation.parts.iter().skip(1));
            let roots = roots.filter(|(root, _)| root.parent.is_none());
            for (clause, (_, part)) in clauses.zip(roots) {
                let again = without_errors(&format!("detect {{ {} }}", part.text));
                let meaning = again.iter().flat_map(|rule| &rule.clauses);
                let meaning: Vec<String> = meaning
                    .map(|(_, clause)| shown::condition(&clause.condition))
                    .collect();
                assert_eq!(
                    meaning,
                    [shown::condition(&clause.condition)],
                    "{}",
                    part.text
                );
                conditions += 1;
            }
        }
    }
    assert!(conditions >= 80, "only {conditions} conditions");
}

#[test]
fn parts_of_parts_are_told_in_their_own_words() {
    let source = "detect { a.where(x and (y or z == 1)).all(w) }";
    let rules = without_errors(source);
    let parts = plan::explain(&rules[0], source).unwrap().parts;
    let texts: Vec<(PartKind, &str)> = parts
        .iter()
        .map(|part| (part.kind, part.text.as_str()))
        .collect();
    use PartKind::*;
    assert_eq!(
        texts,
        [
            (Detect, "a.where(x and (y or z == 1)).all(w)"),
            (Every, "a.where(x).where(y or z == 1).all(w)"),
            (Base, "a"),
            (Filter, "x"),
            (FilterEither, "y or z == 1"),
            (Filter, "y"),
            (Filter, "z == 1"),
            (Filter, "w"),
        ]
    );
}

#[test]
fn one_rule_of_a_file_is_explained_whatever_the_others_are() {
    let source = b"rule a { detect { x } }\nrule b { detect { spans.where(duration > 5) } }";
    assert!(explain("file", source, "a").is_ok());
    let codes = |id: &str| -> Vec<Code> {
        let told = explain("file", source, id).unwrap_err();
        told.iter().map(|told| told.code).collect()
    };
    assert_eq!(codes("b"), [Code::DurationWithoutUnit, Code::NoSuchRule]);
    assert_eq!(codes("c"), [Code::DurationWithoutUnit, Code::NoSuchRule]);
    let told = explain("file", b"\xff", "a").unwrap_err();
    assert_eq!(told[0].code, Code::InvalidUtf8);
}

#[test]
fn the_bounds_of_rules_are_those_of_explanations() {
    let clauses: String = (0..257).map(|n| format!("never {{ s{n} }}\n")).collect();
    let wide = format!("when {{ a }}\n{clauses}");
    let told = explain("wide", wide.as_bytes(), "wide").unwrap_err();
    assert_eq!(told[0].code, Code::RuleTooWide);
    let told = explain(
        "large",
        b"spans.where(name matches '(a|b)*a(a|b){20}')",
        "large",
    )
    .unwrap_err();
    assert_eq!(told[0].code, Code::RegexTooLarge);
}
