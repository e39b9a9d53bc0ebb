//! The one place that knows all stages: listeners, shards on their threads, rules, and the way out.
//!
//! ```text
//! start: rules, sink -> one thread a shard -> router -> listeners        stop: the same backwards, so that nothing is lost
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::bounded;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle as Task;

use crate::assemble::limits::Limits;
use crate::cli::failure::{Failure, note};
use crate::cli::rules::Rules;
use crate::config::{Config, SignalsTarget};
use crate::engine::{Engine, EngineLimits, Rule};
use crate::ingest::{self, Budget, Listeners, Router, Shutdown, Transport, Trigger};
use crate::pipeline::judge::Judge;
use crate::pipeline::thread::{Clock, ShardThread, Shown};
use crate::rules::Published;
use crate::signal::judge::Unfinished;
use crate::sinks::format::Format;
use crate::sinks::paint::Paint;
use crate::sinks::{self, DEFAULT_QUEUE, Sink, Target};

/// A host that runs.
pub struct Host {
    runtime: Runtime,
    trigger: Trigger,
    servers: Task<()>,
    shards: Vec<JoinHandle<()>>,
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

/// Serves until SIGTERM or SIGINT, then drains.
pub fn serve(config: &Config) -> Result<(), Failure> {
    let engine = Engine::new(engine_limits(config)).map_err(|error| Failure::of(&error))?;
    let engine = Arc::new(engine);
    let rules = Rules::load(&engine, &config.rules, Paint::for_stderr().color).some()?;
    let target = match &config.signals {
        SignalsTarget::Stdout => Target::Stdout,
        SignalsTarget::File(path) => Target::File(path.clone()),
    };
    let (sink, writer) =
        sinks::open(&target, Format::Json, DEFAULT_QUEUE).map_err(|error| Failure::of(&error))?;
    let count = rules.loaded.rules.len();
    let host = Host::start(config, engine, rules.loaded.rules, sink, false)?;
    for (what, address) in [("gRPC", host.grpc), ("HTTP", host.http)] {
        if let Some(address) = address {
            note(&format!("OTLP/{what} on {address}"));
        }
    }
    note(&format!("{count} rules on {} threads", config.workers));
    host.block_on(stop_signal());
    note("stopping: what has come is judged");
    host.stop();
    writer.finish().map_err(|error| Failure::of(&error))
}

impl Host {
    /// Starts a host of which every part that can fail has started.
    pub fn start(
        config: &Config,
        engine: Arc<Engine>,
        rules: Vec<Arc<Rule>>,
        sink: Sink,
        outlines: bool,
    ) -> Result<Host, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("can't start a thread: {error}"));
        let runtime = Runtime::new().map_err(failed)?;
        let listeners = runtime.block_on(listen(config))?;
        let address = |socket: &Option<tokio::net::TcpListener>| socket.as_ref()?.local_addr().ok();
        let (grpc, http) = (address(&listeners.grpc), address(&listeners.http));

        let rules = Arc::new(Published::new(rules));
        let clock = Clock::start();
        let mut queues = Vec::new();
        let mut shards = Vec::new();
        for index in 0..config.workers {
            let (queue, incoming) = bounded(config.shard_queue);
            let shard = ShardThread {
                limits: shard_limits(config),
                incoming,
                judge: Judge::new(engine.clone(), Unfinished::Stable, outlines),
                rules: rules.clone(),
                sink: sink.clone(),
                clock,
                shown: Shown::default(),
            };
            let thread = std::thread::Builder::new().name(format!("shard-{index}"));
            shards.push(thread.spawn(move || shard.run()).map_err(failed)?);
            queues.push(queue);
        }
        let router = Router::new(queues, Budget::new(config.in_flight));
        let (trigger, shutdown) = Shutdown::new();
        let servers = runtime.spawn(ingest::serve(listeners, router, config.into(), shutdown));
        Ok(Host { runtime, trigger, servers, shards, grpc, http })
    }

    /// Where OTLP/gRPC is served.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// Where OTLP/HTTP is served.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Refuses what is new, judges what has come, and ends.
    pub fn stop(self) {
        self.trigger.fire();
        // The queues close with the servers, and with them the shards end.
        if self.runtime.block_on(self.servers).is_err() {
            tracing::error!("the servers stopped by a panic");
        }
        drop(self.runtime);
        for shard in self.shards {
            if shard.join().is_err() {
                tracing::error!("a shard stopped by a panic");
            }
        }
    }
}

/// Ready on SIGTERM or SIGINT.
pub async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
}

async fn listen(config: &Config) -> Result<Listeners, Failure> {
    let bind = async |transport, address: &Option<String>| match address {
        Some(address) => ingest::bind(transport, address).await.map(Some),
        None => Ok(None),
    };
    let failed = |error| Failure::of(&error);
    Ok(Listeners {
        grpc: bind(Transport::Grpc, &config.otlp_grpc).await.map_err(failed)?,
        http: bind(Transport::Http, &config.otlp_http).await.map_err(failed)?,
    })
}

/// A shard's part of the bounds.
fn shard_limits(config: &Config) -> Limits {
    let shards = config.workers.max(1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Limits {
        settle: config.settle,
        idle: config.idle,
        max_age: config.max_age,
        trace_spans: count(config.span_cap),
        trace_bytes: config.byte_cap as u64,
        memory_bytes: (config.memory / shards) as u64,
        remember: config.decided_for,
        remember_traces: count(config.decided_traces / shards),
        batch_spans: count(config.batch_spans),
        batch_bytes: config.batch_bytes as u64,
        ..Limits::default()
    }
}

fn engine_limits(config: &Config) -> EngineLimits {
    let defaults = EngineLimits::for_workers(config.workers);
    EngineLimits {
        warm_instances: config.warm_instances.unwrap_or(defaults.warm_instances),
        deadline: config.rule_deadline,
        memory_bytes: config.rule_memory,
        keep_bytes: config.rule_keep,
        stack_bytes: config.rule_stack,
        table_elements: config.rule_table,
        call_bytes: config.rule_call,
        trace_bytes: config.rule_trace,
        result_bytes: config.rule_result,
        findings: config.rule_findings,
        component_bytes: config.rule_component,
        ..defaults
    }
}
