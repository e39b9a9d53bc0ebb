//! What an event of the file system means for rules.
//!
//! A save is a close after writing, or a rename into place. That a file is made or written to is no save: it says that its
//! content is in flux.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};

use super::folders::Folders;
use crate::rules::sources;

/// Whether the system tells that a file was closed after writing. Where it does not, a save is that a file which changed
/// stands still.
const TELLS_CLOSE: bool = cfg!(any(target_os = "linux", target_os = "android"));

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is being written, and its close will be told.
    Writing(PathBuf),
    /// It was written, and nothing will tell when that ends.
    Changed,
    Saved(PathBuf),
    /// Its owner or its rights changed: that may be what kept it from being read.
    Touched(PathBuf),
    /// A file is not there any more.
    Gone(PathBuf),
    /// A folder that events came of is not there any more.
    Moved(PathBuf),
    /// Folders or links came, went or moved.
    Rescan,
    /// Events were lost.
    Lost,
}

/// What an event means, by path; nothing for files that hold no rules.
pub(super) fn meanings(event: &notify::Event, folders: &Folders) -> Vec<Meaning> {
    if event.need_rescan() {
        return vec![Meaning::Lost];
    }
    let paths = event.paths.iter();
    match event.kind {
        // Both ends were told before, one by one.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) if TELLS_CLOSE => Vec::new(),
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            let (from, to) = (event.paths.first(), event.paths.get(1));
            let gone = from.and_then(|path| went(path, folders));
            let here = to.and_then(|path| came(path, folders));
            gone.into_iter().chain(here).collect()
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => {
            paths.filter_map(|path| went(path, folders)).collect()
        }
        EventKind::Modify(ModifyKind::Name(_)) => {
            paths.filter_map(|path| came(path, folders)).collect()
        }
        EventKind::Create(CreateKind::Folder) => vec![Meaning::Rescan],
        EventKind::Create(_) => paths.filter_map(|path| created(path, folders)).collect(),
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => of_rules(paths, Meaning::Saved),
        EventKind::Modify(ModifyKind::Data(_)) => of_rules(paths, written),
        EventKind::Modify(ModifyKind::Metadata(_)) => of_rules(paths, Meaning::Touched),
        // Where a file system tells no more than that something happened, looks find what.
        _ => Vec::new(),
    }
}

fn of_rules<'a>(
    paths: impl Iterator<Item = &'a PathBuf>,
    meaning: impl Fn(PathBuf) -> Meaning,
) -> Vec<Meaning> {
    let rules = paths.filter(|path| sources::file(path).is_some());
    rules.map(|path| meaning(path.clone())).collect()
}

fn written(path: PathBuf) -> Meaning {
    if TELLS_CLOSE {
        Meaning::Writing(path)
    } else {
        Meaning::Changed
    }
}

/// Something was put in place.
fn came(path: &Path, folders: &Folders) -> Option<Meaning> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            sources::file(path).map(|_| Meaning::Saved(path.to_owned()))
        }
        // A folder, or a link: Kubernetes swaps the link `..data`.
        Ok(_) => Some(Meaning::Rescan),
        // Gone again.
        Err(_) => went(path, folders),
    }
}

/// Something was made. A file that is made to be written has yet to be closed; a link has all that it will have.
fn created(path: &Path, folders: &Folders) -> Option<Meaning> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() && !is_link(&metadata) => {
            sources::file(path).map(|_| written(path.to_owned()))
        }
        _ => came(path, folders),
    }
}

/// Whether a file has several names.
fn is_link(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.nlink() > 1
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

fn went(path: &Path, folders: &Folders) -> Option<Meaning> {
    if folders.watches(path) {
        Some(Meaning::Moved(path.to_owned()))
    } else if sources::file(path).is_some() {
        Some(Meaning::Gone(path.to_owned()))
    } else {
        folders.leads_to_rules(path).then_some(Meaning::Rescan)
    }
}
