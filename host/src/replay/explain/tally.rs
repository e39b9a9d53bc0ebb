//! What each part of a rule was over many traces, and so which of them were never as they would have to be.

use std::ops::Range;

use super::decide::{base_of, bodies, children};
use super::desk::Desk;
use super::explained::Field;
use super::fact::{self, Fact};
use super::read::compared;
use super::words::{Decided, one_line, reason};
use crate::engine::Rule;
use crate::engine::explain::{Answer, Part, PartKind};
use crate::replay::verdict::NeverTrue;

/// Parts that are named.
const NEVER: usize = 8;

/// What parts were in all traces together.
pub(super) struct Tally {
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
    pub(super) fn new(parts: &[Part], rule: &Rule) -> Tally {
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

    pub(super) fn take(
        &mut self,
        desk: &Desk,
        parts: &[Part],
        answers: &[Answer],
        rows: Range<u32>,
    ) {
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
    pub(super) fn never(&self, parts: &[Part]) -> Vec<NeverTrue> {
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
