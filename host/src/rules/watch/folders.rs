//! Which folders to ask the file system for events of: those that hold rules, those that hold what links lead to, and
//! those that the named paths lie in, as a path may come, go and be swapped as a whole.
//!
//! Folders are watched under their real paths, each once: two watches of one folder would be one to the system, and to end
//! the one would end the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::WatchCounters;
use crate::rules::sources;

/// How often in a row folders are looked for that came while others were put under watch. What comes later is told by
/// an event, or found by the next look.
const ROUNDS: usize = 8;

pub(super) struct Folders {
    roots: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// With their identity: one that was replaced has to be watched anew.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    /// Where the named paths are or would be, and the links that lead to rules.
    ways: BTreeSet<PathBuf>,
    /// Folders that no events can be had of.
    refused: BTreeSet<PathBuf>,
    counters: Arc<WatchCounters>,
}

impl Folders {
    pub(super) fn new(
        roots: Vec<PathBuf>,
        watcher: Option<RecommendedWatcher>,
        counters: Arc<WatchCounters>,
    ) -> Folders {
        Folders {
            roots,
            watcher,
            watched: BTreeMap::new(),
            ways: BTreeSet::new(),
            refused: BTreeSet::new(),
            counters,
        }
    }

    pub(super) fn watches(&self, folder: &Path) -> bool {
        self.watched.contains_key(folder)
    }

    /// Whether a path is one that was named, or a link to rules.
    pub(super) fn leads_to_rules(&self, path: &Path) -> bool {
        self.ways.contains(path)
    }

    /// Whether events tell what happens to a file, given by where it really is.
    pub(super) fn covers(&self, real: &Path) -> bool {
        real.parent().is_some_and(|folder| self.watches(folder))
    }

    /// A folder was moved or removed. Whether or not something is at its path by now, no events of that can be expected.
    pub(super) fn forget(&mut self, folder: &Path) {
        self.end_watching(|path| path.starts_with(folder));
    }

    /// As after [`Folders::forget`] of all.
    pub(super) fn forget_all(&mut self) {
        self.end_watching(|_| true);
    }

    fn end_watching(&mut self, which: impl Fn(&Path) -> bool) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        self.watched.retain(|path, _| {
            let ends = which(path);
            if ends {
                // The system may have ended it already.
                let _ = watcher.unwatch(path);
            }
            !ends
        });
    }

    /// Watches what is there now; returns whether that is more than before.
    pub(super) fn refresh(&mut self) -> bool {
        if self.watcher.is_none() {
            return false;
        }
        let mut more = false;
        for _ in 0..ROUNDS {
            if !self.watch_new() {
                break;
            }
            more = true;
        }
        more
    }

    fn watch_new(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let (wanted, ways) = wanted(&self.roots);
        self.ways = ways;
        self.watched.retain(|path, id| {
            let stays = wanted.get(path) == Some(id);
            if !stays {
                // It went with the folder, where that is gone.
                let _ = watcher.unwatch(path);
            }
            stays
        });
        let mut more = false;
        for (path, id) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.refused.remove(&path);
                    self.watched.insert(path, id);
                    more = true;
                }
                Err(error) => {
                    if self.refused.insert(path.clone()) {
                        self.counters.unwatched.fetch_add(1, Relaxed);
                        tracing::warn!(folder = %path.display(), %error, "no events of this folder; it is looked at from time to time");
                    }
                }
            }
        }
        more
    }
}

/// The folders to watch, and the ways to them.
fn wanted(roots: &[PathBuf]) -> (BTreeMap<PathBuf, (u64, u64)>, BTreeSet<PathBuf>) {
    let mut folders = BTreeSet::new();
    let mut ways = BTreeSet::new();
    for root in roots {
        folders.extend(nearest_folder(root));
        ways.extend(places(root));
    }
    let found = sources::walk(roots);
    for (file, real) in found.sources.files.iter().zip(&found.real) {
        folders.extend(file.path.parent().map(Path::to_owned));
        if *real != file.path {
            follow(&file.path, &mut folders, &mut ways);
        }
    }
    for folder in found.folders {
        follow(&folder, &mut folders, &mut ways);
        folders.insert(folder);
    }
    let real: BTreeSet<PathBuf> = folders
        .into_iter()
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .collect();
    let with_identity = |path: PathBuf| Some((path.clone(), identity(&path)?));
    (real.into_iter().filter_map(with_identity).collect(), ways)
}

/// Where a link leads, and each link on the way.
fn follow(path: &Path, folders: &mut BTreeSet<PathBuf>, ways: &mut BTreeSet<PathBuf>) {
    let mut at = path.to_owned();
    for _ in 0..sources::DEPTH {
        let Ok(to) = std::fs::read_link(&at) else {
            break;
        };
        let Some((folder, name)) = at.parent().zip(at.file_name()) else {
            break;
        };
        if let Ok(folder) = std::fs::canonicalize(folder) {
            ways.insert(folder.join(name));
        }
        at = folder.join(&to);
        folders.extend(at.parent().map(Path::to_owned));
    }
    let real = std::fs::canonicalize(path).ok();
    folders.extend(real.as_deref().and_then(Path::parent).map(Path::to_owned));
}

/// The folder that a named path lies in or, while that is not there, the nearest above it.
fn nearest_folder(root: &Path) -> Option<PathBuf> {
    let mut above = root.ancestors().skip(1);
    above.find(|folder| folder.is_dir()).map(Path::to_owned)
}

/// A named path as events name it, and what is missing above it.
fn places(root: &Path) -> Vec<PathBuf> {
    let Some(folder) = nearest_folder(root) else {
        return Vec::new();
    };
    let rest = root.strip_prefix(&folder).unwrap_or(Path::new(""));
    let mut at = std::fs::canonicalize(&folder).unwrap_or(folder);
    rest.components()
        .map(|part| {
            at.push(part);
            at.clone()
        })
        .collect()
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok().filter(|m| m.is_dir())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        Some((0, 0))
    }
}
