//! Faults of live rules to files, beside the workers: they copy the traces of the call and go on.
//!
//! What a worker does for it is bounded by the rate of bundles and by what one may hold; what can't be kept is counted.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::shelf::{Put, Shelf};
use super::{Bundle, BundledTrace, format};
use crate::alarm::Alarm;
use crate::assemble::trace::{Requests, Trace};
use crate::engine::runtime::WASMTIME;
use crate::engine::tally::QUARANTINE;
use crate::engine::{EngineLimits, Incident, Rule, RuleSet};
use crate::replay::kept::{Judgement, Kept};
use crate::rules::compile::{Compile, Source};
use crate::time::Time;

/// Between two bundles of one version of a rule: a rule that faults does so again and again, and the first tells most.
pub const EVERY: Duration = Duration::from_secs(60);

/// Bundles that wait to be written. Faults of many rules at once may have one cause, of which a few tell enough.
pub const QUEUE: usize = 4;

/// Bytes of a bundle's traces, copied while a worker waits: as much as the largest trace by default.
pub const TRACES_BYTES: usize = 32 << 20;

/// Takes faults. Shared by all workers.
#[derive(Clone, Debug)]
pub struct Bundles {
    queue: Sender<Caught>,
    /// By the rule's key, when its last bundle was taken.
    latest: Arc<Mutex<HashMap<u64, Time>>>,
    counters: Arc<Counters>,
    alarm: Alarm,
}

/// The thread that writes them. It ends when every [`Bundles`] is gone.
#[derive(Debug)]
pub struct Keeper(JoinHandle<()>);

/// What became of faults.
#[derive(Debug, Default)]
pub struct Counters {
    pub written: AtomicU64,
    /// Not taken, as the rule had one less than [`EVERY`] before.
    pub recent: AtomicU64,
    /// Not taken, as too many waited to be written.
    pub queue_full: AtomicU64,
    /// Traces or bundle too large.
    pub too_large: AtomicU64,
    /// Could not be written.
    pub failed: AtomicU64,
    /// Removed for newer ones.
    pub removed: AtomicU64,
}

/// A fault with the traces of its call.
#[derive(Debug)]
struct Caught {
    rule: Arc<Rule>,
    generation: u64,
    incident: Incident,
    traces: Vec<Kept>,
    /// In Unix nanoseconds.
    at: u64,
}

/// Starts the thread. `compile` gives the component of a rule that was compiled from source, which is not kept.
pub fn start(
    shelf: Shelf,
    limits: EngineLimits,
    compile: Compile<'static>,
) -> io::Result<(Bundles, Keeper)> {
    let (queue, caught) = bounded(QUEUE);
    let counters = Arc::<Counters>::default();
    let bundles = Bundles {
        queue,
        latest: Arc::default(),
        counters: counters.clone(),
        alarm: Alarm::default(),
    };
    let writing = Writing {
        shelf,
        limits,
        compile,
        counters,
    };
    let thread = std::thread::Builder::new().name("bundles".to_owned());
    let watched = bundles.alarm.clone();
    let thread = thread.spawn(move || {
        let _watch = watched.watch();
        writing.run(&caught);
    })?;
    Ok((bundles, Keeper(thread)))
}

impl Keeper {
    /// Waits until all that was taken is written.
    pub fn finish(self) {
        // A panic was printed when it happened, and costs a bundle.
        let _ = self.0.join();
    }
}

impl Bundles {
    /// Rings when the thread that writes bundles ends by a panic.
    pub fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Takes a fault of a batch, if there is room and its rule has had none for a while.
    pub fn offer<R: Requests>(
        &self,
        incident: &Incident,
        set: &RuleSet,
        traces: &[Trace],
        requests: &R,
        (now, at): (Time, u64),
    ) {
        let Some(rule) = set.rules.get(incident.rule as usize) else {
            return;
        };
        if self.queue.is_full() {
            self.counters.queue_full.fetch_add(1, Relaxed);
            return;
        }
        if !self.is_due(rule.key(), now) {
            self.counters.recent.fetch_add(1, Relaxed);
            return;
        }
        let of_call = incident.traces.iter();
        let of_call = of_call.filter_map(|&trace| traces.get(trace as usize));
        let Some(traces) = copied(of_call, requests) else {
            self.counters.too_large.fetch_add(1, Relaxed);
            return;
        };
        let caught = Caught {
            rule: rule.clone(),
            generation: set.generation,
            incident: incident.clone(),
            traces,
            at,
        };
        if self.queue.try_send(caught).is_err() {
            self.counters.queue_full.fetch_add(1, Relaxed);
        }
    }

    fn is_due(&self, rule: u64, now: Time) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.retain(|_, at| now.since(*at) < EVERY);
        let is_due = !latest.contains_key(&rule);
        latest.entry(rule).or_insert(now);
        is_due
    }
}

/// Copies of the traces; none where they are too large together.
fn copied<'a, R: Requests>(
    traces: impl Iterator<Item = &'a Trace>,
    requests: &R,
) -> Option<Vec<Kept>> {
    let mut left = TRACES_BYTES;
    let mut copies = Vec::new();
    for trace in traces {
        let copy = Kept::copy_within(trace, requests, Judgement::default(), left)?;
        left = left.saturating_sub(copy.request.bytes.len());
        copies.push(copy);
    }
    Some(copies)
}

struct Writing {
    shelf: Shelf,
    limits: EngineLimits,
    compile: Compile<'static>,
    counters: Arc<Counters>,
}

/// Why a bundle is not there.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the component of this version can't be made again from its source")]
    Component,
    #[error("{}: {source}", folder.display())]
    Io { folder: PathBuf, source: io::Error },
}

impl Writing {
    fn run(self, caught: &Receiver<Caught>) {
        for caught in caught {
            let rule = caught.rule.clone();
            match self.write(caught) {
                Ok(Put::Written { path, removed }) => {
                    self.counters.written.fetch_add(1, Relaxed);
                    self.counters.removed.fetch_add(removed, Relaxed);
                    let bundle = path.display().to_string();
                    tracing::info!(
                        target: QUARANTINE,
                        rule = rule.id,
                        version = rule.version,
                        bundle,
                        "a fault is kept: `betrace replay BUNDLE` repeats it"
                    );
                }
                Ok(Put::TooLarge) => {
                    self.counters.too_large.fetch_add(1, Relaxed);
                }
                Err(error) => {
                    self.counters.failed.fetch_add(1, Relaxed);
                    tracing::error!(rule = rule.id, "a fault could not be kept: {error}");
                }
            }
        }
    }

    fn write(&self, caught: Caught) -> Result<Put, WriteError> {
        let rule = &caught.rule;
        let component = self.component(rule).ok_or(WriteError::Component)?;
        let bundle = Bundle {
            betrace: env!("CARGO_PKG_VERSION").to_owned(),
            wasmtime: WASMTIME.to_owned(),
            faulted_at: caught.at,
            rule: rule.id.clone(),
            origin: rule.origin.display().to_string(),
            generation: caught.generation,
            component: component.into(),
            limits: self.limits.clone(),
            fault: caught.incident.fault,
            call: caught.incident.call,
            traces: caught.traces.iter().map(BundledTrace::of).collect(),
        };
        let bytes = format::encode(&bundle);
        self.shelf
            .put(&rule.id, bundle.fault.kind, caught.at, &bytes)
            .map_err(|source| WriteError::Io {
                folder: self.shelf.folder().to_owned(),
                source,
            })
    }

    /// The rule's component: kept, or what its source gives.
    fn component(&self, rule: &Rule) -> Option<Vec<u8>> {
        if let Some(bytes) = rule.component_kept() {
            return Some(bytes.to_vec());
        }
        let source = rule.source()?;
        let compiled = (self.compile)(Source {
            path: &rule.origin,
            stem: &source.stem,
            bytes: &source.text,
            known: &|_, _| betrace_dsl::Known::No,
        });
        let components = compiled.rules.into_iter().map(|rule| rule.component);
        let is_it = |bytes: &Vec<u8>| crate::engine::rule::version(bytes) == rule.version;
        components.into_iter().find(is_it)
    }
}
