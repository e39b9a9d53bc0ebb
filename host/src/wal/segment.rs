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

/// Keeps a segment until it is [released](Hold::release).
#[derive(Debug)]
#[must_use = "release it when its segment is not needed, or it is kept for ever"]
pub struct Hold(Arc<Segment>);

/// A hold of somebody who has promised nothing yet: it is released when it is dropped.
#[derive(Debug)]
pub struct Logged(Arc<Segment>);

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
    pub(super) fn new(segment: &Arc<Segment>) -> Logged {
        segment.take();
        Logged(Arc::clone(segment))
    }

    /// A hold for whoever takes a part of the request.
    pub fn hold(&self) -> Hold {
        self.0.take();
        Hold(Arc::clone(&self.0))
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.0.give();
    }
}

impl Hold {
    /// The segment's number. Numbers grow.
    pub fn segment(&self) -> u64 {
        self.0.number
    }

    /// Nobody behind this needs the segment any more.
    pub fn release(self) {
        self.0.give();
    }
}

#[cfg(test)]
impl Logged {
    /// A request in a segment that no log has.
    pub(crate) fn fixture(segment: u64) -> Logged {
        Logged::new(&Segment::new(segment))
    }

    /// Holds on its segment beside its own.
    pub(crate) fn others(&self) -> u64 {
        self.0.holders.load(Ordering::Acquire) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_lasts_until_it_is_released_and_a_logged_request_until_it_is_dropped() {
        let segment = Segment::new(3);
        let logged = Logged::new(&segment);
        let (one, other) = (logged.hold(), logged.hold());
        assert_eq!(one.segment(), 3);
        drop(logged);
        one.release();
        assert!(segment.is_held());
        drop(other);
        assert!(segment.is_held(), "who panics has not let go");
    }
}
