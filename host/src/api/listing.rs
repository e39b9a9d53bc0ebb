//! Which rules have series of their own in `/metrics`: those that took the most time, up to a bound. Ten thousand rules of
//! 35 series each are more than a Prometheus is meant for.
//!
//! The others are summed. A rule may come to the listed ones and leave them, and a counter must not fall: so what is summed is
//! what each rule did while it was not listed, from one look to the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Counts, Rule, RuleSet};

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
    /// By id, as of the last look. Empty as long as all rules can be listed.
    last: HashMap<String, Counts>,
    sum: Counts,
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
        let told = unlisted.look(&rules, &others);
        Listed {
            sum: told.then(|| unlisted.sum.clone()),
            others: others.into_iter().map(|(rule, _)| rule).collect(),
            rules,
        }
    }
}

impl Unlisted {
    /// Adds what the others did since the last look. Returns whether there ever were some.
    fn look(&mut self, listed: &[(Arc<Rule>, Counts)], others: &[(Arc<Rule>, Counts)]) -> bool {
        let none = Counts::default();
        for (rule, counts) in others {
            let before = self.last.get(&rule.id).unwrap_or(&none);
            self.sum = self.sum.and(&counts.since(before));
        }
        self.last.clear();
        if !others.is_empty() {
            let all = listed.iter().chain(others);
            self.last = all
                .map(|(rule, counts)| (rule.id.clone(), counts.clone()))
                .collect();
        }
        !others.is_empty() || self.sum != none
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
