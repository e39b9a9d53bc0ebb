//! The thread that optimises rules in the background, one after the other, while everything else goes first. A rule that makes
//! the optimiser panic stays on the code that it has, and no other does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{Code, Compiled, Compiler};
use crate::alarm::Alarm;
use crate::engine::instance;
use crate::priority::give_way;

/// What the background did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rules that wait for optimised code.
    pub waiting: u64,
    /// Rules that got it.
    pub optimised: u64,
    /// Rules that stay on code that is not optimised.
    pub failed: u64,
    /// Time that compiling took.
    pub nanoseconds: u64,
}

/// Where rules wait for optimised code. As many as were loaded and are still there: a rule that went meanwhile holds nothing.
pub(super) struct Optimiser {
    queue: Sender<Job>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    waiting: Mutex<u64>,
    /// Nothing waits any more.
    done: Condvar,
    optimised: AtomicU64,
    failed: AtomicU64,
    nanoseconds: AtomicU64,
}

struct Job {
    compiler: Weak<Compiler>,
    code: Weak<Code>,
}

impl Optimiser {
    /// The thread starts with the first rule, and ends with the engine.
    pub(super) fn start(alarm: Alarm) -> Self {
        let (queue, jobs) = unbounded();
        let counters = Arc::new(Counters::default());
        let optimiser = Self {
            queue,
            counters: counters.clone(),
        };
        // Without the thread rules stay on the code that they have. Nobody waits for it when the engine goes: a compilation can't
        // be stopped.
        let thread = std::thread::Builder::new().name("optimise".to_owned());
        let work = move || {
            let _watch = alarm.watch();
            run(&jobs, &counters, Job::run);
        };
        if let Err(error) = thread.spawn(work) {
            tracing::warn!(%error, "no thread to optimise rules with: they run on code that is not optimised");
        }
        optimiser
    }

    pub(super) fn put(&self, compiler: &Arc<Compiler>, code: &Arc<Code>) {
        let job = Job {
            compiler: Arc::downgrade(compiler),
            code: Arc::downgrade(code),
        };
        *self.counters.waiting() += 1;
        if self.queue.send(job).is_err() {
            self.counters.one_less();
        }
    }

    /// Returns when no rule waits for optimised code.
    pub(super) fn wait(&self) {
        let mut waiting = self.counters.waiting();
        while *waiting > 0 {
            let woken = self.counters.done.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            waiting: *self.counters.waiting(),
            optimised: of(&self.counters.optimised),
            failed: of(&self.counters.failed),
            nanoseconds: of(&self.counters.nanoseconds),
        }
    }
}

impl Counters {
    fn waiting(&self) -> MutexGuard<'_, u64> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_less(&self) {
        let mut waiting = self.waiting();
        *waiting -= 1;
        if *waiting == 0 {
            self.done.notify_all();
        }
    }
}

/// Does one job after the other, whatever becomes of each.
fn run<J>(jobs: &Receiver<J>, counters: &Counters, work: impl Fn(J, &Counters)) {
    give_way();
    for job in jobs {
        // What it worked on goes with it; counters are atomics.
        let done = catch_unwind(AssertUnwindSafe(|| work(job, counters)));
        if done.is_err() {
            counters.failed.fetch_add(1, Relaxed);
            tracing::error!(
                "the optimiser panicked on a rule, which runs on the code that it has: this is a bug in betrace, please report it"
            );
        }
        counters.one_less();
    }
}

impl Job {
    fn run(self, counters: &Counters) {
        let (Some(compiler), Some(code)) = (self.compiler.upgrade(), self.code.upgrade()) else {
            return;
        };
        let Some(bytes) = code.take_bytes() else {
            return;
        };
        let started = Instant::now();
        let compiled = compiler.optimised(&bytes).and_then(|built| {
            Ok(Compiled {
                pre: instance::prepare(&compiler.linker, &built.component)?,
                component: built.component,
                is_optimised: true,
            })
        });
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        counters.nanoseconds.fetch_add(took, Relaxed);
        match compiled {
            Ok(compiled) => {
                code.replace(compiled);
                counters.optimised.fetch_add(1, Relaxed);
            }
            Err(error) => {
                counters.failed.fetch_add(1, Relaxed);
                tracing::warn!(
                    error = format!("{error:#}"),
                    "a rule could not be optimised: it runs on the code that it has"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_costs_one_rule_its_optimised_code_and_no_other() {
        let (queue, jobs) = unbounded();
        let counters = Arc::new(Counters::default());
        let working = std::thread::spawn({
            let counters = Arc::clone(&counters);
            move || {
                run(&jobs, &counters, |is_bad: bool, counters| {
                    assert!(!is_bad, "a bug of the optimiser");
                    counters.optimised.fetch_add(1, Relaxed);
                });
            }
        });
        let optimiser = Optimiser {
            queue: unbounded().0,
            counters: Arc::clone(&counters),
        };
        for is_bad in [true, false] {
            *counters.waiting() += 1;
            queue.send(is_bad).expect("it works");
        }
        drop(queue);
        working.join().expect("it ended by itself");
        optimiser.wait();
        let counts = optimiser.counts();
        assert_eq!((counts.failed, counts.optimised, counts.waiting), (1, 1, 0));
    }
}
