//! Findings and answers of one trace to what is said of it.

use std::collections::BTreeSet;

use super::decide::{Answered, base_of, broken, children, decide};
use super::explained::{
    Body, Explained, Field, Outcome, PartView, Reason, TraceView, TriggerGroup,
};
use super::fact;
use super::words::{Decided, why};
use crate::assemble::trace::Requests;
use crate::columns::batch::Columns;
use crate::columns::projection::ColumnKey;
use crate::engine::explain::{Answer, Part, PartKind};
use crate::engine::{Finding, Rule, RuleSet};
use crate::replay::kept::{Kept, KeptBatch};
use crate::signal::evidence::{Spot, evidence};
use crate::signal::{Evidence, Signal};

/// Parts that are listed: a rule of more is read in its file.
pub(super) const PARTS: usize = 512;

/// Deciding parts that have a reason in words.
const REASONS: usize = 8;

/// Spans that are told of one part: of those that decide, and of the others.
const DECIDING_SPANS: usize = 20;
const OTHER_SPANS: usize = 3;

/// Spans that did not pass and are told, with their values.
const ASKED_SPANS: usize = 5;

/// Spans that are told of all parts together.
const ALL_SPANS: usize = 500;

/// A trace with what the rule and its explanation said of it.
pub(super) struct Reading<'a> {
    pub(super) set: &'a RuleSet,
    pub(super) rule: &'a Rule,
    pub(super) columns: &'a Columns,
    pub(super) requests: &'a KeptBatch<'a>,
    pub(super) kept: &'a Kept,
    /// None of a rule without source.
    pub(super) parts: Option<&'a [Part]>,
    /// None where the trace is too large for the explanation.
    pub(super) answers: Option<&'a [Answer]>,
    pub(super) outcome: Outcome,
}

/// What is said of a trace.
pub(super) fn parts(
    reading: &Reading<'_>,
    findings: &[Finding],
    signal: Option<&Signal>,
    triggers: Vec<TriggerGroup>,
    fault: Option<String>,
) -> Explained {
    let kept = reading.kept;
    let mut explained = Explained {
        trace: reading.trace(),
        outcome: reading.outcome,
        fired_then: (kept.generation > 0)
            .then(|| kept.signalled.iter().any(|id| **id == *reading.rule.id)),
        reasons: Vec::new(),
        certainty: signal.map(|signal| signal.certainty),
        bodies: reading.bodies(findings),
        triggers,
        parts: Vec::new(),
        parts_more: 0,
        parts_missing: None,
        fault: fault.clone(),
    };
    let reasons = &mut explained.reasons;
    if let Some(fault) = fault {
        reasons.push(plain(format!("the rule did not judge it: {fault}")));
    }
    let absent: Vec<String> = explained
        .triggers
        .iter()
        .filter(|group| !group.met)
        .map(|group| {
            let wanted = group.triggers.iter().map(|t| t.text.as_str());
            let wanted: Vec<&str> = wanted.collect();
            format!("no {}", wanted.join(" or ").replacen("a span", "span", 1))
        })
        .collect();
    if !absent.is_empty() {
        reasons.push(plain(format!(
            "the rule was not asked: the trace has {}",
            absent.join(", and ")
        )));
    }
    match (reading.parts, reading.answers) {
        (None, _) => {
            explained.parts_missing = Some(
                "the rule came as a WebAssembly component, without the source that its parts are taken from".to_owned(),
            );
        }
        (Some(_), None) => {
            explained.parts_missing =
                Some("the trace is too large for its parts to be told".to_owned());
        }
        (Some(parts), Some(answers)) => {
            let answered = Answered { parts, answers };
            let deciding = decide(answered);
            reading.part_views(answered, &deciding, &mut explained);
            reading.reasons(answered, &deciding, &mut explained);
            reading.check(answered, findings, &mut explained);
        }
    }
    explained
}

fn plain(text: String) -> Reason {
    Reason { part: None, text }
}

impl Reading<'_> {
    fn trace(&self) -> TraceView {
        let kept = self.kept;
        let ends = (0..self.columns.order.len()).filter_map(|row| {
            let spot = self.spot(row)?;
            Some(spot.offset_ns()? + spot.duration_ns().unwrap_or(0))
        });
        TraceView {
            root_service: kept.root_service.as_deref().map(str::to_owned),
            root_name: kept.root_name.as_deref().map(str::to_owned),
            spans: kept.spans.len() as u64,
            extent_ns: ends.max().unwrap_or(0),
            completion: kept.completion.name().to_owned(),
            missing_parents: kept.missing_parents,
            dropped: kept.dropped,
            generation: kept.generation,
            judged_at: kept.judged_at,
        }
    }

    fn spot(&self, row: usize) -> Option<Spot<'_>> {
        let at = *self.columns.order.get(row)?;
        let start = self.columns.starts.first().copied().unwrap_or_default();
        Some(Spot::new(self.requests.request(at.request), at, row, start))
    }

    fn bodies(&self, findings: &[Finding]) -> Vec<Body> {
        let clauses = self.rule.manifest.clauses.iter().enumerate();
        clauses
            .map(|(index, clause)| Body {
                kind: clause.kind.name().to_owned(),
                text: clause.text.clone(),
                broken: findings.iter().any(|f| f.clause as usize == index),
            })
            .collect()
    }

    /// Lists the parts: all, or where they are too many, those that decide with what they stand in, and the first others.
    fn part_views(&self, answered: Answered<'_>, deciding: &[usize], explained: &mut Explained) {
        let parts = answered.parts;
        let mut listed: BTreeSet<usize> = BTreeSet::new();
        for &part in deciding {
            let mut at = Some(part);
            while let Some(part) = at.filter(|_| listed.len() < PARTS) {
                listed.insert(part);
                at = parts.get(part).and_then(|p| p.parent).map(|p| p as usize);
            }
        }
        for part in 0..parts.len() {
            if listed.len() >= PARTS {
                break;
            }
            listed.insert(part);
        }
        explained.parts_more = (parts.len() - listed.len()) as u64;
        let mut depths: Vec<u32> = Vec::with_capacity(parts.len());
        for part in parts {
            let above = part.parent.and_then(|parent| depths.get(parent as usize));
            depths.push(above.map_or(0, |depth| depth + 1));
        }
        let mut left = ALL_SPANS;
        for index in listed {
            let Some((part, answer)) = answered.part(index) else {
                continue;
            };
            let decides = deciding.contains(&index);
            let fields = if decides {
                self.fields(answered, index)
            } else {
                Vec::new()
            };
            let failed = part.kind == PartKind::Every && !answer.holds
                || decides && part.kind.is_of_spans() && answer.count == 0;
            let rows = match decides && part.kind.is_of_spans() && answer.count == 0 {
                true => self.asked(answered, index, ASKED_SPANS),
                false if decides => first(&answer.rows, DECIDING_SPANS),
                false => first(&answer.rows, OTHER_SPANS),
            };
            let rows = first(&rows, left);
            left -= rows.len();
            explained.parts.push(PartView {
                index: index as u32,
                parent: part.parent,
                depth: depths.get(index).copied().unwrap_or_default(),
                kind: part.kind.name().to_owned(),
                text: part.text.clone(),
                holds: answer.holds,
                decides,
                count: answer.count,
                others: others(parts, index, answer),
                spans: self.spans(parts, index, &rows),
                failed,
                fields,
            });
        }
    }

    fn reasons(&self, answered: Answered<'_>, deciding: &[usize], explained: &mut Explained) {
        for &index in deciding.iter().take(REASONS) {
            let Some((part, answer)) = answered.part(index) else {
                continue;
            };
            if part.kind == PartKind::Base && explained.outcome == Outcome::NotAsked {
                // That is what its triggers have said.
                continue;
            }
            let base = base_of(answered.parts, index).or_else(|| {
                let mut below = children(answered.parts, index).into_iter();
                below.find(|&child| {
                    answered
                        .part(child)
                        .is_some_and(|(part, _)| part.kind == PartKind::Base)
                })
            });
            let base = base.and_then(|base| answered.part(base));
            let view = explained.parts.iter().find(|v| v.index as usize == index);
            let decided = Decided {
                part,
                holds: answer.holds,
                count: answer.count.into(),
                others: others(answered.parts, index, answer).map(u64::from),
                base: base.map(|(part, answer)| (part.text.as_str(), answer.count.into())),
                fields: view.map(|view| view.fields.as_slice()).unwrap_or_default(),
            };
            let body = self.body_of(answered, index);
            let text = format!("{}{}", self.lead(answered, body), why(decided));
            explained.reasons.push(Reason {
                part: Some(index as u32),
                text,
            });
        }
    }

    fn body_of(&self, answered: Answered<'_>, part: usize) -> usize {
        let mut at = part;
        while let Some(parent) = answered.part(at).and_then(|(part, _)| part.parent) {
            at = parent as usize;
        }
        at
    }

    /// What stands before a reason: what the clause that it belongs to has come to.
    fn lead(&self, answered: Answered<'_>, body: usize) -> &'static str {
        let Some((part, answer)) = answered.part(body) else {
            return "";
        };
        match (part.kind, answer.holds) {
            (PartKind::When, false) => "`when` does not hold: ",
            (PartKind::When, true) => "`when` holds: ",
            (PartKind::Always, false) => "`always` is broken: ",
            (PartKind::Always, true) => "`always` holds: ",
            (PartKind::Never, true) => "`never` is broken: ",
            (PartKind::Never, false) => "`never` is kept: ",
            (PartKind::Expect, false) => "what is expected is not so: ",
            (PartKind::Expect, true) => "as expected: ",
            _ => "",
        }
    }

    /// Says so where the parts don't give the clauses that the rule found.
    fn check(&self, answered: Answered<'_>, findings: &[Finding], explained: &mut Explained) {
        let is_judged = matches!(explained.outcome, Outcome::Fires | Outcome::Quiet);
        let broken = broken(answered);
        let clauses = 0..broken.len() as u32;
        let found = clauses.map(|clause| findings.iter().any(|f| f.clause == clause));
        if is_judged && !found.eq(broken.iter().copied()) {
            explained.reasons.insert(
                0,
                plain(
                    "the parts below and the rule disagree: this is a bug in betrace, please report it with the rule and the trace"
                        .to_owned(),
                ),
            );
        }
    }

    /// What the fields of a part were in the spans that it was asked of.
    fn fields(&self, answered: Answered<'_>, index: usize) -> Vec<Field> {
        let Some((part, answer)) = answered.part(index) else {
            return Vec::new();
        };
        if part.kind == PartKind::Base {
            return Vec::new();
        }
        let rows = match part.kind {
            PartKind::Every if !answer.holds => answer.rows.clone(),
            kind if kind.is_of_spans() => self.asked(answered, index, usize::MAX),
            _ => return Vec::new(),
        };
        let mut fields: Vec<Field> = Vec::new();
        for column in compared(answered.parts, index) {
            let Some(mut fact) = fact::of_column(self.rule, column) else {
                continue;
            };
            fact.take(self.set, self.columns, column, &rows);
            let field = fact.view();
            if !fields.iter().any(|known| known.field == field.field) {
                fields.push(field);
            }
        }
        fields
    }

    /// The first rows that a filter is asked of: its base's.
    fn asked(&self, answered: Answered<'_>, index: usize, most: usize) -> Vec<u32> {
        let base = base_of(answered.parts, index).filter(|&base| base != index);
        let base = base.and_then(|base| answered.part(base));
        base.map(|(part, answer)| {
            let all = self.columns.order.len() as u32;
            match answer.count {
                // All spans are known, though only the first hundred are named.
                count if count == all && part.text == "spans" => (0..all).take(most).collect(),
                _ => first(&answer.rows, most),
            }
        })
        .unwrap_or_default()
    }

    fn spans(&self, parts: &[Part], index: usize, rows: &[u32]) -> Vec<Evidence> {
        let reads: Vec<ColumnKey> = compared(parts, index)
            .into_iter()
            .filter_map(|column| self.rule.manifest.columns.get(column as usize))
            .map(|column| column.key.clone())
            .collect();
        let spots = rows.iter().filter_map(|&row| self.spot(row as usize));
        spots
            .map(|spot| evidence(&spot, &reads, &self.set.projection, self.columns))
            .collect()
    }
}

/// The second number of an answer, where the part has one.
fn others(parts: &[Part], index: usize, answer: &Answer) -> Option<u32> {
    let is_base = |&child: &usize| {
        parts
            .get(child)
            .is_some_and(|part| part.kind == PartKind::Base)
    };
    let has = match parts.get(index)?.kind {
        PartKind::Every => true,
        PartKind::Number => children(parts, index).iter().filter(|c| is_base(c)).count() > 1,
        _ => false,
    };
    has.then_some(answer.others)
}

fn first(rows: &[u32], most: usize) -> Vec<u32> {
    rows.iter().take(most).copied().collect()
}

/// The columns that a part compares, and those below it.
pub(super) fn compared(parts: &[Part], index: usize) -> Vec<u32> {
    let own = parts.get(index).into_iter();
    let below = parts
        .iter()
        .skip(index + 1)
        .take_while(|part| part.parent.is_some_and(|parent| parent as usize >= index));
    let mut columns: Vec<u32> = Vec::new();
    for part in own.chain(below) {
        if part.kind == PartKind::Base {
            continue;
        }
        for &column in &part.columns {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
    columns
}
