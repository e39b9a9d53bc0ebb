//! The servers that stand beside the flow: the API, and health and metrics alone.
//!
//! They have threads of their own, so that nobody who asks takes the time of spans that come; and they end last, so that a
//! host that stops can be seen stopping, and streams end with its last signals.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Live, address, listen};
use crate::alarm::Alarm;
use crate::api::{self, ApiCounters, ApiLimits, Listing, State, Turns};
use crate::cli::Failure;
use crate::config::Config;
use crate::ingest::{IngestView, Limits, Shutdown, Trigger};
use crate::pipeline::thread::{Clock, Shown};
use crate::rules::watch::WatchCounters;
use crate::sinks::stream;

/// Threads that answer: one can write a long answer while the other says that the host is well.
const THREADS: usize = 2;

/// How long answers may take that were begun when all else has ended. Nothing is lost with them.
const GRACE: Duration = Duration::from_secs(2);

/// The sockets, before anything is served. None where a server is off.
pub(super) struct Bound {
    runtime: Runtime,
    api: Option<TcpListener>,
    health: Option<TcpListener>,
}

/// The servers as they run.
pub(super) struct Beside {
    runtime: Runtime,
    servers: JoinHandle<()>,
    trigger: Trigger,
}

/// What the API sees of the host beside what is live.
pub(super) struct Seen {
    pub(super) ingest: IngestView,
    pub(super) shards: Vec<Shown>,
    pub(super) sink: Arc<stream::Counters>,
    pub(super) watch: Option<Arc<WatchCounters>>,
    pub(super) alarms: Vec<Alarm>,
    pub(super) bundles: Option<Arc<crate::replay::bundle::keeper::Counters>>,
    pub(super) log: Option<Arc<crate::wal::counters::Counters>>,
}

impl Bound {
    pub(super) fn new(config: &Config) -> Result<Bound, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .thread_name("api")
            .build()
            .map_err(|error| {
                Failure::new(format!("can't start the threads of the API: {error}"))
            })?;
        Ok(Bound {
            api: listen(&runtime, api::API, config.api.as_deref())?,
            health: listen(&runtime, api::HEALTH, config.health.as_deref())?,
            runtime,
        })
    }

    pub(super) fn api(&self) -> Option<SocketAddr> {
        address(self.api.as_ref())
    }

    pub(super) fn health(&self) -> Option<SocketAddr> {
        address(self.health.as_ref())
    }

    /// Serves until [`Beside::stop`].
    pub(super) fn serve(self, config: &Config, live: &Live, seen: Seen) -> Beside {
        let (trigger, shutdown) = Shutdown::new();
        let state = state(config, live, seen, self.api(), shutdown.clone());
        let limits = limits(config);
        let (api, health) = (self.api, self.health);
        let servers = self.runtime.spawn(async move {
            let (api_state, api_limits, api_shutdown) =
                (state.clone(), limits.clone(), shutdown.clone());
            let api = async {
                if let Some(listener) = api {
                    api::serve(listener, api_state, api_limits, api_shutdown).await;
                }
            };
            let health = async {
                if let Some(listener) = health {
                    api::serve_health(listener, state, limits, shutdown).await;
                }
            };
            tokio::join!(api, health);
        });
        Beside {
            runtime: self.runtime,
            servers,
            trigger,
        }
    }
}

impl Beside {
    pub(super) fn stop(self) {
        self.trigger.fire();
        // A panic of the servers is told by tokio.
        let _ = self.runtime.block_on(self.servers);
        // A rule that is being tried ends by itself; nobody waits for it any more.
        self.runtime.shutdown_background();
    }
}

fn state(
    config: &Config,
    live: &Live,
    seen: Seen,
    api: Option<SocketAddr>,
    shutdown: Shutdown,
) -> Arc<State> {
    Arc::new(State {
        engine: live.engine.clone(),
        rules: live.rules.clone(),
        ring: live.ring.clone(),
        recent: live.recent.clone(),
        book: live.book.clone(),
        ingest: seen.ingest,
        shards: seen.shards,
        asks: live.asks.clone(),
        clock: live.clock,
        sink: seen.sink,
        watch: seen.watch,
        alarms: seen.alarms,
        bundles: seen.bundles,
        log: seen.log,
        limits: ApiLimits {
            streams: config.api_streams,
            body: config.api_body,
            attempts: config.try_at_once,
            attempt_rules: config.try_rules,
            attempt_timeout: config.try_timeout,
        },
        started: Clock::unix_ns(),
        only_local: api.is_some_and(|address| address.ip().is_loopback()),
        name: config
            .api
            .as_deref()
            .map(|api| api::name_of(api).to_owned()),
        shutdown,
        streams: Arc::new(Semaphore::new(config.api_streams)),
        attempts: Turns::new(config.try_at_once, config.try_queue, "--try-at-once"),
        explains: Turns::new(
            config.explain_at_once,
            config.try_queue,
            "--explain-at-once",
        ),
        counters: ApiCounters::default(),
        listing: Listing::new(config.metrics_rules),
        api_server: Arc::default(),
        health_server: Arc::default(),
        own_spans: crate::telemetry::own_spans(),
    })
}

/// The bounds of each of the servers.
fn limits(config: &Config) -> Limits {
    let limits = Limits::from(config);
    Limits {
        connections: config.api_connections,
        drain_timeout: limits.drain_timeout.min(GRACE),
        ..limits
    }
}
