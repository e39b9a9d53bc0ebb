//! Writing signals for a host with a write-ahead log: nothing is lost, and a trace is decided once its signals are written.
//!
//! ```text
//! group -> all its signals: write, fdatasync -> all its traces: decided
//! ```
//! With what is decided goes the place in the file from where on the next start has to read it back: see `reach`.
//!
//! What can't be written is tried again until it can be. Meanwhile judging waits, and in the end senders do. A host that is
//! to end gives up instead: what is not decided is in the log.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use hashbrown::HashSet;

use super::Piece;
use super::backlog::{self, Backlog};
use super::stream::{Stream, WriteError};
use crate::wal::{Decided, Decision, Decisions, Judged};

/// Bytes of signals after which their traces' decisions are synced, however little time has passed. A crash of the machine
/// can repeat so many.
pub(super) const UNSYNCED_BYTES: usize = 8 << 20;

/// Bytes of one group, about, in memory.
const GROUP_BYTES: usize = 8 << 20;

/// The pause before something that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Until when it is worth trying again.
#[derive(Debug, Default)]
pub struct Patience {
    is_over: Mutex<bool>,
    ended: Condvar,
}

impl Patience {
    /// The host is to end: what fails now is given up.
    pub fn end(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.notify_all();
    }

    /// Waits for the next try. Returns whether there is to be one.
    fn again(&self) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .ended
            .wait_timeout_while(is_over, AGAIN, |is_over| !*is_over);
        let (is_over, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*is_over
    }

    /// Does it, if need be again and again.
    fn until(&self, mut work: impl FnMut() -> Result<(), WriteError>) -> Result<(), WriteError> {
        let mut is_failing = false;
        loop {
            match work() {
                Ok(()) if is_failing => {
                    tracing::warn!("signals can be written again");
                    return Ok(());
                }
                Ok(()) => return Ok(()),
                Err(failure) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(target = %failure.target, reason = %failure.reason, "can't write signals: judging waits until they can be written");
                    }
                    if !self.again() {
                        return Err(failure);
                    }
                }
            }
        }
    }
}

/// What is written together.
#[derive(Default)]
struct Group {
    judged: Vec<Judged>,
    signals: Vec<crate::signal::Emission>,
    /// Traces that were judged, and of which no signal came behind that.
    decided: HashSet<[u8; 16], foldhash::fast::RandomState>,
    bytes: usize,
}

impl Group {
    fn add(&mut self, piece: Piece) {
        self.bytes += piece.bytes();
        match piece {
            Piece::Signals(signals) => {
                for signal in &signals {
                    // Of another trace of its id, where one is not remembered.
                    self.decided.remove(&signal.trace_id);
                }
                self.signals.extend(signals);
            }
            Piece::Judged(judged) => {
                let is_judged = |decision: &&Decision| decision.what != Decided::Forgotten;
                let judged_now = judged.traces.iter().filter(is_judged);
                self.decided.extend(judged_now.map(|decision| decision.id));
                self.judged.push(judged);
            }
        }
    }
}

/// Writes until every sender is gone.
pub(super) fn write(
    mut stream: Stream,
    pieces: &Receiver<Piece>,
    backlog: &Backlog,
    mut decisions: Decisions,
    patience: &Arc<Patience>,
) -> Result<(), WriteError> {
    let mut unsynced = 0;
    let mut is_placed = false;
    loop {
        let first = match decisions.due() {
            Some(due) => pieces.recv_timeout(due),
            None => pieces.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let mut group = Group::default();
        match first {
            Ok(first) => group.add(first),
            Err(RecvTimeoutError::Timeout) => {
                patience.until(|| decided(decisions.sync()))?;
                stream.reach.synced();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        while group.bytes < GROUP_BYTES
            && let Ok(piece) = pieces.try_recv()
        {
            group.add(piece);
        }
        if decisions.is_past_gone() {
            stream.past_is_gone();
        }
        if !group.signals.is_empty() {
            if !is_placed {
                decisions.note(stream.reach.place());
                patience.until(|| decided(decisions.write_place()))?;
                is_placed = true;
            }
            patience.until(|| stream.reaches(&group.signals))?;
            unsynced += stream.render(&group.signals);
            patience.until(|| stream.write_rendered())?;
            patience.until(|| stream.sync())?;
        }
        decisions.note(stream.reach.place());
        patience.until(|| decided(decisions.settle(&mut group.judged)))?;
        stream.reach.decided(group.decided);
        if unsynced > UNSYNCED_BYTES {
            patience.until(|| decided(decisions.sync()))?;
            unsynced = 0;
        }
        if decisions.is_synced() {
            stream.reach.synced();
        }
        backlog.leave(group.bytes);
    }
    patience.until(|| decided(decisions.sync()))
}

fn decided(result: std::io::Result<()>) -> Result<(), WriteError> {
    result.map_err(|error| WriteError {
        target: "the write-ahead log".to_owned(),
        reason: error.to_string(),
    })
}

/// About what judged traces take of memory.
pub(super) fn size(judged: &Judged) -> usize {
    size_of::<Judged>() + size_of_val::<[_]>(&judged.traces) + size_of_val::<[_]>(&judged.holds)
}

impl Piece {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Piece::Signals(signals) => backlog::size(signals),
            Piece::Judged(judged) => size(judged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::fixture::emission;

    fn judged(what: Decided) -> Piece {
        Piece::Judged(Judged {
            traces: vec![Decision {
                id: emission().trace_id,
                what,
                through: 0,
            }],
            ..Judged::default()
        })
    }

    /// A shard that remembers nothing may judge another trace of the same id in the same moment.
    #[test]
    fn a_trace_is_decided_where_no_signal_of_its_id_came_behind_that() {
        let mut group = Group::default();
        let mut decided = |piece| {
            group.add(piece);
            group.decided.len()
        };
        let signals = || Piece::Signals(vec![emission()]);
        assert_eq!(decided(signals()), 0);
        assert_eq!(decided(judged(Decided::By(0))), 1);
        assert_eq!(decided(signals()), 0);
        assert_eq!(decided(judged(Decided::Forgotten)), 0);
        assert_eq!(decided(judged(Decided::By(0))), 1);
    }
}
