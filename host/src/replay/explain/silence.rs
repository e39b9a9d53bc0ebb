//! Why a rule fires on none of many traces: which parts of it were never as they would have to be, what the compared
//! fields were instead, and the trace that came nearest.
//!
//! Newest traces first, and at most [`MOST_CANDIDATES`] of them, in batches, so that a save of a person waits for
//! milliseconds. Where no trace has what the rule needs to be asked, those that have most of it are looked at.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::decide::{base_of, bodies, children};
use super::desk::Desk;
use super::explained::Field;
use super::fact::{self, Fact};
use super::read::compared;
use super::words::{Decided, one_line, reason};
use crate::columns::projection::ColumnKey;
use crate::engine::explain::{Answer, Part, PartKind};
use crate::engine::{Engine, Rule};
use crate::replay::kept::{Kept, KeptBatch};
use crate::replay::verdict::{Nearest, NeverTrue, Silence, Verdict};
use crate::rules::update::Change;
use crate::signal::draw::outline_of;
use crate::signal::evidence::evidence;

/// Candidates that are looked at: more would tell nothing that these don't.
pub const MOST_CANDIDATES: usize = 2_000;

/// Of traces that are no candidates.
const MOST_OTHERS: usize = 100;

/// Spans of one batch, as in the live flow.
const BATCH_SPANS: usize = 16_384;

/// Parts that are named.
const NEVER: usize = 8;

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

/// What parts were in all traces together.
struct Tally {
    traces: u64,
    sums: Vec<Sum>,
    /// By part that asks spans: what each of its columns was.
    facts: Vec<Vec<(u32, Fact)>>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    held: u64,
    count: u64,
    others: u64,
    /// Greatest and least count of one trace.
    most: u32,
    least: Option<u32>,
}

impl Tally {
    fn new(parts: &[Part], rule: &Rule) -> Tally {
        let facts = parts.iter().enumerate().map(|(index, part)| {
            let is_asked = matches!(
                part.kind,
                PartKind::Filter | PartKind::FilterNegation | PartKind::FilterEither
            );
            let columns = if is_asked {
                compared(parts, index)
            } else {
                Vec::new()
            };
            let facts = columns.into_iter();
            facts
                .filter_map(|column| Some((column, fact::of_column(rule, column)?)))
                .collect()
        });
        Tally {
            traces: 0,
            sums: vec![Sum::default(); parts.len()],
            facts: facts.collect(),
        }
    }

    fn take(&mut self, desk: &Desk, parts: &[Part], answers: &[Answer], rows: Range<u32>) {
        self.traces += 1;
        for (sum, answer) in self.sums.iter_mut().zip(answers) {
            sum.held += u64::from(answer.holds);
            sum.count += u64::from(answer.count);
            sum.others += u64::from(answer.others);
            sum.most = sum.most.max(answer.count);
            sum.least = Some(
                sum.least
                    .map_or(answer.count, |least| least.min(answer.count)),
            );
        }
        for (index, facts) in self.facts.iter_mut().enumerate() {
            if facts.is_empty() {
                continue;
            }
            let Some(base) = base_of(parts, index) else {
                continue;
            };
            let Some(asked) = answers.get(base) else {
                continue;
            };
            let all: Vec<u32>;
            let asked = match asked.count == rows.len() as u32 {
                true => {
                    all = rows.clone().collect();
                    &all
                }
                false => &asked.rows,
            };
            for (column, fact) in facts {
                fact.take(&desk.set, &desk.columns, *column, asked);
            }
        }
    }

    /// The parts that were never as they would have to be.
    fn never(&self, parts: &[Part]) -> Vec<NeverTrue> {
        let mut never = Vec::new();
        if self.traces == 0 {
            return never;
        }
        let bodies = bodies(parts);
        let when = bodies
            .iter()
            .find(|&&body| self.kind(parts, body) == Some(PartKind::When));
        match when {
            // Without it, nothing else is asked.
            Some(&when) if self.held(when) == 0 => self.part(parts, when, true, &mut never),
            _ => {
                for &body in bodies.iter().filter(|&body| Some(body) != when) {
                    self.part(parts, body, true, &mut never);
                }
            }
        }
        never.truncate(NEVER);
        never
    }

    fn kind(&self, parts: &[Part], part: usize) -> Option<PartKind> {
        parts.get(part).map(|part| part.kind)
    }

    fn held(&self, part: usize) -> u64 {
        self.sums.get(part).map_or(0, |sum| sum.held)
    }

    fn count(&self, part: usize) -> u64 {
        self.sums.get(part).map_or(0, |sum| sum.count)
    }

    /// Whether a part had a value in some trace.
    fn ever(&self, part: usize, value: bool) -> bool {
        match value {
            true => self.held(part) > 0,
            false => self.held(part) < self.traces,
        }
    }

    /// Says of a condition why it never had the value that is wanted.
    fn part(&self, parts: &[Part], index: usize, want: bool, never: &mut Vec<NeverTrue>) {
        let Some(part) = parts.get(index) else { return };
        let below = children(parts, index);
        let turned = matches!(
            part.kind,
            PartKind::Expect | PartKind::Always | PartKind::Negation
        );
        if turned || part.kind.is_body() {
            let want = want != turned;
            below
                .into_iter()
                .for_each(|part| self.part(parts, part, want, never));
            return;
        }
        if self.ever(index, want) {
            // It was, though never in a trace where all else was.
            return;
        }
        match part.kind {
            PartKind::Both | PartKind::Either => {
                let before = never.len();
                for &child in &below {
                    self.part(parts, child, want, never);
                }
                if never.len() == before {
                    let why = "each side was, but never both in one trace".to_owned();
                    never.push(said(part, want, why));
                }
            }
            PartKind::Present if want => self.empty(parts, index, &below, never),
            _ => never.push(said(part, want, self.why(parts, index, want))),
        }
    }

    /// Why a set never had a span.
    fn empty(&self, parts: &[Part], index: usize, below: &[usize], never: &mut Vec<NeverTrue>) {
        let before = never.len();
        for &child in below {
            if self.count(child) > 0 {
                continue;
            }
            self.filter(parts, child, never);
            if self.kind(parts, child) == Some(PartKind::Base) {
                return;
            }
        }
        if never.len() == before
            && let Some(part) = parts.get(index)
        {
            never.push(said(part, true, self.why(parts, index, true)));
        }
    }

    /// Why no span ever passed a filter.
    fn filter(&self, parts: &[Part], index: usize, never: &mut Vec<NeverTrue>) {
        let Some(part) = parts.get(index) else { return };
        let empty: Vec<usize> = children(parts, index)
            .into_iter()
            .filter(|&child| self.count(child) == 0)
            .collect();
        if part.kind == PartKind::FilterNegation || empty.is_empty() {
            never.push(said(part, true, self.why(parts, index, true)));
        } else {
            empty
                .into_iter()
                .for_each(|child| self.filter(parts, child, never));
        }
    }

    fn why(&self, parts: &[Part], index: usize, want: bool) -> String {
        let (Some(part), Some(sum)) = (parts.get(index), self.sums.get(index)) else {
            return String::new();
        };
        let base = base_of(parts, index).or_else(|| {
            children(parts, index)
                .into_iter()
                .find(|&child| self.kind(parts, child) == Some(PartKind::Base))
        });
        let base = base.and_then(|base| Some((parts.get(base)?.text.as_str(), self.count(base))));
        let facts = self.facts.get(index).map(Vec::as_slice).unwrap_or_default();
        let fields: Vec<Field> = facts.iter().map(|(_, fact)| fact.view()).collect();
        match part.kind {
            PartKind::Number if children(parts, index).len() == 1 => match sum.least {
                Some(least) if least != sum.most => {
                    format!("the count was {least} to {}", sum.most)
                }
                _ => format!("the count was {}", sum.most),
            },
            PartKind::Number => format!("in none of {} traces", self.traces),
            PartKind::Present if !want => {
                format!("there was such a span in all {} traces", self.traces)
            }
            PartKind::Every if want => "in each trace some span did not pass".to_owned(),
            _ => reason(Decided {
                part,
                holds: !want,
                count: sum.count,
                others: (part.kind == PartKind::Every).then_some(sum.others),
                base,
                fields: &fields,
            }),
        }
    }
}

fn said(part: &Part, want: bool, why: String) -> NeverTrue {
    let text = one_line(&part.text);
    NeverTrue {
        part: if want { text } else { format!("not ({text})") },
        why,
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
