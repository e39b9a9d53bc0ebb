//! Reading a log back at the start: which traces were decided, and the requests of those that were not.
//!
//! A span is not needed again when its trace was decided after it was logged, or so shortly before that the span was late: that
//! is, when it was logged before its trace was forgotten. A span that came later began a new trace. Traces are forgotten after a
//! time, which need not be told, or for want of room, which is.

use std::collections::VecDeque;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use hashbrown::HashMap;

use super::counters::{Counters, add};
use super::decided::{Decided, Decision, Decisions, Places, Sealed as SealedDecided};
use super::disk::{Disk, Files};
use super::folder::{Entry, Folder};
use super::format::{Found, HeaderError, Kind, Records, SEGMENT_HEADER, Stamp};
use super::place::{PLACE_BYTES, Place};
use super::segment::{Hold, Logged, Segment};
use super::writer::{Current, Entry as Incoming, MOST_SEGMENTS, Sealed, Writer};
use super::{Clock, Keeper, Log, OpenError, Options, Pressure, Shared};
use crate::alarm::Alarm;

/// A log that was found, and is this process' from now on.
pub struct Opened {
    folder: Arc<Folder>,
    shared: Arc<Shared>,
    /// Segments of requests, oldest first.
    requests: Vec<Old>,
    decided: HashMap<[u8; 16], Past, foldhash::fast::RandomState>,
    sealed_decided: VecDeque<SealedDecided>,
    /// By file of signals, the latest place that was noted.
    places: Places,
}

/// A segment of requests from before the start. It is held until all of it was read.
struct Old {
    entry: Entry,
    logged: Logged,
    segment: Arc<Segment>,
    /// Where it ends, if it can be written on.
    end: Option<End>,
}

/// Where a segment can be written on.
#[derive(Clone, Copy, Debug)]
struct End {
    offset: u64,
    stamp: Stamp,
}

/// A decision from before the start.
#[derive(Clone, Copy, Debug)]
struct Past {
    time: u64,
    completion: u8,
    /// What was logged until then is decided, or was late.
    through: u64,
    /// What was logged later is of another trace.
    is_forgotten: bool,
}

/// A decided trace that is still remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub id: [u8; 16],
    /// What completed it, as a number.
    pub completion: u8,
    /// How long ago it was decided.
    pub ago: Duration,
}

/// A request as it was logged.
pub struct Record<'a> {
    /// Its bytes, within those of its segment.
    pub bytes: Bytes,
    time: u64,
    opened: &'a Opened,
    logged: &'a Logged,
}

impl Record<'_> {
    /// Whether spans of this trace that came with this request need no verdict any more.
    pub fn is_decided(&self, id: &[u8; 16]) -> bool {
        let remember = self.opened.shared.options.remember.as_nanos();
        let remember = u64::try_from(remember).unwrap_or(u64::MAX);
        let past = self.opened.decided.get(id);
        past.is_some_and(|past| {
            let was_late = !past.is_forgotten && self.time < past.time.saturating_add(remember);
            self.time <= past.through || was_late
        })
    }

    /// Holds its segment, for whoever takes a part of it.
    pub fn hold(&self) -> Hold {
        self.logged.hold_at(self.time)
    }

    /// Counts it as damaged: what is in it is no request, though its checksum is right.
    pub fn is_damaged(&self) {
        damaged(&self.opened.shared.counters, self.bytes.len());
    }

    /// Counts that so many of its spans came back.
    pub fn came_back(&self, spans: u64) {
        add(&self.opened.shared.counters.replayed_requests, 1);
        add(&self.opened.shared.counters.replayed_spans, spans);
    }
}

impl Opened {
    /// Takes the log in this folder, which is made where it is not there, and reads which traces were decided.
    pub fn open(path: &Path, options: Options) -> Result<Opened, OpenError> {
        let folder = Arc::new(Folder::open(path)?);
        let failed = |source| OpenError::Folder {
            path: path.to_owned(),
            source,
        };
        let shared = Arc::new(Shared {
            options,
            clock: Clock::start(),
            counters: Arc::default(),
            alarm: Alarm::default(),
            evict_below: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            decided_bytes: AtomicU64::new(0),
        });
        let entries = folder.segments(Kind::Requests).map_err(failed)?;
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let (first, last) = (first.number, last.number);
            if last - first > MOST_SEGMENTS {
                let path = path.to_owned();
                return Err(OpenError::TooMany { path, first, last });
            }
            shared.oldest.store(first, Release);
            shared.newest.store(last, Release);
        }
        let mut opened = Opened {
            requests: entries.into_iter().map(Old::new).collect(),
            decided: HashMap::default(),
            sealed_decided: VecDeque::new(),
            places: Places::default(),
            folder,
            shared,
        };
        for entry in opened.folder.segments(Kind::Decided).map_err(failed)? {
            opened.read_decided(&entry)?;
        }
        // A version that can't be read is told before anything is begun.
        for old in &opened.requests {
            check_version(&old.entry, Kind::Requests)?;
        }
        opened.shared.counters.replaying.store(true, Relaxed);
        Ok(opened)
    }

    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Rung when the thread that writes it ends by a panic.
    pub fn alarm(&self) -> Alarm {
        self.shared.alarm.clone()
    }

    pub fn pressure(&self) -> Pressure {
        Pressure(Arc::clone(&self.shared))
    }

    /// What writes decided traces from now on.
    pub fn decisions(&mut self) -> Decisions {
        self.decisions_on(Box::new(Files))
    }

    pub(super) fn decisions_on(&mut self, disk: Box<dyn Disk>) -> Decisions {
        Decisions::new(
            Arc::clone(&self.folder),
            disk,
            Arc::clone(&self.shared),
            std::mem::take(&mut self.sealed_decided),
            std::mem::take(&mut self.places),
        )
    }

    /// Decided traces that are not forgotten yet, those that were decided first first. A shard that has no room for them all says
    /// which it forgets.
    pub fn remembered(&self) -> Vec<Remembered> {
        let options = &self.shared.options;
        let now = self.shared.clock.now();
        let past = self.decided.iter().filter(|(_, past)| !past.is_forgotten);
        let mut remembered: Vec<Remembered> = past
            .map(|(&id, past)| Remembered {
                id,
                completion: past.completion,
                ago: Duration::from_nanos(now.saturating_sub(past.time)),
            })
            .filter(|past| past.ago < options.remember)
            .collect();
        remembered.sort_unstable_by(|a, b| b.ago.cmp(&a.ago).then(a.id.cmp(&b.id)));
        remembered
    }

    /// Reads all requests in the order in which they were logged. What is damaged is told, counted and passed over.
    pub fn replay(&mut self, mut take: impl FnMut(&Record<'_>)) -> Result<(), OpenError> {
        let numbers = self.requests.iter().map(|old| old.entry.number);
        for (before, next) in numbers.clone().zip(numbers.skip(1)) {
            if next - before > 1 {
                let folder = self.folder.path().display();
                tracing::error!(%folder, after = before, before = next, "segments of the write-ahead log are missing: what was in them is lost");
                damaged(&self.shared.counters, 0);
            }
        }
        for index in 0..self.requests.len() {
            let end = match self.requests.get(index) {
                Some(old) => self.replay_one(old, &mut take)?,
                None => None,
            };
            if let Some(old) = self.requests.get_mut(index) {
                old.end = end;
            }
        }
        Ok(())
    }

    /// Counts how many traces are open after the replay, which is over with this.
    pub fn came_back(&self, traces: u64) {
        add(&self.shared.counters.replayed_traces, traces);
        self.shared.counters.replaying.store(false, Relaxed);
    }

    /// Starts to write. `wakes`, one for each shard, wake it to look at the [`Pressure`].
    pub fn start(self, wakes: Vec<Sender<()>>) -> Result<(Log, Keeper), OpenError> {
        self.start_on(Box::new(Files), wakes)
    }

    pub(super) fn start_on(
        self,
        disk: Box<dyn Disk>,
        wakes: Vec<Sender<()>>,
    ) -> Result<(Log, Keeper), OpenError> {
        let (entries, incoming) = unbounded();
        let alarm = self.alarm();
        let writer = self.writer(incoming, wakes, disk);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                let _watch = alarm.watch();
                writer.run();
            })
            .map_err(|source| OpenError::Thread { source })?;
        Ok((Log { entries }, Keeper { thread }))
    }

    /// Goes on where the last segment ends, if it is well.
    pub(super) fn writer(
        self,
        incoming: Receiver<Incoming>,
        wakes: Vec<Sender<()>>,
        mut disk: Box<dyn Disk>,
    ) -> Writer {
        let next = self.requests.last().map_or(1, |last| last.entry.number + 1);
        let mut olds = self.requests;
        let current = olds.last().and_then(|last| last.reopen(&mut *disk));
        if current.is_some() {
            olds.pop();
        }
        let sealed = olds.into_iter().map(|old| Sealed {
            segment: old.segment,
            bytes: old.entry.bytes,
        });
        Writer {
            folder: self.folder,
            disk,
            shared: self.shared,
            incoming,
            sealed: sealed.collect(),
            current,
            uncut: Vec::new(),
            spares: Vec::new(),
            next,
            wakes,
            is_failing: false,
        }
    }

    fn read_decided(&mut self, entry: &Entry) -> Result<(), OpenError> {
        check_version(entry, Kind::Decided)?;
        let bytes = read(entry)?;
        let mut sealed = SealedDecided {
            number: entry.number,
            bytes: entry.bytes,
            traces: 0,
            last: 0,
            needed: None,
        };
        let stamp = self.stamp(entry, Kind::Decided, &bytes).0;
        for found in stamp.iter().flat_map(|&stamp| Records::new(&bytes, stamp)) {
            let Found::Record { time, body } = found else {
                self.tell(entry, found, bytes.len());
                continue;
            };
            self.shared.clock.was(time);
            sealed.last = sealed.last.max(time);
            let Some((place, traces)) = body.split_first_chunk::<PLACE_BYTES>() else {
                continue;
            };
            if let Some(Place { file, offset }) = Place::read(place) {
                self.places.insert(file, offset);
            }
            for decision in traces.as_chunks().0.iter().map(Decision::read) {
                sealed.traces += u64::from(decision.what != Decided::Forgotten);
                self.enter(time, decision);
            }
        }
        self.sealed_decided.push_back(sealed);
        Ok(())
    }

    /// Takes up what was written of a trace at this time. It may have been written twice, where a sync failed.
    fn enter(&mut self, time: u64, decision: Decision) {
        let Decision { id, what, through } = decision;
        let known = self.decided.get(&id);
        // What is older than what is known is of an earlier trace of its id.
        if known.is_some_and(|known| known.through > through) {
            return;
        }
        match what {
            Decided::By(completion) => {
                let past = Past {
                    time,
                    completion,
                    through,
                    is_forgotten: false,
                };
                self.decided.insert(id, past);
            }
            Decided::Forgotten => {
                if let Some(past) = self.decided.get_mut(&id) {
                    past.through = through;
                    past.is_forgotten = true;
                }
            }
        }
    }

    /// Returns where the segment ends, if it can be written on.
    fn replay_one(
        &self,
        old: &Old,
        take: &mut impl FnMut(&Record<'_>),
    ) -> Result<Option<End>, OpenError> {
        let entry = &old.entry;
        let bytes = Bytes::from(read(entry)?);
        let (Some(stamp), mut is_well) = self.stamp(entry, Kind::Requests, &bytes) else {
            return Ok(None);
        };
        let mut end = None;
        for found in Records::new(&bytes, stamp) {
            match found {
                Found::Record { time, body } => {
                    self.shared.clock.was(time);
                    take(&Record {
                        bytes: bytes.slice_ref(body),
                        time,
                        opened: self,
                        logged: &old.logged,
                    });
                }
                Found::Damaged { .. } => {
                    is_well = false;
                    self.tell(entry, found, bytes.len());
                }
                Found::End { offset, .. } => {
                    self.tell(entry, found, bytes.len());
                    let offset = offset as u64;
                    end = is_well.then_some(End { offset, stamp });
                }
            }
        }
        Ok(end)
    }

    /// What a file's records are known by, if anything, and whether its header says so.
    fn stamp(&self, entry: &Entry, kind: Kind, bytes: &[u8]) -> (Option<Stamp>, bool) {
        if bytes.len() < SEGMENT_HEADER {
            // Nothing was acknowledged in it: the crash came while it was made.
            return (None, false);
        }
        if let Ok(stamp) = Stamp::read(bytes, kind, entry.number) {
            return (Some(stamp), true);
        }
        let file = entry.path.display();
        let guessed = Stamp::guess(bytes, kind, entry.number);
        if guessed.is_some() {
            tracing::error!(%file, offset = 0, "the header of a segment of the write-ahead log is damaged: its records are read all the same");
            damaged(&self.shared.counters, SEGMENT_HEADER);
        } else {
            tracing::error!(%file, offset = 0, length = bytes.len(), "the header of a segment of the write-ahead log is damaged, and no record in it can be told from what was sent: all of it is lost");
            damaged(&self.shared.counters, bytes.len());
        }
        (guessed, false)
    }

    fn tell(&self, entry: &Entry, found: Found<'_>, bytes: usize) {
        let file = entry.path.display();
        match found {
            Found::Damaged { offset, length } => {
                tracing::error!(%file, offset, length, "a part of the write-ahead log is damaged: what was in it is lost, what is behind it is read");
                damaged(&self.shared.counters, length);
            }
            Found::End { offset, torn: true } => {
                let cut = bytes - offset;
                tracing::warn!(%file, offset, bytes = cut, "the last record of a segment of the write-ahead log was torn, and is cut off");
                add(&self.shared.counters.cut_bytes, cut as u64);
            }
            Found::Record { .. } | Found::End { .. } => {}
        }
    }
}

impl Old {
    fn new(entry: Entry) -> Old {
        let segment = Segment::new(entry.number);
        Old {
            entry,
            logged: Logged::new(&segment, 0),
            segment,
            end: None,
        }
    }

    /// Cuts what is behind its end, and goes on there.
    fn reopen(&self, disk: &mut dyn Disk) -> Option<Current> {
        let End { offset, stamp } = self.end?;
        Some(Current {
            segment: Arc::clone(&self.segment),
            // Where that fails the next segment does as well.
            file: disk.reopen(&self.entry.path, offset).ok()?,
            stamp,
            length: offset,
            bytes: offset,
        })
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("folder", &self.folder.path())
            .finish_non_exhaustive()
    }
}

fn damaged(counters: &Counters, bytes: usize) {
    add(&counters.damaged, 1);
    add(&counters.damaged_bytes, bytes as u64);
}

fn read(entry: &Entry) -> Result<Vec<u8>, OpenError> {
    fs::read(&entry.path).map_err(|source| OpenError::Read {
        path: entry.path.clone(),
        source,
    })
}

fn check_version(entry: &Entry, kind: Kind) -> Result<(), OpenError> {
    let path = || entry.path.clone();
    let failed = |source| OpenError::Read {
        path: path(),
        source,
    };
    let file = fs::File::open(&entry.path).map_err(failed)?;
    let mut header = Vec::new();
    file.take(SEGMENT_HEADER as u64)
        .read_to_end(&mut header)
        .map_err(failed)?;
    match Stamp::read(&header, kind, entry.number) {
        Err(HeaderError::Version(version)) => Err(OpenError::Version {
            path: path(),
            version,
        }),
        _ => Ok(()),
    }
}
