//! The write-ahead log: what was acknowledged and is not decided yet, on disk.
//!
//! ```text
//! ingest   -> Log::append(request) -> one fdatasync for all that wait -> acknowledged
//! sinks    -> signals written -> Decisions::settle(trace ids) -> their segments are let go
//! start    -> Opened::replay -> the same shards; traces that were decided are remembered
//! ```
//! Two kinds of files: segments of requests, which go when no trace needs them, and segments of decided ids, which stay as
//! long as a trace is remembered, and as the requests that they are about. Both grow at their end only.
//!
//! Each file is one idea: `format` the bytes; `folder` who may use them; `segment` how long one is needed; `clock` the log's
//! time; `place` how far signals are written; `writer` groups of requests; [`decided`] what needs no verdict any more; [`recover`] reading it all back; `disk` files, so that tests can have
//! broken ones; [`counters`] what it tells.

mod clock;
pub mod counters;
pub mod decided;
mod disk;
mod folder;
mod format;
mod place;
pub mod recover;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::alarm::Alarm;
use clock::Clock;
use counters::Counters;
pub use decided::{Decided, Decision, Decisions, Judged};
pub use place::{FileId, Place};
pub use recover::Opened;
pub use segment::{Hold, Logged};

/// Bytes of requests on disk at most, where nobody says otherwise: what 150,000 spans a second of 450 bytes are in a minute,
/// for which a trace without a root is open.
pub const BYTES: u64 = 4 << 30;

/// Segments that the bound has room for. Less of the log is kept for one slow trace the more there are.
const SEGMENTS: u64 = 64;

/// A segment is not made larger than this unless there would be too many: at the start one is read at a time.
const SEGMENT_BYTES: u64 = 64 << 20;

/// The bounds of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Files of requests together.
    pub bytes: u64,
    /// One of them, unless a single request is larger.
    pub segment_bytes: u64,
    /// How long a decided trace is remembered.
    pub remember: Duration,
    /// How many are, of all shards together.
    pub remember_traces: u64,
}

impl Options {
    /// With the files of requests within so many bytes.
    pub fn new(bytes: u64, remember: Duration, remember_traces: u64) -> Options {
        let segment_bytes = (bytes / SEGMENTS)
            .min(SEGMENT_BYTES)
            .max(bytes / (writer::MOST_SEGMENTS * 4 / 5));
        Options {
            bytes,
            segment_bytes,
            remember,
            remember_traces,
        }
    }
}

/// A log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("can't keep a write-ahead log in {}", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the write-ahead log in {} is in use by {}: give each process a folder of its own, or end the other",
        path.display(),
        holder.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
    )]
    Taken { path: PathBuf, holder: Option<u32> },
    #[error("can't read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{} is of version {version} of the write-ahead log, and this betrace reads version {} only: start the betrace that \
         wrote it, let it end what is open, and then this one with another folder",
        path.display(),
        format::VERSION
    )]
    Version { path: PathBuf, version: u16 },
    #[error(
        "the write-ahead log in {} has segments from {first} to {last}, which are more than {}: files were added or taken \
         away; keep the newest and start again",
        path.display(),
        writer::MOST_SEGMENTS
    )]
    TooMany {
        path: PathBuf,
        first: u64,
        last: u64,
    },
    #[error("can't start the thread of the write-ahead log")]
    Thread { source: std::io::Error },
}

/// A request was not logged. All of these may be over when it is sent again, but that it is too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("the write-ahead log can't be written: {reason}: try again later")]
    Write { reason: String },
    #[error("the write-ahead log is at its bound of {limit} bytes: try again later")]
    Full { limit: u64 },
    #[error(
        "the request takes {length} bytes in the write-ahead log, which can hold {limit}: send smaller batches, or raise \
         `log-size`"
    )]
    TooLarge { length: u64, limit: u64 },
    #[error("the write-ahead log has ended: try again")]
    Ended,
}

/// Takes requests. Clones share one log.
#[derive(Clone, Debug)]
pub struct Log {
    entries: Sender<writer::Entry>,
}

/// The writer's thread: joined to know that all is written.
#[derive(Debug)]
pub struct Keeper {
    thread: JoinHandle<()>,
}

/// What a shard sees of the log.
#[derive(Clone, Debug)]
pub struct Pressure(Arc<Shared>);

/// What the parts of a log know of each other.
#[derive(Debug)]
struct Shared {
    options: Options,
    clock: Clock,
    counters: Arc<Counters>,
    alarm: Alarm,
    /// Traces that hold a segment below this number are to be judged as they are.
    evict_below: AtomicU64,
    /// The oldest segment of requests that may be read at the next start: older ones are gone, and durably so.
    oldest: AtomicU64,
    /// The newest segment of requests.
    newest: AtomicU64,
    /// Of files of decided traces.
    decided_bytes: AtomicU64,
}

impl Log {
    /// Appends a request, and waits until it is durable. `charge` stands for its memory and is let go with it, also where nobody
    /// waits any more.
    pub async fn append(
        &self,
        bytes: Bytes,
        charge: Arc<dyn Any + Send + Sync>,
    ) -> Result<Logged, LogError> {
        let (answer, answered) = oneshot::channel();
        let crc = crc32fast::hash(&bytes);
        let entry = writer::Entry {
            bytes,
            crc,
            answer,
            _charge: charge,
        };
        self.entries.send(entry).map_err(|_| LogError::Ended)?;
        answered.await.unwrap_or(Err(LogError::Ended))
    }
}

impl Keeper {
    /// Waits until every [`Log`] is dropped and its thread has ended. Returns whether it ended well.
    pub fn finish(self) -> bool {
        self.thread.join().is_ok()
    }
}

impl Pressure {
    /// Traces that hold a segment below this number are to be judged as they are.
    pub fn evict_below(&self) -> u64 {
        self.0.evict_below.load(Relaxed)
    }

    /// The log's time: later than of any request that is logged.
    pub fn now(&self) -> u64 {
        self.0.clock.next(1)
    }
}
