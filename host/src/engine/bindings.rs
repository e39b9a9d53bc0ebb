//! What wasmtime generates from `wit/rule.wit`: the batch as it is lowered, manifest and findings as they are lifted.
//!
//! Only `manifest.rs`, `finding.rs`, `worker.rs` and `instance.rs` look in here; everyone else sees the host's own types.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "batch-rule",
    // The batch is lowered from buffers that are reused.
    ownership: Borrowing { duplicate_if_necessary: true },
});
