//! Writes batches of signals to a file or stdout, and knows what to do when that fails.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::format::Format;
use crate::signal::Emission;

/// An open stream of signals.
pub struct Stream {
    name: String,
    format: Format,
    out: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    /// The last write failed, so that half a line may stand there.
    torn: bool,
    until_closed: bool,
    counters: Arc<Counters>,
}

/// What became of signals.
#[derive(Debug, Default)]
pub struct Counters {
    written: AtomicU64,
    lost: AtomicU64,
    closed: AtomicBool,
    /// Bytes that wait for the writer.
    pub(super) queued: AtomicU64,
    /// How often somebody waited for there to be fewer.
    pub(super) waits: AtomicU64,
}

/// A batch could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteError {
    pub target: String,
    pub reason: String,
}

impl Stream {
    pub fn new(name: &str, format: Format, out: Box<dyn Write + Send>) -> Stream {
        Stream {
            name: name.to_owned(),
            format,
            out,
            buffer: Vec::new(),
            torn: false,
            until_closed: false,
            counters: Arc::default(),
        }
    }

    /// Ends without a word when its reader closes it, as `head` does.
    pub fn until_closed(mut self) -> Stream {
        self.until_closed = true;
        self
    }

    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Writes and flushes `batch`. Where that fails the batch is lost, and the next one starts on a line of its own.
    pub fn write(&mut self, batch: &[Emission]) -> Result<(), WriteError> {
        self.buffer.clear();
        if self.torn {
            self.buffer.push(b'\n');
        }
        for emission in batch {
            self.format.write(emission, &mut self.buffer);
        }
        let result = self
            .out
            .write_all(&self.buffer)
            .and_then(|()| self.out.flush());
        self.torn = result.is_err();
        match result {
            Ok(()) => {
                self.counters.written.fetch_add(batch.len() as u64, Relaxed);
                Ok(())
            }
            Err(error) => {
                self.counters.lose(batch.len());
                if self.until_closed && error.kind() == io::ErrorKind::BrokenPipe {
                    self.counters.closed.store(true, Relaxed);
                }
                Err(WriteError {
                    target: self.name.clone(),
                    reason: error.to_string(),
                })
            }
        }
    }
}

impl Counters {
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// What waits for the writer takes so many bytes of memory.
    pub fn queued_bytes(&self) -> u64 {
        self.queued.load(Relaxed)
    }

    /// How often a worker waited, as what waited for the writer was at its bound.
    pub fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// The reader of a stream [`until_closed`](Stream::until_closed) is gone.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(super) fn lose(&self, signals: usize) {
        self.lost.fetch_add(signals as u64, Relaxed);
    }
}

impl WriteError {
    pub(super) fn stopped() -> WriteError {
        WriteError {
            target: "the sink".to_owned(),
            reason: "its writer stopped".to_owned(),
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("name", &self.name)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Opens a file to append lines to. A last line that a crash cut off is ended first, so that it spoils no other.
pub fn append(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)?;
    // A pipe or a terminal has no end to look at.
    if file.metadata()?.is_file() && file.seek(SeekFrom::End(-1)).is_ok() {
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
