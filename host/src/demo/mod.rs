//! A small web shop to watch: the traffic of its services, correct and not, and the rules that tell the two apart.
//!
//! ```text
//! shop, faults -> Call tree -> spans (call) -> requests a service (export) -> OTLP/gRPC (play)
//! ```
//! All but [`play`] is a function of a seed and the time, so that tests know which trace breaks which rule.

pub mod call;
pub mod export;
pub mod faults;
pub mod play;
pub mod random;
pub mod rules;
pub mod shop;
pub mod traffic;

#[cfg(all(test, feature = "engine"))]
mod tests;
