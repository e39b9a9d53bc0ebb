//! What the API shows, and the bounds that it keeps.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;
use http::StatusCode;
use tokio::sync::Semaphore;

use super::listing::Listing;
use super::work::Turns;
use crate::alarm::Alarm;
use crate::assemble::shard::Whereabouts;
use crate::engine::Engine;
use crate::ingest::{Counters, IngestView, Shutdown};
use crate::live::Book;
use crate::pipeline::thread::{Ask, Clock, Shown};
use crate::replay::bundle::keeper::Counters as BundleCounters;
use crate::replay::ring::Ring;
use crate::rules::Published;
use crate::rules::update::RuleStatus;
use crate::rules::watch::WatchCounters;
use crate::sinks::recent::Recent;
use crate::sinks::stream::Counters as SinkCounters;
use crate::telemetry::traces;
use crate::wal::counters::Counters as LogCounters;

/// How long a shard may take to say where a trace is: some turns.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// What routes need. It holds no queue of the host open.
pub struct State {
    pub engine: Arc<Engine>,
    pub rules: Arc<Published>,
    pub ring: Arc<Ring>,
    pub recent: Arc<Recent>,
    pub book: Arc<Book>,
    pub ingest: IngestView,
    /// One a shard.
    pub shards: Vec<Shown>,
    pub asks: Vec<Sender<Ask>>,
    /// What quarantines are told by.
    pub clock: Clock,
    pub sink: Arc<SinkCounters>,
    /// None where rules are not watched.
    pub watch: Option<Arc<WatchCounters>>,
    /// Of the host's own threads.
    pub alarms: Vec<Alarm>,
    /// None where calls that faulted are not kept.
    pub bundles: Option<Arc<BundleCounters>>,
    /// None where there is no write-ahead log.
    pub log: Option<Arc<LogCounters>>,
    pub limits: ApiLimits,
    /// When the host started, in Unix nanoseconds.
    pub started: u64,
    /// It listens on loopback, so whoever asks for it by a name is not who it is for.
    pub only_local: bool,
    /// The name that it was told to listen on, without the port.
    pub name: Option<String>,
    pub shutdown: Shutdown,
    pub streams: Arc<Semaphore>,
    /// To check and try rules.
    pub attempts: Turns,
    /// To explain, so that who asks why a rule fired does not wait for who tries others.
    pub explains: Turns,
    pub counters: ApiCounters,
    /// Which rules have series of their own.
    pub listing: Listing,
    pub api_server: Arc<Counters>,
    pub health_server: Arc<Counters>,
    /// None where the host's own spans are not sent.
    pub own_spans: Option<Arc<traces::Counters>>,
}

/// The bounds of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    pub streams: usize,
    pub body: usize,
    pub attempts: usize,
    /// Rules in one source.
    pub attempt_rules: usize,
    pub attempt_timeout: Duration,
}

/// What the API did.
#[derive(Debug, Default)]
pub struct ApiCounters {
    /// By route and status.
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    /// Requests for another host.
    pub foreign: AtomicU64,
    pub streams_refused: AtomicU64,
    /// Signals that readers of streams were too slow for.
    pub streams_missed: AtomicU64,
    pub attempts_refused: AtomicU64,
    pub attempts_timed_out: AtomicU64,
    /// Explanations that could not be made, such as of a rule with too many parts.
    pub explanations_failed: AtomicU64,
    /// Sources with too many rules.
    pub attempts_too_many: AtomicU64,
}

impl ApiCounters {
    /// A request was answered. Routes are those of the table, so there are few.
    pub(super) fn answered(&self, route: &str, status: StatusCode) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests
            .entry((route.to_owned(), status.as_u16()))
            .or_default() += 1;
    }

    /// By route and status.
    pub fn requests(&self) -> BTreeMap<(String, u16), u64> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone()
    }
}

impl State {
    /// How each rule stands.
    pub(super) fn statuses(&self) -> Arc<Vec<RuleStatus>> {
        let statuses = self.book.statuses();
        if !statuses.is_empty() {
            return statuses;
        }
        // Rules that the host came with have no files.
        let set = self.rules.current();
        Arc::new(set.rules.iter().map(RuleStatus::fixed).collect())
    }

    /// Where a trace is, as its shard knows; none where no shard answers in time. Blocks for a moment.
    pub fn whereabouts(&self, id: [u8; 16]) -> Option<Whereabouts> {
        // Which shard has it depends on a secret hash, and only one knows it.
        let (answer, answers) = crossbeam_channel::bounded(self.asks.len().max(1));
        let mut asked = 0;
        for ask in &self.asks {
            let answer = answer.clone();
            asked += usize::from(ask.send_timeout(Ask { id, answer }, ASK_TIMEOUT).is_ok());
        }
        drop(answer);
        let mut found = None;
        for _ in 0..asked {
            match answers.recv_timeout(ASK_TIMEOUT).ok()? {
                Whereabouts::Never => found = found.or(Some(Whereabouts::Never)),
                known => found = Some(known),
            }
        }
        found
    }

    /// One of the host's own threads that ended by a panic.
    pub(super) fn ended(&self) -> Option<&str> {
        self.alarms.iter().find_map(Alarm::rung)
    }
}

#[cfg(test)]
pub(super) mod fixture {
    //! A host of which nothing runs.

    use std::time::Duration;

    use super::*;
    use crate::engine::EngineLimits;
    use crate::ingest::{Budget, Router, Trigger};
    use crate::replay::ring::RingLimits;

    /// With nothing in it, room for so many attempts and signals, and what stops it.
    pub(crate) fn state(attempts: usize, signals: usize) -> (State, Router, Trigger) {
        let limits = EngineLimits::for_workers(1);
        let engine = Engine::new(limits).map(Arc::new).expect("an engine");
        let router = Router::new(Vec::new(), Budget::new(1));
        let (trigger, shutdown) = Shutdown::new();
        let ring = RingLimits {
            memory: 0,
            signalled: 0,
            turnover: Duration::ZERO,
            operations: 0,
        };
        let state = State {
            engine,
            rules: Arc::new(Published::new(Vec::new())),
            ring: Arc::new(Ring::new(&ring, 1)),
            recent: Arc::new(Recent::new(signals, usize::MAX, 7)),
            book: Arc::default(),
            ingest: router.view(),
            shards: Vec::new(),
            asks: Vec::new(),
            clock: Clock::start(),
            sink: Arc::default(),
            watch: None,
            alarms: Vec::new(),
            bundles: None,
            log: None,
            limits: ApiLimits {
                streams: 1,
                body: 1,
                attempts,
                attempt_rules: 1,
                attempt_timeout: Duration::from_millis(1),
            },
            started: 0,
            only_local: true,
            name: None,
            shutdown,
            streams: Arc::new(Semaphore::new(1)),
            attempts: Turns::new(attempts, 1, "--try-at-once"),
            explains: Turns::new(attempts, 1, "--explain-at-once"),
            counters: ApiCounters::default(),
            listing: Listing::new(10),
            api_server: Arc::default(),
            health_server: Arc::default(),
            own_spans: None,
        };
        (state, router, trigger)
    }
}
