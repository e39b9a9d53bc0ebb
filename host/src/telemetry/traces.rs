//! The host's own spans, sent as OTLP/gRPC.
//!
//! ```text
//! span ends -> Bounded (counts, drops what is too much) -> batches, on a thread of the SDK -> Watched (counts) -> endpoint
//! ```
//! Sending never holds up who ends a span, and takes no more memory than the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::Uri;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData,
    SpanExporter, SpanProcessor,
};
use tokio::runtime::Runtime;
use tonic::transport::Endpoint;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// Spans that are sent at a time: what the SDK does, some hundred KiB.
const BATCH: usize = 512;

/// How long a span waits for others, so that a person who looks for a reload's trace finds it.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// One batch, with all tries: shorter than a queue of spans takes to fill, longer than an endpoint on the other side of the
/// world takes to answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Why own traces can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error(
        "`traces-endpoint` {endpoint} is where this host listens itself (`{listener}` on {address}), so its own traces would \
         come back to it"
    )]
    Itself {
        endpoint: String,
        listener: &'static str,
        address: String,
    },
    #[error("can't start the thread that sends own traces: {0}")]
    Thread(#[source] std::io::Error),
    #[error("can't send own traces to {endpoint}: {reason}")]
    Exporter { endpoint: String, reason: String },
}

/// Sends spans until it is stopped.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    counters: Arc<Counters>,
    runtime: Runtime,
}

/// What became of own spans so far.
#[derive(Debug, Default)]
pub struct Counters {
    waiting: AtomicUsize,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// What [`Counters`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    /// Not taken by the endpoint, after all tries.
    pub failed: u64,
    /// For want of room in the queue.
    pub dropped: u64,
    /// In the queue, or on their way.
    pub waiting: u64,
}

impl TracesError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            TracesError::Itself { .. } => {
                "name another host's endpoint, such as a Collector's, or `off`"
            }
            TracesError::Thread(_) => "is the number of threads limited (`ulimit -u`)?",
            TracesError::Exporter { .. } => {
                "look at the variables `OTEL_EXPORTER_OTLP_*` of the environment, which it heeds"
            }
        }
    }
}

impl Traces {
    /// Sends to `endpoint`, and holds at most `queue` spans. That nobody listens there is no error: someone may, later.
    pub fn start(endpoint: &Uri, queue: usize) -> Result<Traces, TracesError> {
        // The SDK's thread drives each call, the connection lives here.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("own-traces")
            .enable_all()
            .build()
            .map_err(TracesError::Thread)?;
        let failed = |reason: String| TracesError::Exporter {
            endpoint: endpoint.to_string(),
            reason,
        };
        let _context = runtime.enter();
        // A channel of ours, so that no variable of the environment can name another endpoint than was checked.
        let channel = Endpoint::from(endpoint.clone())
            .connect_timeout(SEND_TIMEOUT)
            .timeout(SEND_TIMEOUT)
            .connect_lazy();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(SEND_TIMEOUT)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let counters = Arc::<Counters>::default();
        let watched = Watched {
            next: exporter,
            endpoint: endpoint.to_string(),
            counters: counters.clone(),
            is_failing: AtomicBool::new(false),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(queue)
            .with_max_export_batch_size(BATCH.min(queue))
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let next = BatchSpanProcessor::builder(watched)
            .with_batch_config(batches)
            .build();
        let resource = Resource::builder()
            .with_service_name("betrace")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .with_span_processor(Bounded {
                next,
                queue,
                counters: counters.clone(),
            })
            .build();
        drop(_context);
        Ok(Traces {
            provider,
            counters,
            runtime,
        })
    }

    /// Takes the host's spans, and none of the libraries below it: those that send would send of their sending.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let ours = filter_fn(|metadata| {
            let target = metadata.target();
            let ours = target == "betrace" || target.starts_with("betrace::");
            ours && metadata.is_span() && *metadata.level() <= Level::INFO
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("betrace"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Sends what waits, for at most `within`, and ends. What is left then is lost, and in the counts as waiting.
    pub fn stop(self, within: Duration) -> Counts {
        // That it took too long shows in the counts.
        let _ = self.provider.shutdown_with_timeout(within);
        self.runtime.shutdown_background();
        self.counters.counts()
    }
}

impl Counters {
    pub fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            waiting: self.waiting.load(Relaxed) as u64,
        }
    }
}

impl Counts {
    /// Spans that did not arrive, once nothing is sent any more.
    pub fn lost(&self) -> u64 {
        self.failed + self.dropped + self.waiting
    }
}

/// Drops spans for which there is no room, and counts them. The SDK does so, too, but tells nobody how many.
#[derive(Debug)]
struct Bounded {
    next: BatchSpanProcessor,
    queue: usize,
    counters: Arc<Counters>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counters.waiting.fetch_add(1, Relaxed) < self.queue {
            self.next.on_end(span);
        } else {
            self.counters.waiting.fetch_sub(1, Relaxed);
            self.counters.dropped.fetch_add(1, Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Counts what was sent, and says when that begins to fail and when it goes again.
#[derive(Debug)]
struct Watched<E> {
    next: E,
    endpoint: String,
    counters: Arc<Counters>,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.next.export(batch).await;
        self.counters.waiting.fetch_sub(spans, Relaxed);
        let was_failing = self.is_failing.swap(result.is_err(), Relaxed);
        match &result {
            Ok(()) => {
                self.counters.sent.fetch_add(spans as u64, Relaxed);
                if was_failing {
                    tracing::warn!(endpoint = self.endpoint, "own traces are sent again");
                }
            }
            Err(error) => {
                self.counters.failed.fetch_add(spans as u64, Relaxed);
                if !was_failing {
                    tracing::warn!(endpoint = self.endpoint, %error, "own traces can't be sent");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}
