//! When a trace is complete, why, and what it says of itself then.

mod assemble_support;

use std::time::Duration;

use assemble_support::*;
use betrace::assemble::limits::Limits;
use betrace::assemble::shard::{DrainMode, Shard};
use betrace::time::Time;
use opentelemetry_proto::tonic::trace::v1::Span;

const SECOND: u64 = 1_000_000_000;

#[test]
fn five_services_export_seconds_apart_and_make_one_trace() {
    let mut shard = shard();
    // The root's service exports first; each other one at its own phase of 5 s.
    let arrivals = [
        (1, 0, 0.0),
        (2, 1, 1.3),
        (3, 2, 2.2),
        (4, 2, 4.1),
        (5, 4, 4.9),
    ];
    for (id, parent, at) in arrivals {
        shard.insert(
            sections(&[(b"service", vec![span(7, id, parent)])]),
            seconds(at),
        );
        assert_eq!(poll(&mut shard, seconds(at)), []);
    }
    let due = seconds(4.9).0 + 6 * SECOND;
    assert_eq!(poll(&mut shard, Time(due - 1)), []);
    let traces = poll(&mut shard, Time(due));
    assert_eq!(traces.len(), 1);
    assert_eq!(traces[0].ids(), [1, 2, 3, 4, 5]);
    assert_eq!(
        (traces[0].completion, traces[0].missing_parents),
        ("root", 0)
    );
    assert_empty(&shard, 5);
}

#[test]
fn each_deadline_is_exact_and_announced() {
    // (what comes, when it is due and why)
    let cases: [(&[Span], u64, &str); 4] = [
        (&[span(1, 1, 0)], 6, "root"),
        (&[span(1, 2, 1)], 60, "idle"),
        (&[remote(span(1, 2, 1))], 6, "root"),
        (&[remote(span(1, 2, 1)), span(1, 3, 2)], 6, "root"),
    ];
    for (spans, due, reason) in cases {
        for start in [0, 1, 12_345_678_901, 1_000_000 * SECOND] {
            let mut shard = shard();
            shard.insert(parcel(spans), Time(start));
            let due = start + due * SECOND;
            let mut now = start;
            // Whoever polls when told to misses nothing, and is told a bounded number of times.
            for _ in 0..40 {
                let next = shard.next_deadline().expect("a trace is open").0;
                assert!(next <= due);
                now = next.max(now);
                let traces = poll(&mut shard, Time(now));
                if let [trace] = &traces[..] {
                    assert_eq!((now, trace.completion), (due, reason));
                    break;
                }
            }
            assert_empty(&shard, spans.len() as u64);
            assert_eq!(shard.next_deadline(), None);
        }
    }
}

#[test]
fn a_span_restarts_settle_and_idle() {
    let mut shard = shard();
    for at in 0..9 {
        shard.insert(parcel(&[span(1, 2 + at, 1)]), seconds(at as f64 * 59.0));
        assert_eq!(poll(&mut shard, seconds(at as f64 * 59.0 + 58.9)), []);
    }
    // The root comes while the wheel has the trace at `idle`.
    shard.insert(parcel(&[span(1, 1, 0)]), seconds(531.0));
    assert_eq!(poll(&mut shard, seconds(536.9)), []);
    assert_eq!(poll(&mut shard, seconds(537.0))[0].completion, "root");
    assert_empty(&shard, 10);
}

#[test]
fn a_trace_that_never_falls_quiet_is_complete_at_max_age() {
    let mut shard = shard();
    for at in 0..200 {
        shard.insert(parcel(&[span(1, 1 + at, 0)]), seconds(at as f64 * 5.0));
        let traces = poll(&mut shard, seconds(at as f64 * 5.0));
        if at == 120 {
            // The span of this very moment came first.
            assert_eq!(
                (traces[0].completion, traces[0].spans.len()),
                ("max_age", 121)
            );
        } else {
            assert_eq!(traces, []);
        }
    }
    assert_eq!(shard.counters().late, 79);
}

#[test]
fn a_clock_that_jumps_changes_no_reason() {
    let spans: [(&[Span], &str); 4] = [
        (&[span(1, 1, 0)], "root"),
        (&[span(1, 2, 1)], "idle"),
        (&[remote(span(1, 2, 1))], "root"),
        (&[span(1, 2, 1), span(1, 4, 3)], "idle"),
    ];
    for jump in [7.0, 61.0, 601.0, 1e5, 1e9] {
        for (spans, reason) in spans {
            let mut shard = shard();
            shard.insert(parcel(spans), seconds(0.5));
            for trace in poll(&mut shard, seconds(jump)) {
                assert_eq!(trace.completion, reason, "after {jump} s");
            }
            assert_eq!(
                shard.counters().open_traces,
                u64::from(jump < 60.0 && reason == "idle")
            );
        }
    }
}

#[test]
fn after_a_jump_traces_come_in_the_order_of_their_deadlines() {
    let mut shard = shard();
    for trace in 0..50_u32 {
        shard.insert(
            parcel(&[span(u128::from(trace) + 1, 1, 0)]),
            seconds(f64::from(trace) * 0.01),
        );
    }
    let ids: Vec<u128> = poll(&mut shard, seconds(1e6))
        .iter()
        .map(|trace| trace.id)
        .collect();
    assert_eq!(ids, (1..=50).collect::<Vec<u128>>());
}

#[test]
fn a_clock_that_goes_back_stands() {
    let mut shard = shard();
    shard.insert(parcel(&[span(1, 1, 0)]), seconds(100.0));
    shard.insert(parcel(&[span(1, 2, 1)]), seconds(3.0));
    assert_eq!(poll(&mut shard, seconds(105.9)), []);
    assert_eq!(poll(&mut shard, seconds(106.0)).len(), 1);
}

#[test]
fn the_top_span_is_a_root_only_if_all_that_is_missing_is_elsewhere() {
    let cases: [(&[Span], &str); 7] = [
        // Behind a load balancer or a browser.
        (&[remote(span(1, 2, 1)), span(1, 3, 2)], "root"),
        (&[remote(span(1, 2, 1)), remote(span(1, 3, 1))], "root"),
        // An older SDK doesn't say.
        (&[span(1, 2, 1), span(1, 3, 2)], "idle"),
        // The flag without the flag that makes it count.
        (
            &[Span {
                flags: 0x200,
                ..span(1, 2, 1)
            }],
            "idle",
        ),
        // Two are missing.
        (&[remote(span(1, 2, 1)), remote(span(1, 4, 3))], "idle"),
        // Span 3 is of the missing parent's own process, which will export it.
        (&[remote(span(1, 2, 1)), span(1, 3, 1)], "idle"),
        // A circle has no top.
        (&[remote(span(1, 2, 1)), remote(span(1, 1, 2))], "idle"),
    ];
    for (spans, reason) in cases {
        let mut shard = shard();
        shard.insert(parcel(spans), seconds(0.0));
        let traces = poll(&mut shard, seconds(60.0));
        assert_eq!(traces[0].completion, reason, "{spans:?}");
    }
}

#[test]
fn a_remote_root_is_looked_for_again_after_new_spans() {
    let mut shard = shard();
    shard.insert(
        parcel(&[remote(span(1, 2, 1)), span(1, 4, 3)]),
        seconds(0.0),
    );
    assert_eq!(poll(&mut shard, seconds(10.0)), []);
    // The second missing parent comes: one is left, and it is elsewhere.
    shard.insert(parcel(&[span(1, 3, 2)]), seconds(20.0));
    assert_eq!(poll(&mut shard, seconds(25.9)), []);
    let traces = poll(&mut shard, seconds(26.0));
    assert_eq!(
        (traces[0].completion, traces[0].missing_parents),
        ("root", 1)
    );
}

#[test]
fn late_spans_are_counted_and_make_no_second_trace() {
    let mut shard = shard();
    shard.insert(parcel(&[span(1, 1, 0)]), seconds(0.0));
    assert_eq!(poll(&mut shard, seconds(6.0)).len(), 1);
    shard.insert(
        parcel(&[span(1, 2, 1), span(2, 1, 0), span(1, 3, 1)]),
        seconds(7.0),
    );
    shard.insert(parcel(&[span(1, 4, 1)]), seconds(605.9));
    let counters = shard.counters();
    assert_eq!(
        (counters.late, counters.open_traces, counters.remembered),
        (3, 1, 1)
    );
    // Ten minutes after the verdict it is forgotten, whether someone polled or not.
    shard.insert(parcel(&[span(1, 5, 1)]), seconds(606.0));
    assert_eq!(
        (shard.counters().late, shard.counters().open_traces),
        (3, 2)
    );
    let traces = poll(&mut shard, seconds(1e4));
    assert_eq!(
        traces.iter().map(|trace| trace.id).collect::<Vec<_>>(),
        [2, 1]
    );
    assert_empty(&shard, 3);
    // The trace that was opened again is remembered in its turn.
    shard.insert(parcel(&[span(1, 6, 1)]), seconds(1e4 + 1.0));
    assert_eq!(shard.counters().late, 4);
}

#[test]
fn of_duplicates_the_bytewise_smaller_stays() {
    let named = |name: &str, kind: i32| Span {
        name: name.into(),
        kind,
        ..span(1, 1, 0)
    };
    let mut shard = shard();
    let bytes: [(&[u8], &str); 4] = [(b"b", "b"), (b"b", "a"), (b"c", "a"), (b"a", "b")];
    for (resource, name) in bytes {
        shard.insert(sections(&[(resource, vec![named(name, 0)])]), seconds(0.0));
    }
    // The same id with another kind is another span.
    shard.insert(parcel(&[named("z", 2)]), seconds(0.0));
    let traces = poll(&mut shard, seconds(6.0));
    let spans: Vec<_> = traces[0]
        .spans
        .iter()
        .map(|[span, resource, _]| {
            let span = <Span as prost::Message>::decode(span.as_slice()).expect("a span");
            (span.name, span.kind, resource.clone())
        })
        .collect();
    assert_eq!(
        spans,
        [
            ("a".into(), 0, b"bschema".to_vec()),
            ("z".into(), 2, b"schema".to_vec())
        ]
    );
    assert_eq!(shard.counters().duplicates, 3);
    assert_empty(&shard, 2);
}

#[test]
fn missing_parents_and_dropped_data_are_told() {
    let odd = |bytes: &[u8], id| Span {
        parent_span_id: bytes.to_vec(),
        ..span(1, id, 0)
    };
    let dropping = |id| Span {
        dropped_events_count: 1,
        ..span(1, id, 1)
    };
    let cases: [(&[Span], u32, bool); 6] = [
        (&[span(1, 1, 0), span(1, 2, 1)], 0, false),
        (
            &[span(1, 1, 0), span(1, 2, 8), span(1, 3, 8), span(1, 4, 9)],
            2,
            false,
        ),
        (&[odd(&[0; 8], 1), odd(&[], 2), odd(&[0, 0], 3)], 0, false),
        // An id of 9 bytes is nobody's, be its first 8 those of a span.
        (
            &[span(1, 1, 0), odd(&[0, 0, 0, 0, 0, 0, 0, 1, 7], 2)],
            1,
            false,
        ),
        (&[span(1, 1, 0), dropping(2)], 0, true),
        (&[span(1, 3, 3)], 0, false),
    ];
    for (spans, missing, dropped) in cases {
        let mut shard = shard();
        shard.insert(parcel(spans), seconds(0.0));
        let traces = poll(&mut shard, seconds(60.0));
        assert_eq!(
            (traces[0].missing_parents, traces[0].dropped),
            (missing, dropped),
            "{spans:?}"
        );
    }
}

#[test]
fn what_a_duplicate_dropped_does_not_count() {
    // The copy that dropped something is the larger one and goes.
    let mut shard = shard();
    let dropping = Span {
        dropped_links_count: 3,
        ..span(1, 1, 0)
    };
    shard.insert(parcel(&[dropping]), seconds(0.0));
    shard.insert(parcel(&[span(1, 1, 0)]), seconds(0.0));
    let traces = poll(&mut shard, seconds(6.0));
    assert_eq!((traces[0].dropped, traces[0].spans.len()), (false, 1));
}

#[test]
fn a_drain_judges_by_what_has_come() {
    let open = [
        vec![span(1, 1, 0)],
        vec![span(2, 2, 1)],
        vec![remote(span(3, 2, 1))],
        vec![remote(span(4, 2, 1)), span(4, 4, 3)],
    ];
    for (mode, reasons) in [
        (DrainMode::Stop, ["root", "drained", "drained", "drained"]),
        (DrainMode::End, ["root", "drained", "root", "drained"]),
    ] {
        let mut shard = shard();
        shard.insert(parcel(&[span(9, 1, 9)]), seconds(0.0));
        for spans in &open {
            shard.insert(parcel(spans), seconds(99.0));
        }
        let traces = drain(&mut shard, seconds(100.0), mode);
        let seen: Vec<_> = traces
            .iter()
            .map(|trace| (trace.id, trace.completion))
            .collect();
        // The first was due anyway; oldest first.
        let expected: Vec<_> = [(9, "idle")]
            .into_iter()
            .chain((1..).zip(reasons))
            .collect();
        assert_eq!(seen, expected);
        assert_empty(&shard, 6);
        shard.insert(parcel(&[span(1, 2, 1)]), seconds(101.0));
        assert_eq!(shard.counters().late, 1);
    }
}

#[test]
fn settle_may_be_short() {
    let limits = Limits {
        settle: Duration::from_millis(1),
        ..Limits::default()
    };
    let mut shard = Shard::new(limits);
    shard.insert(parcel(&[span(1, 1, 0), span(2, 2, 1)]), seconds(3.0));
    assert_eq!(poll(&mut shard, seconds(3.0009)), []);
    assert_eq!(poll(&mut shard, seconds(3.001)).len(), 1);
    assert_eq!(poll(&mut shard, seconds(62.999)), []);
    assert_eq!(poll(&mut shard, seconds(63.0)).len(), 1);
}
