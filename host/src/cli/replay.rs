//! `betrace replay`: rules over recorded traces, from files or stdin.

mod bundle;
mod explain;

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use super::failure::{Failure, Outcome, note};
use super::progress::Progress;
use super::rules::{Rules, engine};
use crate::assemble::limits::{
    LARGEST_MEMORY_BYTES, LARGEST_TRACE_BYTES, Limits, TRACE_BYTES, TRACE_SPANS,
};
use crate::assemble::trace::Completion;
use crate::engine::{Rule, RuleSet};
use crate::replay::input::{InputError, Source};
use crate::replay::run::{Options, Replay, Summary};
use crate::signal::Emission;
use crate::sinks::format::Format;
use crate::sinks::paint::{Paint, terminal_width};
use crate::sinks::stream::Stream;
use crate::sinks::text::counted;
use crate::sinks::{DEFAULT_BYTES, start};

/// Open traces that a replay holds. Nothing completes before the input ends, so this is what it can judge whole: some
/// twelve million spans, which a developer's machine has room for. It is taken only as the input fills it.
const MEMORY: &str = "8GiB";

#[derive(Debug, Args)]
#[command(after_help = "\
Inputs hold OTLP traces as protobuf, JSON, or JSON lines as the Collector's file exporter writes them, plain or \
compressed with gzip or zstd. Which it is, is told from their content. Traces are assembled over all inputs.

A bundle, which a host writes with `--bundles DIR` when a rule faults, is told from its content too: the call that faulted is \
repeated under the bounds that held, and the fault told that it leads to.

Exit code: 0 no rule fired, 1 some did, 2 an error: an input, or a rule that did not judge all traces. For a bundle: 0 the \
fault came again, 1 it did not or is of another kind.

Examples:
  betrace replay --rules rules/ traces.jsonl
  betrace replay --rules fraud.betrace --rules compiled.wasm monday.jsonl tuesday.jsonl.gz
  betrace replay --rules rules/ --explain --rule fraud --trace 4bf92f3577b34da6a3ce929d0e0e4736 traces.jsonl
  betrace replay bundles/1700000000000-fraud-trap.bundle
  kcat -C -t otlp_spans -e | betrace replay --rules rules/ --format json - | jq .rule")]
pub struct ReplayArgs {
    /// A rule file (`.betrace`, `.wasm`) or a folder of them; may be repeated
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// How signals are printed [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    format: Option<OutputFormat>,
    /// Bytes of open traces, which all wait for the end of the inputs; above it the oldest are judged early
    #[arg(long, value_name = "SIZE", default_value = MEMORY, value_parser = memory)]
    memory: u64,
    /// Spans of one trace; one that reaches it is judged early
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value_t = TRACE_SPANS)]
    span_cap: u32,
    /// Bytes of one trace; one that reaches it is judged early [default: 32MiB, at most the memory]
    #[arg(long, value_name = "SIZE", value_parser = byte_cap)]
    byte_cap: Option<u64>,
    #[command(flatten)]
    explain: explain::ExplainArgs,
    /// Recorded traces, or a bundle; `-` is stdin
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// One object a line
    Json,
    /// For a person, with each trace drawn
    Text,
}

pub fn run(args: &ReplayArgs) -> Result<Outcome, Failure> {
    if let Some(bundle) = bundle::among(args)? {
        return bundle::run(bundle);
    }
    if args.rules.is_empty() {
        return Err(Failure::new("there are no rules to run")
            .help("name files or folders of them with `--rules PATH`"));
    }
    if args.explain.explain {
        return explain::run(args);
    }
    let limits = limits(args)?;
    let engine = engine(1)?;
    let rules = Rules::load(&engine, &args.rules, Paint::for_stderr().color).some()?;
    let set = Arc::new(RuleSet::new(1, rules.loaded.rules.clone()));
    let format = format(args.format);
    let progress = Progress::reading(bytes(&args.inputs));
    let stdout: Box<dyn Write + Send> = if std::io::stdout().is_terminal() {
        Box::new(progress.beside(std::io::stdout()))
    } else {
        Box::new(std::io::stdout())
    };
    let stdout = Stream::new("stdout", format, stdout).until_closed();
    let (sink, writer) = start(stdout, DEFAULT_BYTES).map_err(|error| Failure::of(&error))?;
    let options = Options {
        limits,
        outlines: format.draws(),
        detected_at: unix_now(),
    };
    let mut replay = Replay::new(engine, set.clone(), options);
    let send = &mut |batch| {
        sink.send(batch);
        if sink.is_closed() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let read = read(&mut replay, &args.inputs, send, &progress);
    progress.judging();
    // What came before an input failed is judged all the same.
    let summary = replay.finish(send);
    let counters = sink.counters();
    drop(sink);
    let written = writer.finish();
    progress.end();
    if counters.is_closed() {
        // `head` has seen enough, and whatever was written was found.
        return Ok(Outcome::Found);
    }
    if read.is_ok() || summary.requests > 0 {
        report(&summary, &set);
    }
    // Every rule is asked, as each says for itself what it left out.
    let failed = failed_rules(&rules, &set);
    read?;
    written.map_err(|error| Failure::of(&error))?;
    failed?;
    Ok(if summary.signals == 0 {
        Outcome::Quiet
    } else {
        Outcome::Found
    })
}

/// Fails where not all rules judged all traces; each says for itself what it left out.
fn failed_rules(rules: &Rules, set: &RuleSet) -> Result<(), Failure> {
    let unjudging = set.rules.iter().filter(|rule| !judged(rule)).count();
    if rules.problems() > 0 {
        return Err(
            Failure::new("not all rules ran").help("mend the rules above, or leave them out")
        );
    }
    if unjudging > 0 {
        return Err(Failure::new("not all rules judged all traces")
            .help("mend the rules that are named above, or lower `--span-cap` or `--byte-cap`"));
    }
    Ok(())
}

/// Reads all inputs, until one fails or nobody reads the signals any more.
fn read(
    replay: &mut Replay,
    inputs: &[PathBuf],
    emit: &mut dyn FnMut(Vec<Emission>) -> ControlFlow<()>,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut signals = Vec::new();
    for path in inputs {
        let mut input = Source::new(path)
            .open_counted(progress.counter())
            .map_err(|error| failed(&error))?;
        let mut spans = false;
        while let Some(chunk) = input.next() {
            let chunk = chunk.map_err(|error| failed(&error))?;
            spans |= !chunk.bytes.is_empty();
            replay
                .push(chunk.bytes, &mut signals)
                .map_err(|error| failed(&input.broken(chunk.at, error)))?;
            if emit(std::mem::take(&mut signals)).is_break() {
                return Ok(());
            }
        }
        if !spans {
            progress.say(&format!("warning: {} holds no spans", path.display()));
        }
    }
    Ok(())
}

/// Bytes of all inputs, if each can say.
fn bytes(inputs: &[PathBuf]) -> Option<u64> {
    inputs.iter().map(|path| Source::new(path).size()).sum()
}

fn failed(error: &InputError) -> Failure {
    Failure::of(error).help(error.help())
}

fn limits(args: &ReplayArgs) -> Result<Limits, Failure> {
    if args.byte_cap.is_some_and(|cap| cap > args.memory) {
        return Err(Failure::new("`--byte-cap` is above `--memory`")
            .help("raise `--memory`: a large trace would push all others out"));
    }
    Ok(Limits {
        memory_bytes: args.memory,
        trace_spans: args.span_cap,
        trace_bytes: args.byte_cap.unwrap_or(TRACE_BYTES.min(args.memory)),
        ..Limits::default()
    })
}

fn memory(text: &str) -> Result<u64, String> {
    at_most(text, LARGEST_MEMORY_BYTES)
}

fn byte_cap(text: &str) -> Result<u64, String> {
    at_most(text, LARGEST_TRACE_BYTES)
}

/// A size from one byte to `most`.
fn at_most(text: &str, most: u64) -> Result<u64, String> {
    match crate::config::size(text)? {
        size if (1..=most).contains(&size) => Ok(size),
        _ => Err(format!("it must be from 1B to {}GiB", most >> 30)),
    }
}

/// What was asked for; else a person's view where a person looks.
fn format(asked: Option<OutputFormat>) -> Format {
    let text = asked.map_or_else(
        || std::io::stdout().is_terminal(),
        |format| format == OutputFormat::Text,
    );
    if text {
        Format::Person {
            paint: Paint::for_stdout(),
            width: terminal_width(),
        }
    } else {
        Format::Json
    }
}

/// Says on stderr what was read and judged, and what may explain a rule's silence.
fn report(summary: &Summary, set: &RuleSet) {
    note(&format!(
        "{} of {} in {}, {}: {}{}",
        counted(summary.traces, "trace"),
        counted(summary.spans, "span"),
        counted(summary.requests, "request"),
        counted(set.rules.len() as u64, "rule"),
        counted(summary.signals, "signal"),
        if summary.unsure > 0 {
            format!(" ({} unsure)", summary.unsure)
        } else {
            String::new()
        },
    ));
    let assembly = &summary.assembly;
    let said = |count: u64, text: String| {
        if count > 0 {
            note(&format!("  {text}"));
        }
    };
    said(
        assembly.duplicates,
        format!(
            "{} came twice and counted once",
            counted(assembly.duplicates, "span")
        ),
    );
    said(
        assembly.late,
        format!(
            "{} came after the trace was judged",
            counted(assembly.late, "span")
        ),
    );
    said(
        summary.rejected,
        format!(
            "left out, as their ids can't be used: {}",
            counted(summary.rejected, "span")
        ),
    );
    said(
        summary.invalid_utf8,
        format!(
            "not UTF-8, and so missing: {}",
            counted(summary.invalid_utf8, "text")
        ),
    );
    for (completion, why) in [
        (Completion::Drained, "had no root among these spans"),
        (
            Completion::SpanCap,
            "judged early at the bound on spans; raise `--span-cap` to see them whole",
        ),
        (
            Completion::ByteCap,
            "judged early at the bound on bytes; raise `--byte-cap` to see them whole",
        ),
        (
            Completion::Evicted,
            "judged early as memory ran short; raise `--memory` to see them whole",
        ),
    ] {
        let count = assembly.completed_by(completion);
        said(count, format!("{} {why}", counted(count, "trace")));
    }
    for (unlike, count) in &summary.unlike {
        let times = counted(*count, unlike.table.item());
        said(
            *count,
            format!(
                "{}: `{}` was {} in {times}",
                unlike.rule, unlike.field, unlike.tag
            ),
        );
    }
}

/// Whether a rule judged all traces; says where it did not.
fn judged(rule: &Rule) -> bool {
    let counts = rule.counts();
    if counts.all_faults() > 0 {
        let last = rule
            .last_fault()
            .map(|fault| format!(": {fault}"))
            .unwrap_or_default();
        note(&format!(
            "warning: {} faulted, {} not judged by it{last}",
            rule.id,
            counted(counts.unjudged, "trace")
        ));
    }
    if counts.input_too_large > 0 {
        note(&format!(
            "warning: {} could not take {} for their size",
            rule.id,
            counted(counts.input_too_large, "trace")
        ));
    }
    counts.all_faults() == 0 && counts.input_too_large == 0
}

fn unix_now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
