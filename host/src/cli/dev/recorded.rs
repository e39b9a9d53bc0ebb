//! `--from FILE`: recorded traces into the ring, before the first rule is tried.

use std::path::PathBuf;
use std::sync::Arc;

use crate::assemble::limits::Limits;
use crate::assemble::trace::Completion;
use crate::cli::Failure;
use crate::pipeline::thread::Clock;
use crate::replay::input::{InputError, Source};
use crate::replay::recorded::Recorder;
use crate::replay::ring::Ring;
use crate::sinks::text::{clean, counted, grouped, many};

/// Columns of a file's name.
const NAME: usize = 60;

/// Reads all inputs; returns what to say of them, line by line.
pub(super) fn fill(
    ring: &Arc<Ring>,
    inputs: &[PathBuf],
    limits: Limits,
) -> Result<Vec<String>, Failure> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let mut recorder = Recorder::new(ring.clone(), limits, Clock::unix_ns());
    let failed = |error: &InputError| Failure::of(error).help(error.help());
    for path in inputs {
        let mut input = Source::new(path).open().map_err(|error| failed(&error))?;
        while let Some(chunk) = input.next() {
            let chunk = chunk.map_err(|error| failed(&error))?;
            recorder
                .push(chunk.bytes)
                .map_err(|error| failed(&input.broken(chunk.at, error)))?;
        }
    }
    let recorded = recorder.finish();
    let names: Vec<String> = inputs
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut lines = vec![format!(
        "{} of {} in {}",
        many(recorded.traces, "trace"),
        many(recorded.spans, "span"),
        clean(&names.join(", "), NAME)
    )];
    let kept = ring.counters().traces;
    if kept < recorded.traces {
        lines.push(format!(
            "{} of them are kept; raise `--ring-memory` for more",
            grouped(kept)
        ));
    }
    let early = recorded.assembly.completed_by(Completion::Evicted);
    if early > 0 {
        lines.push(format!(
            "{} cut in pieces, as not all fit; raise `--memory`",
            counted(early, "trace")
        ));
    }
    if recorded.rejected > 0 {
        lines.push(format!(
            "{} left out, as their ids can't be used",
            counted(recorded.rejected, "span")
        ));
    }
    Ok(lines)
}
