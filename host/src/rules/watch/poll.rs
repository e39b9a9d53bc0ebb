//! Looks at files from time to time: what stood still from one look to the next, and is not what was passed on before, was
//! saved.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::rules::sources;
use crate::rules::stamp::Stamp;

pub(super) struct Poll {
    roots: Vec<PathBuf>,
    /// As they were when they last stood still.
    settled: BTreeMap<PathBuf, Option<Stamp>>,
    /// As they were at the last look, where that is another.
    unsettled: BTreeMap<PathBuf, Option<Stamp>>,
    /// Where files really are, to their paths.
    real: HashMap<PathBuf, PathBuf>,
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
            real: HashMap::new(),
            first: true,
        }
    }

    /// Files that changed since the look before this one.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &PathBuf> {
        self.unsettled.keys()
    }

    /// An event told that this file was saved: there is no need to see it stand still.
    pub(super) fn settle(&mut self, path: &Path) {
        let real = std::fs::canonicalize(path).ok();
        let Some(known) = real.as_deref().and_then(|real| self.real.get(real)) else {
            return;
        };
        self.unsettled.remove(known);
        self.settled.insert(known.clone(), Stamp::of(known));
    }

    /// Looks; files of which `is_writing` are left for a later look.
    pub(super) fn look(&mut self, is_writing: impl Fn(&Path) -> bool) -> Found {
        let walked = sources::walk(&self.roots);
        let mut now = BTreeMap::new();
        self.real.clear();
        for (file, real) in walked.sources.files.into_iter().zip(walked.real) {
            now.insert(file.path.clone(), (Stamp::of(&real), is_writing(&real)));
            self.real.insert(real, file.path);
        }
        let mut found = Found::default();
        if std::mem::take(&mut self.first) {
            let stamps = now.into_iter().map(|(path, (stamp, _))| (path, stamp));
            self.settled = stamps.collect();
            return found;
        }
        let before = std::mem::take(&mut self.unsettled);
        let gone = self.settled.len();
        self.settled.retain(|path, _| now.contains_key(path));
        found.moved = self.settled.len() != gone;
        for (path, (stamp, is_writing)) in now {
            if self.settled.get(&path) == Some(&stamp) {
                continue;
            }
            if before.get(&path) != Some(&stamp) || is_writing {
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
        let root = fs::canonicalize(folder.path()).expect("it is there");
        let path = root.join("a.betrace");
        fs::write(&path, "one").expect("a file");
        let mut poll = Poll::new(vec![root]);
        let none = |_: &Path| false;
        assert_eq!(
            poll.look(none),
            Found::default(),
            "what is there at first is known"
        );
        fs::write(&path, "three").expect("a file");
        assert_eq!(poll.look(none), Found::default(), "it changed just now");
        assert_eq!(poll.unsettled().count(), 1);
        assert_eq!(poll.look(|open| open == path), Found::default());
        let saved = Found {
            saved: vec![path.clone()],
            moved: false,
        };
        assert_eq!(poll.look(none), saved);
        assert_eq!(poll.look(none), Found::default());
        fs::write(&path, "fourth").expect("a file");
        assert_eq!(poll.look(none), Found::default());
        poll.settle(&path);
        assert_eq!(poll.unsettled().count(), 0, "an event is as good");
        assert_eq!(poll.look(none), Found::default());
        fs::write(&path, "fifth").expect("a file");
        poll.settle(&path);
        assert_eq!(poll.look(none), Found::default());
        assert_eq!(poll.unsettled().count(), 0, "nor is it told again");
        fs::remove_file(&path).expect("it was there");
        let moved = Found {
            saved: Vec::new(),
            moved: true,
        };
        assert_eq!(poll.look(none), moved);
        fs::write(&path, "four").expect("a file");
        poll.look(none);
        let back = Found {
            saved: vec![path],
            moved: true,
        };
        assert_eq!(poll.look(none), back);
    }
}
