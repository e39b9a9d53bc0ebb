//! What a rule says of itself: columns, constants, triggers, stability; from source, as `describe` returns it.

mod emit_support;

use emit_support::Compiled;
use emit_support::types::{
    Attribute, ClauseKind, Intrinsic, Manifest, Place, Severity, Source, Table, Trigger, Types,
};

#[track_caller]
fn described(source: &str) -> Manifest {
    let output = betrace_dsl::compile("test", source.as_bytes());
    let [rule] = output.rules.as_slice() else {
        panic!("one rule in {source}: {:?}", output.diagnostics);
    };
    Compiled::of_bytes(&rule.component).manifest
}

/// Triggers in short: `name`, `prefix*`, `service:s`, `attr:key`.
#[track_caller]
fn triggers(source: &str) -> String {
    let short = |trigger: &Trigger| match trigger {
        Trigger::Name(name) => name.clone(),
        Trigger::NamePrefix(prefix) => format!("{prefix}*"),
        Trigger::Service(service) => format!("service:{service}"),
        Trigger::Attribute(attribute) => format!("attr:{}", attribute.key),
    };
    let group = |group: &Vec<Trigger>| group.iter().map(short).collect::<Vec<_>>().join("|");
    let manifest = described(source);
    manifest
        .triggers
        .iter()
        .map(group)
        .collect::<Vec<_>>()
        .join(" & ")
}

#[track_caller]
fn stable(source: &str) -> Vec<bool> {
    let manifest = described(source);
    manifest
        .clauses
        .iter()
        .map(|clause| clause.stable)
        .collect()
}

#[test]
fn a_rule_describes_itself() {
    let manifest = described(
        "/// Payments need a check.\n\
         rule pay-check {\n\
           severity: critical\n\
           tags: [payments, \"soc2.cc6_1\"]\n\
           when { payment.charge.where(amount > 1000 and currency == USD) }\n\
           always { payment.check.where(name matches 'check$') }\n\
           never { payment.bypass }\n\
           message: \"a charge without a check\"\n\
         }",
    );
    assert_eq!(manifest.abi, 1);
    assert_eq!(manifest.id, "pay-check");
    assert_eq!(manifest.description, "Payments need a check.");
    assert_eq!(manifest.severity, Severity::Critical);
    assert_eq!(manifest.tags, ["payments", "soc2.cc6_1"]);
    assert_eq!(manifest.message, "a charge without a check");
    let clauses: Vec<_> = manifest
        .clauses
        .iter()
        .map(|clause| (clause.kind, clause.text.as_str(), clause.stable))
        .collect();
    assert_eq!(
        clauses,
        [
            (
                ClauseKind::Always,
                "payment.check.where(name matches 'check$')",
                false
            ),
            (ClauseKind::Never, "payment.bypass", true),
        ]
    );
    let [name, amount, currency] = manifest.columns.as_slice() else {
        panic!("{:?}", manifest.columns);
    };
    assert!(matches!(name.source, Source::Intrinsic(Intrinsic::Name)));
    assert!(name.text);
    assert_eq!(name.compared, Types::empty());
    assert_eq!(name.table, Table::Spans);
    let Source::Attribute(Attribute { place, key }) = &amount.source else {
        panic!("{amount:?}");
    };
    assert_eq!((*place, key.as_str()), (Place::Any, "amount"));
    assert_eq!(amount.compared, Types::INTEGER | Types::FLOAT);
    assert!(!amount.text && !currency.text);
    assert_eq!(currency.compared, Types::TEXT);
    assert_eq!(
        manifest.constants,
        ["payment.charge", "USD", "payment.check", "payment.bypass"]
    );
}

#[test]
fn triggers_are_what_must_be_there() {
    for (source, expected) in [
        ("payment.charge", "payment.charge"),
        ("payment.*", "payment.*"),
        ("a and b", "a & b"),
        ("a or b", "a|b"),
        ("(a and b) or (c and d)", "a|c & a|d & b|c & b|d"),
        ("not a", ""),
        ("a and not b", "a"),
        ("a or not b", ""),
        ("expect { a }", ""),
        ("expect { not a }", "a"),
        (
            "spans.where(service == sales).count() > 10",
            "service:sales",
        ),
        (
            "spans.where(service in [sales, billing])",
            "service:billing|service:sales",
        ),
        ("spans.where(service != sales)", ""),
        ("spans.where(amount > 3)", "attr:amount"),
        (
            "spans.where(amount > 3 or exists(total))",
            "attr:amount|attr:total",
        ),
        ("spans.where(not amount > 3)", ""),
        ("spans.where(missing(amount))", ""),
        ("spans.where(name starts_with 'GET ')", "GET *"),
        ("spans.where(name like 'GET *x')", "GET *"),
        ("spans.where(user not in [a])", "attr:user"),
        ("a.where(attr.b == 1)", "a & attr:b"),
        ("a.count() > 0", "a"),
        ("a.count() >= 1", "a"),
        ("a.count() >= 0", ""),
        ("a.count() < 3", ""),
        ("a.count() == 0", ""),
        ("a.count() == 2", "a"),
        ("a.count() != 0", "a"),
        ("not (a.count() == 0)", "a"),
        ("3 < a.count()", "a"),
        ("a.count() > b.count()", "a"),
        ("a.count() < b.count()", "b"),
        ("a.count() == b.count()", ""),
        ("a.all(amount > 3)", ""),
        ("not a.all(amount > 3)", "a"),
        ("a.none(amount > 3)", ""),
        ("a.any(amount > 3)", "a & attr:amount"),
        ("spans.where(events.any(name == exception))", ""),
        ("when { a } always { b }", "a"),
        ("when { a } never { b }", "a & b"),
        ("when { a } never { b } never { c }", "a & b|c"),
        ("when { a } always { b } never { c }", "a"),
        ("when { not a } always { b }", ""),
    ] {
        assert_eq!(triggers(source), expected, "{source}");
    }
}

#[test]
fn triggers_are_bounded() {
    let or = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        names.join(" or ")
    };
    assert_eq!(described(&or(256)).triggers[0].len(), 256);
    assert!(described(&or(257)).triggers.is_empty());
    let and = or(50).replace(" or ", " and ");
    assert_eq!(described(&and).triggers.len(), 8);
}

#[test]
fn stable_is_what_more_spans_cannot_undo() {
    for (source, expected) in [
        ("a", true),
        ("not a", false),
        ("a or b", true),
        ("a and not b", false),
        ("a.count() > 3", true),
        ("a.count() >= 3", true),
        ("a.count() < 3", false),
        ("a.count() == 3", false),
        ("a.count() != 3", false),
        ("3 < a.count()", true),
        ("not (a.count() < 3)", true),
        ("a.count() > b.count()", false),
        ("a.all(amount > 3)", false),
        ("not a.all(amount > 3)", true),
        ("a.none(amount > 3)", false),
        ("expect { a }", false),
        ("expect { not a }", true),
        ("expect { a.all(amount > 3) }", true),
        ("expect { a.count() <= 3 }", true),
        ("spans.where(depth > 3)", false),
        ("spans.where(child_count > 3)", false),
        ("spans.where(self_time > 3s)", false),
        ("spans.where(is_leaf)", false),
        ("spans.where(is_root)", true),
        ("spans.where(duration > 3s)", true),
        ("spans.where(end > start)", true),
        ("spans.where(events.all(name == x))", true),
    ] {
        assert_eq!(stable(source), [expected], "{source}");
    }
    assert_eq!(stable("when { a } always { b } never { c }"), [false, true]);
    assert_eq!(
        stable("when { not a } always { b } never { c }"),
        [false, false]
    );
}
