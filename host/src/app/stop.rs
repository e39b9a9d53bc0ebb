//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends the process.
//!
//! They are taken from [`Signals::take`] on, so one that comes while a host starts is not lost, and by a thread of their own
//! that lasts as long as the process: it ends a host whose threads or sink are stuck, too.

use std::convert::Infallible;
use std::io;

use tokio::sync::oneshot;

use crate::cli::Failure;
use crate::cli::failure::note;

/// What a shell shows for a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The signals that end this process, which no longer end it by themselves.
#[derive(Debug)]
pub struct Signals {
    first: oneshot::Receiver<Infallible>,
}

impl Signals {
    /// Takes them from now on.
    pub fn take() -> Result<Signals, Failure> {
        let failed = |error: io::Error| {
            Failure::new(format!("can't take the signals that end betrace: {error}"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(failed)?;
        let mut each = {
            let _context = runtime.enter();
            Each::register().map_err(failed)?
        };
        let (asked, first) = oneshot::channel();
        std::thread::Builder::new()
            .name("stop".to_owned())
            .spawn(move || {
                runtime.block_on(each.next());
                drop(asked);
                runtime.block_on(each.next());
                note("betrace: stopped at once; traces that were open are not judged");
                std::process::exit(INTERRUPTED.into());
            })
            .map_err(failed)?;
        Ok(Signals { first })
    }

    /// Ready at the first of them, also where it has come before.
    pub async fn first(self) {
        // Nothing is sent: the thread lets go of its end.
        let _ = self.first.await;
    }
}

#[cfg(unix)]
struct Each {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Each {
    fn register() -> io::Result<Each> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Each {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Each;

#[cfg(not(unix))]
impl Each {
    fn register() -> io::Result<Each> {
        Ok(Each)
    }

    async fn next(&mut self) {
        // Where it can't be taken, the process ends as it would without us.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
