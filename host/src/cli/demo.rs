//! `betrace demo`: a host on loopback, the traffic of a small web shop into it, and each signal drawn for a person.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::failure::{Failure, Outcome, note};
use super::rules::engine;
use crate::app::{Host, Signals, Source};
use crate::config::{self, Config};
use crate::demo::play::{Played, play};
use crate::demo::rules::RULES;
use crate::engine::{Engine, Rule};
use crate::rules::{compile, dsl};
use crate::sinks::format::Format;
use crate::sinks::paint::{Paint, terminal_width};
use crate::sinks::stream::{Counters, Stream};
use crate::sinks::text::counted;
use crate::sinks::{DEFAULT_BYTES, start};

/// The traffic is the same from run to run, so that what is said of it in the documentation can be seen.
const SEED: u64 = 1;

/// Worker threads: there are a hundred spans a second.
const WORKERS: usize = 1;

/// How often it is looked whether signals are still written: at once, for a person.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
#[command(after_help = "\
It needs nothing but this binary and listens on loopback alone, on ports that are free.

Examples:
  betrace demo
  betrace demo --for 10s
  betrace demo --for 30s --settle 2s")]
pub struct DemoArgs {
    /// End after this long, and not only at Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = config::duration)]
    duration: Option<Duration>,
    /// A trace is judged when no span came for this long after its root
    #[arg(long, value_name = "DURATION", value_parser = config::duration, default_value = "500ms")]
    settle: Duration,
}

pub fn run(args: &DemoArgs) -> Result<Outcome, Failure> {
    let stop = Signals::take()?;
    let engine = engine(WORKERS)?;
    let rules = built_in(&engine)?;
    let config = Config {
        otlp_grpc: Some("127.0.0.1:0".to_owned()),
        otlp_http: None,
        api: None,
        workers: WORKERS,
        settle: args.settle,
        ..Config::default()
    };
    let format = Format::Person {
        paint: Paint::for_stdout(),
        width: terminal_width(),
    };
    let stdout = Stream::new("stdout", format, Box::new(std::io::stdout())).until_closed();
    let (sink, writer) = start(stdout, DEFAULT_BYTES).map_err(|error| Failure::of(&error))?;
    let host = Host::start(
        &config,
        engine,
        Source::Fixed(rules),
        sink.clone(),
        format.draws(),
    )?;
    let counters = sink.counters();
    drop(sink);
    let endpoint = host
        .grpc()
        .map(|address| format!("http://{address}"))
        .unwrap_or_default();
    note(&format!(
        "a web shop of {} sends its traces to {endpoint}; {} rules watch them{}\n",
        counted(crate::demo::shop::SERVICES.len() as u64, "service"),
        RULES.len(),
        if args.duration.is_some() {
            ""
        } else {
            "; Ctrl-C ends it"
        },
    ));
    let ended = ended(stop, args.duration, &counters);
    let played = host.block_on(play(&endpoint, SEED, ended));
    host.stop();
    let written = writer.finish();
    if counters.is_closed() {
        // Who looks at the first lines only (`| head`) has what they wanted.
        return Ok(Outcome::Quiet);
    }
    written.map_err(|error| Failure::of(&error))?;
    report(
        &played.map_err(|error| Failure::of(&error))?,
        counters.written(),
    );
    Ok(Outcome::Quiet)
}

/// Ready after `duration`, when the user says so, or when signals can't be written.
async fn ended(stop: Signals, duration: Option<Duration>, counters: &Counters) {
    let time = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let failed = async {
        let mut looks = tokio::time::interval(LOOK);
        while counters.lost() == 0 {
            looks.tick().await;
        }
    };
    tokio::select! { () = time => {}, () = stop.first() => {}, () = failed => {} }
}

/// The rules that the binary carries.
fn built_in(engine: &Engine) -> Result<Vec<Arc<Rule>>, Failure> {
    let mut rules = Vec::new();
    for (name, source) in RULES {
        let stem = name.strip_suffix(".betrace").unwrap_or(name);
        let source = compile::Source {
            path: name.as_ref(),
            stem,
            bytes: source.as_bytes(),
            known: &|_, _| betrace_dsl::Known::No,
        };
        let compiled = dsl::compile(source);
        if let Some(error) = compiled.messages.iter().find(|message| message.error) {
            return Err(Failure::new(error.text.clone()));
        }
        for rule in compiled.rules {
            let rule =
                Rule::load(engine, &rule.component, name).map_err(|error| Failure::of(&error))?;
            rule.optimise(engine);
            rules.push(Arc::new(rule));
        }
    }
    Ok(rules)
}

fn report(played: &Played, signals: u64) {
    note(&format!(
        "{} of {} in {}, {} of them broken on purpose: {}",
        counted(played.traces, "trace"),
        counted(played.spans, "span"),
        counted(played.requests, "request"),
        played.faults,
        counted(signals, "signal"),
    ));
    if played.dropped > 0 {
        note(&format!(
            "warning: {} found no room",
            counted(played.dropped, "request")
        ));
    }
}
