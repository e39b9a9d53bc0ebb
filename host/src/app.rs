//! The one place that knows all stages: a host is servers, a thread a shard, and the rules they share.
//!
//! ```text
//! start: watch -> load -> listen -> [shard threads] -> [reload and verdict threads] -> the log is read back -> serve
//! stop:  rules stay as they are -> ingest ends -> queues close -> threads judge what is open and end -> the API ends -> the
//!        sink is let go -> the log is closed
//! ```

mod beside;
mod bounds;
mod log;
mod reload;
mod stop;
mod summary;
mod watched;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::alarm::Alarm;
use crate::assemble::counters::Counters;
use crate::cli::Failure;
use crate::cli::failure::note;
use crate::config::{Config, SignalsTarget};
use crate::engine::{Engine, Rule};
use crate::ingest::{
    self, Budget, Listeners, Listens, Router, Shutdown, Snapshot, Transport, Trigger,
};
use crate::live::{Book, SaveReport};
use crate::pipeline::Judge;
use crate::pipeline::aftermath::Aftermath;
use crate::pipeline::lag::Lag;
use crate::pipeline::thread::{Ask, Clock, ShardThread, Shown};
use crate::replay::bundle::keeper::{Bundles, Keeper};
use crate::replay::ring::Ring;
use crate::replay::trial::Trial;
use crate::rules::Published;
use crate::signal::judge::Unfinished;
use crate::sinks::format::Format;
use crate::sinks::recent::Recent;
use crate::sinks::text::counted;
use crate::sinks::{self, Patience, Sink, Target};
use crate::wal::Opened;

use beside::{Beside, Bound, Seen};
use bounds::{bundles, ring};
pub use bounds::{engine, limits};
use log::{Kept, Recovery};
use reload::{Reload, Reloading};
pub use stop::Signals;
pub use watched::Watched;

/// Questions that wait for one shard. Each is asked by somebody who waits for the answer.
const ASKS: usize = 64;

/// Where a host's rules come from.
pub enum Source {
    /// These, until it ends.
    Fixed(Vec<Arc<Rule>>),
    /// Files, as they are saved.
    Watched(Box<Watched>),
}

/// A running host.
pub struct Host {
    runtime: Runtime,
    servers: tokio::task::JoinHandle<()>,
    trigger: Trigger,
    threads: Vec<JoinHandle<()>>,
    shown: Vec<Shown>,
    router: Router,
    live: Live,
    /// Of calls that faulted; none where they are not kept. Finished when no shard can fault any more.
    keeper: Option<Keeper>,
    /// Ended first, and before what it watches with.
    reloading: Option<Reloading>,
    /// None where there is no write-ahead log. It outlasts the sink.
    kept: Option<Kept>,
    patience: Option<Arc<Patience>>,
    /// Stopped last.
    beside: Beside,
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    api: Option<SocketAddr>,
    health: Option<SocketAddr>,
}

/// What a running host shows of itself.
#[derive(Clone, Debug)]
pub struct Live {
    pub engine: Arc<Engine>,
    pub rules: Arc<Published>,
    pub ring: Arc<Ring>,
    pub book: Arc<Book>,
    pub recent: Arc<Recent>,
    /// For each shard, where it is asked of a trace.
    pub asks: Vec<crossbeam_channel::Sender<Ask>>,
    pub clock: Clock,
}

/// What a host did, once it has stopped.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub grpc: Snapshot,
    pub http: Snapshot,
    /// A shard each.
    pub shards: Vec<Counters>,
    /// Texts that rules read and that are not UTF-8.
    pub invalid_utf8: u64,
    /// Shards whose thread ended by a panic, which is a bug.
    pub broken: usize,
}

impl Host {
    /// Listens, starts the threads and serves. Everything that can fail for want of a port has failed when this returns.
    pub fn start(
        config: &Config,
        engine: Arc<Engine>,
        source: Source,
        sink: Sink,
        outlines: bool,
    ) -> Result<Host, Failure> {
        Host::start_with(config, engine, source, sink, outlines, None)
    }

    /// As [`start`](Host::start), with a write-ahead log, which is read back before anything is served.
    fn start_with(
        config: &Config,
        engine: Arc<Engine>,
        source: Source,
        sink: Sink,
        outlines: bool,
        log: Option<Opened>,
    ) -> Result<Host, Failure> {
        let limits = limits(config);
        limits.check().map_err(|error| Failure::of(&error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("ingest")
            .build()
            .map_err(|error| {
                Failure::new(format!("can't start the threads of the servers: {error}"))
            })?;
        let listeners = Listeners {
            grpc: listen(
                &runtime,
                Transport::Grpc.listens(),
                config.otlp_grpc.as_deref(),
            )?,
            http: listen(
                &runtime,
                Transport::Http.listens(),
                config.otlp_http.as_deref(),
            )?,
        };
        let grpc = address(listeners.grpc.as_ref());
        let http = address(listeners.http.as_ref());
        let beside = Bound::new(config)?;
        let (api, health) = (beside.api(), beside.health());

        let (first, ring, book, clock) = match &source {
            Source::Fixed(rules) => (rules.clone(), ring(config), Arc::default(), Clock::start()),
            Source::Watched(watched) => (
                watched.library.rules(),
                watched.ring.clone(),
                watched.book.clone(),
                watched.clock,
            ),
        };
        let mut live = Live {
            engine: engine.clone(),
            rules: Arc::new(Published::new(first)),
            ring,
            book,
            recent: Arc::new(Recent::new(
                config.recent_signals,
                config.recent_bytes,
                Clock::unix_ns(),
            )),
            asks: Vec::new(),
            clock,
        };
        let alarm = Alarm::default();
        let mut alarms = vec![alarm.clone(), engine.alarm(), sink.alarm()];
        alarms.extend(log.as_ref().map(Opened::alarm));
        let sink_counters = sink.counters();
        let patience = sink.patience();
        let mut recovery = log.map(Recovery::new);
        let sink = sink.remembered(live.recent.clone());
        // One wake-up is as good as many: whoever wakes looks at all rules.
        let (wake, opened) = bounded(1);
        let (bundles, keeper) = bundles(config, &engine)?;
        let bundle_counters = bundles.as_ref().map(Bundles::counters);
        alarms.extend(bundles.as_ref().map(Bundles::alarm));
        let aftermath = Aftermath::new(wake, bundles);
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        let mut shown = Vec::new();
        for shard in 0..config.workers {
            let (sender, incoming) = bounded(config.shard_queue);
            queues.push(sender);
            let (asker, asks) = bounded(ASKS);
            live.asks.push(asker);
            let shows = Shown::default();
            shown.push(shows.clone());
            let thread = ShardThread {
                limits: limits.clone(),
                batch_delay: config.batch_delay,
                lag: Lag::new(config.lag),
                incoming,
                asks,
                judge: Judge::new(engine.clone(), Unfinished::Stable, outlines),
                rules: live.rules.clone(),
                ring: live.ring.part(shard),
                sink: sink.clone(),
                aftermath: aftermath.clone(),
                clock,
                shown: shows,
                log: recovery.as_mut().map(Recovery::shard),
            };
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn({
                    let alarm = alarm.clone();
                    move || {
                        let _watch = alarm.watch();
                        thread.run();
                    }
                })
                .map_err(|error| {
                    Failure::new(format!("can't start the thread of shard {shard}: {error}"))
                })?;
            threads.push(thread);
        }

        let watch = match &source {
            Source::Fixed(_) => None,
            Source::Watched(watched) => {
                alarms.push(watched.watch.alarm());
                Some(watched.watch.counters().clone())
            }
        };
        let reloading = match source {
            Source::Fixed(_) => None,
            Source::Watched(watched) => {
                Some(reload(&live, *watched, opened, alarm).map_err(|error| {
                    Failure::new(format!(
                        "can't start the threads that reload rules: {error}"
                    ))
                })?)
            }
        };
        let router = Router::new(queues, Budget::new(config.in_flight));
        let (trigger, shutdown) = Shutdown::new();
        let seen = Seen {
            ingest: router.view(),
            shards: shown.clone(),
            sink: sink_counters,
            watch,
            alarms,
            bundles: bundle_counters,
            log: recovery
                .as_ref()
                .map(|recovery| recovery.opened().counters()),
        };
        let beside = beside.serve(config, &live, seen);
        let replayed = recovery.map(|recovery| recovery.replay(&router, config.data.as_ref()));
        let kept = replayed.transpose()?;
        let servers = runtime.spawn(ingest::serve(
            listeners,
            router.clone(),
            config.into(),
            shutdown,
        ));
        Ok(Host {
            runtime,
            servers,
            trigger,
            threads,
            shown,
            router,
            live,
            keeper,
            reloading,
            kept,
            patience,
            beside,
            grpc,
            http,
            api,
            health,
        })
    }

    /// Where OTLP/gRPC is taken; none where it is off.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// Where OTLP/HTTP is taken; none where it is off.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where the API listens; none where it is off.
    pub fn api(&self) -> Option<SocketAddr> {
        self.api
    }

    /// Where health and metrics listen apart; none where that is off.
    pub fn health(&self) -> Option<SocketAddr> {
        self.health
    }

    /// What it shows of itself.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Runs `future` on this thread while the host serves.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Refuses what is new, judges what has come, and ends. Traces that lack their root are judged for stable clauses only; where
    /// there is a write-ahead log, those that are open are left in it.
    pub fn stop(mut self) -> Done {
        self.reloading = None;
        if let Some(patience) = &self.patience {
            patience.end();
        }
        self.trigger.fire();
        // A panic of the servers is told by tokio; the threads end all the same.
        let _ = self.runtime.block_on(self.servers);
        let mut done = Done {
            grpc: self.router.counters(Transport::Grpc).snapshot(),
            http: self.router.counters(Transport::Http).snapshot(),
            ..Done::default()
        };
        // The last senders of the queues: this one, and those of connections that were cut off.
        drop(self.router);
        drop(self.runtime);
        for thread in self.threads {
            done.broken += usize::from(thread.join().is_err());
        }
        for shown in &self.shown {
            let shown = *shown.lock().unwrap_or_else(PoisonError::into_inner);
            done.shards.push(shown.assembly);
            done.invalid_utf8 += shown.invalid_utf8;
        }
        if let Some(keeper) = self.keeper {
            keeper.finish();
        }
        self.beside.stop();
        done
    }
}

/// `betrace serve`, until SIGTERM or SIGINT.
pub fn serve(config: &Config) -> Result<(), Failure> {
    let stop = Signals::take()?;
    let start = tracing::info_span!("start").entered();
    let engine = self::engine(config)?;
    let watched = Watched::open(config, &engine)?.some()?;
    let count = watched.library.rules().len() as u64;
    let target = match &config.signals {
        SignalsTarget::Stdout => Target::Stdout,
        SignalsTarget::File(path) => Target::File(path.clone()),
    };
    let mut log = log::open(config)?;
    let opened = match &mut log {
        None => sinks::open(&target, Format::Json, config.signal_queue),
        Some(log) => {
            let decisions = log.decisions();
            sinks::open_kept(
                &target,
                Format::Json,
                config.signal_queue,
                config.signal_ids,
                decisions,
            )
        }
    };
    let (sink, writer) = opened.map_err(|error| Failure::of(&error))?;
    let counters = sink.counters();
    let source = Source::Watched(Box::new(watched));
    let mut host = Host::start_with(config, engine, source, sink, false, log)?;
    note(&format!("betrace: {} loaded", counted(count, "rule")));
    for (address, what) in [
        (host.api(), "the API"),
        (host.health(), "health and metrics"),
        (host.grpc(), Transport::Grpc.name()),
        (host.http(), Transport::Http.name()),
    ] {
        if let Some(address) = address {
            note(&format!("betrace: {what} on {address}"));
        }
    }
    drop(start);
    host.block_on(stop.first());
    let kept = host.kept.take();
    note(match kept {
        None => "betrace: stopping: judging what has come",
        Some(_) => "betrace: stopping: what is open stays in the log",
    });
    let set = host.live().rules.current();
    let done = host.stop();
    let written = writer.finish().map_err(|error| Failure::of(&error));
    summary::say(&done, counters.written(), &set.rules);
    if kept.is_some() {
        summary::say_kept(&done, counters.repeated());
    }
    written?;
    kept.map_or(Ok(()), Kept::finish)?;
    if done.broken > 0 {
        return Err(Failure::new(format!(
            "{} ended by a panic",
            counted(done.broken as u64, "shard")
        ))
        .help("this is a bug in betrace: please report it with what stands above"));
    }
    Ok(())
}

/// Starts what follows the files, and tells of what was loaded first, and of what it does to traces that are kept already.
fn reload(
    live: &Live,
    watched: Watched,
    opened: Receiver<()>,
    alarm: Alarm,
) -> std::io::Result<Reloading> {
    live.book.stand(watched.library.statuses());
    let started = Instant::now();
    let kept = live.ring.snapshot();
    let verdict = (!kept.is_empty()).then(|| {
        let mut trial = Trial::new(live.engine.clone());
        let coverage = live.ring.coverage(&kept);
        let never = AtomicBool::new(false);
        trial.judge(&watched.update.changes, &kept, coverage, &never)
    });
    live.book.enter(SaveReport {
        number: 1,
        saved_at: Clock::unix_ns(),
        update: watched.update,
        live_after: watched.took,
        verdict: verdict.flatten(),
        verdict_after: watched.took + started.elapsed(),
    });
    Reload {
        library: watched.library,
        saved: watched.saved,
        opened,
        published: live.rules.clone(),
        engine: live.engine.clone(),
        ring: live.ring.clone(),
        book: live.book.clone(),
        clock: live.clock,
        alarm,
    }
    .start(watched.watch)
}

fn listen(
    runtime: &Runtime,
    listens: Listens,
    address: Option<&str>,
) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = address else {
        return Ok(None);
    };
    runtime
        .block_on(ingest::bind(listens, address))
        .map(Some)
        .map_err(|error| Failure::new(error.to_string()))
}

fn address(listener: Option<&TcpListener>) -> Option<SocketAddr> {
    listener.and_then(|listener| listener.local_addr().ok())
}
