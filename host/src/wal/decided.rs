//! What needs no verdict any more: ids of decided traces, written when their signals are.
//!
//! An id is written first and synced within a second; only then are the segments that its trace was held in let go. So a
//! crash of the process repeats nothing, and one of the machine repeats at most what was decided in the last second, whose
//! signals are known by their ids: with each goes the place in their file from where on those may stand whose traces are not
//! durably decided.
//!
//! A trace that its shard forgets for want of room is told as well. What comes of it later is another trace, and no shard would
//! know after a restart.

use std::collections::{HashMap, VecDeque};
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
use super::place::{FileId, PLACE_BYTES, Place};
use super::segment::Hold;

/// One file of decided traces, about: a hundred and sixty thousand.
const SEGMENT_BYTES: u64 = 4 << 20;

/// From the writing of an id to its sync: what is held until then is a second of traffic.
const SYNC: Duration = Duration::from_secs(1);

/// Traces of one record, so that its length is within bounds.
const RECORD_TRACES: usize = 65_536;

/// Decided traces that are kept beyond those that shards can remember. Traces are spread over shards by chance: one that has had
/// fewer than the others remembers longer. This is many times what chance makes of it.
const SPREAD_TRACES: u64 = 1 << 18;

/// As [`SPREAD_TRACES`], for more than so many traces: one of so many of them.
const SPREAD: u64 = 16;

/// What is told of a trace that was forgotten. What completes traces is told by small numbers.
const FORGOTTEN: u8 = u8::MAX;

/// What the log has to know of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub id: [u8; 16],
    pub what: Decided,
    /// No span of it is in a request that was logged later, but late ones.
    pub through: u64,
}

/// What became of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It was judged; by what completed it, as a number.
    By(u8),
    /// It was judged before, and its shard does not remember it any more: what is logged later is of another trace.
    Forgotten,
}

/// Traces of which a shard's signals were sent, and what it does not need once they are decided.
#[derive(Debug, Default)]
pub struct Judged {
    /// When they were judged, by the log's clock.
    pub at: u64,
    pub traces: Vec<Decision>,
    pub holds: Vec<Hold>,
}

/// By file of signals, the place that was noted last.
pub(super) type Places = HashMap<FileId, u64>;

impl Decision {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.id);
        bytes.push(match self.what {
            Decided::By(completion) => completion,
            Decided::Forgotten => FORGOTTEN,
        });
        bytes.extend_from_slice(&self.through.to_le_bytes());
    }

    pub(super) fn read(bytes: &[u8; DECIDED_BYTES]) -> Decision {
        let id = bytes.first_chunk().copied().unwrap_or_default();
        let through = bytes.last_chunk().copied().unwrap_or_default();
        Decision {
            id,
            what: match bytes[16] {
                FORGOTTEN => Decided::Forgotten,
                completion => Decided::By(completion),
            },
            through: u64::from_le_bytes(through),
        }
    }

    fn is_judged(&self) -> bool {
        self.what != Decided::Forgotten
    }
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
    /// From before the start.
    places: Places,
    /// Where signals may stand whose traces are not durably decided, and behind it.
    place: Option<Place>,
    /// The newest segment of requests that was there at the start; 0 where there was none.
    past: u64,
    /// Written and not synced, with when they were judged, and what is let go after that.
    unsynced: Vec<(u64, Vec<Decision>)>,
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
    /// Once none of its traces is remembered: the last segment that can hold spans of them. Late ones come until then.
    pub(super) needed: Option<u64>,
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
        places: Places,
    ) -> Decisions {
        let next = sealed.back().map_or(1, |newest| newest.number + 1);
        let decisions = Decisions {
            past: shared.newest.load(Acquire),
            folder,
            disk,
            shared,
            sealed,
            current: None,
            next,
            places,
            place: None,
            unsynced: Vec::new(),
            held: Vec::new(),
            since: None,
            is_in_doubt: false,
        };
        decisions.show();
        decisions
    }

    /// From where on signals can be in this file whose traces were not durably decided before the start; none where that was not
    /// noted.
    pub fn place(&self, file: FileId) -> Option<u64> {
        self.places.get(&file).copied()
    }

    /// Notes with all that is written from now on that no signal before this place is of a trace that is not durably decided.
    pub fn note(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Writes the place that was noted, durably. Whoever does so before its first signal finds all of them again.
    pub fn write_place(&mut self) -> io::Result<()> {
        let written = self.write(0, &[]);
        written.and_then(|()| self.sync())
    }

    /// Whether all that was written is durable.
    pub fn is_synced(&self) -> bool {
        self.since.is_none()
    }

    /// Whether every request from before the start is gone, so that no trace of then can be judged again.
    pub fn is_past_gone(&self) -> bool {
        self.past == 0 || self.shared.oldest.load(Acquire) > self.past
    }

    /// Writes what is in `judged`, and takes it out as it is written. After an error what is left in it can be tried again.
    pub fn settle(&mut self, judged: &mut Vec<Judged>) -> io::Result<()> {
        for judged in judged.iter_mut() {
            while !judged.traces.is_empty() {
                let some = RECORD_TRACES.min(judged.traces.len());
                let record = judged.traces.get(..some).unwrap_or_default();
                self.write(judged.at, record)?;
                let written = judged.traces.drain(..some).collect();
                self.unsynced.push((judged.at, written));
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
        let mut records = again.iter();
        let written = records.try_for_each(|(at, record)| self.append(*at, record));
        self.unsynced = again;
        self.is_in_doubt = written.is_err();
        written
    }

    fn write(&mut self, at: u64, traces: &[Decision]) -> io::Result<()> {
        let written = self.append(at, traces);
        if written.is_err() {
            add(&self.shared.counters.decided_failures, 1);
        } else {
            let judged = traces.iter().filter(|trace| trace.is_judged());
            add(&self.shared.counters.decided, judged.count() as u64);
        }
        self.show();
        written
    }

    fn append(&mut self, at: u64, traces: &[Decision]) -> io::Result<()> {
        let length = RECORD_HEADER + PLACE_BYTES + traces.len() * DECIDED_BYTES;
        let is_full = |current: &Current| {
            current.length > SEGMENT_HEADER as u64 && current.length + length as u64 > SEGMENT_BYTES
        };
        if self.current.as_ref().is_some_and(is_full) {
            // Nobody syncs it later.
            match &mut self.current {
                // What is in doubt is let go of when all of it is written again, and not with a part.
                Some(current) if self.is_in_doubt => current.file.sync()?,
                _ => self.sync()?,
            }
            self.seal();
        }
        if self.current.is_none() {
            self.current = Some(self.begin()?);
        }
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let mut body = Vec::with_capacity(length - RECORD_HEADER);
        body.extend_from_slice(&Place::bytes(self.place));
        for trace in traces {
            trace.write(&mut body);
        }
        let crc = crc32fast::hash(&body);
        let header = current
            .stamp
            .record_header(current.length, at, body.len() as u32, crc);
        let slices = &mut [IoSlice::new(&header), IoSlice::new(&body)];
        if let Err(error) = write_all(&mut *current.file, slices) {
            if current.file.cut(current.length).is_err() {
                self.seal();
                // Nobody syncs what it holds.
                self.is_in_doubt = true;
            }
            return Err(error);
        }
        current.length += length as u64;
        current.traces += traces.iter().filter(|trace| trace.is_judged()).count() as u64;
        current.last = current.last.max(at);
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
                needed: None,
            });
        }
    }

    /// Removes files of which no trace is remembered any more, and of whose requests, late ones too, none can be read again.
    fn trim(&mut self) {
        self.forget();
        let oldest = self.shared.oldest.load(Acquire);
        let is_free = |sealed: &&Sealed| sealed.needed.is_some_and(|needed| needed < oldest);
        let mut is_removed = false;
        while let Some(sealed) = self.sealed.front().filter(is_free) {
            let path = self.folder.file(Kind::Decided, sealed.number);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %path.display(), %error, "can't remove decided traces");
                break;
            }
            self.sealed.pop_front();
            is_removed = true;
        }
        if is_removed && let Err(error) = self.folder.sync() {
            tracing::warn!(%error, "can't sync the folder of the write-ahead log");
        }
        self.show();
    }

    /// Notes of which files no trace is remembered from now on. Each at once, as all of them wait for the same requests.
    fn forget(&mut self) {
        let options = &self.shared.options;
        let remember = u64::try_from(options.remember.as_nanos()).unwrap_or(u64::MAX);
        let spread = SPREAD_TRACES.max(options.remember_traces / SPREAD);
        let most = options.remember_traces.saturating_add(spread);
        let (now, newest) = (self.shared.clock.now(), self.shared.newest.load(Acquire));
        let sealed: u64 = self.sealed.iter().map(|sealed| sealed.traces).sum();
        let mut newer = sealed + self.current.as_ref().map_or(0, |current| current.traces);
        for sealed in &mut self.sealed {
            newer -= sealed.traces;
            let is_over = sealed.last.saturating_add(remember) <= now;
            if !is_over && newer < most {
                break;
            }
            sealed.needed.get_or_insert(newest);
        }
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
