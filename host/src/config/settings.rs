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
    general(
        "rules",
        Kind::Paths,
        "none",
        "rule files (`.betrace`, `.wasm`) and folders of them",
    ),
    general(
        "signals",
        Kind::Signals,
        "stdout",
        "where signals go, a JSON object a line: `stdout` or a file",
    ),
    general(
        "otlp-grpc",
        Kind::Address,
        "127.0.0.1:4317",
        "where OTLP/gRPC listens; `off` for nowhere",
    ),
    general(
        "otlp-http",
        Kind::Address,
        "127.0.0.1:4318",
        "where OTLP/HTTP listens; `off` for nowhere",
    ),
    general(
        "api",
        Kind::Address,
        "127.0.0.1:4320",
        "where the HTTP API listens; it shows what traces hold, so mind who reaches it; `off` for nowhere",
    ),
    general(
        "health",
        Kind::Address,
        "off",
        "where `/healthz`, `/readyz` and `/metrics` listen beside the API, for a kubelet and Prometheus; no other data there",
    ),
    general(
        "log-format",
        Kind::Choice {
            of: &["auto", "text", "json"],
        },
        "auto",
        "how the log is written to stderr; `auto` is text on a terminal and JSON off it",
    ),
    general(
        "traces-endpoint",
        Kind::Endpoint,
        "off",
        "where the host's own traces go by OTLP/gRPC, such as `http://collector:4317`; never to itself",
    ),
    general(
        "traces-queue",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "2048",
        "own spans that wait to be sent; past it they are dropped and counted, as a slow endpoint must not cost memory",
    ),
    general(
        "workers",
        Kind::AutoCount {
            least: 1,
            most: 1_024,
        },
        "auto",
        "threads that assemble traces and run rules, each with its share of the traces; `auto` is one a core",
    ),
    assembly(
        "settle",
        Kind::Duration {
            least: 1,
            most: HOUR,
        },
        "6s",
        "a trace whose root has ended is complete when no span came for this long; SDKs send every 5s",
    ),
    assembly(
        "idle",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "60s",
        "a trace without a root is complete when no span came for this long",
    ),
    assembly(
        "max-age",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10m",
        "a trace is complete when it has been open for this long, whatever still comes",
    ),
    assembly(
        "span-cap",
        Kind::Count {
            least: 1,
            most: 10_000_000,
        },
        "50000",
        "spans of one trace; at the cap it is complete, and what comes later is late",
    ),
    assembly(
        "byte-cap",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "32MiB",
        "bytes of one trace; at the cap it is complete",
    ),
    assembly(
        "memory",
        Kind::AutoSize {
            least: MIB,
            most: 16 * TIB,
        },
        "auto",
        "bytes of all open traces together, each worker has its share; past it the oldest are judged as they are; `auto` \
         is 512MiB a worker",
    ),
    assembly(
        "decided-for",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10m",
        "how long a judged trace is remembered, so that a late span is counted and doesn't make it a second trace",
    ),
    assembly(
        "decided-traces",
        Kind::Count {
            least: 0,
            most: 1 << 28,
        },
        "1000000",
        "judged traces that each worker remembers, at about 60 bytes each; past it the oldest are forgotten",
    ),
    assembly(
        "dead-bytes",
        Kind::Size {
            least: 0,
            most: TIB,
        },
        "8MiB",
        "bytes of judged spans that each worker lets lie in requests of which other spans are still open, beside three \
         tenths of the live ones; past it the live ones are copied out",
    ),
    servers(
        "request-limit",
        Kind::Size {
            least: KIB,
            most: MOST_REQUEST,
        },
        "64MiB",
        "one request after decompression; a compression bomb ends here",
    ),
    servers(
        "in-flight",
        Kind::Size {
            least: 64 * KIB,
            most: 16 * TIB,
        },
        "256MiB",
        "all requests together, from their first byte until a worker has taken their spans; past it clients are told to \
         try again",
    ),
    servers(
        "shard-queue",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "16384",
        "parts of requests that wait for one worker; past it clients are told to try again",
    ),
    servers(
        "connections",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "2048",
        "open connections of each protocol; more are closed at once",
    ),
    servers(
        "header-timeout",
        Kind::Duration {
            least: 10,
            most: HOUR,
        },
        "10s",
        "from a connection's start to the first bytes of a request",
    ),
    servers(
        "body-timeout",
        Kind::Duration {
            least: 10,
            most: HOUR,
        },
        "30s",
        "from a request's headers to the last byte of its body",
    ),
    servers(
        "connection-idle",
        Kind::Duration {
            least: 10,
            most: 24 * HOUR,
        },
        "90s",
        "a connection on which nothing moves is closed; HTTP/2 peers are asked for a sign of life first",
    ),
    servers(
        "drain-timeout",
        Kind::Duration {
            least: 0,
            most: HOUR,
        },
        "5s",
        "from SIGTERM until connections that have not ended are cut",
    ),
    servers(
        "retry-after",
        Kind::Duration {
            least: 1,
            most: HOUR,
        },
        "1s",
        "when a client that was turned away for lack of room is asked to try again",
    ),
    batches(
        "batch-spans",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "16384",
        "spans that rules are given at a time; a larger trace is a batch of its own",
    ),
    batches(
        "batch-bytes",
        Kind::Size {
            least: KIB,
            most: 2 * GIB,
        },
        "16MiB",
        "bytes of spans that rules are given at a time; a larger trace is a batch of its own",
    ),
    batches(
        "batch-delay",
        Kind::Duration {
            least: 0,
            most: MINUTE,
        },
        "2ms",
        "how long a worker takes in queued spans before it judges the traces that are complete",
    ),
    rules(
        "rule-deadline",
        Kind::Duration {
            least: 1,
            most: MINUTE,
        },
        "50ms",
        "CPU time of one rule for one call; a rule that takes longer is stopped, for that batch alone",
    ),
    rules(
        "rule-memory",
        Kind::Size {
            least: 64 * KIB,
            most: GIB,
        },
        "16MiB",
        "linear memory of one rule's instance",
    ),
    rules(
        "rule-keep",
        Kind::Size {
            least: 0,
            most: GIB,
        },
        "256KiB",
        "growth of an instance's memory past which it is replaced, as such memory never shrinks",
    ),
    rules(
        "rule-stack",
        Kind::Size {
            least: 16 * KIB,
            most: MIB,
        },
        "512KiB",
        "native stack that a rule may use",
    ),
    rules(
        "rule-table",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "10000",
        "elements of a rule's function tables",
    ),
    rules(
        "rule-call",
        Kind::Size {
            least: KIB,
            most: 256 * MIB,
        },
        "64KiB",
        "what one call hands to a rule, in whole traces; more traces are more calls",
    ),
    rules(
        "rule-trace",
        Kind::Size {
            least: KIB,
            most: 512 * MIB,
        },
        "4MiB",
        "what one trace may come to as a rule's input; a larger one is not judged by that rule, and counted",
    ),
    rules(
        "rule-result",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "4MiB",
        "what one call may bring back",
    ),
    rules(
        "rule-findings",
        Kind::Count {
            least: 1,
            most: 1 << 20,
        },
        "16384",
        "findings of one call",
    ),
    rules(
        "rule-component",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "32MiB",
        "a rule's `.wasm` file",
    ),
    rules(
        "rule-compile",
        Kind::Duration {
            least: SECOND,
            most: HOUR,
        },
        "2m",
        "CPU time that compiling a rule's `.wasm` file could take at worst, estimated from its code; past it the rule is refused",
    ),
    rules(
        "breaker-faults",
        Kind::Count {
            least: 1,
            most: 10_000,
        },
        "5",
        "faults within `breaker-window` that quarantine a rule: it is not asked for a while, and its traces are counted",
    ),
    rules(
        "breaker-window",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "60s",
        "within which the faults have to come that quarantine a rule",
    ),
    rules(
        "breaker-back-off",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10s",
        "how long a rule is quarantined before one batch tries it again; each try that faults doubles it",
    ),
    rules(
        "breaker-longest",
        Kind::Duration {
            least: 1,
            most: 24 * HOUR,
        },
        "10m",
        "the longest that a rule is quarantined between two tries",
    ),
    rules(
        "bundles",
        Kind::Folder,
        "off",
        "a folder of its own for calls that faulted, one a rule and minute, each with the traces that it was about; \
         `betrace replay BUNDLE` repeats one; `off` for none",
    ),
    rules(
        "bundles-most",
        Kind::Count {
            least: 1,
            most: 100_000,
        },
        "100",
        "bundles in the folder; the oldest go",
    ),
    rules(
        "bundles-bytes",
        Kind::Size {
            least: MIB,
            most: TIB,
        },
        "256MiB",
        "bytes of bundles in the folder; the oldest go",
    ),
    rules(
        "warm-instances",
        Kind::AutoCount {
            least: 1,
            most: 12_288,
        },
        "auto",
        "instances that one worker keeps between calls; `auto` is 4096, or the worker's share of 12288",
    ),
    live(
        "watch-poll",
        Kind::Duration {
            least: 10,
            most: HOUR,
        },
        "2s",
        "how often rule folders are looked at beside the file system's own events, which network file systems don't send",
    ),
    live(
        "save-quiet",
        Kind::Duration {
            least: 0,
            most: MINUTE,
        },
        "3ms",
        "how long no further file is saved before the saved ones are loaded, so that many at once are one change",
    ),
    live(
        "removal-delay",
        Kind::Duration {
            least: 0,
            most: HOUR,
        },
        "250ms",
        "how long a rule has to be gone from all files before it is out of force; editors take files away for a moment",
    ),
    live(
        "ring-memory",
        Kind::Size {
            least: 0,
            most: TIB,
        },
        "256MiB",
        "recent traces that a changed rule is tried on: half the newest, half a sample of each root operation; 0 keeps none",
    ),
    live(
        "ring-signalled",
        Kind::Size {
            least: 0,
            most: TIB,
        },
        "256MiB",
        "recent traces that broke a rule, which are kept apart; 0 keeps them with the others",
    ),
    live(
        "ring-turnover",
        Kind::Duration {
            least: 0,
            most: 24 * HOUR,
        },
        "8s",
        "the newest traces are all kept unless they would be replaced within this time; then a part of them is, and the rest \
         counted",
    ),
    live(
        "ring-operations",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "10000",
        "root operations (service and span name) of which traces are sampled apart; further ones share one sample",
    ),
    api(
        "recent-signals",
        Kind::Count {
            least: 1,
            most: 10_000_000,
        },
        "10000",
        "signals that the API has at hand; older ones are forgotten",
    ),
    api(
        "recent-bytes",
        Kind::Size {
            least: KIB,
            most: TIB,
        },
        "64MiB",
        "what those signals take of memory",
    ),
    api(
        "api-connections",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "256",
        "open connections of the API and of the health listener each; more are closed at once",
    ),
    api(
        "api-streams",
        Kind::Count {
            least: 1,
            most: 1_000_000,
        },
        "64",
        "streams of signals at a time; more are answered with 503",
    ),
    api(
        "api-body",
        Kind::Size {
            least: KIB,
            most: GIB,
        },
        "1MiB",
        "the body of a request to the API",
    ),
    api(
        "try-at-once",
        Kind::Count {
            least: 1,
            most: 1_024,
        },
        "1",
        "rules that are checked or tried for clients at a time, each on a core of its own; more are answered with 429",
    ),
    api(
        "try-timeout",
        Kind::Duration {
            least: 1,
            most: HOUR,
        },
        "5s",
        "how long a client waits for what a rule would find",
    ),
];

const fn general(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group: Group::General,
        kind,
        default,
        about,
    }
}

const fn assembly(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group: Group::Assembly,
        kind,
        default,
        about,
    }
}

const fn servers(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group: Group::Servers,
        kind,
        default,
        about,
    }
}

const fn batches(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group: Group::Batches,
        kind,
        default,
        about,
    }
}

const fn rules(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group: Group::Rules,
        kind,
        default,
        about,
    }
}

const fn live(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group: Group::Live,
        kind,
        default,
        about,
    }
}

const fn api(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting {
        name,
        group: Group::Api,
        kind,
        default,
        about,
    }
}
