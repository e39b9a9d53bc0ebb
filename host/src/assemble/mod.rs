//! Spans to traces. A shard owns the open traces whose ids hash to it, and says when one is complete.
//!
//! ```text
//! Parcel (a request's spans for one shard) -> Shard::insert(parcel, now) -> Shard::poll(now) -> [Trace]
//! ```

pub mod trace;
