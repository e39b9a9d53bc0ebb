//! A rule that keeps faulting in live traffic is not asked for a while, and what it does not judge is counted.

mod guests;

use std::sync::Arc;
use std::time::Duration;

use betrace::columns::projection::Intrinsic;
use betrace::engine::{Engine, Incident, Rule, RuleSet, Tried, Worker};
use betrace::time::Time;
use guests::{Describe, Reads, Span, columns, engine, found, load, set, span};

fn describe(id: &'static str) -> Describe<'static> {
    Describe {
        id,
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["bypass"],
        ..Describe::default()
    }
}

/// Two workers that share an honest rule and one that traps where a span is called `bypass`.
struct Bench {
    workers: [Worker; 2],
    set: RuleSet,
    honest: Arc<Rule>,
    bad: Arc<Rule>,
    incidents: Vec<Incident>,
}

impl Bench {
    fn new() -> Bench {
        let engine: Arc<Engine> = engine();
        let honest = load(&engine, "name", &describe("honest"));
        let bad = load(&engine, "trap_on", &describe("bad"));
        Bench {
            workers: [Worker::new(engine.clone()), Worker::new(engine)],
            set: set(&[honest.clone(), bad.clone()]),
            honest,
            bad,
            incidents: Vec::new(),
        }
    }

    /// One batch of two traces; returns what the bad rule found. The honest one finds what it always finds.
    fn batch(&mut self, worker: usize, second: u64, names: [&'static str; 2]) -> usize {
        let now = Time::default().after(Duration::from_secs(second));
        let batch: Vec<Vec<Span>> = names.iter().map(|name| vec![span(name, "pay")]).collect();
        let (columns, traces) = columns(&self.set, &batch);
        let mut findings = Vec::new();
        self.workers[worker].evaluate_live(
            &self.set,
            &columns,
            &traces,
            &mut findings,
            now,
            &mut self.incidents,
        );
        let expected = names.iter().filter(|name| **name == "bypass").count();
        assert_eq!(found(&findings, 0).len(), expected, "the honest rule");
        found(&findings, 1).len()
    }

    fn bad(&mut self, second: u64) -> usize {
        self.batch(0, second, ["charge", "bypass"])
    }
}

#[test]
fn a_rule_that_keeps_faulting_is_left_out_and_its_traces_are_counted() {
    let mut bench = Bench::new();
    for second in 0..5 {
        assert_eq!(bench.bad(second), 0);
    }
    let counts = bench.bad.counts();
    assert_eq!((counts.all_faults(), counts.unjudged), (5, 10));
    assert_eq!((counts.quarantined, counts.quarantines), (0, 1));
    let opened: Vec<bool> = bench.incidents.iter().map(|i| i.has_opened).collect();
    assert_eq!(opened, [false, false, false, false, true]);
    let last = &bench.incidents[4];
    assert_eq!(
        (last.rule, &last.traces[..], last.call),
        (1, &[0, 1][..], 1)
    );

    // Both workers leave it out, and it costs no instance.
    assert_eq!(bench.bad(5), 0);
    assert_eq!(bench.batch(1, 5, ["charge", "charge"]), 0);
    let counts = bench.bad.counts();
    assert_eq!((counts.all_faults(), counts.instances), (5, 5));
    assert_eq!((counts.unjudged, counts.quarantined), (14, 4));
    assert_eq!(bench.incidents.len(), 5);
    assert_eq!(bench.honest.counts().all_faults(), 0);
    assert_eq!(bench.honest.counts().unjudged, 0);
}

#[test]
fn one_batch_tries_it_again_and_its_outcome_decides() {
    let mut bench = Bench::new();
    for second in 0..5 {
        bench.bad(second);
    }
    assert_eq!(bench.bad(14), 0, "the probe faults");
    assert_eq!(bench.bad.counts().all_faults(), 6);
    assert_eq!(bench.bad.counts().quarantines, 2);
    assert!(!bench.incidents[5].has_opened, "it was open before");
    assert_eq!(bench.batch(1, 33, ["charge", "charge"]), 0, "20 s more");
    assert_eq!(bench.bad.counts().quarantined, 2);
    assert_eq!(
        bench.batch(1, 34, ["charge", "charge"]),
        2,
        "the probe passes"
    );
    assert_eq!(bench.bad.breaker().quarantine(), None);
    assert_eq!(bench.batch(0, 34, ["charge", "charge"]), 2);
    assert_eq!(bench.bad.counts().quarantined, 2);
}

#[test]
fn a_probe_without_a_call_leaves_the_next_batch_to_probe() {
    let mut bench = Bench::new();
    for second in 0..5 {
        bench.bad(second);
    }
    // Larger than any instance can take: the host's bound, and no verdict on the rule.
    let huge = vec![vec![span("charge", "pay"); (4 << 20) / 4]];
    let (columns, traces) = columns(&bench.set, &huge);
    let now = Time::default().after(Duration::from_secs(20));
    let incidents = &mut bench.incidents;
    bench.workers[0].evaluate_live(
        &bench.set,
        &columns,
        &traces,
        &mut Vec::new(),
        now,
        incidents,
    );
    assert_eq!(bench.bad.counts().input_too_large, 1);
    assert_eq!(bench.batch(1, 20, ["charge", "charge"]), 2);
}

#[test]
fn trials_and_recordings_neither_ask_the_breaker_nor_move_it() {
    let mut bench = Bench::new();
    let batch = [vec![span("bypass", "pay")], vec![span("charge", "pay")]];
    let (columns, traces) = columns(&bench.set, &batch);
    let mut tried = Tried::default();
    for _ in 0..10 {
        let worker = &mut bench.workers[0];
        worker.try_out(
            &bench.set,
            &columns,
            &traces,
            &mut Vec::new(),
            &mut tried,
            &|| false,
        );
        worker.evaluate(&bench.set, &columns, &traces, &mut Vec::new());
    }
    assert!(!bench.bad.breaker().has_opened());
    assert_eq!(
        bench.bad.counts().all_faults(),
        10,
        "recordings are counted"
    );
    for second in 0..5 {
        bench.bad(second);
    }
    assert!(bench.bad.breaker().quarantine().is_some());
    bench.workers[0].evaluate(&bench.set, &columns, &traces, &mut Vec::new());
    assert_eq!(
        bench.bad.counts().all_faults(),
        16,
        "it is asked all the same"
    );
    assert_eq!(bench.bad.counts().quarantined, 0);
}

#[test]
fn what_is_put_in_force_anew_starts_closed() {
    let mut bench = Bench::new();
    for second in 0..5 {
        bench.bad(second);
    }
    let mended = bench.bad.in_force(Some(&bench.bad), None);
    assert!(!mended.breaker().has_opened());
    assert_eq!(mended.counts().all_faults(), 5, "it counts on");
    // The same rule in the next rule set is the same.
    bench.set = set(&[bench.honest.clone(), bench.bad.clone()]);
    assert_eq!(bench.bad(6), 0);
    assert_eq!(bench.bad.counts().quarantined, 2);
}
