//! The warm instances of one worker, by rule; past the bound, the one that was used longest ago goes.
//!
//! An instance is taken out for a call and put back after it, so an instance that failed can't be used again.

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt};

use super::instance::Instance;

/// The instances that wait for their next call.
pub(super) struct Warm<T = Instance> {
    most: usize,
    instances: HashMap<u64, Used<T>>,
    /// Uses in order. One that is not its rule's latest says nothing, and is dropped when it comes up.
    uses: VecDeque<(u64, u64)>,
    clock: u64,
}

struct Used<T> {
    instance: T,
    at: u64,
}

impl<T> Warm<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            instances: HashMap::new(),
            uses: VecDeque::new(),
            clock: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.instances.len()
    }

    /// The instance of a rule, if there is one.
    pub(super) fn take(&mut self, rule: u64) -> Option<T> {
        self.instances.remove(&rule).map(|used| used.instance)
    }

    /// Makes room for an instance that is about to be made.
    pub(super) fn make_room(&mut self) {
        while self.instances.len() >= self.most && self.evict() {}
    }

    /// Drops the instance that was used longest ago; returns whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        while let Some((rule, at)) = self.uses.pop_front() {
            if self.instances.get(&rule).is_some_and(|used| used.at == at) {
                self.instances.remove(&rule);
                return true;
            }
        }
        false
    }

    /// Keeps an instance for the rule's next call.
    pub(super) fn put(&mut self, rule: u64, instance: T) {
        self.clock += 1;
        self.instances.insert(
            rule,
            Used {
                instance,
                at: self.clock,
            },
        );
        self.uses.push_back((rule, self.clock));
        if self.uses.len() > 4 * self.instances.len().max(16) {
            let instances = &self.instances;
            self.uses
                .retain(|&(rule, at)| instances.get(&rule).is_some_and(|used| used.at == at));
        }
    }

    /// Drops the instances of rules that are not wanted any more.
    pub(super) fn keep(&mut self, wanted: impl Fn(u64) -> bool) {
        self.instances.retain(|&rule, _| wanted(rule));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut warm: Warm<&str> = Warm::new(2);
        for (rule, name) in [(1, "one"), (2, "two")] {
            warm.make_room();
            warm.put(rule, name);
        }
        let one = warm.take(1).expect("it was put");
        warm.put(1, one);
        warm.make_room();
        warm.put(3, "three");
        assert_eq!(
            (warm.take(2), warm.take(1), warm.take(3)),
            (None, Some("one"), Some("three"))
        );
    }

    #[test]
    fn uses_do_not_pile_up() {
        let mut warm: Warm<u64> = Warm::new(8);
        for use_ in 0..10_000 {
            let rule = use_ % 8;
            let instance = warm.take(rule).unwrap_or(rule);
            warm.make_room();
            warm.put(rule, instance);
        }
        assert_eq!(warm.len(), 8);
        assert!(warm.uses.len() <= 64);
        warm.keep(|rule| rule == 5);
        assert!(warm.evict());
        assert!(!warm.evict());
    }
}
