//! Writes batches of signals to a file or stdout, and knows what to do when that fails.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::format::Format;
use super::known::{DEFAULT_IDS, Known};
use super::reach::Reach;
use super::reread::{Reread, digits};
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
    /// What of the buffer is written, and how many signals are in it.
    rendered: Rendered,
    /// The file itself, where there is one that can be synced.
    file: Option<File>,
    /// Ids of signals that are written already.
    known: Known,
    /// Where it was read back from.
    pub(super) reach: Reach,
    counters: Arc<Counters>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rendered {
    signals: u64,
    written: usize,
}

/// What became of signals.
#[derive(Debug, Default)]
pub struct Counters {
    written: AtomicU64,
    lost: AtomicU64,
    repeated: AtomicU64,
    ids_forgotten: AtomicU64,
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
            rendered: Rendered::default(),
            file: None,
            known: Known::new(DEFAULT_IDS),
            reach: Reach::new(None, 0),
            counters: Arc::default(),
        }
    }

    /// A file that was read back: what is in it is not written again.
    pub(super) fn kept(name: &str, format: Format, reread: Reread) -> io::Result<Stream> {
        let Reread {
            file,
            id,
            from,
            known,
        } = reread;
        let is_file = file.metadata()?.is_file();
        let itself = file.try_clone()?;
        let stream = Stream {
            file: is_file.then_some(itself),
            reach: Reach::new(id, from),
            ..Stream::new(name, format, Box::new(file))
        };
        let forgotten = known.forgotten();
        stream.counters.ids_forgotten.store(forgotten, Relaxed);
        Ok(Stream { known, ..stream })
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

impl Stream {
    /// Makes `batch` ready to be written, without what is written already. Returns its bytes.
    pub(super) fn render(&mut self, batch: &[Emission]) -> usize {
        self.buffer.clear();
        self.rendered = Rendered::default();
        for emission in batch {
            let id = digits(emission.signal.id.as_bytes());
            if id.is_some_and(|id| self.known.take(id)) {
                self.counters.repeated.fetch_add(1, Relaxed);
                continue;
            }
            self.format.write(emission, &mut self.buffer);
            self.rendered.signals += 1;
        }
        self.buffer.len()
    }

    /// Writes what is ready. After an error it can be called again, and goes on where it was.
    pub(super) fn write_rendered(&mut self) -> Result<(), WriteError> {
        while let Some(rest) = self.buffer.get(self.rendered.written..)
            && !rest.is_empty()
        {
            match self.out.write(rest) {
                Ok(0) => return Err(self.failed(&io::ErrorKind::WriteZero.into())),
                Ok(written) => self.rendered.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        let flushed = self.out.flush();
        flushed.map_err(|error| self.failed(&error))?;
        let signals = std::mem::take(&mut self.rendered.signals);
        self.counters.written.fetch_add(signals, Relaxed);
        Ok(())
    }

    /// Makes durable what was written, where it is a file.
    pub(super) fn sync(&mut self) -> Result<(), WriteError> {
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(|error| self.failed(&error))
    }

    /// Notes that these signals are to be written, and where.
    pub(super) fn reaches(&mut self, batch: &[Emission]) -> Result<(), WriteError> {
        let end = match &self.file {
            Some(file) => file.metadata().map(|metadata| metadata.len()),
            None => Ok(0),
        };
        let end = end.map_err(|error| self.failed(&error))?;
        self.reach.writes(batch, end);
        Ok(())
    }

    /// No signal of before the start can come again.
    pub(super) fn past_is_gone(&mut self) {
        if self.reach.past_is_gone() {
            self.known.clear();
        }
    }

    fn failed(&self, error: &io::Error) -> WriteError {
        WriteError {
            target: self.name.clone(),
            reason: error.to_string(),
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

    /// Signals that were not written as they were already, before the host started.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Relaxed)
    }

    /// Ids of signals that were in the file at the start and that were not kept in mind, as there were too many.
    pub fn ids_forgotten(&self) -> u64 {
        self.ids_forgotten.load(Relaxed)
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
