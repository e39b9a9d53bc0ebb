//! A segment of requests as long as something in it is needed.
//!
//! Who still needs a request (a part on its way to a shard, an open trace, a trace that is being judged) has a [`Hold`] on its
//! segment. A hold has to be given back: one that is only dropped, as by a thread that panics or by a host that ends, keeps
//! its segment, so that the next start reads it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A segment, and how many need it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    holders: AtomicU64,
}

/// Keeps the segment of a request until it is [released](Hold::release).
#[derive(Debug)]
#[must_use = "release it when its segment is not needed, or it is kept for ever"]
pub struct Hold {
    segment: Arc<Segment>,
    time: u64,
}

/// A hold of somebody who has promised nothing yet: it is released when it is dropped.
#[derive(Debug)]
pub struct Logged {
    segment: Arc<Segment>,
    time: u64,
}

impl Segment {
    pub(super) fn new(number: u64) -> Arc<Segment> {
        Arc::new(Segment {
            number,
            holders: AtomicU64::new(0),
        })
    }

    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Ordering::Acquire) > 0
    }

    fn take(&self) {
        self.holders.fetch_add(1, Ordering::Relaxed);
    }

    fn give(&self) {
        self.holders.fetch_sub(1, Ordering::Release);
    }
}

impl Logged {
    /// Of a request that was logged at this time.
    pub(super) fn new(segment: &Arc<Segment>, time: u64) -> Logged {
        segment.take();
        let segment = Arc::clone(segment);
        Logged { segment, time }
    }

    /// A hold for whoever takes a part of the request.
    pub fn hold(&self) -> Hold {
        self.hold_at(self.time)
    }

    /// As [`hold`](Self::hold), of another request of its segment.
    pub(super) fn hold_at(&self, time: u64) -> Hold {
        self.segment.take();
        let segment = Arc::clone(&self.segment);
        Hold { segment, time }
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.segment.give();
    }
}

impl Hold {
    /// The segment's number. Numbers grow.
    pub fn segment(&self) -> u64 {
        self.segment.number
    }

    /// When its request was logged, by the log's clock: no two requests have the same time, and times grow.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Nobody behind this needs the segment any more.
    pub fn release(self) {
        self.segment.give();
    }
}

#[cfg(test)]
impl Logged {
    /// A request in a segment that no log has.
    pub(crate) fn fixture(segment: u64) -> Logged {
        Logged::new(&Segment::new(segment), segment)
    }

    /// Holds on its segment beside its own.
    pub(crate) fn others(&self) -> u64 {
        self.segment.holders.load(Ordering::Acquire) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_lasts_until_it_is_released_and_a_logged_request_until_it_is_dropped() {
        let segment = Segment::new(3);
        let logged = Logged::new(&segment, 9);
        let (one, other) = (logged.hold(), logged.hold());
        assert_eq!((one.segment(), one.time()), (3, 9));
        drop(logged);
        one.release();
        assert!(segment.is_held());
        drop(other);
        assert!(segment.is_held(), "who panics has not let go");
    }
}
