//! Settings as validated: every value read, in its range, and in keeping with the others.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::setting::{Kind, Setting};
use super::written::{Entry, Origin, Written};
use super::{ConfigError, ConfigErrors, parse};
use crate::ingest::Limits;

/// Memory of open traces for each worker, where nobody says otherwise: about a million spans.
const WORKER_MEMORY_BYTES: usize = 512 << 20;

/// The host's configuration. What each field bounds stands in [`SETTINGS`](super::SETTINGS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub rules: Vec<PathBuf>,
    pub signals: SignalsTarget,
    pub signal_queue: usize,
    pub signal_ids: usize,
    /// None: there is no write-ahead log.
    pub data: Option<PathBuf>,
    pub log_size: usize,
    pub otlp_grpc: Option<String>,
    pub otlp_http: Option<String>,
    pub api: Option<String>,
    pub health: Option<String>,
    pub log_format: LogFormat,
    /// `http`, a host and a port, and nothing else.
    pub traces_endpoint: Option<Uri>,
    pub traces_queue: usize,
    pub workers: usize,

    pub settle: Duration,
    pub idle: Duration,
    pub max_age: Duration,
    pub span_cap: usize,
    pub byte_cap: usize,
    /// Of all workers together.
    pub memory: usize,
    pub decided_for: Duration,
    /// Of each worker.
    pub decided_traces: usize,
    /// Of each worker.
    pub dead_bytes: usize,

    pub request_limit: usize,
    pub in_flight: usize,
    pub shard_queue: usize,
    pub connections: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub connection_idle: Duration,
    pub drain_timeout: Duration,
    pub retry_after: Duration,

    pub batch_spans: usize,
    pub batch_bytes: usize,
    pub batch_delay: Duration,
    pub lag: Duration,

    pub rule_deadline: Duration,
    pub rule_memory: usize,
    pub rule_keep: usize,
    pub rule_stack: usize,
    pub rule_table: usize,
    pub rule_call: usize,
    pub rule_trace: usize,
    pub rule_result: usize,
    pub rule_findings: usize,
    pub rule_component: usize,
    pub rule_compile: Duration,
    /// None: machine code is not kept.
    pub code_cache: Option<PathBuf>,
    pub code_cache_size: usize,
    pub breaker_faults: usize,
    pub breaker_window: Duration,
    pub breaker_back_off: Duration,
    pub breaker_longest: Duration,
    /// Percent.
    pub rule_share: usize,
    /// None: calls that faulted are not kept.
    pub bundles: Option<PathBuf>,
    pub bundles_most: usize,
    pub bundles_bytes: usize,
    /// None: as many as the engine finds right for the number of workers.
    pub warm_instances: Option<usize>,

    pub watch_poll: Duration,
    pub save_quiet: Duration,
    pub removal_delay: Duration,
    pub held_open: Duration,
    pub ring_memory: usize,
    pub ring_signalled: usize,
    pub ring_turnover: Duration,
    pub ring_operations: usize,

    pub recent_signals: usize,
    pub recent_bytes: usize,
    pub metrics_rules: usize,
    pub api_connections: usize,
    pub api_streams: usize,
    pub api_body: usize,
    pub try_at_once: usize,
    pub try_rules: usize,
    pub explain_at_once: usize,
    pub try_queue: usize,
    pub try_timeout: Duration,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON off it.
    #[default]
    Auto,
    Text,
    Json,
}

/// Where signals go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalsTarget {
    Stdout,
    File(PathBuf),
}

impl Config {
    /// Reads what was written; what was not has its default. Says all that is wrong, not only the first of it.
    pub fn validate(written: &Written) -> Result<Self, ConfigErrors> {
        let mut read = Reader {
            written,
            errors: Vec::new(),
        };
        let config = read.config();
        let mut errors = read.errors;
        if errors.is_empty() {
            config.check_together(&mut errors);
        }
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(errors))
        }
    }

    /// An error where no rules are named, for commands that need some.
    pub fn require_rules(&self) -> Result<(), ConfigError> {
        if self.rules.is_empty() {
            Err(ConfigError::NoRules)
        } else {
            Ok(())
        }
    }

    fn check_together(&self, errors: &mut Vec<ConfigError>) {
        let mut ordered = |holds: bool, small: &str, large: &str, why: &str| {
            if !holds {
                errors.push(ConfigError::Conflict(format!(
                    "`{small}` is larger than `{large}`: {why}"
                )));
            }
        };
        ordered(
            self.settle <= self.idle,
            "settle",
            "idle",
            "a trace would never settle, as it would be idle first",
        );
        ordered(
            self.idle <= self.max_age,
            "idle",
            "max-age",
            "a trace would be too old before it could be idle",
        );
        ordered(
            self.byte_cap <= self.memory / self.workers.max(1),
            "byte-cap",
            "a worker's share of memory",
            "a large trace would push all others out",
        );
        ordered(
            self.request_limit.saturating_mul(3) <= self.in_flight,
            "three times request-limit",
            "in-flight",
            "the largest request needs that much while it is inflated",
        );
        ordered(
            self.data.is_none() || self.request_limit.saturating_mul(4) <= self.log_size,
            "four times request-limit",
            "log-size",
            "the largest request needs that much, as an eighth of the log is kept free and it goes piece by piece",
        );
        ordered(
            self.rule_call <= self.rule_memory,
            "rule-call",
            "rule-memory",
            "a rule's input would not fit in its memory",
        );
        ordered(
            self.rule_trace <= self.rule_memory,
            "rule-trace",
            "rule-memory",
            "a rule's input would not fit in its memory",
        );
        ordered(
            self.breaker_back_off <= self.breaker_longest,
            "breaker-back-off",
            "breaker-longest",
            "a rule would be quarantined for longer than the longest",
        );
        if self.otlp_grpc.is_none() && self.otlp_http.is_none() {
            let what =
                "`otlp-grpc` and `otlp-http` are both off: nothing could come in, so leave one on";
            errors.push(ConfigError::Conflict(what.to_owned()));
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::validate(&Written::default())
            .expect("the table's defaults are valid, as a test shows")
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            request_bytes: config.request_limit,
            connections: config.connections,
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            idle_timeout: config.connection_idle,
            drain_timeout: config.drain_timeout,
            retry_after: config.retry_after,
        }
    }
}

/// Reads settings by name and collects what is wrong with them.
struct Reader<'a> {
    written: &'a Written,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn config(&mut self) -> Config {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = self.auto_number("workers").unwrap_or_else(cores);
        Config {
            rules: self.paths("rules"),
            signals: self.signals("signals"),
            signal_queue: self.number("signal-queue"),
            signal_ids: self.number("signal-ids"),
            data: self.folder("data"),
            log_size: self.number("log-size"),
            otlp_grpc: self.address("otlp-grpc"),
            otlp_http: self.address("otlp-http"),
            api: self.address("api"),
            health: self.address("health"),
            log_format: self.read("log-format", read_log_format).unwrap_or_default(),
            traces_endpoint: self.read("traces-endpoint", read_endpoint).flatten(),
            traces_queue: self.number("traces-queue"),
            workers,

            settle: self.duration("settle"),
            idle: self.duration("idle"),
            max_age: self.duration("max-age"),
            span_cap: self.number("span-cap"),
            byte_cap: self.number("byte-cap"),
            memory: self
                .auto_number("memory")
                .unwrap_or_else(|| workers.saturating_mul(WORKER_MEMORY_BYTES)),
            decided_for: self.duration("decided-for"),
            decided_traces: self.number("decided-traces"),
            dead_bytes: self.number("dead-bytes"),

            request_limit: self.number("request-limit"),
            in_flight: self.number("in-flight"),
            shard_queue: self.number("shard-queue"),
            connections: self.number("connections"),
            header_timeout: self.duration("header-timeout"),
            body_timeout: self.duration("body-timeout"),
            connection_idle: self.duration("connection-idle"),
            drain_timeout: self.duration("drain-timeout"),
            retry_after: self.duration("retry-after"),

            batch_spans: self.number("batch-spans"),
            batch_bytes: self.number("batch-bytes"),
            batch_delay: self.duration("batch-delay"),
            lag: self.duration("lag"),

            rule_deadline: self.duration("rule-deadline"),
            rule_memory: self.number("rule-memory"),
            rule_keep: self.number("rule-keep"),
            rule_stack: self.number("rule-stack"),
            rule_table: self.number("rule-table"),
            rule_call: self.number("rule-call"),
            rule_trace: self.number("rule-trace"),
            rule_result: self.number("rule-result"),
            rule_findings: self.number("rule-findings"),
            rule_component: self.number("rule-component"),
            rule_compile: self.duration("rule-compile"),
            code_cache: self.folder("code-cache"),
            code_cache_size: self.number("code-cache-size"),
            breaker_faults: self.number("breaker-faults"),
            breaker_window: self.duration("breaker-window"),
            breaker_back_off: self.duration("breaker-back-off"),
            breaker_longest: self.duration("breaker-longest"),
            rule_share: self.number("rule-share"),
            bundles: self.folder("bundles"),
            bundles_most: self.number("bundles-most"),
            bundles_bytes: self.number("bundles-bytes"),
            warm_instances: self.auto_number("warm-instances"),

            watch_poll: self.duration("watch-poll"),
            save_quiet: self.duration("save-quiet"),
            removal_delay: self.duration("removal-delay"),
            held_open: self.duration("held-open"),
            ring_memory: self.number("ring-memory"),
            ring_signalled: self.number("ring-signalled"),
            ring_turnover: self.duration("ring-turnover"),
            ring_operations: self.number("ring-operations"),

            recent_signals: self.number("recent-signals"),
            recent_bytes: self.number("recent-bytes"),
            metrics_rules: self.number("metrics-rules"),
            api_connections: self.number("api-connections"),
            api_streams: self.number("api-streams"),
            api_body: self.number("api-body"),
            try_at_once: self.number("try-at-once"),
            try_rules: self.number("try-rules"),
            explain_at_once: self.number("explain-at-once"),
            try_queue: self.number("try-queue"),
            try_timeout: self.duration("try-timeout"),
        }
    }

    fn duration(&mut self, name: &str) -> Duration {
        self.read(name, read_duration).unwrap_or_default()
    }

    /// A size or a count.
    fn number(&mut self, name: &str) -> usize {
        self.read(name, read_number).unwrap_or_default()
    }

    /// A size, a count, or none for `auto`.
    fn auto_number(&mut self, name: &str) -> Option<usize> {
        self.read(name, |setting, text| {
            if text == "auto" {
                Ok(None)
            } else {
                read_number(setting, text).map(Some)
            }
        })
        .flatten()
    }

    fn address(&mut self, name: &str) -> Option<String> {
        self.read(name, |setting, text| {
            let port = text
                .rsplit_once(':')
                .filter(|(host, _)| !host.is_empty())
                .map(|(_, port)| port.parse::<u16>());
            match port {
                _ if text == "off" => Ok(None),
                Some(Ok(_)) => Ok(Some(text.to_owned())),
                _ => Err(format!(
                    "`{text}` is not an address: write host:port, such as `{}`, or `off`",
                    setting.default
                )),
            }
        })
        .flatten()
    }

    fn paths(&mut self, name: &str) -> Vec<PathBuf> {
        let Some(entry) = self.written.get(name) else {
            return Vec::new();
        };
        if entry.texts.iter().any(|text| text.is_empty()) {
            self.wrong(
                name,
                &entry.origin,
                "a path is empty: name a file or a folder".to_owned(),
            );
        }
        entry.texts.iter().map(PathBuf::from).collect()
    }

    fn folder(&mut self, name: &str) -> Option<PathBuf> {
        let entry = self.written.get(name)?;
        let text = entry.texts.last()?;
        if text.is_empty() {
            let problem = "it is empty: write a folder or `off`".to_owned();
            self.wrong(name, &entry.origin, problem);
        }
        (text != "off").then(|| PathBuf::from(text))
    }

    fn signals(&mut self, name: &str) -> SignalsTarget {
        match self.written.get(name) {
            Some(Entry { texts, .. }) if texts.iter().all(|text| text == "stdout") => {
                SignalsTarget::Stdout
            }
            Some(Entry { texts, origin }) if texts.iter().any(|text| text.is_empty()) => {
                self.wrong(
                    name,
                    origin,
                    "it is empty: write `stdout` or a file".to_owned(),
                );
                SignalsTarget::Stdout
            }
            Some(Entry { texts, .. }) => SignalsTarget::File(texts.iter().collect()),
            None => SignalsTarget::Stdout,
        }
    }

    /// Reads what was written of `name`, or its default.
    fn read<T>(
        &mut self,
        name: &str,
        read: impl Fn(&Setting, &str) -> Result<T, String>,
    ) -> Option<T> {
        let setting = Setting::named(name)?;
        let (text, origin) = match self.written.get(name) {
            Some(entry) => {
                let text = entry
                    .texts
                    .last()
                    .map(|text| text.to_string_lossy().into_owned())
                    .unwrap_or_default();
                (text, entry.origin.clone())
            }
            None => (setting.default.to_owned(), Origin::Default),
        };
        match read(setting, text.trim()) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.wrong(name, &origin, problem);
                None
            }
        }
    }

    fn wrong(&mut self, name: &str, origin: &Origin, problem: String) {
        let origin =
            Setting::named(name).map_or_else(|| name.to_owned(), |setting| origin.name(setting));
        self.errors.push(ConfigError::Value { origin, problem });
    }
}

fn read_log_format(setting: &Setting, text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(not_a_choice(setting, text)),
    }
}

fn not_a_choice(setting: &Setting, text: &str) -> String {
    let Kind::Choice { of } = setting.kind else {
        return format!("`{text}` is not what it takes");
    };
    let words: Vec<String> = of.iter().map(|word| format!("`{word}`")).collect();
    format!("`{text}` is not one of {}", words.join(", "))
}

/// The port is not left to a default: `http` and OTLP/gRPC have different ones.
fn read_endpoint(_: &Setting, text: &str) -> Result<Option<Uri>, String> {
    if text == "off" {
        return Ok(None);
    }
    let uri = text.parse::<Uri>().ok();
    if uri.as_ref().and_then(Uri::scheme_str) == Some("https") {
        return Err(format!(
            "`{text}` is not an endpoint that can be reached: TLS is not built in, so write the `http://` URL of a Collector nearby"
        ));
    }
    let is_plain = |uri: &Uri| {
        uri.scheme_str() == Some("http")
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.port_u16().is_some_and(|port| port > 0)
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.path() == "/"
            && uri.query().is_none()
    };
    uri.filter(is_plain).map(Some).ok_or_else(|| {
        format!("`{text}` is not an endpoint: write `http://host:port`, such as `http://127.0.0.1:4327`, or `off`")
    })
}

fn read_duration(setting: &Setting, text: &str) -> Result<Duration, String> {
    let value = parse::duration(text)?;
    let nanoseconds = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
    setting.kind.check(nanoseconds).map(|()| value)
}

fn read_number(setting: &Setting, text: &str) -> Result<usize, String> {
    let value = match setting.kind {
        Kind::Size { .. } | Kind::AutoSize { .. } => parse::size(text)?,
        _ => parse::count(text)?,
    };
    setting.kind.check(value)?;
    usize::try_from(value).map_err(|_| format!("`{text}` is more than this machine can address"))
}
