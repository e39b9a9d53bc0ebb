//! Rule folders to saves: which files were written to their end, put in place, or taken away.
//!
//! ```text
//! events of the file system -> [watch thread] -> quiet for a moment -> Saved
//! a look every few seconds  ----^
//! ```
//! Events make it fast, looks make it certain: what no event told (a network file system, a queue that overflowed) is found by
//! the next look but one. A file that is still being written is never called saved.

mod event;
mod folders;
mod poll;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, after, bounded, never, select};
use event::Meaning;
use folders::Folders;
use poll::Poll;

/// Events that wait to be looked at. Past it all files are looked at instead.
const EVENTS: usize = 16_384;

/// How many times `quiet` a burst of saves may put off the first of them.
const BURST: u32 = 20;

/// A look takes at most a fiftieth of a core, however many files there are.
const LOOK_SHARE: u32 = 50;

/// Files that were saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// As the file system names them.
    pub paths: Vec<PathBuf>,
    /// Files may have come, gone or been missed: all are to be looked at.
    pub rescan: bool,
    /// Files that are being written: what they hold is not to be read.
    pub writing: Vec<PathBuf>,
    /// When the first of them was saved.
    pub at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// How often files are looked at beside what events tell.
    pub poll: Duration,
    /// How long no further file is saved before the saved ones are passed on.
    pub quiet: Duration,
    /// Whether events of the file system are used at all.
    pub events: bool,
}

/// What a watcher has met.
#[derive(Debug, Default)]
pub struct WatchCounters {
    /// Events that were lost, so that all files were looked at.
    pub overflows: AtomicU64,
    /// Folders that no events could be had of.
    pub unwatched: AtomicU64,
}

/// A watcher. It ends when it is dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<WatchCounters>,
}

impl Watch {
    /// Watches the files and folders of `roots`, which need not be there, and sends what is saved.
    pub fn start(
        roots: Vec<PathBuf>,
        options: WatchOptions,
        saved: Sender<Saved>,
    ) -> io::Result<Watch> {
        let (stop, stopped) = bounded(0);
        let counters = Arc::new(WatchCounters::default());
        let (sender, events) = bounded(EVENTS);
        let overflow = counters.clone();
        let watcher = options.events.then(|| {
            notify::recommended_watcher(move |event| {
                if let Err(TrySendError::Full(_)) = sender.try_send(event) {
                    overflow.overflows.fetch_add(1, Relaxed);
                }
            })
        });
        let watcher = match watcher {
            Some(Ok(watcher)) => Some(watcher),
            Some(Err(error)) => {
                tracing::warn!(%error, "no events of the file system: rule files are looked at every {:?}", options.poll);
                None
            }
            None => None,
        };
        // Watched before this returns, so that what is saved from now on is seen.
        let mut thread = Thread {
            events: if watcher.is_some() { events } else { never() },
            folders: Folders::new(roots.clone(), watcher, counters.clone()),
            poll: Poll::new(roots),
            options,
            saved,
            counters: counters.clone(),
            overflows: 0,
            batch: Batch::default(),
            writing: BTreeSet::new(),
        };
        thread.folders.refresh();
        thread.poll.look(&thread.writing);
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || thread.run(&stopped))?;
        Ok(Watch {
            stop: Some(stop),
            thread: Some(thread),
            counters,
        })
    }

    pub fn counters(&self) -> &Arc<WatchCounters> {
        &self.counters
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

type Event = notify::Result<notify::Event>;

struct Thread {
    events: Receiver<Event>,
    folders: Folders,
    poll: Poll,
    options: WatchOptions,
    saved: Sender<Saved>,
    counters: Arc<WatchCounters>,
    /// Of which overflows all files were looked at.
    overflows: u64,
    batch: Batch,
    /// Opened and written, and not closed.
    writing: BTreeSet<PathBuf>,
}

/// What was saved and is not yet passed on.
#[derive(Default)]
struct Batch {
    paths: BTreeSet<PathBuf>,
    rescan: bool,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Thread {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut look = Instant::now() + self.options.poll;
        loop {
            let next = self.due().map_or(look, |due| due.min(look));
            select! {
                recv(stopped) -> _ => return,
                recv(self.events) -> event => match event {
                    Ok(event) => self.take(event),
                    Err(_) => self.events = never(),
                },
                recv(after(next.saturating_duration_since(Instant::now()))) -> _ => {}
            }
            self.check_overflow();
            let now = Instant::now();
            if now >= look {
                self.look();
                let took = now.elapsed() * LOOK_SHARE;
                look = Instant::now() + self.options.poll.max(took);
            }
            if self.due().is_some_and(|due| due <= Instant::now()) && !self.pass_on() {
                return;
            }
        }
    }

    /// When the batch is to be passed on.
    fn due(&self) -> Option<Instant> {
        let quiet = self.batch.last? + self.options.quiet;
        let latest = self.batch.first? + self.options.quiet * BURST;
        Some(quiet.min(latest))
    }

    fn take(&mut self, event: Event) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, "the file system's events have a gap");
                self.batch.enter(None);
                return;
            }
        };
        for meaning in event::meanings(&event, &self.folders) {
            match meaning {
                Meaning::Writing(path) => {
                    self.writing.insert(path);
                }
                Meaning::Saved(path) => {
                    self.writing.remove(&path);
                    self.poll.settle(&path);
                    self.batch.enter(Some(path));
                }
                Meaning::Gone(path) => {
                    self.writing.remove(&path);
                    self.batch.enter(None);
                }
                Meaning::Rescan => {
                    self.folders.refresh();
                    self.batch.enter(None);
                }
            }
        }
    }

    fn check_overflow(&mut self) {
        let overflows = self.counters.overflows.load(Relaxed);
        if overflows != self.overflows {
            self.overflows = overflows;
            // A close may be among what was lost.
            self.writing.clear();
            self.folders.refresh();
            self.batch.enter(None);
        }
    }

    fn look(&mut self) {
        self.folders.refresh();
        let found = self.poll.look(&self.writing);
        for path in found.saved {
            self.batch.enter(Some(path));
        }
        if found.moved {
            self.batch.enter(None);
        }
    }

    /// False: nobody takes it any more.
    fn pass_on(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        let Some(at) = batch.first else { return true };
        if batch.rescan {
            self.folders.refresh();
        }
        let writing = self.writing.iter().chain(self.poll.unsettled());
        self.saved
            .send(Saved {
                paths: batch.paths.into_iter().collect(),
                rescan: batch.rescan,
                writing: writing.cloned().collect(),
                at,
            })
            .is_ok()
    }
}

impl Batch {
    /// Enters a path, or that all are to be looked at.
    fn enter(&mut self, path: Option<PathBuf>) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        match path {
            Some(path) => {
                self.paths.insert(path);
            }
            None => self.rescan = true,
        }
    }
}
