//! Work that takes long, beside the flow of spans: so many at a time, on a thread that may block, and answered in time.
//!
//! Who comes while all turns are taken waits for one, as many as may and as long as they may. A permit is held until the
//! work is done, whoever still waits for it; so what was given up does not make room for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;
use super::state::State;
use crate::sinks::text::counted;

/// Work of one kind: so much at a time, and so many that wait.
#[derive(Debug)]
pub struct Turns {
    at_once: Arc<Semaphore>,
    queue: Semaphore,
    /// How many may be worked on, and how many may wait.
    bounds: (usize, usize),
    /// The flag that says how many may be worked on.
    flag: &'static str,
}

impl Turns {
    pub fn new(at_once: usize, queue: usize, flag: &'static str) -> Turns {
        let semaphore = |most: usize| Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        Turns {
            at_once: Arc::new(semaphore(at_once)),
            queue: semaphore(queue),
            bounds: (at_once, queue),
            flag,
        }
    }

    /// The next turn, or the answer that there is none.
    async fn next(&self, within: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let at_once = self.at_once.clone();
        if let Ok(held) = at_once.clone().try_acquire_owned() {
            return Ok(held);
        }
        let Ok(_place) = self.queue.try_acquire() else {
            return Err(self.busy("and as many wait as may"));
        };
        match tokio::time::timeout(within, at_once.acquire_owned()).await {
            Ok(Ok(held)) => Ok(held),
            _ => Err(self.busy(&format!("and none ended within {within:?}"))),
        }
    }

    fn busy(&self, why: &str) -> Error {
        let (at_once, queue) = self.bounds;
        let verb = if at_once == 1 { "is" } else { "are" };
        let message = format!(
            "{} of this kind {verb} worked on, {why}",
            counted(at_once as u64, "request")
        );
        Error::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
            .help(format!(
                "ask again; `{}` says how many may be worked on, `--try-queue` ({queue}) how many may wait",
                self.flag
            ))
            .retry_after(1)
    }
}

/// The right to have something worked on.
pub(super) struct Permit {
    state: Arc<State>,
    held: OwnedSemaphorePermit,
}

impl Permit {
    /// One of `turns` of the state, once one is free; or the answer that none is, for too long or for too many.
    pub(super) async fn take(
        state: &Arc<State>,
        turns: fn(&State) -> &Turns,
    ) -> Result<Permit, Error> {
        match turns(state).next(state.limits.attempt_timeout).await {
            Ok(held) => Ok(Permit {
                state: state.clone(),
                held,
            }),
            Err(busy) => {
                state.counters.attempts_refused.fetch_add(1, Relaxed);
                Err(busy)
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

    fn attempts(state: &State) -> &Turns {
        &state.attempts
    }

    #[tokio::test]
    async fn what_takes_too_long_is_told_to_end_and_holds_its_permit_until_then() {
        let (state, _router, _trigger) = state(1, 1);
        let state = Arc::new(state);
        let permit = Permit::take(&state, attempts).await.ok();
        let permit = permit.expect("there is one");
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
        let refused = Permit::take(&state, attempts).await.err();
        assert_eq!(
            refused,
            Some(state.attempts.busy("and none ended within 1ms"))
        );
        assert_eq!(state.counters.attempts_refused.load(Relaxed), 1);
        // What explains has turns of its own.
        assert!(Permit::take(&state, |state| &state.explains).await.is_ok());
        drop(go);
        assert_eq!(heard.await, Ok(true));
        // The permit comes back right after that.
        let back = state.attempts.at_once.acquire().await;
        assert!(back.is_ok());
    }

    #[tokio::test]
    async fn who_comes_while_all_turns_are_taken_waits_and_one_too_many_does_not() {
        let turns = Arc::new(Turns::new(1, 2, "--try-at-once"));
        let within = Duration::from_secs(600);
        let first = turns.next(within).await.expect("a turn");
        let wait = || {
            let turns = turns.clone();
            tokio::spawn(async move { turns.next(within).await })
        };
        let (second, third) = (wait(), wait());
        while turns.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = tokio::time::timeout(Duration::from_secs(60), turns.next(within)).await;
        let refused = refused.expect("it does not wait");
        let refused = refused.expect_err("there is no place");
        assert_eq!(refused, turns.busy("and as many wait as may"));
        drop(first);
        let second = second.await.expect("no panic").expect("its turn");
        assert!(!third.is_finished());
        drop(second);
        assert!(third.await.expect("no panic").is_ok());
        assert_eq!(turns.queue.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let (state, _router, _trigger) = state(1, 1);
        let mut state = state;
        state.limits.attempt_timeout = Duration::from_secs(60);
        let permit = Permit::take(&Arc::new(state), attempts).await.ok();
        let permit = permit.expect("there is one");
        let answer = permit.run(|_, _| panic!("as it is tested"));
        assert_eq!(answer.await.err(), Some(failed()));
    }
}
