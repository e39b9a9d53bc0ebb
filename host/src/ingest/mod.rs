//! OTLP in: requests over gRPC and HTTP to parcels of spans, one for each shard that a request touches.
//!
//! ```text
//! connection -> serve -> grpc | http -> Intake::receive (body, inflate: bounded, charged to the budget)
//!                                         -> Router::take (scan, group by shard, log, queue) -> answer
//! ```
//! A request is acknowledged when the queues of all its shards hold its spans (and the write-ahead log, where there is one, has
//! it on disk), and never before. What can't be taken is
//! refused with the answer that the OTLP specification has for it ([`Refusal`]), and counted ([`Counters`]).
//!
//! # Memory
//! What ingest holds is at most
//! ```text
//!   in-flight bytes                  bodies, their buffers while they grow or inflate, span tables, queued parcels
//! + connections x CONNECTION_WINDOW  received and not yet read, only while the runtime lags behind its sockets
//! + threads x one call's needs       2^ZSTD_WINDOW_LOG bytes of window, a scan's tables before they are charged, the
//!                                    slack of a vector that JSON is converted into
//! ```
//! The first term is a [`Budget`] that all connections share: bytes are reserved before they are allocated, and what
//! doesn't fit is refused with a retryable answer, or for good where it could never fit. The reservation travels with the
//! parcels, so that a shard that stalls makes clients wait, not memory grow.

mod answer;
mod body;
mod budget;
mod counters;
mod grpc;
mod http;
mod inflate;
mod intake;
mod limits;
mod listen;
mod refusal;
mod routing;
mod serve;
mod shutdown;
mod socket;
mod status;

pub use budget::{Budget, Full, Permit};
pub use counters::{Counters, Snapshot, Transport};
pub use limits::{
    BODY_TIMEOUT, CONNECTIONS, DRAIN_TIMEOUT, HEADER_TIMEOUT, IDLE_TIMEOUT, IN_FLIGHT_BYTES,
    Limits, REQUEST_BYTES, RETRY_AFTER,
};
pub use listen::{BindError, Listens, bind};
pub use refusal::Refusal;
pub use routing::{Accepted, IngestView, Routed, Router};
pub use serve::{Listeners, Server, serve, serve_grpc, serve_http};
pub use shutdown::{Shutdown, Trigger};
pub use status::retry_delay;
