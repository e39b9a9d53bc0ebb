//! The corpus: a folder a case, which a rule author can read.
//!
//! ```text
//! corpus/NAME/*.betrace    rules
//! corpus/NAME/traces.txt   traces, in the notation of support/notation.rs
//! corpus/NAME/signals.txt  what the rules, compiled and run by the host, say of each trace
//! ```
//! `cargo xtask bless` writes `signals.txt` anew; review it in the diff.

mod support;

use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use betrace::assemble::limits::Limits;
use betrace::cli::rules::Rules;
use betrace::engine::{Engine, EngineLimits, RuleSet};
use betrace::replay::run::{Options, Replay};
use betrace::signal::Signal;
use support::notation::{Sketch, read};

#[test]
fn every_case_signals_what_it_says() {
    let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("default limits"));
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    for case in &cases {
        let name = case
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let told = match told(&engine, case) {
            Ok(told) => told,
            Err(why) => {
                wrong.push(format!("== {name}\n{why}"));
                continue;
            }
        };
        let expected = case.join("signals.txt");
        if bless {
            fs::write(&expected, &told).expect("the corpus can be written");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if expected != told {
            wrong.push(format!("== {name}\n-- expected\n{expected}-- told\n{told}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// What the rules of a case say of its traces.
fn told(engine: &Arc<Engine>, case: &Path) -> Result<String, String> {
    let rules = Rules::load(engine, &[case.to_path_buf()], false);
    if rules.problems() > 0 {
        let problems: Vec<String> = rules
            .loaded
            .problems
            .iter()
            .map(ToString::to_string)
            .collect();
        return Err(format!(
            "{}\n{}",
            rules.path_errors.join("\n"),
            problems.join("\n")
        ));
    }
    let text = fs::read_to_string(case.join("traces.txt"))
        .map_err(|error| format!("traces.txt: {error}"))?;
    let sketches = read(&text).map_err(|error| format!("traces.txt: {error}"))?;

    let set = Arc::new(RuleSet::new(1, rules.loaded.rules));
    let options = Options {
        limits: Limits::default(),
        outlines: false,
        detected_at: 0,
    };
    let mut replay = Replay::new(engine.clone(), set, options);
    let mut emissions = Vec::new();
    for sketch in &sketches {
        replay
            .push(sketch.encode().into(), &mut emissions)
            .map_err(|error| format!("{}: {error}", sketch.name))?;
    }
    replay.finish(|batch| {
        emissions.extend(batch);
        ControlFlow::Continue(())
    });

    let mut signals: Vec<&Signal> = emissions.iter().map(|emission| &*emission.signal).collect();
    signals.sort_by(|a, b| a.rule.cmp(&b.rule));
    let mut out = String::new();
    for (place, sketch) in sketches.iter().enumerate() {
        let id: String = Sketch::id(place)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let _ = writeln!(out, "trace {}", sketch.name);
        for signal in signals.iter().filter(|signal| signal.trace_id == id) {
            write_signal(&mut out, signal);
        }
    }
    Ok(out)
}

fn write_signal(out: &mut String, signal: &Signal) {
    let clauses: Vec<String> = signal
        .clauses
        .iter()
        .map(|clause| format!("{} {}", clause.kind.name(), clause.text.trim()))
        .collect();
    let certainty = format!("{:?}", signal.certainty).to_lowercase();
    let severity = signal.severity.name();
    let _ = writeln!(
        out,
        "  {} {severity} {certainty}: {}",
        signal.rule,
        clauses.join("; ")
    );
    for span in &signal.evidence {
        let service = span.service.as_deref().unwrap_or("-");
        let name = span.name.as_deref().unwrap_or("-");
        let _ = write!(out, "    {service} {name}");
        for (field, value) in &span.fields.0 {
            let _ = write!(out, " {field}={value}");
        }
        out.push('\n');
    }
}

fn cases() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut cases: Vec<PathBuf> = fs::read_dir(corpus)
        .expect("the corpus")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}
