//! What a span costs in assembly, from insertion to release: `insert` + `poll` + `release`, with the given number of
//! traces open.
//!
//! A trace has 10 spans of five services. Each service exports requests of 1,000 spans, two a trace, each at its own phase
//! of 5 s; a trace completes 6 s after its last part. Requests take turns with 256 MiB of bytes, so that completion reads
//! spans that are in no cache.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use betrace::assemble::limits::Limits;
use betrace::assemble::shard::Shard;
use betrace::assemble::trace::Parcel;
use betrace::otlp::request::Request;
use betrace::otlp::scan::{Range, Run, ScannedSpan, Section};
use betrace::time::Time;
use bytes::Bytes;
use divan::counter::ItemsCount;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

const SERVICES: u64 = 5;
const SPANS_A_REQUEST: usize = 1_000;
const TRACES_A_REQUEST: u64 = 500;
const POOL_BYTES: usize = 256 << 20;
/// From a trace's first span to its verdict: four fifths of 5 s, and `settle`.
const OPEN: Duration = Duration::from_secs(10);

fn main() {
    divan::main();
}

#[divan::bench(args = [1_000, 100_000, 1_000_000], sample_count = 50, sample_size = 4)]
fn insert_poll_release(bencher: divan::Bencher<'_, '_>, open: u64) {
    let traffic = Traffic::new(open);
    let mut shard = Shard::new(Limits {
        memory_bytes: 64 << 30,
        ..Limits::default()
    });
    let mut out = Vec::new();
    let step = Cell::new(0);
    // Until as many traces are open as will be.
    while step.get() < traffic.steps_open + traffic.steps_open / 5 {
        let (now, parcels) = traffic.step(step.replace(step.get() + 1));
        run(&mut shard, now, parcels, &mut out);
    }
    bencher
        .counter(ItemsCount::new(SERVICES as usize * SPANS_A_REQUEST))
        .with_inputs(|| traffic.step(step.replace(step.get() + 1)))
        .bench_local_values(|(now, parcels)| run(&mut shard, now, parcels, &mut out));
    let counters = shard.counters();
    assert!(
        counters.open_traces >= open * 9 / 10 && counters.late == 0,
        "{counters:?}"
    );
}

fn run(
    shard: &mut Shard,
    now: Time,
    parcels: Vec<Parcel>,
    out: &mut Vec<betrace::assemble::trace::Trace>,
) {
    for parcel in parcels {
        shard.insert(parcel, now);
    }
    loop {
        let more = shard.poll(now, out);
        for trace in out.drain(..) {
            shard.release(trace);
        }
        if !more {
            return;
        }
    }
}

/// Steady traffic: in each step every service exports one request, of traces that began so many steps ago as its phase
/// says.
struct Traffic {
    /// One request's bytes and the spans in them, of service `i % 5`.
    pool: Vec<(Bytes, Vec<Range>)>,
    steps_open: u64,
    step: Duration,
}

impl Traffic {
    fn new(open: u64) -> Traffic {
        let steps_open = (open / TRACES_A_REQUEST).max(1);
        let mut pool = Vec::new();
        let mut bytes = 0;
        while bytes < POOL_BYTES {
            let service = pool.len() as u64 % SERVICES;
            let request = encode(service);
            bytes += request.0.len();
            pool.push(request);
        }
        pool.truncate(pool.len() / SERVICES as usize * SERVICES as usize);
        Traffic {
            pool,
            steps_open,
            step: OPEN / steps_open as u32,
        }
    }

    fn step(&self, step: u64) -> (Time, Vec<Parcel>) {
        let now = Time::default().after(self.step * step as u32);
        let mut parcels = Vec::new();
        for service in 0..SERVICES {
            // The root's service is neither the first nor the last to export.
            let phase = (service + 3) % SERVICES;
            let Some(group) = step.checked_sub(self.steps_open * phase / 10) else {
                continue;
            };
            let buffer = (group * SERVICES + service) as usize % self.pool.len();
            let (bytes, ranges) = &self.pool[buffer];
            let spans = ranges.iter().enumerate().map(|(at, &range)| ScannedSpan {
                trace_id: trace_id(group * TRACES_A_REQUEST + at as u64 / 2),
                range,
                section: 0,
                is_root: service == 0 && at % 2 == 0,
                dropped: false,
                ids_lead: true,
                remote: false,
            });
            let request = Request {
                bytes: bytes.clone(),
                sections: Box::new([Section {
                    resource: Run::default(),
                    scope: Run::default(),
                }]),
                parts: Box::default(),
            };
            parcels.push(Parcel::whole(Arc::new(request), spans.collect()));
        }
        (now, parcels)
    }
}

/// Looks random, as ids do.
fn trace_id(number: u64) -> [u8; 16] {
    let mixed = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    mixed.to_be_bytes()
}

/// Two spans a trace, of about 350 bytes with six attributes.
fn encode(service: u64) -> (Bytes, Vec<Range>) {
    let mut bytes = Vec::new();
    let mut ranges = Vec::new();
    for at in 0..SPANS_A_REQUEST as u64 {
        let id = service * 2 + at % 2 + 1;
        let span = Span {
            trace_id: vec![7; 16],
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: if id == 1 {
                Vec::new()
            } else {
                (id / 2).to_be_bytes().to_vec()
            },
            name: format!("GET /orders/{at}"),
            kind: 2,
            start_time_unix_nano: 1_700_000_000_000_000_000 + at,
            end_time_unix_nano: 1_700_000_000_100_000_000 + at,
            attributes: (0..6).map(|key| attribute(key, at)).collect(),
            ..Span::default()
        };
        let start = bytes.len() as u32;
        span.encode(&mut bytes).expect("a vector grows");
        let len = bytes.len() as u32 - start;
        ranges.push(Range { start, len });
    }
    (Bytes::from(bytes), ranges)
}

fn attribute(key: u64, value: u64) -> KeyValue {
    KeyValue {
        key: format!("http.attribute.{key}"),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(format!(
                "value {value} of some length"
            ))),
        }),
        ..KeyValue::default()
    }
}
