//! Kept traces to verdicts: what a save waits for after its rule is in force.
//!
//! Traces of 20 spans, as a shop sends them. The trial's threads are those of the host, so throughput grows with cores.

#[path = "../../host/tests/kept_support/mod.rs"]
mod kept_support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use betrace::engine::{Engine, EngineLimits, Rule};
use betrace::replay::coverage::Coverage;
use betrace::replay::kept::Kept;
use betrace::replay::trial::Trial;
use betrace::rules::update::Change;
use divan::Bencher;
use divan::counter::ItemsCount;
use kept_support::{int, kept, rules, span, text, trace};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

const SPANS: u64 = 20;

fn main() {
    divan::main();
}

/// One rule is edited, so that it fires on two traces in a hundred more.
#[divan::bench(args = [100, 1_000, 10_000])]
fn one_edited_rule(bencher: Bencher<'_, '_>, traces: u64) {
    let edit = |number: u64| {
        format!(
            "rule r {{ when {{ shop.step_3.where(amount > {number}) }} always {{ shop.check }} }}"
        )
    };
    measure(bencher, traces, &edit(1_100), &edit(1_080));
}

/// The first verdict of a process: the rule's instances are made for it.
#[divan::bench]
fn one_edited_rule_on_a_new_trial(bencher: Bencher<'_, '_>) {
    let edit =
        |number: u64| format!("rule r {{ detect {{ shop.step_3.where(amount > {number}) }} }}");
    let engine = engine();
    let changes = changes(&engine, &edit(1_100), &edit(1_080));
    let kept = kept(&shop(1_000), 1);
    bencher.bench_local(|| judge(&mut Trial::new(engine.clone()), &changes, &kept));
}

/// Many rules are edited at once, as by a checkout of another branch. Each trace concerns all of them.
#[divan::bench(args = [10, 100])]
fn many_edited_rules(bencher: Bencher<'_, '_>, rules: u64) {
    let edit = |number: u64| -> String {
        let rule = |rule: u64| {
            let step = rule % SPANS;
            format!("rule r-{rule} {{ detect {{ shop.step_{step}.where(amount > {number}) }} }}\n")
        };
        (0..rules).map(rule).collect()
    };
    measure(bencher, 1_000, &edit(1_100), &edit(1_080));
}

fn measure(bencher: Bencher<'_, '_>, traces: u64, before: &str, after: &str) {
    let engine = engine();
    let changes = changes(&engine, before, after);
    let kept = kept(&shop(traces), 1);
    let mut trial = Trial::new(engine);
    judge(&mut trial, &changes, &kept);
    bencher
        .counter(ItemsCount::new(traces * SPANS))
        .bench_local(|| judge(&mut trial, &changes, &kept));
}

fn judge(trial: &mut Trial, changes: &[Change], kept: &[Arc<Kept>]) -> u64 {
    let coverage = Coverage::of(kept, 0);
    let verdict = trial.judge(changes, kept, coverage, &AtomicBool::new(false));
    let verdict = verdict.expect("nothing overtakes it");
    let newly = verdict.rules.iter().map(|rule| rule.newly.traces).sum();
    assert!(newly > 0, "it has something to draw");
    newly
}

fn engine() -> Arc<Engine> {
    Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("the default limits"))
}

fn changes(engine: &Engine, before: &str, after: &str) -> Vec<Change> {
    let change = |(before, after): (Arc<Rule>, Arc<Rule>)| Change {
        id: after.id.clone(),
        path: after.origin.clone(),
        before: Some(before),
        after: Some(after),
    };
    let pairs = rules(engine, before).into_iter().zip(rules(engine, after));
    pairs.map(change).collect()
}

fn shop(traces: u64) -> Vec<ExportTraceServiceRequest> {
    let spans = |id: u64| {
        let span = |at: u64| {
            let amount = (id * 13 + at * 7) % 1_200;
            span(
                &format!("shop.step_{at}"),
                &[
                    ("http.request.method", text("GET")),
                    ("url.path", text(&format!("/api/v1/orders/{}", id % 50))),
                    ("http.route", text("/api/v1/orders/{order}")),
                    ("http.response.status_code", int(200)),
                    ("server.address", text("orders.shop.internal")),
                    ("server.port", int(8_443)),
                    ("network.protocol.version", text("1.1")),
                    ("user_agent.original", text("shop-client/3.1")),
                    ("user.id", text(&format!("user-{}", id % 300))),
                    ("amount", int(amount as i64)),
                ],
            )
        };
        (0..SPANS).map(span).collect()
    };
    (0..traces).map(|id| trace(id, spans(id))).collect()
}
