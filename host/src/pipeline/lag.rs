//! How far a shard's thread is behind what arrives. The times are arguments.
//!
//! A thread lags where spans have waited for it for longer than is allowed, or where its queue is half full, so that senders are
//! about to be asked to try again: a queue of small requests is full long before its spans are old.

use std::time::Duration;

/// The lag of one thread, as of its last turn.
#[derive(Clone, Debug)]
pub struct Lag {
    allowed: Duration,
    behind: Duration,
    lags: bool,
    turns: u64,
}

impl Lag {
    /// Of a thread that lags once spans have waited for longer than `allowed`.
    pub fn new(allowed: Duration) -> Lag {
        Lag {
            allowed,
            behind: Duration::ZERO,
            lags: false,
            turns: 0,
        }
    }

    /// A turn begins with what has waited so long, and `is_filling` where the queue is half full.
    pub(super) fn turn(&mut self, waited: Duration, is_filling: bool) {
        self.behind = waited;
        self.lags = is_filling || waited > self.allowed;
        self.turns += u64::from(self.lags);
    }

    /// Nothing waits. Returns whether something did.
    pub(super) fn is_over(&mut self) -> bool {
        self.lags = false;
        std::mem::take(&mut self.behind) > Duration::ZERO
    }

    pub(super) fn lags(&self) -> bool {
        self.lags
    }

    /// How long what the last turn began with had waited.
    pub(super) fn behind(&self) -> Duration {
        self.behind
    }

    /// Turns that began with a lag.
    pub(super) fn turns(&self) -> u64 {
        self.turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lags_where_spans_are_old_or_the_queue_fills() {
        let ms = Duration::from_millis;
        let mut lag = Lag::new(ms(100));
        assert!(!lag.lags());
        lag.turn(ms(100), false);
        assert!(!lag.lags(), "so much is allowed");
        lag.turn(ms(101), false);
        assert!(lag.lags());
        lag.turn(ms(3), true);
        assert!(lag.lags());
        assert_eq!((lag.behind(), lag.turns()), (ms(3), 2));
        assert!(lag.is_over());
        assert!(!lag.is_over(), "that is said once");
        assert_eq!((lag.lags(), lag.behind()), (false, Duration::ZERO));
        assert_eq!(lag.turns(), 2);
    }
}
