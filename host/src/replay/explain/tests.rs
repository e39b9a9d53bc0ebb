use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::*;
use crate::assemble::limits::Limits;
use crate::assemble::shard::{DrainMode, Shard};
use crate::assemble::trace::Parcel;
use crate::engine::{EngineLimits, RuleSource};
use crate::otlp::request::Request;
use crate::otlp::scan::Scan;
use crate::replay::kept::Judgement;
use crate::replay::verdict::Silence;
use crate::sinks::paint::Paint;
use crate::time::Time;

const PLAIN: Paint = Paint { color: false };

fn engine() -> Arc<Engine> {
    Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("an engine"))
}

/// The one rule of a file `rule.betrace`, with its source.
fn rule(engine: &Engine, source: &str) -> Arc<Rule> {
    let compiled = betrace_dsl::compile("rule", source.as_bytes());
    let component = compiled.rules.first().map(|rule| &rule.component);
    let component = component.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let rule = Rule::load(engine, component, "rule.betrace").expect("it loads");
    let source = RuleSource {
        stem: "rule".to_owned(),
        text: source.as_bytes().to_vec(),
        clean: true,
    };
    Arc::new(rule.in_force(None, Some(&Arc::new(source))))
}

fn attributes(of: &[(&str, Value)]) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&str, Value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue {
            value: Some(value.clone()),
        }),
        ..KeyValue::default()
    };
    of.iter().map(attribute).collect()
}

fn span(name: &str, of: &[(&str, Value)]) -> Span {
    Span {
        name: name.to_owned(),
        attributes: attributes(of),
        ..Span::default()
    }
}

fn int(value: i64) -> Value {
    Value::IntValue(value)
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

/// A trace of a root and these spans below it, each a millisecond after the last.
fn trace(id: u8, spans: &[Span]) -> Arc<Kept> {
    let root = span("POST /checkout", &[]);
    let spans = std::iter::once(&root).chain(spans);
    let spans = (0_u64..).zip(spans).map(|(index, span)| Span {
        trace_id: vec![id; 16],
        span_id: (index + 1).to_be_bytes().to_vec(),
        parent_span_id: match index {
            0 => Vec::new(),
            _ => 1_u64.to_be_bytes().to_vec(),
        },
        start_time_unix_nano: 1_000_000_000 + index * 1_000_000,
        end_time_unix_nano: 1_000_000_000 + index * 1_000_000 + 500_000,
        ..span.clone()
    });
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: attributes(&[("service.name", text("shop"))]),
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let mut scan = Scan::default();
    let request = Request::scan(Bytes::from(request.encode_to_vec()), &mut scan).expect("OTLP");
    let mut shard = Shard::new(Limits::default());
    shard.insert(Parcel::whole(Arc::new(request), scan.spans), Time(0));
    let mut traces = Vec::new();
    while shard.drain(Time(0), DrainMode::End, &mut traces) {}
    let judged = Judgement {
        at: 0,
        generation: 3,
        signalled: &[],
    };
    Arc::new(Kept::copy(&traces[0], &shard, judged))
}

fn charge(amount: Value) -> Span {
    span("payment.charge_card", &[("amount", amount)])
}

const FRAUD: &str = "rule fraud {
  when   { payment.charge_card.where(amount > 1000) }
  always { payment.fraud_check }
  never  { payment.bypass_validation }
}";

/// What a person reads, of a rule and some traces.
fn seen(source: &str, traces: &[Arc<Kept>]) -> String {
    let engine = engine();
    let rule = rule(&engine, source);
    let explained = explain_all(&engine, &rule, traces).expect("it is explained");
    let pages: Vec<String> = traces
        .iter()
        .zip(explained)
        .map(|(kept, explained)| {
            let explanation = Explanation::new(&rule, kept.id, Where::Recorded, Some(explained));
            let json = serde_json::to_string(&explanation).expect("it serialises");
            let back: Explanation = serde_json::from_str(&json).expect("it can be read back");
            assert_eq!(back, explanation);
            view(&explanation, PLAIN, 110)
        })
        .collect();
    pages.join("\n")
}

#[test]
fn what_a_person_reads() {
    let check = || span("payment.fraud_check", &[]);
    let bypass = || span("payment.bypass_validation", &[]);
    insta::assert_snapshot!(seen(
        FRAUD,
        &[
            trace(1, &[charge(text("2310.5")), charge(text("12"))]),
            trace(2, &[charge(int(5)), span("payment.charge_card", &[])]),
            trace(3, &[check()]),
            trace(4, &[charge(int(5_000))]),
            trace(5, &[charge(int(5_000)), check(), bypass()]),
            trace(6, &[charge(int(5_000)), check()]),
        ]
    ));
}

#[test]
fn each_kind_of_part_says_what_decided() {
    let failing = |message: &str| Span {
        events: vec![Event {
            name: "exception".to_owned(),
            attributes: attributes(&[("exception.type", text(message))]),
            ..Event::default()
        }],
        ..span("payment.charge_card", &[])
    };
    let cases = [
        ("detect { spans.count() > 10 }", vec![charge(int(1))]),
        (
            "expect { payment.charge_card.all(amount < 100) }",
            vec![charge(int(1)), charge(int(500)), charge(int(900))],
        ),
        (
            "expect { payment.charge_card.all(amount < 100) }",
            vec![charge(int(1))],
        ),
        (
            "detect { payment.charge_card.where(amount > 5 and currency == USD) }",
            vec![
                charge(int(10)),
                span("payment.charge_card", &[("currency", text("USD"))]),
            ],
        ),
        (
            "detect { payment.charge_card.where(not exists(amount) or amount < 0) }",
            vec![charge(int(10))],
        ),
        (
            "detect { not payment.* or spans.where(duration > 5s) }",
            vec![charge(int(10))],
        ),
        (
            "detect { payment.charge_card.where(events.any(attr[\"exception.type\"] matches 'Timeout')) }",
            vec![failing("DnsError"), failing("Refused")],
        ),
        (
            "detect { payment.charge_card.count() != payment.fraud_check.count() }",
            vec![charge(int(1))],
        ),
        (
            "detect { spans.where(service == checkout) }",
            vec![charge(int(1))],
        ),
        (
            "detect { spans.where(kind == server and status == error) }",
            vec![charge(int(1))],
        ),
    ];
    let mut pages = String::new();
    for (body, spans) in cases {
        let source = format!("rule r {{ {body} }}");
        pages.push_str(&format!(
            "--- {body}\n{}\n",
            seen(&source, &[trace(1, &spans)])
        ));
    }
    insta::assert_snapshot!(pages);
}

/// What `dev` shows of it.
fn told(silence: &Silence) -> String {
    let mut out = format!("{} candidates\n", silence.candidates);
    for absent in &silence.absent {
        out.push_str(&format!("no trace has {absent}\n"));
    }
    for never in &silence.never {
        out.push_str(&format!("never true: {}\n    {}\n", never.part, never.why));
    }
    if let Some(nearest) = &silence.nearest {
        let (held, parts) = (nearest.held, nearest.parts);
        let id = nearest.trace_id[0];
        let marked = nearest.outline.lines.iter().filter(|line| {
            matches!(line, crate::signal::outline::Line::Span(span) if span.evidence.is_some())
        });
        out.push_str(&format!(
            "nearest: trace {id}, {held} of {parts} hold, {} spans marked\n",
            marked.count()
        ));
    }
    out
}

#[test]
fn a_silent_rule_says_what_was_never_true() {
    let check = || span("payment.fraud_check", &[]);
    let traces = [
        trace(1, &[charge(text("2310.5")), charge(text("12"))]),
        trace(2, &[charge(text("9")), check()]),
        trace(3, &[check()]),
        trace(4, &[span("payment.charge_card", &[])]),
    ];
    let cases = [
        FRAUD,
        "rule r { detect { payment.charge } }",
        "rule r { detect { payment.charge_card and payment.refund } }",
        "rule r { detect { spans.count() > 10 } }",
        "rule r { detect { payment.fraud_check and payment.charge_card.where(amount == '2310.5') } }",
        "rule r { expect { spans.all(duration < 1s) } }",
        "rule r { expect { not payment.refund } }",
        "rule r { when { payment.charge_card } always { spans.where(service == shop) } never { payment.refund } }",
        "rule r { detect { payment.charge_card.where(amount contains '.' and currency == EUR) } }",
    ];
    let engine = engine();
    let mut out = String::new();
    for source in cases {
        let silence = silence(&engine, &rule(&engine, source), &traces);
        let silence = silence.expect("it can be explained");
        out.push_str(&format!("--- {source}\n{}", told(&silence)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn the_nearest_trace_shows_what_was_compared() {
    let engine = engine();
    let source = "rule r { detect { payment.charge_card.where(amount > 9000) } }";
    let kept = [trace(1, &[charge(int(5_000))])];
    let silence = silence(&engine, &rule(&engine, source), &kept).expect("it can be explained");
    let nearest = silence.nearest.expect("there is one trace");
    let told: Vec<_> = nearest.evidence.iter().map(|span| &span.fields.0).collect();
    assert_eq!(
        told,
        [&vec![("amount".to_owned(), serde_json::json!(5_000))]]
    );
    let marked = nearest.outline.lines.iter().filter_map(|line| match line {
        crate::signal::outline::Line::Span(span) => span.evidence,
        crate::signal::outline::Line::More(_) => None,
    });
    assert_eq!(marked.collect::<Vec<_>>(), [0]);
}

#[test]
fn a_rule_of_too_many_parts_says_that_it_is_to_be_split() {
    // Each is a part, with its base below it.
    let many = vec!["a"; crate::engine::explain::PARTS / 2 + 1];
    let source = format!("rule r {{ detect {{ {} }} }}", many.join(" or "));
    let engine = engine();
    let rule = rule(&engine, &source);
    let kept = [trace(1, &[])];
    let refused = explain_all(&engine, &rule, &kept).expect_err("they are too many");
    let said = refused.to_string();
    assert!(
        said.starts_with("the explanation of rule `r` has "),
        "{said}"
    );
    assert!(
        said.contains("split it") && !said.contains("batch-rule"),
        "{said}"
    );
    let silence = silence(&engine, &rule, &kept).expect("that much is known");
    assert_eq!(silence.unexplained, Some(said));
}

#[test]
fn a_rule_without_source_says_so() {
    let engine = engine();
    let bare = rule(&engine, FRAUD).in_force(None, None);
    let kept = [trace(1, &[charge(int(5_000))]), trace(2, &[])];
    let explained = explain_all(&engine, &bare, &kept).expect("it is explained");
    let page = |explained: Explained, kept: &Kept| {
        let explanation = Explanation::new(&bare, kept.id, Where::Recorded, Some(explained));
        view(&explanation, PLAIN, 100)
    };
    let pages: Vec<String> = explained
        .into_iter()
        .zip(&kept)
        .map(|(e, k)| page(e, k))
        .collect();
    insta::assert_snapshot!(pages.join("\n"));
    let silence = silence(&engine, &Arc::new(bare), &kept[1..]).expect("something is known");
    assert_eq!((silence.candidates, silence.never.len()), (0, 0));
    assert_eq!(
        silence.absent,
        ["a span `payment.charge_card`", "a span with `amount`"]
    );
}

#[test]
fn a_trace_that_is_not_at_hand_is_said_to_be_where_it_is() {
    let engine = engine();
    let rule = rule(&engine, FRAUD);
    let judged = |ring| Where::Judged {
        completion: "idle".to_owned(),
        generation: 7,
        late: 2,
        ago_ns: 247_000_000_000,
        ring,
    };
    let pages: Vec<String> = [
        Where::Never,
        Where::Open {
            spans: 12,
            age_ns: 2_500_000_000,
        },
        judged(InRing::Evicted),
        judged(InRing::Skipped),
        judged(InRing::TooLarge),
        judged(InRing::Repeated),
        judged(InRing::Off),
        Where::Unknown,
    ]
    .into_iter()
    .map(|place| view(&Explanation::new(&rule, [7; 16], place, None), PLAIN, 100))
    .collect();
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn hostile_text_stays_harmless_and_in_its_columns() {
    let evil = "\u{1b}]0;title\u{7}\u{202e}".repeat(20);
    let name = format!("payment.charge_card{evil}");
    let source = format!(
        "rule r {{ detect {{ spans.where(name == {name:?} and attr[{evil:?}] == 'x') }} }}"
    );
    let page = seen(
        &source,
        &[trace(1, &[span(&name, &[(&evil, text(&evil))])])],
    );
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'), "{page}");
    for line in page.lines() {
        assert!(crate::sinks::text::width(line) <= 110, "{line}");
    }
}

#[test]
fn a_rule_of_many_parts_shows_what_decides() {
    let names: Vec<String> = (0..600).map(|n| format!("step.n{n}")).collect();
    let source = format!("rule r {{ detect {{ {} }} }}", names.join(" and "));
    let spans: Vec<Span> = names
        .iter()
        .filter(|n| **n != "step.n590")
        .map(|n| span(n, &[]))
        .collect();
    let engine = engine();
    let rule = rule(&engine, &source);
    let kept = trace(1, &spans);
    let explained = explain(&engine, &rule, &kept).expect("it is explained");
    assert!(explained.parts_more > 0);
    let explanation = Explanation::new(&rule, kept.id, Where::Recorded, Some(explained));
    let page = view(&explanation, PLAIN, 110);
    assert!(page.contains("no span is named `step.n590`"), "{page}");
    assert!(page.contains(">") && page.contains("more parts"), "{page}");
    assert!(
        page.lines().count() < MAX_LINES + 20,
        "{}",
        page.lines().count()
    );
}

/// What the parts say and what the rule finds are the same, whatever the trace.
#[test]
fn the_parts_agree_with_the_rule() {
    let engine = engine();
    let sources = [
        FRAUD,
        "rule r { detect { payment.charge_card.where(amount > 10) and not payment.fraud_check } }",
        "rule r { expect { payment.charge_card.all(amount > 10 or exists(currency)) } }",
        "rule r { when { spans.count() > 2 or payment.fraud_check } always { payment.charge_card.count() == 1 } never { payment.*.where(amount == 5) } }",
    ];
    let pool = [
        charge(int(5)),
        charge(int(5_000)),
        charge(text("5")),
        span("payment.fraud_check", &[]),
        span("payment.bypass_validation", &[("currency", text("USD"))]),
    ];
    let traces: Vec<Arc<Kept>> = (0..32_u8)
        .map(|bits| {
            let some = pool
                .iter()
                .enumerate()
                .filter(|(at, _)| bits >> at & 1 == 1);
            trace(
                bits + 1,
                &some.map(|(_, span)| span.clone()).collect::<Vec<_>>(),
            )
        })
        .collect();
    for source in sources {
        let rule = rule(&engine, source);
        for explained in explain_all(&engine, &rule, &traces).expect("it is explained") {
            assert!(
                explained
                    .reasons
                    .iter()
                    .all(|reason| !reason.text.contains("disagree")),
                "{source}: {explained:?}"
            );
            let fires = explained.bodies.iter().any(|body| body.broken);
            assert_eq!(fires, explained.outcome == Outcome::Fires);
            assert!(explained.parts.iter().any(|part| part.decides));
            assert!(!explained.reasons.is_empty());
        }
    }
}
