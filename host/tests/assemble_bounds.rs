//! Every bound of assembly: what happens at it, and that it is counted.

mod assemble_support;

use std::sync::Arc;
use std::time::Duration;

use assemble_support::*;
use betrace::assemble::limits::{Limits, LimitsError};
use betrace::assemble::shard::{DrainMode, Shard};
use betrace::assemble::trace::{Completion, Parcel, footprint, span_bytes};
use betrace::otlp::request::Request;
use betrace::otlp::scan::{Range, Run, ScannedSpan, Section};
use betrace::time::Time;
use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span;

fn padded(trace: u128, id: u64, parent: u64, bytes: usize) -> Span {
    Span {
        trace_state: "x".repeat(bytes),
        ..span(trace, id, parent)
    }
}

#[test]
fn the_span_cap_is_exact_and_what_follows_is_late() {
    for batch in [1, 7, 100, 150] {
        let mut shard = Shard::new(Limits {
            trace_spans: 100,
            ..Limits::default()
        });
        let spans: Vec<Span> = (1..=150).map(|id| span(1, id, 0)).collect();
        for spans in spans.chunks(batch) {
            shard.insert(parcel(spans), seconds(1.0));
        }
        assert_eq!(shard.counters().waiting, 1);
        assert_eq!(shard.next_deadline(), Some(seconds(1.0)));
        let traces = poll(&mut shard, seconds(1.0));
        assert_eq!(traces[0].completion, "span_cap");
        assert_eq!(traces[0].ids(), (1..=100).collect::<Vec<u64>>());
        assert_eq!(shard.counters().late, 50);
        assert_eq!(shard.counters().completed_by(Completion::SpanCap), 1);
        assert_empty(&shard, 100);
    }
}

#[test]
fn the_byte_cap_is_exact() {
    let one = prost::Message::encoded_len(&padded(1, 1, 0, 1000)) as u64;
    for batch in [1, 4, 20] {
        let mut shard = Shard::new(Limits {
            trace_bytes: one * 10,
            ..Limits::default()
        });
        let spans: Vec<Span> = (1..=20)
            .map(|id| padded(1, id + 100, 0, 1000 - 2))
            .collect();
        for spans in spans.chunks(batch) {
            shard.insert(parcel(spans), seconds(1.0));
        }
        let traces = poll(&mut shard, seconds(1.0));
        assert_eq!(
            (traces[0].completion, traces[0].spans.len()),
            ("byte_cap", 10)
        );
        assert_eq!(shard.counters().late, 10);
        assert_empty(&shard, 10);
    }
}

#[test]
fn retries_trip_no_cap() {
    let limits = Limits {
        trace_spans: 100,
        trace_bytes: 12_000,
        ..Limits::default()
    };
    let mut shard = Shard::new(limits);
    let spans: Vec<Span> = (1..=99).map(|id| padded(1, id, 0, 50)).collect();
    for _ in 0..50 {
        for spans in spans.chunks(10) {
            shard.insert(parcel(spans), seconds(1.0));
        }
    }
    assert_eq!(shard.counters().waiting, 0);
    assert_eq!(shard.counters().duplicates, 49 * 99);
    // Of two that differ the smaller stays, here too, whichever came first.
    let smaller = padded(1, 5, 0, 3);
    shard.insert(
        parcel(&[smaller.clone(), padded(1, 5, 0, 60)]),
        seconds(2.0),
    );
    let mut again = Shard::new(Limits::default());
    again.insert(parcel(&spans), seconds(1.0));
    again.insert(parcel(&[padded(1, 5, 0, 60), smaller]), seconds(2.0));
    assert_eq!(
        poll(&mut shard, seconds(8.0)),
        poll(&mut again, seconds(8.0))
    );
    assert_empty(&shard, 99);

    // One more span and it is full.
    let mut shard = Shard::new(Limits {
        trace_spans: 100,
        ..Limits::default()
    });
    for _ in 0..3 {
        shard.insert(parcel(&spans), seconds(1.0));
    }
    shard.insert(parcel(&[span(1, 100, 0), span(1, 101, 0)]), seconds(1.0));
    assert_eq!(poll(&mut shard, seconds(1.0))[0].completion, "span_cap");
    assert_eq!(shard.counters().late, 1);
    assert_empty(&shard, 100);
}

#[test]
fn the_oldest_are_evicted_first_and_only_as_many_as_needed() {
    let mut shard = Shard::new(Limits {
        memory_bytes: 100_000,
        trace_bytes: 50_000,
        ..Limits::default()
    });
    let mut given = Vec::new();
    for trace in 1..=100 {
        // Every trace gets a span more now and then: age counts, not quiet.
        shard.insert(parcel(&[padded(trace, 1, 2, 4000)]), Time(trace as u64));
        shard.insert(parcel(&[span(trace.max(5) - 4, 3, 2)]), Time(trace as u64));
        let memory = shard.counters().memory_bytes;
        assert!(memory <= 100_000, "{memory}");
        assert!(trace < 30 || memory > 90_000, "{memory}");
        given.extend(poll(&mut shard, Time(trace as u64)));
    }
    let ids: Vec<u128> = given.iter().map(|trace| trace.id).collect();
    assert_eq!(ids, (1..=given.len() as u128).collect::<Vec<_>>());
    assert!(given.iter().all(|trace| trace.completion == "evicted"));
    assert_eq!(
        shard.counters().completed_by(Completion::Evicted),
        given.len() as u64
    );
    assert_eq!(shard.counters().late, 0);
}

#[test]
fn an_old_trace_is_not_lost_among_those_that_closed() {
    let mut shard = shard();
    shard.insert(parcel(&[span(1, 1, 2)]), seconds(0.0));
    for trace in 2..10_000 {
        shard.insert(parcel(&[span(trace, 1, 0)]), Time(trace as u64 * 5_000_000));
        poll(&mut shard, Time(trace as u64 * 5_000_000));
    }
    let traces = drain(&mut shard, seconds(50.0), DrainMode::Stop);
    assert_eq!(
        (traces[0].id, traces.last().map(|trace| trace.id)),
        (1, Some(9_999))
    );
    assert_empty(&shard, 9_999);
}

#[test]
fn a_span_that_fits_nowhere_is_evicted_and_not_lost() {
    let mut shard = Shard::new(Limits {
        memory_bytes: 10_000,
        ..Limits::default()
    });
    shard.insert(parcel(&[padded(1, 1, 0, 50_000)]), seconds(0.0));
    let traces = poll(&mut shard, seconds(0.0));
    assert_eq!(
        (traces[0].completion, traces[0].spans.len()),
        ("evicted", 1)
    );
    assert_empty(&shard, 1);
}

#[test]
fn what_is_not_span_is_charged_too() {
    // A small span in a request of 80 kB of resource.
    let mut shard = Shard::new(Limits {
        memory_bytes: 1_000_000,
        trace_bytes: 50_000,
        ..Limits::default()
    });
    let resource = vec![b'r'; 80_000];
    for trace in 1..=50 {
        shard.insert(
            sections(&[(&resource, vec![span(trace, 1, 2)])]),
            seconds(0.0),
        );
        assert!(shard.counters().memory_bytes <= 1_000_000);
    }
    assert_eq!(shard.counters().open_traces, 12);
}

#[test]
fn shares_of_a_request_add_up() {
    let whole = parcel(&[
        padded(1, 1, 0, 10),
        padded(2, 1, 0, 1000),
        padded(3, 1, 0, 333),
    ]);
    let all = span_bytes(&whole.spans);
    let shares: u64 = whole
        .spans
        .iter()
        .map(|&span| Parcel::part(Arc::clone(&whole.request), vec![span], all).share)
        .sum();
    let footprint = footprint(&whole.request);
    assert_eq!(whole.share, footprint);
    // Rounded up, each.
    assert!((footprint..footprint + 3).contains(&shares));
}

/// A request of 1,000 one-span traces with ids from `first`, without the cost of encoding each by prost.
fn flood(first: u64) -> Parcel {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for id in first..first + 1000 {
        let start = bytes.len() as u32;
        // Fields 1 and 2: the ids.
        bytes.extend([0x0a, 16]);
        let trace_id = u128::from(id).to_le_bytes();
        bytes.extend(trace_id);
        bytes.extend([0x12, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        let len = bytes.len() as u32 - start;
        spans.push(ScannedSpan {
            trace_id,
            range: Range { start, len },
            section: 0,
            is_root: false,
            dropped: false,
            ids_lead: true,
            remote: false,
        });
    }
    let request = Request {
        bytes: Bytes::from(bytes),
        sections: Box::new([Section {
            resource: Run::default(),
            scope: Run::default(),
        }]),
        parts: Box::default(),
    };
    Parcel::whole(Arc::new(request), spans)
}

#[test]
fn a_flood_of_a_million_ids_stays_within_bounds() {
    let limits = Limits {
        memory_bytes: 40 << 20,
        remember_traces: 100_000,
        ..Limits::default()
    };
    let mut shard = Shard::new(limits);
    let mut given = 0;
    for batch in 0..1000 {
        shard.insert(flood(1 + batch * 1000), Time(batch));
        let counters = shard.counters();
        assert!(counters.memory_bytes <= 40 << 20 && counters.remembered <= 100_000);
        given += poll(&mut shard, Time(batch)).len();
        // What was given out is released; nothing else is held.
        assert!(shard.counters().held_bytes <= 40 << 20);
    }
    let counters = shard.counters();
    assert_eq!(counters.completed_by(Completion::Evicted), given as u64);
    assert_eq!(counters.forgotten, given as u64 - 100_000);
    assert_eq!(counters.open_traces, 1_000_000 - given as u64);
    assert!(counters.open_traces > 150_000, "{counters:?}");
    given += drain(&mut shard, Time(1000), DrainMode::Stop).len();
    assert_eq!(given, 1_000_000);
    assert_empty(&shard, given as u64);
}

#[test]
fn too_many_decided_traces_are_forgotten_oldest_first() {
    let mut shard = Shard::new(Limits {
        remember_traces: 10,
        ..Limits::default()
    });
    for trace in 1..=15 {
        shard.insert(parcel(&[span(trace, 1, 0)]), Time(trace as u64));
    }
    assert_eq!(poll(&mut shard, seconds(10.0)).len(), 15);
    assert_eq!(
        (shard.counters().remembered, shard.counters().forgotten),
        (10, 5)
    );
    for trace in 1..=15 {
        shard.insert(parcel(&[span(trace, 2, 0)]), seconds(10.0));
    }
    assert_eq!(
        (shard.counters().late, shard.counters().open_traces),
        (10, 5)
    );

    let mut shard = Shard::new(Limits {
        remember_traces: 0,
        ..Limits::default()
    });
    shard.insert(parcel(&[span(1, 1, 0)]), seconds(0.0));
    assert_eq!(poll(&mut shard, seconds(10.0)).len(), 1);
    shard.insert(parcel(&[span(1, 2, 0)]), seconds(10.0));
    assert_eq!(
        (shard.counters().late, shard.counters().open_traces),
        (0, 1)
    );
}

#[test]
fn polls_and_drains_give_out_batches() {
    let by_spans = Limits {
        batch_spans: 10,
        ..Limits::default()
    };
    let by_bytes = Limits {
        batch_bytes: 3000,
        ..Limits::default()
    };
    for limits in [by_spans, by_bytes] {
        for draining in [false, true] {
            let mut shard = Shard::new(limits.clone());
            let spans: Vec<Span> = (1..=100)
                .map(|id| padded(1 + u128::from(id) / 3, id, 0, 300))
                .collect();
            shard.insert(parcel(&spans), seconds(0.0));
            let (mut given, mut calls) = (0, 0);
            loop {
                let mut traces = Vec::new();
                let more = match draining {
                    true => shard.drain(seconds(9.0), DrainMode::Stop, &mut traces),
                    false => shard.poll(seconds(9.0), &mut traces),
                };
                let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
                // The trace that fills a batch is in it.
                assert!(spans <= 12, "{spans}");
                given += spans;
                calls += 1;
                release(&mut shard, traces);
                if !more {
                    break;
                }
                // A span that comes between two batches still finds its trace open, or late.
                shard.insert(parcel(&[span(1, 1, 0)]), seconds(9.0));
            }
            assert_eq!((given, calls >= 9), (100, true));
            assert_empty(&shard, 100);
        }
    }
}

#[test]
fn slow_traces_do_not_hold_whole_requests() {
    let limits = Limits {
        dead_bytes: 10_000,
        ..Limits::default()
    };
    let mut shard = Shard::new(limits);
    let mut expected = Shard::new(Limits::default());
    // Of 100 spans a request, one is of the slow trace 1, whose spans come for minutes.
    for request in 0..200_u64 {
        let now = seconds(request as f64);
        let fast = u128::from(request) + 2;
        let spans: Vec<Span> = (1..100).map(|id| padded(fast, id, 0, 100)).collect();
        // Only the first, which is copied many times, says that it dropped something.
        let slow = Span {
            dropped_events_count: u32::from(request == 0),
            ..padded(1, 1 + request, 1000, 100)
        };
        let slow = |request: &Vec<u8>| (request.clone(), vec![slow.clone()]);
        let names: Vec<Vec<u8>> = vec![
            format!("service {request}").into(),
            format!("job {request}").into(),
        ];
        let (name, members) = slow(&names[1]);
        shard.insert(
            sections(&[(&names[0], spans), (&name, members.clone())]),
            now,
        );
        expected.insert(sections(&[(&name, members)]), now);
        poll(&mut shard, now);
        // What was just released is looked at with the next poll.
        assert_eq!(poll(&mut shard, now), []);
        let counters = shard.counters();
        assert!(
            counters.dead_bytes * 100
                <= (counters.held_bytes - counters.dead_bytes) * 15 + 1_000_000
        );
    }
    let counters = shard.counters();
    assert!(
        counters.compactions > 2 && counters.compacted_spans > 150,
        "{counters:?}"
    );
    // Seven fast traces are open, and the slow one's 200 spans: without compaction 200 requests of 25 kB would be held.
    assert!(counters.held_bytes < 400_000, "{counters:?}");
    assert!(counters.held_requests < 100, "{counters:?}");
    let slow = |traces: Vec<Seen>| {
        traces
            .into_iter()
            .find(|trace| trace.id == 1)
            .expect("the slow trace")
    };
    let end = seconds(1000.0);
    let compacted = slow(poll(&mut shard, end));
    assert_eq!(compacted, slow(poll(&mut expected, end)));
    assert_eq!((compacted.spans.len(), compacted.dropped), (200, true));
    assert_empty(&shard, 200 * 100);
}

#[test]
fn compaction_leaves_traces_that_are_out_alone() {
    let mut shard = Shard::new(Limits {
        dead_bytes: 0,
        ..Limits::default()
    });
    let spans: Vec<Span> = (1..=10).map(|trace| padded(trace, 1, 0, 500)).collect();
    shard.insert(parcel(&spans), seconds(0.0));
    // Traces 1 to 8 complete; 9 and 10 go on.
    shard.insert(parcel(&[span(9, 2, 1), span(10, 2, 1)]), seconds(3.0));
    let mut out = Vec::new();
    while shard.poll(seconds(6.0), &mut out) {}
    assert_eq!(out.len(), 8);
    let kept = out.pop().expect("a trace");
    let before = see(&shard, &kept);
    release(&mut shard, out);
    assert_eq!(poll(&mut shard, seconds(7.0)), []);
    assert_eq!(shard.counters().compacted_spans, 2);
    assert_eq!(see(&shard, &kept), before);
    assert_eq!(shard.counters().held_requests, 3);
    shard.release(kept);
    assert_eq!(shard.counters().held_requests, 2);
    assert_eq!(poll(&mut shard, seconds(9.0)).len(), 2);
    assert_empty(&shard, 12);
}

#[test]
fn compaction_comes_before_eviction() {
    let mut shard = Shard::new(Limits {
        memory_bytes: 150_000,
        trace_bytes: 50_000,
        ..Limits::default()
    });
    // Four requests of 30 kB of which one small trace each goes on.
    for request in 0..4_u128 {
        let slow = span(1 + request, 1, 2);
        shard.insert(
            parcel(&[padded(10 + request, 1, 0, 30_000), slow]),
            seconds(0.0),
        );
    }
    assert_eq!(poll(&mut shard, seconds(6.0)).len(), 4);
    assert!(shard.counters().dead_bytes > 120_000);
    for request in 4..8_u128 {
        shard.insert(parcel(&[padded(10 + request, 1, 0, 30_000)]), seconds(6.0));
    }
    let counters = shard.counters();
    assert_eq!((counters.compactions, counters.dead_bytes), (1, 0));
    assert_eq!((counters.open_traces, counters.waiting), (8, 0));
}

#[test]
fn a_trace_released_twice_takes_nothing_with_it() {
    let mut shard = shard();
    shard.insert(parcel(&[span(1, 1, 0), span(2, 1, 2)]), seconds(0.0));
    let mut out = Vec::new();
    assert!(!shard.poll(seconds(6.0), &mut out));
    let trace = out.pop().expect("a trace");
    shard.release(trace.clone());
    shard.release(trace);
    assert_eq!(poll(&mut shard, seconds(60.0)).len(), 1);
    assert_empty(&shard, 2);
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    assert_eq!(Limits::default().check(), Ok(()));
    let default = Limits::default;
    let short = Duration::from_micros(5);
    let cases = [
        (
            Limits {
                settle: short,
                ..default()
            },
            "`settle` is 5µs: it must be from 1ms to 86400s",
        ),
        (
            Limits {
                settle: Duration::from_secs(61),
                ..default()
            },
            "`settle` (61s) is longer than `idle` (60s): raise the latter",
        ),
        (
            Limits {
                max_age: Duration::from_secs(59),
                ..default()
            },
            "`idle` (60s) is longer than `max_age` (59s): raise the latter",
        ),
        (
            Limits {
                trace_spans: 0,
                ..default()
            },
            "`trace_spans` is 0: it must be from 1 to 4294967295",
        ),
        (
            Limits {
                memory_bytes: 1 << 20,
                ..default()
            },
            "`trace_bytes` (33554432) is above a shard's `memory_bytes` (1048576): a large trace would push all others out",
        ),
    ];
    for (limits, message) in cases {
        let error: LimitsError = limits.check().expect_err("refused");
        assert_eq!(error.to_string(), message);
    }
}
