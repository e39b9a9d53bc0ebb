//! CPU time a span, by how many traces are open and by how long they are: both should change nothing.
//!
//! Always a hundred rules of which a trace concerns ten. Each row is the best of some rounds: what other processes do to the
//! caches only adds.

use betrace::load::cpu;
use betrace::time::Time;
use betrace_benches::traffic::{NAMES, SPANS_A_TRACE};
use betrace_benches::{figures, rules};

use crate::flow::{Feed, Flow};

const OPEN: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const LENGTHS: [u64; 4] = [10, 100, 1_000, 10_000];

/// Where lengths differ: 80 MB of bytes, which no cache holds.
const OPEN_SPANS: u64 = 200_000;

const ROUNDS: usize = 5;
const SPANS_A_ROUND: u64 = 500_000;

pub(crate) fn traces() {
    println!("\nopen traces of ten spans, one thread from memory: CPU a span");
    let mut first = None;
    let mut most: f64 = 0.0;
    for open in OPEN {
        let ns = measure(SPANS_A_TRACE, open * SPANS_A_TRACE);
        let ratio = ns / *first.get_or_insert(ns);
        most = most.max(ratio);
        println!("  {open:>9} open: {ns:.0} ns, {ratio:.2} times the first");
    }
    figures::report("flat-open", most);
}

pub(crate) fn lengths() {
    println!("\nspans of a trace, {OPEN_SPANS} spans open, one thread from memory: CPU a span");
    let mut first = None;
    let mut most: f64 = 0.0;
    for spans in LENGTHS {
        let ns = measure(spans, OPEN_SPANS);
        let ratio = ns / *first.get_or_insert(ns);
        most = most.max(ratio);
        println!("  {spans:>9} spans: {ns:.0} ns, {ratio:.2} times the first");
    }
    figures::report("flat-long", most);
}

/// Nanoseconds of this thread's CPU time a span.
fn measure(spans_a_trace: u64, open_spans: u64) -> f64 {
    let feed = Feed::new(spans_a_trace, open_spans);
    let mut flow = Flow::new(&source(spans_a_trace));
    let mut step = 0;
    while step < feed.warm_up() {
        flow.step(time(&feed, step), feed.requests(step));
        step += 1;
    }
    let steps = SPANS_A_ROUND.div_ceil(feed.spans_a_step);
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        // Made outside of what is measured: a socket would have filled them.
        let made: Vec<_> = (step..step + steps)
            .map(|step| (time(&feed, step), feed.requests(step)))
            .collect();
        let before = cpu::thread().unwrap_or_default();
        for (now, requests) in made {
            flow.step(now, requests);
        }
        let spent = cpu::thread().unwrap_or_default() - before;
        best = best.min(spent.as_nanos() as f64 / (steps * feed.spans_a_step) as f64);
        step += steps;
    }
    let counters = flow.shard.counters();
    assert_eq!(counters.late, 0, "traces complete when all has come");
    let open = open_spans / spans_a_trace;
    assert!(counters.open_traces >= open * 9 / 10, "{counters:?}");
    best
}

fn time(feed: &Feed, step: u64) -> Time {
    Time::default().after(feed.at(step))
}

/// The rules: ten names of which are in a trace, whether it has ten of the traffic's names or all.
fn source(spans_a_trace: u64) -> String {
    let names = NAMES as usize;
    let name = |number: usize| match number {
        rule if spans_a_trace < NAMES || rule < names / 2 => rule,
        rule => names + rule,
    };
    (0..rules::RULES)
        .map(|number| rules::rule(number, name(number)))
        .collect()
}
