//! What needs no verdict any more: ids of decided traces, written when their signals are.
//!
//! An id is written first and synced within a second; only then are the segments that its trace was held in let go. So a
//! crash of the process repeats nothing, and one of the machine repeats at most what was decided in the last second, whose
//! signals are known by their ids.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use super::Shared;
use super::counters::add;
use super::disk::{Disk, Medium, write_all};
use super::folder::Folder;
use super::format::{DECIDED_BYTES, Kind, RECORD_HEADER, SEGMENT_HEADER, Stamp};
use super::segment::Hold;

/// One file of decided traces, about: a quarter of a million.
const SEGMENT_BYTES: u64 = 4 << 20;

/// From the writing of an id to its sync: what is held until then is a second of traffic.
const SYNC: Duration = Duration::from_secs(1);

/// Traces of one record, so that its length is within bounds.
const RECORD_TRACES: usize = 65_536;

/// A trace that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub id: [u8; 16],
    /// What completed it, as a number.
    pub completion: u8,
}

/// Traces of which a shard's signals were sent, and what it does not need once they are decided.
#[derive(Debug, Default)]
pub struct Judged {
    pub traces: Vec<Decision>,
    pub holds: Vec<Hold>,
}

/// Writes decided traces. It has no thread: whoever writes signals calls it behind them.
pub struct Decisions {
    folder: Arc<Folder>,
    disk: Box<dyn Disk>,
    shared: Arc<Shared>,
    /// Oldest first.
    sealed: VecDeque<Sealed>,
    current: Option<Current>,
    next: u64,
    /// Written and not synced, with what is let go after that.
    unsynced: Vec<Decision>,
    held: Vec<Hold>,
    /// When the oldest of them was written.
    since: Option<Instant>,
    /// A sync failed, so nobody knows what of them the disk has.
    is_in_doubt: bool,
}

/// A file that nothing is added to.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) traces: u64,
    /// When its last trace was decided.
    pub(super) last: u64,
    /// No request of its traces, but late ones, is in a segment behind this.
    pub(super) requests: u64,
}

struct Current {
    stamp: Stamp,
    file: Box<dyn Medium>,
    length: u64,
    traces: u64,
    last: u64,
}

impl Decisions {
    pub(super) fn new(
        folder: Arc<Folder>,
        disk: Box<dyn Disk>,
        shared: Arc<Shared>,
        sealed: VecDeque<Sealed>,
    ) -> Decisions {
        let next = sealed.back().map_or(1, |newest| newest.number + 1);
        let decisions = Decisions {
            folder,
            disk,
            shared,
            sealed,
            current: None,
            next,
            unsynced: Vec::new(),
            held: Vec::new(),
            since: None,
            is_in_doubt: false,
        };
        decisions.show();
        decisions
    }

    /// Writes what is in `judged`, and takes it out as it is written. After an error what is left in it can be tried again.
    pub fn settle(&mut self, judged: &mut Vec<Judged>) -> io::Result<()> {
        for judged in judged.iter_mut() {
            while !judged.traces.is_empty() {
                let some = RECORD_TRACES.min(judged.traces.len());
                let record = judged.traces.get(..some).unwrap_or_default();
                self.write(record)?;
                self.unsynced.extend(judged.traces.drain(..some));
            }
            self.held.append(&mut judged.holds);
            self.since.get_or_insert_with(Instant::now);
        }
        judged.clear();
        if self.due().is_some_and(|due| due.is_zero()) {
            return self.sync();
        }
        Ok(())
    }

    /// In what time [`sync`](Decisions::sync) is due; none while nothing waits for it.
    pub fn due(&self) -> Option<Duration> {
        let since = self.since?;
        // Senders are refused, or nearly: each segment that can go counts.
        let shared = &self.shared;
        if shared.evict_below.load(Relaxed) > shared.oldest.load(Relaxed) && !self.is_in_doubt {
            return Some(Duration::ZERO);
        }
        Some(SYNC.saturating_sub(since.elapsed()))
    }

    /// Makes durable what was written, and lets go of what it was held for. After an error it is due again.
    pub fn sync(&mut self) -> io::Result<()> {
        let synced = self.write_again().and_then(|()| match &mut self.current {
            Some(current) => current.file.sync(),
            None => Ok(()),
        });
        if let Err(error) = synced {
            add(&self.shared.counters.decided_failures, 1);
            self.seal();
            self.is_in_doubt = true;
            self.since = Some(Instant::now());
            return Err(error);
        }
        self.since = None;
        self.unsynced.clear();
        for hold in self.held.drain(..) {
            hold.release();
        }
        self.trim();
        Ok(())
    }

    /// Writes into a new file what is in doubt in another one.
    fn write_again(&mut self) -> io::Result<()> {
        if !self.is_in_doubt {
            return Ok(());
        }
        self.seal();
        let again = std::mem::take(&mut self.unsynced);
        let mut records = again.chunks(RECORD_TRACES);
        let written = records.try_for_each(|record| self.append(record));
        self.unsynced = again;
        self.is_in_doubt = written.is_err();
        written
    }

    fn write(&mut self, traces: &[Decision]) -> io::Result<()> {
        let written = self.append(traces);
        if written.is_err() {
            add(&self.shared.counters.decided_failures, 1);
        } else {
            add(&self.shared.counters.decided, traces.len() as u64);
        }
        self.show();
        written
    }

    fn append(&mut self, traces: &[Decision]) -> io::Result<()> {
        let length = RECORD_HEADER + traces.len() * DECIDED_BYTES;
        let is_full = |current: &Current| {
            current.traces > 0 && current.length + length as u64 > SEGMENT_BYTES
        };
        if self.current.as_ref().is_some_and(is_full) {
            // Nobody syncs it later.
            self.sync()?;
            self.seal();
        }
        if self.current.is_none() {
            self.current = Some(self.begin()?);
        }
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let mut body = Vec::with_capacity(traces.len() * DECIDED_BYTES);
        for trace in traces {
            body.extend_from_slice(&trace.id);
            body.push(trace.completion);
        }
        let time = self.shared.clock.now();
        let crc = crc32fast::hash(&body);
        let header = current
            .stamp
            .record_header(current.length, time, body.len() as u32, crc);
        let slices = &mut [IoSlice::new(&header), IoSlice::new(&body)];
        if let Err(error) = write_all(&mut *current.file, slices) {
            if current.file.cut(current.length).is_err() {
                self.seal();
            }
            return Err(error);
        }
        current.length += length as u64;
        current.traces += traces.len() as u64;
        current.last = time;
        add(&self.shared.counters.written, length as u64);
        Ok(())
    }

    fn begin(&mut self) -> io::Result<Current> {
        let number = self.next;
        let path = self.folder.file(Kind::Decided, number);
        let stamp = Stamp::draw(Kind::Decided, number, false);
        let made = self.disk.create(&path, None, &stamp.segment_header());
        let file = made
            .and_then(|file| self.folder.sync().map(|()| file))
            .inspect_err(|_| {
                let _ = fs::remove_file(&path);
            })?;
        self.next += 1;
        Ok(Current {
            stamp,
            file,
            length: SEGMENT_HEADER as u64,
            traces: 0,
            last: 0,
        })
    }

    fn seal(&mut self) {
        if let Some(current) = self.current.take() {
            self.sealed.push_back(Sealed {
                number: current.stamp.number,
                bytes: current.length,
                traces: current.traces,
                last: current.last,
                requests: self.shared.newest.load(Acquire),
            });
        }
    }

    /// Removes files of which no trace is remembered any more, and of whose requests none can be read again.
    fn trim(&mut self) {
        let options = &self.shared.options;
        let remember = u64::try_from(options.remember.as_nanos()).unwrap_or(u64::MAX);
        let sealed: u64 = self.sealed.iter().map(|sealed| sealed.traces).sum();
        let mut newer = sealed + self.current.as_ref().map_or(0, |current| current.traces);
        while let Some(oldest) = self.sealed.front() {
            newer -= oldest.traces;
            let is_over = oldest.last.saturating_add(remember) <= self.shared.clock.now();
            let is_gone = self.shared.oldest.load(Acquire) > oldest.requests;
            if !is_gone || !is_over && newer < options.remember_traces {
                break;
            }
            let path = self.folder.file(Kind::Decided, oldest.number);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %path.display(), %error, "can't remove decided traces");
                break;
            }
            self.sealed.pop_front();
        }
        self.show();
    }

    fn show(&self) {
        let sealed: u64 = self.sealed.iter().map(|sealed| sealed.bytes).sum();
        let bytes = sealed + self.current.as_ref().map_or(0, |current| current.length);
        self.shared.decided_bytes.store(bytes, Relaxed);
    }
}

impl std::fmt::Debug for Decisions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decisions").finish_non_exhaustive()
    }
}
