//! A connection's socket: it holds one of the listener's slots, and fails when nothing moves on it for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::counters::Counters;

/// The length of HTTP/2's preface. Fewer bytes are no request in any protocol that is served.
const PREFACE_BYTES: usize = 24;

/// See the module.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// Given back when the connection ends.
    _slot: OwnedSemaphorePermit,
    /// Bytes read until the preface was complete; then it stands still.
    prefaced: usize,
    idle: Duration,
    last_moved: Instant,
    timer: Pin<Box<Sleep>>,
    counters: Arc<Counters>,
    /// It has failed, and was counted.
    failed: bool,
}

impl Socket {
    /// A socket that has to bring its first bytes within `header`, and is never still for longer than `idle` after.
    pub(super) fn new(
        stream: TcpStream,
        slot: OwnedSemaphorePermit,
        header: Duration,
        idle: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        let now = Instant::now();
        Self {
            stream,
            _slot: slot,
            prefaced: 0,
            idle,
            last_moved: now,
            timer: Box::pin(sleep_until(now + header)),
            counters,
            failed: false,
        }
    }

    fn moved(&mut self, bytes: usize) {
        self.last_moved = Instant::now();
        if self.prefaced < PREFACE_BYTES {
            self.prefaced = self.prefaced.saturating_add(bytes);
            if self.prefaced >= PREFACE_BYTES {
                self.timer.as_mut().reset(self.last_moved + self.idle);
            }
        }
    }

    /// Called when nothing can move: pending, or an error when that lasts too long. The timer isn't reset whenever bytes
    /// move, which would cost more than reading the clock, but when it fires too early.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while self.timer.as_mut().poll(context).is_ready() {
            let until = self.last_moved + self.idle;
            let is_silent = self.prefaced < PREFACE_BYTES;
            if is_silent || until <= Instant::now() {
                if !std::mem::replace(&mut self.failed, true) {
                    let counters = &self.counters;
                    match is_silent {
                        true => counters.connections_silent.add(1),
                        false => counters.connections_idle.add(1),
                    }
                }
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing moved on the connection",
                ));
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, out) {
            Poll::Pending => self.wait(context).map(Err),
            ready => {
                self.moved(out.filled().len() - before);
                ready
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.wait(context).map(Err),
            ready => {
                self.moved(0);
                ready
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Pending => self.wait(context).map(Err),
            ready => {
                self.moved(0);
                ready
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
