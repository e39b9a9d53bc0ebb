//! Which rules have series of their own in `/metrics`: those that took the most time, up to a bound. Ten thousand rules of
//! 35 series each are more than a Prometheus is meant for.
//!
//! The others are summed. A rule may come to the listed ones and leave them, and a counter must not fall: so what is summed is
//! what each rule did while it was not listed, from one look to the next. What it did while it was listed is told under its own
//! name, and never again: so every rule is followed, listed or not, for as long as it can come back with what it counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::engine::{Counters, Counts, Rule, RuleSet};

/// What the rules without series of their own are called together. Nobody calls a rule so.
pub(super) const OTHERS: &str = "(others)";

/// Chooses the rules that are listed, and sums the others.
#[derive(Debug)]
pub struct Listing {
    most: usize,
    unlisted: Mutex<Unlisted>,
}

#[derive(Debug, Default)]
struct Unlisted {
    /// By id.
    last: HashMap<String, Seen>,
    sum: Counts,
}

/// What a rule had done when it was last looked at.
#[derive(Debug)]
struct Seen {
    by: Weak<Counters>,
    counts: Counts,
}

/// The rules at one moment, as they are listed.
#[derive(Debug)]
pub(super) struct Listed {
    /// In the order of the set.
    pub(super) rules: Vec<(Arc<Rule>, Counts)>,
    pub(super) others: Vec<Arc<Rule>>,
    /// What those did while they were not listed; none where there never were any.
    pub(super) sum: Option<Counts>,
}

impl Listing {
    /// Lists at most so many rules.
    pub fn new(most: usize) -> Listing {
        Listing {
            most,
            unlisted: Mutex::default(),
        }
    }

    pub(super) fn look(&self, set: &RuleSet) -> Listed {
        let rules = set.rules.iter();
        let counted: Vec<_> = rules.map(|rule| (rule.clone(), set.counts(rule))).collect();
        let mut unlisted = self.unlisted.lock().unwrap_or_else(PoisonError::into_inner);
        let costs: Vec<u64> = counted.iter().map(|(_, c)| c.nanoseconds).collect();
        let is_listed = costliest(&costs, self.most);
        let (mut rules, mut others) = (Vec::new(), Vec::new());
        for ((rule, counts), is_listed) in counted.into_iter().zip(is_listed) {
            match is_listed {
                true => rules.push((rule, counts)),
                false => others.push((rule, counts)),
            }
        }
        unlisted.forget();
        for (is_listed, looked_at) in [(true, &rules), (false, &others)] {
            for (rule, counts) in looked_at {
                unlisted.look(&rule.id, &rule.counted_by(), counts, is_listed);
            }
        }
        let told = !others.is_empty() || unlisted.sum != Counts::default();
        Listed {
            sum: told.then(|| unlisted.sum.clone()),
            others: others.into_iter().map(|(rule, _)| rule).collect(),
            rules,
        }
    }
}

impl Unlisted {
    /// Adds what a rule did since it was last looked at, unless that is told under its own name.
    fn look(&mut self, id: &str, by: &Weak<Counters>, counts: &Counts, is_listed: bool) {
        // One that was removed and came back may count from nothing, or on from where it was.
        let before = self.last.get(id).filter(|seen| Weak::ptr_eq(&seen.by, by));
        let since = before.map_or_else(|| counts.clone(), |seen| counts.since(&seen.counts));
        if !is_listed {
            self.sum = self.sum.and(&since);
        }
        let (by, counts) = (by.clone(), counts.clone());
        self.last.insert(id.to_owned(), Seen { by, counts });
    }

    /// Forgets rules that can't come back with what they counted: nobody has them any more.
    fn forget(&mut self) {
        self.last.retain(|_, seen| seen.by.strong_count() > 0);
    }
}

/// Of each cost, whether it is one of the `most` largest; of equal ones the first.
fn costliest(costs: &[u64], most: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    if most < costs.len() {
        let dearest_first = |&at: &usize| (std::cmp::Reverse(costs.get(at)), at);
        order.select_nth_unstable_by_key(most, dearest_first);
    }
    let mut listed = vec![false; costs.len()];
    for &at in order.iter().take(most) {
        if let Some(is_listed) = listed.get_mut(at) {
            *is_listed = true;
        }
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluations(evaluations: u64) -> Counts {
        Counts {
            evaluations,
            ..Counts::default()
        }
    }

    #[test]
    fn what_a_rule_did_while_it_was_listed_is_not_told_again_with_the_others() {
        let mut unlisted = Unlisted::default();
        let counters = Arc::new(Counters::default());
        let by = Arc::downgrade(&counters);
        let mut look = |counts, is_listed| {
            unlisted.forget();
            unlisted.look("a", &by, &evaluations(counts), is_listed);
            unlisted.sum.evaluations
        };
        // All can be listed at first.
        assert_eq!(look(5, true), 0);
        assert_eq!(look(7, false), 2, "it had 5 under its own name");
        assert_eq!(look(17, true), 2);
        assert_eq!(look(20, false), 5);
    }

    #[test]
    fn a_rule_that_was_removed_and_comes_back_is_told_once() {
        let mut unlisted = Unlisted::default();
        let counters = Arc::new(Counters::default());
        let by = Arc::downgrade(&counters);
        unlisted.look("a", &by, &evaluations(9), false);
        // It is not in force for a while, and somebody still has it.
        unlisted.forget();
        unlisted.look("a", &by, &evaluations(11), false);
        assert_eq!(unlisted.sum.evaluations, 11);
        // One of its id that counts anew has done what it counts.
        let anew = Arc::new(Counters::default());
        unlisted.look("a", &Arc::downgrade(&anew), &evaluations(4), false);
        assert_eq!(unlisted.sum.evaluations, 15);
        drop((counters, anew));
        unlisted.forget();
        assert!(unlisted.last.is_empty(), "nobody has it any more");
    }

    #[test]
    fn the_costliest_are_listed_and_of_equal_ones_the_first() {
        let listed = |costs: &[u64], most| {
            let listed = costliest(costs, most).into_iter().enumerate();
            let listed = listed.filter(|(_, is_listed)| *is_listed);
            listed.map(|(at, _)| at).collect::<Vec<_>>()
        };
        assert_eq!(listed(&[5, 9, 1, 9, 7], 3), [1, 3, 4]);
        assert_eq!(listed(&[5, 5, 5, 5], 2), [0, 1]);
        assert_eq!(listed(&[5, 9], 3), [0, 1]);
        assert_eq!(listed(&[5, 9], 0), [0_usize; 0]);
    }
}
