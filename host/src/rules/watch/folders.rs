//! Which folders to ask the file system for events of: those that hold rules, those that hold what links lead to, and
//! those that the named paths lie in, as a path may come, go and be swapped as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::WatchCounters;
use crate::rules::sources;

pub(super) struct Folders {
    roots: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// With their identity: one that was replaced has to be watched anew.
    watched: BTreeMap<PathBuf, (u64, u64)>,
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
            counters,
        }
    }

    /// Whether a path is that of a folder of rules, or of a path that was named.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.watched.contains_key(path) || self.roots.iter().any(|root| root == path)
    }

    /// Watches what is there now.
    pub(super) fn refresh(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let wanted = wanted(&self.roots);
        self.watched.retain(|path, id| {
            let stays = wanted.get(path) == Some(id);
            if !stays {
                // It went with the folder, where that is gone.
                let _ = watcher.unwatch(path);
            }
            stays
        });
        for (path, id) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, id);
                }
                Err(error) => {
                    if self.counters.unwatched.fetch_add(1, Relaxed) == 0 {
                        tracing::warn!(folder = %path.display(), %error, "no events of this folder; it is looked at from time to time");
                    }
                }
            }
        }
    }
}

fn wanted(roots: &[PathBuf]) -> BTreeMap<PathBuf, (u64, u64)> {
    let mut paths = BTreeSet::new();
    for root in roots {
        paths.extend(nearest_folder(root));
    }
    let found = sources::walk(roots);
    paths.extend(found.folders);
    for file in &found.sources.files {
        paths.extend(file.path.parent().map(in_place));
        // Where a link leads, and each link on the way.
        let mut at = file.path.clone();
        for _ in 0..sources::DEPTH {
            let Ok(to) = std::fs::read_link(&at) else {
                break;
            };
            at = at.parent().map_or(to.clone(), |folder| folder.join(&to));
            paths.extend(at.parent().map(in_place));
        }
        let real = std::fs::canonicalize(&file.path).ok();
        paths.extend(real.as_deref().and_then(Path::parent).map(Path::to_owned));
    }
    let with_identity = |path: PathBuf| Some((path.clone(), identity(&path)?));
    paths.into_iter().filter_map(with_identity).collect()
}

/// The folder that a named path lies in or, while that is not there, the nearest above it.
fn nearest_folder(root: &Path) -> Option<PathBuf> {
    root.ancestors()
        .skip(1)
        .map(in_place)
        .find(|folder| folder.is_dir())
}

/// The empty path is that of the current folder.
fn in_place(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    }
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
