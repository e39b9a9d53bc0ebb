//! Rules over recorded traces.
//!
//! ```text
//! files, stdin -> Input (any form of OTLP) -> requests -> one shard -> whole traces -> rules -> signals, Summary
//! ```

pub mod input;
#[cfg(feature = "engine")]
pub mod run;
pub mod sniff;
pub mod split;

#[cfg(test)]
mod tests;
