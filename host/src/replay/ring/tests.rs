//! What a ring keeps of what it is offered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::assemble::trace::{Completion, Keeping, Requests, SpanRef};
use crate::otlp::request::Request;
use crate::otlp::scan::Scan;

/// A trace in a request with others, which must not be kept with it.
struct Offered {
    requests: One,
    trace: Trace,
}

struct One(Request);

impl Requests for One {
    fn request(&self, _: u32) -> &Request {
        &self.0
    }
}

fn offered(id: u64, service: &str, name: &str, spans: u64, padding: usize) -> Offered {
    let attribute = |key: &str, text: String| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(text)),
        }),
        ..KeyValue::default()
    };
    let trace_id = |id: u64| [[7; 8], id.to_be_bytes()].concat();
    let span = |trace: u64, number: u64| Span {
        trace_id: trace_id(trace),
        span_id: (number + 1).to_be_bytes().to_vec(),
        parent_span_id: match number {
            0 => Vec::new(),
            number => number.to_be_bytes().to_vec(),
        },
        name: if number == 0 { name } else { "child" }.to_owned(),
        attributes: vec![attribute("padding", "x".repeat(padding))],
        ..Span::default()
    };
    let scope = |trace| ScopeSpans {
        spans: (0..spans).map(|number| span(trace, number)).collect(),
        ..ScopeSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", service.to_owned())],
                ..Resource::default()
            }),
            scope_spans: vec![scope(u64::MAX), scope(id)],
            ..ResourceSpans::default()
        }],
    };
    let mut scan = Scan::default();
    let request = Request::scan(Bytes::from(request.encode_to_vec()), &mut scan).expect("OTLP");
    let mine = scan
        .spans
        .iter()
        .filter(|s| s.trace_id[8..] == id.to_be_bytes());
    let spans = mine.map(|span| SpanRef {
        request: 0,
        section: span.section,
        range: span.range,
    });
    let trace = Trace {
        id: trace_id(id).try_into().expect("16 bytes"),
        spans: spans.collect(),
        completion: Completion::Root,
        missing_parents: 0,
        dropped: false,
        root: 0,
        through: 0,
    };
    Offered {
        requests: One(request),
        trace,
    }
}

fn offer(ring: &Ring, offered: &Offered, signalled: &[Arc<str>], now: Time) -> Keeping {
    ring.part(0).offer(
        &Offer {
            trace: &offered.trace,
            requests: &offered.requests,
            signalled,
            generation: 3,
            judged_at: now.0,
        },
        now,
    )
}

/// The bytes of each span.
fn content(request: &Request, spans: &[SpanRef]) -> Vec<Vec<u8>> {
    let spans = spans.iter();
    spans
        .map(|span| request.slice(span.range).to_vec())
        .collect()
}

fn at(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

fn limits(memory: usize, signalled: usize) -> RingLimits {
    RingLimits {
        memory,
        signalled,
        ..RingLimits::default()
    }
}

fn operations(ring: &Ring) -> HashSet<String> {
    let of = |kept: &Arc<Kept>| kept.root_name.as_deref().unwrap_or_default().to_owned();
    ring.snapshot().iter().map(of).collect()
}

#[test]
fn what_is_kept_is_the_trace_and_nothing_else() {
    let ring = Ring::new(&RingLimits::default(), 1);
    let offered = offered(5, "shop", "GET /", 3, 10);
    let rules = [Arc::from("a-rule")];
    offer(&ring, &offered, &rules, at(9));
    let kept = ring.get(&offered.trace.id).expect("it is kept");
    assert_eq!(kept.root_service.as_deref(), Some("shop"));
    assert_eq!(kept.root_name.as_deref(), Some("GET /"));
    assert_eq!((kept.generation, kept.judged_at), (3, at(9).0));
    assert_eq!(*kept.signalled, rules);
    assert_eq!(
        content(&offered.requests.0, &offered.trace.spans),
        content(&kept.request, &kept.spans)
    );
    assert_eq!(
        kept.request.resource(kept.spans[1].section).service(),
        Some("shop")
    );
    assert!(kept.request.bytes.len() < offered.requests.0.bytes.len());
    assert_eq!(ring.snapshot().len(), 1);
}

#[test]
fn the_newest_are_kept_and_a_flood_leaves_rare_operations_alone() {
    let ring = Ring::new(&limits(200_000, 0), 1);
    for id in 0..5 {
        offer(&ring, &offered(id, "admin", "rare", 2, 50), &[], at(0));
    }
    for id in 5..5_000 {
        offer(&ring, &offered(id, "shop", "fast", 2, 50), &[], at(id));
    }
    assert_eq!(
        operations(&ring),
        HashSet::from(["rare".to_owned(), "fast".to_owned()])
    );
    let kept = ring.snapshot();
    let rare = kept
        .iter()
        .filter(|k| k.root_name.as_deref() == Some("rare"));
    assert_eq!(rare.count(), 5, "an operation with few traces loses none");
    assert_eq!(kept[0].id[8..], 4_999_u64.to_be_bytes());
    let coverage = ring.coverage(&kept);
    assert_eq!((coverage.operations, coverage.operations_seen), (2, 2));
    let counters = ring.counters();
    assert!(counters.bytes <= 200_000, "{counters:?}");
    assert_eq!((counters.offered, counters.skipped), (5_000, 0));
    assert_eq!(counters.kept - counters.evicted, counters.traces);
}

#[test]
fn traces_that_signalled_outlast_those_that_did_not() {
    let ring = Ring::new(&limits(100_000, 100_000), 1);
    let rules = [Arc::from("a-rule")];
    offer(&ring, &offered(0, "shop", "bad", 2, 50), &rules, at(0));
    for id in 1..3_000 {
        offer(&ring, &offered(id, "shop", "good", 2, 50), &[], at(id));
    }
    assert!(operations(&ring).contains("bad"));
}

#[test]
fn a_flood_turns_the_newest_over_no_faster_than_asked() {
    let ring = Ring::new(&limits(100_000, 0), 1);
    for id in 0..2_000 {
        offer(&ring, &offered(id, "shop", "fast", 1, 50), &[], Time(id));
    }
    let counters = ring.counters();
    assert!(counters.skipped > 1_000, "{counters:?}");
    assert_eq!(counters.kept + counters.skipped, 2_000);
    // An eighth of the half in the first second, and the sample takes few.
    for id in 2_000..4_000 {
        offer(&ring, &offered(id, "shop", "fast", 1, 50), &[], at(1));
    }
    let more = ring.counters().kept - counters.kept;
    assert!((10..400).contains(&more), "{more}");
}

#[test]
fn operations_beyond_the_bound_share_a_sample_until_others_are_forgotten() {
    let ring = Ring::new(
        &RingLimits {
            operations: 2,
            ..limits(100_000, 0)
        },
        1,
    );
    for id in 0..4 {
        offer(
            &ring,
            &offered(id, "shop", &format!("op {id}"), 1, 50),
            &[],
            at(0),
        );
    }
    assert_eq!(ring.counters().other_operations, 2);
    assert_eq!(operations(&ring).len(), 4, "they are kept all the same");
}

#[test]
fn more_operations_than_there_is_room_for_do_not_make_each_trace_a_copy() {
    let ring = Ring::new(&limits(100_000, 0), 1);
    for id in 0..3_000 {
        let name = format!("GET /orders/{id}");
        offer(&ring, &offered(id, "shop", &name, 1, 50), &[], Time(id));
    }
    // Each half is filled once, and what takes from others is as much again.
    let counters = ring.counters();
    let halves = counters.traces / 2;
    assert!(counters.kept <= 4 * halves, "{counters:?}");
    assert_eq!(counters.skipped, 3_000 - counters.kept);
}

#[test]
fn an_operation_of_large_traces_does_not_displace_its_own_at_full_speed() {
    let ring = Ring::new(&limits(100_000, 0), 1);
    for id in 0..1_000 {
        let name = if id % 2 == 0 { "large" } else { "larger" };
        let padding = 8_000 + (id % 2) as usize * 2_000;
        offer(&ring, &offered(id, "shop", name, 1, padding), &[], Time(id));
    }
    let counters = ring.counters();
    assert_eq!(operations(&ring).len(), 2);
    assert!(counters.kept < 100, "{counters:?}");
}

#[test]
fn operations_that_are_not_seen_again_make_room_once_there_are_too_many() {
    let limits = RingLimits {
        operations: 2,
        ..limits(100_000, 0)
    };
    let ring = Ring::new(&limits, 1);
    for (id, name) in [(0, "a"), (1, "b"), (2, "c")] {
        offer(&ring, &offered(id, "shop", name, 1, 50), &[], at(0));
    }
    assert_eq!(ring.counters().other_operations, 1);
    ring.age(at(1_200));
    offer(&ring, &offered(3, "shop", "c", 1, 50), &[], at(1_200));
    assert_eq!(ring.counters().other_operations, 1, "`c` is one of the two");
    assert_eq!(
        ring.snapshot().len(),
        4,
        "the newest are kept whatever they are"
    );
}

#[test]
fn operations_whose_traces_signal_count_as_seen() {
    let ring = Ring::new(&limits(100_000, 100), 1);
    let rules = [Arc::from("a-rule")];
    offer(&ring, &offered(0, "shop", "bad", 1, 50), &rules, at(0));
    offer(&ring, &offered(1, "shop", "good", 1, 50), &[], at(0));
    let coverage = ring.coverage(&ring.snapshot());
    assert_eq!((coverage.operations, coverage.operations_seen), (1, 2));
}

#[test]
fn a_trace_of_small_spans_and_a_huge_resource_is_not_kept() {
    let ring = Ring::new(&limits(100_000, 0), 1);
    let service = "x".repeat(200_000);
    offer(&ring, &offered(0, &service, "a", 1, 50), &[], at(0));
    let counters = ring.counters();
    assert_eq!((counters.kept, counters.too_large), (0, 1));
}

#[test]
fn nothing_is_kept_where_there_is_no_room() {
    let ring = Ring::new(&limits(0, 0), 2);
    let rules = [Arc::from("r")];
    for broken in [&[] as &[Arc<str>], &rules] {
        let keeping = offer(&ring, &offered(1, "shop", "a", 1, 1), broken, at(0));
        assert_eq!(keeping, Keeping::Off);
    }
    assert!(ring.snapshot().is_empty());
    assert_eq!(ring.counters(), RingCounters::default());
}

#[test]
fn a_ring_for_signalled_traces_alone_is_not_offered_others() {
    let ring = Ring::new(&limits(0, 100_000), 1);
    let keep = |id, rules: &[Arc<str>]| {
        let name = if rules.is_empty() { "good" } else { "bad" };
        offer(&ring, &offered(id, "shop", name, 1, 1), rules, at(0))
    };
    assert_eq!(keep(1, &[]), Keeping::Off);
    assert_eq!(keep(2, &[Arc::from("r")]), Keeping::Kept);
    assert_eq!(keep(2, &[Arc::from("r")]), Keeping::Repeated);
    let counters = ring.counters();
    assert_eq!((counters.offered, counters.too_large), (2, 0));
    // It says all the same how much of the traffic it does not cover.
    let coverage = ring.coverage(&ring.snapshot());
    assert_eq!((coverage.operations, coverage.operations_seen), (1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_comes_it_stays_in_bounds_and_finds_what_it_has(
        offers in proptest::collection::vec((0..200_u64, 0..6_u8, 1..5_u64, 0..2_000_usize, any::<bool>(), 0..100_u64), 1..200),
        memory in 0..60_000_usize,
        signalled in 0..30_000_usize,
    ) {
        let ring = Ring::new(&limits(memory, signalled), 1);
        let (mut now, mut of_offers) = (0, 0);
        let mut contents: HashMap<[u8; 16], HashSet<Vec<Vec<u8>>>> = HashMap::new();
        for (id, operation, spans, padding, broke, pause) in offers.iter().copied() {
            now += pause;
            let trace = offered(id, "shop", &format!("op {operation}"), spans, padding);
            let content = content(&trace.requests.0, &trace.trace.spans);
            contents.entry(trace.trace.id).or_default().insert(content);
            let rules = [Arc::from("r")];
            let evicted = ring.counters().evicted;
            let keeping = offer(&ring, &trace, if broke { &rules } else { &[] }, at(now));
            of_offers += u64::from(keeping != Keeping::Off);
            let is_there = ring.get(&trace.trace.id).is_some();
            let kept = matches!(keeping, Keeping::Kept | Keeping::Repeated);
            // What made room may have been the newcomer itself.
            let went = keeping == Keeping::Kept && ring.counters().evicted > evicted;
            prop_assert!(is_there == kept || went && !is_there, "{keeping:?}");
        }
        let counters = ring.counters();
        let kept = ring.snapshot();
        prop_assert!(counters.bytes <= (memory + signalled) as u64, "{counters:?}");
        prop_assert_eq!(counters.offered, of_offers);
        let sum = counters.kept + counters.skipped + counters.repeated + counters.too_large;
        prop_assert_eq!(sum, counters.offered);
        let ids: HashSet<[u8; 16]> = kept.iter().map(|kept| kept.id).collect();
        prop_assert_eq!(ids.len(), kept.len());
        prop_assert_eq!(ids.len() as u64, counters.traces);
        for kept in &kept {
            let content = content(&kept.request, &kept.spans);
            prop_assert!(contents.get(&kept.id).is_some_and(|offered| offered.contains(&content)));
            let services = kept.spans.iter().map(|span| kept.request.resource(span.section).service());
            prop_assert!(services.into_iter().all(|service| service == Some("shop")));
        }
        for (id, ..) in offers {
            let id: [u8; 16] = [[7; 8], id.to_be_bytes()].concat().try_into().expect("16 bytes");
            prop_assert_eq!(ring.get(&id).is_some(), ids.contains(&id));
        }
    }
}
