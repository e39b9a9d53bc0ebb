//! `betrace replay --explain`: of each rule some traces, and why it fires on them or does not.

use std::ops::ControlFlow;
use std::sync::Arc;

use clap::Args;

use super::{OutputFormat, ReplayArgs, failed_rules, limits, read, report, unix_now};
use crate::cli::explain::trace_id;
use crate::cli::failure::{Failure, Outcome, note, print};
use crate::cli::progress::Progress;
use crate::cli::rules::{Rules, engine};
use crate::config::nearest;
use crate::engine::{Engine, RuleSet};
use crate::replay::explain::{self, Explanation, Picked, Picker, Where, explain_all, view};
use crate::replay::run::{Options, Replay};
use crate::signal::stamp::hex;
use crate::sinks::format::Format;
use crate::sinks::paint::Paint;
use crate::sinks::text::{clean, counted};

/// Explanations of all rules together, where no trace is named: what a person can read.
const EXPLANATIONS: usize = 200;

#[derive(Debug, Args)]
#[command(next_help_heading = "Explaining")]
pub(super) struct ExplainArgs {
    /// Say why rules fire on traces or do not, instead of printing signals
    #[arg(long)]
    pub(super) explain: bool,
    /// Explain this rule alone
    #[arg(long, value_name = "ID", requires = "explain")]
    rule: Option<String>,
    /// Explain this trace alone
    #[arg(long, value_name = "TRACE_ID", requires = "explain", value_parser = trace_id)]
    trace: Option<[u8; 16]>,
    /// Traces that are explained of each rule, those that it fires on first
    #[arg(long, value_name = "N", requires = "explain", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    most: u16,
}

pub(super) fn run(args: &ReplayArgs) -> Result<Outcome, Failure> {
    let asked = &args.explain;
    let limits = limits(args)?;
    let engine = engine(1)?;
    let rules = Rules::load(&engine, &args.rules, Paint::for_stderr().color).some()?;
    let set = Arc::new(RuleSet::new(1, rules.loaded.rules.clone()));
    if let Some(id) = &asked.rule {
        known(&set, id)?;
    }
    let picker = Picker::new(&set, asked.rule.as_deref(), asked.trace, asked.most.into());
    let options = Options {
        limits,
        outlines: false,
        detected_at: unix_now(),
    };
    let progress = Progress::reading(super::bytes(&args.inputs));
    let mut replay = Replay::new(engine.clone(), set.clone(), options).pick(picker);
    let go_on = &mut |_| ControlFlow::Continue(());
    let read = read(&mut replay, &args.inputs, go_on, &progress);
    progress.judging();
    let (summary, picker) = replay.finish_picked(|_| ControlFlow::Continue(()));
    progress.end();
    if read.is_ok() || summary.requests > 0 {
        report(&summary, &set);
    }
    let picked = picker.map(Picker::picked).unwrap_or_default();
    let failed = failed_rules(&rules, &set);
    read?;
    if let Some(trace) = asked.trace
        && picked.iter().all(|picked| picked.kept.is_empty())
    {
        return Err(
            Failure::new(format!("no input holds the trace {}", hex(&trace)))
                .help("check the id; each input's spans are read whole"),
        );
    }
    let fires = tell(&engine, &picked, args.format)?;
    failed?;
    Ok(if fires {
        Outcome::Found
    } else {
        Outcome::Quiet
    })
}

fn known(set: &RuleSet, id: &str) -> Result<(), Failure> {
    let ids = || set.rules.iter().map(|rule| rule.id.as_str());
    if ids().any(|known| known == id) {
        return Ok(());
    }
    let failure = Failure::new(format!("there is no rule `{}`", clean(id, 100)));
    Err(match nearest(id, ids()) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help("`betrace check` lists the rules of files and folders"),
    })
}

/// Prints the explanations, rule by rule; returns whether any rule fires.
fn tell(
    engine: &Arc<Engine>,
    picked: &[Picked],
    format: Option<OutputFormat>,
) -> Result<bool, Failure> {
    let format = super::format(format);
    let mut left = EXPLANATIONS;
    let mut untold = 0;
    let mut fires = false;
    for of in picked {
        fires |= of.fires > 0;
        let some = of.kept.get(..left.min(of.kept.len())).unwrap_or_default();
        if some.len() < of.kept.len() {
            untold += 1;
        }
        left -= some.len();
        if some.is_empty() {
            continue;
        }
        let explained = explain_all(engine, &of.rule, some).map_err(|error| Failure::of(&error))?;
        let mut told = [0_u64; 3];
        for (kept, explained) in some.iter().zip(explained) {
            let index = match explained.outcome {
                explain::Outcome::Fires => 0,
                explain::Outcome::NotAsked => 2,
                _ => 1,
            };
            if let Some(count) = told.get_mut(index) {
                *count += 1;
            }
            let explanation = Explanation::new(&of.rule, kept.id, Where::Recorded, Some(explained));
            print(&match format {
                Format::Json => {
                    let json = serde_json::to_string(&explanation);
                    format!("{}\n", json.unwrap_or_default())
                }
                Format::Person { paint, width } => {
                    format!("{}\n", view(&explanation, paint, width))
                }
            })?;
        }
        left_out(of, told);
    }
    if untold > 0 {
        note(&format!(
            "left out: traces of {}; name one with `--rule`",
            counted(untold, "rule")
        ));
    }
    Ok(fires)
}

/// Says which traces of a rule were not told of.
fn left_out(of: &Picked, told: [u64; 3]) {
    let [fires, quiet, not_asked] = told;
    let kinds = [
        (of.fires, fires, "that it fires on"),
        (of.quiet, quiet, "that it does not fire on"),
        (of.not_asked, not_asked, "that it was not asked about"),
    ];
    let words: Vec<String> = kinds
        .iter()
        .filter(|(all, told, _)| all > told)
        .map(|(all, told, what)| format!("{} {what}", counted(all - told, "trace")))
        .collect();
    if !words.is_empty() {
        note(&format!(
            "{}: left out {}; `--trace` names one, `--most` shows more",
            clean(&of.rule.id, 100),
            words.join(", ")
        ));
    }
}
