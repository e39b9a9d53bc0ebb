use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::format::Format;
use super::paint::Paint;
use super::person::view;
use super::stream::{Stream, append};
use super::{PIECE_BYTES, SinkError, Target, open, start, text};
use crate::assemble::trace::Completion;
use crate::demo::call::Call;
use crate::demo::faults::FAULTS;
use crate::demo::random::Random;
use crate::signal::Emission;
use crate::signal::fixture::{Batch, rule};
use crate::signal::judge::Unfinished;
use crate::signal::rule::RuleFacts;

const PLAIN: Paint = Paint { color: false };

/// The signal of a demo fault, with the spans of these names as evidence.
fn emission(fault: usize, names: &[&str]) -> Emission {
    let story = FAULTS[fault].happen(&mut Random::new(11));
    emission_of(&story, names, |_| {})
}

fn emission_of(story: &Call, names: &[&str], change: impl Fn(&mut Batch)) -> Emission {
    let rules = [RuleFacts {
        id: "the-rule".to_owned(),
        ..rule()
    }];
    let mut batch = Batch::of_call(story, &rules);
    change(&mut batch);
    let rows = names.iter().flat_map(|name| batch.rows(name)).collect();
    batch
        .judge(&rules, &[(0, 0, rows, 0)], Unfinished::All)
        .remove(0)
}

#[test]
fn a_checkout_is_drawn_with_its_evidence() {
    insta::assert_snapshot!(view(&emission(0, &["payment.charge_card"]), PLAIN, 110));
}

#[test]
fn siblings_are_summarised() {
    insta::assert_snapshot!(view(&emission(1, &["SELECT products"]), PLAIN, 100));
}

#[test]
fn a_failure_is_marked_and_a_narrow_terminal_will_do() {
    insta::assert_snapshot!(view(&emission(6, &["payment.charge_card"]), PLAIN, 40));
}

#[test]
fn doubt_is_explained() {
    let story = FAULTS[2].happen(&mut Random::new(2));
    let unsure = emission_of(&story, &["admin.list_orders"], |batch| {
        batch.traces[0].missing_parents = 2;
        batch.traces[0].completion = Completion::SpanCap;
    });
    insta::assert_snapshot!(view(&unsure, PLAIN, 100));
}

#[test]
fn without_a_trace_the_evidence_is_listed() {
    let mut many = emission(1, &["SELECT products"]);
    many.outline = None;
    insta::assert_snapshot!(view(&many, PLAIN, 100));
}

#[test]
fn no_line_is_too_wide_and_none_says_what_a_terminal_obeys() {
    let story = Call::server(
        "evil\u{1b}]0;title\u{7}",
        "\u{1b}[2J\u{202e}gpj\u{0}",
        1_000,
    )
    .text("currency", "\u{9b}31m\r\n\u{1b}[1A")
    .then(Call::server(
        "支払い支払い支払い支払い",
        "長い名前長い名前長い名前長い名前長い名前長い名前長い名前",
        500,
    ));
    let mut emission = emission_of(&story, &["\u{1b}[2J\u{202e}gpj\u{0}"], |_| {});
    let signal = std::sync::Arc::make_mut(&mut emission.signal);
    signal.message = "\u{1b}[8m hidden ".repeat(30);
    signal.rule = "a\u{1b}b".to_owned();
    for width in [20, 72, 100, 500] {
        let drawn = view(&emission, PLAIN, width);
        assert!(
            !drawn.chars().any(|c| c.is_control() && c != '\n'),
            "{drawn:?}"
        );
        let widest = drawn.lines().map(text::width).max().unwrap();
        assert!(
            widest <= width.clamp(72, 140),
            "{widest} of {width}:\n{drawn}"
        );
    }
}

#[test]
fn colours_change_nothing_else() {
    let emission = emission(0, &["payment.charge_card"]);
    let painted = view(&emission, Paint { color: true }, 110);
    let mut plain = String::new();
    let mut rest = painted.as_str();
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = escape.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    let trimmed = |text: &str| {
        text.lines()
            .map(|l| l.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(trimmed(&plain), trimmed(&view(&emission, PLAIN, 110)));
    assert!(painted.contains("\u{1b}["));
}

/// A writer that fails while `full`, having taken `torn` bytes.
#[derive(Clone, Default)]
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    full: Arc<Mutex<bool>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap();
        if *self.full.lock().unwrap() {
            if written.last() == Some(&b'\n') {
                written.extend(&bytes[..5]);
                return Ok(5);
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        written.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_loses_the_batch_counts_it_and_spoils_no_later_line() {
    let disk = Disk::default();
    let mut stream = Stream::new("signals.jsonl", Format::Json, Box::new(disk.clone()));
    let batch = [emission(0, &[])];
    stream.write(&batch).unwrap();
    *disk.full.lock().unwrap() = true;
    let failure = stream.write(&batch).unwrap_err();
    assert_eq!(failure.target, "signals.jsonl");
    *disk.full.lock().unwrap() = false;
    stream.write(&batch).unwrap();
    let written = String::from_utf8(disk.written.lock().unwrap().clone()).unwrap();
    let valid = written
        .lines()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        .count();
    assert_eq!((written.lines().count(), valid), (3, 2));
    assert_eq!(
        (stream.counters().written(), stream.counters().lost()),
        (2, 1)
    );
}

#[test]
fn a_sink_that_fails_says_what_and_how_many() {
    let disk = Disk::default();
    *disk.full.lock().unwrap() = true;
    let (sink, writer) = start(
        Stream::new("signals.jsonl", Format::Json, Box::new(disk)),
        1,
    )
    .unwrap();
    for _ in 0..20 {
        sink.send(vec![emission(2, &[])]);
    }
    drop(sink);
    let error = writer.finish().unwrap_err();
    assert!(
        matches!(&error, SinkError::Write { target, lost: 20, .. } if target == "signals.jsonl"),
        "{error}"
    );
}

/// Writes when it is let.
struct Slow(crossbeam_channel::Receiver<()>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // At the end of the test all is let through.
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_waits_for_a_slow_reader_is_bounded_in_bytes() {
    let (lets, let_through) = crossbeam_channel::unbounded();
    let one = emission(0, &["payment.charge_card"]);
    let most = 4 * PIECE_BYTES;
    let stream = Stream::new("slow", Format::Json, Box::new(Slow(let_through)));
    let (sink, writer) = start(stream, most).unwrap();
    let counters = sink.counters();
    let count = 3 * most / one.bytes();
    let batch = vec![one; count];
    let sends = std::thread::spawn(move || sink.send(batch));
    // One piece is let through after the other, and never does more wait than may.
    let mut written = 0;
    while written < count as u64 {
        lets.send(()).unwrap();
        while counters.written() == written {
            assert!(counters.queued_bytes() <= most as u64);
            std::thread::yield_now();
        }
        written = counters.written();
    }
    sends.join().unwrap();
    drop(lets);
    writer.finish().unwrap();
    assert_eq!((counters.lost(), counters.queued_bytes()), (0, 0));
    assert!(counters.waits() > 0, "nobody had to wait");
}

#[test]
fn a_writer_that_is_gone_keeps_nobody_waiting() {
    let stream = Stream::new("closed", Format::Json, Box::new(Closed)).until_closed();
    let (sink, writer) = start(stream, 1).unwrap();
    let counters = sink.counters();
    let one = emission(0, &[]);
    for _ in 0..3 {
        sink.send(vec![one.clone(); PIECE_BYTES / one.bytes() + 1]);
    }
    drop(sink);
    writer.finish().unwrap_err();
    assert_eq!(counters.written(), 0);
    assert_eq!(counters.queued_bytes(), 0);
}

#[test]
fn a_writer_that_panics_is_named_and_keeps_nobody_waiting() {
    let stream = Stream::new("buggy", Format::Json, Box::new(Buggy));
    let (sink, writer) = start(stream, 1).unwrap();
    let alarm = sink.alarm();
    assert_eq!(alarm.rung(), None);
    let one = emission(0, &[]);
    for _ in 0..3 {
        sink.send(vec![one.clone(); PIECE_BYTES / one.bytes() + 1]);
    }
    drop(sink);
    writer.finish().unwrap_err();
    assert_eq!(alarm.rung(), Some("signals"));
}

struct Buggy;

impl Write for Buggy {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("a bug");
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_is_appended_to_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signals.jsonl");
    std::fs::write(&path, "{\"cut\":").unwrap();
    for _ in 0..2 {
        let (sink, writer) = open(&Target::File(path.clone()), Format::Json, 4).unwrap();
        let clone = sink.clone();
        sink.send(vec![emission(2, &[]), emission(2, &[])]);
        clone.send(Vec::new());
        drop((sink, clone));
        writer.finish().unwrap();
    }
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().count(), 5);
    assert!(
        lines
            .lines()
            .skip(1)
            .all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok())
    );
    assert!(append(folder.path()).is_err());
}

/// A writer whose traces are decided behind their signals, on this disk.
fn kept(disk: &Disk, folder: &tempfile::TempDir) -> (super::Sink, super::Writer) {
    let options = crate::wal::Options::new(1 << 20, std::time::Duration::from_secs(60), 100);
    let mut log = crate::wal::Opened::open(folder.path(), options).unwrap();
    let decisions = log.decisions();
    let stream = Stream::new("signals.jsonl", Format::Json, Box::new(disk.clone()));
    super::start_with(stream, PIECE_BYTES, Some(decisions)).unwrap()
}

fn judged(id: u8, logged: &crate::wal::Logged) -> crate::wal::Judged {
    crate::wal::Judged {
        at: u64::MAX >> 1,
        traces: vec![crate::wal::Decision {
            id: [id; 16],
            what: crate::wal::Decided::By(0),
            through: 0,
        }],
        holds: vec![logged.hold()],
    }
}

fn remembered(folder: &tempfile::TempDir) -> usize {
    let options = crate::wal::Options::new(1 << 20, std::time::Duration::from_secs(60), 100);
    let log = crate::wal::Opened::open(folder.path(), options).unwrap();
    log.remembered().len()
}

#[test]
fn with_a_log_a_full_disk_loses_nothing_and_what_is_torn_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.written.lock().unwrap().extend(b"{}\n");
    *disk.full.lock().unwrap() = true;
    let (sink, writer) = kept(&disk, &folder);
    let counters = sink.counters();
    let logged = crate::wal::Logged::fixture(1);
    sink.send(vec![emission(0, &[])]);
    sink.settle(judged(1, &logged));
    // Until half a line stands there.
    while disk.written.lock().unwrap().len() < 8 {
        std::thread::yield_now();
    }
    assert_eq!((logged.others(), counters.written()), (1, 0));
    *disk.full.lock().unwrap() = false;
    sink.send(vec![emission(2, &[])]);
    drop(sink);
    writer.finish().unwrap();
    let written = String::from_utf8(disk.written.lock().unwrap().clone()).unwrap();
    assert_eq!(written.lines().count(), 3);
    for line in written.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!((counters.written(), counters.lost()), (2, 0));
    assert_eq!(logged.others(), 0, "it was let go");
    assert_eq!(remembered(&folder), 1);
}

fn signal_of(trace: u8) -> Emission {
    Emission {
        trace_id: [trace; 16],
        ..emission(0, &[])
    }
}

/// Another trace is decided behind the signal of one that waits: the next start has to read that signal back, however much stands
/// behind it.
#[test]
fn with_a_log_the_place_of_signals_whose_trace_waits_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signals.jsonl");
    std::fs::write(&path, "{}\n").unwrap();
    let options = crate::wal::Options::new(1 << 20, std::time::Duration::from_secs(60), 100);
    let place = || {
        let mut log = crate::wal::Opened::open(&folder.path().join("data"), options).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let file = crate::wal::FileId::of(&file).unwrap().unwrap();
        (log.decisions().place(file), log)
    };
    let run = |work: &dyn Fn(&super::Sink)| {
        let (_, mut log) = place();
        let target = Target::File(path.clone());
        let decisions = log.decisions();
        let (sink, writer) =
            super::open_kept(&target, Format::Json, PIECE_BYTES, 10, decisions).unwrap();
        work(&sink);
        drop(sink);
        writer.finish().unwrap();
    };
    let written = |sink: &super::Sink, count| {
        while sink.counters().written() < count {
            std::thread::yield_now();
        }
    };
    let logged = crate::wal::Logged::fixture(1);
    assert_eq!(place().0, None);
    run(&|sink| {
        sink.send(vec![signal_of(1)]);
        written(sink, 1);
        sink.send(vec![signal_of(2)]);
        sink.settle(judged(2, &logged));
    });
    assert_eq!(place().0, Some(3), "the first waits");
    let first_two = std::fs::metadata(&path).unwrap().len();
    run(&|sink| {
        // Both were read back.
        sink.send(vec![signal_of(3)]);
        written(sink, 1);
        sink.settle(judged(3, &logged));
    });
    // There is no request from before the start, so nothing of then can come again.
    assert_eq!(place().0, Some(first_two));
}

#[test]
fn with_a_log_what_can_not_be_written_at_the_end_is_left_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    *disk.full.lock().unwrap() = true;
    let (sink, writer) = kept(&disk, &folder);
    let counters = sink.counters();
    let logged = crate::wal::Logged::fixture(1);
    let one = emission(0, &[]);
    sink.send(vec![one.clone()]);
    sink.settle(judged(1, &logged));
    let sends = std::thread::spawn({
        let (sink, logged) = (sink.clone(), crate::wal::Logged::fixture(2));
        let many = vec![one.clone(); 3 * PIECE_BYTES / one.bytes()];
        move || {
            sink.send(many);
            sink.settle(judged(2, &logged));
        }
    });
    sink.patience().unwrap().end();
    sends.join().unwrap();
    drop(sink);
    let error = writer.finish().unwrap_err();
    assert!(
        matches!(&error, SinkError::Write { lost: 0, .. }),
        "{error}"
    );
    assert_eq!((counters.written(), counters.lost()), (0, 0));
    assert_eq!(logged.others(), 1, "the next start reads it");
    assert_eq!(remembered(&folder), 0);
}
