//! Why a rule fires on none of many traces: which parts of it were never as they would have to be, what the compared
//! fields were instead, and the trace that came nearest.
//!
//! Newest traces first, and at most [`MOST_CANDIDATES`] of them, in batches, so that a save of a person waits for
//! milliseconds. Where no trace has what the rule needs to be asked, those that have most of it are looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::decide::{bodies, children};
use super::desk::Desk;
use super::tally::Tally;
use crate::columns::projection::ColumnKey;
use crate::engine::explain::{Answer, Part, PartKind};
use crate::engine::{Engine, Rule};
use crate::replay::kept::{Kept, KeptBatch};
use crate::replay::verdict::{Nearest, Silence, Verdict};
use crate::rules::update::Change;
use crate::signal::draw::outline_of;
use crate::signal::evidence::evidence;

/// Candidates that are looked at: more would tell nothing that these don't.
pub const MOST_CANDIDATES: usize = 2_000;

/// Of traces that are no candidates.
const MOST_OTHERS: usize = 100;

/// Spans of one batch, as in the live flow.
const BATCH_SPANS: usize = 16_384;

/// Silent rules of one save that are looked into: a person edits one at a time, and each costs some milliseconds.
const MOST_RULES: usize = 4;

/// Evidence of the nearest trace.
const MARKED: usize = 12;

/// Says why a rule fires on none of these traces, newest first; none where it can't be told.
pub fn silence(engine: &Arc<Engine>, rule: &Arc<Rule>, kept: &[Arc<Kept>]) -> Option<Silence> {
    let mut desk = match Desk::open(engine, rule) {
        Ok(desk) => desk,
        Err(error) => {
            return Some(Silence {
                unexplained: Some(error.to_string()),
                ..Silence::default()
            });
        }
    };
    let looked = Looked::at(&mut desk, kept);
    let mut silence = Silence {
        candidates: looked.candidates,
        absent: looked.absent(&desk),
        ..Silence::default()
    };
    let parts = desk
        .explainer
        .as_ref()
        .map(|explainer| explainer.parts().to_vec());
    let Some(parts) = parts else {
        return Some(silence);
    };
    let wanted = Wanted::new(&parts);
    let mut tally = Tally::new(&parts, rule);
    let mut best: Option<(u32, &Arc<Kept>)> = None;
    for batch in batches(&looked.chosen) {
        let requests = KeptBatch::new(batch);
        let traces = requests.traces();
        desk.columns
            .project(&desk.set.projection, &requests, &traces);
        let all: Vec<u32> = (0..traces.len() as u32).collect();
        let explainer = desk.explainer.as_mut()?;
        let answers = match explainer.run(&desk.columns, &all) {
            Ok(answers) => answers,
            Err(fault) => {
                silence.unexplained = Some(fault.to_string());
                return Some(silence);
            }
        };
        for (kept, (trace, answers)) in batch.iter().zip(answers.into_iter().enumerate()) {
            let Some(answers) = answers else { continue };
            let rows = desk
                .columns
                .offsets
                .get(trace..trace + 2)
                .map_or(0..0, |ends| {
                    ends.first().copied().unwrap_or(0)..ends.last().copied().unwrap_or(0)
                });
            tally.take(&desk, &parts, &answers, rows);
            let held = wanted.held(&answers);
            if best.as_ref().is_none_or(|(most, _)| held > *most) {
                best = Some((held, kept));
            }
        }
    }
    silence.never = tally.never(&parts);
    silence.nearest = best.filter(|(held, _)| *held > 0).map(|(held, kept)| {
        let rows = near_rows(&mut desk, &parts, kept);
        let reads = reads(&parts, rule);
        let (outline, evidence) = outline_of(kept, &rows, |spot| {
            evidence(spot, &reads, &desk.set.projection, &desk.columns)
        });
        Nearest {
            trace_id: kept.id,
            held,
            parts: wanted.atoms.len() as u32,
            outline,
            evidence,
        }
    });
    Some(silence)
}

/// Says of the rules of a verdict that fire on none of the traces why. `overtaken` ends it early.
pub fn fill_silences(
    engine: &Arc<Engine>,
    changes: &[Change],
    kept: &[Arc<Kept>],
    verdict: &mut Verdict,
    overtaken: &AtomicBool,
) {
    let silent = verdict.rules.iter_mut().filter(|rule| {
        rule.fires == 0 && rule.traces > 0 && rule.after.is_some() && rule.fault.is_none()
    });
    for rule in silent.take(MOST_RULES) {
        if overtaken.load(Relaxed) {
            return;
        }
        let change = changes.iter().find(|change| change.id == rule.id);
        if let Some(after) = change.and_then(|change| change.after.as_ref()) {
            rule.silence = silence(engine, after, kept).map(|silence| Silence {
                // Without an explanation only the trial has looked.
                candidates: silence.candidates.max(rule.candidates),
                ..silence
            });
        }
    }
}

/// The traces that are worth a look.
struct Looked {
    candidates: u64,
    chosen: Vec<Arc<Kept>>,
    /// By group of triggers: traces that meet it.
    met: Vec<u64>,
}

impl Looked {
    fn at(desk: &mut Desk, kept: &[Arc<Kept>]) -> Looked {
        let groups = desk.triggers.len();
        let mut looked = Looked {
            candidates: 0,
            chosen: Vec::new(),
            met: vec![0; groups],
        };
        let mut others: Vec<(usize, Arc<Kept>)> = Vec::new();
        for batch in batches(kept) {
            let requests = KeptBatch::new(batch);
            let traces = requests.traces();
            desk.columns
                .project(&desk.set.projection, &requests, &traces);
            for (kept, ends) in batch.iter().zip(desk.columns.offsets.windows(2)) {
                let &[start, end] = ends else { continue };
                let met = desk
                    .triggers
                    .met(&desk.columns, &(start as usize..end as usize));
                let mut groups_met = 0;
                for (count, group) in looked.met.iter_mut().zip(&met) {
                    let is_met = group.contains(&true);
                    *count += u64::from(is_met);
                    groups_met += usize::from(is_met);
                }
                if groups_met == groups {
                    looked.candidates += 1;
                    if looked.chosen.len() < MOST_CANDIDATES {
                        looked.chosen.push(kept.clone());
                    }
                } else if looked.candidates == 0 && groups_met > 0 {
                    let least = others.last().map_or(0, |(met, _)| *met);
                    if others.len() < MOST_OTHERS || groups_met > least {
                        let at = others.partition_point(|(met, _)| *met >= groups_met);
                        others.insert(at, (groups_met, kept.clone()));
                        others.truncate(MOST_OTHERS);
                    }
                }
            }
        }
        if looked.candidates == 0 {
            looked.chosen = others.into_iter().map(|(_, kept)| kept).collect();
        }
        looked
    }

    /// Groups of triggers that no trace meets, in words.
    fn absent(&self, desk: &Desk) -> Vec<String> {
        let groups = self.met.iter().enumerate();
        groups
            .filter(|(_, met)| **met == 0)
            .map(|(group, _)| desk.triggers.words(group))
            .collect()
    }
}

fn batches(kept: &[Arc<Kept>]) -> impl Iterator<Item = &[Arc<Kept>]> {
    let mut rest = kept;
    std::iter::from_fn(move || {
        let mut spans = 0;
        let fit = rest.iter().take_while(|kept| {
            let is_first = spans == 0;
            spans += kept.spans.len().max(1);
            is_first || spans <= BATCH_SPANS
        });
        let (batch, later) = rest.split_at(fit.count());
        rest = later;
        (!batch.is_empty()).then_some(batch)
    })
}

/// What would have to be so for the rule to fire: its parts that can't be taken apart, each with the value that is wanted.
struct Wanted {
    atoms: Vec<(usize, bool)>,
}

impl Wanted {
    fn new(parts: &[Part]) -> Wanted {
        let mut wanted = Wanted { atoms: Vec::new() };
        for body in bodies(parts) {
            wanted.add(parts, body, true);
        }
        wanted
    }

    fn add(&mut self, parts: &[Part], index: usize, want: bool) {
        let Some(part) = parts.get(index) else { return };
        let below = children(parts, index);
        match part.kind {
            PartKind::Expect | PartKind::Always | PartKind::Negation => {
                below
                    .into_iter()
                    .for_each(|part| self.add(parts, part, !want));
            }
            kind if kind.is_body() => below
                .into_iter()
                .for_each(|part| self.add(parts, part, want)),
            PartKind::Both | PartKind::Either | PartKind::FilterBoth => {
                below
                    .into_iter()
                    .for_each(|part| self.add(parts, part, want));
            }
            PartKind::Present if want => {
                below
                    .into_iter()
                    .for_each(|part| self.add(parts, part, want));
                self.atoms.push((index, want));
            }
            _ => self.atoms.push((index, want)),
        }
    }

    /// How many of them are as they have to be.
    fn held(&self, answers: &[Answer]) -> u32 {
        let held = self.atoms.iter().filter(|(part, want)| {
            answers
                .get(*part)
                .is_some_and(|answer| answer.holds == *want)
        });
        held.count() as u32
    }
}

/// The columns that a condition compares.
fn reads(parts: &[Part], rule: &Rule) -> Vec<ColumnKey> {
    let filters = parts.iter().filter(|part| part.kind != PartKind::Base);
    let mut columns: Vec<u32> = filters.flat_map(|part| part.columns.clone()).collect();
    columns.sort_unstable();
    columns.dedup();
    let columns = columns.iter();
    let known = columns.filter_map(|&column| rule.manifest.columns.get(column as usize));
    known.map(|column| column.key.clone()).collect()
}

/// The spans of a trace that a silent rule is about: those that its bases name, unless that is all of them.
fn near_rows(desk: &mut Desk, parts: &[Part], kept: &Arc<Kept>) -> Vec<u32> {
    let one = std::slice::from_ref(kept);
    let requests = KeptBatch::new(one);
    let traces = requests.traces();
    desk.columns
        .project(&desk.set.projection, &requests, &traces);
    let Some(explainer) = &mut desk.explainer else {
        return Vec::new();
    };
    let answers = explainer.run(&desk.columns, &[0]).unwrap_or_default();
    let Some(answers) = answers.into_iter().next().flatten() else {
        return Vec::new();
    };
    let named = parts
        .iter()
        .zip(&answers)
        .filter(|(part, _)| part.kind == PartKind::Base && part.text != "spans");
    let mut rows: Vec<u32> = named.flat_map(|(_, answer)| answer.rows.clone()).collect();
    rows.sort_unstable();
    rows.dedup();
    rows.truncate(MARKED);
    rows
}
