//! Looks at files from time to time: what stood still from one look to the next, and is not what was passed on before, was
//! saved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::rules::sources;
use crate::rules::stamp::Stamp;

pub(super) struct Poll {
    roots: Vec<PathBuf>,
    /// As they were when they last stood still.
    settled: BTreeMap<PathBuf, Option<Stamp>>,
    /// As they were at the last look, where that is another.
    unsettled: BTreeMap<PathBuf, Option<Stamp>>,
    first: bool,
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) saved: Vec<PathBuf>,
    /// Files came or went.
    pub(super) moved: bool,
}

impl Poll {
    pub(super) fn new(roots: Vec<PathBuf>) -> Poll {
        Poll {
            roots,
            settled: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            first: true,
        }
    }

    /// Files that changed since the look before this one.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &PathBuf> {
        self.unsettled.keys()
    }

    /// An event told that this file was saved: there is no need to see it stand still.
    pub(super) fn settle(&mut self, path: &Path) {
        let is_it = |known: &PathBuf| {
            known == path || std::fs::canonicalize(known).is_ok_and(|real| real == path)
        };
        let settled: Vec<PathBuf> = self
            .unsettled
            .keys()
            .filter(|k| is_it(k))
            .cloned()
            .collect();
        for known in settled {
            self.unsettled.remove(&known);
            let stamp = Stamp::of(&known);
            self.settled.insert(known, stamp);
        }
    }

    /// Looks; files that are known to be in the middle of being written are left for a later look.
    pub(super) fn look(&mut self, writing: &BTreeSet<PathBuf>) -> Found {
        let now: BTreeMap<PathBuf, Option<Stamp>> = sources::find(&self.roots)
            .files
            .into_iter()
            .map(|file| (file.path.clone(), Stamp::of(&file.path)))
            .collect();
        let mut found = Found::default();
        if std::mem::take(&mut self.first) {
            self.settled = now;
            return found;
        }
        let before = std::mem::take(&mut self.unsettled);
        let gone = self.settled.len();
        self.settled.retain(|path, _| now.contains_key(path));
        found.moved = self.settled.len() != gone;
        for (path, stamp) in now {
            if self.settled.get(&path) == Some(&stamp) {
                continue;
            }
            if before.get(&path) != Some(&stamp) || writing.contains(&path) {
                self.unsettled.insert(path, stamp);
                continue;
            }
            if self.settled.insert(path.clone(), stamp).is_none() {
                found.moved = true;
            }
            found.saved.push(path);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_saved_when_it_stood_still_for_a_look() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.betrace");
        fs::write(&path, "one").expect("a file");
        let mut poll = Poll::new(vec![folder.path().to_owned()]);
        let none = BTreeSet::new();
        assert_eq!(
            poll.look(&none),
            Found::default(),
            "what is there at first is known"
        );
        fs::write(&path, "three").expect("a file");
        assert_eq!(poll.look(&none), Found::default(), "it changed just now");
        assert_eq!(poll.unsettled().count(), 1);
        let writing = BTreeSet::from([path.clone()]);
        assert_eq!(poll.look(&writing), Found::default(), "it is open");
        let saved = Found {
            saved: vec![path.clone()],
            moved: false,
        };
        assert_eq!(poll.look(&none), saved);
        assert_eq!(poll.look(&none), Found::default());
        fs::write(&path, "fourth").expect("a file");
        assert_eq!(poll.look(&none), Found::default());
        poll.settle(&path);
        assert_eq!(poll.unsettled().count(), 0, "an event is as good");
        assert_eq!(poll.look(&none), Found::default());
        fs::remove_file(&path).expect("it was there");
        let moved = Found {
            saved: Vec::new(),
            moved: true,
        };
        assert_eq!(poll.look(&none), moved);
        fs::write(&path, "four").expect("a file");
        poll.look(&none);
        let back = Found {
            saved: vec![path],
            moved: true,
        };
        assert_eq!(poll.look(&none), back);
    }
}
