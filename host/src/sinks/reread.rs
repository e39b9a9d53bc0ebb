//! A file of signals, found again after a crash: its torn last line is cut, and the ids of its last signals are known, so that
//! none is written a second time.
//!
//! Read back is what is behind the place that was noted with the last decided traces (`reach`). Where none was noted for this very
//! file, as when it was copied, it is the last [`REREAD_BYTES`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use memchr::memchr;

use super::known::Known;
use crate::wal::FileId;

/// How much of a file is read back of which the log knows nothing.
pub const REREAD_BYTES: u64 = 64 << 20;

/// What is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What every line of ours begins with; 32 hexadecimal digits follow.
const ID: &[u8] = b"{\"id\":\"";

/// What has to be read of a line to know its id.
const START_BYTES: usize = ID.len() + 32;

/// A file of signals that was read back.
#[derive(Debug)]
pub(super) struct Reread {
    pub(super) file: File,
    /// None where it can't be read back, as a pipe.
    pub(super) id: Option<FileId>,
    /// Where the first line begins that was read.
    pub(super) from: u64,
    pub(super) known: Known,
}

/// Opens a file to append to it, and reads back what is behind the `place` of it, or its end where there is none. So many ids are
/// known at most.
pub(super) fn open(
    path: &Path,
    place: impl Fn(FileId) -> Option<u64>,
    most_ids: usize,
) -> io::Result<Reread> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)?;
    // That there is such a file has to last as long as what is written into it. Not every folder can be synced.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    let metadata = file.metadata()?;
    let mut lines = Lines {
        known: Known::new(most_ids),
        start: Vec::new(),
        first: None,
        ended: 0,
        at: 0,
    };
    // A pipe or a terminal has nothing to read back.
    if !metadata.is_file() {
        return Ok(Reread {
            file,
            id: None,
            from: 0,
            known: lines.known,
        });
    }
    let id = FileId::of(&file)?;
    let length = metadata.len();
    let place = id.and_then(place);
    let place = match place {
        Some(at) if is_line_start(&mut file, at, length)? => Some(at),
        // It was cut or written anew since.
        _ => None,
    };
    let from = place.unwrap_or(length.saturating_sub(REREAD_BYTES));
    let is_line = place.is_some() || from == 0;
    lines.at = from;
    lines.ended = from;
    file.seek(SeekFrom::Start(from))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => lines.take(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let torn = lines.at - lines.ended;
    let tail = &lines.start;
    let is_ours = tail.starts_with(ID) || ID.starts_with(tail);
    if torn > 0 && !is_ours {
        // Whoever wrote it keeps it, on a line of its own.
        file.write_all(b"\n")?;
    } else if torn > 0 && (lines.ended > from || is_line) {
        // Where not even one line ends in all that was read, it is no file of ours.
        let file_name = path.display();
        tracing::warn!(file = %file_name, bytes = torn, "the last line of the signals was torn, and is cut off");
        // The torn one is to come again.
        file.set_len(lines.ended)?;
    }
    // What began before it is not read, and a place is where a line begins.
    let from = if is_line {
        from
    } else {
        lines.first.unwrap_or(from)
    };
    let (known, file_name) = (lines.known, path.display());
    if known.forgotten() > 0 {
        let (forgotten, most) = (known.forgotten(), known.most());
        tracing::warn!(file = %file_name, forgotten, most, "more signals can come again than `signal-ids` are known: those that are forgotten may be written twice");
    }
    Ok(Reread {
        file,
        id,
        from,
        known,
    })
}

/// Whether a line can begin here.
fn is_line_start(file: &mut File, at: u64, length: u64) -> io::Result<bool> {
    if at == 0 || at > length {
        return Ok(at == 0);
    }
    let mut before = [0];
    file.seek(SeekFrom::Start(at - 1))?;
    file.read_exact(&mut before)?;
    Ok(before == *b"\n")
}

/// The lines of a file, as they are read.
struct Lines {
    known: Known,
    /// What the line at hand begins with.
    start: Vec<u8>,
    /// Where the first line ended that did, and the last one.
    first: Option<u64>,
    ended: u64,
    /// How far it is read.
    at: u64,
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.begin(line);
            if let Some(id) = id(&self.start) {
                self.known.add(id);
            }
            self.start.clear();
            self.at += 1;
            self.ended = self.at;
            self.first.get_or_insert(self.at);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.begin(bytes);
    }

    fn begin(&mut self, more: &[u8]) {
        let missing = START_BYTES.saturating_sub(self.start.len());
        let some = more.get(..missing.min(more.len())).unwrap_or_default();
        self.start.extend_from_slice(some);
        self.at += more.len() as u64;
    }
}

/// The id of a signal, or of its line.
fn id(line: &[u8]) -> Option<u128> {
    digits(line.strip_prefix(ID)?.get(..32)?)
}

/// An id as a number.
pub(super) fn digits(id: &[u8]) -> Option<u128> {
    let id = std::str::from_utf8(id).ok().filter(|id| id.len() == 32)?;
    u128::from_str_radix(id, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reread_from(text: &str, place: Option<u64>, most: usize) -> (String, Reread) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("signals.jsonl");
        std::fs::write(&path, text).expect("a file");
        let reread = open(&path, |_| place, most).expect("it is there");
        let left = std::fs::read_to_string(&path).expect("a file");
        (left, reread)
    }

    /// What is left, and which of the first ids are known.
    fn reread(text: &str) -> (String, Vec<u128>) {
        let (left, mut reread) = reread_from(text, None, 100);
        let known = (0..100).filter(|&id| reread.known.take(id));
        (left, known.collect())
    }

    fn line(id: u128) -> String {
        format!("{{\"id\":\"{id:032x}\",\"rule\":\"r\"}}\n")
    }

    #[test]
    fn every_torn_line_is_cut_and_whole_ones_are_known() {
        let whole = [line(1), line(2)].concat();
        let last = line(3);
        for cut in 0..last.len() {
            let (left, known) = reread(&format!("{whole}{}", &last[..cut]));
            assert_eq!(left, whole, "cut at {cut}");
            assert_eq!(known, [1, 2]);
        }
        let (left, known) = reread(&format!("{whole}{last}"));
        assert_eq!((left.len(), known.len()), (whole.len() + last.len(), 3));
        assert_eq!(reread("").1.len(), 0);
        assert_eq!(reread(&last[..20]).0, "");
    }

    #[test]
    fn what_others_wrote_is_passed_over() {
        let (_, known) = reread("{\"id\":\"short\"}\n\n{\"rule\":1}\nhello\n{\"id\":\"é\n");
        assert_eq!(known.len(), 0);
    }

    #[test]
    fn what_is_no_line_of_ours_is_not_cut() {
        for before in ["", "{\"id\":\"", "text\n"] {
            let text = format!("{before}notes without an end");
            let (left, known) = reread(&text);
            let is_torn = before.starts_with('{');
            assert_eq!(left, if is_torn { String::new() } else { text + "\n" });
            assert_eq!(known.len(), 0);
        }
    }

    #[test]
    fn all_behind_the_place_is_known_and_nothing_before_it() {
        let text = (0..50).map(line).collect::<String>();
        let each = line(0).len() as u64;
        for first in [0, 1, 49, 50] {
            let place = u64::try_from(first).expect("small") * each;
            let (_, mut reread) = reread_from(&text, Some(place), 100);
            assert_eq!(reread.from, place);
            let known: Vec<u128> = (0..50).filter(|&id| reread.known.take(id)).collect();
            assert_eq!(known, (first..50).collect::<Vec<u128>>());
        }
        // However much that is.
        let long = line(0) + &"x".repeat(2 * CHUNK_BYTES) + "\n" + &line(1);
        let (_, mut reread) = reread_from(&long, Some(0), 100);
        assert!(reread.known.take(0) && reread.known.take(1));
    }

    #[test]
    fn a_place_that_is_none_in_this_file_is_not_used() {
        let text = (0..3).map(line).collect::<String>();
        let length = text.len() as u64;
        for place in [1, length - 1, length + 1, u64::MAX] {
            let (left, mut reread) = reread_from(&text, Some(place), 100);
            assert_eq!((left.len() as u64, reread.from), (length, 0), "{place}");
            assert!((0..3).all(|id| reread.known.take(id)));
        }
    }

    #[test]
    fn without_a_place_reading_begins_with_a_line() {
        let long = |id| {
            format!(
                "{{\"id\":\"{id:032x}\",\"x\":\"{}\"}}\n",
                "x".repeat(1 << 20)
            )
        };
        let text = (0..66).map(long).collect::<String>();
        let each = long(0).len() as u64;
        let (_, mut reread) = reread_from(&text, None, 100);
        let first = reread.from / each;
        assert_eq!(reread.from % each, 0);
        assert!(first > 0 && text.len() as u64 - reread.from <= REREAD_BYTES);
        let known: Vec<u128> = (0..66).filter(|&id| reread.known.take(id)).collect();
        assert_eq!(known, (u128::from(first)..66).collect::<Vec<u128>>());
        // The next start takes it up from there.
        let (_, again) = reread_from(&text, Some(reread.from), 100);
        assert_eq!(again.from, reread.from);
    }

    #[test]
    fn a_torn_line_that_begins_at_the_place_is_cut() {
        let whole = line(1);
        let (left, _) = reread_from(&format!("{whole}{{\"id"), Some(whole.len() as u64), 9);
        assert_eq!(left, whole);
    }

    #[test]
    fn the_newest_ids_are_known_where_there_are_more_than_may_be() {
        let text = (0..9).map(line).collect::<String>();
        let (_, mut reread) = reread_from(&text, None, 4);
        let known: Vec<u128> = (0..9).filter(|&id| reread.known.take(id)).collect();
        assert_eq!((known, reread.known.forgotten()), (vec![5, 6, 7, 8], 5));
    }

    #[test]
    fn a_signal_begins_with_what_is_looked_for() {
        let emission = crate::signal::fixture::emission();
        let mut written = Vec::new();
        super::super::format::Format::Json.write(&emission, &mut written);
        assert_eq!(id(&written), digits(emission.signal.id.as_bytes()));
        assert!(id(&written).is_some());
    }
}
