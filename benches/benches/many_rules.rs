//! Ten thousand rules: what they cost while traces touch ten of them, how long a start takes, and what they hold of memory.
//!
//! Prints tables; not divan's, since one process has to hold all rules, and a start counts once.

// Its output is the tables.
#![allow(clippy::print_stdout)]

#[path = "../../host/tests/guests/mod.rs"]
mod guests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::engine::code::cache::Cache;
use betrace::engine::{CodeSettings, Engine, EngineLimits, Rule, RuleSet, Worker};
use betrace::rules::{compile, dsl, sources};
use betrace_benches::figures;
use guests::{Span, columns, span};

const RULES: usize = 10_000;
/// Rules in one file.
const A_FILE: usize = 100;
const SPANS: usize = 10;
/// Spans of a batch: of a worker that just keeps up, and the most that one takes.
const BATCHES: [usize; 2] = [5_120, 16_384];
/// Of each measurement, the fastest counts.
const ROUNDS: usize = 30;
const CACHE_BYTES: u64 = 4 << 30;

fn main() {
    let folder = std::env::temp_dir().join(format!("betrace-many-rules-{}", std::process::id()));
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, fill, folder] = &arguments[..]
        && fill == "fill"
    {
        return start(Path::new(folder), 1, true);
    }
    // One part alone, where that is asked for: `evaluation`, of so many rules, in so many rounds.
    if let Some(at) = arguments
        .iter()
        .position(|argument| argument == "evaluation")
    {
        let number = |at: usize| arguments.get(at).and_then(|number| number.parse().ok());
        let (rules, rounds) = (number(at + 1), number(at + 2));
        return evaluation(rules.unwrap_or(RULES), rounds.unwrap_or(ROUNDS));
    }
    write(&folder);
    println!("{RULES} rules of a name and two comparisons, in files of {A_FILE}");
    // In a process of its own, so that what follows has only what it reads back.
    let fill = std::process::Command::new(std::env::current_exe().expect("this program"))
        .arg("fill")
        .arg(&folder)
        .status();
    assert!(fill.expect("it can be started").success());
    start(&folder, 1, false);
    start(&folder, 16, false);
    evaluation(RULES, ROUNDS);
    std::fs::remove_dir_all(&folder).expect("it is there");
}

fn write(folder: &Path) {
    let rules = folder.join("rules");
    std::fs::create_dir_all(&rules).expect("a folder");
    for first in (0..RULES).step_by(A_FILE) {
        let text: String = (first..first + A_FILE)
            .map(|rule| source(rule, rule))
            .collect();
        std::fs::write(rules.join(format!("{first}.betrace")), text).expect("a file");
    }
}

/// A rule over a name that its span has to have, and two comparisons that hold for none of the traffic.
fn source(rule: usize, name: usize) -> String {
    format!(
        "rule rule-{rule} {{ detect {{ shop.step_{name}.where(amount > {} and http.response.status_code >= 500) }} }}\n",
        1_000_000 + rule
    )
}

/// From nothing to all rules in force, with what the cache has.
fn start(folder: &Path, workers: usize, is_first: bool) {
    let (rss, maps) = (rss_kib(), maps());
    let started = Instant::now();
    let cache = Cache::open(&folder.join("code"), CACHE_BYTES).expect("its own folder");
    let code = CodeSettings {
        tiers: true,
        cache: Some(Arc::new(cache)),
    };
    let limits = EngineLimits::for_workers(workers);
    let engine = Arc::new(Engine::with_code(limits, code).expect("limits"));
    let files = sources::find(&[folder.join("rules")]).files;
    let loaded = compile::load(&engine, &files, &dsl::compile);
    assert_eq!(loaded.rules.len(), RULES, "{:?}", loaded.problems.first());
    let set = RuleSet::new(1, loaded.rules);
    let took = started.elapsed();
    let cache = engine.cache().expect("it has one");
    if !is_first {
        let figure = match workers {
            1 => "many-rules-start-s",
            _ => "many-rules-start-16-s",
        };
        figures::report(figure, took.as_secs_f64());
    }
    println!(
        "start, {}: {:.2} s until all are in force, {} of them optimised; {:.0} MiB, {} mappings more",
        if is_first {
            "nothing kept"
        } else {
            "from the cache"
        },
        took.as_secs_f64(),
        cache.counts().hits,
        (rss_kib() - rss) as f64 / 1024.0,
        self::maps() - maps,
    );
    if is_first {
        engine.wait_until_optimised();
        println!(
            "  {:.1} s later all are optimised: {:.0} MiB on disk",
            (started.elapsed() - took).as_secs_f64(),
            cache.counts().bytes as f64 / f64::from(1 << 20)
        );
        return;
    }
    // Every rule called in every worker, as many instances as may be warm.
    let batch: Vec<Vec<Span>> = (0..RULES / SPANS)
        .map(|trace| (0..SPANS).map(|at| traffic(trace * SPANS + at)).collect())
        .collect();
    let (columns, traces) = columns(&set, &batch);
    let mut findings = Vec::new();
    let mut all: Vec<Worker> = (0..workers).map(|_| Worker::new(engine.clone())).collect();
    for worker in &mut all {
        worker.evaluate(&set, &columns, &traces, &mut findings);
    }
    faultless(&set);
    let warm: usize = all.iter().map(Worker::warm_instances).sum();
    let mib = (rss_kib() - rss) as f64 / 1024.0;
    if workers == 1 {
        figures::report("many-rules-mib", mib);
    }
    println!(
        "  called by {workers} workers: {warm} warm instances; {mib:.0} MiB, {} mappings more than before the start",
        self::maps() - maps,
    );
}

fn evaluation(rules: usize, rounds: usize) {
    let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("limits"));
    let text: String = (0..rules).map(|rule| source(rule, rule)).collect();
    let mut all: Vec<Arc<Rule>> = Vec::new();
    for (at, text) in text.lines().collect::<Vec<_>>().chunks(1_000).enumerate() {
        let output = betrace_dsl::compile(&format!("bench-{at}"), text.join("\n").as_bytes());
        assert_eq!(output.rules.len(), text.len(), "{:?}", output.diagnostics);
        all.extend(output.rules.iter().map(|rule| {
            Arc::new(Rule::load(&engine, &rule.component, "bench").expect("a compiled rule loads"))
        }));
    }
    println!("evaluation: ns a span, of traces of {SPANS} spans that concern ten rules each");
    println!(
        "{:52} {:>10} {:>10}",
        "a batch of",
        format!("{} spans", BATCHES[0]),
        format!("{} spans", BATCHES[1])
    );
    let line = |what: &str, rules: &[Arc<Rule>], names: usize| {
        let set = RuleSet::new(1, rules.to_vec());
        let mut worker = Worker::new(engine.clone());
        let figures = BATCHES.map(|spans| measure(&set, &mut worker, spans, names, rounds));
        println!("{what:52} {:>10.0} {:>10.0}", figures[0], figures[1]);
        figures[0]
    };
    let alone = line("10 rules alone", &all[..10], 10);
    for some in [100, 1_000, 10_000]
        .into_iter()
        .filter(|some| *some <= rules)
    {
        line(
            &format!("{some} rules, any ten a trace"),
            &all[..some],
            some,
        );
    }
    let beside = line(
        &format!("{rules} rules, the same 10 in every trace"),
        &all,
        10,
    );
    if rules == RULES {
        figures::report("many-rules", beside / alone);
    }
    line(&format!("{rules} rules, any ten of 100 a trace"), &all, 100);
}

fn measure(set: &RuleSet, worker: &mut Worker, spans: usize, names: usize, rounds: usize) -> f64 {
    let mut random = 0x9e37_79b9_u64;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % names
    };
    let batch: Vec<Vec<Span>> = (0..spans / SPANS)
        .map(|_| (0..SPANS).map(|_| traffic(next())).collect())
        .collect();
    let (columns, traces) = columns(set, &batch);
    let mut findings = Vec::new();
    let mut fastest = Duration::MAX;
    for _ in 0..rounds {
        let started = Instant::now();
        worker.evaluate(set, &columns, &traces, &mut findings);
        fastest = fastest.min(started.elapsed());
    }
    faultless(set);
    fastest.as_nanos() as f64 / spans as f64
}

fn faultless(set: &RuleSet) {
    let faults: u64 = set
        .rules
        .iter()
        .map(|rule| rule.counts().all_faults())
        .sum();
    assert_eq!(faults, 0);
}

/// A span that concerns one rule, and breaks none.
fn traffic(name: usize) -> Span {
    thread_local! {
        static NAMES: std::cell::RefCell<HashMap<usize, &'static str>> = std::cell::RefCell::default();
    }
    let name = NAMES.with_borrow_mut(|names| {
        *names
            .entry(name)
            .or_insert_with(|| format!("shop.step_{name}").leak())
    });
    Span {
        amount: Some(7),
        ..span(name, "shop")
    }
}

fn rss_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse().ok()).expect("a number")
}

fn maps() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    maps.lines().count()
}
