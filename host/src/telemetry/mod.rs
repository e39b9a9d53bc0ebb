//! What the host tells of itself: its log, and its own traces.
//!
//! ```text
//! tracing events -> log    -> stderr, as text or JSON lines
//! tracing spans  -> traces -> OTLP/gRPC to `traces-endpoint`, where one is set
//! ```
//! Requests that bring traces make no spans, and an endpoint that is the host itself is refused, so that the host's own traces
//! never feed themselves.

pub mod itself;
pub mod log;
pub mod requests;
pub mod traces;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::Config;
use log::Notes;
use traces::{Counts, Traces, TracesError};

/// Counts own spans. One a process, as what is counted is: whoever ends a span finds the process' subscriber.
static OWN_SPANS: OnceLock<Arc<traces::Counters>> = OnceLock::new();

/// What becomes of own spans; none where they are not sent.
pub fn own_spans() -> Option<Arc<traces::Counters>> {
    OWN_SPANS.get().cloned()
}

/// The log and the traces of this process.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<Traces>,
    flush_within: Duration,
}

/// Begins to log, and to send own traces where `config` says so. For a process, once.
pub fn start(config: &Config, notes: Notes) -> Result<Telemetry, TracesError> {
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
        vec![log::to_stderr(config.log_format, notes)];
    let traces = match &config.traces_endpoint {
        None => None,
        Some(endpoint) => {
            itself::refuse(endpoint, &listeners(config))?;
            let traces = Traces::start(endpoint, config.traces_queue)?;
            layers.push(Box::new(traces.layer()));
            OWN_SPANS.get_or_init(|| traces.counters());
            Some(traces)
        }
    };
    // Only fails where this was called before.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(Telemetry {
        traces,
        flush_within: config.drain_timeout,
    })
}

/// Logs to stderr as text, for a command that takes no settings.
pub fn plain() {
    let log = log::to_stderr(crate::config::LogFormat::Text, Notes::Beside);
    let _ = tracing_subscriber::registry().with(vec![log]).try_init();
}

impl Telemetry {
    /// Sends what waits, for as long as connections have to end.
    pub fn stop(self) -> Counts {
        let within = self.flush_within;
        self.traces
            .map_or_else(Counts::default, |traces| traces.stop(within))
    }
}

fn listeners(config: &Config) -> [(&'static str, Option<&str>); 4] {
    [
        ("otlp-grpc", config.otlp_grpc.as_deref()),
        ("otlp-http", config.otlp_http.as_deref()),
        ("api", config.api.as_deref()),
        ("health", config.health.as_deref()),
    ]
}
