//! How much waits for a writer: bounded in bytes, as one turn of a worker can bring a signal or a hundred thousand.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::stream::Counters;
use crate::signal::Emission;

/// Signals that wait for a writer, unless it is said otherwise: what a disk takes in a second.
pub const DEFAULT_BYTES: usize = 64 << 20;

/// What is handed to a writer at once, about: the bound can be kept to no less.
pub const PIECE_BYTES: usize = 1 << 20;

/// The bytes that wait for one writer.
#[derive(Debug)]
pub(super) struct Backlog {
    most: usize,
    held: Mutex<Held>,
    freed: Condvar,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// The writer is gone: there is nothing to wait for.
    open: bool,
}

impl Backlog {
    pub(super) fn new(most: usize, counters: Arc<Counters>) -> Backlog {
        Backlog {
            most,
            held: Mutex::default(),
            freed: Condvar::new(),
            counters,
        }
    }

    /// Waits until there is room. A piece that is larger than all of it has it for itself.
    pub(super) fn enter(&self, bytes: usize) {
        let mut held = self.lock();
        if held.is_full(bytes, self.most) {
            self.counters.waits.fetch_add(1, Relaxed);
        }
        while held.is_full(bytes, self.most) {
            held = self
                .freed
                .wait(held)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if held.open {
            return;
        }
        held.bytes += bytes;
        self.counters.queued.store(held.bytes as u64, Relaxed);
    }

    /// A piece was written, or could not be.
    pub(super) fn leave(&self, bytes: usize) {
        let mut held = self.lock();
        held.bytes = held.bytes.saturating_sub(bytes);
        self.counters.queued.store(held.bytes as u64, Relaxed);
        self.freed.notify_all();
    }

    /// Lets everybody in: what is handed over from now on is lost, and counted as that.
    pub(super) fn open(&self) {
        *self.lock() = Held {
            bytes: 0,
            open: true,
        };
        self.counters.queued.store(0, Relaxed);
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_full(&self, bytes: usize, most: usize) -> bool {
        !self.open && self.bytes > 0 && self.bytes.saturating_add(bytes) > most
    }
}

/// About what signals take of memory.
pub(super) fn size(emissions: &[Emission]) -> usize {
    emissions.iter().map(Emission::bytes).sum()
}

/// A batch in pieces of about [`PIECE_BYTES`], with what each takes.
pub(super) fn pieces(batch: Vec<Emission>) -> Vec<(Vec<Emission>, usize)> {
    let mut pieces = Vec::new();
    let (mut piece, mut bytes) = (Vec::new(), 0);
    for emission in batch {
        bytes += emission.bytes();
        piece.push(emission);
        if bytes >= PIECE_BYTES {
            pieces.push((std::mem::take(&mut piece), std::mem::take(&mut bytes)));
        }
    }
    if !piece.is_empty() {
        pieces.push((piece, bytes));
    }
    pieces
}
