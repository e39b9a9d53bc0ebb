//! Is a trace complete, and if not, when to look again. All by arrival time: span timestamps lie.

use super::limits::Limits;
use super::open::{HAS_ROOT, LOOKED, Open, REMOTE_ROOT};
use super::trace::Completion;
use crate::time::Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Since this time.
    Complete(Completion, Time),
    /// Not before this time, and later if spans come.
    Wait(Time),
    /// It was quiet for `settle` and has no span without a parent: whether one has its parent in another process has to
    /// be read from the spans, and then judged again.
    Look,
}

/// The first of its deadlines counts, however late it is asked: a clock that jumps changes no reason.
pub(super) fn judge(open: &Open, limits: &Limits, now: Time) -> Verdict {
    let settled = open.last.after(limits.settle);
    let idle = open.last.after(limits.idle);
    let aged = open.opened.after(limits.max_age);
    let (mut at, mut reason) = (idle, Completion::Idle);
    if aged < idle {
        (at, reason) = (aged, Completion::MaxAge);
    }
    if settled <= at {
        if open.flags & (HAS_ROOT | REMOTE_ROOT) != 0 {
            (at, reason) = (settled, Completion::Root);
        } else if open.flags & LOOKED == 0 {
            return if settled <= now {
                Verdict::Look
            } else {
                Verdict::Wait(settled)
            };
        }
    }
    if at <= now {
        Verdict::Complete(reason, at)
    } else {
        Verdict::Wait(at)
    }
}
