//! Honest rules through the whole engine: what is found is what is there, with the index and without it.

mod guests;

use std::cell::RefCell;
use std::sync::Arc;

use betrace::columns::projection::Intrinsic;
use betrace::engine::{EngineLimits, RuleSet, Worker};
use guests::{
    Describe, On, Reads, Span, component, engine, engine_with, found, load, module_with, run, set,
    span,
};
use proptest::prelude::*;

const NAME: Reads<'static> = Reads::Intrinsic(Intrinsic::Name);
const SERVICE: Reads<'static> = Reads::Intrinsic(Intrinsic::Service);

fn bypass() -> Describe<'static> {
    Describe {
        id: "bypass",
        columns: &[NAME],
        constants: &["bypass"],
        triggers: &[&[On::Name("bypass")]],
        ..Describe::default()
    }
}

#[test]
fn a_rule_finds_its_traces_with_their_spans_as_evidence() {
    let engine = engine();
    let rule = load(&engine, "name", &bypass());
    assert_eq!(
        (rule.id.as_str(), rule.manifest.tags.as_slice()),
        ("bypass", ["tests".to_owned()].as_slice())
    );
    let set = set(std::slice::from_ref(&rule));
    let mut worker = Worker::new(engine);
    let batch = vec![
        vec![span("charge", "pay"), span("check", "fraud")],
        vec![
            span("charge", "pay"),
            span("bypass", "pay"),
            span("bypass", "pay"),
        ],
        vec![span("bypass", "pay")],
    ];
    let findings = run(&mut worker, &set, &batch);
    assert_eq!(found(&findings, 0), [(1, vec![3, 4]), (2, vec![5])]);
    assert_eq!(findings[0].clause, 0);

    let counts = rule.counts();
    assert_eq!(
        (
            counts.evaluations,
            counts.traces,
            counts.findings,
            counts.all_faults()
        ),
        (1, 2, 2, 0)
    );
    assert!(counts.nanoseconds > 0);
}

#[test]
fn evidence_beyond_a_hundred_spans_is_a_number() {
    let engine = engine();
    let set = set(&[load(&engine, "name", &bypass())]);
    let mut worker = Worker::new(engine);
    let findings = run(&mut worker, &set, &[vec![span("bypass", "pay"); 130]]);
    assert_eq!((findings[0].rows.len(), findings[0].more), (100, 30));
}

#[test]
fn a_batch_larger_than_a_call_takes_several_and_one_warm_instance() {
    let engine = engine();
    let rule = load(&engine, "name", &bypass());
    let set = set(std::slice::from_ref(&rule));
    let mut worker = Worker::new(engine);
    let batch = vec![vec![span("bypass", "pay"); 50]; 1_000];
    for _ in 0..3 {
        let findings = run(&mut worker, &set, &batch);
        assert_eq!(findings.len(), 1_000);
        assert!(
            findings
                .iter()
                .all(|f| f.rows == ((f.trace * 50)..(f.trace * 50 + 50)).collect::<Vec<_>>())
        );
    }
    let counts = rule.counts();
    // 1,000 traces of 50 names and an offset, four bytes each, in calls of 64 KiB.
    assert_eq!(counts.evaluations, 3 * 204_000_u64.div_ceil(64 << 10));
    assert_eq!(counts.instances, 1);
    assert_eq!(worker.warm_instances(), 1);
}

#[test]
fn a_core_module_that_carries_its_wit_is_a_rule_too() {
    let engine = engine();
    let module = module_with("name", &bypass(), &[]);
    let rule = betrace::engine::Rule::load(&engine, &module, "rule.wasm")
        .expect("it is wrapped on the way");
    // The version is that of the component, however it came.
    assert_eq!(
        rule.version,
        betrace::engine::rule::version(&component("name", &bypass()))
    );
    assert_eq!(rule.version.len(), 32);
}

#[test]
fn text_goes_along_where_a_column_asks_for_it() {
    let engine = engine();
    let describe = Describe {
        id: "text",
        columns: &[Reads::Text(Intrinsic::Name)],
        triggers: &[&[On::Prefix("p")]],
        ..Describe::default()
    };
    let set = set(&[load(&engine, "text", &describe)]);
    let mut worker = Worker::new(engine);
    let batch = vec![
        vec![span("get", "a")],
        vec![span("x", "a"), span("put", "a"), span("post", "b")],
        vec![span("", "p")],
    ];
    assert_eq!(found(&run(&mut worker, &set, &batch), 0), [(1, vec![2])]);
}

#[test]
fn rules_of_a_published_set_keep_their_instances() {
    let engine = engine();
    let first = load(&engine, "name", &bypass());
    let other = Describe {
        id: "charge",
        constants: &["charge"],
        triggers: &[],
        ..bypass()
    };
    let other = load(&engine, "name", &other);
    let mut worker = Worker::new(engine);
    let batch = [vec![span("bypass", "pay"), span("charge", "pay")]];
    assert_eq!(
        run(&mut worker, &RuleSet::new(1, vec![first.clone()]), &batch).len(),
        1
    );
    assert_eq!(
        run(
            &mut worker,
            &RuleSet::new(2, vec![other.clone(), first.clone()]),
            &batch
        )
        .len(),
        2
    );
    assert_eq!((first.counts().instances, worker.warm_instances()), (1, 2));
    assert_eq!(
        run(&mut worker, &RuleSet::new(3, vec![other]), &batch).len(),
        1
    );
    assert_eq!(worker.warm_instances(), 1);
}

#[test]
fn a_full_worker_evicts_and_finds_all_the_same() {
    let engine = engine_with(EngineLimits {
        workers: 1,
        warm_instances: 3,
        ..EngineLimits::for_workers(1)
    });
    let rules: Vec<_> = (0..10).map(|_| load(&engine, "name", &bypass())).collect();
    let set = set(&rules);
    let mut worker = Worker::new(engine);
    for _ in 0..3 {
        assert_eq!(
            run(&mut worker, &set, &[vec![span("bypass", "pay")]]).len(),
            10
        );
        assert_eq!(worker.warm_instances(), 3);
    }
    assert!(rules.iter().all(|rule| rule.counts().all_faults() == 0));
}

#[test]
fn a_pool_that_others_fill_evicts_and_finds_all_the_same() {
    // Two workers where the pool was made for one: the second meets a full pool and gives back its own.
    let engine = engine_with(EngineLimits {
        workers: 1,
        warm_instances: 72,
        ..EngineLimits::for_workers(1)
    });
    let rules: Vec<_> = (0..104).map(|_| load(&engine, "name", &bypass())).collect();
    let set = set(&rules);
    let (mut first, mut second) = (Worker::new(engine.clone()), Worker::new(engine.clone()));
    let mut third = Worker::new(engine);
    for worker in [&mut first, &mut second, &mut third] {
        assert_eq!(run(worker, &set, &[vec![span("bypass", "pay")]]).len(), 104);
    }
    assert_eq!(
        (
            first.warm_instances(),
            second.warm_instances(),
            third.warm_instances()
        ),
        (72, 72, 56)
    );
    assert!(
        rules
            .iter()
            .all(|rule| rule.counts().all_faults() == 0 && rule.counts().unjudged == 0)
    );
}

fn any_span() -> impl Strategy<Value = Span> {
    let names = prop::sample::select(vec!["bypass", "charge", "put", "post", "p", "get", ""]);
    let services = prop::option::of(prop::sample::select(vec!["pay", "fraud", "bypass", "web"]));
    (names, services, prop::option::weighted(0.2, 0i64..2_000)).prop_map(
        |(name, service, amount)| Span {
            name,
            service,
            amount,
        },
    )
}

/// Rules with every kind of trigger, alone and together.
fn rules(engine: &Arc<betrace::engine::Engine>) -> Vec<Arc<betrace::engine::Rule>> {
    let name = |constants, triggers| Describe {
        id: "name",
        columns: &[NAME],
        constants,
        triggers,
        ..Describe::default()
    };
    let both = |constants, triggers| Describe {
        id: "both",
        columns: &[NAME, SERVICE],
        constants,
        triggers,
        ..Describe::default()
    };
    let text = |triggers| Describe {
        id: "text",
        columns: &[Reads::Text(Intrinsic::Name)],
        triggers,
        ..Describe::default()
    };
    let amount = |triggers| Describe {
        id: "amount",
        columns: &[Reads::Attribute("amount")],
        triggers,
        ..Describe::default()
    };
    vec![
        load(engine, "name", &name(&["bypass"], &[&[On::Name("bypass")]])),
        load(engine, "name", &name(&["charge"], &[])),
        load(
            engine,
            "name",
            &name(
                &["put"],
                &[&[On::Name("put"), On::Name("get")], &[On::Prefix("p")]],
            ),
        ),
        load(engine, "name", &name(&["absent"], &[&[On::Name("absent")]])),
        load(engine, "name", &name(&["absent"], &[])),
        load(
            engine,
            "both",
            &both(
                &["charge", "pay"],
                &[&[On::Name("charge")], &[On::Service("pay")]],
            ),
        ),
        load(
            engine,
            "both",
            &both(&["bypass", "bypass"], &[&[On::Service("bypass")]]),
        ),
        load(engine, "text", &text(&[&[On::Prefix("p")]])),
        load(
            engine,
            "text",
            &text(&[&[On::Prefix("pu"), On::Prefix("po"), On::Name("p")]]),
        ),
        load(engine, "amount", &amount(&[&[On::Attribute("amount")]])),
        load(
            engine,
            "amount",
            &amount(&[
                &[On::Prefix(""), On::Name("never")],
                &[On::Attribute("amount")],
            ]),
        ),
    ]
}

/// What each of [`rules`] has to find: whether a trace breaks it.
fn broken(rule: usize, trace: &[Span]) -> bool {
    let named = |name| trace.iter().any(|span| span.name == name);
    let served = |service| trace.iter().any(|span| span.service == Some(service));
    match rule {
        0 => named("bypass"),
        1 => named("charge"),
        2 => named("put"),
        3 | 4 => false,
        5 => named("charge") && served("pay"),
        6 => named("bypass") && served("bypass"),
        7 | 8 => trace.iter().any(|span| span.name.starts_with('p')),
        _ => trace.iter().any(|span| span.amount > Some(1_000)),
    }
}

#[test]
fn the_index_changes_nothing_that_is_found() {
    let engine = engine_with(EngineLimits {
        warm_instances: 64,
        call_bytes: 1 << 10,
        ..EngineLimits::for_workers(1)
    });
    let rules = rules(&engine);
    let indexed = RuleSet::new(1, rules.clone());
    let all = RuleSet::without_index(2, rules.clone());
    let worker = RefCell::new(Worker::new(engine.clone()));
    let other = RefCell::new(Worker::new(engine));
    let batch = prop::collection::vec(prop::collection::vec(any_span(), 1..6), 1..120);
    proptest!(ProptestConfig::with_cases(200), |(batch in batch)| {
        let findings = run(&mut worker.borrow_mut(), &indexed, &batch);
        prop_assert_eq!(&findings, &run(&mut other.borrow_mut(), &all, &batch));
        for rule in 0..rules.len() {
            let expected: Vec<u32> = (0..batch.len() as u32).filter(|&t| broken(rule, &batch[t as usize])).collect();
            let traces: Vec<u32> = found(&findings, rule as u32).iter().map(|f| f.0).collect();
            prop_assert_eq!(traces, expected, "rule {}", rule);
        }
    });
    assert!(rules.iter().all(|rule| rule.counts().all_faults() == 0));
    let seen = rules[3].counts();
    assert!(seen.traces > 0, "without an index it sees every trace");
}
