//! The rule set that is in force. A worker takes it once for each batch, so that every trace is judged by exactly one.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::engine::{Rule, RuleSet};

/// The current rule set, replaced as a whole. What can fail has been done before: rules are loaded when they get here.
#[derive(Debug)]
pub struct Published {
    current: ArcSwap<RuleSet>,
    /// One publication at a time, so that generations grow in the order that sets are seen.
    publishing: Mutex<()>,
}

impl Published {
    /// Publishes generation 1.
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        let first = RuleSet::new(1, rules);
        first.enters();
        Self {
            current: ArcSwap::from_pointee(first),
            publishing: Mutex::new(()),
        }
    }

    /// The set in force. Cheap, and never waits for a publication.
    pub fn current(&self) -> Arc<RuleSet> {
        self.current.load_full()
    }

    /// Puts other rules in force, as the next generation.
    pub fn publish(&self, rules: Vec<Arc<Rule>>) -> Arc<RuleSet> {
        let _one = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let set = Arc::new(RuleSet::after(&self.current.load(), rules));
        set.enters();
        self.current.store(set.clone());
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_grow_by_one_whoever_publishes() {
        let published = Published::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut last = 0;
                    for _ in 0..50 {
                        published.publish(Vec::new());
                        let seen = published.current().generation;
                        assert!(seen > last);
                        last = seen;
                    }
                });
            }
        });
        assert_eq!(published.current().generation, 201);
    }
}
