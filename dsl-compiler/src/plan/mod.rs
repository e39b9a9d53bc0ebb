//! Typed tree to plan: what the rule says of itself (the manifest) and what is to be run for a trace.
//!
//! In: `types::tree::Rule`. Out: [`Plan`]. Invariants: every set, column, constant and pattern is there once and is
//! referred to by its index; a predicate that its static types make constant is gone; text patterns are automata.

mod automaton;
mod condition;
mod error;
mod explanation;
mod expression;
mod field;
mod manifest;
mod number;
mod pattern;
mod predicate;
mod stability;
mod triggers;

use crate::diagnostic::Diagnostic;
use crate::types::tree;

pub use automaton::Automaton;
pub use condition::{Condition, Set};
pub use explanation::{Explanation, Others, Part, PartKind, Predicate, explain};
pub use field::{Field, FieldKind, Types};
pub use manifest::{Clause, Column, ColumnSource, Fact, Manifest, Trigger};
pub use number::{CountTest, FloatTest, IntTest};
pub use pattern::{Matcher, MatcherKind};
pub use predicate::{Literal, Quantity, Test, TextRelation};

/// A rule, ready to be emitted.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the rule says of itself.
    pub manifest: Manifest,
    /// The distinct sets of spans.
    pub sets: Vec<Set>,
    /// The distinct text patterns.
    pub matchers: Vec<Matcher>,
    /// Where it is false, no clause is asked.
    pub when: Option<Condition>,
    /// What can break, in the order of the manifest's clauses.
    pub clauses: Vec<(tree::ClauseKind, Condition)>,
}

/// Plans a rule. `source` is the text that the tree's spans point into.
pub fn plan(rule: &tree::Rule, source: &str) -> Result<Plan, Diagnostic> {
    let mut planner = Planner::new(source);
    let conditions = planner.conditions(rule)?;
    Ok(planner.finish(rule, conditions))
}

/// `when` and the clauses of a rule.
type Conditions = (Option<Condition>, Vec<(tree::ClauseKind, Condition)>);

/// What planning gathers.
struct Planner<'s> {
    source: &'s str,
    fields: field::Fields,
    sets: condition::Sets,
    matchers: pattern::Matchers,
}

impl<'s> Planner<'s> {
    fn new(source: &'s str) -> Self {
        Planner {
            source,
            fields: field::Fields::default(),
            sets: condition::Sets::default(),
            matchers: pattern::Matchers::default(),
        }
    }

    fn conditions(&mut self, rule: &tree::Rule) -> Result<Conditions, Diagnostic> {
        let when = match &rule.when {
            Some(clause) => Some(self.condition(&clause.condition)?),
            None => None,
        };
        let mut clauses = Vec::with_capacity(rule.clauses.len());
        for (kind, clause) in &rule.clauses {
            clauses.push((*kind, self.condition(&clause.condition)?));
        }
        Ok((when, clauses))
    }

    fn finish(self, rule: &tree::Rule, (when, clauses): Conditions) -> Plan {
        let manifest = Manifest {
            id: rule.id.clone(),
            description: rule.description.clone(),
            severity: rule.severity,
            tags: rule.tags.clone(),
            message: rule.message.clone(),
            clauses: manifest::clauses(rule, self.source),
            columns: self.fields.columns,
            constants: self.fields.constants,
            triggers: triggers::of(rule),
        };
        Plan {
            manifest,
            sets: self.sets.list,
            matchers: self.matchers.list,
            when,
            clauses,
        }
    }
}

/// The text between two bytes of the source; empty where they are not in it.
fn excerpt(source: &str, start: u32, end: u32) -> &str {
    source
        .get(start as usize..end as usize)
        .unwrap_or_default()
        .trim()
}
