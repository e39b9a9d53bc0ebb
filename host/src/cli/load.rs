//! `betrace load`: sends traces at a rate, or as fast as it goes, and says how they were answered.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::failure::{Failure, Outcome, note, print};
use crate::app::Signals;
use crate::config;
use crate::load::client::{Address, Compression, Protocol, Target};
use crate::load::cpu;
use crate::load::deck::Deck;
use crate::load::recorded::Recorded;
use crate::load::send::{Load, LoadError, run as send};
use crate::load::shape::{Shape, number};
use crate::load::summary::{Summary, line};
use crate::load::tally::Tally;
use crate::replay::input::Source;

/// From one line to the next, on a terminal.
const LOOK: Duration = Duration::from_secs(1);

/// More than one process keeps busy, and few enough for its open files.
const CONNECTIONS: std::ops::RangeInclusive<i64> = 1..=1_000;

#[derive(Debug, Args)]
#[command(after_help = "\
Requests are made beforehand; of one that is sent only the trace ids are new, so every trace is.
With a rate, requests are due at times that no answer moves, and latency is counted from those times.
What the host can't take now it is sent again when it asked for that; Ctrl-C ends with the summary.
Exit code 1: spans were rejected or failed.

Examples:
  betrace load                                          as fast as it goes, until Ctrl-C
  betrace load --traces 100k 127.0.0.1:4317             a million spans
  betrace load --rate 50k --duration 30s --json         50,000 spans a second for half a minute
  betrace load --shape spans=100,services=20,open=5k    large traces, 5,000 of them at a time
  betrace load --file traces.jsonl --trace-rate 200     what was recorded, again and again
  betrace load --protocol http --compression gzip localhost:4318")]
pub struct LoadArgs {
    /// Where to send [default: 127.0.0.1:4317, or 4318 for http]
    #[arg(value_name = "ADDR")]
    address: Option<Address>,
    /// Spans a second; 0 is as fast as it goes
    #[arg(long, value_name = "SPANS", value_parser = number, default_value = "0")]
    rate: u64,
    /// Traces a second, in place of spans
    #[arg(long, value_name = "TRACES", value_parser = number, conflicts_with = "rate")]
    trace_rate: Option<u64>,
    /// End when so many traces were sent
    #[arg(long, value_name = "N", value_parser = number)]
    traces: Option<u64>,
    /// End when so many spans were sent, and the trace that the last is in
    #[arg(long, value_name = "N", value_parser = number)]
    spans: Option<u64>,
    /// End after this long, and when the traces that have begun by then are whole
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    duration: Option<Duration>,
    /// What traces look like, as KEY=N,...: `spans` a trace (10), `services` a trace (5), `attributes` a span (10), `bytes` a
    /// span (as the attributes have it, about 350), spans a `request` at most (1000), traces `open` at a time (as few as a
    /// request makes)
    #[arg(
        long,
        value_name = "KEY=N,...",
        default_value = "",
        hide_default_value = true
    )]
    shape: Shape,
    /// Repeat recorded traces in place of made ones: OTLP in protobuf or JSON lines, plain or compressed; `-` is stdin. Of the
    /// shape only `request` counts, and a file is always sent to its end
    #[arg(long, value_name = "FILE", num_args = 1..)]
    file: Vec<PathBuf>,
    /// How to send
    #[arg(long, value_enum, default_value = "grpc")]
    protocol: Protocol,
    /// How to compress, which costs this process more than all else
    #[arg(long, value_enum, default_value = "none")]
    compression: Compression,
    /// Connections, each with one request on its way
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(CONNECTIONS), default_value = "4")]
    connections: u16,
    /// Try a request again for so long, and then count it as failed
    #[arg(long, value_name = "TIME", value_parser = config::duration, default_value = "1m")]
    retry_for: Duration,
    /// Trace ids are the same for the same seed [default: another each time]
    #[arg(long, value_name = "N", value_parser = number)]
    seed: Option<u64>,
    /// The summary as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &LoadArgs) -> Result<Outcome, Failure> {
    let stop = Signals::take()?;
    let now = unix_now();
    let (deck, spans_a_trace) = deck(args, now)?;
    let rate = match args.trace_rate {
        Some(traces) => (traces as f64 * spans_a_trace).round() as u64,
        None => args.rate,
    };
    let load = Load {
        deck: Arc::new(deck),
        target: Target {
            address: args
                .address
                .clone()
                .unwrap_or_else(|| Address::default_of(args.protocol)),
            protocol: args.protocol,
            compression: args.compression,
        },
        connections: args.connections.into(),
        rate: (rate > 0).then_some(rate),
        duration: args.duration,
        retry_for: args.retry_for,
        seed: args.seed.unwrap_or(now),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start to send: {error}")))?;
    let before = cpu::spent();
    let sent = runtime.block_on(shown(&load, stop)).map_err(|error| {
        let help = help(&error, &load.target);
        Failure::of(&error).help(help)
    })?;
    let summary = Summary {
        sent: &sent,
        cpu: before
            .zip(cpu::spent())
            .map(|(before, after)| after.since(before)),
        seed: load.seed,
        rate: load.rate,
    };
    print(&if args.json {
        format!("{}\n", summary.json())
    } else {
        summary.text()
    })?;
    Ok(match sent.tally.rejected + sent.tally.failed {
        0 => Outcome::Quiet,
        _ => Outcome::Found,
    })
}

/// Sends, and says on a terminal each second what went.
async fn shown(load: &Load, stop: Signals) -> Result<crate::load::send::Sent, LoadError> {
    let is_terminal = std::io::stderr().is_terminal();
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
    let looks = async || {
        if is_terminal {
            ticks.tick().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let (mut before, mut then) = (Tally::default(), Duration::ZERO);
    let look = |(), elapsed: Duration, tally: &Tally| {
        note(&line(
            elapsed,
            &tally.since(&before),
            elapsed.saturating_sub(then),
        ));
        (before, then) = (tally.clone(), elapsed);
    };
    send(load, stop.first(), looks, look).await
}

/// What is to be sent, and how many spans a trace of it has.
fn deck(args: &LoadArgs, now: u64) -> Result<(Deck, f64), Failure> {
    if args.file.is_empty() {
        let of_spans = args.spans.map(|spans| spans.div_ceil(args.shape.spans));
        let traces = args.traces.into_iter().chain(of_spans).min();
        let deck = Deck::made(&args.shape, traces, now);
        let deck = deck.map_err(|error| {
            Failure::of(&error).help("choose fewer spans a trace, or smaller ones")
        })?;
        return Ok((deck, args.shape.spans as f64));
    }
    let sources: Vec<Source> = args.file.iter().map(|path| Source::new(path)).collect();
    let recorded = Recorded::read(&sources, args.shape.request)
        .map_err(|error| Failure::of(&error).help(error.help()))?;
    let spans_a_trace = recorded.spans as f64 / recorded.traces.max(1) as f64;
    let deck = Deck::recorded(recorded, args.traces, args.spans);
    Ok((deck, spans_a_trace))
}

fn help(error: &LoadError, target: &Target) -> String {
    match error {
        LoadError::Connection(_) => format!(
            "start a host there (`betrace serve --rules DIR`), or name where it listens: `betrace load {}`",
            target.address
        ),
        LoadError::Refused(_) => {
            "check that the address is that of the protocol: 4317 is OTLP/gRPC, 4318 OTLP/HTTP (`--protocol http`)".into()
        }
        LoadError::Thread(_) => "try again when the machine has room for it".into(),
    }
}

fn unix_now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
