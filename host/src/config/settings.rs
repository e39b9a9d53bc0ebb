//! The table of settings. Flags, environment, file, validation and `docs/configuration.md` are all made from it.

use super::setting::{Group, Kind, Setting};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The largest request: positions in it are 32 bits.
const MOST_REQUEST: u64 = 2 * GIB;

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    setting(
        Group::General,
        "rules",
        Kind::Paths,
        "none",
        "rule files (`.betrace`, `.wasm`) and folders of them",
    ),
    setting(
        Group::General,
        "signals",
        Kind::Signals,
        "stdout",
        "where signals go, a JSON object a line: `stdout` or a file",
    ),
    setting(
        Group::General,
        "signal-queue",
        Kind::Size {
            least: MIB,
            most: TIB,
        },
        "64MiB",
        "memory of signals that wait to be written; where that is full, judging waits, and in the end senders are asked to try again",
    ),
    setting(
        Group::General,
        "signal-ids",
        Kind::Count {
            least: 0,
            most: 1_000_000_000,
        },
        "800000",
        "ids of signals that a start with `data` reads back out of the file of signals, so that none is written twice: those that \
         were written last; 40 bytes each",
    ),
    setting(
        Group::General,
        "data",
        Kind::Folder,
        "off",
        "a folder of its own for a write-ahead log: what was acknowledged is judged even if the host is killed; `off` for none",
    ),
    setting(
        Group::General,
        "log-size",
        Kind::Size {
            least: MIB,
            most: 16 * TIB,
        },
        "4GiB",
        "bytes of the write-ahead log: near it the traces that hold its oldest part are judged as they are, at it clients are \
         told to try again",
    ),
    setting(
        Group::General,
        "otlp-grpc",
        Kind::Address,
        "127.0.0.1:4317",
        "where OTLP/gRPC listens; `off` for nowhere",
    ),
    setting(
        Group::General,
        "otlp-http",
        Kind::Address,
        "127.0.0.1:4318",
        "where OTLP/HTTP listens; `off` for nowhere",
    ),
    setting(
        Group::General,
        "api",
        Kind::Address,
        "127.0.0.1:4320",
        "where the HTTP API listens; it shows what traces hold, so mind who reaches it; `off` for nowhere",
    ),
    setting(
        Group::General,
        "health",
        Kind::Address,
        "off",
        "where `/healthz`, `/readyz` and `/metrics` listen beside the API, for a kubelet and Prometheus; no other data there",
    ),
    setting(
        Group::General,
        "log-format",
        Kind::Choice {
            of: &["auto", "text", "json"],
        },
        "auto",
        "how the log is written to stderr; `auto` is text on a terminal and JSON off it",
    ),
    setting(
        Group::General,
        "traces-endpoint",
        Kind::Endpoint,
        "off",
        "where the host's own traces go by OTLP/gRPC, such as `http://collector:4317`; never to itself",
    ),
    setting(
        Group::General,
        "traces-queue",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "2048",
        "own spans that wait to be sent; past it they are dropped and counted, as a slow endpoint must not cost memory",
    ),
    setting(
        Group::General,
        "workers",
        Kind::AutoCount {
            least: 1,
            most: 1_024,
        },
        "auto",
        "threads that assemble traces and run rules, each with its share of the traces; `auto` is one a core",
    ),
    setting(
        Group::Assembly,
        "settle",
        Kind::Duration {
            least: 1,
            most: HOUR,
        },
        "6s",
        "a trace whose root has ended is complete when no span came for this long; SDKs send every 5s",
    ),
    setting(
        Group::Assembly,
        "idle",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "60s",
        "a trace without a root is complete when no span came for this long",
    ),
    setting(
        Group::Assembly,
        "max-age",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10m",
        "a trace is complete when it has been open for this long, whatever still comes",
    ),
    setting(
        Group::Assembly,
        "span-cap",
        Kind::Count {
            least: 1,
            most: 10_000_000,
        },
        "50000",
        "spans of one trace; at the cap it is complete, and what comes later is late",
    ),
    setting(
        Group::Assembly,
        "byte-cap",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "32MiB",
        "bytes of one trace; at the cap it is complete",
    ),
    setting(
        Group::Assembly,
        "memory",
        Kind::AutoSize {
            least: MIB,
            most: 16 * TIB,
        },
        "auto",
        "bytes of all open traces together, each worker has its share; past it the oldest are judged as they are; `auto` \
         is 512MiB a worker",
    ),
    setting(
        Group::Assembly,
        "decided-for",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10m",
        "how long a judged trace is remembered, so that a late span is counted and doesn't make it a second trace",
    ),
    setting(
        Group::Assembly,
        "decided-traces",
        Kind::Count {
            least: 0,
            most: 1 << 28,
        },
        "1000000",
        "judged traces that each worker remembers, at about 60 bytes each; past it the oldest are forgotten",
    ),
    setting(
        Group::Assembly,
        "dead-bytes",
        Kind::Size {
            least: 0,
            most: TIB,
        },
        "8MiB",
        "bytes of judged spans that each worker lets lie in requests of which other spans are still open, beside 15 % \
         of the live ones; past it the live ones are copied out",
    ),
    setting(
        Group::Servers,
        "request-limit",
        Kind::Size {
            least: KIB,
            most: MOST_REQUEST,
        },
        "64MiB",
        "one request after decompression; a compression bomb ends here",
    ),
    setting(
        Group::Servers,
        "in-flight",
        Kind::Size {
            least: 64 * KIB,
            most: 16 * TIB,
        },
        "256MiB",
        "all requests together, from their first byte until a worker has taken their spans; past it clients are told to \
         try again",
    ),
    setting(
        Group::Servers,
        "shard-queue",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "16384",
        "parts of requests that wait for one worker; past it clients are told to try again",
    ),
    setting(
        Group::Servers,
        "connections",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "2048",
        "open connections of each protocol; more are closed at once",
    ),
    setting(
        Group::Servers,
        "header-timeout",
        Kind::Duration {
            least: 10,
            most: HOUR,
        },
        "10s",
        "from a connection's start to the first bytes of a request",
    ),
    setting(
        Group::Servers,
        "body-timeout",
        Kind::Duration {
            least: 10,
            most: HOUR,
        },
        "30s",
        "from a request's headers to the last byte of its body",
    ),
    setting(
        Group::Servers,
        "connection-idle",
        Kind::Duration {
            least: 10,
            most: 24 * HOUR,
        },
        "90s",
        "a connection on which nothing moves is closed; HTTP/2 peers are asked for a sign of life first",
    ),
    setting(
        Group::Servers,
        "drain-timeout",
        Kind::Duration {
            least: 0,
            most: HOUR,
        },
        "5s",
        "from SIGTERM until connections that have not ended are cut",
    ),
    setting(
        Group::Servers,
        "retry-after",
        Kind::Duration {
            least: 1,
            most: HOUR,
        },
        "1s",
        "when a client that was turned away for lack of room is asked to try again",
    ),
    setting(
        Group::Batches,
        "batch-spans",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "16384",
        "spans that rules are given at a time; a larger trace is a batch of its own",
    ),
    setting(
        Group::Batches,
        "batch-bytes",
        Kind::Size {
            least: KIB,
            most: 2 * GIB,
        },
        "16MiB",
        "bytes of spans that rules are given at a time; a larger trace is a batch of its own",
    ),
    setting(
        Group::Batches,
        "batch-delay",
        Kind::Duration {
            least: 0,
            most: MINUTE,
        },
        "2ms",
        "how long a worker takes in queued spans before it judges the traces that are complete",
    ),
    setting(
        Group::Batches,
        "lag",
        Kind::Duration {
            least: 1,
            most: HOUR,
        },
        "100ms",
        "how long spans may wait for their worker until it counts as lagging, as it does while more than half of `shard-queue` is taken: then a rule \
         is held to `rule-share`; twice what one call may take, so that a rule at its deadline is no lag yet",
    ),
    setting(
        Group::Rules,
        "rule-deadline",
        Kind::Duration {
            least: 1,
            most: MINUTE,
        },
        "50ms",
        "CPU time of one rule for one call; a rule that takes longer is stopped, for that batch alone",
    ),
    setting(
        Group::Rules,
        "rule-memory",
        Kind::Size {
            least: 64 * KIB,
            most: GIB,
        },
        "16MiB",
        "linear memory of one rule's instance",
    ),
    setting(
        Group::Rules,
        "rule-keep",
        Kind::Size {
            least: 0,
            most: GIB,
        },
        "256KiB",
        "growth of an instance's memory past which it is replaced, as such memory never shrinks",
    ),
    setting(
        Group::Rules,
        "rule-stack",
        Kind::Size {
            least: 16 * KIB,
            most: MIB,
        },
        "512KiB",
        "native stack that a rule may use",
    ),
    setting(
        Group::Rules,
        "rule-table",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "10000",
        "elements of a rule's function tables",
    ),
    setting(
        Group::Rules,
        "rule-call",
        Kind::Size {
            least: KIB,
            most: 256 * MIB,
        },
        "64KiB",
        "what one call hands to a rule, in whole traces; more traces are more calls",
    ),
    setting(
        Group::Rules,
        "rule-trace",
        Kind::Size {
            least: KIB,
            most: 512 * MIB,
        },
        "4MiB",
        "what one trace may come to as a rule's input; a larger one is not judged by that rule, and counted",
    ),
    setting(
        Group::Rules,
        "rule-result",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "4MiB",
        "what one call may bring back",
    ),
    setting(
        Group::Rules,
        "rule-findings",
        Kind::Count {
            least: 1,
            most: 1 << 20,
        },
        "16384",
        "findings of one call",
    ),
    setting(
        Group::Rules,
        "rule-component",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "32MiB",
        "a rule's `.wasm` file",
    ),
    setting(
        Group::Rules,
        "rule-compile",
        Kind::Duration {
            least: SECOND,
            most: HOUR,
        },
        "2m",
        "CPU time that compiling a rule's `.wasm` file could take at worst, estimated from its code; past it the rule is refused",
    ),
    setting(
        Group::Rules,
        "code-cache",
        Kind::Folder,
        "off",
        "a folder for the machine code of rules, so that the next start need not compile them; only the host's user may be able to write there, as what is in it is executed",
    ),
    setting(
        Group::Rules,
        "code-cache-size",
        Kind::Size {
            least: MIB,
            most: TIB,
        },
        "1GiB",
        "of the folder of machine code, some 30 KB a rule and version; past it what was used longest ago goes",
    ),
    setting(
        Group::Rules,
        "breaker-faults",
        Kind::Count {
            least: 1,
            most: 10_000,
        },
        "5",
        "faults within `breaker-window` that quarantine a rule: it is not asked for a while, and its traces are counted",
    ),
    setting(
        Group::Rules,
        "breaker-window",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "60s",
        "within which the faults have to come that quarantine a rule",
    ),
    setting(
        Group::Rules,
        "breaker-back-off",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10s",
        "how long a rule is quarantined before one batch tries it again; each try that faults doubles it",
    ),
    setting(
        Group::Rules,
        "breaker-longest",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10m",
        "the longest that a rule is quarantined between two tries",
    ),
    setting(
        Group::Rules,
        "rule-share",
        Kind::Count {
            least: 1,
            most: 100,
        },
        "25",
        "percent of a worker's time that one rule may have while the worker lags (never less than half as much again as an even \
         share): past it, traces are judged without the rule, and counted, so that it does not hold up the others; 100 is all of it",
    ),
    setting(
        Group::Rules,
        "bundles",
        Kind::Folder,
        "off",
        "a folder of its own for calls that faulted, one a rule and minute, each with the traces that it was about; \
         `betrace replay BUNDLE` repeats one; `off` for none",
    ),
    setting(
        Group::Rules,
        "bundles-most",
        Kind::Count {
            least: 1,
            most: 100_000,
        },
        "100",
        "bundles in the folder; the oldest go",
    ),
    setting(
        Group::Rules,
        "bundles-bytes",
        Kind::Size {
            least: MIB,
            most: TIB,
        },
        "256MiB",
        "bytes of bundles in the folder; the oldest go",
    ),
    setting(
        Group::Rules,
        "warm-instances",
        Kind::AutoCount {
            least: 1,
            most: 12_288,
        },
        "auto",
        "instances that one worker keeps between calls; `auto` is the worker's share of 12288",
    ),
    setting(
        Group::Live,
        "watch-poll",
        Kind::Duration {
            least: 10,
            most: HOUR,
        },
        "2s",
        "how often rule folders are looked at beside the file system's own events, which network file systems don't send",
    ),
    setting(
        Group::Live,
        "save-quiet",
        Kind::Duration {
            least: 0,
            most: MINUTE,
        },
        "3ms",
        "how long no further file is saved before the saved ones are loaded, so that many at once are one change",
    ),
    setting(
        Group::Live,
        "removal-delay",
        Kind::Duration {
            least: 0,
            most: HOUR,
        },
        "250ms",
        "how long a rule has to be gone from all files before it is out of force; editors take files away for a moment",
    ),
    setting(
        Group::Live,
        "held-open",
        Kind::Duration {
            least: 10,
            most: HOUR,
        },
        "10s",
        "how long a file that is open for writing has to stand still to be taken as it is, though its close did not come; \
         programs that write in place pause for less",
    ),
    setting(
        Group::Live,
        "ring-memory",
        Kind::Size {
            least: 0,
            most: TIB,
        },
        "256MiB",
        "recent traces that a changed rule is tried on: half the newest, half a sample of each root operation; 0 keeps none",
    ),
    setting(
        Group::Live,
        "ring-signalled",
        Kind::Size {
            least: 0,
            most: TIB,
        },
        "256MiB",
        "recent traces that broke a rule, which are kept apart; 0 keeps them with the others",
    ),
    setting(
        Group::Live,
        "ring-turnover",
        Kind::Duration {
            least: 0,
            most: 24 * HOUR,
        },
        "8s",
        "the newest traces are all kept unless they would be replaced within this time; then a part of them is, and the rest \
         counted",
    ),
    setting(
        Group::Live,
        "ring-operations",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "10000",
        "root operations (service and span name) of which traces are sampled apart; further ones share one sample",
    ),
    setting(
        Group::Api,
        "recent-signals",
        Kind::Count {
            least: 1,
            most: 10_000_000,
        },
        "10000",
        "signals that the API has at hand; older ones are forgotten",
    ),
    setting(
        Group::Api,
        "recent-bytes",
        Kind::Size {
            least: KIB,
            most: TIB,
        },
        "64MiB",
        "what those signals take of memory",
    ),
    setting(
        Group::Api,
        "metrics-rules",
        Kind::Count {
            least: 0,
            most: 1_000_000,
        },
        "500",
        "rules that have series of their own in `/metrics`, about 35 each: those that took the most time; the others are told together",
    ),
    setting(
        Group::Api,
        "api-connections",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "256",
        "open connections of the API and of the health listener each; more are closed at once",
    ),
    setting(
        Group::Api,
        "api-streams",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "64",
        "streams of signals at a time; more are answered with 503",
    ),
    setting(
        Group::Api,
        "api-body",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "1MiB",
        "the body of a request to the API",
    ),
    setting(
        Group::Api,
        "try-at-once",
        Kind::Count {
            least: 1,
            most: 1_024,
        },
        "1",
        "requests to check or try rules that are worked on at a time, each on a core of its own; more wait for their turn",
    ),
    setting(
        Group::Api,
        "try-rules",
        Kind::Count {
            least: 1,
            most: 100_000,
        },
        "256",
        "rules in one source that is to be checked or tried: machine code takes some ten milliseconds each; more are answered with 413",
    ),
    setting(
        Group::Api,
        "explain-at-once",
        Kind::Count { least: 1, most: 64 },
        "2",
        "explanations that are worked on at a time, each on a core of its own; more wait for their turn",
    ),
    setting(
        Group::Api,
        "try-queue",
        Kind::Count {
            least: 0,
            most: 1_024,
        },
        "16",
        "requests that wait for their turn, for at most `try-timeout`: so many to check or try rules, and as many to explain; more are answered with 429",
    ),
    setting(
        Group::Api,
        "try-timeout",
        Kind::Duration {
            least: 1,
            most: HOUR,
        },
        "5s",
        "how long what a client asks of rules may take, once it is its turn",
    ),
];

const fn setting(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group,
        kind,
        default,
        about,
    }
}
