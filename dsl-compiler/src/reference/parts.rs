//! What each part of a rule is for a trace, by the interpreter: for tests alone, as it is.

use super::{EVIDENCE, Row, Trace};
use crate::types::tree::{Condition, Items, Number, Predicate, Rule, Set, Table};

/// One part for one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Answer {
    pub holds: bool,
    pub count: usize,
    pub others: usize,
    /// The first hundred.
    pub spans: Vec<usize>,
}

/// The answers of a rule's parts, in preorder.
pub fn explain(rule: &Rule, trace: &Trace) -> Vec<Answer> {
    let mut asked = Asked {
        trace,
        answers: Vec::new(),
    };
    let when = rule.when.iter();
    for clause in when.chain(rule.clauses.iter().map(|(_, clause)| clause)) {
        asked.value(trace.holds(&clause.condition));
        asked.condition(&clause.condition);
    }
    asked.answers
}

struct Asked<'t> {
    trace: &'t Trace,
    answers: Vec<Answer>,
}

impl Asked<'_> {
    /// Of a part that names no spans.
    fn value(&mut self, holds: bool) {
        self.answer(holds, Vec::new(), 0, 0);
    }

    fn rows(&mut self, rows: Vec<usize>) {
        self.answer(!rows.is_empty(), rows.clone(), rows.len(), 0);
    }

    fn answer(&mut self, holds: bool, mut spans: Vec<usize>, count: usize, others: usize) {
        spans.truncate(EVIDENCE);
        self.answers.push(Answer {
            holds,
            count,
            others,
            spans,
        });
    }

    fn condition(&mut self, of: &Condition) {
        let trace = self.trace;
        let holds = trace.holds(of);
        match of {
            Condition::Constant(_) => self.value(holds),
            Condition::Not(inner) => {
                self.value(holds);
                self.condition(inner);
            }
            Condition::And(parts) | Condition::Or(parts) => {
                self.value(holds);
                parts.iter().for_each(|part| self.condition(part));
            }
            Condition::Exists(set) => {
                self.rows(trace.members(set));
                self.set(set);
            }
            Condition::Every(set, predicate) => {
                let members = trace.members(set);
                let violating = members.iter().copied();
                let violating: Vec<usize> = violating
                    .filter(|&span| !trace.row(span).is(predicate))
                    .collect();
                self.answer(holds, violating.clone(), violating.len(), members.len());
                self.set(set);
                self.filter(set, predicate, Table::Spans);
            }
            Condition::Compare(left, _, right) => {
                let sides = [left, right];
                let sets: Vec<&Set> = sides
                    .into_iter()
                    .filter_map(|side| match side {
                        Number::Count(set) => Some(set),
                        _ => None,
                    })
                    .collect();
                let members: Vec<Vec<usize>> = sets.iter().map(|set| trace.members(set)).collect();
                let length = |side: usize| members.get(side).map_or(0, Vec::len);
                let mut spans = members.concat();
                spans.sort_unstable();
                spans.dedup();
                self.answer(holds, spans, length(0), length(1));
                sets.into_iter().for_each(|set| self.set(set));
            }
        }
    }

    fn set(&mut self, set: &Set) {
        let rows = self.base(set);
        self.rows(rows);
        for filter in &set.filters {
            self.filter(set, filter, Table::Spans);
        }
    }

    fn base(&self, set: &Set) -> Vec<usize> {
        self.trace.members(&Set {
            filters: Vec::new(),
            ..set.clone()
        })
    }

    /// A predicate of the spans in the set's base, or of their items.
    fn filter(&mut self, set: &Set, of: &Predicate, table: Table) {
        let rows = self.base(set);
        let passing = rows.into_iter().filter(|&span| {
            let row = self.trace.row(span);
            match table {
                Table::Spans => row.is(of),
                Table::Events => row.span.events.iter().any(|event| {
                    let event = Some(event);
                    Row { event, ..row }.is(of)
                }),
                Table::Links => row.span.links.iter().any(|link| {
                    let link = Some(link);
                    Row { link, ..row }.is(of)
                }),
            }
        });
        let passing = passing.collect();
        self.rows(passing);
        match of {
            Predicate::Not(inner) => self.filter(set, inner, table),
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().for_each(|part| self.filter(set, part, table));
            }
            Predicate::Items(
                table,
                Items::Any(asked) | Items::All(asked) | Items::Count(asked, ..),
            ) if **asked != Predicate::Constant(true) => self.filter(set, asked, *table),
            _ => {}
        }
    }
}
