//! The screen's blocks on reports made by hand, and signal lines at a pace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::lines::Lines;
use super::report::{Context, block};
use super::screen::Screen;
use crate::assemble::trace::Completion;
use crate::columns::projection::Table;
use crate::demo::faults::FAULTS;
use crate::demo::random::Random;
use crate::engine::fault::Fault;
use crate::engine::{Engine, EngineLimits, FaultKind, Rule};
use crate::live::SaveReport;
use crate::pipeline::thread::Clock;
use crate::replay::coverage::Coverage;
use crate::replay::run::Unlike;
use crate::replay::verdict::{
    ChangeKind, FactChange, Nearest, NeverTrue, RuleVerdict, Side, Silence, Verdict,
};
use crate::rules::compile::{Problem, Source};
use crate::rules::dsl;
use crate::rules::update::{Change, FileReport, Trip, Update};
use crate::signal::Emission;
use crate::signal::fixture::{Batch, START, rule};
use crate::signal::judge::Unfinished;
use crate::signal::rule::RuleFacts;
use crate::sinks::paint::Paint;
use crate::sinks::text;
use crate::time::Time;

const PLAIN: Paint = Paint { color: false };

/// A screen on which a block should be readable.
const COLUMNS: usize = 100;
const ROWS: usize = 40;

fn render(report: &SaveReport) -> String {
    render_with(report, &[], &[])
}

fn render_with(report: &SaveReport, broken: &[&str], no_traffic: &[&str]) -> String {
    render_after(report, broken, no_traffic, &BTreeSet::new())
}

fn render_after(
    report: &SaveReport,
    broken: &[&str],
    no_traffic: &[&str],
    doubles: &BTreeSet<(PathBuf, String)>,
) -> String {
    let broken: BTreeSet<PathBuf> = broken.iter().map(PathBuf::from).collect();
    let no_traffic: Vec<String> = no_traffic.iter().map(|&line| line.to_owned()).collect();
    let context = Context {
        paint: PLAIN,
        width: COLUMNS,
        broken: &broken,
        doubles,
        declared: |path, id| (id == "dup").then(|| format!(" --> {}:1:1", path.display())),
        no_traffic: &no_traffic,
    };
    let drawn = block(report, &context);
    let widest = drawn.lines().map(text::width).max().unwrap_or_default();
    assert!(widest <= COLUMNS, "{widest} columns:\n{drawn}");
    assert!(drawn.lines().count() < ROWS, "too long:\n{drawn}");
    drawn
}

fn report(files: Vec<FileReport>, verdict: Option<Verdict>) -> SaveReport {
    SaveReport {
        number: 2,
        saved_at: START,
        update: Update {
            files,
            ..Update::default()
        },
        live_after: Duration::from_micros(6_200),
        verdict,
        verdict_after: Duration::from_micros(21_400),
    }
}

fn file(path: &str) -> FileReport {
    FileReport::of(Path::new(path))
}

/// A rule that judged 4,812 traces and fired on none.
fn judged(id: &str, change: ChangeKind) -> RuleVerdict {
    RuleVerdict {
        id: id.to_owned(),
        change,
        before: None,
        after: None,
        traces: 4_812,
        candidates: 412,
        fires: 0,
        fired_before: 0,
        newly: Side::default(),
        no_longer: Side::default(),
        otherwise: Side::default(),
        unchanged: 0,
        unjudged: 0,
        fault: None,
        unjudged_before: 0,
        fault_before: None,
        facts: Vec::new(),
        unlike: Vec::new(),
        silence: None,
    }
}

fn verdict(rules: Vec<RuleVerdict>) -> Option<Verdict> {
    let coverage = Coverage {
        traces: 4_812,
        spans: 96_240,
        bytes: 40 << 20,
        oldest_unix_ns: Some(START - 9 * 60_000_000_000 + 25_000_000),
        newest_unix_ns: Some(START),
        operations: 31,
        operations_seen: 31,
    };
    Some(Verdict {
        rules,
        coverage,
        out_of_time: false,
    })
}

fn emission(fault: usize, names: &[&str]) -> Emission {
    let story = FAULTS[fault].happen(&mut Random::new(11));
    let rules = [RuleFacts {
        id: "payment-fraud-check".to_owned(),
        ..rule()
    }];
    let batch = Batch::of_call(&story, &rules);
    let rows = names.iter().flat_map(|name| batch.rows(name)).collect();
    batch
        .judge(&rules, &[(0, 0, rows, 0)], Unfinished::All)
        .remove(0)
}

fn side(traces: u64, emission: Emission) -> Side {
    Side {
        traces,
        ids: vec![emission.trace_id],
        first: Some(Box::new(emission)),
    }
}

/// An edit with traces of every kind.
fn edited() -> RuleVerdict {
    RuleVerdict {
        fires: 37,
        fired_before: 13,
        newly: side(25, emission(0, &["payment.charge_card"])),
        no_longer: side(1, emission(6, &["payment.charge_card"])),
        otherwise: side(3, emission(1, &["SELECT products"])),
        unchanged: 9,
        ..judged("payment-fraud-check", ChangeKind::Edited)
    }
}

fn problem(path: &str, source: &str) -> Problem {
    let compiled = dsl::compile(Source {
        path: Path::new(path),
        stem: "payments",
        bytes: source.as_bytes(),
        known: &|_, _| betrace_dsl::Known::No,
    });
    let texts: Vec<String> = compiled.messages.into_iter().map(|m| m.text).collect();
    Problem::Source {
        path: path.into(),
        errors: texts.len(),
        text: texts.join("\n"),
        painted: String::new(),
    }
}

#[test]
fn an_edit_is_answered_with_the_traces_of_each_kind() {
    let report = report(
        vec![file("rules/payments.betrace")],
        verdict(vec![edited()]),
    );
    insta::assert_snapshot!(render(&report));
}

#[test]
fn a_new_rule_shows_its_newest_trace_larger() {
    let new = RuleVerdict {
        fires: 25,
        newly: side(25, emission(0, &["payment.charge_card"])),
        ..judged("payment-fraud-check", ChangeKind::Added)
    };
    let report = report(vec![file("rules/payments.betrace")], verdict(vec![new]));
    insta::assert_snapshot!(render(&report));
}

#[test]
fn a_broken_save_shows_the_mistake_and_what_runs_on() {
    let path = "rules/payments.betrace";
    let source = "rule payment-fraud-check {\n  when { payment.charge_card.where(amount > > 1000) }\n  always { payment.fraud_check }\n}\n";
    let report = report(
        vec![FileReport {
            problems: vec![problem(path, source)],
            kept: vec!["payment-fraud-check".to_owned()],
            ..file(path)
        }],
        None,
    );
    insta::assert_snapshot!(render(&report));
}

#[test]
fn many_mistakes_leave_room_for_what_runs_on() {
    let source = "rule a { detect { x.where(> 1) } }\n".repeat(12);
    let files = ["rules/a.betrace", "rules/b.betrace", "rules/c.betrace"].map(|path| FileReport {
        problems: vec![problem(path, &source)],
        ..file(path)
    });
    let drawn = render(&report(files.into(), None));
    assert!(drawn.contains("3 files, 3 broken"), "{drawn}");
    assert!(
        drawn.contains("more lines: `betrace check rules/a.betrace`"),
        "{drawn}"
    );
    assert!(
        drawn.contains("no rule of this file is in force"),
        "{drawn}"
    );
    assert!(
        drawn.contains("2 more files broken: rules/b.betrace, rules/c.betrace"),
        "{drawn}"
    );
}

#[test]
fn a_mended_save_that_changes_nothing_says_so() {
    let path = "rules/payments.betrace";
    let report = report(vec![file(path)], None);
    insta::assert_snapshot!(render_with(&report, &[path], &[]), @"
    ── 16:26:40 UTC  rules/payments.betrace is mended ─────────────────────────── checked after 6.20 ms
    nothing changes: the rules are what they were
    ");
}

#[test]
fn a_mended_save_tells_of_its_change() {
    let path = "rules/payments.betrace";
    let same = RuleVerdict {
        fires: 12,
        fired_before: 12,
        unchanged: 12,
        ..judged("payment-fraud-check", ChangeKind::Edited)
    };
    let report = report(vec![file(path)], verdict(vec![same]));
    insta::assert_snapshot!(render_with(&report, &[path], &[]), @"
    ── 16:26:40 UTC  rules/payments.betrace is mended ─────── live after 6.20 ms, verdict after 21.4 ms
    payment-fraud-check fires on 12 of 4,812 traces, as before
    over 4,812 traces of the last 9 min, 31 of 31 root operations
    ");
}

#[test]
fn a_removed_rule_says_what_it_found() {
    let removed = RuleVerdict {
        fired_before: 12,
        no_longer: side(12, emission(0, &["payment.charge_card"])),
        ..judged("payment-fraud-check", ChangeKind::Removed)
    };
    let report = report(
        vec![FileReport {
            removed: true,
            ..file("rules/payments.betrace")
        }],
        verdict(vec![removed]),
    );
    insta::assert_snapshot!(render(&report), @"
    ── 16:26:40 UTC  rules/payments.betrace is gone ───────── live after 6.20 ms, verdict after 21.4 ms
    payment-fraud-check is removed; it fired on 12 of 4,812 traces
    over 4,812 traces of the last 9 min, 31 of 31 root operations
    ");
}

#[test]
fn a_silent_rule_says_why() {
    let story = emission(0, &[]);
    let silent = RuleVerdict {
        fired_before: 2,
        no_longer: Side {
            traces: 2,
            ..Side::default()
        },
        unlike: vec![
            (unlike("amount", "text"), 37),
            (unlike("currency", "int"), 1),
        ],
        silence: Some(Silence {
            candidates: 412,
            absent: Vec::new(),
            never: vec![NeverTrue {
                part: "payment.charge_card\n  .where(amount > 1000)".to_owned(),
                why: "`amount` was text in 37 of 37 spans".to_owned(),
            }],
            nearest: Some(Nearest {
                trace_id: story.trace_id,
                held: 2,
                parts: 3,
                outline: story.outline.expect("it is drawn"),
                evidence: story.signal.evidence.clone(),
            }),
            ..Silence::default()
        }),
        ..judged("payment-fraud-check", ChangeKind::Edited)
    };
    let report = report(vec![file("rules/payments.betrace")], verdict(vec![silent]));
    insta::assert_snapshot!(render(&report));
}

#[test]
fn a_rule_that_two_files_give_is_told_and_that_it_is_given_once_again() {
    let duplicate = Problem::Duplicate {
        id: "dup".to_owned(),
        first: "rules/a.betrace".into(),
        second: "rules/b.betrace".into(),
    };
    let twice = FileReport {
        problems: vec![duplicate],
        ..file("rules/b.betrace")
    };
    let drawn = render(&report(vec![twice], None));
    let lines: Vec<&str> = drawn.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "error: rules/b.betrace: the rule `dup` is already in rules/a.betrace; rename one of them",
            " --> rules/b.betrace:1:1",
            "`dup` runs as rules/a.betrace gives it; other rules of this file run, if there are any",
        ]
    );
    let before = BTreeSet::from([("rules/b.betrace".into(), "dup".to_owned())]);
    let said = "`dup` is no longer given by two files";
    for removed in [false, true] {
        let once = FileReport {
            removed,
            ..file("rules/b.betrace")
        };
        let drawn = render_after(&report(vec![once], None), &[], &[], &before);
        assert!(drawn.contains(said), "{drawn}");
    }
    let other = report(vec![file("rules/c.betrace")], None);
    let drawn = render_after(&other, &[], &[], &before);
    assert!(!drawn.contains("two files"), "{drawn}");
}

fn unlike(field: &str, tag: &'static str) -> Unlike {
    Unlike {
        rule: "payment-fraud-check".to_owned(),
        field: field.to_owned(),
        table: Table::Spans,
        tag,
    }
}

#[test]
fn a_rule_that_no_trace_can_concern_says_what_is_absent() {
    let silent = RuleVerdict {
        candidates: 0,
        silence: Some(Silence {
            absent: vec!["a span `payment.charge`".to_owned()],
            ..Silence::default()
        }),
        ..judged("payment-fraud-check", ChangeKind::Added)
    };
    let report = report(vec![file("rules/payments.betrace")], verdict(vec![silent]));
    insta::assert_snapshot!(render(&report), @"
    ── 16:26:40 UTC  rules/payments.betrace ───────────────── live after 6.20 ms, verdict after 21.4 ms
    payment-fraud-check is new and fires on none of 4,812 traces
      no trace has a span `payment.charge`
    over 4,812 traces of the last 9 min, 31 of 31 root operations
    ");
}

#[test]
fn a_rule_that_faults_says_what_it_did_not_judge() {
    let faulty = RuleVerdict {
        traces: 0,
        unjudged: 4_812,
        fault: Some("it took longer than 50 ms".to_owned()),
        ..judged("slow", ChangeKind::Added)
    };
    let report = report(vec![file("rules/slow.wasm")], verdict(vec![faulty]));
    insta::assert_snapshot!(render(&report), @"
    ── 16:26:40 UTC  rules/slow.wasm ──────────────────────── live after 6.20 ms, verdict after 21.4 ms
    slow is new and judged no trace
      warning: no verdict on 4,812 traces: it took longer than 50 ms
    over 4,812 traces of the last 9 min, 31 of 31 root operations
    ");
}

#[test]
fn a_rule_that_kept_faulting_says_why_and_what_becomes_of_it() {
    let trip = |back_to: Option<&str>| Trip {
        id: "slow".to_owned(),
        path: "rules/slow.wasm".into(),
        version: "b2".to_owned(),
        fault: Fault::new(FaultKind::Timeout, "it ran past its deadline"),
        back_off: Duration::from_secs(10),
        back_to: back_to.map(str::to_owned),
    };
    let told = |trips: Vec<Trip>, verdict| {
        let mut report = report(Vec::new(), verdict);
        report.update.trips = trips;
        render(&report)
    };
    insta::assert_snapshot!(told(vec![trip(None)], None), @"
    ── 16:26:40 UTC  rule slow is quarantined ────────────────────────────────────────────────────────
    `slow` kept faulting: timeout: it ran past its deadline
    it judges nothing now, and is tried again in 10.0 s; mend rules/slow.wasm
    ");
    let verdict = verdict(vec![judged("slow", ChangeKind::Edited)]);
    let drawn = told(vec![trip(Some("a1"))], verdict);
    let says = "its version before this one is in force again, until rules/slow.wasm is saved with a change";
    assert!(drawn.contains("rule slow is rolled back"), "{drawn}");
    assert!(drawn.contains(says), "{drawn}");
    let many = told(vec![trip(None); 5], None);
    assert!(many.contains("5 rules quarantined"), "{many}");
    assert!(
        many.contains("2 more rules kept faulting: slow, slow"),
        "{many}"
    );
}

#[test]
fn traces_that_there_was_no_time_for_are_told() {
    let mut some = verdict(vec![judged("slow", ChangeKind::Added)]).expect("one");
    some.out_of_time = true;
    let drawn = render(&report(vec![file("slow.betrace")], Some(some)));
    assert!(
        drawn.contains("the time for this was up before all of them were tried"),
        "{drawn}"
    );
}

#[test]
fn without_traffic_it_says_how_to_send_some() {
    let mut empty = verdict(vec![judged("example", ChangeKind::Edited)]).expect("one");
    empty.coverage = Coverage::default();
    let report = report(vec![file("rules/example.betrace")], Some(empty));
    let how = [
        "start a service with OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318  (OTLP/HTTP)",
        "or start again with `--demo`, or with `--from FILE`",
    ];
    insta::assert_snapshot!(render_with(&report, &[], &how), @"
    ── 16:26:40 UTC  rules/example.betrace ────────────────── live after 6.20 ms, verdict after 21.4 ms
    example is in force in its new version
    there is no trace yet to try it on
      start a service with OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318  (OTLP/HTTP)
      or start again with `--demo`, or with `--from FILE`
    ");
}

#[test]
fn two_rules_share_the_screen() {
    let other = RuleVerdict {
        id: "n-plus-one-queries".to_owned(),
        newly: side(7, emission(1, &["SELECT products"])),
        fires: 7,
        ..judged("n-plus-one-queries", ChangeKind::Added)
    };
    let files = vec![file("rules/payments.betrace"), file("rules/shop.betrace")];
    let report = report(files, verdict(vec![edited(), other]));
    let drawn = render(&report);
    // Each its first before any its second: three in all.
    assert_eq!(drawn.matches("+ newly").count(), 2, "{drawn}");
    assert_eq!(drawn.matches("- no longer").count(), 1, "{drawn}");
    assert_eq!(drawn.matches("~ with").count(), 0, "{drawn}");
}

#[test]
fn of_many_rules_those_that_changed_come_first() {
    let mut rules: Vec<RuleVerdict> = (0..100)
        .map(|n| RuleVerdict {
            fires: 3,
            fired_before: 3,
            unchanged: 3,
            ..judged(&format!("rule-{n:02}"), ChangeKind::Edited)
        })
        .collect();
    rules[70] = RuleVerdict {
        id: "rule-70".to_owned(),
        ..edited()
    };
    rules[99].change = ChangeKind::Added;
    let files = (0..100).map(|n| file(&format!("rules/{n}.betrace")));
    insta::assert_snapshot!(render(&report(files.collect(), verdict(rules))));
}

#[test]
fn what_signals_say_may_change_and_their_traces_not() {
    let fact = |fact, before: &str, after: &str| FactChange {
        fact,
        before: before.to_owned(),
        after: after.to_owned(),
    };
    let same = RuleVerdict {
        fires: 12,
        fired_before: 12,
        unchanged: 12,
        facts: vec![
            fact("severity", "medium", "critical"),
            fact("message", "charged", "charged twice"),
        ],
        ..judged("pay", ChangeKind::Edited)
    };
    let report = report(vec![file("pay.betrace")], verdict(vec![same]));
    insta::assert_snapshot!(render(&report), @"
    ── 16:26:40 UTC  pay.betrace ──────────────────────────── live after 6.20 ms, verdict after 21.4 ms
    pay fires on 12 of 4,812 traces, as before
      severity: medium → critical
      message: charged → charged twice
    over 4,812 traces of the last 9 min, 31 of 31 root operations
    ");
}

#[test]
fn rules_that_are_in_force_are_named_before_their_verdict() {
    let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("default limits"));
    let output = betrace_dsl::compile("pay", b"payment.charge_card");
    let rule = Rule::load(&engine, &output.rules[0].component, "pay.betrace").expect("it loads");
    let mut report = report(vec![file("pay.betrace")], None);
    report.update.changes = vec![Change {
        id: "pay".to_owned(),
        path: "pay.betrace".into(),
        before: None,
        after: Some(Arc::new(rule)),
    }];
    insta::assert_snapshot!(render(&report), @"
    ── 16:26:40 UTC  pay.betrace ─────────────────────────────────────────────────── live after 6.20 ms
    1 rule changed and in force: pay; a newer save is there, which tells what that does
    ");
    report.number = 1;
    insta::assert_snapshot!(render(&report), @"
    ── 16:26:40 UTC  start ────────────────────────────────────────────────────────── loaded in 6.20 ms
    1 rule in force: pay
    ");
}

#[test]
fn hostile_names_stay_harmless_and_in_their_columns() {
    let evil = "\u{1b}]0;title\u{7}\u{202e}".repeat(30);
    let mut rules = vec![edited()];
    rules[0].id = evil.clone();
    rules[0].fault = Some(evil.clone());
    rules[0].unjudged = 1;
    rules[0].silence = Some(Silence {
        absent: vec![evil.clone()],
        never: vec![NeverTrue {
            part: evil.clone(),
            why: evil.clone(),
        }],
        ..Silence::default()
    });
    let mut report = report(
        vec![FileReport {
            kept: vec![evil.clone()],
            leaving: vec![evil.clone()],
            removed: true,
            ..file(&evil)
        }],
        verdict(rules),
    );
    report.update.paths = vec![evil];
    for width in [20, 72, 100, 500] {
        let context = Context {
            paint: PLAIN,
            width,
            broken: &BTreeSet::new(),
            doubles: &BTreeSet::new(),
            declared: |_, _| None,
            no_traffic: &[],
        };
        let drawn = block(&report, &context);
        assert!(
            !drawn.chars().any(|c| c.is_control() && c != '\n'),
            "{drawn:?}"
        );
        let widest = drawn.lines().map(text::width).max().unwrap_or_default();
        assert!(
            widest <= width.clamp(72, 140),
            "{widest} of {width}:\n{drawn}"
        );
    }
}

#[test]
fn signals_are_lines_and_the_rest_a_sum() {
    let mut lines = Lines::new(1);
    let one = emission(0, &["payment.charge_card"]);
    let mut unsure = emission(2, &["admin.list_orders"]);
    {
        let signal = Arc::make_mut(&mut unsure.signal);
        signal.rule = "admin-needs-authorisation".to_owned();
        signal.completeness = Completion::Idle;
        signal.certainty = crate::signal::Certainty::Unsure;
    }
    let start = Time::default().after(Duration::from_secs(60));
    let first = lines.push(&[one.clone(), unsure.clone()], start, PLAIN, COLUMNS);
    insta::assert_snapshot!(first, @"
    16:26:47  critical  payment-fraud-check         POST /checkout      d70d3259e4e1cb631c663cf4d73c4c04
    16:26:47  critical? admin-needs-authorisation   GET /admin/orders   d70d3259e4e1cb631c663cf4d73c4c04
    ");
    // What a burst leaves room for, and the others.
    let many: Vec<Emission> = std::iter::repeat_n(one, 300).chain([unsure]).collect();
    assert_eq!(lines.push(&many, start, PLAIN, COLUMNS).lines().count(), 4);
    let due = lines.due().expect("there is a rest");
    assert_eq!(due.since(start), Duration::from_secs(5));
    insta::assert_snapshot!(
        lines.sum(0, "12:00:05", PLAIN, COLUMNS),
        @"12:00:05  … 297 more signals: payment-fraud-check 296, admin-needs-authorisation 1"
    );
    assert_eq!(lines.due(), None);
    assert_eq!(lines.sum(0, "12:00:06", PLAIN, COLUMNS), "");
    // A line a second comes back, and no more than a burst.
    assert_eq!(lines.push(&many, due, PLAIN, COLUMNS).lines().count(), 5);
    let later = due.after(Duration::from_secs(3_600));
    assert_eq!(lines.push(&many, later, PLAIN, COLUMNS).lines().count(), 6);
    insta::assert_snapshot!(
        lines.sum(40, "13:00:10", PLAIN, COLUMNS),
        @"13:00:10  … 631 more signals: payment-fraud-check 589, admin-needs-authorisation 2, others 40"
    );
}

#[test]
fn a_screen_shows_all_that_came_before_it_ends() {
    let (sink, signals) = crate::sinks::view(2);
    let counters = sink.counters();
    let (enters, reports) = bounded(8);
    let broken = FileReport {
        problems: vec![problem("a.betrace", "rule a { detect { x.where(> 1) } }")],
        ..file("a.betrace")
    };
    for files in [vec![broken], vec![file("a.betrace")]] {
        enters.send(Arc::new(report(files, None))).expect("room");
    }
    for _ in 0..5 {
        sink.send(vec![emission(0, &[])]);
    }
    drop((sink, enters));
    let screen = Screen::new(PLAIN, Clock::start(), counters, 1, Vec::new());
    let mut out = Vec::new();
    let shown = screen
        .run(reports, &signals, &mut out)
        .expect("it can be written");
    let out = String::from_utf8(out).expect("text");
    assert_eq!((shown.saves, shown.signals), (2, 5));
    let order = [
        "a.betrace is broken",
        "a.betrace is mended",
        "critical",
        "3 more signals",
    ];
    let places: Vec<_> = order.iter().map(|text| out.find(text)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{places:?}\n{out}"
    );
}
