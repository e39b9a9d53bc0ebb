//! Changed rules over kept traces: the version before and the new one side by side, on cores that are free.
//!
//! ```text
//! changes -> one rule set -> [kept traces, batch by batch, on some threads] -> findings -> diff -> count -> Verdict
//! ```
//! Both versions see the same columns, so that what they found can be compared row by row. Nothing of it is counted of the
//! rules, whose metrics tell of live traffic. Newest traces come first, so that they are the ones that have a verdict when
//! the time is up.

mod count;
mod desk;
mod report;
mod work;

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::kept::Kept;
use super::verdict::Verdict;
use crate::columns::batch::Columns;
use crate::engine::limits::{ATTEMPT_INSTANCES, TRIER_INSTANCES, TRIERS};
use crate::engine::{Engine, Rule};
use crate::priority::give_way;
use crate::rules::update::Change;
pub use count::SIDE_IDS;
use desk::{Desk, Share};
use report::verdict;
use work::Work;

/// Columns beyond which buffers are not kept for the next trial.
const KEPT_COLUMNS: usize = 64;

/// What a person would wait for a verdict; a trial of a thousand traces takes milliseconds.
const TIME: Duration = Duration::from_secs(30);

/// The bounds of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialLimits {
    pub threads: usize,
    /// Engine instances that a thread may keep, of those that the pool has to spare.
    pub instances: usize,
    /// After this, traces that were not tried have no verdict.
    pub time: Duration,
}

impl Default for TrialLimits {
    fn default() -> TrialLimits {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        TrialLimits {
            threads: cores.min(TRIERS),
            instances: TRIER_INSTANCES,
            time: TIME,
        }
    }
}

impl TrialLimits {
    /// For one of so many requests that are served at a time: they share what the pool has to spare for them.
    pub fn for_request(at_once: usize) -> TrialLimits {
        let share = (ATTEMPT_INSTANCES / at_once.max(1)).max(1);
        let all = TrialLimits::default();
        let instances = all.instances.min(share);
        TrialLimits {
            threads: all.threads.min(share / instances),
            instances,
            ..all
        }
    }
}

/// Runs changed rules over kept traces. Buffers and instances stay from one save to the next.
pub struct Trial {
    engine: Arc<Engine>,
    limits: TrialLimits,
    desks: Vec<Desk>,
}

impl Trial {
    pub fn new(engine: Arc<Engine>) -> Trial {
        Trial::with_limits(engine, TrialLimits::default())
    }

    pub fn with_limits(engine: Arc<Engine>, limits: TrialLimits) -> Trial {
        let desk = || Desk::new(&engine, &limits);
        Trial {
            desks: (0..limits.threads.max(1)).map(|_| desk()).collect(),
            engine,
            limits,
        }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Says what changes do to kept traces, newest first. None where `overtaken` was set meanwhile: that is looked at
    /// between any two calls of a rule.
    pub fn judge(
        &mut self,
        changes: &[Change],
        kept: &[Arc<Kept>],
        coverage: Coverage,
        overtaken: &AtomicBool,
    ) -> Option<Verdict> {
        let started = Instant::now();
        let until = started.checked_add(self.limits.time).unwrap_or(started);
        let work = Work::new(changes, kept, self.desks.len(), overtaken, until);
        let mut sum = Share::new(&work);
        let mut is_broken = false;
        for share in run(&mut self.desks, &work) {
            match share {
                Some(share) => sum.add(share),
                None => is_broken = true,
            }
        }
        if is_broken {
            // Buffers that a panic left as they were are not to be trusted.
            let desks = self.desks.iter_mut();
            desks.for_each(|desk| *desk = Desk::new(&self.engine, &self.limits));
        }
        if work.set.projection.columns.len() > KEPT_COLUMNS {
            let desks = self.desks.iter_mut();
            desks.for_each(|desk| desk.columns = Columns::default());
        }
        if overtaken.load(Relaxed) {
            return None;
        }
        Some(verdict(&work, changes, sum, coverage, is_broken))
    }
}

/// What rules that are not in force would find.
pub fn try_rules(
    trial: &mut Trial,
    rules: &[Arc<Rule>],
    kept: &[Arc<Kept>],
    coverage: Coverage,
    overtaken: &AtomicBool,
) -> Option<Verdict> {
    let added = |rule: &Arc<Rule>| Change {
        id: rule.id.clone(),
        path: rule.origin.clone(),
        before: None,
        after: Some(rule.clone()),
    };
    let changes: Vec<Change> = rules.iter().map(added).collect();
    trial.judge(&changes, kept, coverage, overtaken)
}

/// Runs the work on a thread a desk; each gives its share, or none where it panicked.
fn run(desks: &mut [Desk], work: &Work<'_>) -> Vec<Option<Share>> {
    let wanted = desks.len().min(work.batches.len());
    let mut shares = std::thread::scope(|scope| {
        let threads: Vec<_> = desks
            .iter_mut()
            .take(wanted)
            .filter_map(|desk| {
                let run = || {
                    give_way();
                    desk.run(work)
                };
                let thread = std::thread::Builder::new().name("trial".to_owned());
                thread.spawn_scoped(scope, run).ok()
            })
            .collect();
        let shares = threads.into_iter().map(|thread| thread.join().ok());
        shares.collect::<Vec<_>>()
    });
    // Where no thread can be had, the caller's has to do.
    if let (true, Some(desk)) = (shares.is_empty() && wanted > 0, desks.first_mut()) {
        shares.push(Some(desk.run(work)));
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_share_the_instances_that_they_may_have() {
        for at_once in [0, 1, 2, 3, 5, 24] {
            let limits = TrialLimits::for_request(at_once);
            assert!(limits.threads >= 1 && limits.instances >= 1);
            let all = limits.threads * limits.instances * at_once.max(1);
            assert!(all <= ATTEMPT_INSTANCES, "{at_once} at once: {all}");
        }
    }
}
