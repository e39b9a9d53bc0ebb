//! What the benches share: traffic as SDKs send it, rules that watch it, a client that costs little, CPU time, and the way of
//! a figure to the table of goals.

pub mod figures;
pub mod rules;
pub mod sender;

pub use betrace::load::{cpu, traffic};
