//! Optimised machine code on disk: so a start with thousands of rules compiles nothing.
//!
//! An entry is a file named by its key: a hash over the component and over everything else that its code depends on, which are
//! wasmtime's release, the processor's features and the engine's settings. What is in it would be executed, so
//! - the folder has to belong to the host's user, and no one else may write in it;
//! - an entry has the checksum of what was written; a torn or damaged one is removed, and its rule compiled again.
//!
//! The checksum is no signature: whoever can write as the host's user can do to it what he likes anyway.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What an entry begins with; the last byte is the format's version.
const MAGIC: &[u8; 8] = b"betcode\x01";

/// Magic, key and checksum.
const HEADER: usize = MAGIC.len() + 2 * blake3::OUT_LEN;

/// What an entry's name ends with. Other files in the folder are nobody's business.
const ENDING: &str = "code";

/// What an entry's name ends with while it is written.
const WRITING: &str = "writing";

/// An entry is at most so long: the machine code of the largest component that a host can be told to take.
const ENTRY_BYTES: u64 = 4 << 30;

/// The bits of a mode that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// A folder of machine code.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    most: u64,
    held: Mutex<Held>,
    counters: Counters,
}

/// The entries that are there.
#[derive(Debug, Default)]
struct Held {
    entries: HashMap<String, Entry>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    used: SystemTime,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    damaged: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
    evicted: AtomicU64,
}

/// What a cache did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub hits: u64,
    pub misses: u64,
    /// Entries that were not what had been written.
    pub damaged: u64,
    pub written: u64,
    /// Entries that could not be read or written.
    pub failed: u64,
    /// Entries that went for newer ones.
    pub evicted: u64,
    pub entries: u64,
    pub bytes: u64,
}

/// Why a folder can't hold machine code.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("can't keep machine code in {}: {source}", folder.display())]
    Io { folder: PathBuf, source: io::Error },
    #[error("can't keep machine code in {}: it is no folder", folder.display())]
    NoFolder { folder: PathBuf },
    #[error(
        "machine code in {} can't be trusted: the folder belongs to user {owner}, and the host runs as {user}; name a folder of its own",
        folder.display()
    )]
    Owner {
        folder: PathBuf,
        owner: u32,
        user: u32,
    },
    #[error(
        "machine code in {} can't be trusted: other users may write there (mode {mode:o}); `chmod go-w` it, or name another folder",
        folder.display()
    )]
    Writable { folder: PathBuf, mode: u32 },
}

impl Cache {
    /// Opens a folder for up to `most` bytes, and makes it if it is not there.
    pub fn open(folder: &Path, most: u64) -> Result<Cache, CacheError> {
        let failed = |source| CacheError::Io {
            folder: folder.to_owned(),
            source,
        };
        // Only the last part is for this host alone; those above it are as others find them useful.
        if let Some(above) = folder
            .parent()
            .filter(|above| !above.as_os_str().is_empty())
        {
            fs::create_dir_all(above).map_err(failed)?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let metadata = fs::metadata(folder).map_err(failed)?;
        check(folder, &metadata)?;
        let cache = Cache {
            folder: folder.to_owned(),
            most,
            held: Mutex::new(look(folder).map_err(failed)?),
            counters: Counters::default(),
        };
        cache.trim(&mut cache.held());
        Ok(cache)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let held = self.held();
        Counts {
            hits: of(&self.counters.hits),
            misses: of(&self.counters.misses),
            damaged: of(&self.counters.damaged),
            written: of(&self.counters.written),
            failed: of(&self.counters.failed),
            evicted: of(&self.counters.evicted),
            entries: held.entries.len() as u64,
            bytes: held.bytes,
        }
    }

    /// What was put there under this key, unchanged; none where nothing was, or something else is there now.
    pub(super) fn get(&self, key: &blake3::Hash) -> Option<Vec<u8>> {
        let name = name(key);
        let path = self.folder.join(&name);
        let found = match read(&path, key) {
            Ok(found) => found,
            Err(error) => {
                self.failed(&path, &error);
                None
            }
        };
        match found {
            Some(Content::Whole(artifact)) => {
                self.counters.hits.fetch_add(1, Relaxed);
                self.used(name, (artifact.len() + HEADER) as u64);
                Some(artifact)
            }
            Some(Content::Damaged(why)) => {
                self.refuse(key, why);
                None
            }
            None => {
                self.counters.misses.fetch_add(1, Relaxed);
                None
            }
        }
    }

    /// Keeps what was compiled. Where that fails, it is compiled again some time.
    pub(super) fn put(&self, key: &blake3::Hash, artifact: &[u8]) {
        let bytes = (artifact.len() + HEADER) as u64;
        if bytes > self.most.min(ENTRY_BYTES) {
            return;
        }
        let name = name(key);
        let path = self.folder.join(&name);
        match self.write(&path, key, artifact) {
            Ok(()) => {
                self.counters.written.fetch_add(1, Relaxed);
                self.used(name, bytes);
            }
            Err(error) => self.failed(&path, &error),
        }
    }

    /// Takes out an entry that is not what it should be.
    pub(super) fn refuse(&self, key: &blake3::Hash, why: &str) {
        let name = name(key);
        let path = self.folder.join(&name);
        self.counters.damaged.fetch_add(1, Relaxed);
        tracing::warn!(
            file = %path.display(),
            "kept machine code is not used, and compiled again: {why}"
        );
        let mut held = self.held();
        held.remove(&name);
        // What is left there is written over, or refused again.
        let _ = fs::remove_file(path);
    }

    /// A file under another name first: an entry is there whole or not at all, but for a crash of the machine, after which its
    /// checksum is wrong.
    fn write(&self, path: &Path, key: &blake3::Hash, artifact: &[u8]) -> io::Result<()> {
        let checksum = blake3::hash(artifact);
        let writing = path.with_extension(WRITING);
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&writing)?;
        let header = [MAGIC, key.as_bytes() as &[u8], checksum.as_bytes()].concat();
        let written = file
            .write_all(&header)
            .and_then(|()| file.write_all(artifact));
        let renamed = written.and_then(|()| fs::rename(&writing, path));
        if renamed.is_err() {
            let _ = fs::remove_file(&writing);
        }
        renamed
    }

    fn used(&self, name: String, bytes: u64) {
        let now = SystemTime::now();
        // For the next run. Where it fails, the entry looks older than it is.
        let touched = File::options().append(true).open(self.folder.join(&name));
        let _ = touched.and_then(|file| file.set_modified(now));
        let mut held = self.held();
        held.remove(&name);
        held.bytes += bytes;
        held.entries.insert(name, Entry { bytes, used: now });
        self.trim(&mut held);
    }

    /// Lets the entries go that were used longest ago, until a tenth is free: so that not every new one has to look for others.
    fn trim(&self, held: &mut Held) {
        if held.bytes <= self.most {
            return;
        }
        let mut oldest: Vec<(SystemTime, String)> = held
            .entries
            .iter()
            .map(|(name, entry)| (entry.used, name.clone()))
            .collect();
        oldest.sort();
        for (_, name) in oldest {
            if held.bytes <= self.most - self.most / 10 {
                break;
            }
            held.remove(&name);
            self.counters.evicted.fetch_add(1, Relaxed);
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    fn failed(&self, path: &Path, error: &io::Error) {
        // Told once, as the next ten thousand will fail alike.
        if self.counters.failed.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(file = %path.display(), %error, "machine code can't be kept: rules are compiled at the next start");
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.bytes -= entry.bytes;
        }
    }
}

/// Whether nobody else can have put machine code there.
fn check(folder: &Path, metadata: &fs::Metadata) -> Result<(), CacheError> {
    let folder = || folder.to_owned();
    let user = rustix::process::geteuid().as_raw();
    if !metadata.is_dir() {
        return Err(CacheError::NoFolder { folder: folder() });
    }
    if metadata.uid() != user {
        return Err(CacheError::Owner {
            folder: folder(),
            owner: metadata.uid(),
            user,
        });
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(CacheError::Writable {
            folder: folder(),
            mode: metadata.mode() & 0o7777,
        });
    }
    Ok(())
}

/// The entries of a folder. What a crash has left half-written is removed.
fn look(folder: &Path) -> io::Result<Held> {
    let mut held = Held::default();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let ending = path.extension().unwrap_or_default();
        if ending == WRITING {
            let _ = fs::remove_file(&path);
        }
        let (true, Ok(metadata)) = (ending == ENDING, entry.metadata()) else {
            continue;
        };
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let entry = Entry {
            bytes: metadata.len(),
            used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        };
        held.bytes += entry.bytes;
        held.entries.insert(name, entry);
    }
    Ok(held)
}

fn name(key: &blake3::Hash) -> String {
    format!("{}.{ENDING}", key.to_hex())
}

/// What is in an entry.
enum Content {
    Whole(Vec<u8>),
    /// Why it is not what was written.
    Damaged(&'static str),
}

/// The content of an entry; none where there is no such file.
fn read(path: &Path, key: &blake3::Hash) -> io::Result<Option<Content>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let metadata = file.metadata()?;
    // The folder's owner may have put a link there.
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_file() || !is_own || metadata.mode() & OTHERS_WRITE != 0 {
        return Ok(Some(Content::Damaged(
            "it is not a file that only this user can write",
        )));
    }
    if !(HEADER as u64..=ENTRY_BYTES).contains(&metadata.len()) {
        return Ok(Some(Content::Damaged("its length is impossible")));
    }
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let (magic, hashes) = header.split_at(MAGIC.len());
    let (its_key, checksum) = hashes.split_at(blake3::OUT_LEN);
    if magic != MAGIC {
        return Ok(Some(Content::Damaged("it is of another format")));
    }
    if its_key != key.as_bytes() {
        return Ok(Some(Content::Damaged("it is the code of something else")));
    }
    let rest = metadata.len() - HEADER as u64;
    let mut artifact = Vec::with_capacity(usize::try_from(rest).unwrap_or_default());
    file.take(ENTRY_BYTES).read_to_end(&mut artifact)?;
    if blake3::hash(&artifact).as_bytes() != checksum {
        return Ok(Some(Content::Damaged("its checksum is wrong")));
    }
    Ok(Some(Content::Whole(artifact)))
}
