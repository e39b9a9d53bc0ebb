//! What rules mean: sources beside their typed trees, and the settled cases of the language one by one.

mod shown;

use betrace_dsl::check;
use betrace_dsl::diagnostic::{Code, Level};
use betrace_dsl::types::tree::{ClauseKind, Condition, Predicate, Rule, Severity};

fn rules(source: &str) -> Vec<Rule> {
    let (rules, diagnostics) = check("rule", source.as_bytes());
    let errors = diagnostics.iter().filter(|told| told.level == Level::Error);
    let errors: Vec<String> = errors
        .map(|told| told.render("rule", source, false))
        .collect();
    assert!(errors.is_empty(), "{source}\n{}", errors.join("\n"));
    rules
}

fn rule(source: &str) -> Rule {
    let mut rules = rules(source);
    assert_eq!(rules.len(), 1, "{source}");
    rules.remove(0)
}

/// The condition of a file that holds one bare condition.
fn meaning(source: &str) -> String {
    let rule = rule(source);
    assert_eq!(rule.clauses.len(), 1, "{source}");
    shown::condition(&rule.clauses[0].1.condition)
}

/// What a predicate means in `where`.
fn where_(predicate: &str) -> String {
    let source = format!("spans.where({predicate})");
    match &rule(&source).clauses[0].1.condition {
        Condition::Exists(set) => match set.filters.as_slice() {
            [only] => shown::predicate(only),
            all => shown::predicate(&Predicate::And(all.to_vec())),
        },
        other => panic!("{}", shown::condition(other)),
    }
}

fn codes(source: &str) -> Vec<Code> {
    check("rule", source.as_bytes())
        .1
        .iter()
        .map(|told| told.code)
        .collect()
}

fn where_codes(predicate: &str) -> Vec<Code> {
    codes(&format!("spans.where({predicate})"))
}

#[test]
fn the_example_of_an_article_compiles_as_it_stands() {
    let source = "# as pasted from an article: a file that holds one bare condition
trace.spans.where(service == 'sales').count() > 10 AND trace.spans.any.where(user_id == '12345')
";
    assert_eq!(
        meaning(source),
        r#"and(count spans[Service == "sales"] > 10, some spans[user_id == "12345"])"#
    );
    assert!(codes(source).is_empty());
}

#[test]
fn the_example_with_clauses_compiles_as_it_stands() {
    let source = "when   { payment.charge_card.where(amount > 1000) }
always { payment.fraud_check }
never  { payment.bypass_validation }
";
    let rule = rule(source);
    assert!(codes(source).is_empty());
    assert_eq!(rule.id, "rule");
    let when = rule.when.unwrap();
    assert_eq!(
        shown::condition(&when.condition),
        "some <payment.charge_card>[amount > 1000]"
    );
    assert_eq!(
        when.span.text(source),
        "payment.charge_card.where(amount > 1000)"
    );
    let clauses: Vec<_> = rule
        .clauses
        .iter()
        .map(|(kind, clause)| {
            (
                *kind,
                shown::condition(&clause.condition),
                clause.span.text(source),
            )
        })
        .collect();
    assert_eq!(
        clauses,
        [
            (
                ClauseKind::Always,
                "some <payment.fraud_check>".to_owned(),
                "payment.fraud_check"
            ),
            (
                ClauseKind::Never,
                "some <payment.bypass_validation>".to_owned(),
                "payment.bypass_validation"
            ),
        ]
    );
}

#[test]
fn a_declaration_has_description_settings_and_bodies_in_any_order() {
    let source = r#"
/// Payments over $1000 need
///   a fraud check first.

// and not this
rule payment-fraud.check_2 {
  never { payment.bypass_validation }   # both
  message: "charge \u{e4} 'now'"
  when { payment.charge_card.where(amount > 1000) }
  severity: critical
  always { payment.fraud_check }
  tags: [payments, soc2.cc6_1, 'two words', 2fa,]
  always { payment.audit }
}
rule second { expect { payment } }
"#;
    let rules = rules(source);
    let rule = &rules[0];
    assert_eq!(rule.id, "payment-fraud.check_2");
    assert_eq!(rule.span.text(source), "payment-fraud.check_2");
    assert_eq!(
        rule.description,
        "Payments over $1000 need\n  a fraud check first."
    );
    assert_eq!(rule.severity, Severity::Critical);
    assert_eq!(rule.tags, ["payments", "soc2.cc6_1", "two words", "2fa"]);
    assert_eq!(rule.message, "charge ä 'now'");
    let kinds: Vec<_> = rule.clauses.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [ClauseKind::Never, ClauseKind::Always, ClauseKind::Always]
    );
    assert_eq!(rules[1].severity, Severity::Medium);
    assert_eq!(rules[1].description, "");
    assert_eq!(rules[1].clauses[0].0, ClauseKind::Expect);
}

#[test]
fn bare_bodies_and_their_kinds() {
    for (source, kind) in [
        ("payment", ClauseKind::Detect),
        ("detect { payment }", ClauseKind::Detect),
        ("expect { payment }", ClauseKind::Expect),
        ("rule a { payment }", ClauseKind::Detect),
        ("severity: high payment", ClauseKind::Detect),
        ("payment severity: high", ClauseKind::Detect),
    ] {
        assert_eq!(rule(source).clauses[0].0, kind, "{source}");
    }
    assert_eq!(rule("/// said\npayment").description, "said");
    let (rules, _) = check("payment.fraud-1", b"payment");
    assert_eq!(rules[0].id, "payment.fraud-1");
    for stem in ["", "a b", "ä", "-a", "a..b", "a/b", &"a".repeat(129)] {
        let (rules, diagnostics) = check(stem, b"payment");
        assert!(rules.is_empty());
        assert_eq!(diagnostics[0].code, Code::InvalidId, "{stem}");
        // A declaration does not need the file's name.
        assert_eq!(check(stem, b"rule a { payment }").0.len(), 1);
    }
}

#[test]
fn names_of_spans() {
    assert_eq!(meaning("payment.charge_card"), "some <payment.charge_card>");
    assert_eq!(meaning("checkout-service"), "some <checkout-service>");
    assert_eq!(meaning("payment.*"), "some <payment.…>");
    assert_eq!(meaning("\"GET /cart\""), "some <GET /cart>");
    assert_eq!(meaning("'payment.*'.count() > 1"), "count <payment.*> > 1");
    assert_eq!(meaning("spans"), "some spans");
    assert_eq!(meaning("trace.spans"), "some spans");
    assert_eq!(meaning("user.not.found"), "some <user.not.found>");
    assert_eq!(meaning("3ds.verify.2fa"), "some <3ds.verify.2fa>");
    assert_eq!(meaning("payment.count-1"), "some <payment.count-1>");
    assert_eq!(
        meaning("list and rule or key and name"),
        "or(and(some <list>, some <rule>), and(some <key>, some <name>))"
    );
    assert_eq!(meaning("any"), "some <any>");
}

#[test]
fn methods_on_sets() {
    assert_eq!(
        meaning("a.where(x)\n  .where(y and z)\n  .count() >= 3"),
        "count <a>[true? x][true? y][true? z] >= 3"
    );
    assert_eq!(meaning("a.exists"), "some <a>");
    assert_eq!(meaning("a.exists()"), "some <a>");
    assert_eq!(meaning("a.where(x).exists"), "some <a>[true? x]");
    assert_eq!(meaning("a.any(x)"), "some <a>[true? x]");
    assert_eq!(meaning("a.none(x)"), "not(some <a>[true? x])");
    assert_eq!(meaning("a.where(y).all(x)"), "every <a>[true? y]: true? x");
    assert_eq!(meaning("a.any.where(x)"), "some <a>[true? x]");
    assert_eq!(meaning("a.none.where(x)"), "not(some <a>[true? x])");
    assert_eq!(meaning("a.all.where(x)"), "every <a>: true? x");
    assert_eq!(meaning("any.where(x)"), "some spans[true? x]");
    assert_eq!(meaning("all.where(x)"), "every spans: true? x");
    assert_eq!(meaning("none.where(x)"), "not(some spans[true? x])");
    assert_eq!(meaning("count(a) > 1"), "count <a> > 1");
    assert_eq!(meaning("exists(a.where(x))"), "some <a>[true? x]");
    assert_eq!(meaning("missing(a)"), "not(some <a>)");
    assert_eq!(meaning("trace.has(a)"), "some <a>");
    assert_eq!(meaning("trace.count('a b') > 1"), "count <a b> > 1");
    assert_eq!(
        meaning("(a.where(x)).count() > b.count()"),
        "count <a>[true? x] > count <b>"
    );
    assert_eq!(meaning("3 <= a.count()"), "3 <= count <a>");
    assert_eq!(meaning("a.count() != 2.0"), "count <a> != 2.0");
}

#[test]
fn logic_in_all_spellings() {
    let tree = "or(and(some <a>, some <b>), not(some <c>))";
    for source in [
        "a and b or not c",
        "a AND b OR NOT c",
        "a && b || !c",
        "a And b oR nOt c",
        "((a and b)) or (not (c))",
    ] {
        assert_eq!(meaning(source), tree, "{source}");
    }
    assert_eq!(
        meaning("a or b and c or d"),
        "or(some <a>, and(some <b>, some <c>), some <d>)"
    );
    assert_eq!(
        meaning("(a and b) and (c and d)"),
        "and(some <a>, some <b>, some <c>, some <d>)"
    );
    assert_eq!(
        meaning("(a or b) and (c or d)"),
        "and(or(some <a>, some <b>), or(some <c>, some <d>))"
    );
}

#[test]
fn comparisons_bind_tighter_than_not_in_every_spelling() {
    for not in ["not", "NOT", "!", "! "] {
        let gap = if not.starts_with('!') { "" } else { " " };
        assert_eq!(
            where_(&format!("{not}{gap}x == 'a' and y")),
            r#"and(not(x == "a"), true? y)"#
        );
        assert_eq!(where_(&format!("{not}{gap}x in [a]")), r#"not(x in "a")"#);
        assert_eq!(
            meaning(&format!("{not}{gap}a.count() > 1")),
            "not(count <a> > 1)"
        );
    }
    assert_eq!(where_("not not x"), "not(not(true? x))");
}

#[test]
fn comparisons_of_fields_with_literals() {
    assert_eq!(where_("amount > 1000"), "amount > 1000");
    assert_eq!(where_("amount >= -1.5e3"), "amount >= -1500.0");
    assert_eq!(
        where_("amount == -9223372036854775808"),
        "amount == -9223372036854775808"
    );
    assert_eq!(where_("1000 < attr.amount.usd"), "Span:amount.usd > 1000");
    assert_eq!(
        where_("x == true and y != false"),
        "and(x == true, y != false)"
    );
    assert_eq!(
        where_("duration > 1.5s or self_time <= 250us"),
        "or(Duration > 1500000000ns, SelfTime <= 250000ns)"
    );
    assert_eq!(
        where_("depth == 0 and child_count > 2.5"),
        "and(Depth == 0, ChildCount > 2.5)"
    );
    assert_eq!(
        where_("is_root and not is_leaf"),
        "and(true? IsRoot, not(true? IsLeaf))"
    );
    assert_eq!(where_("is_root == true"), "IsRoot == true");
    assert_eq!(where_("x < 'b'"), r#"x < "b""#);
    assert_eq!(where_("'b' > attr.x"), r#"Span:x < "b""#);
}

#[test]
fn lists() {
    assert_eq!(
        where_("processor in [stripe, 'a b', square,]"),
        r#"processor in "stripe", "a b", "square""#
    );
    assert_eq!(
        where_("x in [1, -2.5, true, a.b]"),
        r#"x in 1, -2.5, true, "a.b""#
    );
    assert_eq!(where_("user not in ['a']"), r#"user not in "a""#);
    assert_eq!(where_("user NOT in ['a']"), r#"user not in "a""#);
    assert_eq!(
        where_("status in [ok, ERROR] and kind not in ['Server']"),
        "and(Status in #1, #2, Kind not in #2)"
    );
    assert_eq!(where_("duration in [1s]"), "Duration in 1000000000ns");
}

#[test]
fn text_operators() {
    assert_eq!(where_("name contains 'a'"), r#"Name contains "a""#);
    assert_eq!(where_("x starts_with abc"), r#"x starts_with "abc""#);
    assert_eq!(where_("x ends_with attr.y"), "x ends_with Span:y");
    assert_eq!(where_("service like 'pay*?'"), r#"Service like "pay*?""#);
    assert_eq!(
        where_(r"status_message matches '^\\d+(ms|s)$'"),
        r#"StatusMessage matches "^\\d+(ms|s)$""#
    );
    assert_eq!(where_("not name contains 'a'"), r#"not(Name contains "a")"#);
}

#[test]
fn existence_of_fields() {
    assert_eq!(where_("exists(user.id)"), "there? user.id");
    assert_eq!(
        where_("missing(attr['user id'])"),
        "not(there? Span:user id)"
    );
    assert_eq!(where_("user.id.exists"), "there? user.id");
    assert_eq!(where_("resource['a'].exists()"), "there? Resource:a");
    assert_eq!(where_("exists(duration)"), "there? Duration");
}

#[test]
fn places_of_attributes() {
    assert_eq!(where_("attr.name == x"), r#"Span:name == "x""#);
    assert_eq!(
        where_("resource.service.name == x"),
        r#"Resource:service.name == "x""#
    );
    assert_eq!(
        where_("scope.name == x and scope.version == 'y'"),
        r#"and(Scope:name == "x", Scope:version == "y")"#
    );
    assert_eq!(
        where_("scope == x and attr == y"),
        r#"and(scope == "x", attr == "y")"#
    );
    assert_eq!(
        where_("attr[\"any key\"] == scope['other']"),
        "Span:any key == Scope:other"
    );
}

#[test]
fn events_and_links() {
    assert_eq!(
        where_("events.any(name == exception and attr[\"exception.type\"] matches 'Timeout')"),
        r#"Events.any(and(Name == "exception", Span:exception.type matches "Timeout"))"#
    );
    assert_eq!(where_("events.all(x)"), "Events.all(true? Span:x)");
    assert_eq!(
        where_("events.none(exception.type == a)"),
        r#"not(Events.any(Span:exception.type == "a"))"#
    );
    assert_eq!(where_("links.count() > 2"), "Links.count(true) > 2");
    assert_eq!(where_("2 < count(links)"), "Links.count(true) > 2");
    assert_eq!(
        where_("events.where(x).count() == 1"),
        "Events.count(true? Span:x) == 1"
    );
    assert_eq!(where_("events.exists"), "Events.any(true)");
    assert_eq!(where_("exists(events)"), "Events.any(true)");
    assert_eq!(where_("missing(links)"), "not(Links.any(true))");
    assert_eq!(
        where_("exists(events.where(x).where(y))"),
        "Events.any(and(true? Span:x, true? Span:y))"
    );
    assert_eq!(
        where_("events.where(x).all(y)"),
        "not(Events.any(and(true? Span:x, not(true? Span:y))))"
    );
    assert_eq!(where_("events.any.where(x)"), "Events.any(true? Span:x)");
    assert_eq!(
        where_("links.any(trace_id == '4bf92f3577b34da6a3ce929d0e0e4736' and exists(span_id))"),
        r#"Links.any(and(TraceId == "4bf92f3577b34da6a3ce929d0e0e4736", there? SpanId))"#
    );
    assert_eq!(
        where_("events.any(exists(time))"),
        "Events.any(there? Time)"
    );
    // There is no set of sets: an event's `events` is nothing.
    assert_eq!(where_codes("events.any(events.exists)"), [Code::WrongItem]);
}

// The settled cases, in the order of the specification.

#[test]
fn one_when_a_rule_and_no_bodies_of_two_kinds() {
    assert_eq!(
        codes("when { a } when { b } always { c }"),
        [Code::SecondWhen]
    );
    assert_eq!(codes("detect { a } expect { b }"), [Code::SecondBody]);
    assert_eq!(codes("a detect { b }"), [Code::SecondBody]);
    assert_eq!(
        codes("expect { a } when { b } always { c }"),
        [Code::SecondBody]
    );
    assert_eq!(codes("detect { a } always { b }"), [Code::SecondBody]);
    assert_eq!(codes("always { a } never { b }"), [Code::ClauseWithoutWhen]);
    assert_eq!(codes("when { a }"), [Code::WhenAlone]);
}

#[test]
fn a_lone_word_is_an_intrinsic_and_a_dotted_one_an_attribute() {
    assert_eq!(where_("service == a"), r#"Service == "a""#);
    assert_eq!(where_("service.name == a"), r#"service.name == "a""#);
    assert_eq!(where_("customer == a"), r#"customer == "a""#);
}

#[test]
fn on_the_right_a_word_is_text_or_a_member() {
    assert_eq!(where_("currency == USD"), r#"currency == "USD""#);
    assert_eq!(where_("x == a.b-c"), r#"x == "a.b-c""#);
    assert_eq!(where_("status == error"), "Status == #2");
    assert_eq!(where_("status != 'Error'"), "Status != #2");
    assert_eq!(where_("kind == UNSPECIFIED"), "Kind == #0");
    assert_eq!(where_codes("kind == srever"), [Code::UnknownMember]);
    assert_eq!(where_codes("kind == resource.x"), [Code::UnlikeTypes]);
}

#[test]
fn on_the_right_of_numbers_a_word_is_an_intrinsic() {
    assert_eq!(where_("end > start"), "End > Start");
    assert_eq!(where_("duration > self_time"), "Duration > SelfTime");
    assert_eq!(where_("depth == child_count"), "Depth == ChildCount");
    assert_eq!(where_("5 < depth"), "Depth > 5");
    assert_eq!(where_("1s < duration"), "Duration > 1000000000ns");
    assert_eq!(where_codes("end > duration"), [Code::UnlikeTypes]);
    assert_eq!(where_codes("depth > limit"), [Code::UnlikeTypes]);
    // A field that may be a number is none: it is text there, and a warning says so.
    assert_eq!(where_("amount > depth"), r#"amount > "depth""#);
    assert_eq!(where_codes("amount > depth"), [Code::WordIsText]);
}

#[test]
fn a_dotted_word_on_the_right_is_a_field_only_after_a_place() {
    assert_eq!(where_("a == attr.b"), "a == Span:b");
    assert_eq!(where_("a == resource.b.c"), "a == Resource:b.c");
    assert_eq!(where_("name == scope.name"), "Name == Scope:name");
    assert_eq!(where_("depth < attr.max_depth"), "Depth < Span:max_depth");
    assert_eq!(where_("a == b.c"), r#"a == "b.c""#);
}

#[test]
fn method_words_end_a_name_only_before_a_parenthesis_or_where() {
    assert_eq!(codes("payment.count > 3"), [Code::SetCompared]);
    assert_eq!(meaning("payment.count"), "some <payment.count>");
    assert_eq!(meaning("payment.count.retry"), "some <payment.count.retry>");
    assert_eq!(
        meaning("payment.first.count() > 1"),
        "count <payment.first> > 1"
    );
    assert_eq!(codes("payment.first.where(a)"), [Code::NavigationNotYet]);
    assert_eq!(meaning("payment.any.where(a)"), "some <payment>[true? a]");
    assert_eq!(meaning("orders.exists"), "some <orders>");
    assert_eq!(
        meaning("orders.exists and a"),
        "and(some <orders>, some <a>)"
    );
    assert_eq!(codes("orders.exists.where(a)"), [Code::UnknownMethod]);
    assert_eq!(meaning("orders.exists.late"), "some <orders.exists.late>");
}

#[test]
fn reserved_words_are_those_of_operators() {
    for word in [
        "in",
        "contains",
        "starts_with",
        "like",
        "matches",
        "icontains",
        "before",
        "then",
        "within",
        "inside",
        "as",
    ] {
        assert!(!codes(&format!("{word} or payment")).is_empty(), "{word}");
        assert!(!where_codes(&format!("x == {word}")).is_empty(), "{word}");
        assert_eq!(
            where_(&format!("x == a.{word} or attr.{word}")),
            format!("or(x == \"a.{word}\", true? Span:{word})")
        );
    }
    for word in [
        "key", "list", "rule", "name", "let", "over", "by", "when", "detect", "severity", "count",
        "where",
    ] {
        meaning(word);
        assert_eq!(
            where_(&format!("attr.{word} == '{word}'")),
            format!("Span:{word} == \"{word}\"")
        );
    }
}

#[test]
fn an_empty_file_is_an_error() {
    assert_eq!(codes(""), [Code::EmptyFile]);
    assert_eq!(codes("\u{feff}\r\n# a\n"), [Code::EmptyFile]);
}

#[test]
fn a_bare_field_is_a_bool() {
    assert_eq!(where_("cache.hit"), "true? cache.hit");
    assert_eq!(where_codes("name"), [Code::NotACondition]);
    assert_eq!(where_codes("status"), [Code::NotACondition]);
}

#[test]
fn all_over_nothing_is_true_and_warned_of_where_it_signals() {
    for source in [
        "a.all(x)",
        "a.all.where(x)",
        "when { a.all(x) } always { b }",
        "when { b } never { a.all(x) }",
        "expect { not a.all(x) }",
        "b and a.all(x)",
    ] {
        assert_eq!(codes(source), [Code::AllOverNothing], "{source}");
    }
    for source in [
        "expect { a.all(x) }",
        "when { b } always { a.all(x) }",
        "spans.all(x)",
        "a and a.all(x)",
        "a.exists and a.all(x)",
        "not a.all(x)",
    ] {
        assert_eq!(codes(source), [], "{source}");
    }
}

#[test]
fn durations_need_units_and_attributes_are_none() {
    assert_eq!(where_codes("timeout > 5s"), [Code::AttributeAsDuration]);
    assert_eq!(
        where_codes("5s < attr.timeout"),
        [Code::AttributeAsDuration]
    );
    assert_eq!(where_codes("timeout in [5s]"), [Code::AttributeAsDuration]);
    assert_eq!(
        where_codes("duration > attr.limit"),
        [Code::AttributeAsDuration]
    );
    assert_eq!(where_codes("duration > 1000"), [Code::DurationWithoutUnit]);
    assert_eq!(where_codes("duration == 0"), [Code::DurationWithoutUnit]);
    assert_eq!(
        where_codes("duration in [1.5]"),
        [Code::DurationWithoutUnit]
    );
}

#[test]
fn a_star_in_quotes_is_a_star() {
    assert_eq!(meaning("'payment.*'"), "some <payment.*>");
    assert_eq!(where_("name == 'payment.*'"), r#"Name == "payment.*""#);
}

#[test]
fn missing_outside_of_where_is_an_empty_set_and_inside_an_absent_field() {
    assert_eq!(meaning("missing(payment)"), "not(some <payment>)");
    assert_eq!(where_("missing(payment)"), "not(there? payment)");
}

#[test]
fn braces_in_a_message_are_an_error() {
    for message in ["{a}", "a {", "}", "\\u{7b}"] {
        assert_eq!(
            codes(&format!("rule a {{ x message: '{message}' }}")),
            [Code::MessageExpressionsNotYet]
        );
    }
}

// What else could be read in two ways.

#[test]
fn what_no_value_makes_true_is_an_error_and_what_each_does_a_warning() {
    for predicate in [
        "depth < 0",
        "depth == 1.5",
        "events.count() < 0",
        "duration < 0s",
        "duration <= -1s",
        "trace_id == abc",
        "span_id in ['ABCDEF0123456789']",
    ] {
        assert_eq!(where_codes(predicate), [Code::AlwaysFalse], "{predicate}");
    }
    for predicate in [
        "depth >= 0",
        "child_count != -1",
        "links.count() >= 0",
        "true",
    ] {
        assert_eq!(where_codes(predicate), [Code::AlwaysTrue], "{predicate}");
    }
    // A missing duration is not 0 or more.
    assert_eq!(where_codes("duration >= 0s"), []);
    assert_eq!(where_codes("depth < 1"), []);
    assert_eq!(codes("a.count() >= 0"), [Code::AlwaysTrue]);
    assert_eq!(codes("-1 > a.count()"), [Code::AlwaysFalse]);
}

#[test]
fn the_file_around_a_mistake_is_still_read() {
    let source = "rule a { detect { ( } }
rule b { severity: loud expect { payment } }
rule c { detect { spans.where(a b) or spans.where(status == eror) } }
rule d { detect { payment } }
rule e { detect { payment.where(a == 'x) } }
rule f { detect { spans.where(duration > 5) } }
";
    assert_eq!(
        codes(source),
        [
            Code::Unexpected,
            Code::UnknownSeverity,
            Code::Unexpected,
            Code::UnknownMember,
            Code::UnterminatedText,
            Code::DurationWithoutUnit
        ]
    );
    let (rules, _) = check("rule", source.as_bytes());
    assert_eq!(
        rules
            .iter()
            .map(|rule| rule.id.as_str())
            .collect::<Vec<_>>(),
        ["d"]
    );
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_fine() {
    let source = "\u{feff}# a\r\nrule a {\r\n  detect { payment }\r\n}\r\n";
    assert_eq!(rule(source).id, "a");
}
