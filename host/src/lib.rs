//! BeTrace's host: OTLP in, traces assembled, rules run over each of them, signals out.
//!
//! One direction: [`ingest`] → [`otlp`] → [`assemble`] → [`columns`] → [`engine`] → [`signal`] → [`sinks`]. [`pipeline`] puts
//! them in a row; only [`app`] knows all of them. [`wal`] stands beside them.

pub mod alarm;
#[cfg(feature = "engine")]
pub mod api;
#[cfg(feature = "engine")]
pub mod app;
pub mod assemble;
#[cfg(feature = "engine")]
pub mod cli;
pub mod columns;
pub mod config;
pub mod demo;
#[cfg(feature = "engine")]
pub mod engine;
pub mod ingest;
#[cfg(feature = "engine")]
pub mod live;
pub mod load;
pub mod otlp;
#[cfg(feature = "engine")]
pub mod pipeline;
#[cfg(feature = "engine")]
mod priority;
pub mod replay;
#[cfg(feature = "engine")]
pub mod rules;
pub mod signal;
pub mod sinks;
pub mod telemetry;
pub mod time;
pub mod wal;
