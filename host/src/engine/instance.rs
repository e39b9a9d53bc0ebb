//! One instance of a rule in a store of its own: what it holds is given back at once when it is dropped.
//!
//! After any error the instance is to be dropped: wasm was left in the middle of a call.

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{
    PoolConcurrencyLimitError, ResourceLimiter, Store, StoreContextMut, Trap, UpdateDeadline,
};

use super::bindings::exports::betrace::rule::types::{Batch, Finding, Manifest};
use super::bindings::{BatchRule, BatchRulePre};
use super::code::{Code, Compiled};
use super::deadline::Deadline;
use super::fault::{Fault, FaultKind};
use super::runtime::Engine;

/// What a store knows of the rule that runs in it.
pub(super) struct State {
    deadline: Deadline,
    memory_bytes: usize,
    memory_limit: usize,
    table_limit: usize,
    /// More memory, or a larger table, than the limit was asked for in this call.
    refused: bool,
}

/// An instance that can be called.
pub(super) struct Instance {
    store: Store<State>,
    exports: BatchRule,
    started_bytes: usize,
    /// Calls of `evaluate` so far.
    calls: u64,
    /// Whether its code is.
    is_optimised: bool,
}

/// Why there is no instance.
pub(super) enum StartError {
    /// All slots of the pool are taken; giving one back helps.
    PoolFull,
    Fault(Fault),
}

impl Instance {
    pub(super) fn start(engine: &Engine, code: &Compiled) -> Result<Self, StartError> {
        let mut store = store(engine);
        let exports = code
            .pre
            .instantiate(&mut store)
            .map_err(|error| not_started(&store, error))?;
        let started_bytes = store.data().memory_bytes;
        Ok(Self {
            store,
            exports,
            started_bytes,
            calls: 0,
            is_optimised: code.is_optimised,
        })
    }

    pub(super) fn describe(&mut self) -> Result<Manifest, Fault> {
        self.begin();
        self.exports
            .betrace_rule_rule()
            .call_describe(&mut self.store)
            .map_err(|error| classify(&self.store, error))
    }

    pub(super) fn evaluate(&mut self, batch: Batch<'_>) -> Result<Vec<Finding>, Fault> {
        self.begin();
        self.calls += 1;
        match self
            .exports
            .betrace_rule_rule()
            .call_evaluate(&mut self.store, batch)
        {
            Ok(Ok(findings)) => Ok(findings),
            Ok(Err(message)) if message.is_empty() => Err(Fault::new(
                FaultKind::Error,
                "`evaluate` returned an error without a text",
            )),
            Ok(Err(message)) => Err(Fault::new(FaultKind::Error, message)),
            Err(error) => Err(classify(&self.store, error)),
        }
    }

    /// Calls of `evaluate` so far, with the one that runs or has failed.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Whether it runs the code that the rule has now.
    pub(super) fn is_of(&self, code: &Code) -> bool {
        self.is_optimised == code.is_optimised()
    }

    /// Bytes that its memory has grown by since it started.
    pub(super) fn grown_bytes(&self) -> usize {
        self.store
            .data()
            .memory_bytes
            .saturating_sub(self.started_bytes)
    }

    fn begin(&mut self) {
        begin(&mut self.store);
    }
}

/// A call begins: it has a deadline of its own.
pub(super) fn begin(store: &mut Store<State>) {
    let state = store.data_mut();
    state.deadline.restart();
    state.refused = false;
    store.set_epoch_deadline(1);
}

/// Why an instance could not be made.
pub(super) fn not_started(store: &Store<State>, error: wasmtime::Error) -> StartError {
    if error.is::<PoolConcurrencyLimitError>() {
        return StartError::PoolFull;
    }
    let fault = classify(store, error);
    let kind = if fault.kind == FaultKind::Timeout {
        fault.kind
    } else {
        FaultKind::Start
    };
    StartError::Fault(Fault { kind, ..fault })
}

/// Whether a component can be instantiated at all; tells what of its imports is missing.
pub(super) fn prepare(
    linker: &Linker<State>,
    component: &Component,
) -> wasmtime::Result<BatchRulePre<State>> {
    let instance: InstancePre<State> = linker.instantiate_pre(component)?;
    BatchRulePre::new(instance)
}

/// A store with the limits of the sandbox.
pub(super) fn store(engine: &Engine) -> Store<State> {
    let limits = engine.limits();
    let state = State {
        deadline: Deadline::new(limits.deadline),
        memory_bytes: 0,
        memory_limit: limits.memory_bytes,
        table_limit: limits.table_elements,
        refused: false,
    };
    let mut store = Store::new(engine.wasm(), state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(limits.result_bytes);
    store.set_epoch_deadline(1);
    let clock = engine.clock();
    store.epoch_deadline_callback(move |mut context: StoreContextMut<'_, State>| {
        let ended = context.data_mut().deadline.tick(clock.now());
        Ok(if ended {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(1)
        })
    });
    store
}

/// Which kind of fault an error of wasmtime is.
pub(super) fn classify(store: &Store<State>, error: wasmtime::Error) -> Fault {
    /// What wasmtime says when more was lifted than `set_hostcall_fuel` allows; its type is private. A test would see it
    /// change.
    const OUT_OF_FUEL: &str = "fuel allocated for hostcalls has been exhausted";
    let state = store.data();
    let message = format!("{error:#}");
    let kind = match error.downcast_ref::<Trap>() {
        _ if state.deadline.passed => FaultKind::Timeout,
        Some(Trap::StackOverflow) => FaultKind::Stack,
        // What the component model checks at the boundary is a trap by name, but a lie by nature.
        Some(
            Trap::InvalidChar
            | Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::UnalignedPointer,
        ) => FaultKind::Invalid,
        Some(_) if state.refused => FaultKind::Memory,
        Some(_) => FaultKind::Trap,
        None if message.contains(OUT_OF_FUEL) => FaultKind::TooMuch,
        None if state.refused => FaultKind::Memory,
        None => FaultKind::Invalid,
    };
    Fault::new(kind, message)
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .memory_bytes
            .saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            self.refused = true;
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let is_allowed = desired <= self.table_limit;
        self.refused |= !is_allowed;
        Ok(is_allowed)
    }
}
