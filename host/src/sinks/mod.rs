//! Where signals go: one JSON object a line, or a person's view, to stdout or a file.
//!
//! ```text
//! worker threads -> Sink::send([Emission]) -> pieces, so many bytes of them -> one writer thread -> stdout | file
//! ```
//! A piece is written and flushed whole. What can't be written is counted, never a panic; a sink that is full makes its
//! senders wait, so that memory stays bounded. With a write-ahead log nothing is lost: see `kept`.

mod backlog;
pub mod format;
mod kept;
mod known;
pub mod paint;
pub mod person;
mod reach;
pub mod recent;
mod reread;
pub mod stream;
pub mod text;
pub mod waterfall;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};

use crate::alarm::Alarm;
use crate::signal::Emission;
use crate::wal::{Decisions, Judged};
use backlog::Backlog;
pub use backlog::{DEFAULT_BYTES, PIECE_BYTES};
use format::Format;
pub use kept::Patience;
pub use known::DEFAULT_IDS;
pub use reread::REREAD_BYTES;
use stream::{Stream, WriteError};

/// Where a sink writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Stdout,
    /// Appended to; made where it is not there.
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("can't open {} to append signals to it", path.display())]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("can't start the thread that writes signals")]
    Thread { source: std::io::Error },
    #[error("can't write signals to {target}: {reason} ({lost} lost)")]
    Write {
        target: String,
        reason: String,
        lost: u64,
    },
}

/// The sending side of a sink; one a worker.
#[derive(Clone, Debug)]
pub struct Sink {
    pieces: Outlet,
    counters: Arc<stream::Counters>,
    /// Where senders wait while there is no room.
    backlog: Option<Arc<Backlog>>,
    /// What passes through is kept here for a while.
    recent: Option<Arc<recent::Recent>>,
    /// Gets everything, too.
    other: Option<Arc<Sink>>,
    /// Where nothing is lost: until when.
    patience: Option<Arc<Patience>>,
    alarm: Alarm,
}

/// Where batches go.
#[derive(Clone, Debug)]
enum Outlet {
    Writer(Sender<Piece>),
    View(Sender<Vec<Emission>>),
}

/// What a writer is handed.
#[derive(Debug)]
enum Piece {
    Signals(Vec<Emission>),
    /// All signals of these traces were handed over before.
    Judged(Judged),
}

/// The writer thread: joined to know that all is written.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<Result<(), WriteError>>,
    counters: Arc<stream::Counters>,
}

/// Opens `target` and starts its writer; so many bytes may wait for it.
pub fn open(target: &Target, format: Format, most: usize) -> Result<(Sink, Writer), SinkError> {
    match target {
        Target::Stdout => start(
            Stream::new("stdout", format, Box::new(std::io::stdout())),
            most,
        ),
        Target::File(path) => {
            let open = |source| SinkError::Open {
                path: path.clone(),
                source,
            };
            let file = stream::append(path).map_err(open)?;
            start(
                Stream::new(&path.display().to_string(), format, Box::new(file)),
                most,
            )
        }
    }
}

/// Starts the writer of a stream that is open; so many bytes may wait for it.
pub fn start(stream: Stream, most: usize) -> Result<(Sink, Writer), SinkError> {
    start_with(stream, most, None)
}

/// As [`open`], for a host with a write-ahead log: what can't be written is tried again, what is written already is not written
/// again, of which so many ids are known at most, and traces are decided when their signals are written.
pub fn open_kept(
    target: &Target,
    format: Format,
    most: usize,
    most_ids: usize,
    decisions: Decisions,
) -> Result<(Sink, Writer), SinkError> {
    let stream = match target {
        Target::Stdout => Stream::new("stdout", format, Box::new(std::io::stdout())),
        Target::File(path) => {
            let open = |source| SinkError::Open {
                path: path.clone(),
                source,
            };
            let place = |file| decisions.place(file);
            let reread = reread::open(path, place, most_ids).map_err(open)?;
            Stream::kept(&path.display().to_string(), format, reread).map_err(open)?
        }
    };
    start_with(stream, most, Some(decisions))
}

fn start_with(
    stream: Stream,
    most: usize,
    decisions: Option<Decisions>,
) -> Result<(Sink, Writer), SinkError> {
    // Bounded by the backlog, in bytes.
    let (pieces, incoming) = unbounded();
    let counters = stream.counters();
    let backlog = Arc::new(Backlog::new(most, counters.clone()));
    let (writes, stream_counters) = (backlog.clone(), counters.clone());
    let patience = decisions.is_some().then(Arc::<Patience>::default);
    let waits = patience.clone();
    let alarm = Alarm::default();
    let watched = alarm.clone();
    let thread = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let _watch = watched.watch();
            let open = Open(&writes);
            let (Some(decisions), Some(patience)) = (decisions, waits) else {
                let written = write(stream, &incoming, &writes);
                drop(open);
                for unwritten in incoming.try_iter() {
                    stream_counters.lose(unwritten.signals());
                }
                return written;
            };
            kept::write(stream, &incoming, &writes, decisions, &patience)
        })
        .map_err(|source| SinkError::Thread { source })?;
    Ok((
        Sink {
            pieces: Outlet::Writer(pieces),
            counters: counters.clone(),
            backlog: Some(backlog),
            recent: None,
            other: None,
            patience,
            alarm,
        },
        Writer { thread, counters },
    ))
}

/// A sink for somebody who looks on and must not hold up the flow: what the queue, of so many pieces, has no room for is
/// counted as lost.
pub fn view(queue: usize) -> (Sink, Receiver<Vec<Emission>>) {
    let (pieces, incoming) = bounded(queue.max(1));
    let sink = Sink {
        pieces: Outlet::View(pieces),
        counters: Arc::default(),
        backlog: None,
        recent: None,
        other: None,
        patience: None,
        alarm: Alarm::default(),
    };
    (sink, incoming)
}

impl Sink {
    /// A sink whose signals are kept for a while, too.
    pub fn remembered(self, recent: Arc<recent::Recent>) -> Sink {
        Sink {
            recent: Some(recent),
            ..self
        }
    }

    /// Hands over a batch; waits while as much as may wait does, but for a [`view`]. What is for a writer that is gone is
    /// counted as lost.
    pub fn send(&self, batch: Vec<Emission>) {
        if batch.is_empty() {
            return;
        }
        // Before the queue, which may be full.
        if let Some(recent) = &self.recent {
            recent.push(&batch);
        }
        if let Some(other) = &self.other {
            other.send(batch.clone());
        }
        for (piece, bytes) in backlog::pieces(batch) {
            if let Some(backlog) = &self.backlog {
                backlog.enter(bytes);
            }
            let unsent = match &self.pieces {
                Outlet::Writer(writer) => writer
                    .send(Piece::Signals(piece))
                    .map_or_else(|unsent| unsent.0.signals(), |()| 0),
                Outlet::View(view) => view
                    .try_send(piece)
                    .map_or_else(|unsent| TrySendError::into_inner(unsent).len(), |()| 0),
            };
            // Where there is a log it has their traces.
            if self.patience.is_none() {
                self.counters.lose(unsent);
            }
        }
    }

    /// Whether traces have to be [settled](Sink::settle).
    pub fn is_kept(&self) -> bool {
        self.patience.is_some()
    }

    /// Says that all signals of these traces were sent. They are decided once those are written.
    pub fn settle(&self, judged: Judged) {
        let Outlet::Writer(writer) = &self.pieces else {
            return;
        };
        if let Some(backlog) = &self.backlog {
            backlog.enter(kept::size(&judged));
        }
        // Where the writer has given up, they stay in the log.
        let _ = writer.send(Piece::Judged(judged));
    }

    /// Until when it is tried to write what could not be written; none where it is lost instead.
    pub fn patience(&self) -> Option<Arc<Patience>> {
        self.patience.clone()
    }

    /// Rung when the thread of its writer ends by a panic.
    pub fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    /// A sink that sends everything to `other`, too. Its counters stay its own.
    pub fn and(self, other: Sink) -> Sink {
        Sink {
            other: Some(Arc::new(other)),
            ..self
        }
    }

    /// Whether the reader of a stream [`until_closed`](Stream::until_closed) is gone.
    pub fn is_closed(&self) -> bool {
        self.counters.is_closed()
    }

    /// What became of the signals so far; it can be read when the sink is gone.
    pub fn counters(&self) -> Arc<stream::Counters> {
        self.counters.clone()
    }
}

impl Writer {
    /// Waits until every sink is dropped and everything is written; the first failure, where there was one.
    pub fn finish(self) -> Result<(), SinkError> {
        let result = self
            .thread
            .join()
            .unwrap_or_else(|_| Err(WriteError::stopped()));
        result.map_err(|WriteError { target, reason }| SinkError::Write {
            target,
            reason,
            lost: self.counters.lost(),
        })
    }
}

impl Piece {
    fn signals(&self) -> usize {
        match self {
            Piece::Signals(signals) => signals.len(),
            Piece::Judged(_) => 0,
        }
    }
}

/// Keeps nobody waiting when the writer has ended, however it did.
struct Open<'a>(&'a Backlog);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

fn write(
    mut stream: Stream,
    pieces: &Receiver<Piece>,
    backlog: &Backlog,
) -> Result<(), WriteError> {
    let mut first_failure = None;
    let counters = stream.counters();
    for piece in pieces {
        let bytes = piece.bytes();
        let Piece::Signals(piece) = piece else {
            continue;
        };
        let written = stream.write(&piece);
        backlog.leave(bytes);
        if let Err(failure) = written {
            if counters.is_closed() {
                return Err(failure);
            }
            // Said once: a full disk would otherwise fill a log as well.
            if first_failure.is_none() {
                tracing::error!(target = %failure.target, reason = %failure.reason, "can't write signals");
                first_failure = Some(failure);
            }
        }
    }
    first_failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests;
