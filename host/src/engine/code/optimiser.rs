//! The thread that optimises rules in the background, one after the other, while everything else goes first.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{Code, Compiled, Compiler};
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
    pub(super) fn start() -> Self {
        let (queue, jobs) = unbounded();
        let counters = Arc::new(Counters::default());
        let optimiser = Self {
            queue,
            counters: counters.clone(),
        };
        // Without the thread rules stay on the code that they have. Nobody waits for it when the engine goes: a compilation can't
        // be stopped.
        let thread = std::thread::Builder::new().name("optimise".to_owned());
        if let Err(error) = thread.spawn(move || run(&jobs, &counters)) {
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

fn run(jobs: &Receiver<Job>, counters: &Counters) {
    give_way();
    for job in jobs {
        job.run(counters);
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
