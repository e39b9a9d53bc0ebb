//! What changed rules do to kept traces.

mod guests;
mod kept_support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use betrace::assemble::limits::Limits;
use betrace::assemble::trace::Completion;
use betrace::columns::projection::Intrinsic;
use betrace::demo::call::record;
use betrace::demo::export::Exporters;
use betrace::demo::faults::FAULTS;
use betrace::demo::random::Random;
use betrace::demo::shop;
use betrace::engine::{Counts, Engine, EngineLimits, Rule, RuleSet};
use betrace::replay::coverage::Coverage;
use betrace::replay::kept::Kept;
use betrace::replay::run::{Options, Replay, Summary};
use betrace::replay::trial::{SIDE_IDS, Trial, TrialLimits, try_rules};
use betrace::replay::verdict::{ChangeKind, RuleVerdict, Verdict};
use betrace::rules::update::Change;
use betrace::signal::Signal;
use betrace::signal::outline::Line;
use guests::{Describe, Reads, engine, engine_with, load};
use kept_support::{completed, int, kept, rule, rules, span, text, trace, trace_id};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

fn change(before: Option<&Arc<Rule>>, after: Option<&Arc<Rule>>) -> Change {
    let known = before.or(after).expect("a side");
    Change {
        id: known.id.clone(),
        path: known.origin.clone(),
        before: before.cloned(),
        after: after.cloned(),
    }
}

fn judge(engine: &Arc<Engine>, changes: &[Change], kept: &[Arc<Kept>]) -> Verdict {
    let mut trial = Trial::new(engine.clone());
    let coverage = Coverage::of(kept, 0);
    let verdict = trial.judge(changes, kept, coverage, &AtomicBool::new(false));
    verdict.expect("nothing overtook it")
}

fn judge_one(engine: &Arc<Engine>, change: Change, kept: &[Arc<Kept>]) -> RuleVerdict {
    let verdict = judge(engine, &[change], kept);
    assert!(!verdict.out_of_time);
    verdict.rules.into_iter().next().expect("one rule")
}

/// Charges of these amounts, a trace each.
fn charges(amounts: impl IntoIterator<Item = i64>) -> Vec<ExportTraceServiceRequest> {
    let spans = |amount| {
        vec![
            span("shop", &[]),
            span("charge", &[("amount", int(amount))]),
        ]
    };
    let traces = (0..).zip(amounts);
    traces
        .map(|(id, amount)| trace(id, spans(amount)))
        .collect()
}

/// Newly, no longer, otherwise, unchanged.
fn sides(verdict: &RuleVerdict) -> [u64; 4] {
    [
        verdict.newly.traces,
        verdict.no_longer.traces,
        verdict.otherwise.traces,
        verdict.unchanged,
    ]
}

#[test]
fn an_edited_number_moves_traces_between_sides() {
    let engine = engine();
    let kept = kept(&charges((0..100).map(|n| n * 10)), 3);
    let before = rule(&engine, "rule r { detect { charge.where(amount > 500) } }");
    let after = rule(&engine, "rule r { detect { charge.where(amount > 300) } }");
    let verdict = judge_one(&engine, change(Some(&before), Some(&after)), &kept);
    assert_eq!(verdict.change, ChangeKind::Edited);
    assert_eq!((verdict.fires, verdict.fired_before), (69, 49));
    assert_eq!(sides(&verdict), [20, 0, 0, 49]);
    assert_eq!(
        (verdict.traces, verdict.candidates, verdict.unjudged),
        (100, 100, 0)
    );
    let newest_first: Vec<_> = (31..=50).rev().map(trace_id).collect();
    assert_eq!(verdict.newly.ids, newest_first);

    let first = verdict.newly.first.expect("it is drawn");
    assert_eq!(first.signal.trace_id, format!("{:032x}", 51));
    assert_eq!(first.signal.version, after.version);
    let outline = first.outline.expect("with its trace");
    let marked = outline.lines.iter().filter_map(|line| match line {
        Line::Span(span) => Some((span.name.as_deref(), span.evidence)),
        Line::More(_) => None,
    });
    assert_eq!(
        marked.collect::<Vec<_>>(),
        [(Some("shop"), None), (Some("charge"), Some(0))]
    );

    let back = judge_one(&engine, change(Some(&after), Some(&before)), &kept);
    assert_eq!(sides(&back), [0, 20, 0, 49]);
    assert_eq!(back.no_longer.ids, newest_first);
    let first = back.no_longer.first.expect("it is drawn");
    assert_eq!(
        first.signal.version, after.version,
        "as the version before saw it"
    );
}

#[test]
fn rules_that_come_and_go_have_one_side() {
    let engine = engine();
    let kept = kept(&charges([1, 2, 3]), 3);
    let rule = rule(&engine, "rule r { detect { charge.where(amount > 1) } }");
    let added = judge_one(&engine, change(None, Some(&rule)), &kept);
    assert_eq!(
        (added.change, sides(&added)),
        (ChangeKind::Added, [2, 0, 0, 0])
    );
    assert_eq!(
        (added.before, added.after),
        (None, Some(rule.version.clone()))
    );
    let removed = judge_one(&engine, change(Some(&rule), None), &kept);
    assert_eq!(
        (removed.change, sides(&removed)),
        (ChangeKind::Removed, [0, 2, 0, 0])
    );
    assert_eq!(
        (removed.fires, removed.fired_before, removed.traces),
        (0, 2, 3)
    );
    assert_eq!((removed.candidates, removed.unjudged), (0, 0));

    let mut trial = Trial::new(engine.clone());
    let tried = try_rules(
        &mut trial,
        std::slice::from_ref(&rule),
        &kept,
        Coverage::of(&kept, 0),
        &AtomicBool::new(false),
    )
    .expect("nothing overtook it");
    assert_eq!(tried.rules[0].newly.ids, [trace_id(2), trace_id(1)]);
    assert_eq!(
        rule.counts(),
        Counts::default(),
        "live traffic alone counts"
    );
}

#[test]
fn other_evidence_is_told_from_other_words() {
    let engine = engine();
    let spans = |amounts: &[i64]| {
        let charge = |amount: &i64| span("charge", &[("amount", int(*amount))]);
        amounts.iter().map(charge).collect::<Vec<_>>()
    };
    let requests: Vec<_> = [&[5, 1][..], &[5, 2], &[5, 3]]
        .iter()
        .zip(0..)
        .map(|(amounts, id)| trace(id, spans(amounts)))
        .collect();
    let kept = kept(&requests, 3);
    let source = |severity, text: &str, least| {
        format!(
            "rule r {{ severity: {severity} detect {{ charge.where(amount >= {least}) }} message: \"{text}\" }}"
        )
    };
    let before = rule(&engine, &source("low", "much", 3));
    let other = rule(&engine, &source("low", "much", 2));
    let verdict = judge_one(&engine, change(Some(&before), Some(&other)), &kept);
    assert_eq!(sides(&verdict), [0, 0, 1, 2]);
    assert_eq!(verdict.otherwise.ids, [trace_id(1)]);
    let drawn = verdict.otherwise.first.expect("it is drawn");
    assert_eq!(drawn.signal.evidence.len(), 2, "as the new version sees it");
    assert_eq!(verdict.facts, []);

    let words = rule(&engine, &source("high", "too much", 3));
    let verdict = judge_one(&engine, change(Some(&before), Some(&words)), &kept);
    assert_eq!(sides(&verdict), [0, 0, 0, 3]);
    assert!(verdict.is_same());
    let facts: Vec<_> = verdict
        .facts
        .iter()
        .map(|f| (f.fact, f.after.as_str()))
        .collect();
    assert_eq!(facts, [("severity", "high"), ("message", "too much")]);
}

#[test]
fn values_of_an_unlike_type_are_counted_for_the_new_version() {
    let engine = engine();
    let amounts = [int(5), text("5"), text("6"), int(7)];
    let requests: Vec<_> = (0..)
        .zip(&amounts)
        .map(|(id, amount)| trace(id, vec![span("charge", &[("amount", amount.clone())])]))
        .collect();
    let kept = kept(&requests, 3);
    let before = rule(
        &engine,
        "rule r { detect { charge.where(amount == \"5\") } }",
    );
    let after = rule(&engine, "rule r { detect { charge.where(amount > 5) } }");
    let verdict = judge_one(&engine, change(Some(&before), Some(&after)), &kept);
    assert_eq!(sides(&verdict), [1, 1, 0, 0]);
    let unlike: Vec<_> = verdict
        .unlike
        .iter()
        .map(|(unlike, count)| (unlike.field.as_str(), unlike.tag, *count))
        .collect();
    assert_eq!(unlike, [("amount", "text", 2)]);
}

/// A rule that more spans can undo, on traces that were cut short.
#[test]
fn what_a_stop_cut_short_is_judged_as_it_was_live() {
    let engine = engine();
    let source = "rule few { detect { charge.count() < 3 } }
                  rule any { detect { charge.where(amount > 0) } }";
    let rules = rules(&engine, source);
    let changes: Vec<_> = rules.iter().map(|rule| change(None, Some(rule))).collect();
    let fires = |generation, completion| {
        let kept = completed(kept(&charges([1, 2]), generation), completion);
        let verdict = judge(&engine, &changes, &kept);
        let certainty = |rule: &RuleVerdict| {
            let first = rule.newly.first.as_ref();
            first.map(|first| first.signal.certainty)
        };
        let certain: Vec<_> = verdict.rules.iter().map(certainty).collect();
        (verdict.rules[0].fires, verdict.rules[1].fires, certain)
    };
    use betrace::signal::Certainty::{Certain, Unsure};
    let live = fires(3, Completion::Drained);
    assert_eq!(live, (0, 2, vec![None, Some(Certain)]));
    // Of a file there is no more to come, but its trace is not whole.
    let file = fires(0, Completion::Drained);
    assert_eq!(file, (2, 2, vec![Some(Unsure), Some(Certain)]));
    let idle = fires(3, Completion::Idle);
    assert_eq!(idle, (2, 2, vec![Some(Unsure), Some(Certain)]));
    let whole = fires(3, Completion::Root);
    assert_eq!(whole, (2, 2, vec![Some(Certain), Some(Certain)]));
}

/// An engine whose calls hold few traces.
fn small_calls() -> Arc<Engine> {
    engine_with(EngineLimits {
        call_bytes: 1 << 10,
        ..EngineLimits::for_workers(1)
    })
}

fn guest(engine: &Engine, name: &str, constant: &str) -> Arc<Rule> {
    let describe = Describe {
        id: "r",
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &[constant],
        ..Describe::default()
    };
    load(engine, name, &describe)
}

#[test]
fn a_trace_that_a_version_could_not_judge_is_in_no_side() {
    let engine = small_calls();
    let name = |id: u64| if id == 500 { "poison" } else { "fine" };
    let requests: Vec<_> = (0..1_000)
        .map(|id| trace(id, vec![span(name(id), &[])]))
        .collect();
    let kept = kept(&requests, 3);
    let silent = guest(&engine, "name", "nowhere");
    let faulty = guest(&engine, "trap_on", "poison");

    let verdict = judge_one(&engine, change(Some(&silent), Some(&faulty)), &kept);
    let lost = verdict.unjudged;
    assert!((1..200).contains(&lost), "the traces of one call: {lost}");
    assert_eq!(sides(&verdict), [1_000 - lost, 0, 0, 0]);
    assert_eq!(
        (verdict.fires, verdict.traces),
        (1_000 - lost, 1_000 - lost)
    );
    assert!(!verdict.newly.ids.contains(&trace_id(500)));
    assert!(verdict.fault.expect("it says why").starts_with("trap: "));
    assert_eq!((verdict.unjudged_before, verdict.fault_before), (0, None));

    // Mended: those that the version before could not judge are not new.
    let mended = guest(&engine, "trap_on", "nowhere");
    let verdict = judge_one(&engine, change(Some(&faulty), Some(&mended)), &kept);
    assert_eq!((verdict.fires, verdict.unjudged), (1_000, 0));
    assert_eq!(sides(&verdict), [0, 0, 0, 1_000 - verdict.unjudged_before]);
    assert!((1..200).contains(&verdict.unjudged_before));
    assert!(verdict.fault.is_none() && verdict.fault_before.is_some());

    // Removed: it no longer fires on those that it could be asked about.
    let verdict = judge_one(&engine, change(Some(&faulty), None), &kept);
    assert_eq!(verdict.no_longer.traces, verdict.traces);
    assert_eq!(verdict.traces + verdict.unjudged_before, 1_000);
    for rule in [&silent, &faulty, &mended] {
        assert_eq!(rule.counts(), Counts::default());
        assert!(rule.last_fault().is_none());
    }
}

#[test]
fn a_rule_that_always_faults_is_given_up_and_others_are_not() {
    let engine = small_calls();
    let kept = kept(&charges(0..2_000), 3);
    let good = rule(
        &engine,
        "rule good { detect { charge.where(amount < 10) } }",
    );
    let looping = guest(&engine, "loop", "nowhere");
    let changes = [change(None, Some(&looping)), change(None, Some(&good))];
    let verdict = judge(&engine, &changes, &kept);
    let [bad, good] = &verdict.rules[..] else {
        panic!("two rules")
    };
    assert_eq!((bad.unjudged, bad.traces, bad.fires), (2_000, 0, 0));
    let fault = bad.fault.as_deref().expect("it says why");
    assert!(fault.starts_with("timeout: "), "{fault}");
    assert_eq!((good.fires, good.unjudged), (10, 0));
}

#[test]
fn a_trace_that_is_too_large_for_a_rule_has_no_verdict() {
    let engine = engine_with(EngineLimits {
        call_bytes: 1 << 10,
        trace_bytes: 2 << 10,
        ..EngineLimits::for_workers(1)
    });
    let large = vec![span("fine", &[]); 1_000];
    let requests = [
        trace(0, vec![span("fine", &[])]),
        trace(1, large),
        trace(2, vec![span("fine", &[])]),
    ];
    let kept = kept(&requests, 3);
    let rule = guest(&engine, "name", "fine");
    let verdict = judge_one(&engine, change(None, Some(&rule)), &kept);
    assert_eq!(verdict.newly.ids, [trace_id(2), trace_id(0)]);
    assert_eq!((verdict.unjudged, verdict.traces), (1, 2));
    assert!(verdict.fault.expect("it says why").contains("larger than"));
}

#[test]
fn a_newer_save_ends_a_trial_and_time_does() {
    let engine = engine();
    let kept = kept(&charges(0..100), 3);
    let rule = rule(&engine, "rule r { detect { charge } }");
    let changes = [change(None, Some(&rule))];
    let mut trial = Trial::new(engine.clone());
    let overtaken = AtomicBool::new(true);
    assert!(
        trial
            .judge(&changes, &kept, Coverage::default(), &overtaken)
            .is_none()
    );
    let again = trial.judge(
        &changes,
        &kept,
        Coverage::default(),
        &AtomicBool::new(false),
    );
    assert_eq!(again.expect("it goes on").rules[0].fires, 100);

    let limits = TrialLimits {
        time: Duration::ZERO,
        ..TrialLimits::default()
    };
    let mut trial = Trial::with_limits(engine, limits);
    let verdict = trial
        .judge(
            &changes,
            &kept,
            Coverage::default(),
            &AtomicBool::new(false),
        )
        .expect("nothing overtook it");
    assert!(verdict.out_of_time);
    let [rule] = &verdict.rules[..] else {
        panic!("one rule")
    };
    assert_eq!((rule.fires, rule.traces, rule.unjudged), (0, 0, 100));
}

#[test]
fn nothing_changed_or_nothing_kept_is_a_verdict_too() {
    let engine = engine();
    let rule = rule(&engine, "rule r { detect { charge } }");
    let verdict = judge_one(&engine, change(None, Some(&rule)), &[]);
    assert_eq!((verdict.traces, verdict.fires), (0, 0));
    let verdict = judge(&engine, &[], &kept(&charges([1]), 3));
    assert!(verdict.rules.is_empty() && !verdict.out_of_time);
    assert_eq!(verdict.coverage.traces, 1);
}

#[test]
fn many_changes_at_once_do_not_mix() {
    const RULES: i64 = 150;
    let engine = engine();
    let kept = kept(&charges(0..RULES), 3);
    let source = |shift: i64| {
        let rule = |n: i64| {
            format!(
                "rule r-{n} {{ detect {{ charge.where(amount < {}) }} }}\n",
                n + shift
            )
        };
        (0..RULES).map(rule).collect::<String>()
    };
    let (old, new) = (rules(&engine, &source(0)), rules(&engine, &source(2)));
    // In turn: edited, added, removed.
    let changes = (0..)
        .zip(old.iter().zip(&new))
        .map(|(n, (old, new))| match n % 3 {
            0 => change(Some(old), Some(new)),
            1 => change(None, Some(new)),
            _ => change(Some(old), None),
        });
    let changes = changes.collect::<Vec<_>>();
    let verdict = judge(&engine, &changes, &kept);
    assert_eq!(verdict.rules.len(), RULES as usize);
    for (n, rule) in (0..RULES as u64).zip(&verdict.rules) {
        assert_eq!(rule.id, format!("r-{n}"));
        let fires = (n + 2).min(RULES as u64);
        let expected = match n % 3 {
            0 => [fires - n, 0, 0, n],
            1 => [fires, 0, 0, 0],
            _ => [0, n, 0, 0],
        };
        assert_eq!(sides(rule), expected, "{n}");
        assert_eq!(rule.unjudged + rule.unjudged_before, 0);
    }
    let drawn = verdict
        .rules
        .iter()
        .filter(|rule| rule.newly.first.is_some());
    assert!(drawn.count() < 64, "a person reads a few");
}

#[test]
fn counts_of_sixty_thousand_traces_are_exact_and_ids_are_few() {
    const TRACES: u64 = 60_000;
    let engine = engine();
    let kept = kept(&charges(0..TRACES as i64), 3);
    assert_eq!(kept.len(), TRACES as usize);
    let before = rule(
        &engine,
        "rule r { detect { charge.where(amount >= 20000) } }",
    );
    let after = rule(
        &engine,
        "rule r { detect { charge.where(amount < 40000) } }",
    );
    let verdict = judge_one(&engine, change(Some(&before), Some(&after)), &kept);
    assert_eq!(sides(&verdict), [20_000, 20_000, 0, 20_000]);
    assert_eq!((verdict.traces, verdict.unjudged), (TRACES, 0));
    let newest = |below: u64| (0..below).rev().take(SIDE_IDS).map(trace_id);
    assert_eq!(verdict.newly.ids, newest(20_000).collect::<Vec<_>>());
    assert_eq!(verdict.no_longer.ids, newest(TRACES).collect::<Vec<_>>());
    let first = verdict.no_longer.first.expect("it is drawn");
    assert_eq!(first.signal.trace_id, format!("{TRACES:032x}"));
}

/// The demo's rules, and what they might be edited to.
fn shop_rules(engine: &Engine) -> Vec<Arc<Rule>> {
    let demo = betrace::demo::rules::RULES
        .iter()
        .map(|(_, source)| *source);
    let edited = [
        "rule more { detect { payment.call_processor.count() > 1 } }",
        "rule slow { expect { spans.all(duration <= 20ms) } }",
        "rule unlike { detect { payment.charge_card.where(amount == \"12\") } }",
        "rule two { when { payment.charge_card } always { payment.fraud_check } never { spans.where(status == error) } }",
    ];
    let all = demo.chain(edited);
    all.flat_map(|source| rules(engine, source)).collect()
}

fn shop_traffic(seed: u64) -> Vec<ExportTraceServiceRequest> {
    const START: u64 = 1_771_000_000_000_000_000;
    let mut random = Random::new(seed);
    let mut exporters = Exporters::default();
    for _ in 0..12 {
        exporters.add(record(&shop::visit(&mut random), START, &mut random));
    }
    for fault in FAULTS {
        exporters.add(record(&fault.happen(&mut random), START, &mut random));
    }
    let mut requests = exporters.flush_all();
    if seed.is_multiple_of(2) {
        // A service whose spans never come: its traces lack parents, and some a root.
        requests.remove(seed as usize / 2 % requests.len());
    }
    requests
}

/// What a replay signals, by trace.
fn replay(
    engine: &Arc<Engine>,
    rule: &Arc<Rule>,
    requests: &[ExportTraceServiceRequest],
) -> (BTreeMap<String, Signal>, Summary) {
    let set = Arc::new(RuleSet::new(1, vec![rule.clone()]));
    let options = Options {
        limits: Limits::default(),
        outlines: false,
        detected_at: 0,
    };
    let mut replay = Replay::new(engine.clone(), set, options);
    let mut out = Vec::new();
    for request in requests {
        let pushed = replay.push(request.encode_to_vec().into(), &mut out);
        pushed.expect("it is OTLP");
    }
    let summary = replay.finish(|batch| {
        out.extend(batch);
        ControlFlow::Continue(())
    });
    let signals = out.into_iter().map(|emission| {
        let signal = Signal::clone(&emission.signal);
        (signal.trace_id.clone(), signal)
    });
    (signals.collect(), summary)
}

fn hex(ids: &[[u8; 16]]) -> BTreeSet<String> {
    let hex = |id: &[u8; 16]| format!("{:032x}", u128::from_be_bytes(*id));
    ids.iter().map(hex).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any rule as any other's next version.
    #[test]
    fn it_finds_what_a_replay_of_each_version_finds(seed in 0..1_000_u64, pairs in prop::collection::vec((0..15_usize, 0..15_usize), 1..6)) {
        thread_local! {
            static SHOP: (Arc<Engine>, Vec<Arc<Rule>>) = {
                let engine = engine_with(EngineLimits { warm_instances: 32, ..EngineLimits::for_workers(1) });
                let rules = shop_rules(&engine);
                (engine, rules)
            };
        }
        let (engine, rules) = SHOP.with(Clone::clone);
        let requests = shop_traffic(seed);
        let kept = kept(&requests, 0);
        let changes: Vec<_> = pairs
            .iter()
            .map(|&(old, new)| change(Some(&rules[old % rules.len()]), Some(&rules[new % rules.len()])))
            .collect();
        let verdict = judge(&engine, &changes, &kept);
        for (change, found) in changes.iter().zip(&verdict.rules) {
            let (before, after) = (change.before.as_ref().unwrap(), change.after.as_ref().unwrap());
            let (old, _) = replay(&engine, before, &requests);
            let (new, summary) = replay(&engine, after, &requests);
            prop_assert_eq!(found.fired_before, old.len() as u64);
            prop_assert_eq!(found.fires, new.len() as u64);
            let newly: BTreeSet<String> = new.keys().filter(|id| !old.contains_key(*id)).cloned().collect();
            let gone: BTreeSet<String> = old.keys().filter(|id| !new.contains_key(*id)).cloned().collect();
            prop_assert_eq!(hex(&found.newly.ids), newly);
            prop_assert_eq!(hex(&found.no_longer.ids), gone);
            let both: Vec<_> = new.iter().filter_map(|(id, new)| Some((old.get(id)?, new))).collect();
            prop_assert_eq!(found.otherwise.traces + found.unchanged, both.len() as u64);
            let one_clause = before.manifest.clauses.len() + after.manifest.clauses.len() == 2
                && before.manifest.clauses[0].kind == after.manifest.clauses[0].kind;
            if one_clause {
                let spans = |signal: &Signal| signal.evidence.iter().map(|e| e.span_id.clone()).collect::<Vec<_>>();
                let same = both.iter().filter(|(old, new)| spans(old) == spans(new));
                prop_assert_eq!(found.unchanged, same.count() as u64);
            }
            if let Some(drawn) = &found.newly.first {
                let signal = Signal::clone(&drawn.signal);
                let expected = &new[&signal.trace_id];
                // When it was detected is all that a replay knows better.
                prop_assert_eq!(&Signal { detected_at: expected.detected_at.clone(), ..signal }, expected);
            }
            let unlike: u64 = found.unlike.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(unlike, summary.unlike.values().sum::<u64>());
        }
    }
}
