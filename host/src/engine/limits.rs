//! The bounds of the sandbox, each with its reason. [`EngineLimits::validate`] is called once, when the engine is made.

use std::num::NonZero;
use std::time::Duration;

use super::breaker::BreakerLimits;

/// CPU time that one call may take. A batch of 16,384 spans at 3 ns a span and rule takes 50 us: a thousand times less.
pub const DEADLINE: Duration = Duration::from_millis(50);

/// How often the epoch ticks, so how late a deadline may be noticed. Each tick wakes one thread of the whole process.
pub const TICK: Duration = Duration::from_millis(10);

/// Linear memory of one instance. A call brings 64 KiB; the rest is room for a language's runtime.
pub const MEMORY_BYTES: usize = 16 << 20;

/// An instance whose memory grew by more than this since it started is not kept, as linear memory never shrinks.
pub const KEEP_BYTES: usize = 256 << 10;

/// Native stack that a rule may use. A worker thread has 2 MiB, of which the host needs little.
pub const STACK_BYTES: usize = 512 << 10;

/// Elements of a table. The pool reserves eight bytes for each in every slot.
pub const TABLE_ELEMENTS: usize = 10_000;

/// What one call lowers, in whole traces: small enough that a rule's memory stays in the cache and need not grow.
pub const CALL_BYTES: usize = 64 << 10;

/// What a single trace may lower to: a quarter of the memory, as the rule has to copy and work on it.
pub const TRACE_BYTES: usize = MEMORY_BYTES / 4;

/// What is lifted out of an instance in one call, so that a rule can't make the host allocate without end. 65,536
/// evidence rows, and 16,384 findings of about 100 bytes, fit.
pub const RESULT_BYTES: usize = 4 << 20;

/// Findings of one call. The host gives a rule so few traces that each can break all its clauses.
pub const FINDINGS: usize = 16_384;

/// Evidence rows of one finding, as `wit/rule.wit` says. More would be read by nobody.
pub const EVIDENCE_ROWS: usize = 100;

/// Message values of one finding, and the bytes of their text together. A message is a sentence.
pub const VALUES: usize = 64;
pub const VALUE_BYTES: usize = 16 << 10;

/// A component's file. A rule in a language with a runtime of its own (JavaScript, Python) is 2 to 18 MB.
pub const COMPONENT_BYTES: usize = 32 << 20;

/// What compiling a component could take at worst, as `effort.rs` estimates it. The largest component of ordinary code is
/// estimated at a minute and takes a tenth of that.
pub const COMPILE: Duration = Duration::from_secs(120);

/// Warm instances of all workers together; past its share of them, a worker's least recently used goes. To make one takes three
/// times as long as to call one that is cold in the caches, so a single worker may have them all. 10 KB resident each for a
/// compiled rule, up to 45 KB for one with a runtime in it: 120 to 550 MB. A slot in use is 2 memory mappings, the code of a rule
/// another 2, and Linux allows a process 65,530 (`vm.max_map_count`): this leaves room for 20,000 rules.
pub const WARM_INSTANCES_TOTAL: usize = 12_288;

/// Threads that load rules at a time; each has one instance, to ask a rule for its manifest and to try it.
pub const LOADERS: usize = 32;

/// Threads that run changed rules over recent traces at a time, and the instances that each of them keeps.
pub const TRIERS: usize = 8;
pub const TRIER_INSTANCES: usize = 8;

/// Instances of rules that the API is asked to try, of all such requests together.
pub const ATTEMPT_INSTANCES: usize = 24;

/// Instances that explain why a rule fired.
pub const EXPLAIN_INSTANCES: usize = 8;

/// Percent of a worker's time that one rule may have while the worker lags behind what arrives. At a quarter, the worst rule
/// costs the others a third of what they could do without it, and a rule that is only dear is left alone.
pub const SHARE_PERCENT: u32 = 25;

/// Instances beside those of the workers, so that none of this takes theirs.
pub const SPARE_INSTANCES: usize =
    LOADERS + TRIERS * TRIER_INSTANCES + ATTEMPT_INSTANCES + EXPLAIN_INSTANCES;

/// Core modules in one component: a Python rule has 38.
pub const CORE_INSTANCES: u32 = 64;

/// Tables in one component: its own, and the one that wit-component adds to link its parts.
pub const TABLES: u32 = 2;

/// Unmapped bytes after each memory: the compiler drops bounds checks of constant offsets below it. Small, as every slot
/// has one.
pub const GUARD_BYTES: u64 = 64 << 10;

/// The bounds of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// Threads that evaluate rules; the pool has room for the warm instances of each.
    pub workers: usize,
    /// Warm instances of one worker.
    pub warm_instances: usize,
    pub deadline: Duration,
    pub memory_bytes: usize,
    pub keep_bytes: usize,
    pub stack_bytes: usize,
    pub table_elements: usize,
    pub call_bytes: usize,
    pub trace_bytes: usize,
    pub result_bytes: usize,
    pub findings: usize,
    pub component_bytes: usize,
    /// What compiling a component could take at worst.
    pub compile: Duration,
    /// When a rule that faults is not asked any more.
    pub breaker: BreakerLimits,
    /// What a rule may take of a worker that lags.
    pub share: ShareLimits,
}

/// What a rule may take of a worker that lags behind what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareLimits {
    /// Of its time; 100 is all of it. More rules than one may always have half as much again as an even share.
    pub percent: u32,
}

impl Default for ShareLimits {
    fn default() -> Self {
        Self {
            percent: SHARE_PERCENT,
        }
    }
}

/// A limit that can't hold.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LimitsError {
    #[error("engine limit `{name}` is {value}: it has to be at least {least}")]
    TooSmall {
        name: &'static str,
        value: usize,
        least: usize,
    },
    #[error("engine limit `{name}` is {value}: it can be at most {most}, {why}")]
    TooLarge {
        name: &'static str,
        value: usize,
        most: usize,
        why: &'static str,
    },
}

impl Default for EngineLimits {
    /// Limits for a worker on each core.
    fn default() -> Self {
        Self::for_workers(std::thread::available_parallelism().map_or(1, NonZero::get))
    }
}

impl EngineLimits {
    /// The default limits, with as many warm instances as `workers` workers can share.
    pub fn for_workers(workers: usize) -> Self {
        Self {
            workers,
            warm_instances: (WARM_INSTANCES_TOTAL / workers.max(1)).max(1),
            deadline: DEADLINE,
            memory_bytes: MEMORY_BYTES,
            keep_bytes: KEEP_BYTES,
            stack_bytes: STACK_BYTES,
            table_elements: TABLE_ELEMENTS,
            call_bytes: CALL_BYTES,
            trace_bytes: TRACE_BYTES,
            result_bytes: RESULT_BYTES,
            findings: FINDINGS,
            component_bytes: COMPONENT_BYTES,
            compile: COMPILE,
            breaker: BreakerLimits::default(),
            share: ShareLimits::default(),
        }
    }

    /// Whether an engine can keep these limits.
    pub fn validate(&self) -> Result<(), LimitsError> {
        const WASM_PAGE: usize = 64 << 10;
        between(
            "workers",
            self.workers,
            1,
            1_024,
            "more threads than cores gain nothing",
        )?;
        between(
            "warm-instances",
            self.warm_instances,
            1,
            WARM_INSTANCES_TOTAL / self.workers,
            "as all workers share the memory mappings that a process may have",
        )?;
        let deadline_ms = usize::try_from(self.deadline.as_millis()).unwrap_or(usize::MAX);
        between(
            "deadline",
            deadline_ms,
            1,
            60_000,
            "as a rule that loops holds up its worker that many milliseconds",
        )?;
        between(
            "memory",
            self.memory_bytes,
            WASM_PAGE,
            1 << 30,
            "as the pool reserves it for each of up to 12,416 instances",
        )?;
        between(
            "keep",
            self.keep_bytes,
            0,
            self.memory_bytes,
            "the size of the memory",
        )?;
        between(
            "stack",
            self.stack_bytes,
            16 << 10,
            1 << 20,
            "as a worker's thread has 2 MiB",
        )?;
        between(
            "table-elements",
            self.table_elements,
            1,
            1_000_000,
            "as the pool reserves them for every instance",
        )?;
        between(
            "call",
            self.call_bytes,
            1 << 10,
            self.memory_bytes / 4,
            "a quarter of the memory",
        )?;
        between(
            "trace",
            self.trace_bytes,
            self.call_bytes,
            self.memory_bytes / 2,
            "half the memory",
        )?;
        between(
            "result",
            self.result_bytes,
            1 << 10,
            1 << 30,
            "as the host allocates it",
        )?;
        between(
            "findings",
            self.findings,
            1,
            1 << 20,
            "as the host allocates them",
        )?;
        between(
            "component",
            self.component_bytes,
            1 << 10,
            1 << 30,
            "as the host compiles it in memory",
        )?;
        between(
            "compile",
            usize::try_from(self.compile.as_secs()).unwrap_or(usize::MAX),
            1,
            3_600,
            "as rules that are saved meanwhile wait for it",
        )?;
        between(
            "breaker-faults",
            self.breaker.faults as usize,
            1,
            10_000,
            "as the host keeps the time of each",
        )?;
        between(
            "share",
            self.share.percent as usize,
            1,
            100,
            "the whole of a worker",
        )?;
        Ok(())
    }

    /// Instances that the pool has room for.
    pub fn instances(&self) -> usize {
        self.workers * self.warm_instances + SPARE_INSTANCES
    }
}

fn between(
    name: &'static str,
    value: usize,
    least: usize,
    most: usize,
    why: &'static str,
) -> Result<(), LimitsError> {
    if value < least {
        Err(LimitsError::TooSmall { name, value, least })
    } else if value > most {
        Err(LimitsError::TooLarge {
            name,
            value,
            most,
            why,
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_for_any_machine() {
        for workers in [1, 2, 3, 16, 64, 192, 1_024] {
            assert_eq!(
                EngineLimits::for_workers(workers).validate(),
                Ok(()),
                "{workers} workers"
            );
        }
    }

    #[test]
    fn a_limit_out_of_range_is_named_with_its_bound() {
        let mut limits = EngineLimits::for_workers(4);
        limits.warm_instances = 5_000;
        let error = limits
            .validate()
            .expect_err("20,000 instances are too many")
            .to_string();
        assert_eq!(
            error,
            "engine limit `warm-instances` is 5000: it can be at most 3072, as all workers share the memory mappings \
             that a process may have"
        );
        limits = EngineLimits {
            workers: 0,
            ..EngineLimits::for_workers(1)
        };
        assert_eq!(
            limits.validate(),
            Err(LimitsError::TooSmall {
                name: "workers",
                value: 0,
                least: 1
            })
        );
    }
}
