//! Latencies in buckets, each 1/32 wider than the one before: 16 KiB whatever is counted, and at most 3 % off.

use std::time::Duration;

/// Buckets a power of two, as a power of two.
const FINE: u32 = 5;
const BUCKETS: usize = (64 - FINE as usize + 1) << FINE;

/// Counted latencies.
#[derive(Clone)]
pub struct Latencies {
    buckets: Box<[u64]>,
    count: u64,
    max: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies {
            buckets: vec![0; BUCKETS].into(),
            count: 0,
            max: 0,
        }
    }
}

impl Latencies {
    pub fn add(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket(ns)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(ns);
    }

    /// What so many of a thousand were at most; none where nothing was counted.
    pub fn per_mille(&self, share: u64) -> Option<Duration> {
        let rank = (self.count * share).div_ceil(1_000).max(1);
        let mut below = 0;
        let at = self.buckets.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(Duration::from_nanos(highest(at).min(self.max)))
    }

    /// Those that were counted since `before`. Its `max` is that of all.
    pub fn since(&self, before: &Latencies) -> Latencies {
        let pairs = self.buckets.iter().zip(&before.buckets);
        Latencies {
            buckets: pairs.map(|(now, then)| now - then).collect(),
            count: self.count - before.count,
            max: self.max,
        }
    }

    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.max))
    }
}

impl std::fmt::Debug for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latencies")
            .field("count", &self.count)
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

/// Below 64 a bucket a number; from there on 32 buckets from each power of two to the next.
fn bucket(ns: u64) -> usize {
    let shift = (63 - (ns | 1).leading_zeros()).saturating_sub(FINE);
    ((u64::from(shift) << FINE) + (ns >> shift)) as usize
}

/// The largest number in a bucket.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> FINE).saturating_sub(1);
    let first = (bucket - (shift << FINE)) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_bucket_that_ends_at_or_above_it() {
        let numbers = (0..300).chain(
            (0..64)
                .flat_map(|bit| [-1_i64, 0, 1].map(|off| (1_u64 << bit).wrapping_add_signed(off))),
        );
        for ns in numbers {
            let at = bucket(ns);
            assert!(at < BUCKETS);
            assert!(highest(at) >= ns, "{ns}");
            assert!(at == 0 || highest(at - 1) < ns, "{ns}");
            assert!(highest(at) - ns <= ns / 32, "{ns}");
        }
    }

    #[test]
    fn shares_are_of_what_was_counted() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.per_mille(500), latencies.max()), (None, None));
        for ms in 1..=1_000 {
            latencies.add(Duration::from_millis(ms));
        }
        for share in [1, 500, 900, 990, 1_000] {
            let is = latencies.per_mille(share).unwrap().as_millis() as u64;
            assert!(is >= share && is <= share + share / 32, "{share}: {is}");
        }
        assert_eq!(latencies.max(), Some(Duration::from_secs(1)));
        assert_eq!(latencies.per_mille(1_000), latencies.max());
    }
}
