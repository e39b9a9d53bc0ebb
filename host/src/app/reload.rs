//! Saves to rules in force, and to what they do: two threads beside the shards.
//!
//! ```text
//! Watch -> [reload]  Library -> Published                          in force at once
//!                        `-> Pending -> [verdict]  Trial over the ring -> SaveReport -> Book
//! ```
//! A save never waits for the verdict of the one before: a verdict that a newer save has overtaken is left, and its changes
//! are told together with the newer ones'.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use tracing::Span;
use tracing::field::Empty;

use crate::alarm::Alarm;
use crate::engine::Engine;
use crate::live::{Book, SaveReport};
use crate::pipeline::thread::Clock;
use crate::replay::explain::fill_silences;
use crate::replay::ring::Ring;
use crate::replay::trial::Trial;
use crate::replay::verdict::Verdict;
use crate::rules::Published;
use crate::rules::library::Library;
use crate::rules::update::{Change, Update};
use crate::rules::watch::{Saved, Watch};

/// What reloading works on.
pub(super) struct Reload {
    pub library: Library,
    pub saved: Receiver<Saved>,
    /// Wakes when a rule was quarantined.
    pub opened: Receiver<()>,
    pub published: Arc<Published>,
    pub engine: Arc<Engine>,
    pub ring: Arc<Ring>,
    pub book: Arc<Book>,
    pub clock: Clock,
    /// Rung when one of the threads ends by a panic.
    pub alarm: Alarm,
}

/// The threads; they end when this is dropped.
pub(super) struct Reloading {
    /// Dropped to end the reload thread.
    stop: Option<Sender<()>>,
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
    watch: Option<Watch>,
}

/// A save whose verdict is still to come.
struct Pending {
    number: u64,
    at: Instant,
    saved_at: u64,
    update: Update,
    /// With those of saves that this one overtook.
    changes: Vec<Change>,
    live_after: Duration,
    /// Of the reload: it ends with the verdict.
    span: Span,
}

/// Where the reload thread leaves work for the verdict thread: at most one save.
#[derive(Default)]
struct Desk {
    next: Mutex<Next>,
    filled: Condvar,
    /// A newer save waits: leave the trial at hand.
    overtaken: AtomicBool,
}

#[derive(Default)]
struct Next {
    pending: Option<Pending>,
    closed: bool,
}

impl Reload {
    /// Starts the threads. `watch` is what sends the saves.
    pub(super) fn start(self, watch: Watch) -> io::Result<Reloading> {
        let desk = Arc::new(Desk::default());
        let (stop, stopped) = bounded(0);
        let judging = Judging {
            trial: Trial::new(self.engine.clone()),
            ring: self.ring.clone(),
            book: self.book.clone(),
            desk: desk.clone(),
        };
        let mut reloading = Reloading {
            stop: Some(stop),
            desk: desk.clone(),
            threads: Vec::new(),
            watch: Some(watch),
        };
        let alarm = self.alarm.clone();
        let verdicts = std::thread::Builder::new().name("verdict".to_owned());
        reloading.threads.push(verdicts.spawn(move || {
            let _watch = alarm.watch();
            judging.run();
        })?);
        let reloads = std::thread::Builder::new().name("reload".to_owned());
        let thread = reloads.spawn(move || {
            let _watch = self.alarm.watch();
            self.run(&desk, &stopped);
        })?;
        reloading.threads.push(thread);
        Ok(reloading)
    }

    fn run(mut self, desk: &Desk, stopped: &Receiver<()>) {
        let mut number = 1;
        loop {
            let due = self.library.due();
            let due = due.map_or_else(never, |at| {
                crossbeam_channel::after(at.since(self.clock.now()))
            });
            let (update, at, span) = select! {
                recv(stopped) -> _ => return,
                recv(self.saved) -> saved => match saved {
                    Ok(saved) => {
                        let span = reload_span();
                        let look = || self.library.saved(&saved, self.clock.now());
                        (span.in_scope(look), saved.at, span)
                    }
                    // The watcher is gone; what is due is still withdrawn.
                    Err(_) => {
                        self.saved = never();
                        continue;
                    }
                },
                recv(self.opened) -> woken => match woken {
                    Ok(()) => (self.library.tripped(), Instant::now(), reload_span()),
                    Err(_) => {
                        self.opened = never();
                        continue;
                    }
                },
                recv(due) -> _ => {
                    // The save was when what is due was found to be gone.
                    let now = self.clock.now();
                    let late = self.library.due().map_or(Duration::ZERO, |due| now.since(due));
                    let waited = self.library.removal_delay() + late;
                    let at = Instant::now();
                    let update = self.library.tick(now);
                    (update, at.checked_sub(waited).unwrap_or(at), reload_span())
                }
            };
            if update.is_empty() {
                continue;
            }
            number += 1;
            self.publish(number, at, update, span, desk);
        }
    }

    fn publish(&self, number: u64, at: Instant, mut update: Update, span: Span, desk: &Desk) {
        span.record("number", number);
        span.record("changes", update.changes.len());
        if !update.changes.is_empty() {
            update.set = Some(self.published.publish(self.library.rules()));
        }
        let live_after = at.elapsed();
        log(&update, live_after);
        self.book.stand(self.library.statuses());
        let pending = Pending {
            number,
            at,
            saved_at: unix_ns_at(at),
            changes: update.changes.clone(),
            update,
            live_after,
            span,
        };
        if pending.changes.is_empty() {
            self.book.enter(pending.report(None));
        } else if let Some(overtaken) = desk.put(pending) {
            self.book.enter(overtaken.report(None));
        }
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        self.stop = None;
        self.desk.close();
        // Nobody takes its saves any more, so it must not wait for that.
        for thread in self.threads.drain(..) {
            // A panic was printed when it happened; the host goes on with the rules that it has.
            let _ = thread.join();
        }
        self.watch = None;
    }
}

/// The verdict thread.
struct Judging {
    trial: Trial,
    ring: Arc<Ring>,
    book: Arc<Book>,
    desk: Arc<Desk>,
}

impl Judging {
    fn run(mut self) {
        while let Some(pending) = self.desk.take() {
            let around = &pending.span;
            let _span =
                tracing::info_span!(parent: around, "verdict", number = pending.number).entered();
            let kept = self.ring.snapshot();
            let coverage = self.ring.coverage(&kept);
            let verdict = self
                .trial
                .judge(&pending.changes, &kept, coverage, &self.desk.overtaken);
            match verdict {
                Some(mut verdict) => {
                    let overtaken = &self.desk.overtaken;
                    let engine = self.trial.engine();
                    fill_silences(engine, &pending.changes, &kept, &mut verdict, overtaken);
                    self.book.enter(pending.report(Some(verdict)));
                }
                None => {
                    if let Some(left) = self.desk.overtake(pending) {
                        self.book.enter(left.report(None));
                    }
                }
            }
        }
    }
}

impl Pending {
    fn report(self, verdict: Option<Verdict>) -> SaveReport {
        SaveReport {
            number: self.number,
            saved_at: self.saved_at,
            update: self.update,
            live_after: self.live_after,
            verdict_after: self.at.elapsed(),
            verdict,
        }
    }
}

impl Desk {
    /// Leaves a save; returns the one that it overtook before its verdict was begun.
    fn put(&self, mut pending: Pending) -> Option<Pending> {
        let mut next = self.lock();
        let overtaken = next.pending.take();
        if let Some(before) = &overtaken {
            pending.changes = merged(&before.changes, &pending.changes);
        }
        next.pending = Some(pending);
        self.overtaken.store(true, Relaxed);
        self.filled.notify_one();
        overtaken
    }

    /// A verdict was left for a newer save, which takes its changes over. Returns it, to be reported without a verdict.
    fn overtake(&self, left: Pending) -> Option<Pending> {
        let mut next = self.lock();
        if let Some(newer) = &mut next.pending {
            newer.changes = merged(&left.changes, &newer.changes);
        }
        Some(left)
    }

    /// Waits for a save; none when the host stops.
    fn take(&self) -> Option<Pending> {
        let mut next = self.lock();
        loop {
            if next.closed {
                return None;
            }
            if let Some(pending) = next.pending.take() {
                self.overtaken.store(false, Relaxed);
                return Some(pending);
            }
            next = self
                .filled
                .wait(next)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.overtaken.store(true, Relaxed);
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes one after the other as one: from before the first to after the second.
fn merged(first: &[Change], second: &[Change]) -> Vec<Change> {
    let mut all = first.to_vec();
    for change in second {
        match all.iter_mut().find(|known| known.id == change.id) {
            Some(known) => {
                known.after = change.after.clone();
                known.path = change.path.clone();
            }
            None => all.push(change.clone()),
        }
    }
    let version =
        |rule: &Option<Arc<crate::engine::Rule>>| rule.as_ref().map(|rule| rule.version.clone());
    all.retain(|change| version(&change.before) != version(&change.after));
    all
}

/// Around all that a save leads to, up to its verdict.
fn reload_span() -> Span {
    tracing::info_span!("reload", number = Empty, changes = Empty)
}

/// The wall clock at an instant that has just passed.
fn unix_ns_at(at: Instant) -> u64 {
    let ago = u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Clock::unix_ns().saturating_sub(ago)
}

fn log(update: &Update, live_after: Duration) {
    for error in &update.paths {
        tracing::error!("{error}");
    }
    for file in &update.files {
        let path = file.path.display().to_string();
        for problem in &file.problems {
            tracing::error!(file = path, kept = ?file.kept, "{problem}");
        }
        for warning in &file.warnings {
            tracing::warn!(file = path, "{}", warning.text);
        }
    }
    for trip in &update.trips {
        let (id, version, fault) = (&trip.id, &trip.version, trip.fault.to_string());
        match &trip.back_to {
            Some(back_to) => tracing::error!(
                rule = id,
                version,
                back_to,
                fault,
                "a version of a rule kept faulting and is rolled back: the one before is in force until its file changes"
            ),
            None => tracing::error!(
                rule = id,
                version,
                fault,
                "a quarantined rule has no good version to go back to: mend its file"
            ),
        }
    }
    let ids = |stays: bool| -> Vec<&str> {
        let changes = update.changes.iter();
        changes
            .filter(|change| change.after.is_some() == stays)
            .map(|change| change.id.as_str())
            .collect()
    };
    if let Some(set) = &update.set {
        tracing::info!(
            generation = set.generation,
            rules = set.rules.len(),
            changed = ?ids(true),
            withdrawn = ?ids(false),
            live_after_ms = live_after.as_secs_f64() * 1e3,
            "rules reloaded"
        );
    }
}
