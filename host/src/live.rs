//! What a running host knows of itself, for whoever shows it: the API, the metrics, a terminal.
//!
//! ```text
//! a file is saved -> Library -> Published -> [next batch of every shard]
//!                            -> Verdict over the ring -> SaveReport -> Book -> API, `dev`, log
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::replay::coverage::Coverage;
use crate::replay::verdict::{RuleVerdict, Verdict};
use crate::rules::update::{RuleStatus, Update};

/// Reports that a subscriber may lag behind. A person saves once a second at most.
pub const REPORTS: usize = 256;

/// What one save led to.
#[derive(Debug)]
pub struct SaveReport {
    /// Counts up from 1; the first is that of the start.
    pub number: u64,
    /// When the file was closed or renamed, in Unix nanoseconds.
    pub saved_at: u64,
    pub update: Update,
    /// From the save until the new rules were in force.
    pub live_after: Duration,
    /// What the changed rules do to the kept traces; none where no rule changed.
    pub verdict: Option<Verdict>,
    /// From the save until the verdict was there.
    pub verdict_after: Duration,
}

/// What saves have led to so far.
#[derive(Debug, Default)]
pub struct Book {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    statuses: Arc<Vec<RuleStatus>>,
    /// The latest of each rule.
    verdicts: HashMap<String, Arc<Latest>>,
    counts: Reloads,
    subscribers: Vec<Sender<Arc<SaveReport>>>,
}

/// What the latest change of a rule did.
#[derive(Clone, Debug)]
pub struct Latest {
    /// When its file was saved, in Unix nanoseconds.
    pub saved_at: u64,
    pub verdict: RuleVerdict,
    /// What the traces cover that it was tried on.
    pub coverage: Coverage,
}

/// How often rules were loaded anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Looks at files that found another content.
    pub reloads: u64,
    /// Files that were broken, and folders that could not be read, when they were looked at.
    pub failures: u64,
    /// When files were last looked at and all were right, in Unix nanoseconds; 0 where that has not been yet.
    pub succeeded_at: u64,
    /// Reports that a subscriber was too slow to take.
    pub missed: u64,
}

impl Book {
    /// Says how all rules stand from now on.
    pub fn stand(&self, statuses: Vec<RuleStatus>) {
        let mut inner = self.lock();
        let ids: HashSet<&str> = statuses.iter().map(|status| status.id.as_str()).collect();
        inner.verdicts.retain(|id, _| ids.contains(id.as_str()));
        inner.statuses = Arc::new(statuses);
    }

    /// Enters what a save led to, and passes it on to whoever subscribed.
    pub fn enter(&self, report: SaveReport) {
        let report = Arc::new(report);
        let mut inner = self.lock();
        // No file was looked at for a rule that was quarantined.
        let is_look = report.update.trips.is_empty();
        inner.counts.reloads += u64::from(is_look && report.update.is_news());
        let files = &report.update.files;
        let broken = files.iter().filter(|file| !file.problems.is_empty());
        let broken = broken.count() as u64 + report.update.paths.len() as u64;
        inner.counts.failures += broken;
        if broken == 0 && is_look {
            inner.counts.succeeded_at = inner.counts.succeeded_at.max(report.saved_at);
        }
        if let Some(verdict) = &report.verdict {
            for rule in &verdict.rules {
                let latest = Latest {
                    saved_at: report.saved_at,
                    verdict: rule.clone(),
                    coverage: verdict.coverage.clone(),
                };
                inner.verdicts.insert(rule.id.clone(), Arc::new(latest));
            }
        }
        let mut missed = 0;
        inner
            .subscribers
            .retain(|subscriber| match subscriber.try_send(report.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    missed += 1;
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            });
        inner.counts.missed += missed;
    }

    /// How all rules stand.
    pub fn statuses(&self) -> Arc<Vec<RuleStatus>> {
        self.lock().statuses.clone()
    }

    /// What the latest change of a rule did to the traces that were kept then.
    pub fn latest(&self, rule: &str) -> Option<Arc<Latest>> {
        self.lock().verdicts.get(rule).cloned()
    }

    pub fn counts(&self) -> Reloads {
        self.lock().counts
    }

    /// Reports from now on.
    pub fn subscribe(&self) -> Receiver<Arc<SaveReport>> {
        let (sender, receiver) = bounded(REPORTS);
        self.lock().subscribers.push(sender);
        receiver
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
