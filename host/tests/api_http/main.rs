//! The API of a host that runs, over real sockets.
#![allow(unreachable_pub, reason = "modules of a test binary")]

mod bounds;
mod client;
mod document;
mod metrics;
mod rules;
mod signals;
mod stop;
#[path = "../support/mod.rs"]
mod support;
