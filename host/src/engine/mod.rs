//! Columns of a batch in, findings out: each rule is a WebAssembly component that runs in a sandbox of its own.
//!
//! ```text
//! bytes -> Rule::load -> RuleSet { rules, projection, candidate index }
//! (RuleSet, Columns) -> candidates of each rule -> gather their traces -> call -> checked findings
//! ```
//! Whatever a rule does (trap, loop, grow, lie) is counted against that rule; the batch and the other rules go on.

mod bindings;
pub mod breaker;
pub mod candidates;
pub mod code;
pub mod counters;
mod deadline;
mod effort;
pub mod explain;
pub mod fault;
mod finding;
mod gather;
pub mod inspect;
mod instance;
mod laps;
mod layout;
pub mod limits;
pub mod manifest;
mod met;
mod names;
pub mod probe;
pub mod rule;
pub mod runtime;
pub mod set;
mod share;
mod slow;
pub mod tally;
mod times;
mod waits;
mod warm;
pub mod worker;

pub use breaker::{Breaker, BreakerLimits, Quarantine};
pub use code::CodeSettings;
pub use counters::{Counters, Counts};
pub use explain::Explainer;
pub use fault::FaultKind;
pub use finding::{Finding, Value};
pub use limits::{EngineLimits, LimitsError, ShareLimits};
pub use manifest::Manifest;
pub use rule::{LoadError, Rule, RuleSource};
pub use runtime::{Engine, EngineError};
pub use set::RuleSet;
pub use slow::Slow;
pub use tally::{Incident, Tried};
pub use times::Quantiles;
pub use worker::{Moment, Worker};
