//! What the benches share: traffic as SDKs send it, rules that watch it, a client that costs little, CPU time.

pub mod rules;

pub use betrace::load::{cpu, traffic};
