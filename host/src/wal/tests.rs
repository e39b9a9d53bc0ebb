//! The log as a whole, on disks that work and on disks that don't.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::unbounded;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::decided::{Decided, Decision, Decisions, Judged};
use super::disk::{Disk, Files, Medium};
use super::format::{Kind, SEGMENT_HEADER, Stamp};
use super::place::{FileId, Place};
use super::recover::Opened;
use super::segment::{Hold, Logged};
use super::writer::{Entry, MOST_SEGMENTS, Writer};
use super::{LogError, OpenError, Options};

const REMEMBER: Duration = Duration::from_secs(3_600);

/// A log of segments of 1 KiB.
fn small() -> Options {
    Options {
        segment_bytes: 1 << 10,
        ..Options::new(64 << 10, REMEMBER, 1_000)
    }
}

/// Files that fail when they are told to.
#[derive(Clone, Debug, Default)]
struct Bad(Arc<Mutex<Faults>>);

#[derive(Debug, Default)]
struct Faults {
    /// Bytes that can still be written.
    room: Option<usize>,
    create: bool,
    sync: bool,
    cut: bool,
    /// Syncs that succeed before one fails.
    syncs: Option<u32>,
}

struct BadFile {
    file: Box<dyn Medium>,
    bad: Bad,
}

impl Bad {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().expect("no test panics while it has it")
    }
}

fn failed(is: bool) -> io::Result<()> {
    match is {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

impl Disk for Bad {
    fn create(
        &mut self,
        path: &Path,
        spare: Option<&Path>,
        header: &[u8],
    ) -> io::Result<Box<dyn Medium>> {
        failed(self.faults().create)?;
        Ok(Box::new(BadFile {
            file: Files.create(path, spare, header)?,
            bad: self.clone(),
        }))
    }

    fn reopen(&mut self, path: &Path, length: u64) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(BadFile {
            file: Files.reopen(path, length)?,
            bad: self.clone(),
        }))
    }
}

impl Medium for BadFile {
    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut faults = self.bad.faults();
        let Some(room) = &mut faults.room else {
            return self.file.write(bytes);
        };
        let first = bytes.first().map_or(&[][..], |slice| slice);
        let some = &first[..first.len().min(*room)];
        failed(some.is_empty())?;
        let written = self.file.write(&[IoSlice::new(some)])?;
        *room -= written;
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut faults = self.bad.faults();
        failed(faults.sync || faults.syncs == Some(0))?;
        faults.syncs = faults.syncs.map(|left| left - 1);
        drop(faults);
        self.file.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        failed(self.bad.faults().cut)?;
        self.file.cut(length)
    }
}

/// A log whose writer does what it is told, on the thread of the test.
struct Bench {
    folder: tempfile::TempDir,
    writer: Writer,
    decisions: Decisions,
    bad: Bad,
}

/// The requests that a start reads, with the number of their segment.
type Replayed = Vec<(u64, Vec<u8>)>;

impl Bench {
    fn new(options: Options) -> Bench {
        Bench::over(tempfile::tempdir().expect("a folder"), options).0
    }

    /// Over what is in this folder.
    fn over(folder: tempfile::TempDir, options: Options) -> (Bench, Replayed, Vec<Hold>) {
        let mut opened = Opened::open(folder.path(), options).expect("it is free");
        let bad = Bad::default();
        let decisions = opened.decisions_on(Box::new(bad.clone()));
        let (replayed, holds) = replay(&mut opened);
        let writer = opened.writer(unbounded().1, Vec::new(), Box::new(bad.clone()));
        let bench = Bench {
            folder,
            writer,
            decisions,
            bad,
        };
        (bench, replayed, holds)
    }

    /// As after SIGKILL.
    fn again(self, options: Options) -> (Bench, Replayed, Vec<Hold>) {
        let Bench {
            folder,
            writer,
            decisions,
            ..
        } = self;
        drop((writer, decisions));
        Bench::over(folder, options)
    }

    fn append_all(&mut self, bodies: &[Vec<u8>]) -> Vec<Result<Logged, LogError>> {
        let mut answers = Vec::new();
        let group = bodies.iter().map(|body| {
            let (answer, answered) = oneshot::channel();
            answers.push(answered);
            Entry {
                bytes: Bytes::copy_from_slice(body),
                crc: crc32fast::hash(body),
                answer,
                _charge: Arc::new(()),
            }
        });
        let group = group.collect();
        self.writer.commit(group);
        self.writer.tidy();
        let answer = |mut answer: oneshot::Receiver<_>| answer.try_recv().expect("an answer");
        answers.into_iter().map(answer).collect()
    }

    fn append(&mut self, body: &[u8]) -> Result<Hold, LogError> {
        let logged = self.append_all(&[body.to_vec()]).remove(0)?;
        Ok(logged.hold())
    }

    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
        files.retain(|path| path.to_string_lossy().contains(&format!("/{prefix}-")));
        files.sort();
        files
    }

    fn bytes(&self) -> u64 {
        let files = self
            .files("requests")
            .into_iter()
            .chain(self.files("spare"));
        files
            .map(|path| fs::metadata(path).expect("a file").len())
            .sum()
    }
}

fn replay(opened: &mut Opened) -> (Replayed, Vec<Hold>) {
    let (mut replayed, mut holds) = (Vec::new(), Vec::new());
    opened
        .replay(|record| {
            let hold = record.hold();
            replayed.push((hold.segment(), record.bytes.to_vec()));
            holds.push(hold);
        })
        .expect("it is read");
    (replayed, holds)
}

fn bodies(replayed: &Replayed) -> Vec<Vec<u8>> {
    replayed.iter().map(|(_, body)| body.clone()).collect()
}

/// Of a trace whose last request was logged then.
fn decided_at(id: u8, through: u64) -> Decision {
    Decision {
        id: [id; 16],
        what: Decided::By(0),
        through,
    }
}

fn decided(id: u8) -> Decision {
    decided_at(id, 0)
}

fn forgotten_at(id: u8, through: u64) -> Decision {
    Decision {
        what: Decided::Forgotten,
        ..decided_at(id, through)
    }
}

#[test]
fn what_was_appended_is_read_again_and_written_on() {
    let mut bench = Bench::new(small());
    let written = [
        b"one".to_vec(),
        Vec::new(),
        vec![7; 5_000],
        b"four".to_vec(),
    ];
    for answer in bench.append_all(&written) {
        let _ = answer.expect("there is room").hold();
    }
    let (mut bench, replayed, _) = bench.again(small());
    assert_eq!(bodies(&replayed), written);
    let before = bench.files("requests");
    let _ = bench.append(b"five").expect("there is room");
    assert_eq!(
        bench.files("requests"),
        before,
        "the last segment is written on"
    );
    let (_, replayed, _) = bench.again(small());
    assert_eq!(
        replayed.last().map(|(_, body)| &body[..]),
        Some(&b"five"[..])
    );
}

#[test]
fn one_group_is_one_sync_a_segment() {
    let mut bench = Bench::new(Options::new(1 << 30, REMEMBER, 10));
    bench.append_all(&vec![vec![1; 100]; 2_000]);
    let counters = bench.writer.shared.counters.clone();
    assert_eq!((counters.syncs(), counters.requests()), (1, 2_000));
}

#[test]
fn a_full_disk_refuses_the_group_and_nothing_else() {
    let mut bench = Bench::new(small());
    let _ = bench.append(b"before").expect("there is room");
    for room in 0..150 {
        bench.bad.faults().room = Some(room);
        for answer in bench.append_all(&[vec![1; 50], vec![2; 50]]) {
            let error = answer.expect_err("it is full");
            assert!(
                matches!(&error, LogError::Write { reason } if reason.contains("space")),
                "{error}"
            );
        }
    }
    bench.bad.faults().room = None;
    let _ = bench.append(b"after").expect("there is room again");
    assert_eq!(bench.writer.shared.counters.failures(), 150);
    let (bench, replayed, _) = bench.again(small());
    assert_eq!(bodies(&replayed), [b"before".to_vec(), b"after".to_vec()]);
    assert_eq!(bench.writer.shared.counters.cut_bytes(), 0);
}

#[test]
fn a_disk_that_can_not_even_cut_gets_another_segment() {
    let mut bench = Bench::new(small());
    let _ = bench.append(b"before").expect("there is room");
    *bench.bad.faults() = Faults {
        room: Some(20),
        cut: true,
        ..Faults::default()
    };
    bench.append(b"refused").expect_err("it is full");
    bench.bad.faults().room = None;
    let _ = bench.append(b"after").expect("there is room again");
    let (bench, replayed, _) = bench.again(small());
    let numbers: Vec<u64> = replayed.iter().map(|(number, _)| *number).collect();
    assert_eq!(bodies(&replayed), [b"before".to_vec(), b"after".to_vec()]);
    assert_eq!(numbers, [1, 2]);
    assert_eq!(bench.writer.shared.counters.cut_bytes(), 20);
}

#[test]
fn after_a_failed_sync_a_file_is_not_trusted() {
    let mut bench = Bench::new(small());
    let _ = bench.append(b"before").expect("there is room");
    bench.bad.faults().sync = true;
    bench.append(b"refused").expect_err("it is not synced");
    bench.bad.faults().sync = false;
    let after = bench.append(b"after").expect("it works again");
    assert_eq!(after.segment(), 2);
    let (_, replayed, _) = bench.again(small());
    assert_eq!(bodies(&replayed), [b"before".to_vec(), b"after".to_vec()]);
}

#[test]
fn what_was_refused_and_could_not_be_cut_is_cut_later() {
    for fault in [
        Faults {
            sync: true,
            cut: true,
            ..Faults::default()
        },
        // One record of two is whole.
        Faults {
            room: Some(110),
            cut: true,
            ..Faults::default()
        },
    ] {
        let mut bench = Bench::new(small());
        let _ = bench.append(b"before").expect("there is room");
        *bench.bad.faults() = fault;
        for answer in bench.append_all(&[vec![1; 50], vec![2; 50]]) {
            let error = answer.expect_err("it is not durable");
            assert!(matches!(error, LogError::Write { .. }), "{error}");
        }
        bench.bad.faults().room = None;
        bench.bad.faults().sync = false;
        let after = bench.append(b"after").expect("it works again");
        assert_eq!(after.segment(), 2, "the file is not trusted");
        let counters = bench.writer.shared.counters.clone();
        assert_eq!((counters.uncut(), counters.failures()), (1, 1));
        bench.bad.faults().cut = false;
        bench.writer.tidy();
        assert_eq!(counters.uncut(), 0);
        let (bench, replayed, _) = bench.again(small());
        assert_eq!(bodies(&replayed), [b"before".to_vec(), b"after".to_vec()]);
        assert_eq!(bench.writer.shared.counters.damaged(), 0);
    }
}

/// While one trace holds the oldest segment, those behind it can't go: there must be no more for each try.
#[test]
fn a_disk_that_is_broken_for_long_does_not_use_up_the_segments() {
    let mut bench = Bench::new(small());
    let held = bench.append(&[1; 900]).expect("there is room");
    for fault in 0..2 * MOST_SEGMENTS {
        bench.bad.faults().sync = true;
        bench.bad.faults().cut = fault % 2 == 0;
        bench.append(b"refused").expect_err("it is not synced");
    }
    *bench.bad.faults() = Faults::default();
    let after = bench.append(b"after").expect("it works again");
    assert!(after.segment() < 4, "{}", after.segment());
    let (bench, replayed, _) = bench.again(small());
    assert_eq!(bodies(&replayed), [vec![1; 900], b"after".to_vec()]);
    assert_eq!(bench.writer.shared.counters.damaged(), 0);
    drop(held);
}

#[test]
fn a_request_that_no_segment_can_hold_is_refused_for_good() {
    let mut bench = Bench::new(small());
    let limit = small().bytes;
    let largest = limit as usize - 64;
    let answers = bench.append_all(&[vec![1; largest + 1], b"small".to_vec()]);
    let refused = answers[0].as_ref().expect_err("it is too large");
    let length = limit + 1 - 32;
    assert_eq!(*refused, LogError::TooLarge { length, limit });
    assert!(answers[1].is_ok(), "others of its group are taken");
    let mut bench = Bench::new(small());
    let _ = bench.append(&vec![1; largest]).expect("it just fits");
}

#[test]
fn a_segment_that_can_not_be_made_is_made_later() {
    let mut bench = Bench::new(small());
    bench.bad.faults().create = true;
    bench.append(b"refused").expect_err("it can't be made");
    assert_eq!(bench.files("requests").len(), 0);
    bench.bad.faults().create = false;
    assert_eq!(bench.append(b"taken").expect("it can").segment(), 1);
}

#[test]
fn segments_go_from_the_oldest_on_when_nobody_holds_them() {
    let mut bench = Bench::new(small());
    let mut holds: Vec<Hold> = (0..6)
        .map(|number| bench.append(&vec![number; 600]).expect("there is room"))
        .collect();
    let numbers: Vec<u64> = holds.iter().map(Hold::segment).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    holds.remove(1).release();
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 6, "the first is held");
    holds.remove(0).release();
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 4);
    drop(holds.remove(0));
    bench.writer.tidy();
    assert_eq!(
        bench.files("requests").len(),
        4,
        "who panics has not let go"
    );
    // What is used again holds nothing of what it was.
    for number in 10..13 {
        let _ = bench.append(&[number; 30]).expect("there is room");
    }
    let _ = bench.append(&[13; 900]).expect("there is room");
    let (_, replayed, _) = bench.again(small());
    let firsts: Vec<u8> = replayed.iter().map(|(_, body)| body[0]).collect();
    assert_eq!(firsts, [2, 3, 4, 5, 10, 11, 12, 13]);
}

#[test]
fn near_its_bound_it_asks_for_the_oldest_and_at_it_it_refuses() {
    let options = small();
    let mut bench = Bench::new(options);
    let mut holds = Vec::new();
    let refused = loop {
        match bench.append(&[1; 900]) {
            Ok(hold) => holds.push(hold),
            Err(error) => break error,
        }
        assert!(bench.bytes() <= options.bytes);
    };
    assert_eq!(
        refused,
        LogError::Full {
            limit: options.bytes
        }
    );
    let below = bench.writer.shared.evict_below.load(super::Relaxed);
    assert!((8..40).contains(&below), "{below}");
    let (old, _new): (Vec<Hold>, Vec<Hold>) =
        holds.into_iter().partition(|hold| hold.segment() < below);
    old.into_iter().for_each(Hold::release);
    bench.writer.tidy();
    for _ in 0..8 {
        let _ = bench.append(&[1; 900]).expect("there is room again");
        assert!(bench.bytes() <= options.bytes);
    }
}

#[test]
fn there_are_never_more_segments_than_a_byte_tells_apart() {
    let options = Options {
        bytes: 1 << 30,
        segment_bytes: 100,
        ..small()
    };
    let mut bench = Bench::new(options);
    let mut last = 0;
    for _ in 0..2 * MOST_SEGMENTS {
        last = bench.append(&[1; 90]).expect("there is room").segment();
    }
    assert!(last <= MOST_SEGMENTS, "{last}");
    let (mut bench, replayed, _) = bench.again(options);
    assert_eq!(replayed.len() as u64, 2 * MOST_SEGMENTS);
    let last = bench.append(&[1; 90]).expect("there is room").segment();
    assert!(last <= MOST_SEGMENTS, "{last}");
}

#[test]
fn a_decided_trace_is_needed_no_more_and_remembered() {
    let mut bench = Bench::new(small());
    let hold = bench.append(&[1; 900]).expect("there is room");
    let other = bench.append(&[2; 900]).expect("there is room");
    let mut judged = vec![Judged {
        at: bench.writer.shared.clock.next(1),
        traces: vec![decided(1), decided(2)],
        holds: vec![hold],
    }];
    bench.decisions.settle(&mut judged).expect("it is written");
    assert!(judged.is_empty() && bench.decisions.due().is_some());
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 2, "it is not synced yet");
    bench.decisions.sync().expect("it is synced");
    assert_eq!(bench.decisions.due(), None);
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 1);
    drop(other);

    let Bench {
        folder,
        writer,
        decisions,
        ..
    } = bench;
    drop((writer, decisions));
    let mut opened = Opened::open(folder.path(), small()).expect("it is free");
    let remembered = opened.remembered();
    let ids: Vec<u8> = remembered.iter().map(|r| r.id[0]).collect();
    assert_eq!(ids, [1, 2]);
    let mut asked = 0;
    opened
        .replay(|record| {
            assert!(record.is_decided(&[1; 16]) && record.is_decided(&[2; 16]));
            assert!(!record.is_decided(&[3; 16]));
            asked += 1;
        })
        .expect("it is read");
    assert_eq!(asked, 1);
}

#[test]
fn near_the_bound_decided_traces_are_synced_at_once() {
    let mut bench = Bench::new(small());
    let hold = bench.append(&[1; 900]).expect("there is room");
    let _other = bench.append(&[2; 900]).expect("there is room");
    bench.writer.shared.evict_below.store(2, super::Relaxed);
    let mut judged = vec![Judged {
        at: bench.writer.shared.clock.next(1),
        traces: vec![decided(1)],
        holds: vec![hold],
    }];
    bench.decisions.settle(&mut judged).expect("it is written");
    assert_eq!(bench.decisions.due(), None);
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 1);
}

#[test]
fn what_was_logged_after_a_trace_was_forgotten_is_another_trace() {
    let options = Options {
        remember: Duration::ZERO,
        ..small()
    };
    let mut bench = Bench::new(options);
    let _ = bench.append(b"before").expect("there is room");
    let mut judged = vec![Judged {
        at: bench.writer.shared.clock.next(1),
        traces: vec![decided(1)],
        holds: Vec::new(),
    }];
    bench.decisions.settle(&mut judged).expect("it is written");
    let _ = bench.append(b"after").expect("there is room");
    let Bench {
        folder,
        writer,
        decisions,
        ..
    } = bench;
    drop((writer, decisions));
    let mut opened = Opened::open(folder.path(), options).expect("it is free");
    assert_eq!(opened.remembered(), []);
    let mut needed = Vec::new();
    opened
        .replay(|record| needed.push(!record.is_decided(&[1; 16])))
        .expect("it is read");
    assert_eq!(needed, [false, true]);
}

/// A start on what this log has: which of its requests need no verdict of this trace any more.
fn decided_of(bench: Bench, options: Options, id: u8) -> (Vec<bool>, usize) {
    let Bench {
        folder,
        writer,
        decisions,
        ..
    } = bench;
    drop((writer, decisions));
    let mut opened = Opened::open(folder.path(), options).expect("it is free");
    let mut decided = Vec::new();
    opened
        .replay(|record| decided.push(record.is_decided(&[id; 16])))
        .expect("it is read");
    (decided, opened.remembered().len())
}

fn settle(bench: &mut Bench, traces: Vec<Decision>) {
    let mut judged = vec![Judged {
        at: bench.writer.shared.clock.next(1),
        traces,
        holds: Vec::new(),
    }];
    bench.decisions.settle(&mut judged).expect("it is written");
}

#[test]
fn what_came_after_a_trace_was_forgotten_for_want_of_room_is_judged() {
    let mut bench = Bench::new(small());
    let times: Vec<u64> = (0..3)
        .map(|_| bench.append(b"a span").expect("there is room").time())
        .collect();
    settle(&mut bench, vec![decided_at(1, times[0])]);
    // The second came late, while it was remembered.
    settle(&mut bench, vec![forgotten_at(1, times[1])]);
    let (decided, remembered) = decided_of(bench, small(), 1);
    assert_eq!((decided, remembered), (vec![true, true, false], 0));
}

#[test]
fn a_trace_that_came_again_after_it_was_forgotten_is_remembered_again() {
    // What was forgotten is told when all that was complete is judged, which may be behind the other trace of its id.
    for is_later in [false, true] {
        let mut bench = Bench::new(small());
        let times: Vec<u64> = (0..2)
            .map(|_| bench.append(b"a span").expect("there is room").time())
            .collect();
        settle(&mut bench, vec![decided_at(1, times[0])]);
        let mut both = vec![forgotten_at(1, times[0]), decided_at(1, times[1])];
        if is_later {
            both.reverse();
        }
        settle(&mut bench, both);
        let (decided, remembered) = decided_of(bench, small(), 1);
        assert_eq!((decided, remembered), (vec![true, true], 1));
    }
}

#[test]
fn that_a_trace_was_forgotten_says_nothing_where_its_decision_is_gone() {
    let mut bench = Bench::new(small());
    let time = bench.append(b"a span").expect("there is room").time();
    settle(&mut bench, vec![forgotten_at(1, time)]);
    assert_eq!(decided_of(bench, small(), 1), (vec![false], 0));
}

#[test]
fn requests_of_one_group_have_times_of_their_own() {
    let mut bench = Bench::new(small());
    let answers = bench.append_all(&vec![b"a span".to_vec(); 5]);
    let holds = answers
        .iter()
        .map(|answer| answer.as_ref().expect("there is room").hold());
    let times: Vec<u64> = holds.map(|hold| hold.time()).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    let (_, _, holds) = bench.again(small());
    let again: Vec<u64> = holds.iter().map(Hold::time).collect();
    assert_eq!(again, times);
}

#[test]
fn the_place_in_the_file_of_signals_is_found_again() {
    let mut bench = Bench::new(small());
    let files = ["a", "b"].map(|name| {
        let file = fs::File::create(bench.folder.path().join(name)).expect("a file");
        FileId::of(&file).expect("it is read").expect("a file")
    });
    for (file, offset) in [(0, 10), (1, 70), (0, 30)] {
        let file = files[file];
        bench.decisions.note(Some(Place { file, offset }));
        bench.decisions.write_place().expect("it is written");
    }
    bench.decisions.note(None);
    settle(&mut bench, vec![decided(1)]);
    let (bench, _, _) = bench.again(small());
    let places = files.map(|file| bench.decisions.place(file));
    assert_eq!(places, [Some(30), Some(70)]);
}

/// Late spans of a trace may be in a segment that another trace holds long after the trace was forgotten.
#[test]
fn decided_traces_are_kept_as_long_as_late_spans_of_them_are() {
    let options = Options {
        remember: Duration::ZERO,
        ..small()
    };
    let mut bench = Bench::new(options);
    let first = bench.append(&[1; 900]).expect("there is room");
    let (time, mut judged) = (first.time(), Vec::new());
    settle(&mut bench, vec![decided_at(1, time)]);
    // A late span of it, in a segment that an endless trace holds.
    let late = bench.append(&[2; 900]).expect("there is room");
    settle(&mut bench, vec![forgotten_at(1, late.time())]);
    // Others fill files, so that the first can go. By time nothing of it is remembered.
    let mut fill = |bench: &mut Bench, holds: Vec<Hold>| {
        judged.push(Judged {
            at: bench.writer.shared.clock.next(1),
            traces: vec![decided(7); 200_000],
            holds,
        });
        bench.decisions.settle(&mut judged).expect("it is written");
        bench.decisions.sync().expect("it is synced");
        bench.writer.tidy();
    };
    fill(&mut bench, vec![first]);
    let _new = bench.append(&[3; 900]).expect("there is room");
    for _ in 0..3 {
        fill(&mut bench, Vec::new());
    }
    let files = bench.files("decided");
    assert!(
        files[0].ends_with(format!("decided-{:020}.wal", 1)),
        "{files:?}"
    );
    let (bench, replayed, _holds) = bench.again(options);
    assert_eq!(replayed.len(), 2, "the late one and the last");
    assert_eq!(decided_of(bench, options, 1).0, [true, false]);
}

#[test]
fn decided_traces_are_written_again_when_a_sync_failed() {
    let mut bench = Bench::new(small());
    let hold = bench.append(&[1; 900]).expect("there is room");
    let _other = bench.append(&[2; 900]).expect("there is room");
    let mut judged = vec![Judged {
        at: bench.writer.shared.clock.next(1),
        traces: vec![decided(1)],
        holds: vec![hold],
    }];
    bench.bad.faults().room = Some(10);
    bench
        .decisions
        .settle(&mut judged)
        .expect_err("the disk is full");
    bench.bad.faults().room = None;
    bench
        .decisions
        .settle(&mut judged)
        .expect("there is room again");
    bench.bad.faults().sync = true;
    bench.decisions.sync().expect_err("it is not synced");
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 2, "nothing was let go");
    assert!(bench.decisions.due().is_some(), "it is due again");
    bench.bad.faults().sync = false;
    bench.decisions.sync().expect("it works again");
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 1);
    let files = bench.files("decided");
    assert_eq!(files.len(), 2);
    fs::remove_file(&files[0]).expect("it is there");
    let Bench {
        folder,
        writer,
        decisions,
        ..
    } = bench;
    drop((writer, decisions));
    let opened = Opened::open(folder.path(), small()).expect("it is free");
    assert_eq!(opened.remembered().len(), 1, "the second file has it");
}

/// More than one file takes, so that one is full while others are still to be written again.
#[test]
fn many_decided_traces_are_let_go_of_when_all_are_written_again() {
    let mut bench = Bench::new(small());
    let hold = bench.append(&[1; 900]).expect("there is room");
    let _other = bench.append(&[2; 900]).expect("there is room");
    let traces = (0..400_000_u128).map(|number| Decision {
        id: (number + 1).to_be_bytes(),
        ..decided(0)
    });
    let mut judged = vec![Judged {
        at: bench.writer.shared.clock.next(1),
        traces: traces.collect(),
        holds: vec![hold],
    }];
    bench.bad.faults().sync = true;
    // The first file that is full is not synced, and the others are not reached.
    bench
        .decisions
        .settle(&mut judged)
        .expect_err("it is not synced");
    bench.bad.faults().sync = false;
    bench.decisions.settle(&mut judged).expect("it is written");
    bench.bad.faults().sync = true;
    bench.decisions.sync().expect_err("it is not synced");
    bench.bad.faults().sync = false;
    // All but the last file of what is written again.
    bench.bad.faults().syncs = Some(2);
    bench.decisions.sync().expect_err("the last one fails");
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 2, "nothing was let go");
    bench.bad.faults().syncs = None;
    bench.decisions.sync().expect("it works again");
    bench.writer.tidy();
    assert_eq!(bench.files("requests").len(), 1);
}

#[test]
fn decided_traces_in_a_file_that_could_not_be_cut_are_written_again() {
    let mut bench = Bench::new(small());
    let hold = bench.append(&[1; 900]).expect("there is room");
    let _other = bench.append(&[2; 900]).expect("there is room");
    let judged = |id, holds| Judged {
        at: bench.writer.shared.clock.next(1),
        traces: vec![decided(id)],
        holds,
    };
    let (first, second) = (judged(1, vec![hold]), judged(2, Vec::new()));
    bench
        .decisions
        .settle(&mut vec![first])
        .expect("it is written");
    *bench.bad.faults() = Faults {
        room: Some(10),
        cut: true,
        ..Faults::default()
    };
    let mut second = vec![second];
    bench.decisions.settle(&mut second).expect_err("it is full");
    *bench.bad.faults() = Faults::default();
    bench.decisions.settle(&mut second).expect("there is room");
    bench.decisions.sync().expect("it is synced");
    // The first file was never synced: what it holds is in the second one, too.
    let files = bench.files("decided");
    fs::remove_file(&files[0]).expect("it is there");
    let Bench {
        folder,
        writer,
        decisions,
        ..
    } = bench;
    drop((writer, decisions));
    let opened = Opened::open(folder.path(), small()).expect("it is free");
    assert_eq!(opened.remembered().len(), 2);
}

#[test]
fn decided_traces_go_when_they_are_forgotten_and_their_requests_are_gone() {
    // At most a file's worth is remembered.
    let options = Options {
        remember_traces: 200_000,
        ..small()
    };
    let mut bench = Bench::new(options);
    let first = bench.append(&[1; 900]).expect("there is room");
    let settle = |bench: &mut Bench, holds: Vec<Hold>| {
        let traces = vec![decided(7); 300_000];
        let mut judged = vec![Judged {
            at: bench.writer.shared.clock.next(1),
            traces,
            holds,
        }];
        bench.decisions.settle(&mut judged).expect("it is written");
        bench.decisions.sync().expect("it is synced");
        bench.writer.tidy();
    };
    settle(&mut bench, Vec::new());
    settle(&mut bench, Vec::new());
    let held = bench.files("decided");
    let count = held.len();
    assert!(count > 2, "a request of them may be read again: {count}");
    let second = bench.append(&[2; 900]).expect("there is room");
    settle(&mut bench, vec![first]);
    settle(&mut bench, Vec::new());
    settle(&mut bench, Vec::new());
    let _third = bench.append(&[3; 900]).expect("there is room");
    settle(&mut bench, vec![second]);
    settle(&mut bench, Vec::new());
    let left = bench.files("decided");
    let stays = held.iter().find(|file| left.contains(file));
    assert_eq!(stays, None, "nobody remembers them");
    let newest = left.len();
    assert!(newest > 2, "some are remembered: {newest}");
}

#[test]
fn damage_is_told_and_the_rest_is_read() {
    let mut bench = Bench::new(Options::new(1 << 20, REMEMBER, 10));
    for number in 0..4 {
        let _ = bench.append(&[number; 40]).expect("there is room");
    }
    let file = bench.files("requests").remove(0);
    let mut bytes = fs::read(&file).expect("a file");
    bytes[SEGMENT_HEADER + 72 + 40] ^= 1;
    bytes.extend(b"torn");
    fs::write(&file, &bytes).expect("a file");
    let (mut bench, replayed, _) = bench.again(small());
    let firsts = |replayed: &Replayed| {
        replayed
            .iter()
            .map(|(_, body)| body[0])
            .collect::<Vec<u8>>()
    };
    assert_eq!(firsts(&replayed), [0, 2, 3]);
    let counters = bench.writer.shared.counters.clone();
    assert_eq!(
        (
            counters.damaged(),
            counters.damaged_bytes(),
            counters.cut_bytes()
        ),
        (1, 72, 4)
    );
    assert_eq!(
        bench.append(b"next").expect("there is room").segment(),
        2,
        "a damaged segment is not written on"
    );

    // Without its header it is known by its name.
    bytes[3] ^= 1;
    fs::write(&file, &bytes).expect("a file");
    let (bench, replayed, _) = bench.again(small());
    assert_eq!(firsts(&replayed), [0, 2, 3, b'n']);
    assert_eq!(bench.writer.shared.counters.damaged(), 2);
}

#[test]
fn segments_that_are_missing_are_told() {
    let mut bench = Bench::new(small());
    for number in 0..4 {
        let _ = bench.append(&[number; 900]).expect("there is room");
    }
    fs::remove_file(&bench.files("requests")[1]).expect("it is there");
    let (bench, replayed, _) = bench.again(small());
    assert_eq!(replayed.len(), 3);
    assert_eq!(bench.writer.shared.counters.damaged(), 1);
}

#[test]
fn a_file_that_was_used_before_ends_where_its_segment_does() {
    let mut bench = Bench::new(small());
    for number in 0..4 {
        bench
            .append(&[number; 900])
            .expect("there is room")
            .release();
    }
    bench.writer.tidy();
    assert_eq!(bench.files("spare").len(), 1);
    let _ = bench.append(&[4; 700]).expect("there is room");
    let _ = bench.append(&[5; 900]).expect("there is room");
    let lengths: Vec<u64> = bench
        .files("requests")
        .iter()
        .map(|file| fs::metadata(file).expect("a file").len())
        .collect();
    assert_eq!(lengths[lengths.len() - 2..], [32 + 32 + 700, 32 + 32 + 900]);
}

#[test]
fn another_version_is_refused_before_anything_is_changed() {
    for (kind, version) in [
        (Kind::Requests, 1),
        (Kind::Requests, 9),
        (Kind::Decided, 1),
        (Kind::Decided, 9),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let prefix = if kind == Kind::Requests {
            "requests"
        } else {
            "decided"
        };
        let path = folder.path().join(format!("{prefix}-{:020}.wal", 1));
        let mut header = Stamp::draw(kind, 1, false).segment_header();
        header[8] = version;
        let crc = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, header).expect("a file");
        let refused = Opened::open(folder.path(), small()).expect_err("it is another");
        let file = path.to_str().expect("UTF-8");
        assert!(
            matches!(refused, OpenError::Version { version: of, .. } if of == u16::from(version)),
            "{refused}"
        );
        assert!(refused.to_string().contains(file), "{refused}");
        assert_eq!(fs::read(&path).expect("a file"), header);
    }
}

#[test]
fn a_file_whose_making_was_cut_short_is_nothing() {
    for length in [0, 20] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(format!("requests-{:020}.wal", 5));
        fs::write(&path, vec![b'B'; length]).expect("a file");
        let (mut bench, replayed, _) = Bench::over(folder, small());
        assert_eq!(replayed, []);
        assert_eq!(bench.writer.shared.counters.damaged(), 0);
        assert_eq!(bench.append(b"first").expect("there is room").segment(), 6);
    }
}

/// A disk whose code is at fault.
struct Buggy;

impl Disk for Buggy {
    fn create(&mut self, _: &Path, _: Option<&Path>, _: &[u8]) -> io::Result<Box<dyn Medium>> {
        panic!("a bug");
    }

    fn reopen(&mut self, _: &Path, _: u64) -> io::Result<Box<dyn Medium>> {
        panic!("a bug");
    }
}

#[tokio::test]
async fn a_writer_that_panics_is_named_and_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = Opened::open(folder.path(), small()).expect("it is free");
    let alarm = opened.alarm();
    let (log, keeper) = opened
        .start_on(Box::new(Buggy), Vec::new())
        .expect("it starts");
    let refused = log.append(Bytes::from_static(b"one"), Arc::new(())).await;
    assert_eq!(refused.expect_err("nobody wrote it"), LogError::Ended);
    drop(log);
    assert!(!keeper.finish());
    assert_eq!(alarm.rung(), Some("log"));
}

#[derive(Clone, Debug)]
enum Step {
    Append {
        length: usize,
    },
    Release {
        which: prop::sample::Index,
    },
    Kill,
    /// A kill in the middle of a write: the last file ends anywhere behind what is durable.
    Tear {
        more: Vec<u8>,
    },
    Fail {
        room: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..900).prop_map(|length| Step::Append { length }),
        4 => any::<prop::sample::Index>().prop_map(|which| Step::Release { which }),
        1 => Just(Step::Kill),
        1 => proptest::collection::vec(any::<u8>(), 1..60).prop_map(|more| Step::Tear { more }),
        1 => (0_usize..200).prop_map(|room| Step::Fail { room }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever happens, each start reads every request that was acknowledged and not released, once.
    #[test]
    fn what_is_held_is_always_there(steps in proptest::collection::vec(step(), 1..60)) {
        let options = Options { bytes: 1 << 20, ..small() };
        let mut bench = Bench::new(options);
        let mut held: BTreeMap<u32, Hold> = BTreeMap::new();
        let mut number = 0_u32;
        for step in steps.into_iter().chain([Step::Kill]) {
            match step {
                Step::Append { length } => {
                    number += 1;
                    let body = [&number.to_le_bytes()[..], &vec![7; length]].concat();
                    held.insert(number, bench.append(&body).expect("there is room"));
                }
                Step::Release { which } if !held.is_empty() => {
                    let key = *held.keys().nth(which.index(held.len())).expect("it is in range");
                    held.remove(&key).expect("it is there").release();
                    bench.writer.tidy();
                }
                Step::Release { .. } => {}
                Step::Fail { room } => {
                    number += 1;
                    bench.bad.faults().room = Some(room);
                    let body = [&number.to_le_bytes()[..], &[7; 200]].concat();
                    let refused = bench.append(&body);
                    bench.bad.faults().room = None;
                    prop_assert!(refused.is_err());
                }
                Step::Kill | Step::Tear { .. } => {
                    if let (Step::Tear { more }, Some(last)) = (&step, bench.files("requests").last()) {
                        let mut bytes = fs::read(last).expect("a file");
                        let end = bench.writer.current.as_ref().map_or(bytes.len(), |current| current.length as usize);
                        // A file that was used before is as long as it was.
                        bytes.resize(bytes.len().max(end + more.len()), 0);
                        bytes[end..end + more.len()].copy_from_slice(more);
                        fs::write(last, bytes).expect("a file");
                    }
                    let (next, replayed, holds) = bench.again(options);
                    bench = next;
                    let mut found = BTreeMap::new();
                    for ((_, body), hold) in replayed.iter().zip(holds) {
                        let key = u32::from_le_bytes(*body.first_chunk().expect("a number"));
                        prop_assert!(found.insert(key, hold).is_none(), "{} is there twice", key);
                    }
                    for key in held.keys() {
                        prop_assert!(found.contains_key(key), "{} is lost", key);
                    }
                    // Those that were released and whose segment is still there are decided.
                    let (stays, goes): (Vec<_>, Vec<_>) = found.into_iter().partition(|(key, _)| held.contains_key(key));
                    goes.into_iter().for_each(|(_, hold)| hold.release());
                    held = stays.into_iter().collect();
                    bench.writer.tidy();
                }
            }
        }
    }
}
