//! The engine: wasmtime configured for many small, untrusted rules, and the thread that ticks their deadlines.
//!
//! One engine a process, which compiles too. Instances come from its pool, whose size is fixed here: a slot of 16 MiB of address space each
//! instead of wasmtime's 4 GiB, and bounds checked by code instead of by 4 GiB of unmapped pages.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::code::cache::Cache;
use super::code::{CodeSettings, Compiler, OptimiserCounts};
use super::deadline::Clock;
use super::limits::{self, EngineLimits, LimitsError};
use crate::alarm::Alarm;

/// The release of wasmtime that rules run on. What it says and traps on may change with it.
pub const WASMTIME: &str = "48.0.8";

/// Compiles and runs rules within its limits.
pub struct Engine {
    wasm: wasmtime::Engine,
    compiler: Arc<Compiler>,
    limits: EngineLimits,
    clock: Clock,
    alarm: Alarm,
    _ticker: Ticker,
}

/// No engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Limits(#[from] LimitsError),
    #[error(
        "could not make the WebAssembly engine for {instances} instances of {memory_bytes} bytes: {reason}; lower `warm-instances` or `memory`"
    )]
    Wasm {
        instances: usize,
        memory_bytes: usize,
        reason: String,
    },
    #[error("could not start the thread that ticks the deadlines")]
    Ticker(#[source] io::Error),
}

impl Engine {
    /// An engine whose rules are optimised when they are loaded.
    pub fn new(limits: EngineLimits) -> Result<Self, EngineError> {
        Self::with_code(limits, CodeSettings::default())
    }

    /// An engine that gets its machine code as `code` says.
    pub fn with_code(limits: EngineLimits, code: CodeSettings) -> Result<Self, EngineError> {
        limits.validate()?;
        let mut config = configure(&limits);
        // In the background one thread is enough, which gives way; wasmtime's own threads would not.
        config.parallel_compilation(!code.tiers);
        let refused = |error: wasmtime::Error| EngineError::Wasm {
            instances: limits.instances(),
            memory_bytes: limits.memory_bytes,
            reason: format!("{error:#}"),
        };
        let wasm = wasmtime::Engine::new(&config).map_err(refused)?;
        let alarm = Alarm::default();
        let compiler = Compiler::new(&wasm, config, code, &alarm).map_err(refused)?;
        let ticker = Ticker::start(&wasm, alarm.clone()).map_err(EngineError::Ticker)?;
        Ok(Self {
            compiler: Arc::new(compiler),
            wasm,
            limits,
            clock: Clock::new(),
            alarm,
            _ticker: ticker,
        })
    }

    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    pub(super) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    pub(super) fn compiler(&self) -> &Arc<Compiler> {
        &self.compiler
    }

    /// Where machine code is kept from one run to the next.
    pub fn cache(&self) -> Option<&Arc<Cache>> {
        self.compiler.cache()
    }

    /// Returns when every rule that is to be optimised is: benches and tests want to know what they measure.
    pub fn wait_until_optimised(&self) {
        self.compiler.wait();
    }

    /// What was optimised in the background; none where loading waits for the optimiser.
    pub fn optimiser(&self) -> Option<OptimiserCounts> {
        self.compiler.optimiser()
    }

    /// Rung when a thread of its own ends by a panic.
    pub fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn configure(limits: &EngineLimits) -> Config {
    // Both fit: `validate` bounds them far below.
    let instances = u32::try_from(limits.instances()).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(limits::CORE_INSTANCES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(limits::TABLES))
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        // One, so that an instance is a slot and the pool can be counted in instances.
        .max_memories_per_component(1)
        .max_tables_per_component(limits::TABLES)
        .max_tables_per_module(limits::TABLES)
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(limits.memory_bytes as u64)
        .memory_guard_size(limits::GUARD_BYTES)
        .guard_before_linear_memory(false)
        // A copy-on-write image is a file descriptor for every rule, and a process often has 1,024. Rules have few
        // kilobytes of data, which are copied when an instance is made.
        .memory_init_cow(false)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        .wasm_memory64(false)
        .wasm_multi_memory(false);
    config
}

/// The thread that advances the epoch. It ends with the engine.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &wasmtime::Engine, alarm: Alarm) -> io::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let engine = engine.weak();
        let thread = std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                let _watch = alarm.watch();
                while stopped.recv_timeout(limits::TICK) == Err(RecvTimeoutError::Timeout) {
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It ticks and nothing else, so there is no panic to pass on.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_wasmtime_is_the_one_that_is_built() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).expect("the workspace has one");
        let line = format!("\nwasmtime = {{ version = \"={WASMTIME}\"");
        assert!(manifest.contains(&line));
    }
}
