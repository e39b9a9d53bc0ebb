//! The stages in a row, for whoever has spans and wants signals.
//!
//! ```text
//! serve:   Routed -> [thread] Shard -> Judge -> Sink       one thread a shard; they share nothing but the rules
//! replay:  bytes  -> Shard -> Judge -> signals             on the caller's thread; the end of the input completes all
//! ```

pub mod aftermath;
mod giants;
pub mod judge;
pub mod lag;
pub mod thread;

pub use judge::Judge;
