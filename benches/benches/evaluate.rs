//! Columns to findings: candidates, gathering, the call, the check of its answer.
//!
//! Batches of 512 traces of 10 spans, as a loaded worker takes them. Throughput is spans of the batch, whatever the rules
//! see of it.

#[path = "../../host/tests/guests/mod.rs"]
mod guests;

use std::sync::Arc;

use betrace::columns::projection::Intrinsic;
use betrace::engine::{EngineLimits, Rule, RuleSet, Worker};
use divan::Bencher;
use divan::counter::ItemsCount;
use guests::{Describe, On, Reads, Span, columns, engine_with, load, span};

const TRACES: usize = 512;
const SPANS: usize = 10;

fn main() {
    divan::main();
}

/// Every rule is a candidate of every trace, and finds something in one of a hundred.
#[divan::bench(args = [1, 10])]
fn rules_that_see_every_trace(bencher: Bencher<'_, '_>, rules: usize) {
    let engine = engine_with(EngineLimits::for_workers(1));
    let describe = Describe {
        id: "rule",
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["name 7"],
        ..Describe::default()
    };
    let rules: Vec<Arc<Rule>> = (0..rules)
        .map(|_| load(&engine, "name", &describe))
        .collect();
    measure(bencher, Worker::new(engine), rules);
}

/// The same, with rules that read the text of names.
#[divan::bench]
fn a_rule_that_reads_text(bencher: Bencher<'_, '_>) {
    let engine = engine_with(EngineLimits::for_workers(1));
    let describe = Describe {
        id: "rule",
        columns: &[Reads::Text(Intrinsic::Name)],
        ..Describe::default()
    };
    let rules = vec![load(&engine, "text", &describe)];
    measure(bencher, Worker::new(engine), rules);
}

/// Rules that need one name each, of which a trace has ten, and that find nothing: the usual case.
#[divan::bench(args = [100, 1_000])]
fn rules_of_which_a_trace_touches_ten(bencher: Bencher<'_, '_>, rules: usize) {
    let engine = engine_with(EngineLimits::for_workers(1));
    let rules: Vec<Arc<Rule>> = (0..rules)
        .map(|rule| {
            let name = name(rule);
            let describe = Describe {
                id: name,
                columns: &[Reads::Intrinsic(Intrinsic::Name)],
                constants: &["in no trace"],
                triggers: &[&[On::Name(name)]],
                ..Describe::default()
            };
            load(&engine, "name", &describe)
        })
        .collect();
    measure(bencher, Worker::new(engine), rules);
}

fn measure(bencher: Bencher<'_, '_>, mut worker: Worker, rules: Vec<Arc<Rule>>) {
    let names = rules.len().max(100);
    let set = RuleSet::new(1, rules);
    let (columns, traces) = columns(&set, &batch(names));
    let mut findings = Vec::new();
    worker.evaluate(&set, &columns, &traces, &mut findings);
    bencher
        .counter(ItemsCount::new(TRACES * SPANS))
        .bench_local(|| {
            findings.clear();
            worker.evaluate(&set, &columns, &traces, &mut findings);
            findings.len()
        });
    let faults: u64 = set
        .rules
        .iter()
        .map(|rule| rule.counts().all_faults())
        .sum();
    assert_eq!(faults, 0);
}

/// Traces whose spans have ten names of `names`, other ones in each trace.
fn batch(names: usize) -> Vec<Vec<Span>> {
    let mut random = 0x9e37_79b9_u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % names
    };
    (0..TRACES)
        .map(|_| (0..SPANS).map(|_| span(name(next()), "service")).collect())
        .collect()
}

fn name(index: usize) -> &'static str {
    format!("name {index}").leak()
}
