//! Any arrival order, any batching, any split over requests, any repetition: the same traces. And whatever happens, every
//! span is accounted for.

mod assemble_support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use assemble_support::*;
use betrace::assemble::limits::Limits;
use betrace::assemble::shard::{DrainMode, Shard};
use betrace::assemble::trace::Trace;
use betrace::time::Time;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

/// A span and the resource it came with.
type Sent = (Span, Vec<u8>);

/// Few ids, so that spans meet, are each other's parents and come twice with other bytes.
fn sent() -> impl Strategy<Value = Sent> {
    let ids = (1..4_u128, 1..9_u64, 0..11_u64);
    (ids, 0..3_i32, "[ab]{0,2}", any::<[bool; 3]>(), "[rs]?").prop_map(
        |((trace, id, parent), kind, name, [remote, dropped, elsewhere], resource)| {
            let span = Span {
                kind,
                name,
                flags: if remote { REMOTE } else { 0x100 },
                dropped_attributes_count: u32::from(dropped),
                ..span(trace, id, if elsewhere { parent } else { parent.min(1) })
            };
            (span, resource.into_bytes())
        },
    )
}

/// Inserts spans in this order, cut into parcels at random, some of them twice.
fn insert_all(shard: &mut Shard, sent: &[Sent], cuts: &[Index], again: &[Index]) {
    let mut all = sent.to_vec();
    for index in again {
        all.push(sent[index.index(sent.len())].clone());
    }
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len())).collect();
    cuts.extend([0, all.len()]);
    cuts.sort_unstable();
    for (number, cut) in cuts.windows(2).enumerate() {
        // Spans of one resource are a section; they keep their order among themselves only.
        let mut by_resource: BTreeMap<&[u8], Vec<Span>> = BTreeMap::new();
        for (span, resource) in &all[cut[0]..cut[1]] {
            by_resource.entry(resource).or_default().push(span.clone());
        }
        let parts: Vec<(&[u8], Vec<Span>)> = by_resource.into_iter().collect();
        shard.insert(sections(&parts), Time(number as u64));
    }
}

/// Id, spans, missing parents, dropped.
type Facts = (u128, Vec<[Vec<u8>; 3]>, u32, bool);

fn facts(trace: &Seen) -> Facts {
    (
        trace.id,
        trace.spans.clone(),
        trace.missing_parents,
        trace.dropped,
    )
}

/// Id and kind to payload, resource and span.
type ByIdentity<'a> = BTreeMap<(&'a [u8], i32), (Vec<u8>, &'a [u8], &'a Span)>;

/// What a reader of the definition would write.
fn model(sent: &[Sent]) -> Vec<Facts> {
    let mut traces: BTreeMap<&[u8], ByIdentity<'_>> = BTreeMap::new();
    for (span, resource) in sent {
        let new = (span.encode_to_vec(), resource.as_slice(), span);
        let trace = traces.entry(&span.trace_id).or_default();
        let kept = trace
            .entry((&span.span_id, span.kind))
            .or_insert_with(|| new.clone());
        if (&new.0, new.1) < (&kept.0, kept.1) {
            *kept = new;
        }
    }
    let trace = |(id, spans): (&[u8], ByIdentity<'_>)| {
        let ids: BTreeSet<&Vec<u8>> = spans.values().map(|(_, _, span)| &span.span_id).collect();
        let parents = spans.values().map(|(_, _, span)| &span.parent_span_id);
        let missing: BTreeSet<&Vec<u8>> = parents
            .filter(|id| !id.is_empty() && !ids.contains(id))
            .collect();
        let dropped = spans
            .values()
            .any(|(_, _, span)| span.dropped_attributes_count > 0);
        let bytes = |(bytes, resource, _): (Vec<u8>, &[u8], _)| {
            [
                bytes,
                [resource, b"schema".as_slice()].concat(),
                b"scope".to_vec(),
            ]
        };
        (
            u128::from_be_bytes(id.try_into().expect("16 bytes")),
            spans.into_values().map(bytes).collect(),
            missing.len() as u32,
            dropped,
        )
    };
    traces.into_iter().map(trace).collect()
}

fn sorted(mut traces: Vec<Seen>) -> Vec<Seen> {
    traces.sort();
    traces
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_arrival_gives_the_same_traces(
        (sent, shuffled) in proptest::collection::vec(sent(), 1..40)
            .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
        cuts in proptest::collection::vec(any::<Index>(), 0..12),
        again in proptest::collection::vec(any::<Index>(), 0..12),
        end in prop_oneof![Just(None), Just(Some(DrainMode::Stop)), Just(Some(DrainMode::End))],
        tight in any::<bool>(),
    ) {
        let mut plain = shard();
        insert_all(&mut plain, &sent, &[], &[]);
        // A cap that the different spans don't reach makes no difference, however many duplicates there are.
        let most = if tight { 25 } else { 50_000 };
        let mut other = Shard::new(Limits { trace_spans: most, ..Limits::default() });
        insert_all(&mut other, &shuffled, &cuts, &again);
        let finish = |shard: &mut Shard| sorted(match end {
            None => poll(shard, seconds(100.0)),
            Some(mode) => drain(shard, seconds(1.0), mode),
        });
        let expected = finish(&mut plain);
        let facts: Vec<Facts> = expected.iter().map(facts).collect();
        prop_assert_eq!(facts, model(&sent));
        prop_assume!(expected.iter().all(|trace| trace.spans.len() < most as usize));
        prop_assert_eq!(finish(&mut other), expected.clone());
        let given: usize = expected.iter().map(|trace| trace.spans.len()).sum();
        assert_empty(&plain, given as u64);
        assert_empty(&other, given as u64);
    }
}

/// What can happen to a shard.
#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<Sent>),
    Wait(u64),
    Poll,
    /// Releases one of the traces that are out.
    Release(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(sent(), 0..8).prop_map(Step::Insert),
        2 => prop_oneof![0..1000_u64, 0..100_000_u64, 0..2_000_000_u64].prop_map(Step::Wait),
        3 => Just(Step::Poll),
        2 => any::<Index>().prop_map(Step::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn whatever_happens_every_span_is_accounted_for(
        steps in proptest::collection::vec(step(), 1..80),
        trace_spans in 3..30_u32,
        trace_bytes in 200..2_000_u64,
        memory_bytes in 2_000..20_000_u64,
        remember_traces in 0..4_u32,
        batch_spans in 1..20_u32,
        dead_bytes in prop_oneof![Just(0), Just(500)],
    ) {
        let limits = Limits {
            settle: Duration::from_micros(6),
            idle: Duration::from_micros(60),
            max_age: Duration::from_micros(600),
            remember: Duration::from_micros(600),
            trace_spans, trace_bytes, memory_bytes, remember_traces, batch_spans, dead_bytes,
            ..Limits::default()
        };
        let mut shard = Shard::new(limits);
        let mut now = Time(0);
        let mut out: Vec<(Trace, Seen)> = Vec::new();
        let mut given = 0;
        let mut take = |shard: &Shard, traces: Vec<Trace>, out: &mut Vec<(Trace, Seen)>| {
            for trace in traces {
                let seen = see(shard, &trace);
                given += seen.spans.len() as u64;
                out.push((trace, seen));
            }
        };
        for step in steps.into_iter().chain([Step::Poll]) {
            match step {
                Step::Insert(sent) => {
                    let parts: Vec<(&[u8], Vec<Span>)> =
                        sent.iter().map(|(span, resource)| (&resource[..], vec![span.clone()])).collect();
                    shard.insert(sections(&parts), now);
                    prop_assert!(shard.counters().memory_bytes <= memory_bytes);
                }
                Step::Wait(nanos) => now = Time(now.0 + nanos),
                Step::Poll => {
                    let mut traces = Vec::new();
                    let more = shard.poll(now, &mut traces);
                    if more {
                        prop_assert!(!traces.is_empty());
                    } else {
                        prop_assert!(shard.next_deadline().is_none_or(|next| next > now));
                    }
                    take(&shard, traces, &mut out);
                    prop_assert!(shard.counters().memory_bytes <= memory_bytes);
                }
                Step::Release(index) if !out.is_empty() => {
                    let (trace, _) = out.swap_remove(index.index(out.len()));
                    shard.release(trace);
                }
                Step::Release(_) => {}
            }
            // Traces that are out stay as they were.
            for (trace, seen) in &out {
                prop_assert_eq!(&see(&shard, trace), seen);
            }
            prop_assert!(shard.counters().remembered <= u64::from(remember_traces));
        }
        let mut traces = Vec::new();
        while shard.drain(now, DrainMode::Stop, &mut traces) {}
        take(&shard, traces, &mut out);
        for (trace, seen) in out {
            prop_assert_eq!(&see(&shard, &trace), &seen);
            shard.release(trace);
        }
        assert_empty(&shard, given);
    }
}
