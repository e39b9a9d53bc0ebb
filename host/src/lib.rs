//! BeTrace's host: OTLP in, traces assembled, rules run over each of them, signals out.
//!
//! One direction: [`ingest`] → [`otlp`] → [`assemble`] → [`columns`] → [`engine`] → [`signal`] → [`sinks`].
//! Only [`app`] knows all stages.

pub mod assemble;
pub mod columns;
pub mod config;
#[cfg(feature = "engine")]
pub mod engine;
pub mod ingest;
pub mod otlp;
#[cfg(feature = "engine")]
pub mod rules;
pub mod time;
