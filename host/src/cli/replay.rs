//! `betrace replay`: rules over recorded traces, from files or stdin.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use super::failure::{Failure, Outcome, note};
use super::rules::{Rules, engine};
use crate::assemble::limits::Limits;
use crate::assemble::trace::Completion;
use crate::columns::projection::Table;
use crate::engine::{Rule, RuleSet};
use crate::replay::input::{InputError, Source};
use crate::replay::run::{Options, Replay, Summary};
use crate::sinks::format::Format;
use crate::sinks::paint::{Paint, terminal_width};
use crate::sinks::text::counted;
use crate::sinks::{DEFAULT_QUEUE, Sink, Target, open};

#[derive(Debug, Args)]
#[command(after_help = "\
Inputs hold OTLP traces as protobuf, JSON, or JSON lines as the Collector's file exporter writes them, plain or \
compressed with gzip or zstd. Which it is, is told from their content. Traces are assembled over all inputs.

Exit code: 0 no rule fired, 1 some did, 2 an error.

Examples:
  betrace replay --rules rules/ traces.jsonl
  betrace replay --rules fraud.betrace --rules compiled.wasm monday.jsonl tuesday.jsonl.gz
  kcat -C -t otlp_spans -e | betrace replay --rules rules/ --format json - | jq .rule")]
pub struct ReplayArgs {
    /// A rule file (`.betrace`, `.wasm`) or a folder of them; may be repeated
    #[arg(long, required = true, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// How signals are printed [default: text on a terminal, else json]
    #[arg(long, value_enum)]
    format: Option<OutputFormat>,
    /// Recorded traces; `-` is stdin
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
    let engine = engine(1)?;
    let rules = Rules::load(&engine, &args.rules, Paint::for_stderr().color).some()?;
    let set = Arc::new(RuleSet::new(1, rules.loaded.rules.clone()));
    let format = format(args.format);
    let (sink, writer) =
        open(&Target::Stdout, format, DEFAULT_QUEUE).map_err(|error| Failure::of(&error))?;
    let options = Options {
        limits: Limits::default(),
        outlines: format.draws(),
        detected_at: unix_now(),
    };
    let replayed = replay(
        Replay::new(engine, set.clone(), options),
        &args.inputs,
        &sink,
    );
    drop(sink);
    // What was found before an input failed is printed all the same.
    let written = writer.finish();
    let summary = replayed?;
    written.map_err(|error| Failure::of(&error))?;
    report(&summary, &set);
    if rules.problems() > 0 {
        return Err(
            Failure::new("not all rules ran").help("mend the rules above, or leave them out")
        );
    }
    Ok(if summary.signals == 0 {
        Outcome::Quiet
    } else {
        Outcome::Found
    })
}

fn replay(mut replay: Replay, inputs: &[PathBuf], sink: &Sink) -> Result<Summary, Failure> {
    let mut signals = Vec::new();
    for path in inputs {
        let mut input = Source::new(path).open().map_err(|error| failed(&error))?;
        let mut spans = false;
        while let Some(chunk) = input.next() {
            let chunk = chunk.map_err(|error| failed(&error))?;
            spans |= !chunk.bytes.is_empty();
            replay
                .push(chunk.bytes, &mut signals)
                .map_err(|error| failed(&input.broken(chunk.at, error)))?;
            sink.send(std::mem::take(&mut signals));
        }
        if !spans {
            note(&format!("warning: {} holds no spans", path.display()));
        }
    }
    Ok(replay.finish(|batch| sink.send(batch)))
}

fn failed(error: &InputError) -> Failure {
    Failure::of(error).help(error.help())
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
            "reached the bound on spans before completing",
        ),
        (
            Completion::ByteCap,
            "reached the bound on bytes before completing",
        ),
        (
            Completion::Evicted,
            "did not complete before memory ran short",
        ),
    ] {
        let count = assembly.completed_by(completion);
        said(count, format!("{} {why}", counted(count, "trace")));
    }
    for (unlike, count) in &summary.unlike {
        let items = match unlike.table {
            Table::Spans => "span",
            Table::Events => "event",
            Table::Links => "link",
        };
        let times = counted(*count, items);
        said(
            *count,
            format!(
                "{}: `{}` was {} in {times}",
                unlike.rule, unlike.field, unlike.tag
            ),
        );
    }
    set.rules.iter().for_each(|rule| faults(rule));
}

fn faults(rule: &Rule) {
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
}

fn unix_now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
