//! What each rule took of one worker's time lately, so that one that is dear does not hold up the others.
//!
//! ```text
//! in each batch:            rules that take long go last, when the signals of the others have left
//! while the worker lags:    a rule that has had more than its share is passed over, trace by trace counted
//! ```
//! What a rule took fades: of a second's work a third counts a second later. So a rule is known before the worker lags, one that
//! stops being dear is forgiven within seconds, and a rule that is passed over gets its share on, and no more. Where a worker
//! keeps up, nothing is passed over whatever it costs. A rule costs 48 bytes a worker, and a batch touches those of its
//! candidates alone. The time is an argument: that of the thread, without what it waited for a processor.

use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use super::limits::ShareLimits;

/// What a rule may take in a batch and go with the others: what a batch waits for spans anyway (`batch-delay`).
const DEAR: Duration = Duration::from_millis(2);

/// Within which what a rule took counts: long enough that one odd batch is not the rule, short enough that a lag of a second is
/// about what lasts.
const WINDOW: Duration = Duration::from_secs(1);

/// A rule may have this much of an even share, however many there are: of three rules that cost the same each takes a third,
/// and none of them is unfair.
const OF_EVEN: f64 = 1.5;

/// The accounts of one worker.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By the rule's place in the set.
    rules: Vec<Account>,
    /// The number of the batch.
    batch: u32,
    now: Duration,
    /// What a rule may have of the window in this batch, as a part.
    allowed: f64,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    /// The rule's, unlike that of its other versions.
    key: u64,
    /// Nanoseconds of the window as of `at`.
    used: f64,
    at: Duration,
    batch: u32,
    /// In the batch that called it last, in microseconds.
    last_us: u32,
    /// In those before it, the later ones counting more. On a busy machine a single batch may tell what was another's.
    before_us: u32,
}

impl Account {
    /// What it takes in a batch.
    fn usual_us(&self) -> u32 {
        match self.before_us {
            0 => self.last_us,
            before => before - before / 4 + self.last_us / 4,
        }
    }
}

impl Ledger {
    /// The rules of another set, by their keys. Those that stay keep their accounts.
    pub(super) fn enter(&mut self, keys: impl Iterator<Item = u64>) {
        let used = self.rules.iter().filter(|account| account.used > 0.0);
        let mut known: HashMap<u64, Account> = HashMap::new();
        known.extend(used.map(|account| (account.key, *account)));
        self.rules.clear();
        (self.rules).extend(keys.map(|key| {
            known.get(&key).copied().unwrap_or(Account {
                key,
                used: 0.0,
                at: Duration::ZERO,
                batch: 0,
                last_us: 0,
                before_us: 0,
            })
        }));
    }

    /// A batch begins, when the thread is so old.
    pub(super) fn begin(&mut self, limits: &ShareLimits, now: Duration) {
        self.batch = self.batch.wrapping_add(1);
        self.now = self.now.max(now);
        let least = f64::from(limits.percent) / 100.0;
        // Rules that the batch does not concern count: the next one may, and is late.
        self.allowed = least.max(OF_EVEN / self.rules.len().max(1) as f64);
    }

    /// Puts the rules that take long behind the others, the dearest last; returns how many others there are.
    pub(super) fn dear_last(&self, order: &mut [u32]) -> usize {
        let took = |rule: &u32| (self.rules.get(*rule as usize)).map_or(0, Account::usual_us);
        let is_dear = |us: u32| u128::from(us) > DEAR.as_micros();
        if !order.iter().any(|rule| is_dear(took(rule))) {
            return order.len();
        }
        // Stable: what is not dear stays as it was.
        order.sort_by_key(|rule| Some(took(rule)).filter(|&us| is_dear(us)));
        order.partition_point(|rule| !is_dear(took(rule)))
    }

    /// Whether a rule has had its share, with what it took since it was charged last.
    pub(super) fn is_over(&self, rule: u32, since: Duration) -> bool {
        // Nobody is over the whole.
        self.allowed < 1.0
            && self.rules.get(rule as usize).is_some_and(|account| {
                let used = faded(account, self.now) + nanoseconds(since);
                used > self.allowed * nanoseconds(WINDOW)
            })
    }

    /// A rule took so long in this batch.
    pub(super) fn charge(&mut self, rule: u32, took: u64) {
        let (now, batch) = (self.now, self.batch);
        let Some(account) = self.rules.get_mut(rule as usize) else {
            return;
        };
        account.used = faded(account, now) + took as f64;
        account.at = now;
        if account.batch != batch {
            account.batch = batch;
            account.before_us = account.usual_us();
            account.last_us = 0;
        }
        let us = u32::try_from(took / 1_000).unwrap_or(u32::MAX);
        account.last_us = account.last_us.saturating_add(us);
    }
}

fn faded(account: &Account, now: Duration) -> f64 {
    let past = now.saturating_sub(account.at);
    account.used * (-past.as_secs_f64() / WINDOW.as_secs_f64()).exp()
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ledger(rules: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.enter(0..rules);
        ledger
    }

    fn quarter() -> ShareLimits {
        ShareLimits { percent: 25 }
    }

    /// Batches of these costs, one after the other, for so long. A rule that is over its share is passed over while the worker
    /// lags. Returns what each took, as a part of the whole.
    fn parts(ledger: &mut Ledger, costs: &[Duration], lags: bool, for_: Duration) -> Vec<f64> {
        let start = ledger.now;
        let mut now = start;
        let mut took = vec![Duration::ZERO; costs.len()];
        while now < start + for_ {
            ledger.begin(&quarter(), now);
            // The rest of the batch: assembly and columns.
            now += 5 * MS;
            for (rule, &cost) in costs.iter().enumerate() {
                if lags && ledger.is_over(rule as u32, Duration::ZERO) {
                    continue;
                }
                ledger.charge(rule as u32, cost.as_nanos() as u64);
                took[rule] += cost;
                now += cost;
            }
        }
        let whole = (now - start).as_secs_f64();
        took.iter().map(|took| took.as_secs_f64() / whole).collect()
    }

    #[test]
    fn a_rule_that_takes_all_it_may_is_held_to_its_share_while_the_worker_lags() {
        let costs = [&[45 * MS][..], &[MS / 10; 99]].concat();
        let mut ledger = ledger(100);
        let calm = parts(&mut ledger, &costs, false, Duration::from_secs(10));
        assert!(calm[0] > 0.7, "nothing is passed over: {}", calm[0]);
        let lagging = parts(&mut ledger, &costs, true, Duration::from_secs(30));
        assert!(
            (0.20..0.27).contains(&lagging[0]),
            "its share and no more: {}",
            lagging[0]
        );
        let others: f64 = lagging[1..].iter().sum();
        let others_before: f64 = calm[1..].iter().sum();
        assert!(others > 2.0 * others_before, "{others_before} to {others}");
    }

    /// Whatever their number, and though together they are more than the worker can do.
    #[test]
    fn rules_that_all_cost_the_same_are_never_over() {
        for (rules, cost) in [
            (1, 40 * MS),
            (2, 20 * MS),
            (3, 9 * MS),
            (6, 9 * MS),
            (10_000, MS / 20),
        ] {
            let mut ledger = ledger(rules);
            let costs = vec![cost; rules as usize];
            let taken = parts(&mut ledger, &costs, true, Duration::from_secs(5));
            let [least, most] =
                [f64::min, f64::max].map(|f| taken.iter().copied().reduce(f).expect("some"));
            assert!(most - least < 1e-9, "{rules} rules: from {least} to {most}");
        }
    }

    #[test]
    fn a_rule_alone_has_the_whole() {
        let mut ledger = ledger(1);
        ledger.begin(&quarter(), Duration::from_secs(1));
        ledger.charge(0, 10_000_000_000);
        assert!(!ledger.is_over(0, Duration::ZERO));
    }

    #[test]
    fn a_rule_is_forgiven_within_seconds_and_a_hundred_percent_forgives_all() {
        let mut ledger = ledger(100);
        ledger.begin(&quarter(), Duration::from_secs(1));
        ledger.charge(7, 900_000_000);
        assert!(ledger.is_over(7, Duration::ZERO));
        assert!(!ledger.is_over(8, Duration::ZERO));
        assert!(ledger.is_over(8, 300 * MS), "it is in its calls still");
        ledger.begin(&ShareLimits { percent: 100 }, Duration::from_secs(1));
        assert!(!ledger.is_over(7, Duration::ZERO));
        ledger.begin(&quarter(), Duration::from_millis(2_200));
        assert!(ledger.is_over(7, Duration::ZERO));
        ledger.begin(&quarter(), Duration::from_millis(2_400));
        assert!(!ledger.is_over(7, Duration::ZERO));
    }

    #[test]
    fn dear_rules_go_last_and_the_others_stay_in_order() {
        let mut ledger = ledger(5);
        let mut order = [0, 1, 2, 3, 4];
        assert_eq!(ledger.dear_last(&mut order), 5);
        ledger.begin(&quarter(), MS);
        for (rule, ms) in [(0, 45), (1, 1), (2, 3), (4, 2)] {
            ledger.charge(rule, ms * 1_000_000);
        }
        assert_eq!(ledger.dear_last(&mut order), 3);
        assert_eq!(order, [1, 3, 4, 2, 0]);
        // In many calls as in one.
        ledger.charge(4, 1_000_000);
        let mut order = [0, 2, 4];
        assert_eq!(ledger.dear_last(&mut order), 0);
        // One batch is not the rule; that it stays so is.
        let places = (2..20).map(|ms| {
            ledger.begin(&quarter(), ms * MS);
            ledger.charge(0, 1_000);
            let mut order = [0, 2, 4];
            ledger.dear_last(&mut order);
            order[0] == 0
        });
        let places: Vec<bool> = places.collect();
        assert!(!places[0] && places[17] && places.is_sorted(), "{places:?}");
    }

    #[test]
    fn another_set_keeps_the_accounts_of_the_rules_that_stay() {
        let mut ledger = ledger(100);
        ledger.begin(&quarter(), MS);
        ledger.charge(3, 900_000_000);
        ledger.enter((50..150).chain([3]));
        ledger.begin(&quarter(), MS);
        assert!(ledger.is_over(100, Duration::ZERO), "it is another place");
        assert!(!ledger.is_over(3, Duration::ZERO), "it is another rule");
    }
}
