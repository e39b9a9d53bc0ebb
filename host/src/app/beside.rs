//! The servers that stand beside the flow: the API, and health and metrics alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::Live;
use crate::api::{self, ApiCounters, ApiLimits, State};
use crate::config::Config;
use crate::ingest::{IngestView, Limits, Shutdown};
use crate::pipeline::thread::{Clock, Shown};
use crate::rules::watch::WatchCounters;
use crate::sinks::stream;

/// None where a server is off.
pub(super) struct Listeners {
    pub(super) api: Option<TcpListener>,
    pub(super) health: Option<TcpListener>,
}

/// What the API sees of the host beside what is live.
pub(super) struct Seen {
    pub(super) ingest: IngestView,
    pub(super) shards: Vec<Shown>,
    pub(super) sink: Arc<stream::Counters>,
    pub(super) watch: Option<Arc<WatchCounters>>,
    pub(super) broken: Arc<AtomicBool>,
    pub(super) shutdown: Shutdown,
    pub(super) api: Option<SocketAddr>,
}

pub(super) fn state(config: &Config, live: &Live, seen: Seen) -> Arc<State> {
    let semaphore = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    Arc::new(State {
        engine: live.engine.clone(),
        rules: live.rules.clone(),
        ring: live.ring.clone(),
        recent: live.recent.clone(),
        book: live.book.clone(),
        ingest: seen.ingest,
        shards: seen.shards,
        asks: live.asks.clone(),
        sink: seen.sink,
        watch: seen.watch,
        broken: seen.broken,
        limits: ApiLimits {
            streams: config.api_streams,
            body: config.api_body,
            attempts: config.try_at_once,
            attempt_timeout: config.try_timeout,
        },
        started: Clock::unix_ns(),
        only_local: seen.api.is_some_and(|address| address.ip().is_loopback()),
        shutdown: seen.shutdown,
        streams: semaphore(config.api_streams),
        attempts: semaphore(config.try_at_once),
        counters: ApiCounters::default(),
        api_server: Arc::default(),
        health_server: Arc::default(),
    })
}

/// The bounds of each of the servers.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        connections: config.api_connections,
        ..Limits::from(config)
    }
}

/// Serves until `shutdown`.
pub(super) async fn serve(
    listeners: Listeners,
    state: Arc<State>,
    limits: Limits,
    shutdown: Shutdown,
) {
    let api = async {
        if let Some(listener) = listeners.api {
            api::serve(listener, state.clone(), limits.clone(), shutdown.clone()).await;
        }
    };
    let health = async {
        if let Some(listener) = listeners.health {
            api::serve_health(listener, state.clone(), limits.clone(), shutdown.clone()).await;
        }
    };
    tokio::join!(api, health);
}
