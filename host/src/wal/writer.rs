//! The thread that writes requests: all that wait are one group, written together and synced once.
//!
//! ```text
//! Log::append -> group -> write -> fdatasync -> each is answered with a hold on its segment
//!                           `-> a segment that is full is sealed; sealed ones go, oldest first, once nobody holds them
//! ```
//! What could not be written or synced is cut off again and refused; the next group is a new try. After a failed sync nobody
//! knows what the disk has, so that file is not written to again. Where it can't be cut either, that is tried until it can:
//! what is left in it was refused, and must not come back as if it had been taken.

use std::any::Any;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::oneshot;

use super::counters::add;
use super::disk::{Disk, Medium, write_all};
use super::folder::Folder;
use super::format::{Kind, RECORD_HEADER, SEGMENT_HEADER, Stamp};
use super::segment::{Logged, Segment};
use super::{LogError, Shared};

/// Bytes of one group, about: what a disk takes in some ten milliseconds, so that nobody waits long for others.
const GROUP_BYTES: usize = 16 << 20;

/// How often it is looked whether sealed segments are still needed, while there are any.
const CHORES: Duration = Duration::from_millis(100);

/// Files kept to be used again: writing where a file has room already takes half the processor time. One is taken while
/// another becomes free.
const SPARES: usize = 2;

/// From the oldest segment to the newest: traces know their segment by the low byte of its number.
pub(super) const MOST_SEGMENTS: u64 = 250;

/// A request on its way into the log.
pub(super) struct Entry {
    pub(super) bytes: Bytes,
    pub(super) crc: u32,
    pub(super) answer: oneshot::Sender<Result<Logged, LogError>>,
    /// What stands for its memory, wherever its sender has gone.
    pub(super) _charge: Arc<dyn Any + Send + Sync>,
}

impl Entry {
    /// Of its bytes, as a record has it; none where no record can.
    fn length(&self) -> Option<u32> {
        u32::try_from(self.bytes.len()).ok()
    }
}

/// A segment that nothing is added to any more.
pub(super) struct Sealed {
    pub(super) segment: Arc<Segment>,
    /// Of its file.
    pub(super) bytes: u64,
}

/// The segment that is written.
pub(super) struct Current {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Box<dyn Medium>,
    pub(super) stamp: Stamp,
    /// Bytes that are durable; nothing is behind them between groups.
    pub(super) length: u64,
    /// Of the file, which may have been longer when it was another segment's.
    pub(super) bytes: u64,
}

/// A sealed segment with requests behind its end that were refused.
pub(super) struct Uncut {
    number: u64,
    file: Box<dyn Medium>,
    length: u64,
}

pub(super) struct Writer {
    pub(super) folder: Arc<Folder>,
    pub(super) disk: Box<dyn Disk>,
    pub(super) shared: Arc<Shared>,
    pub(super) incoming: Receiver<Entry>,
    /// Oldest first.
    pub(super) sealed: VecDeque<Sealed>,
    pub(super) current: Option<Current>,
    pub(super) uncut: Vec<Uncut>,
    pub(super) spares: Vec<(PathBuf, u64)>,
    /// The number of the next segment.
    pub(super) next: u64,
    /// One for each shard: wakes it to let old segments go.
    pub(super) wakes: Vec<Sender<()>>,
    /// The last group could not be written, which has been said.
    pub(super) is_failing: bool,
}

impl Writer {
    /// Until nobody can append any more.
    pub(super) fn run(mut self) {
        loop {
            self.tidy();
            let first = if self.sealed.is_empty() {
                self.incoming
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.incoming.recv_timeout(CHORES)
            };
            match first {
                Ok(first) => {
                    let group = self.group(first);
                    self.commit(group);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.tidy();
    }

    fn group(&self, first: Entry) -> Vec<Entry> {
        let mut bytes = first.bytes.len();
        let mut group = vec![first];
        while bytes < GROUP_BYTES
            && let Ok(entry) = self.incoming.try_recv()
        {
            bytes += entry.bytes.len();
            group.push(entry);
        }
        group
    }

    /// Writes a group, in as many segments as it takes.
    pub(super) fn commit(&mut self, group: Vec<Entry>) {
        let mut run = Vec::new();
        let mut bytes = 0;
        for entry in group {
            // Who has gone away while it waited was told nothing.
            if entry.answer.is_closed() {
                continue;
            }
            let length = (RECORD_HEADER + entry.bytes.len()) as u64;
            let limit = self.shared.options.bytes;
            if length + SEGMENT_HEADER as u64 > limit || entry.length().is_none() {
                let _ = entry.answer.send(Err(LogError::TooLarge { length, limit }));
                continue;
            }
            if self.is_full(bytes, length) {
                self.flush(std::mem::take(&mut run));
                bytes = 0;
                self.seal();
            }
            if !self.has_room(bytes + length) {
                add(&self.shared.counters.full, 1);
                let _ = entry.answer.send(Err(LogError::Full { limit }));
                continue;
            }
            run.push(entry);
            bytes += length;
        }
        self.flush(run);
    }

    /// Lets go what nobody needs, and asks shards to let go of more where the log is nearly at its bound.
    pub(super) fn tidy(&mut self) {
        self.trim();
        self.cut();
        self.press();
        self.show();
    }

    /// Writes records into one segment, syncs it and answers.
    fn flush(&mut self, run: Vec<Entry>) {
        if run.is_empty() {
            return;
        }
        match self.write(&run) {
            Ok((segment, first)) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::warn!("the write-ahead log can be written again");
                }
                add(&self.shared.counters.requests, run.len() as u64);
                for (time, entry) in (first..).zip(run) {
                    // Who has gone away meanwhile was told nothing, so it needs nothing: a dropped answer lets go.
                    let _ = entry.answer.send(Ok(Logged::new(&segment, time)));
                }
            }
            Err(error) => {
                add(&self.shared.counters.failures, 1);
                // A disk that is full can have these.
                for (spare, _) in self.spares.drain(..) {
                    let _ = fs::remove_file(spare);
                }
                if !std::mem::replace(&mut self.is_failing, true) {
                    let folder = self.folder.path().display();
                    tracing::error!(%folder, %error, "can't write the write-ahead log: requests are refused until it can be");
                }
                for entry in run {
                    let reason = error.to_string();
                    let _ = entry.answer.send(Err(LogError::Write { reason }));
                }
            }
        }
    }

    /// Returns the time of the first; those of the others follow it.
    fn write(&mut self, run: &[Entry]) -> io::Result<(Arc<Segment>, u64)> {
        let mut current = match self.current.take() {
            Some(current) => current,
            // Beyond, traces could not tell their segments apart.
            None if self.next - self.oldest() >= MOST_SEGMENTS => {
                return Err(io::Error::other(format!(
                    "{MOST_SEGMENTS} segments wait for open traces"
                )));
            }
            None => self.begin()?,
        };
        let first = self.shared.clock.next(run.len() as u64);
        let mut offset = current.length;
        let headers: Vec<[u8; RECORD_HEADER]> = (first..)
            .zip(run)
            .map(|(time, entry)| {
                let length = entry.length().unwrap_or_default();
                let at = offset;
                offset += (RECORD_HEADER + entry.bytes.len()) as u64;
                current.stamp.record_header(at, time, length, entry.crc)
            })
            .collect();
        let mut slices: Vec<IoSlice<'_>> = headers
            .iter()
            .zip(run)
            .flat_map(|(header, entry)| [IoSlice::new(header), IoSlice::new(&entry.bytes)])
            .collect();
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        if let Err(error) = write_all(&mut *current.file, &mut slices) {
            if current.file.cut(current.length).is_ok() {
                current.bytes = current.length;
                self.current = Some(current);
            } else {
                self.give_up(current, bytes as u64);
            }
            return Err(error);
        }
        let started = Instant::now();
        if let Err(error) = current.file.sync() {
            self.give_up(current, bytes as u64);
            return Err(error);
        }
        let counters = &self.shared.counters;
        add(&counters.syncs, 1);
        let took = started.elapsed().as_nanos();
        add(
            &counters.sync_nanoseconds,
            u64::try_from(took).unwrap_or(u64::MAX),
        );
        add(&counters.written, bytes as u64);
        current.length += bytes as u64;
        current.bytes = current.bytes.max(current.length);
        let segment = Arc::clone(&current.segment);
        self.current = Some(current);
        Ok((segment, first))
    }

    /// A new segment. Where that fails, its number is the next one's.
    fn begin(&mut self) -> io::Result<Current> {
        let number = self.next;
        let path = self.folder.file(Kind::Requests, number);
        let spare = self.spares.pop();
        let stamp = Stamp::draw(Kind::Requests, number, spare.is_some());
        let made = self
            .disk
            .create(
                &path,
                spare.as_ref().map(|(path, _)| path.as_path()),
                &stamp.segment_header(),
            )
            .and_then(|file| self.folder.sync().map(|()| file));
        let file = match made {
            Ok(file) => file,
            Err(error) => {
                if let Some((spare, _)) = &spare {
                    let _ = fs::remove_file(spare);
                }
                let _ = fs::remove_file(&path);
                return Err(error);
            }
        };
        self.next += 1;
        self.shared.newest.store(number, Release);
        let length = SEGMENT_HEADER as u64;
        Ok(Current {
            segment: Segment::new(number),
            file,
            stamp,
            length,
            bytes: spare.map_or(0, |(_, bytes)| bytes).max(length),
        })
    }

    /// Whether so many bytes more are within the bound, if need be without spare files.
    fn has_room(&mut self, bytes: u64) -> bool {
        let grows = match &self.current {
            Some(current) => (current.length + bytes).saturating_sub(current.bytes),
            None => SEGMENT_HEADER as u64 + bytes,
        };
        while self.bytes() + grows > self.shared.options.bytes {
            let Some((spare, _)) = self.spares.pop() else {
                return false;
            };
            let _ = fs::remove_file(spare);
        }
        true
    }

    /// Whether a record belongs into the next segment, when so many bytes wait to be written into this one.
    fn is_full(&self, waiting: u64, length: u64) -> bool {
        let header = SEGMENT_HEADER as u64;
        let filled = self.current.as_ref().map_or(header, |c| c.length) + waiting;
        filled > header
            && filled + length > self.shared.options.segment_bytes
            && self.next - self.oldest() < MOST_SEGMENTS
    }

    fn seal(&mut self) {
        if let Some(mut current) = self.current.take() {
            // Without what the file held before, damage to its last record can be told from its end.
            if current.file.cut(current.length).is_ok() {
                current.bytes = current.length;
            }
            self.retire(current);
        }
    }

    /// Leaves a segment behind whose last requests, of so many bytes, were refused.
    fn give_up(&mut self, mut current: Current, refused: u64) {
        let number = current.segment.number;
        if current.length == SEGMENT_HEADER as u64 {
            // Nothing in it was acknowledged. It is as if it had never been, or a disk that is broken for long would bring the
            // log to as many segments as there can be.
            let path = self.folder.file(Kind::Requests, number);
            if fs::remove_file(path).is_ok() {
                self.next = number;
                return;
            }
        }
        current.bytes = current.bytes.max(current.length + refused);
        self.uncut.push(Uncut {
            number,
            file: current.file,
            length: current.length,
        });
        self.sealed.push_back(Sealed {
            segment: current.segment,
            bytes: current.bytes,
        });
        self.cut();
    }

    /// Cuts off what was refused, and durably so, where that could not be done until now.
    fn cut(&mut self) {
        let sealed = &mut self.sealed;
        self.uncut.retain_mut(|uncut| {
            // Where it was trimmed there is nothing left to cut.
            let Ok(at) = sealed.binary_search_by_key(&uncut.number, |s| s.segment.number) else {
                return false;
            };
            let cut = uncut.file.cut(uncut.length);
            if cut.and_then(|()| uncut.file.sync()).is_err() {
                return true;
            }
            if let Some(sealed) = sealed.get_mut(at) {
                sealed.bytes = uncut.length;
            }
            false
        });
        let left = self.uncut.len() as u64;
        self.shared.counters.uncut.store(left, Relaxed);
    }

    fn retire(&mut self, current: Current) {
        self.sealed.push_back(Sealed {
            segment: current.segment,
            bytes: current.bytes,
        });
    }

    /// Removes sealed segments from the oldest on, up to one that somebody holds.
    fn trim(&mut self) {
        let mut gone = 0;
        while let Some(oldest) = self.sealed.front().filter(|s| !s.segment.is_held()) {
            let number = oldest.segment.number;
            let path = self.folder.file(Kind::Requests, number);
            let removed = if self.spares.len() < SPARES {
                let spare = self.folder.spare(number);
                let renamed = fs::rename(&path, &spare);
                renamed.map(|()| self.spares.push((spare, oldest.bytes)))
            } else {
                fs::remove_file(&path)
            };
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %path.display(), %error, "can't remove a segment of the write-ahead log");
                break;
            }
            self.sealed.pop_front();
            gone += 1;
        }
        if gone == 0 {
            return;
        }
        add(&self.shared.counters.trimmed, gone);
        // Before anybody relies on it: see `Shared::oldest`.
        match self.folder.sync() {
            Ok(()) => self.shared.oldest.store(self.oldest(), Release),
            Err(error) => {
                tracing::warn!(%error, "can't sync the folder of the write-ahead log");
                // After a crash they may have their old names, under which nothing else must be written.
                for (spare, _) in self.spares.drain(..) {
                    let _ = fs::remove_file(spare);
                }
            }
        }
    }

    /// Near the bound, asks for the oldest segments: by what is above three quarters of it, from seven eighths on.
    fn press(&mut self) {
        let limit = self.shared.options.bytes;
        let mut bytes = self.bytes();
        if bytes <= limit / 8 * 7 {
            return;
        }
        let mut below = 0;
        for sealed in &self.sealed {
            if bytes <= limit / 4 * 3 {
                break;
            }
            bytes -= sealed.bytes;
            below = sealed.segment.number + 1;
        }
        self.shared.evict_below.fetch_max(below, Relaxed);
        for wake in &self.wakes {
            // Full: it is awake. Closed: it holds nothing any more.
            let _ = wake.try_send(());
        }
    }

    /// The oldest segment that is there.
    fn oldest(&self) -> u64 {
        let current = self.current.as_ref().map(|current| &current.segment);
        let oldest = self.sealed.front().map(|sealed| &sealed.segment);
        oldest
            .or(current)
            .map_or(self.next, |segment| segment.number)
    }

    /// Of all files that hold requests, or did.
    fn bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|sealed| sealed.bytes).sum();
        let spares: u64 = self.spares.iter().map(|(_, bytes)| bytes).sum();
        sealed + spares + self.current.as_ref().map_or(0, |current| current.bytes)
    }

    fn show(&self) {
        let counters = &self.shared.counters;
        let decided = self.shared.decided_bytes.load(Relaxed);
        counters.bytes.store(self.bytes() + decided, Relaxed);
        let segments = self.sealed.len() + usize::from(self.current.is_some());
        counters.segments.store(segments as u64, Relaxed);
    }
}
