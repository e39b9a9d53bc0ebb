//! Which request follows which: group by group, part by part, and parts that lag behind so that traces stay open.

use super::deck::Deck;

/// A request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub group: u64,
    /// Its place in the deck.
    pub template: usize,
}

/// The order of a deck's requests.
#[derive(Clone, Debug)]
pub struct Order {
    step: u64,
    part: usize,
    request: usize,
    groups: Option<u64>,
}

impl Order {
    pub fn new(deck: &Deck) -> Order {
        Order {
            step: 0,
            part: 0,
            request: 0,
            groups: deck.groups(),
        }
    }

    /// The next request; none when all groups are whole.
    pub fn next(&mut self, deck: &Deck) -> Option<Due> {
        let longest = deck.lags().iter().max().copied().unwrap_or_default();
        loop {
            if let Some(groups) = self.groups
                && (groups == 0 || self.step >= groups + longest)
            {
                return None;
            }
            let Some(lag) = deck.lags().get(self.part) else {
                self.step += 1;
                self.part = 0;
                continue;
            };
            let group = self.step.checked_sub(*lag);
            let group = group.filter(|group| self.groups.is_none_or(|groups| *group < groups));
            let next = group.and_then(|group| {
                let template = deck.part(group, self.part).nth(self.request)?;
                Some(Due { group, template })
            });
            if next.is_some() {
                self.request += 1;
                return next;
            }
            self.part += 1;
            self.request = 0;
        }
    }

    /// No group begins from now on; those that have begun are sent to their end.
    pub fn end(&mut self) {
        let begun = self.begun();
        self.groups = Some(self.groups.map_or(begun, |groups| groups.min(begun)));
    }

    /// Groups of which something was sent.
    pub fn begun(&self) -> u64 {
        let begun = self.step + u64::from(self.part > 0 || self.request > 0);
        self.groups.map_or(begun, |groups| groups.min(begun))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::load::shape::Shape;

    /// By group, the spans that were sent, and the most groups that waited for spans after any request.
    fn sent(deck: &Deck, mut order: Order) -> (HashMap<u64, u64>, usize) {
        let mut spans: HashMap<u64, u64> = HashMap::new();
        let mut most = 0;
        while let Some(due) = order.next(deck) {
            *spans.entry(due.group).or_default() += deck.template(due.template).unwrap().spans();
            most = most.max(spans.values().filter(|spans| **spans < 60).count());
        }
        (spans, most)
    }

    /// Groups of 6 traces with 60 spans.
    fn deck(traces: Option<u64>, open: u64) -> Deck {
        let text = format!("spans=10,services=5,request=12,open={open}");
        Deck::made(&text.parse::<Shape>().unwrap(), traces, 0).unwrap()
    }

    #[test]
    fn as_many_traces_as_asked_for_and_each_whole() {
        for (traces, open) in [(1, 0), (6, 0), (20, 0), (20, 12), (4, 600), (600, 120)] {
            let deck = deck(Some(traces), open);
            let (spans, most) = sent(&deck, Order::new(&deck));
            assert_eq!(spans.values().sum::<u64>(), traces * 10, "{traces} {open}");
            assert_eq!(spans.len() as u64, traces.div_ceil(6));
            assert_eq!(deck.traces(traces.div_ceil(6)), traces);
            if traces == 600 {
                assert!((20..=21).contains(&most), "{most} groups of 6 traces");
            }
        }
        let nothing = deck(Some(0), 0);
        assert_eq!(Order::new(&nothing).next(&nothing), None);
    }

    #[test]
    fn at_its_end_what_has_begun_becomes_whole() {
        for taken in 1..40_u64 {
            let deck = deck(None, 18);
            let mut order = Order::new(&deck);
            let mut spans: HashMap<u64, u64> = HashMap::new();
            let mut left = taken;
            while let Some(due) = order.next(&deck) {
                *spans.entry(due.group).or_default() +=
                    deck.template(due.template).unwrap().spans();
                left = left.saturating_sub(1);
                if left == 0 {
                    order.end();
                }
            }
            assert!(
                spans.values().all(|spans| *spans == 60),
                "{taken}: {spans:?}"
            );
            assert_eq!(order.begun(), spans.len() as u64);
        }
    }
}
