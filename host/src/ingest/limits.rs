//! The bounds of the servers, each with its reason.

use std::time::Duration;

/// One request's body, after decompression. The Collector batches to a few MiB; this is room for the largest batches
/// that people configure, and the end of a compression bomb.
pub const REQUEST_BYTES: usize = 64 << 20;

/// All requests together, from their first byte to the moment when a shard has taken their spans: four of the largest,
/// or a tenth of a second of traffic at two million spans a second.
pub const IN_FLIGHT_BYTES: usize = 256 << 20;

/// Connections to one listener. An SDK holds one or two, so this is about a thousand processes; a larger fleet sends
/// through Collectors.
pub const CONNECTIONS: usize = 2_048;

/// From accepting a connection to the first bytes of a request. Real clients send them at once.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// One request's body, from its first byte to its last.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection on which nothing moves: longer than the minute at which some SDKs export.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// From the start of a shutdown until connections that have not ended are cut: within the 10 s that an orchestrator
/// commonly grants before it kills.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// When a refused client is asked to try again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// HTTP/2 flow control windows, of a stream and of a connection: a request of 1,000 spans (450 KB) arrives without a
/// wait for window updates, and a connection can't make the host hold more than this unread.
pub(super) const STREAM_WINDOW: u32 = 1 << 20;
pub(super) const CONNECTION_WINDOW: u32 = 1 << 20;

/// Requests at a time on one connection. A Collector's exporter has 10.
pub(super) const STREAMS: u32 = 128;

/// The headers of a request. Those of an SDK are below 1 KiB; tokens can be a few.
pub(super) const HEADER_BYTES: u32 = 16 << 10;

/// HTTP/1's read buffer for each connection, which also bounds a request's head.
pub(super) const HTTP1_BUFFER_BYTES: usize = 128 << 10;

/// How long a live HTTP/2 peer may take to answer a ping.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What a request is charged beside its bytes: its task, headers and bookkeeping. It bounds the number of requests.
pub(super) const REQUEST_OVERHEAD_BYTES: usize = 4 << 10;

/// The limits of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub request_bytes: usize,
    pub connections: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    pub drain_timeout: Duration,
    pub retry_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: REQUEST_BYTES,
            connections: CONNECTIONS,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            retry_after: RETRY_AFTER,
        }
    }
}
