//! What open traces take of memory, by their bytes on the wire, where traces of one request complete at different times.
//!
//! Each service sends requests of 1,000 spans with parts of 500 traces. A trace's five parts come at random within 5 s, so that
//! no two of its requests hold the same traces; and the root of one trace in ten comes after half a minute, so that its spans
//! keep requests of which all others were judged long ago. Assembly alone, and judged traces are not remembered: what grows is
//! what open traces take.

use std::time::{Duration, Instant};

use betrace::assemble::counters::Counters;
use betrace::assemble::limits::Limits;
use betrace::assemble::shard::Shard;
use betrace::assemble::trace::Parcel;
use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use betrace::time::Time;
use betrace_benches::figures;
use betrace_benches::traffic::{SERVICES, Traffic};
use bytes::Bytes;

use crate::memory;

/// The argument of the process that measures.
pub(crate) const APART: &str = "--held";

const TICK: Duration = Duration::from_millis(10);
const TICKS_A_SECOND: u64 = 100;
/// So that some 100,000 traces, a million spans, are open.
const TRACES_A_TICK: u64 = 77;
/// Within which the parts of a trace come.
const SPREAD: u64 = 5 * TICKS_A_SECOND;
/// One in so many traces is slow, and its root comes so late.
const ONE_IN: u64 = 10;
const SLOW: u64 = 30 * TICKS_A_SECOND;
/// By then as many traces are open as will be.
const STEADY: u64 = 60 * TICKS_A_SECOND;
const END: u64 = 90 * TICKS_A_SECOND;
/// Traces of which a request has parts, two spans each.
const PARTS: usize = 500;

pub(crate) fn measure_apart() {
    memory::apart(APART);
}

pub(crate) fn measure() {
    let mut traffic = Parts::new();
    let mut shard = Shard::new(Limits {
        memory_bytes: 64 << 30,
        remember_traces: 0,
        ..Limits::default()
    });
    let before = memory::resident();
    let mut seen: Vec<Seen> = Vec::new();
    let mut spent = Duration::ZERO;
    for tick in 0..END {
        let now = Time::default().after(TICK * tick as u32);
        let requests = traffic.tick(tick);
        let started = Instant::now();
        for bytes in requests {
            let mut scan = Scan::default();
            let request = Request::scan(bytes, &mut scan).expect("OTLP");
            shard.insert(Parcel::whole(request.into(), scan.spans), now);
        }
        let mut traces = Vec::new();
        while shard.poll(now, &mut traces) {
            traces.drain(..).for_each(|trace| shard.release(trace));
        }
        traces.drain(..).for_each(|trace| shard.release(trace));
        spent += started.elapsed();
        if tick >= STEADY && tick % TICKS_A_SECOND == 0 {
            let counters = shard.counters();
            let wire = counters.open_spans as f64 * traffic.span_bytes;
            let counted = counters.memory_bytes as f64 / wire;
            let resident = (memory::resident() - before) as f64 / wire;
            let dead = counters.dead_bytes as f64 / wire;
            // Resources and framing, references, and what a trace takes.
            let rest = counted - dead - counters.open_bytes as f64 / wire;
            seen.push([counted, dead, rest, resident]);
        }
    }
    let counters = shard.counters();
    print(&counters, &seen);
    let ns = spent.as_nanos() as f64 / counters.spans as f64;
    println!("  scan and assembly took {ns:.0} ns a span by the clock");
}

/// By the bytes on the wire: all that is counted, of it judged spans, of it what is no span, and what the process grew by.
type Seen = [f64; 4];

fn print(counters: &Counters, seen: &[Seen]) {
    let most = |of: usize| seen.iter().map(|seen| seen[of]).fold(0.0, f64::max);
    let mean = |of: usize| seen.iter().map(|seen| seen[of]).sum::<f64>() / seen.len() as f64;
    println!(
        "\nmemory of {} open traces, {} spans, by their bytes on the wire, over {} s",
        counters.open_traces,
        counters.open_spans,
        seen.len()
    );
    for (of, what) in [
        "as assembly counts it",
        "of it, spans that were judged",
        "of it, what is no span",
        "by the growth of the process",
    ]
    .iter()
    .enumerate()
    {
        println!(
            "  {what}: {:.2} on average, {:.2} at most",
            mean(of),
            most(of)
        );
    }
    println!(
        "  {} compactions copied {:.1} % of all spans",
        counters.compactions,
        counters.compacted_spans as f64 * 100.0 / counters.spans as f64
    );
    assert_eq!(counters.late, 0, "no trace is judged before all has come");
    figures::report("memory-counted", most(0));
    figures::report("memory-resident", most(3));
}

/// Parts of traces, and the requests that they make.
struct Parts {
    /// By service, a request of its spans, and where each trace id lies.
    templates: Vec<(Vec<u8>, Vec<usize>)>,
    span_bytes: f64,
    /// By tick, as a ring: whose part is due, and of which trace.
    due: Vec<Vec<(u64, u64)>>,
    /// By service, traces whose parts wait for a request.
    pending: Vec<Vec<u64>>,
    traces: u64,
}

impl Parts {
    fn new() -> Parts {
        let traffic = Traffic::default();
        let templates = (0..SERVICES).map(|service| template(&traffic.request(1, service)));
        let templates: Vec<_> = templates.collect();
        let bytes: usize = templates.iter().map(|(bytes, _)| bytes.len()).sum();
        Parts {
            span_bytes: bytes as f64 / (SERVICES as usize * 2 * PARTS) as f64,
            templates,
            due: vec![Vec::new(); (SLOW + SPREAD + 1) as usize],
            pending: vec![Vec::new(); SERVICES as usize],
            traces: 0,
        }
    }

    /// Requests that are full by this tick.
    fn tick(&mut self, tick: u64) -> Vec<Bytes> {
        let turn = self.due.len() as u64;
        for _ in 0..TRACES_A_TICK {
            let trace = self.traces;
            self.traces += 1;
            for service in 0..SERVICES {
                let slow = service == 0 && random(trace).is_multiple_of(ONE_IN);
                let after = random(trace * SERVICES + service) % SPREAD;
                let after = if slow { SLOW + after } else { after };
                self.due[((tick + after) % turn) as usize].push((service, trace));
            }
        }
        let mut requests = Vec::new();
        for (service, trace) in std::mem::take(&mut self.due[(tick % turn) as usize]) {
            let pending = &mut self.pending[service as usize];
            pending.push(trace);
            if pending.len() == PARTS {
                let (bytes, ids) = &self.templates[service as usize];
                requests.push(filled(bytes, ids, pending));
                pending.clear();
            }
        }
        requests
    }
}

/// The request with the ids of these traces, two spans each.
fn filled(bytes: &[u8], ids: &[usize], traces: &[u64]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for (at, id) in ids.iter().enumerate() {
        let trace = u128::from(traces[at / 2] + 1);
        // Looks random, as ids do.
        let mixed = trace.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        bytes[*id..*id + 16].copy_from_slice(&mixed.to_be_bytes());
    }
    bytes.into()
}

/// A request, and where its trace ids lie.
fn template(request: &Bytes) -> (Vec<u8>, Vec<usize>) {
    let mut scan = Scan::default();
    let scanned = Request::scan(request.clone(), &mut scan).expect("OTLP");
    let at = |id: &[u8; 16], start: usize, len: usize| {
        let span = &scanned.bytes[start..start + len];
        let at = span.windows(16).position(|bytes| bytes == id);
        start + at.expect("a span holds its trace id")
    };
    let ids = scan.spans.iter().map(|span| {
        at(
            &span.trace_id,
            span.range.start as usize,
            span.range.len as usize,
        )
    });
    let ids: Vec<usize> = ids.collect();
    assert_eq!(ids.len(), 2 * PARTS);
    (request.to_vec(), ids)
}

/// A number that looks random, the same for the same number.
fn random(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}
