//! Rules over recorded traces, and over those of a call that faulted (`bundle`).
//!
//! ```text
//! files, stdin -> Input (any form of OTLP) -> requests -> one shard -> whole traces -> rules -> signals, Summary
//! ```

#[cfg(feature = "engine")]
pub mod bundle;
pub mod coverage;
#[cfg(feature = "engine")]
pub mod diff;
#[cfg(feature = "engine")]
pub mod explain;
pub mod input;
pub mod kept;
pub mod recorded;
pub mod ring;
#[cfg(feature = "engine")]
pub mod run;
pub mod sniff;
pub mod split;
#[cfg(feature = "engine")]
pub mod trial;
#[cfg(feature = "engine")]
pub mod verdict;

#[cfg(test)]
mod tests;
