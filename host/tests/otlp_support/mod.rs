//! What the OTLP properties share: the messages with bytes for strings, so that prost tells what is accepted but for
//! UTF-8; values to compare; generators of bytes.

// Each test binary uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod mirror;
pub mod plain;
pub mod render;
pub mod soup;
