//! Spans to traces. A shard owns the open traces whose ids hash to it, and says when one is complete.
//!
//! ```text
//! Parcel (a request's spans for one shard) -> Shard::insert(parcel, now) -> Shard::poll(now) -> [Trace]
//!                                                                            Shard::release(trace) <-
//! ```
//!
//! Spans stay where they arrived: an open trace is a list of 16-byte references into the bytes of the requests that
//! brought them. What is read from those bytes is read once, when the trace completes.
//!
//! Each file is one idea:
//! [`shard`] the stage itself; [`limits`] its bounds; [`counters`] what it tells;
//! `open` open traces, `table` id to trace, `decided` remembered verdicts, `deadlines` who is due,
//! `verdict` complete or not, `completion` deduplicated and ordered, `duplicates` caps that retries can't trip,
//! `held` which bytes are still needed, `logged` which segments of the log are, [`copy`] spans of many requests into one, `compact` the last spans out of a request.

pub mod copy;
pub mod counters;
pub mod limits;
pub mod shard;
pub mod trace;

mod compact;
mod completion;
mod deadlines;
mod decided;
mod duplicates;
mod held;
mod ids;
mod logged;
mod open;
mod table;
mod verdict;
