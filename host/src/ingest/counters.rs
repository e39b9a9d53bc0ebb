//! What the servers did, by transport. Every bound that refuses something has its counter here.

use std::sync::atomic::{AtomicU64, Ordering};

/// The protocol that a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Grpc,
    Http,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Transport::Grpc => "OTLP/gRPC",
            Transport::Http => "OTLP/HTTP",
        }
    }

    /// As metrics write it.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Grpc => "grpc",
            Transport::Http => "http",
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one transport.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub(super) $name: Count,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)* }
            }
        }

        impl Snapshot {
            /// Name and value of each, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Requests acknowledged.
    requests,
    /// Spans acknowledged.
    spans,
    /// Bytes of protobuf acknowledged, after decompression.
    bytes,
    /// Spans left out of acknowledged requests, as their ids can't be used.
    rejected,
    /// Requests that are not OTLP, or whose compression is damaged.
    malformed,
    /// Requests larger than the bound on one request.
    too_large,
    /// Requests in an encoding or of a content type that is not served.
    unsupported,
    /// Requests refused because the bytes in flight, or a shard's queue, are at their bound.
    overload,
    /// Requests refused because the write-ahead log could not be written, or is at its bound.
    unlogged,
    /// Requests whose body took too long.
    timeouts,
    /// Requests refused because the host is shutting down.
    closed,
    /// Requests that ended before their body did: the client went away.
    aborted,
    /// Connections accepted.
    connections,
    /// Connections closed at once, because as many as allowed were open.
    connections_refused,
    /// Connections closed because the first bytes of a request did not come in time.
    connections_silent,
    /// Connections closed because a request's headers, the next request or any sign of life did not come in time.
    connections_idle,
    /// Times that a connection could not be accepted, such as for want of file descriptors.
    accept_errors,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
