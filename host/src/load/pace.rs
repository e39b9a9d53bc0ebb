//! An open loop: each request has a time at which it is due, which no answer moves.
//!
//! Latency is counted from that time. A host that stands still for a second so shows in every request that was due in that
//! second, and not in the one alone that it kept waiting (which is called coordinated omission).

use std::time::Duration;

use super::deck::Deck;
use super::order::{Due, Order};

/// A request, and when it is due, counted from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub due: Due,
    pub at: Duration,
}

/// Hands out tickets, each when it is due. `wait` returns at a time counted from the start, or says that all is to end by
/// `false`; so does `give` where nobody takes them any more. From `until` on no group begins. Returns how many groups began.
pub fn pace(
    deck: &Deck,
    spans_a_second: u64,
    until: Option<Duration>,
    mut wait: impl FnMut(Duration) -> bool,
    mut give: impl FnMut(Ticket) -> bool,
) -> u64 {
    let mut order = Order::new(deck);
    let mut spans = 0;
    while let Some(due) = order.next(deck) {
        let at = when(spans, spans_a_second);
        if until.is_some_and(|until| at >= until) {
            order.end();
            if due.group >= order.begun() {
                continue;
            }
        }
        if !wait(at) || !give(Ticket { due, at }) {
            break;
        }
        spans += deck.template(due.template).map_or(0, |t| t.spans());
    }
    order.begun()
}

/// When so many spans have been due.
fn when(spans: u64, a_second: u64) -> Duration {
    let ns = u128::from(spans) * 1_000_000_000 / u128::from(a_second.max(1));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::shape::Shape;

    /// Groups of 6 traces, each of 5 requests of 12 spans.
    fn deck(traces: Option<u64>) -> Deck {
        let shape: Shape = "spans=10,services=5,request=12".parse().unwrap();
        Deck::made(&shape, traces, 0).unwrap()
    }

    #[test]
    fn requests_are_due_as_the_spans_before_them_say() {
        let deck = deck(Some(12));
        let (mut waited, mut given) = (Vec::new(), Vec::new());
        let wait = |at| {
            waited.push(at);
            true
        };
        let give = |ticket: Ticket| {
            given.push(ticket.at);
            true
        };
        assert_eq!(pace(&deck, 24_000, None, wait, give), 2);
        let expected: Vec<_> = (0..10).map(|n| Duration::from_micros(500 * n)).collect();
        assert_eq!(given, expected);
        assert_eq!(waited, expected);
    }

    #[test]
    fn it_ends_with_the_group_that_its_time_ends_in() {
        let deck = deck(None);
        // A second holds two groups of 60 spans and 2.5 requests of the third.
        let mut given = 0;
        let give = |_| {
            given += 1;
            true
        };
        let groups = pace(&deck, 150, Some(Duration::from_secs(1)), |_| true, give);
        assert_eq!((groups, given), (3, 15));
    }

    #[test]
    fn it_ends_when_it_is_told() {
        let deck = deck(None);
        let mut waits = 0;
        let wait = |_| {
            waits += 1;
            waits < 4
        };
        let mut given = 0;
        let give = |_| {
            given += 1;
            true
        };
        assert_eq!(pace(&deck, 1, None, wait, give), 1);
        assert_eq!(given, 3);
    }
}
