//! Typed tree to the parts of an explanation: each node of what the author wrote, with what is to be asked of a trace to
//! say what that node is.
//!
//! The rule is planned first, as for `compile`, and each node then by the same planner, so that an explanation has the
//! rule's own columns, constants, patterns and sets, and a node's test is the one that the rule runs. Only the merging
//! that `compile` does of neighbours (`a or b` as one scan) has no part here. Logic is asked of the parts below it, so
//! that the code is linear in the source however deep it nests.

use super::condition::Condition;
use super::predicate::{Quantity, Test};
use super::{Plan, Planner, manifest};
use crate::diagnostic::Diagnostic;
use crate::types::tree::{self, Base, ClauseKind, Items, Number, Table};
use crate::types::wording;

/// What an explanation asks.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The rule's own plan, and behind its sets those that parts need besides.
    pub plan: Plan,
    /// In preorder.
    pub parts: Vec<Part>,
    /// What [`Test::Part`] refers to.
    pub predicates: Vec<Predicate>,
}

/// A node of the rule, with what is asked for it.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// The node it stands in, an earlier part.
    pub parent: Option<u32>,
    /// In the language of rules.
    pub text: String,
    /// Those of the manifest that it compares itself.
    pub columns: Vec<u32>,
    /// What it is for a trace; none: whether `counted` has spans.
    pub value: Option<Condition>,
    /// The set of the spans that it answers with.
    pub counted: Option<u32>,
    /// A second set.
    pub others: Option<Others>,
}

/// The second set of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    /// Which.
    pub set: u32,
    /// Whether its spans are among those of the answer, too.
    pub named: bool,
}

/// What a part is, as in `wit/rule.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PartKind {
    When,
    Detect,
    Expect,
    Always,
    Never,
    Both,
    Either,
    Negation,
    Present,
    Every,
    Number,
    Constant,
    Base,
    Filter,
    FilterBoth,
    FilterEither,
    FilterNegation,
}

/// Logic that a part asks of a row.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// Whose row, inside of the span's.
    pub table: Table,
    /// What is asked.
    pub test: Test,
}

/// Plans the explanation of a rule. `source` is the text that the tree's spans point into.
pub fn explain(rule: &tree::Rule, source: &str) -> Result<Explanation, Diagnostic> {
    let mut planner = Planner::new(source);
    let conditions = planner.conditions(rule)?;
    let mut dissection = Dissection {
        planner: &mut planner,
        parts: Vec::new(),
        predicates: Vec::new(),
    };
    if let (Some(clause), Some(value)) = (&rule.when, &conditions.0) {
        dissection.root(PartKind::When, clause, value)?;
    }
    for ((kind, clause), (_, value)) in rule.clauses.iter().zip(&conditions.1) {
        let kind = match kind {
            ClauseKind::Detect => PartKind::Detect,
            ClauseKind::Expect => PartKind::Expect,
            ClauseKind::Always => PartKind::Always,
            ClauseKind::Never => PartKind::Never,
        };
        dissection.root(kind, clause, value)?;
    }
    let Dissection {
        parts, predicates, ..
    } = dissection;
    Ok(Explanation {
        plan: planner.finish(rule, conditions),
        parts,
        predicates,
    })
}

struct Dissection<'p, 's> {
    planner: &'p mut Planner<'s>,
    parts: Vec<Part>,
    predicates: Vec<Predicate>,
}

/// Where a predicate stands: the part above it, the base whose spans are asked, and whose row it is about.
#[derive(Clone, Copy)]
struct Place<'b> {
    parent: u32,
    base: &'b Test,
    table: Table,
}

impl Dissection<'_, '_> {
    /// A body of the rule. Its value is what the rule itself asks.
    fn root(
        &mut self,
        kind: PartKind,
        clause: &tree::Clause,
        value: &Condition,
    ) -> Result<(), Diagnostic> {
        let text = manifest::text(clause, self.planner.source);
        let part = self.part(kind, None, text);
        self.at(part).value = Some(value.clone());
        self.condition(part, &clause.condition)?;
        Ok(())
    }

    fn condition(&mut self, parent: u32, of: &tree::Condition) -> Result<u32, Diagnostic> {
        let kind = match of {
            tree::Condition::Constant(_) => PartKind::Constant,
            tree::Condition::Not(_) => PartKind::Negation,
            tree::Condition::And(_) => PartKind::Both,
            tree::Condition::Or(_) => PartKind::Either,
            tree::Condition::Exists(_) => PartKind::Present,
            tree::Condition::Every(..) => PartKind::Every,
            tree::Condition::Compare(..) => PartKind::Number,
        };
        let part = self.part(kind, Some(parent), wording::condition(of));
        let value = match of {
            tree::Condition::Not(inner) => {
                Condition::Not(Box::new(Condition::Part(self.condition(part, inner)?)))
            }
            tree::Condition::And(parts) => Condition::And(self.conditions(part, parts)?),
            tree::Condition::Or(parts) => Condition::Or(self.conditions(part, parts)?),
            asked => self.planner.condition(asked)?,
        };
        self.sets(part, of, &value)?;
        self.at(part).value = Some(value);
        Ok(part)
    }

    fn conditions(
        &mut self,
        parent: u32,
        parts: &[tree::Condition],
    ) -> Result<Vec<Condition>, Diagnostic> {
        parts
            .iter()
            .map(|part| self.condition(parent, part).map(Condition::Part))
            .collect()
    }

    /// The sets of a condition: what it counts, and their parts.
    fn sets(
        &mut self,
        part: u32,
        of: &tree::Condition,
        planned: &Condition,
    ) -> Result<(), Diagnostic> {
        match of {
            tree::Condition::Exists(set) => {
                self.at(part).counted = Some(self.planner.counted(set)?);
                self.set(part, set)?;
            }
            tree::Condition::Every(set, predicate) => {
                if let Condition::Every { set, violating } = *planned {
                    self.at(part).counted = Some(violating);
                    self.at(part).others = Some(Others { set, named: false });
                }
                let base = self.set(part, set)?;
                self.filter(Place::of_span(part, &base), predicate)?;
            }
            tree::Condition::Compare(left, _, right) => {
                for side in [left, right] {
                    let Number::Count(set) = side else { continue };
                    let counted = self.planner.counted(set)?;
                    match self.at(part) {
                        part if part.counted.is_none() => part.counted = Some(counted),
                        part => {
                            part.others = Some(Others {
                                set: counted,
                                named: true,
                            });
                        }
                    }
                    self.set(part, set)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The parts of a set: its base, whose test is returned, and its filters.
    fn set(&mut self, parent: u32, set: &tree::Set) -> Result<Test, Diagnostic> {
        let base = self.base(parent, &set.base);
        for filter in &set.filters {
            self.filter(Place::of_span(parent, &base), filter)?;
        }
        Ok(base)
    }

    fn base(&mut self, parent: u32, base: &Base) -> Test {
        let text = wording::base(base);
        let test = self.planner.base(base);
        let part = self.part(PartKind::Base, Some(parent), text);
        self.answers_with(part, test.clone());
        self.at(part).columns.extend(test.columns());
        test
    }

    /// A predicate, and those below it; returns how the part above it asks the same.
    fn filter(&mut self, place: Place<'_>, of: &tree::Predicate) -> Result<Test, Diagnostic> {
        let kind = match of {
            tree::Predicate::Not(_) => PartKind::FilterNegation,
            tree::Predicate::And(_) => PartKind::FilterBoth,
            tree::Predicate::Or(_) => PartKind::FilterEither,
            _ => PartKind::Filter,
        };
        let part = self.part(kind, Some(place.parent), wording::predicate(of));
        let below = Place {
            parent: part,
            ..place
        };
        let test = match of {
            tree::Predicate::Not(inner) => self.filter(below, inner)?.negated(),
            tree::Predicate::And(parts) => {
                let test = Test::all(self.filters(below, parts)?);
                self.once(place.table, test)
            }
            tree::Predicate::Or(parts) => {
                let test = Test::any(self.filters(below, parts)?);
                self.once(place.table, test)
            }
            asked => {
                let test = self.planner.test(asked)?;
                match asked {
                    tree::Predicate::Items(table, items) => self.items(below, *table, items)?,
                    _ => self.at(part).columns.extend(test.columns()),
                }
                test
            }
        };
        let rows = place.rows(self.planner, test.clone());
        self.answers_with(part, rows);
        Ok(test)
    }

    fn filters(
        &mut self,
        place: Place<'_>,
        parts: &[tree::Predicate],
    ) -> Result<Vec<Test>, Diagnostic> {
        parts.iter().map(|part| self.filter(place, part)).collect()
    }

    /// A test that several parts ask, as one function.
    fn once(&mut self, table: Table, test: Test) -> Test {
        if let Test::Constant(_) = test {
            return test;
        }
        self.predicates.push(Predicate { table, test });
        Test::Part(self.predicates.len() as u32 - 1)
    }

    /// What is asked of a span's events or links; nothing of any of them (`events.count()`) is no part.
    fn items(&mut self, place: Place<'_>, table: Table, items: &Items) -> Result<(), Diagnostic> {
        let (Items::Any(asked) | Items::All(asked) | Items::Count(asked, ..)) = items;
        if **asked != tree::Predicate::Constant(true) {
            self.filter(Place { table, ..place }, asked)?;
        }
        Ok(())
    }

    /// Gives a part the rows that pass a test.
    fn answers_with(&mut self, part: u32, test: Test) {
        let text = self.at(part).text.clone();
        let set = self.planner.sets.intern(test, &text);
        self.at(part).counted = Some(set);
    }

    fn part(&mut self, kind: PartKind, parent: Option<u32>, text: String) -> u32 {
        self.parts.push(Part {
            kind,
            parent,
            text,
            columns: Vec::new(),
            value: None,
            counted: None,
            others: None,
        });
        self.parts.len() as u32 - 1
    }

    /// A part by an index that `part` gave.
    fn at(&mut self, part: u32) -> &mut Part {
        &mut self.parts[part as usize]
    }
}

impl<'b> Place<'b> {
    fn of_span(parent: u32, base: &'b Test) -> Place<'b> {
        Place {
            parent,
            base,
            table: Table::Spans,
        }
    }

    /// The spans of the base that pass a test, or have an item that does.
    fn rows(&self, planner: &mut Planner<'_>, test: Test) -> Test {
        let passes = match self.table {
            Table::Spans => test,
            table => Test::Items {
                table,
                offsets: planner.fields.offsets(table),
                test: Box::new(test),
                quantity: Quantity::Some,
            },
        };
        Test::all(vec![self.base.clone(), passes])
    }
}
