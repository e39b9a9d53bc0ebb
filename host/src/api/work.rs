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

#[cfg(test)]
mod tests {
    use super::super::state::fixture::state;
    use super::*;

    #[tokio::test]
    async fn what_takes_too_long_is_told_to_end_and_holds_its_permit_until_then() {
        let (state, _router, _trigger) = state(1, 1);
        let state = Arc::new(state);
        let permit = Permit::take(&state).expect("there is one");
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let (told, heard) = tokio::sync::oneshot::channel();
        let answer = permit.run(move |_, overtaken| {
            // Until the test has seen that the answer did not wait for it.
            let _ = gone.recv();
            let _ = told.send(overtaken.load(Relaxed));
        });
        let error = answer.await.expect_err("it takes longer than 1 ms");
        assert_eq!(error, timed_out(Duration::from_millis(1)),);
        assert_eq!(state.counters.attempts_timed_out.load(Relaxed), 1);
        assert_eq!(Permit::take(&state).err(), Some(busy(1)));
        assert_eq!(state.counters.attempts_refused.load(Relaxed), 1);
        drop(go);
        assert_eq!(heard.await, Ok(true));
        // The permit comes back right after that.
        let back = state.attempts.acquire().await;
        assert!(back.is_ok());
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let (state, _router, _trigger) = state(1, 1);
        let mut state = state;
        state.limits.attempt_timeout = Duration::from_secs(60);
        let permit = Permit::take(&Arc::new(state)).expect("there is one");
        let answer = permit.run(|_, _| panic!("as it is tested"));
        assert_eq!(answer.await.err(), Some(failed()));
    }
}
