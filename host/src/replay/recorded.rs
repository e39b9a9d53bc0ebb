//! Recorded traces into the ring, so that rules can be tried on them.
//!
//! ```text
//! requests -> Shard -> complete traces -> Kept -> Ring
//! ```
//! As in a replay the clock stands still: everything has come when the input ends, and only bounds complete a trace before.

use std::sync::Arc;

use bytes::Bytes;

use super::kept::{Judgement, Kept};
use super::ring::Ring;
use crate::assemble::counters::Counters;
use crate::assemble::limits::Limits;
use crate::assemble::shard::{DrainMode, Shard};
use crate::assemble::trace::{Parcel, Trace};
use crate::otlp::request::Request;
use crate::otlp::scan::{Malformed, Scan};
use crate::time::Time;

/// Takes requests in and keeps their traces.
pub struct Recorder {
    ring: Arc<Ring>,
    shard: Shard,
    scan: Scan,
    traces: Vec<Trace>,
    judged_at: u64,
    recorded: Recorded,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub requests: u64,
    pub spans: u64,
    /// Spans without usable ids.
    pub rejected: u64,
    pub traces: u64,
    pub assembly: Counters,
}

impl Recorder {
    /// `judged_at` is the time that the traces are kept with, in Unix nanoseconds.
    pub fn new(ring: Arc<Ring>, limits: Limits, judged_at: u64) -> Recorder {
        Recorder {
            ring,
            shard: Shard::new(limits),
            scan: Scan::default(),
            traces: Vec::new(),
            judged_at,
            recorded: Recorded::default(),
        }
    }

    /// Takes a request. Only traces that reach a bound are kept before the end.
    pub fn push(&mut self, request: Bytes) -> Result<(), Malformed> {
        let request = Request::scan(request, &mut self.scan)?;
        self.recorded.requests += 1;
        self.recorded.spans += self.scan.spans.len() as u64;
        self.recorded.rejected += u64::from(self.scan.rejected);
        let parcel = Parcel::whole(Arc::new(request), self.scan.spans.clone());
        self.shard.insert(parcel, STANDSTILL);
        loop {
            let more = self.shard.poll(STANDSTILL, &mut self.traces);
            self.keep();
            if !more {
                return Ok(());
            }
        }
    }

    /// The input has ended: every trace is complete.
    pub fn finish(mut self) -> Recorded {
        loop {
            let more = self
                .shard
                .drain(STANDSTILL, DrainMode::End, &mut self.traces);
            self.keep();
            if !more {
                break;
            }
        }
        self.recorded.assembly = self.shard.counters();
        self.recorded
    }

    fn keep(&mut self) {
        for trace in self.traces.drain(..) {
            self.recorded.traces += 1;
            let judged = Judgement {
                at: self.judged_at,
                ..Judgement::default()
            };
            self.ring.keep(Kept::copy(&trace, &self.shard, judged));
            self.shard.release(trace);
        }
    }
}

/// The one time of a recording.
const STANDSTILL: Time = Time(0);

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    use super::*;
    use crate::assemble::trace::Completion;
    use crate::demo::call::record;
    use crate::demo::export::Exporters;
    use crate::demo::faults::FAULTS;
    use crate::demo::random::Random;
    use crate::replay::ring::RingLimits;

    #[test]
    fn traces_whose_services_send_apart_are_kept_whole() {
        let mut exporters = Exporters::default();
        let mut spans = 0;
        for seed in 0..3 {
            let story = FAULTS[0].happen(&mut Random::new(seed));
            let recorded = record(&story, 1_700_000_000_000_000_000, &mut Random::new(seed));
            spans += recorded.len();
            exporters.add(recorded);
        }
        let requests: Vec<ExportTraceServiceRequest> = exporters.flush_all();
        assert!(requests.len() > 3, "one a service");
        let ring = Arc::new(Ring::new(&RingLimits::default(), 2));
        let mut recorder = Recorder::new(ring.clone(), Limits::default(), 7);
        for request in requests {
            recorder
                .push(request.encode_to_vec().into())
                .expect("it is OTLP");
            assert!(ring.snapshot().is_empty(), "more could come");
        }
        let recorded = recorder.finish();
        assert_eq!((recorded.traces, recorded.spans), (3, spans as u64));
        let kept = ring.snapshot();
        assert_eq!(kept.len(), 3);
        assert_eq!(kept.iter().map(|k| k.spans.len()).sum::<usize>(), spans);
        assert!(kept.iter().all(|k| k.completion == Completion::Root));
        assert!(kept.iter().all(|k| (k.judged_at, k.generation) == (7, 0)));
    }

    #[test]
    fn what_is_no_request_is_told() {
        let ring = Arc::new(Ring::new(&RingLimits::default(), 1));
        let mut recorder = Recorder::new(ring, Limits::default(), 0);
        assert!(recorder.push(Bytes::from_static(b"\x0a\xff")).is_err());
    }
}
