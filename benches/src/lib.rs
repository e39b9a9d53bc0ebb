//! What the benches share: traffic as SDKs send it, rules that watch it, a client that costs little, CPU time.

pub mod cpu;
pub mod raw;
pub mod rules;
pub mod traffic;
