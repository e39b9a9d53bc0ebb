//! Compiles BeTrace rules to WebAssembly components: source → tokens → AST → typed tree → plan → module → component.
//!
//! Pure: text in, bytes or diagnostics out. It knows no WebAssembly runtime and does no I/O.

pub mod diagnostic;
pub mod emit;
pub mod plan;
pub mod types;
