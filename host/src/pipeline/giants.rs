//! Giant traces are judged after all others that are complete, one at a time.
//!
//! A trace of 50,000 spans costs what 5,000 traces of ten cost, which is its share; but in one batch with others it would hold up
//! their signals for as long, and where it comes first, those of all batches behind it.

use std::collections::HashMap;

use crate::assemble::trace::Trace;
use crate::signal::Emission;

/// A trace is a giant when it is this part of a batch: others leave room in it for their like.
const PART: usize = 4;

/// Takes the giants out of some traces, where a batch is so many spans.
pub(super) fn set_apart(traces: &mut Vec<Trace>, batch_spans: usize, giants: &mut Vec<Trace>) {
    let is_giant = |trace: &Trace| trace.spans.len() > batch_spans / PART;
    if traces.iter().any(is_giant) {
        giants.extend(traces.extract_if(.., |trace| is_giant(trace)));
    }
}

/// Signals of one batch that were made in two parts, in the order of its traces.
pub(super) fn together(
    traces: &[Trace],
    mut early: Vec<Emission>,
    late: &[Emission],
) -> Vec<Emission> {
    if late.is_empty() {
        return early;
    }
    early.extend_from_slice(late);
    let places = traces.iter().enumerate();
    let places: HashMap<[u8; 16], usize> = places.map(|(at, trace)| (trace.id, at)).collect();
    early.sort_by_key(|emission| places.get(&emission.trace_id).copied());
    early
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::trace::{Completion, SpanRef};
    use crate::otlp::scan::Range;
    use crate::signal::fixture::emission;

    fn trace(id: u8, spans: usize) -> Trace {
        let span = SpanRef {
            request: 0,
            section: 0,
            range: Range::default(),
        };
        Trace {
            id: [id; 16],
            spans: vec![span; spans],
            completion: Completion::Root,
            missing_parents: 0,
            dropped: false,
            root: 0,
            through: 0,
        }
    }

    fn ids(traces: &[Trace]) -> Vec<u8> {
        traces.iter().map(|trace| trace.id[0]).collect()
    }

    #[test]
    fn giants_leave_and_all_others_stay_in_order() {
        let mut traces = vec![trace(1, 1), trace(2, 26), trace(3, 25), trace(4, 900)];
        let mut giants = vec![trace(9, 50)];
        set_apart(&mut traces, 100, &mut giants);
        assert_eq!((ids(&traces), ids(&giants)), (vec![1, 3], vec![9, 2, 4]));
    }

    #[test]
    fn signals_of_two_parts_are_in_the_order_of_traces() {
        let signal = |id: u8| Emission {
            trace_id: [id; 16],
            ..emission()
        };
        let traces = [trace(7, 1), trace(5, 1), trace(6, 1)];
        let all = together(&traces, vec![signal(7), signal(6)], &[signal(7), signal(5)]);
        let ids: Vec<u8> = all.iter().map(|signal| signal.trace_id[0]).collect();
        assert_eq!(ids, [7, 7, 5, 6]);
    }
}
