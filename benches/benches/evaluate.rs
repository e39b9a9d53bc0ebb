//! Columns to findings: candidates, gathering, the call, the check of its answer.
//!
//! Batches of 512 traces of 10 spans, as a loaded worker takes them. Throughput is spans of the batch, whatever the rules
//! see of it.

#[path = "../../host/tests/guests/mod.rs"]
mod guests;

use std::sync::Arc;

use betrace::columns::batch::{Column, Columns, tag};
use betrace::columns::projection::{Intrinsic, Source};
use betrace::engine::{Engine, EngineLimits, Rule, RuleSet, Worker};
use betrace_benches::figures;
use divan::Bencher;
use divan::counter::ItemsCount;
use guests::{Describe, On, Reads, Span, columns, engine_with, load, span};

const TRACES: usize = 512;
const SPANS: usize = 10;

/// Runs of each, of which the fastest counts in the table of goals.
const RUNS: usize = 2_000;

fn main() {
    divan::main();
    if figures::are_wanted() {
        report();
    }
}

/// A compiled rule over long traces, and the same in Rust.
fn report() {
    let engine = engine_with(EngineLimits::for_workers(1));
    let set = RuleSet::new(1, vec![compiled(&engine)]);
    let (columns, traces) = columns(&set, &long_traces());
    let mut worker = Worker::new(engine);
    let mut findings = Vec::new();
    let rule = figures::fastest(RUNS, || {
        findings.clear();
        worker.evaluate(&set, &columns, &traces, &mut findings);
    });
    let name = set.projection.constants.symbol(b"shop.step_7");
    let name = name.expect("the rule has it");
    let mut found = Vec::new();
    let rust = figures::fastest(RUNS, || {
        found.clear();
        in_rust(&set, &columns, traces.len(), name, &mut found);
    });
    let spans = (LONG_TRACES * LONG_SPANS) as f64;
    figures::report("rule-ns", rule.as_nanos() as f64 / spans);
    figures::report("rule-by-rust", rule.as_secs_f64() / rust.as_secs_f64());
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

/// Traces of 100 spans, 32 a batch, to a rule of a name and one comparison: what compiled rules cost a span, and what the same
/// loop over the same columns costs in Rust.
#[divan::bench]
fn a_compiled_rule_over_long_traces(bencher: Bencher<'_, '_>) {
    let engine = engine_with(EngineLimits::for_workers(1));
    let set = RuleSet::new(1, vec![compiled(&engine)]);
    let (columns, traces) = columns(&set, &long_traces());
    let mut worker = Worker::new(engine);
    let mut findings = Vec::new();
    bencher
        .counter(ItemsCount::new(LONG_TRACES * LONG_SPANS))
        .bench_local(|| {
            findings.clear();
            worker.evaluate(&set, &columns, &traces, &mut findings);
            findings.len()
        });
    assert_eq!(findings.len(), LONG_TRACES / 4);
}

#[divan::bench]
fn the_same_in_rust(bencher: Bencher<'_, '_>) {
    let engine = engine_with(EngineLimits::for_workers(1));
    let set = RuleSet::new(1, vec![compiled(&engine)]);
    let (columns, traces) = columns(&set, &long_traces());
    let name = set.projection.constants.symbol(b"shop.step_7");
    let name = name.expect("the rule has it");
    let mut findings: Vec<(usize, Vec<usize>)> = Vec::new();
    bencher
        .counter(ItemsCount::new(LONG_TRACES * LONG_SPANS))
        .bench_local(|| {
            findings.clear();
            in_rust(&set, &columns, traces.len(), name, &mut findings);
            findings.len()
        });
    assert_eq!(findings.len(), LONG_TRACES / 4);
}

const LONG_TRACES: usize = 32;
const LONG_SPANS: usize = 100;

fn compiled(engine: &Engine) -> Arc<Rule> {
    let source = "detect { shop.step_7.where(amount > 1000) }";
    let output = betrace_dsl::compile("bench", source.as_bytes());
    assert_eq!(output.rules.len(), 1, "{:?}", output.diagnostics);
    let component = &output.rules[0].component;
    Arc::new(Rule::load(engine, component, "bench").expect("a compiled rule loads"))
}

fn in_rust(
    set: &RuleSet,
    columns: &Columns,
    traces: usize,
    name: u32,
    findings: &mut Vec<(usize, Vec<usize>)>,
) {
    let mut names = &[][..];
    let (mut tags, mut values) = (&[][..], &[][..]);
    for (key, column) in set.projection.columns.iter().zip(&columns.columns) {
        match (&key.source, column) {
            (Source::Intrinsic(Intrinsic::Name), Column::W32(column)) => names = column,
            (Source::Attribute { .. }, Column::Attribute { tags: t, values: v }) => {
                (tags, values) = (t, v);
            }
            _ => {}
        }
    }
    for trace in 0..traces {
        let rows = columns.offsets[trace] as usize..columns.offsets[trace + 1] as usize;
        let is_one = |&row: &usize| {
            names[row] == name && tags[row] == tag::INT && values[row] as i64 > 1_000
        };
        if rows.clone().any(|row| is_one(&row)) {
            findings.push((trace, rows.filter(is_one).take(32).collect()));
        }
    }
}

/// Twenty names; every fourth trace has a span that the rule finds.
fn long_traces() -> Vec<Vec<Span>> {
    let traces = 0..LONG_TRACES;
    traces
        .map(|trace| {
            (0..LONG_SPANS)
                .map(|at| Span {
                    amount: Some(if trace % 4 == 0 && at == 47 { 2_000 } else { 7 }),
                    ..span(step(at % 20), "shop")
                })
                .collect()
        })
        .collect()
}

fn step(index: usize) -> &'static str {
    format!("shop.step_{index}").leak()
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
