//! `betrace dev`: a host for whoever writes rules. Each save is answered with what it does to the kept traces, and signals
//! are shown as they happen.
//!
//! ```text
//! Book -> reports -,
//!                  +-> [screen]  block | line -> stdout
//! Sink -> signals -'
//! ```
//! Plain lines: they scroll back, can be copied, and go through a pipe.

mod address;
mod declared;
mod lines;
mod page;
mod recorded;
mod report;
mod screen;
mod starter;
mod verdict;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;
use tokio::sync::oneshot;

use super::failure::{Failure, Outcome, note, note_misspelt, print};
use crate::app::{Host, Signals, Source, Watched};
use crate::config::{Config, Flags, SignalsTarget, Written};
use crate::demo::play::play;
use crate::demo::shop::SERVICES;
use crate::sinks::format::Format;
use crate::sinks::paint::{Paint, Style};
use crate::sinks::text::counted;
use crate::sinks::{self, Target};
use crate::telemetry;
use crate::telemetry::log::Notes;
use address::{API, FREE_PORT, api_address, explain_command};
use screen::{Screen, Shown};

/// Where rules are when nothing is said.
const FOLDER: &str = "rules";

/// The demo's traffic is the same from run to run, so that what is said of it in the documentation can be seen.
const SEED: u64 = 1;

/// The demo's spans all come within a second.
const DEMO_SETTLE: &str = "500ms";

/// Batches of signals that wait for the screen. It is as fast as a terminal, and what it can't take is counted.
const QUEUE: usize = 256;

#[derive(Debug, Args)]
#[command(after_help = "\
Save a rule file, and read what that does to the traces of the last minutes: on how many it fires, which are new, which are \
gone, and which spans decided. From then on each new trace is judged by it. A mistake is shown where it stands, and the \
last good version runs on. A folder without rules gets an example to edit.

Ctrl-C ends it, with exit code 0.

Examples:
  betrace dev --demo                         an example rule, on the traffic of a small web shop
  betrace dev rules/                         your rules, on your traffic (OTLP on 4317 and 4318)
  betrace dev rules/ --from traces.jsonl     your rules, on recorded traces")]
pub struct DevArgs {
    /// Rule files and folders of them [default: rules]
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Play the traffic of a small web shop, judged after 500ms
    #[arg(long)]
    demo: bool,
    /// Recorded traces to try rules on: files as `betrace replay` takes them
    #[arg(long, value_name = "FILE", num_args(1..))]
    from: Vec<PathBuf>,
    /// Signal lines a second, in the long run; the rest is summed up
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    signal_lines: u32,
    #[command(flatten)]
    flags: Flags,
}

pub fn run(args: &DevArgs) -> Result<Outcome, Failure> {
    let config = config(args)?;
    let telemetry = telemetry::start(&config, Notes::OnScreen)
        .map_err(|error| Failure::of(&error).help(error.help()))?;
    note_misspelt();
    let stop = Signals::take()?;
    let example = starter::write(&config.rules)?;
    let engine = crate::app::engine(&config)?;
    let watched = Watched::open(&config, &engine)?;
    let recorded = recorded::fill(&watched.ring, &args.from, crate::app::limits(&config))?;
    let reports = watched.book.subscribe();
    let clock = watched.clock;

    let (mut sink, signals) = sinks::view(QUEUE);
    let counters = sink.counters();
    let mut writer = None;
    if let SignalsTarget::File(path) = &config.signals {
        let target = Target::File(path.clone());
        let (file, writes) = sinks::open(&target, Format::Json, config.signal_queue)
            .map_err(|error| Failure::of(&error))?;
        sink = sink.and(file);
        writer = Some(writes);
    }
    let host = Host::start(
        &config,
        engine,
        Source::Watched(Box::new(watched)),
        sink,
        false,
    )?;

    let paint = Paint::for_stdout();
    let greeting = greeting(args, &config, &host, example, &recorded, paint);
    let screen = Screen::new(
        paint,
        clock,
        counters,
        args.signal_lines,
        no_traffic(args, &host),
    );
    let (shows, closed) = oneshot::channel::<Infallible>();
    let thread = std::thread::Builder::new()
        .name("screen".to_owned())
        .spawn(move || {
            let shown = print(&greeting).map(|()| screen.run(reports, &signals, std::io::stdout()));
            drop(shows);
            shown
        })
        .map_err(|error| Failure::new(format!("can't start the thread of the screen: {error}")))?;

    // Where nobody looks any more, as behind `| head`, there is nothing more to do.
    let ended = async {
        tokio::select! { () = stop.first() => {}, _ = closed => {} }
    };
    let played = match host.grpc().filter(|_| args.demo) {
        Some(address) => host
            .block_on(play(&format!("http://{address}"), SEED, ended))
            .map(Some),
        None => {
            host.block_on(ended);
            Ok(None)
        }
    };
    host.stop();
    telemetry.stop();
    let shown = thread.join();
    let written = writer.map_or(Ok(()), sinks::Writer::finish);
    played.map_err(|error| Failure::of(&error))?;
    written.map_err(|error| Failure::of(&error))?;
    if let Ok(Ok(Ok(shown))) = &shown {
        farewell(shown);
    }
    Ok(Outcome::Quiet)
}

/// The settings of `serve`, with defaults of its own.
fn config(args: &DevArgs) -> Result<Config, Failure> {
    let mut written = Written::collect(&args.flags, std::env::vars_os())
        .map_err(|errors| Failure::of(&errors))?;
    if args.demo {
        written = written
            .or_default("settle", DEMO_SETTLE)
            .or_default("otlp-grpc", FREE_PORT)
            .or_default("otlp-http", FREE_PORT)
            .or_default("api", api_address(API));
    }
    if args.dirs.is_empty() {
        written = written.or_default("rules", FOLDER);
    }
    let mut config = Config::validate(&written)
        .map_err(|errors| Failure::of(&errors).help("`betrace dev --help` lists all settings"))?;
    config.rules.splice(0..0, args.dirs.iter().cloned());
    if config.data.is_some() {
        return Err(Failure::new("`dev` keeps no write-ahead log")
            .help("leave `data` out, or set it to `off`; `betrace serve` keeps one"));
    }
    if args.demo && config.otlp_grpc.is_none() {
        return Err(
            Failure::new("the demo sends OTLP/gRPC, and `otlp-grpc` is `off`")
                .help("leave `--otlp-grpc` out, or `--demo`"),
        );
    }
    Ok(config)
}

/// The first lines: what is watched, and where traces come from.
fn greeting(
    args: &DevArgs,
    config: &Config,
    host: &Host,
    example: Option<PathBuf>,
    recorded: &[String],
    paint: Paint,
) -> String {
    let watched: Vec<String> = config
        .rules
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut out = format!(
        "{}\n",
        paint.paint(
            Style::Strong,
            &format!(
                "betrace dev: save a rule in {} to see what it does; Ctrl-C ends it",
                watched.join(", ")
            )
        )
    );
    let mut line = |label: &str, text: &str| {
        let label = paint.paint(Style::Label, &format!("{label:<9}"));
        out.push_str(&format!("  {label}{text}\n"));
    };
    if let Some(example) = example {
        line(
            "example",
            &format!("{} is written, for you to edit", example.display()),
        );
    }
    for text in recorded {
        line("recorded", text);
    }
    if args.demo {
        let services = counted(SERVICES.len() as u64, "service");
        line(
            "demo",
            &format!("a web shop of {services} sends its traces"),
        );
    }
    for text in endpoints(host) {
        line("traces", &text);
    }
    if let Some(api) = host.api() {
        line("api", &format!("http://{api}/api/v1/signals"));
        line("explain", &explain_command(api));
    }
    out
}

/// How services are pointed here.
fn endpoints(host: &Host) -> Vec<String> {
    [(host.http(), "OTLP/HTTP"), (host.grpc(), "OTLP/gRPC")]
        .into_iter()
        .filter_map(|(address, what)| {
            let address = address?;
            Some(format!(
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://{address}  ({what})"
            ))
        })
        .collect()
}

/// What to do where there are no traces.
fn no_traffic(args: &DevArgs, host: &Host) -> Vec<String> {
    if args.demo {
        return vec!["the shop's first ones are judged a second after the start".to_owned()];
    }
    let mut lines: Vec<String> = endpoints(host)
        .into_iter()
        .map(|endpoint| format!("start a service with {endpoint}"))
        .collect();
    lines.push("or start again with `--demo`, or with `--from FILE`".to_owned());
    lines
}

fn farewell(shown: &Shown) {
    let saves = counted(shown.saves, "save");
    note(&format!(
        "betrace: {saves}, {}",
        counted(shown.signals, "signal")
    ));
}
