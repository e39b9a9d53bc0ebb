//! Work that takes long, beside the flow of spans: so many at a time, on a thread that may block, and answered in time.
//!
//! A permit is held until the work is done, whoever still waits for it; so what was given up does not make room for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::state::State;

/// The right to have something worked on.
pub(super) struct Permit {
    state: Arc<State>,
    held: OwnedSemaphorePermit,
}

impl Permit {
    /// One of `try-at-once`, or the answer that all are taken.
    pub(super) fn take(state: &Arc<State>) -> Result<Permit, Error> {
        match state.attempts.clone().try_acquire_owned() {
            Ok(held) => Ok(Permit {
                state: state.clone(),
                held,
            }),
            Err(_) => {
                state.counters.attempts_refused.fetch_add(1, Relaxed);
                Err(busy(state.limits.attempts))
            }
        }
    }

    /// Works for as long as somebody waits. `work` is told by a flag when nobody does any more.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&State, &AtomicBool) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let Permit { state, held } = self;
        let overtaken = Arc::new(AtomicBool::new(false));
        // Set when this future ends, also where the client went away.
        let abandon = Abandon(overtaken.clone());
        let task = tokio::task::spawn_blocking({
            let state = state.clone();
            move || {
                let _held = held;
                work(&state, &overtaken)
            }
        });
        let within = state.limits.attempt_timeout;
        let answer = tokio::time::timeout(within, task).await;
        drop(abandon);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(failed()),
            Err(_) => {
                state.counters.attempts_timed_out.fetch_add(1, Relaxed);
                Err(timed_out(within))
            }
        }
    }
}

struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn busy(most: usize) -> Error {
    let message = format!("{most} rules are being tried or explained, which is the most");
    Error::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
        .help("ask again; `--try-at-once` says how many may be")
        .retry_after(1)
}

fn timed_out(within: Duration) -> Error {
    let message = format!("it took longer than {within:?}");
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
        .help("ask again, with a smaller rule if you can, or raise `--try-timeout`")
}

fn failed() -> Error {
    let message = "the rule could not be worked on";
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
        .help("this is a bug in betrace: please report it with the rule")
}
