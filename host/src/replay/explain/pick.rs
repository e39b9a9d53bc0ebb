//! Which traces of a recording are explained: of each rule a few, those that it fires on first, then those that it was
//! asked about, then the others. How many there were of each is counted, so that what is left out can be said.

use std::collections::HashSet;
use std::sync::Arc;

use super::triggers::Triggers;
use crate::assemble::trace::{Requests, Trace};
use crate::columns::batch::Columns;
use crate::engine::{Rule, RuleSet};
use crate::replay::kept::{Judgement, Kept};
use crate::signal::Emission;

/// Puts traces aside while a recording is judged.
pub struct Picker {
    rules: Vec<OfRule>,
    trace: Option<[u8; 16]>,
    most: usize,
}

/// What was put aside of one rule.
pub struct Picked {
    pub rule: Arc<Rule>,
    /// In the order in which they are told.
    pub kept: Vec<Arc<Kept>>,
    /// Traces in all that it fires on, that it was asked about in vain, and that it was not asked about.
    pub fires: u64,
    pub quiet: u64,
    pub not_asked: u64,
}

struct OfRule {
    rule: Arc<Rule>,
    triggers: Triggers,
    fires: Bucket,
    quiet: Bucket,
    not_asked: Bucket,
}

#[derive(Default)]
struct Bucket {
    kept: Vec<Arc<Kept>>,
    traces: u64,
}

impl Picker {
    /// Picks at most `most` traces for each rule of `set`, or for the one that is named; of all traces, or the one.
    pub fn new(set: &RuleSet, rule: Option<&str>, trace: Option<[u8; 16]>, most: usize) -> Picker {
        let rules = set.rules.iter().enumerate();
        let rules = rules.filter(|(_, of)| rule.is_none_or(|rule| of.id == rule));
        Picker {
            rules: rules
                .map(|(index, rule)| OfRule {
                    rule: rule.clone(),
                    triggers: Triggers::new(set, index),
                    fires: Bucket::default(),
                    quiet: Bucket::default(),
                    not_asked: Bucket::default(),
                })
                .collect(),
            trace,
            most,
        }
    }

    /// Takes a batch that was judged: its columns are those of the whole set.
    pub fn take<R: Requests>(
        &mut self,
        columns: &Columns,
        traces: &[Trace],
        requests: &R,
        signals: &[Emission],
    ) {
        let fired: HashSet<(&[u8; 16], &str)> = signals
            .iter()
            .map(|emission| (&emission.trace_id, emission.signal.rule.as_str()))
            .collect();
        for (trace, ends) in traces.iter().zip(columns.offsets.windows(2)) {
            let &[start, end] = ends else { continue };
            if self.trace.is_some_and(|wanted| wanted != trace.id) {
                continue;
            }
            let mut kept: Option<Arc<Kept>> = None;
            for of in &mut self.rules {
                let rows = start as usize..end as usize;
                let bucket = match () {
                    () if fired.contains(&(&trace.id, of.rule.id.as_str())) => &mut of.fires,
                    () if of.triggers.all_met(columns, &rows) => &mut of.quiet,
                    () => &mut of.not_asked,
                };
                bucket.traces += 1;
                if bucket.kept.len() < self.most {
                    let copy = || Arc::new(Kept::copy(trace, requests, Judgement::default()));
                    bucket.kept.push(kept.get_or_insert_with(copy).clone());
                }
            }
        }
    }

    /// What was put aside, rule by rule.
    pub fn picked(self) -> Vec<Picked> {
        let most = self.most;
        let rules = self.rules.into_iter();
        rules
            .map(|of| {
                let buckets = [&of.fires, &of.quiet, &of.not_asked];
                let kept = buckets.into_iter().flat_map(|bucket| &bucket.kept);
                Picked {
                    kept: kept.take(most).cloned().collect(),
                    fires: of.fires.traces,
                    quiet: of.quiet.traces,
                    not_asked: of.not_asked.traces,
                    rule: of.rule,
                }
            })
            .collect()
    }
}
