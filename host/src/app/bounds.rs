//! What the configuration says of each stage: its bounds, and the parts that are made of nothing else.

use std::sync::Arc;

use crate::assemble::limits::Limits;
use crate::cli::Failure;
use crate::config::Config;
use crate::engine::code::cache::Cache;
use crate::engine::{BreakerLimits, CodeSettings, Engine, EngineLimits, ShareLimits};
use crate::replay::bundle::keeper::{self, Bundles, Keeper};
use crate::replay::bundle::shelf::Shelf;
use crate::replay::ring::{Ring, RingLimits};
use crate::rules::dsl;

/// The engine of a host.
pub fn engine(config: &Config) -> Result<Arc<Engine>, Failure> {
    let cache = config.code_cache.as_deref();
    let cache = cache.map(|folder| Cache::open(folder, config.code_cache_size as u64));
    let cache = cache.transpose().map_err(|error| Failure::of(&error))?;
    let code = CodeSettings {
        tiers: true,
        cache: cache.map(Arc::new),
    };
    let engine = Engine::with_code(engine_limits(config), code);
    engine.map(Arc::new).map_err(|error| {
        Failure::of(&error)
            .help("is memory or address space limited (`ulimit -v`)? fewer `--workers` take less")
    })
}

/// What keeps calls that faulted, where there is a folder for them.
pub(super) fn bundles(
    config: &Config,
    engine: &Engine,
) -> Result<(Option<Bundles>, Option<Keeper>), Failure> {
    let Some(folder) = &config.bundles else {
        return Ok((None, None));
    };
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "can't keep bundles in {}: {error}",
            folder.display()
        ))
        .help("check the path and its permissions, or leave `bundles` out")
    };
    let shelf = Shelf::open(folder, config.bundles_most, config.bundles_bytes as u64);
    let shelf = shelf.map_err(failed)?;
    let limits = engine.limits().clone();
    let (bundles, keeper) = keeper::start(shelf, limits, &dsl::compile).map_err(failed)?;
    Ok((Some(bundles), Some(keeper)))
}

/// An empty ring of a host.
pub(super) fn ring(config: &Config) -> Arc<Ring> {
    let limits = RingLimits {
        memory: config.ring_memory,
        signalled: config.ring_signalled,
        turnover: config.ring_turnover,
        operations: config.ring_operations,
    };
    Arc::new(Ring::new(&limits, config.workers))
}

/// The bounds of one shard.
pub fn limits(config: &Config) -> Limits {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Limits {
        settle: config.settle,
        idle: config.idle,
        max_age: config.max_age,
        trace_spans: count(config.span_cap),
        trace_bytes: config.byte_cap as u64,
        memory_bytes: (config.memory / config.workers.max(1)) as u64,
        remember: config.decided_for,
        remember_traces: count(config.decided_traces),
        batch_spans: count(config.batch_spans),
        batch_bytes: config.batch_bytes as u64,
        dead_bytes: config.dead_bytes as u64,
    }
}

fn engine_limits(config: &Config) -> EngineLimits {
    let limits = EngineLimits::for_workers(config.workers);
    EngineLimits {
        warm_instances: config.warm_instances.unwrap_or(limits.warm_instances),
        workers: config.workers,
        deadline: config.rule_deadline,
        memory_bytes: config.rule_memory,
        keep_bytes: config.rule_keep,
        stack_bytes: config.rule_stack,
        table_elements: config.rule_table,
        call_bytes: config.rule_call,
        trace_bytes: config.rule_trace,
        result_bytes: config.rule_result,
        findings: config.rule_findings,
        component_bytes: config.rule_component,
        compile: config.rule_compile,
        breaker: BreakerLimits {
            faults: u32::try_from(config.breaker_faults).unwrap_or(u32::MAX),
            window: config.breaker_window,
            back_off: config.breaker_back_off,
            longest_back_off: config.breaker_longest,
        },
        share: ShareLimits {
            percent: u32::try_from(config.rule_share).unwrap_or(u32::MAX),
        },
    }
}
