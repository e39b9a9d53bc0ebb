//! The machine code of rules, in two tiers: a changed rule runs at once on code that was compiled in a hurry, and goes on with
//! optimised code from the background. With a cache, optimised code of an earlier run is there at once.
//!
//! ```text
//! bytes -> in the cache? -> optimised code
//!      `-> not optimised -> [background] optimised code -> cache
//! ```
//! Both tiers are code of one engine, so that the same pool and the same stores serve them, and which one runs is seen in
//! nothing but time: no generation, no verdict and no counter changes.

pub mod cache;
mod optimiser;

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, RegallocAlgorithm};

use self::cache::Cache;
use self::optimiser::Optimiser;
use super::bindings::BatchRulePre;
use super::instance::State;
use crate::alarm::Alarm;

pub use self::optimiser::Counts as OptimiserCounts;

/// How components become machine code.
#[derive(Clone, Debug, Default)]
pub struct CodeSettings {
    /// Whether a rule runs on code that is not optimised until there is better. Without, loading waits for the optimiser.
    pub tiers: bool,
    pub cache: Option<Arc<Cache>>,
}

/// What turns components into machine code for one engine.
pub(super) struct Compiler {
    wasm: wasmtime::Engine,
    /// Empty: a rule imports nothing.
    linker: Linker<State>,
    /// Its twin without optimisation. It runs nothing.
    quick: Option<wasmtime::Engine>,
    cache: Option<Arc<Cache>>,
    /// What the engine's code depends on beside the component: wasmtime's release, the machine, settings.
    settings: blake3::Hash,
    optimiser: Option<Optimiser>,
}

/// A component with its code.
pub(super) struct Built {
    pub(super) component: Component,
    pub(super) is_optimised: bool,
}

/// Machine code that wasmtime made, as bytes. Only this module makes one: out of wasmtime's hands, or out of a cache that has
/// checked it.
pub(super) struct Artifact(Vec<u8>);

impl Compiler {
    /// `config` is that of the engine.
    pub(super) fn new(
        wasm: &wasmtime::Engine,
        mut config: Config,
        settings: CodeSettings,
        alarm: &Alarm,
    ) -> wasmtime::Result<Self> {
        let key = key(wasm);
        let mut compiler = Self {
            wasm: wasm.clone(),
            linker: Linker::new(wasm),
            quick: None,
            cache: settings.cache,
            settings: key,
            optimiser: None,
        };
        if settings.tiers {
            config
                .allocation_strategy(InstanceAllocationStrategy::OnDemand)
                .parallel_compilation(true)
                .cranelift_opt_level(OptLevel::None)
                .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
            compiler.quick = Some(wasmtime::Engine::new(&config)?);
            compiler.optimiser = Some(Optimiser::start(alarm.clone()));
        }
        Ok(compiler)
    }

    /// The best code of a component that can be had at once.
    pub(super) fn rule(&self, component: &[u8]) -> wasmtime::Result<Built> {
        if let Some(component) = self.cached(component) {
            return Ok(Built {
                component,
                is_optimised: true,
            });
        }
        match self.quick {
            Some(_) => self.quick(component),
            None => self.optimised(component),
        }
    }

    /// The code of a component that is to run once or twice.
    pub(super) fn quick(&self, component: &[u8]) -> wasmtime::Result<Built> {
        let component = match &self.quick {
            Some(quick) => {
                let artifact = Artifact(quick.precompile_component(component)?);
                revive(&self.wasm, &artifact)?
            }
            None => Component::new(&self.wasm, component)?,
        };
        Ok(Built {
            component,
            is_optimised: self.quick.is_none(),
        })
    }

    pub(super) fn linker(&self) -> &Linker<State> {
        &self.linker
    }

    /// Has the code replaced by optimised code some time, if it is not that yet.
    pub(super) fn optimise(self: &Arc<Self>, code: &Arc<Code>) {
        if let Some(optimiser) = &self.optimiser
            && !code.is_optimised()
        {
            optimiser.put(self, code);
        }
    }

    /// What the background did; none where loading waits for the optimiser.
    pub(super) fn optimiser(&self) -> Option<OptimiserCounts> {
        self.optimiser.as_ref().map(Optimiser::counts)
    }

    /// Returns when no rule waits for optimised code.
    pub(super) fn wait(&self) {
        if let Some(optimiser) = &self.optimiser {
            optimiser.wait();
        }
    }

    pub(super) fn cache(&self) -> Option<&Arc<Cache>> {
        self.cache.as_ref()
    }

    fn optimised(&self, component: &[u8]) -> wasmtime::Result<Built> {
        let code = Component::new(&self.wasm, component)?;
        if let Some(cache) = &self.cache {
            cache.put(&self.cache_key(component), &code.serialize()?);
        }
        Ok(Built {
            component: code,
            is_optimised: true,
        })
    }

    fn cached(&self, component: &[u8]) -> Option<Component> {
        let cache = self.cache.as_ref()?;
        let key = self.cache_key(component);
        let artifact = Artifact(cache.get(&key)?);
        match revive(&self.wasm, &artifact) {
            Ok(code) => Some(code),
            // Its key says that it is of this engine, and its checksum that it is whole.
            Err(error) => {
                cache.refuse(&key, &format!("{error:#}"));
                None
            }
        }
    }

    fn cache_key(&self, component: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.settings.as_bytes());
        hasher.update(blake3::hash(component).as_bytes());
        hasher.finalize()
    }
}

/// Everything of an engine that makes code of one not code of another, as wasmtime tells it.
fn key(wasm: &wasmtime::Engine) -> blake3::Hash {
    /// [`Hash`] promises the same calls for the same value, and wasmtime feeds it its release, target and settings.
    struct Feed(blake3::Hasher);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(blake3::Hasher::new());
    wasm.precompile_compatibility_hash().hash(&mut feed);
    // Not a part of that: what is read back.
    feed.write(super::runtime::WASMTIME.as_bytes());
    feed.0.finalize()
}

/// Machine code out of an artifact.
fn revive(wasm: &wasmtime::Engine, artifact: &Artifact) -> wasmtime::Result<Component> {
    // SAFETY: whoever writes an artifact writes what this process executes, so it has to be wasmtime's own output, unchanged.
    // An `Artifact` is made in two places: of bytes that wasmtime returned a moment ago, and of a cache entry, which lies in
    // a folder where no other user can write and has the checksum that it was written with. That it is of this release, machine
    // and configuration stands in the entry's key, and wasmtime checks it again.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize(wasm, &artifact.0)
    }
}

/// The machine code of one rule, which can be replaced by better code while it runs.
pub(super) struct Code {
    current: ArcSwap<Compiled>,
    is_optimised: AtomicBool,
    /// Until it is optimised.
    bytes: Mutex<Option<Arc<[u8]>>>,
}

/// Code that instances can be made of.
pub(super) struct Compiled {
    pub(super) component: Component,
    pub(super) pre: BatchRulePre<State>,
    pub(super) is_optimised: bool,
}

impl Code {
    /// `bytes` are the component that `compiled` was made of.
    pub(super) fn new(compiled: Compiled, bytes: &[u8]) -> Self {
        let is_optimised = compiled.is_optimised;
        Self {
            current: ArcSwap::from_pointee(compiled),
            is_optimised: AtomicBool::new(is_optimised),
            bytes: Mutex::new((!is_optimised).then(|| bytes.into())),
        }
    }

    pub(super) fn current(&self) -> Arc<Compiled> {
        self.current.load_full()
    }

    /// Whether an instance that was made of other code is out of date.
    pub(super) fn is_optimised(&self) -> bool {
        self.is_optimised.load(Ordering::Acquire)
    }

    /// Takes what is still to be compiled; none where that was done, or is being done.
    fn take_bytes(&self) -> Option<Arc<[u8]>> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.take()
    }

    fn replace(&self, compiled: Compiled) {
        self.current.store(Arc::new(compiled));
        self.is_optimised.store(true, Ordering::Release);
    }
}
