//! Rule folders to saves: which files were written to their end, put in place, or taken away.
//!
//! ```text
//! events of the file system -> [watch thread] -> quiet for a moment -> Saved
//! a look every few seconds  ----^
//! ```
//! Events make it fast, looks make it certain: what no event told (a network file system, a queue that overflowed) is found by
//! the next look but one. A file that is still being written is never called saved; where nobody saw the beginning of that
//! (a folder that has just been put under watch), a file is when it stands still.

mod event;
mod folders;
mod poll;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, after, bounded, never, select};
use event::Meaning;
use folders::Folders;
use poll::Poll;

use super::stamp::Stamp;
use crate::alarm::Alarm;

/// Events that wait to be looked at. Past it all files are looked at instead.
const EVENTS: usize = 16_384;

/// How many times `quiet` a burst of saves may put off the first of them.
const BURST: u32 = 20;

/// A look takes at most a fiftieth of a core, however many files there are.
const LOOK_SHARE: u32 = 50;

/// Between the looks at a file that changed unseen in a folder that is under watch by now. Whoever writes on is seen.
const SOON: Duration = Duration::from_millis(100);

/// Events that are taken before anything else is seen to.
const AT_ONCE: usize = 1_024;

/// Files that were saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// As the file system names them. One that is not there any more was removed.
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
    /// A file that stands still for so long while its close is waited for is taken as it is: the close was missed, or
    /// whoever wrote it never closes it.
    pub held_open: Duration,
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
    /// Files that were taken as they were because their close did not come.
    pub held_open: AtomicU64,
}

/// A watcher. It ends when it is dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<WatchCounters>,
    alarm: Alarm,
}

impl Watch {
    /// Watches the files and folders of `roots`, which need not be there, and sends what is saved.
    pub fn start(
        roots: Vec<PathBuf>,
        options: WatchOptions,
        saved: Sender<Saved>,
    ) -> io::Result<Watch> {
        // Events carry absolute paths.
        let roots: Vec<PathBuf> = roots
            .into_iter()
            .map(|root| std::path::absolute(&root).unwrap_or(root))
            .collect();
        let (stop, stopped) = bounded(0);
        let alarm = Alarm::default();
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
            writing: BTreeMap::new(),
            next_look: Instant::now() + options.poll,
        };
        thread.folders.refresh();
        thread.poll.look(|_| false);
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn({
                let alarm = alarm.clone();
                move || {
                    let _watch = alarm.watch();
                    thread.run(&stopped);
                }
            })?;
        Ok(Watch {
            stop: Some(stop),
            thread: Some(thread),
            counters,
            alarm,
        })
    }

    /// Rings when its thread ends by a panic.
    pub fn alarm(&self) -> Alarm {
        self.alarm.clone()
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
    /// Made or written, and not closed; how each looked at the last look, and since when.
    writing: BTreeMap<PathBuf, (Option<Stamp>, Instant)>,
    next_look: Instant,
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
        loop {
            let look = self.next_look;
            let next = self.due().map_or(look, |due| due.min(look));
            select! {
                recv(stopped) -> _ => return,
                recv(self.events) -> event => match event {
                    Ok(event) => self.take(event),
                    Err(_) => self.events = never(),
                },
                recv(after(next.saturating_duration_since(Instant::now()))) -> _ => {}
            }
            for _ in 0..AT_ONCE {
                let Ok(event) = self.events.try_recv() else {
                    break;
                };
                self.take(event);
            }
            self.check_overflow();
            if self.next_look <= Instant::now() {
                self.folders.refresh();
                self.look();
            }
            if self.due().is_some_and(|due| due <= Instant::now()) && !self.pass_on(stopped) {
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
                self.lost();
                return;
            }
        };
        for meaning in event::meanings(&event, &self.folders) {
            match meaning {
                Meaning::Writing(path) => {
                    self.writing.entry(path).or_insert((None, Instant::now()));
                }
                Meaning::Changed => self.next_look = self.next_look.min(Instant::now() + SOON),
                Meaning::Saved(path) => {
                    self.writing.remove(&path);
                    self.saved(path);
                }
                Meaning::Touched(path) if self.writing.contains_key(&path) => {}
                Meaning::Touched(path) => self.saved(path),
                Meaning::Gone(path) => {
                    self.writing.remove(&path);
                    self.batch.enter(Some(path));
                }
                Meaning::Moved(folder) => {
                    self.folders.forget(&folder);
                    self.batch.enter(None);
                }
                Meaning::Rescan => self.batch.enter(None),
                Meaning::Lost => {
                    self.counters.overflows.fetch_add(1, Relaxed);
                    self.overflows += 1;
                    self.lost();
                }
            }
        }
    }

    fn saved(&mut self, path: PathBuf) {
        self.poll.settle(&path);
        self.batch.enter(Some(path));
    }

    fn check_overflow(&mut self) {
        let overflows = self.counters.overflows.load(Relaxed);
        if overflows != self.overflows {
            self.overflows = overflows;
            self.lost();
        }
    }

    /// Events were lost: a close or the move of a folder may be among them.
    fn lost(&mut self) {
        self.writing.clear();
        self.folders.forget_all();
        self.batch.enter(None);
    }

    fn look(&mut self) {
        let started = Instant::now();
        self.end_waiting();
        let writing = &self.writing;
        let found = self.poll.look(|real| writing.contains_key(real));
        for path in found.saved {
            self.batch.enter(Some(path));
        }
        if found.moved {
            self.batch.enter(None);
        }
        // Of those that are being written the end will be told.
        let mut unseen = self
            .poll
            .unsettled()
            .filter_map(|path| std::fs::canonicalize(path).ok())
            .filter(|real| !self.writing.contains_key(real))
            .peekable();
        let is_soon = unseen.peek().is_some() && unseen.all(|real| self.folders.covers(&real));
        let pause = if is_soon {
            self.options.poll.min(SOON)
        } else {
            self.options.poll
        };
        self.next_look = Instant::now() + pause.max(started.elapsed() * LOOK_SHARE);
    }

    /// Takes files as they are whose close does not come.
    fn end_waiting(&mut self) {
        let now = Instant::now();
        let (batch, counters) = (&mut self.batch, &self.counters);
        let held_open = self.options.held_open;
        self.writing.retain(|path, (before, since)| {
            let stamp = Stamp::of(path);
            if stamp.is_none() {
                return false;
            }
            if *before != stamp {
                (*before, *since) = (stamp, now);
            }
            let waits = now.duration_since(*since) < held_open;
            if !waits {
                counters.held_open.fetch_add(1, Relaxed);
                batch.enter(Some(path.clone()));
            }
            waits
        });
    }

    /// False: nobody takes it any more.
    fn pass_on(&mut self, stopped: &Receiver<()>) -> bool {
        if self.batch.rescan && self.folders.refresh() {
            // What is in the new folders may be in the middle of being written.
            self.look();
        }
        let batch = std::mem::take(&mut self.batch);
        let Some(at) = batch.first else { return true };
        let unsettled = self.poll.unsettled().map(PathBuf::as_path);
        let writing = self.writing.keys().map(PathBuf::as_path).chain(unsettled);
        let saved = Saved {
            paths: batch.paths.into_iter().collect(),
            rescan: batch.rescan,
            writing: writing.map(Path::to_owned).collect(),
            at,
        };
        select! {
            send(self.saved, saved) -> sent => sent.is_ok(),
            recv(stopped) -> _ => false,
        }
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
