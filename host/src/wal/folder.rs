//! The folder of a log: one process at a time, and nobody else reads it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::OpenError;
use super::format::Kind;

/// Held by the process that uses the folder. It holds the process' id, for whoever is refused.
const LOCK: &str = "lock";

/// What a file is called whose segment was trimmed and that waits to be used again.
const SPARE: &str = "spare";

/// Digits of a number in a file's name, so that names sort as numbers do.
const DIGITS: usize = 20;

/// A folder that this process has for itself until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The folder itself, to sync what was made and removed in it.
    itself: File,
    _lock: File,
}

/// A segment's file as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

impl Folder {
    /// Makes it where it is not there, and takes it.
    pub(super) fn open(path: &Path) -> Result<Folder, OpenError> {
        let failed = |source| OpenError::Folder {
            path: path.to_owned(),
            source,
        };
        make(path).map_err(failed)?;
        let lock = lock(path)?;
        let folder = Folder {
            path: path.to_owned(),
            itself: File::open(path).map_err(failed)?,
            _lock: lock,
        };
        for spare in folder.named(SPARE).map_err(failed)? {
            fs::remove_file(spare).map_err(failed)?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a segment.
    pub(super) fn file(&self, kind: Kind, number: u64) -> PathBuf {
        self.path
            .join(format!("{}-{number:0DIGITS$}.wal", prefix(kind)))
    }

    /// A name for a file that waits to be used again.
    pub(super) fn spare(&self, number: u64) -> PathBuf {
        self.path.join(format!("{SPARE}-{number:0DIGITS$}"))
    }

    /// The segments of a kind, by number.
    pub(super) fn segments(&self, kind: Kind) -> io::Result<Vec<Entry>> {
        let mut segments = Vec::new();
        for path in self.named(prefix(kind))? {
            let name = path.file_stem().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.rsplit('-').next()?.parse().ok());
            // A name that somebody else gave is none of ours.
            let Some(number) = number.filter(|&number| self.file(kind, number) == path) else {
                continue;
            };
            let bytes = fs::metadata(&path)?.len();
            segments.push(Entry {
                number,
                path,
                bytes,
            });
        }
        segments.sort_by_key(|segment| segment.number);
        Ok(segments)
    }

    /// Makes durable which files there are.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.itself.sync_all()
    }

    fn named(&self, prefix: &str) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_named = name.to_str().is_some_and(|name| {
                name.strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with('-'))
            });
            if is_named && entry.file_type()?.is_file() {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }
}

fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Requests => "requests",
        Kind::Decided => "decided",
    }
}

/// Traces hold what users did: others on the machine have no business in it.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing = path.ancestors().take_while(|folder| !folder.exists());
    let missing: Vec<&Path> = missing.collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    // Each is an entry of the one above.
    for made in missing {
        let parent = made
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let failed = |source| OpenError::Folder {
        path: path.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    private(&mut options);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // It may not have been written yet.
            let _ = file.take(32).read_to_string(&mut holder);
            return Err(OpenError::Taken {
                path: folder.to_owned(),
                holder: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// A file that is made with these options is its owner's alone.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_has_it() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("deep/data");
        let first = Folder::open(&path).expect("it is free");
        let refused = Folder::open(&path).expect_err("it is taken");
        let said = refused.to_string();
        let us = std::process::id().to_string();
        assert!(said.contains(&us), "{said}");
        drop(first);
        Folder::open(&path).expect("it is free again");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("data");
        let _folder = Folder::open(&path).expect("it is free");
        let mode = |path: &Path| {
            fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
        };
        assert_eq!(mode(&path) & 0o777, 0o700);
        assert_eq!(mode(&path.join(LOCK)) & 0o777, 0o600);
    }

    #[test]
    fn segments_are_found_by_number_and_strangers_are_left_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(parent.path()).expect("it is free");
        for number in [12, 3, 100] {
            fs::write(folder.file(Kind::Requests, number), "x").expect("a file");
        }
        fs::write(folder.file(Kind::Decided, 1), "x").expect("a file");
        for stranger in ["requests-4.wal", "requests-.wal", "requests", "notes.txt"] {
            fs::write(parent.path().join(stranger), "x").expect("a file");
        }
        fs::write(folder.spare(9), "x").expect("a file");
        let numbers = |kind| {
            let segments = folder.segments(kind).expect("it is read");
            segments.iter().map(|s| s.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(Kind::Requests), [3, 12, 100]);
        assert_eq!(numbers(Kind::Decided), [1]);
        let spare = folder.spare(9);
        drop(folder);
        let _folder = Folder::open(parent.path()).expect("it is free");
        assert!(!spare.exists(), "it holds nothing that is needed");
    }
}
