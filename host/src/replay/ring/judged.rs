//! A batch that was judged, offered to the ring trace by trace, each with the rules that it broke.

use std::sync::Arc;

use super::{Offer, Part};
use crate::assemble::trace::{Keeping, Requests, Trace};
use crate::signal::Emission;
use crate::time::Time;

/// Traces and their signals, which come in the order of traces.
#[derive(Clone, Copy, Debug)]
pub struct JudgedBatch<'a, R> {
    pub traces: &'a [Trace],
    pub requests: &'a R,
    pub signals: &'a [Emission],
    pub generation: u64,
    /// In Unix nanoseconds.
    pub judged_at: u64,
}

impl Part {
    /// Offers all traces of a batch, and says of each what became of it.
    pub fn offer_all<R: Requests>(&self, batch: &JudgedBatch<'_, R>, now: Time) -> Vec<Keeping> {
        let mut keepings = Vec::with_capacity(batch.traces.len());
        let mut rest = batch.signals;
        let mut rules: Vec<Arc<str>> = Vec::new();
        for trace in batch.traces {
            let of_trace = rest.iter().take_while(|signal| signal.trace_id == trace.id);
            let (mine, others) = rest.split_at(of_trace.count());
            rest = others;
            rules.clear();
            rules.extend(mine.iter().map(|mine| Arc::from(mine.signal.rule.as_str())));
            let offer = Offer {
                trace,
                requests: batch.requests,
                signalled: &rules,
                generation: batch.generation,
                judged_at: batch.judged_at,
            };
            keepings.push(self.offer(&offer, now));
        }
        keepings
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::Span;

    use super::*;
    use crate::replay::ring::{Ring, RingLimits};
    use crate::signal::fixture::{Batch, rule};
    use crate::signal::judge::Unfinished;

    #[test]
    fn each_trace_is_kept_with_the_rules_that_it_broke() {
        let span = |name: &str| Span {
            trace_id: vec![9; 16],
            span_id: vec![1; 8],
            name: name.to_owned(),
            ..Span::default()
        };
        let rules = [rule()];
        let batch = Batch::of_spans(vec![span("root")], &rules);
        let signal = batch
            .judge(&rules, &[(0, 0, vec![0], 0)], Unfinished::All)
            .remove(0);
        let signal = |id: u8, rule: &str| {
            let mut signal = signal.clone();
            signal.trace_id = [id; 16];
            Arc::make_mut(&mut signal.signal).rule = rule.to_owned();
            signal
        };
        let trace = |id: u8| Trace {
            id: [id; 16],
            ..batch.traces[0].clone()
        };
        let ring = Ring::new(&RingLimits::default(), 1);
        let judged = JudgedBatch {
            traces: &[trace(1), trace(2), trace(3), trace(4)],
            requests: &batch,
            signals: &[signal(2, "a"), signal(2, "b"), signal(4, "a")],
            generation: 5,
            judged_at: 6,
        };
        let keepings = ring.part(0).offer_all(&judged, Time(0));
        assert_eq!(keepings, [Keeping::Kept; 4]);
        let signalled = [1, 2, 3, 4].map(|id: u8| {
            let kept = ring.get(&[id; 16]).expect("there is room for all");
            assert_eq!((kept.generation, kept.judged_at), (5, 6));
            kept.signalled.join(" ")
        });
        assert_eq!(signalled, ["", "a b", "", "a"]);
    }
}
