//! Ten thousand rules that all apply to every trace, and more traces than a worker can judge by them: each gets its turn, none is
//! left out for another's sake, and `/metrics` tells of it rule by rule. Only a rule that is dear is passed over.

mod guests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use betrace::app::{Host, Source};
use betrace::columns::projection::Intrinsic;
use betrace::config::Config;
use betrace::engine::code::cache::Cache;
use betrace::engine::{CodeSettings, Engine, EngineLimits, Rule};
use betrace::load::client::{Client, Target};
use betrace::load::retry::Answer;
use betrace::load::template::framed;
use betrace::sinks;
use betrace::sinks::format::Format;
use betrace::sinks::stream::Stream;
use guests::{Clause, Describe, Reads};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

const RULES: usize = 10_000;
const DEAR: &str = "dear";

/// Of a request. The dear rule is called for each, and after some fifty has had a quarter of a second.
const TRACES: u64 = 100;

/// Traces that wait to be judged at most: the worker always has more to do, and the test ends soon after it has seen enough.
const BEHIND: u64 = 4 * TRACES;

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(300);

const CACHE_BYTES: u64 = 64 << 20;

#[test]
fn rules_that_all_apply_degrade_evenly_and_metrics_tell_of_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&folder.path().join("code"), CACHE_BYTES).expect("its own folder");
    let code = CodeSettings {
        tiers: false,
        cache: Some(Arc::new(cache)),
    };
    let limits = EngineLimits {
        // A rule with as many clauses is given one trace a call.
        findings: CLAUSES.len(),
        // However busy the machine is, nobody comes to it.
        deadline: Duration::from_secs(60),
        ..EngineLimits::for_workers(1)
    };
    let engine = Arc::new(Engine::with_code(limits, code).expect("the limits are valid"));
    let rules = rules(&engine);
    let dear = rules[RULES].clone();
    let config = Config {
        otlp_grpc: Some("127.0.0.1:0".to_owned()),
        otlp_http: None,
        api: Some("127.0.0.1:0".to_owned()),
        workers: 1,
        settle: Duration::from_millis(1),
        lag: Duration::from_millis(1),
        metrics_rules: rules.len(),
        ..Config::default()
    };
    let stream = Stream::new("nowhere", Format::Json, Box::new(std::io::sink()));
    let (sink, _writer) = sinks::start(stream, sinks::DEFAULT_BYTES).expect("a thread");
    let host = Host::start(&config, engine, Source::Fixed(rules), sink, false).expect("it starts");

    let started = Instant::now();
    let address = host.grpc().expect("it listens");
    let judged = || host.live().rules.current().judged();
    let mut sent = 0;
    let mut client = Client::new(Target::grpc(address, "none"));
    while dear.counts().passed_over == 0 {
        while sent < judged() + BEHIND {
            let answer = host.block_on(client.export(request(sent)));
            assert_eq!(answer, Answer::Taken { rejected: 0 });
            sent += TRACES;
        }
        assert!(started.elapsed() < PATIENCE, "{:?}", dear.counts());
        std::thread::yield_now();
    }
    while judged() < sent {
        assert!(started.elapsed() < PATIENCE, "{} of {sent}", judged());
        std::thread::yield_now();
    }

    // A worker shows its turns as each ends, a moment after the last trace of it is judged.
    let told = loop {
        let told = metrics(&host);
        if told["betrace_shard_lagging_turns_total{shard=\"0\"}"] > 0 {
            break told;
        }
        assert!(started.elapsed() < PATIENCE, "it was behind");
    };
    let of =
        |family: &str, rule: &str| told[&format!("betrace_rule_{family}_total{{rule=\"{rule}\"}}")];
    let ids = (0..RULES).map(id).chain([DEAR.to_owned()]);
    for id in ids {
        let asked = of("traces", &id);
        let passed_over = of("passed_over_traces", &id);
        assert_eq!(asked + passed_over, sent, "{id}: nothing is left untold");
        assert_eq!(of("unjudged_traces", &id), passed_over, "{id}");
        assert_eq!(
            of("skipped_traces", &id),
            0,
            "{id}: every trace concerns it"
        );
        if id == DEAR {
            assert!(passed_over > 0);
        } else {
            // All, but where a machine that stands still makes a rule look dear for a moment.
            assert!(asked * 2 >= sent, "{id}: {asked} of {sent}");
        }
    }
    let whole = (0..RULES).filter(|rule| of("traces", &id(*rule)) == sent);
    let whole = whole.count();
    assert!(whole * 100 >= RULES * 99, "{whole} rules judged everything");
    host.stop();
}

/// Rules that find nothing in any trace and must be asked of each, and behind them one that takes milliseconds a call.
fn rules(engine: &Engine) -> Vec<Arc<Rule>> {
    let describe = Describe {
        id: "one",
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["in no trace"],
        ..Describe::default()
    };
    // The same component each time, which is compiled once; what makes it ten thousand rules is its own of each.
    let component = guests::component("name", &describe);
    let load = |number: usize| {
        let mut rule = Rule::load(engine, &component, "one.wasm").expect("it is a rule");
        rule.id = id(number);
        Arc::new(rule)
    };
    let mut rules: Vec<Arc<Rule>> = (0..RULES).map(load).collect();
    let describe = Describe {
        id: DEAR,
        clauses: Some(&CLAUSES),
        ..describe
    };
    rules.push(guests::load(engine, "burn", &describe));
    rules
}

const CLAUSES: [Clause<'_>; 200] = [Clause {
    text: "it",
    stable: true,
}; 200];

fn id(number: usize) -> String {
    format!("rule-{number}")
}

/// Traces of a root alone.
fn request(first: u64) -> bytes::Bytes {
    let span = |number: u64| Span {
        trace_id: u128::from(first + number + 1).to_be_bytes().into(),
        span_id: vec![1; 8],
        name: "entry".to_owned(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: (0..TRACES).map(span).collect(),
        ..ScopeSpans::default()
    }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    };
    framed(&request.encode_to_vec())
}

/// Samples that are whole numbers, by family and labels.
fn metrics(host: &Host) -> HashMap<String, u64> {
    let address = host.api().expect("it listens");
    let mut answer = ureq::get(format!("http://{address}/metrics"))
        .call()
        .expect("it answers");
    let body = answer.body_mut().with_config().limit(1 << 30);
    let text = body.read_to_string().expect("text");
    let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
    samples
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}
