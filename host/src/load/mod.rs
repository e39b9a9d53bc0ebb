//! A sender of traces that costs little: `betrace load`, and what the benches send.
//!
//! ```text
//! shape -> traffic ─┐
//! files -> recorded ┴> Deck of templates -> order -> pace -> send (client, retry) -> tally -> summary
//! ```
//! Requests are made beforehand. One that is sent is a template's bytes in which only trace ids are new, written over the old
//! ones in a buffer that was sent before, so what a span costs is nearly all the kernel's.

pub mod client;
pub mod cpu;
pub mod deck;
pub mod latency;
pub mod order;
pub mod pace;
pub mod recorded;
pub mod retry;
pub mod send;
pub mod shape;
pub mod summary;
pub mod tally;
pub mod template;
pub mod traffic;
