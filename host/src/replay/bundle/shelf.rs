//! The folder of bundles: so many and so large together, the oldest go. A file is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::engine::FaultKind;

/// What a bundle's name ends with. Other files in the folder are nobody's business.
const ENDING: &str = "bundle";

/// A bundle that is being written. One writer a folder: what it finds there is a file that a crash has left.
const WRITING: &str = ".writing.tmp";

/// Characters of a rule's id in a file's name.
const ID: usize = 60;

/// A folder of bundles.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    most: usize,
    bytes: u64,
}

/// What putting a bundle there led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    Written {
        path: PathBuf,
        removed: u64,
    },
    /// Alone it is larger than all may be together.
    TooLarge,
}

impl Shelf {
    /// Makes the folder, if it is not there.
    pub fn open(folder: &Path, most: usize, bytes: u64) -> io::Result<Shelf> {
        fs::create_dir_all(folder)?;
        Ok(Shelf {
            folder: folder.to_owned(),
            most,
            bytes,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a bundle, and removes the oldest until all keep within the bounds.
    pub fn put(&self, rule: &str, kind: FaultKind, at: u64, bytes: &[u8]) -> io::Result<Put> {
        if bytes.len() as u64 > self.bytes {
            return Ok(Put::TooLarge);
        }
        let path = self.folder.join(name(rule, kind, at));
        let writing = self.folder.join(WRITING);
        let mut file = File::create(&writing)?;
        file.write_all(bytes)?;
        // Before it has its name, so that a crash can't leave the name without the content.
        file.sync_all()?;
        fs::rename(&writing, &path)?;
        let removed = self.trim(&path)?;
        Ok(Put::Written { path, removed })
    }

    fn trim(&self, newest: &Path) -> io::Result<u64> {
        let mut held = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // One that is gone by now takes no room.
            if let (true, Ok(metadata)) = (is_bundle(&path), fs::metadata(&path)) {
                held.push((path, metadata.len()));
            }
        }
        // Names begin with the time.
        held.sort();
        let mut count = held.len();
        let mut bytes: u64 = held.iter().map(|(_, bytes)| bytes).sum();
        let mut removed = 0;
        for (path, len) in held {
            if count <= self.most && bytes <= self.bytes {
                break;
            }
            if path != newest {
                fs::remove_file(&path)?;
                (count, bytes, removed) = (count - 1, bytes - len, removed + 1);
            }
        }
        Ok(removed)
    }
}

fn is_bundle(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == ENDING)
}

/// Sorts by time, and says what it is. A rule's id may hold anything, a file's name may not.
fn name(rule: &str, kind: FaultKind, at: u64) -> String {
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => c,
        _ => '_',
    };
    let id: String = rule.chars().take(ID).map(plain).collect();
    format!("{:013}-{id}-{}.{ENDING}", at / 1_000_000, kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("it is there");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_go_for_count_and_for_bytes_and_other_files_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("made");
        let shelf = Shelf::open(&inside, 3, 100).expect("it is made");
        fs::write(inside.join("notes.txt"), [0; 500]).expect("a file");
        fs::write(inside.join(WRITING), "what a crash has left").expect("a file");
        let put = |at: u64, bytes: usize| {
            let put = shelf.put("a/../b", FaultKind::Trap, at * MS, &vec![0; bytes]);
            match put.expect("it can be written") {
                Put::Written { removed, .. } => Some(removed),
                Put::TooLarge => None,
            }
        };
        assert_eq!(put(1, 10), Some(0));
        assert_eq!(put(2, 10), Some(0));
        assert_eq!(put(3, 10), Some(0));
        assert_eq!(put(4, 10), Some(1), "four are too many");
        assert_eq!(put(5, 85), Some(2), "too many, and still too large");
        assert_eq!(
            names(&inside),
            [
                "0000000000004-a____b-trap.bundle",
                "0000000000005-a____b-trap.bundle",
                "notes.txt"
            ]
        );
        assert_eq!(put(6, 101), None);
        // A clock that went back does not cost the one that was just written.
        assert_eq!(put(1, 100), Some(2));
        assert_eq!(
            names(&inside),
            ["0000000000001-a____b-trap.bundle", "notes.txt"]
        );
    }
}
