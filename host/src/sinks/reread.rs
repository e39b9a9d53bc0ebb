//! A file of signals, found again after a crash: its torn last line is cut, and the ids of its last signals are known, so that
//! none is written a second time.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How much of the file is read back. Signals that may come again are those that were written since the last decided traces
/// were synced: at most `UNSYNCED_BYTES` of `kept` and one group, which is less than half of this.
pub const REREAD_BYTES: u64 = 64 << 20;

/// What every line of ours begins with; 32 hexadecimal digits follow.
const ID: &[u8] = b"{\"id\":\"";

/// Opens a file to append to it.
pub(super) fn open(path: &Path) -> io::Result<(File, HashSet<u128>)> {
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
    // A pipe or a terminal has nothing to read back.
    if !file.metadata()?.is_file() {
        return Ok((file, HashSet::new()));
    }
    let length = file.metadata()?.len();
    let from = length.saturating_sub(REREAD_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file)
        .take(REREAD_BYTES)
        .read_to_end(&mut bytes)?;
    let whole = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let torn = bytes.len() - whole;
    let tail = bytes.get(whole..).unwrap_or_default();
    let is_ours = tail.starts_with(ID) || ID.starts_with(tail);
    if torn > 0 && !is_ours {
        // Whoever wrote it keeps it, on a line of its own.
        file.write_all(b"\n")?;
    } else if torn > 0 && (whole > 0 || from == 0) {
        // Where not even one line ends in all that was read, it is no file of ours.
        let file_name = path.display();
        tracing::warn!(file = %file_name, bytes = torn, "the last line of the signals was torn, and is cut off");
        file.set_len(from + whole as u64)?;
    }
    // The torn one is to come again.
    bytes.truncate(whole);
    let lines = bytes.split(|&byte| byte == b'\n');
    Ok((file, lines.filter_map(id).collect()))
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

    fn reread(text: &str) -> (String, HashSet<u128>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("signals.jsonl");
        std::fs::write(&path, text).expect("a file");
        let (_, known) = open(&path).expect("it is there");
        (std::fs::read_to_string(&path).expect("a file"), known)
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
            assert_eq!(known, HashSet::from([1, 2]));
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
    fn a_signal_begins_with_what_is_looked_for() {
        let emission = crate::signal::fixture::emission();
        let mut written = Vec::new();
        super::super::format::Format::Json.write(&emission, &mut written);
        assert_eq!(id(&written), digits(emission.signal.id.as_bytes()));
        assert!(id(&written).is_some());
    }
}
