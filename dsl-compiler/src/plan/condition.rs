//! Conditions of a trace: which sets are scanned, how far, and what is asked of the number of spans found.

use std::collections::HashMap;

use super::number::{CountTest, IntTest};
use super::predicate::{Literal, Test};
use super::{Planner, excerpt};
use crate::diagnostic::Diagnostic;
use crate::types::tree::{self, Base, Comparison, Number};

/// True or false of a whole trace. Sets are indices into the plan's.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Whatever the trace.
    Constant(bool),
    /// True where the other is false.
    Not(Box<Condition>),
    /// True where each is.
    And(Vec<Condition>),
    /// True where one is.
    Or(Vec<Condition>),
    /// The set is not empty.
    Exists(u32),
    /// None of the set is in the set of those that violate it.
    Every {
        /// What is evidence where it holds.
        set: u32,
        /// What is evidence where it does not.
        violating: u32,
    },
    /// The number of spans in the set passes.
    Count(u32, CountTest),
    /// The numbers of spans in two sets compare so.
    Counts(u32, Comparison, u32),
    /// Of an explanation alone: what this part of it was found to be.
    Part(u32),
}

/// Spans of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Whether a span is in it.
    pub test: Test,
    /// Its source, for people.
    pub text: String,
    /// How many spans need to be found, for every condition that asks.
    pub limit: u32,
    /// How many conditions ask.
    pub uses: u32,
}

/// The distinct sets so far.
#[derive(Debug, Default)]
pub(super) struct Sets {
    pub(super) list: Vec<Set>,
    index: HashMap<Test, u32>,
}

impl Sets {
    pub(super) fn intern(&mut self, test: Test, text: &str) -> u32 {
        let list = &mut self.list;
        *self.index.entry(test).or_insert_with_key(|test| {
            list.push(Set {
                test: test.clone(),
                text: text.to_owned(),
                limit: 1,
                uses: 0,
            });
            list.len() as u32 - 1
        })
    }

    fn asked(&mut self, set: u32, limit: u32) {
        if let Some(set) = self.list.get_mut(set as usize) {
            set.limit = set.limit.max(limit);
            set.uses += 1;
        }
    }
}

impl Planner<'_> {
    pub(super) fn condition(
        &mut self,
        condition: &tree::Condition,
    ) -> Result<Condition, Diagnostic> {
        Ok(match condition {
            tree::Condition::Constant(answer) => Condition::Constant(*answer),
            tree::Condition::Not(inner) => Condition::Not(Box::new(self.condition(inner)?)),
            tree::Condition::And(parts) => Condition::And(
                parts
                    .iter()
                    .map(|part| self.condition(part))
                    .collect::<Result<_, _>>()?,
            ),
            tree::Condition::Or(parts) => self.or(parts)?,
            tree::Condition::Exists(set) => {
                let test = self.set_test(set)?;
                self.exists(test, excerpt(self.source, set.span.start, set.span.end))
            }
            tree::Condition::Every(set, predicate) => self.every(set, predicate)?,
            tree::Condition::Compare(left, comparison, right) => {
                self.compare_numbers(left, *comparison, right)?
            }
        })
    }

    /// One scan finds the spans of all the sets of which one is to be there: the answer and the evidence are the same.
    fn or(&mut self, parts: &[tree::Condition]) -> Result<Condition, Diagnostic> {
        let mut tests = Vec::new();
        let mut spans = Vec::new();
        let mut rest = Vec::new();
        for part in parts {
            if let tree::Condition::Exists(set) = part {
                tests.push(self.set_test(set)?);
                spans.push(set.span);
            } else {
                rest.push(self.condition(part)?);
            }
        }
        if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
            let text = excerpt(self.source, first.start, last.end);
            let test = self.any(tests)?;
            let exists = self.exists(test, text);
            if rest.is_empty() {
                return Ok(exists);
            }
            rest.insert(0, exists);
        }
        Ok(Condition::Or(rest))
    }

    fn exists(&mut self, test: Test, text: &str) -> Condition {
        let set = self.sets.intern(test, text);
        self.sets.asked(set, 1);
        Condition::Exists(set)
    }

    fn every(
        &mut self,
        set: &tree::Set,
        predicate: &tree::Predicate,
    ) -> Result<Condition, Diagnostic> {
        let text = excerpt(self.source, set.span.start, set.span.end);
        let within = self.set_test(set)?;
        let violates = self.test(predicate)?.negated();
        let violating = self.sets.intern(
            Test::all(vec![within.clone(), violates]),
            &format!("{text}, violating"),
        );
        let set = self.sets.intern(within, text);
        self.sets.asked(violating, 1);
        Ok(Condition::Every { set, violating })
    }

    fn compare_numbers(
        &mut self,
        left: &Number,
        comparison: Comparison,
        right: &Number,
    ) -> Result<Condition, Diagnostic> {
        let (set, test) = match (left, right) {
            (Number::Count(left), Number::Count(right)) => {
                let (left, right) = (self.counted(left)?, self.counted(right)?);
                self.sets.asked(left, u32::MAX);
                self.sets.asked(right, u32::MAX);
                return Ok(Condition::Counts(left, comparison, right));
            }
            (Number::Count(set), literal) => (set, test_of(comparison, literal)),
            (literal, Number::Count(set)) => (set, test_of(comparison.flipped(), literal)),
            (left, right) => {
                return Ok(Condition::Constant(compare_literals(
                    left, comparison, right,
                )));
            }
        };
        let set = self.counted(set)?;
        if let CountTest::Compare(..) = test {
            self.sets.asked(set, test.limit());
        }
        Ok(Condition::Count(set, test))
    }

    /// The index of a set.
    pub(super) fn counted(&mut self, set: &tree::Set) -> Result<u32, Diagnostic> {
        let test = self.set_test(set)?;
        let text = excerpt(self.source, set.span.start, set.span.end);
        Ok(self.sets.intern(test, text))
    }

    fn set_test(&mut self, set: &tree::Set) -> Result<Test, Diagnostic> {
        let mut tests = Vec::with_capacity(set.filters.len() + 1);
        tests.push(self.base(&set.base));
        for filter in &set.filters {
            tests.push(self.test(filter)?);
        }
        Ok(Test::all(tests))
    }

    /// Whether a span is of a base.
    pub(super) fn base(&mut self, base: &Base) -> Test {
        match base {
            Base::All => Test::Constant(true),
            Base::Named(name) => {
                let symbol = self.fields.constant(name);
                let field = self.fields.name();
                Test::Compare(field, Comparison::Equal, Literal::Symbol(symbol))
            }
            Base::Prefixed(prefix) => {
                let field = self.fields.name();
                self.fields.reads_text(field);
                Test::Match(field, self.matchers.prefix(prefix))
            }
        }
    }
}

/// How a count compares with a literal.
fn test_of(comparison: Comparison, literal: &Number) -> CountTest {
    match literal {
        Number::Int(int) => IntTest::Compare(comparison, *int).into(),
        Number::Float(float) => IntTest::with_float(comparison, *float).into(),
        Number::Count(_) => CountTest::Always(false),
    }
}

fn compare_literals(left: &Number, comparison: Comparison, right: &Number) -> bool {
    match (left, right) {
        (Number::Int(left), Number::Int(right)) => comparison.holds(left.cmp(right)),
        (Number::Int(left), Number::Float(right)) => {
            IntTest::with_float(comparison, *right).holds(*left)
        }
        (Number::Float(left), Number::Int(right)) => {
            IntTest::with_float(comparison.flipped(), *left).holds(*right)
        }
        (Number::Float(left), Number::Float(right)) => match left.partial_cmp(right) {
            Some(ordering) => comparison.holds(ordering),
            None => comparison == Comparison::NotEqual,
        },
        _ => false,
    }
}
