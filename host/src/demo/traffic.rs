//! What happens in the shop, and when: visits all the time, and now and then a fault.

use std::time::Duration;

use super::call::{Recorded, record};
use super::faults::{FAULTS, Fault};
use super::random::Random;
use super::shop;

/// From one visit to the next, on average.
const VISIT_EVERY: Duration = Duration::from_millis(90);

/// The first fault comes when there has been some traffic without one.
const FIRST_FAULT_AFTER: Duration = Duration::from_millis(400);

/// Every fault is shown once within ten seconds; from then on at a pace that can be read.
const FIRST_ROUND_EVERY: Duration = Duration::from_millis(750);
const LATER_EVERY: Duration = Duration::from_secs(4);

/// Visits that a single [`Traffic::advance`] makes up for at most, after a pause of the machine.
const MAX_VISITS: usize = 200;

/// The shop's traffic, the same for the same seed and start.
#[derive(Debug)]
pub struct Traffic {
    random: Random,
    /// In Unix nanoseconds.
    next_visit: u64,
    next_fault: u64,
    faults: usize,
}

impl Traffic {
    pub fn new(seed: u64, start: u64) -> Traffic {
        Traffic {
            random: Random::new(seed),
            next_visit: start,
            next_fault: start.saturating_add(nanos(FIRST_FAULT_AFTER)),
            faults: 0,
        }
    }

    /// The traces that start up to `now`, and the fault that each shows.
    pub fn advance(&mut self, now: u64) -> Vec<(Vec<Recorded>, Option<&'static Fault>)> {
        let mut traces = Vec::new();
        while self.next_visit <= now && traces.len() < MAX_VISITS {
            let visit = shop::visit(&mut self.random);
            traces.push((record(&visit, self.next_visit, &mut self.random), None));
            let every = nanos(VISIT_EVERY);
            self.next_visit = self
                .next_visit
                .saturating_add(self.random.within(every / 2..=every * 3 / 2));
        }
        self.next_visit = self.next_visit.max(now.saturating_sub(nanos(VISIT_EVERY)));
        if self.next_fault <= now
            && let Some(fault) = FAULTS.get(self.faults % FAULTS.len())
        {
            let story = fault.happen(&mut self.random);
            traces.push((
                record(&story, self.next_fault, &mut self.random),
                Some(fault),
            ));
            self.faults += 1;
            let every = if self.faults < FAULTS.len() {
                FIRST_ROUND_EVERY
            } else {
                LATER_EVERY
            };
            self.next_fault = now.saturating_add(nanos(every));
        }
        traces
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const START: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn the_same_seed_gives_the_same_traffic() {
        let spans = |seed| -> Vec<_> {
            let mut traffic = Traffic::new(seed, START);
            let traces = (0..40)
                .flat_map(|tick| traffic.advance(START + tick * 50_000_000))
                .collect::<Vec<_>>();
            traces
                .into_iter()
                .flat_map(|(spans, _)| spans)
                .map(|r| (r.service, r.span))
                .collect()
        };
        assert_eq!(spans(1), spans(1));
        assert_ne!(spans(1), spans(2));
    }

    #[test]
    fn ten_seconds_show_every_fault_and_a_dozen_services() {
        let mut traffic = Traffic::new(3, START);
        let mut faults = HashSet::new();
        let mut services = HashSet::new();
        let mut visits = 0;
        for tick in 0..200 {
            for (spans, fault) in traffic.advance(START + tick * 50_000_000) {
                faults.extend(fault.map(|f| f.what));
                visits += usize::from(fault.is_none());
                services.extend(spans.iter().map(|s| s.service));
                assert!(
                    spans
                        .iter()
                        .filter(|s| s.span.parent_span_id.is_empty())
                        .count()
                        == 1
                );
                assert!(
                    spans
                        .iter()
                        .all(|s| s.span.end_time_unix_nano > s.span.start_time_unix_nano)
                );
            }
        }
        assert_eq!(faults.len(), FAULTS.len());
        assert!(services.len() >= 12, "{services:?}");
        assert!((80..150).contains(&visits), "{visits}");
    }

    #[test]
    fn a_pause_is_not_made_up_for_without_end() {
        let mut traffic = Traffic::new(3, START);
        assert!(traffic.advance(START + 3_600_000_000_000).len() <= MAX_VISITS + 1);
        assert!(traffic.advance(START + 3_600_000_000_000).len() <= 3);
    }
}
