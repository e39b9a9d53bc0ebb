//! A shard whose requests are in a write-ahead log: what it needs of the log, and how it goes on after a restart.

use super::Shard;
use crate::assemble::table::Place;
use crate::assemble::trace::{Completion, Parcel};
use crate::time::Time;
use crate::wal::recover::Remembered;
use crate::wal::{Decision, Hold};

impl Shard {
    /// As [`insert`](Shard::insert), of a request in the segment that `hold` is of.
    pub fn insert_logged(&mut self, parcel: Parcel, now: Time, hold: Hold) {
        self.logged.arrive(hold);
        self.insert(parcel, now);
        self.logged.arrived();
    }

    /// Completes the oldest traces until none holds a segment below this one; the next poll gives them out.
    pub fn evict_below(&mut self, segment: u64) {
        while self.logged.oldest().is_some_and(|oldest| oldest < segment) {
            let Some(oldest) = self.traces.oldest() else {
                return;
            };
            let trace = self.complete(oldest, Completion::Evicted);
            self.counters.evicted_by_log += u64::from(trace.is_some());
            self.waiting.extend(trace);
        }
    }

    /// What the log may let go once all traces that were given out until now are decided.
    pub fn take_outgoing(&mut self) -> Vec<Hold> {
        // Those that wait were completed, but not given out.
        if self.waiting.is_empty() {
            self.logged.take_outgoing()
        } else {
            Vec::new()
        }
    }

    /// Traces that were forgotten for want of room, and that were given out and decided before: what the log has to know of them.
    pub fn take_forgotten(&mut self) -> Vec<Decision> {
        if self.waiting.is_empty() {
            self.logged.take_forgotten()
        } else {
            Vec::new()
        }
    }

    /// Whether it forgets each trace at once.
    pub fn remembers_none(&self) -> bool {
        self.decided.is_off()
    }

    /// Remembers a trace that was decided before the host started, at this time of the shard. Those that were decided first come
    /// first. The log's time is `now`: what it forgets is another trace from then on.
    pub fn remember_decided(&mut self, past: &Remembered, at: Time, now: u64) {
        if self.decided.is_off() {
            self.logged.forgot_at(past.id, now);
            return;
        }
        let completion = Completion::ALL
            .get(usize::from(past.completion))
            .copied()
            .unwrap_or(Completion::Drained);
        let hash = self.table.hash(&past.id);
        let number = self.decided.add(past.id, at, completion, 0);
        let same = |place| match place {
            Place::Open(index) => self.traces.is(index, &past.id),
            Place::Decided(other) => other != number && self.decided.is(other, &past.id),
        };
        self.table
            .find_or_enter(hash, same, || Place::Decided(number));
        if let Some((id, number)) = self.decided.forget_surplus() {
            self.counters.forgotten += 1;
            self.logged.forgot_at(id, now);
            self.forget(&id, number);
        }
    }

    /// All open traces are as if their last span had come now: it is not they who were silent while the host was away.
    pub fn resume(&mut self, now: Time) {
        self.set_clock(now);
        let now = self.now;
        for open in self.traces.iter_mut().filter(|open| open.is_open()) {
            open.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::assemble::limits::Limits;
    use crate::assemble::shard::{DrainMode, Whereabouts};
    use crate::assemble::trace::Trace;
    use crate::otlp::request::Request;
    use crate::otlp::scan::Scan;
    use crate::wal::{Decided, Logged};

    const SETTLE: u64 = 100;

    /// Decided traces are not remembered, unless it is said.
    fn shard(remember: u32) -> Shard {
        Shard::new(Limits {
            settle: Duration::from_nanos(SETTLE),
            remember: Duration::from_nanos(1_000),
            remember_traces: remember,
            ..Limits::default()
        })
    }

    /// A root span of each trace.
    fn parcel(traces: &[u8]) -> Parcel {
        let spans = traces.iter().map(|&trace| Span {
            trace_id: vec![trace; 16],
            span_id: vec![1; 8],
            ..Span::default()
        });
        let scope_spans = vec![ScopeSpans {
            spans: spans.collect(),
            ..ScopeSpans::default()
        }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans,
                ..ResourceSpans::default()
            }],
        };
        let mut scan = Scan::default();
        let bytes = Bytes::from(request.encode_to_vec());
        let request = Request::scan(bytes, &mut scan).expect("it is OTLP");
        Parcel::whole(Arc::new(request), scan.spans)
    }

    fn poll(shard: &mut Shard, now: Time) -> Vec<Trace> {
        let mut traces = Vec::new();
        while shard.poll(now, &mut traces) {}
        traces
    }

    #[test]
    fn a_trace_holds_the_segment_of_its_first_span_until_it_was_given_out() {
        let mut shard = shard(0);
        let (first, second) = (Logged::fixture(300), Logged::fixture(301));
        shard.insert_logged(parcel(&[1]), Time(0), first.hold());
        shard.insert_logged(parcel(&[1, 2]), Time(50), second.hold());
        assert_eq!((first.others(), second.others()), (1, 1));
        assert_eq!(shard.take_outgoing().len(), 0);
        assert_eq!(poll(&mut shard, Time(150)).len(), 2);
        let outgoing = shard.take_outgoing();
        assert_eq!(outgoing.len(), 2);
        assert_eq!(first.others(), 1, "until it is decided");
        outgoing.into_iter().for_each(Hold::release);
        assert_eq!((first.others(), second.others()), (0, 0));
    }

    #[test]
    fn an_older_segment_that_comes_later_is_held_too() {
        let mut shard = shard(0);
        let (older, newer) = (Logged::fixture(255), Logged::fixture(256));
        shard.insert_logged(parcel(&[1]), Time(0), newer.hold());
        shard.insert_logged(parcel(&[1]), Time(1), older.hold());
        let outgoing = shard.take_outgoing();
        assert_eq!(outgoing.len(), 1, "the log keeps all behind the older one");
        outgoing.into_iter().for_each(Hold::release);
        assert_eq!((older.others(), newer.others()), (1, 0));
        assert_eq!(poll(&mut shard, Time(150)).len(), 1);
        shard.take_outgoing().into_iter().for_each(Hold::release);
        assert_eq!(older.others(), 0);
    }

    #[test]
    fn a_trace_that_waits_to_be_given_out_holds_its_segment() {
        let mut shard = shard(0);
        let (old, new) = (Logged::fixture(7), Logged::fixture(8));
        shard.insert_logged(parcel(&[1, 2]), Time(0), old.hold());
        shard.insert_logged(parcel(&[3]), Time(1), new.hold());
        shard.evict_below(7);
        assert_eq!(poll(&mut shard, Time(1)).len(), 0);
        shard.evict_below(8);
        assert_eq!(shard.take_outgoing().len(), 0, "it is not given out yet");
        let evicted = poll(&mut shard, Time(1));
        assert!(
            evicted
                .iter()
                .all(|trace| trace.completion == Completion::Evicted)
        );
        assert_eq!((evicted.len(), shard.counters().evicted_by_log), (2, 2));
        assert_eq!(shard.take_outgoing().len(), 1);
        assert_eq!(shard.counters().open_traces, 1);
    }

    #[test]
    fn what_only_brings_late_spans_is_let_go() {
        let mut shard = shard(10);
        let first = Logged::fixture(1);
        shard.insert_logged(parcel(&[1]), Time(0), first.hold());
        poll(&mut shard, Time(SETTLE));
        shard.take_outgoing().into_iter().for_each(Hold::release);
        shard.insert_logged(parcel(&[1]), Time(SETTLE), first.hold());
        assert_eq!(shard.counters().late, 1);
        assert_eq!(shard.take_outgoing().len(), 1);
    }

    #[test]
    fn what_was_decided_before_the_start_is_remembered_for_the_rest_of_its_time() {
        let mut shard = shard(2);
        for (id, at) in [(1, 0), (2, 500), (3, 900)] {
            shard.remember_decided(&past(id), Time(at), 7);
        }
        assert_eq!(shard.take_forgotten(), [forgotten(1, 7)]);
        let now = Time(1_000);
        let known = |shard: &Shard, id: u8| shard.whereabouts(&[id; 16], now);
        assert_eq!(
            known(&shard, 1),
            Whereabouts::Never,
            "only two are remembered"
        );
        assert!(matches!(
            known(&shard, 2),
            Whereabouts::Judged {
                completion: Completion::Idle,
                generation: 0,
                ..
            }
        ));
        let logged = Logged::fixture(1);
        shard.insert_logged(parcel(&[2, 3]), now, logged.hold());
        assert_eq!(shard.counters().late, 2);
        shard.insert_logged(parcel(&[2, 3]), Time(1_600), logged.hold());
        assert_eq!(
            (shard.counters().late, shard.counters().open_traces),
            (3, 1)
        );
    }

    /// As it was decided before the start.
    fn past(id: u8) -> Remembered {
        Remembered {
            id: [id; 16],
            completion: Completion::Idle as u8,
            ago: Duration::ZERO,
        }
    }

    fn forgotten(id: u8, through: u64) -> Decision {
        Decision {
            id: [id; 16],
            what: Decided::Forgotten,
            through,
        }
    }

    #[test]
    fn what_is_forgotten_for_want_of_room_is_told_once_it_was_given_out() {
        let mut shard = shard(1);
        // Of a fixture, the time is that of its segment.
        let logged = [3, 4, 5].map(Logged::fixture);
        shard.insert_logged(parcel(&[1]), Time(0), logged[0].hold());
        let first = poll(&mut shard, Time(SETTLE));
        assert_eq!(first[0].through, 3);
        assert_eq!(shard.take_forgotten(), []);
        shard.insert_logged(parcel(&[2]), Time(SETTLE), logged[1].hold());
        shard.evict_below(5);
        shard.insert_logged(parcel(&[1]), Time(SETTLE), logged[2].hold());
        assert_eq!(shard.take_forgotten(), [], "the second waits");
        assert_eq!(poll(&mut shard, Time(SETTLE))[0].through, 4);
        assert_eq!(shard.take_forgotten(), [forgotten(1, 4)]);
        assert_eq!(shard.counters().open_traces, 1, "it is another trace");
        let [one, two, three] = logged;
        drop((one, two, three));
    }

    #[test]
    fn a_shard_that_remembers_nothing_says_so_of_what_was_decided_before() {
        let mut shard = shard(0);
        assert!(shard.remembers_none());
        shard.remember_decided(&past(1), Time(0), 7);
        assert_eq!(shard.take_forgotten(), [forgotten(1, 7)]);
    }

    /// Where there is no log nobody takes it.
    #[test]
    fn without_a_log_nothing_is_told() {
        let mut shard = shard(1);
        for id in 1..4 {
            shard.insert(parcel(&[id]), Time(0));
        }
        assert_eq!(poll(&mut shard, Time(SETTLE)).len(), 3);
        assert_eq!(shard.counters().forgotten, 2);
        assert_eq!(shard.take_forgotten(), []);
    }

    #[test]
    fn after_a_start_a_trace_has_its_whole_time() {
        let mut shard = shard(0);
        let logged = Logged::fixture(1);
        shard.insert_logged(parcel(&[1]), Time(0), logged.hold());
        shard.resume(Time(1_000));
        assert_eq!(poll(&mut shard, Time(1_000 + SETTLE - 1)).len(), 0);
        assert_eq!(poll(&mut shard, Time(1_000 + SETTLE)).len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert {
            traces: Vec<u8>,
            later: u64,
            back: bool,
        },
        Poll {
            later: u64,
        },
        Evict {
            back: u64,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        let traces = proptest::collection::vec(0_u8..8, 1..5);
        prop_oneof![
            4 => (traces, 0_u64..2, any::<bool>())
                .prop_map(|(traces, later, back)| Step::Insert { traces, later, back }),
            2 => (0_u64..200).prop_map(|later| Step::Poll { later }),
            1 => (0_u64..4).prop_map(|back| Step::Evict { back }),
        ]
    }

    proptest! {
        /// At any time the oldest segment of each open trace is held, and in the end none is.
        #[test]
        fn what_is_open_is_held(steps in proptest::collection::vec(step(), 1..80)) {
            let mut shard = shard(0);
            let mut segments = vec![Logged::fixture(250)];
            let mut open: BTreeMap<u8, usize> = BTreeMap::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Insert { traces, later, back } => {
                        if later > 0 {
                            segments.push(Logged::fixture(250 + segments.len() as u64));
                        }
                        // Two parts may overtake each other on their way to the shard.
                        let index = (segments.len() - 1).saturating_sub(usize::from(back));
                        shard.insert_logged(parcel(&traces.iter().map(|t| t + 1).collect::<Vec<_>>()), Time(now), segments[index].hold());
                        for trace in traces {
                            let oldest = open.entry(trace + 1).or_insert(index);
                            *oldest = index.min(*oldest);
                        }
                    }
                    Step::Poll { later } => now += later,
                    Step::Evict { back } => {
                        let below = (250 + segments.len() as u64).saturating_sub(back);
                        shard.evict_below(below);
                        // All that are below, and those that were opened before them.
                        let left = shard.logged.oldest();
                        prop_assert!(left.is_none_or(|oldest| oldest >= below));
                    }
                }
                for trace in poll(&mut shard, Time(now)) {
                    open.remove(&trace.id[0]);
                }
                for index in open.values() {
                    prop_assert!(segments[*index].others() > 0);
                }
                shard.take_outgoing().into_iter().for_each(Hold::release);
                for index in open.values() {
                    prop_assert!(segments[*index].others() > 0);
                }
            }
            let mut rest = Vec::new();
            while shard.drain(Time(now), DrainMode::End, &mut rest) {}
            shard.take_outgoing().into_iter().for_each(Hold::release);
            for segment in &segments {
                prop_assert_eq!(segment.others(), 0);
            }
        }
    }
}
