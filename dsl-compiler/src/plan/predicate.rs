//! Predicates over rows: tree to tests, with what static types decide decided.

use std::collections::BTreeSet;

use super::Planner;
use super::field::{Field, FieldKind, Types};
use super::number::{CountTest, IntTest};
use super::pattern::PatternKey;
use crate::diagnostic::Diagnostic;
use crate::types::tree::{
    self, Comparison, Constant, Items, Operand, Pattern, Predicate, Table, TextOperand,
};

/// True or false of one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Alone, or what is left of an empty `And` or `Or`: never inside one.
    Constant(bool),
    /// True where the other is false.
    Not(Box<Test>),
    /// True where each is; at least two.
    And(Vec<Test>),
    /// True where one is; at least two.
    Or(Vec<Test>),
    /// The bool `true`.
    IsTrue(Field),
    /// Not missing.
    Present(Field),
    /// An attribute of one of these types.
    HasType(Field, Types),
    /// Of the literal's type, and compares so.
    Compare(Field, Comparison, Literal),
    /// Of one type, and compare so.
    Fields(Field, Comparison, Field),
    /// Text that this pattern accepts.
    Match(Field, u32),
    /// Two texts that are so related.
    Texts(Field, TextRelation, Field),
    /// How many of the span's events or links pass.
    Items {
        /// Which.
        table: Table,
        /// The column of their offsets.
        offsets: u32,
        /// Asked of each.
        test: Box<Test>,
        /// How many must.
        quantity: Quantity,
    },
    /// Of an explanation alone: its predicate of this index, which is a function there.
    Part(u32),
}

/// The right side of a comparison, of a type that the left side can have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    /// Only `==` and `!=`.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number's bits.
    Float(u64),
    /// Text by its symbol: an index into the manifest's constants. Only `==` and `!=`.
    Symbol(u32),
    /// Text by its bytes.
    Text(String),
    /// Nanoseconds.
    Duration(i64),
    /// Only `==` and `!=`.
    Enum(u8),
}

/// How two texts are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum TextRelation {
    Contains,
    StartsWith,
    EndsWith,
}

/// How many items must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// At least one.
    Some,
    /// A number that passes this.
    Count(CountTest),
}

/// Text comparisons in one `or` beyond which a table of symbols beats comparing one by one.
const SYMBOLS_BY_TABLE: usize = 8;

impl Test {
    /// The opposite.
    pub fn negated(self) -> Test {
        match self {
            Test::Constant(answer) => Test::Constant(!answer),
            Test::Not(inner) => *inner,
            other => Test::Not(Box::new(other)),
        }
    }

    /// True where each is.
    pub fn all(tests: Vec<Test>) -> Test {
        let mut parts = Vec::with_capacity(tests.len());
        for test in tests {
            match test {
                Test::Constant(true) => {}
                Test::Constant(false) => return Test::Constant(false),
                Test::And(inner) => parts.extend(inner),
                other => parts.push(other),
            }
        }
        single(parts, true).unwrap_or_else(Test::And)
    }

    /// The columns whose values it compares, or asks for.
    pub fn columns(&self) -> BTreeSet<u32> {
        let mut columns = BTreeSet::new();
        self.gather(&mut columns);
        columns
    }

    fn gather(&self, columns: &mut BTreeSet<u32>) {
        match self {
            Test::Constant(_) | Test::Part(_) => {}
            Test::Not(inner) | Test::Items { test: inner, .. } => inner.gather(columns),
            Test::And(parts) | Test::Or(parts) => {
                parts.iter().for_each(|part| part.gather(columns));
            }
            Test::IsTrue(field)
            | Test::Present(field)
            | Test::HasType(field, _)
            | Test::Compare(field, _, _)
            | Test::Match(field, _) => {
                columns.insert(field.column);
            }
            Test::Fields(left, _, right) | Test::Texts(left, _, right) => {
                columns.extend([left.column, right.column]);
            }
        }
    }

    /// True where one is.
    pub fn any(tests: Vec<Test>) -> Test {
        let mut parts = Vec::with_capacity(tests.len());
        for test in tests {
            match test {
                Test::Constant(false) => {}
                Test::Constant(true) => return Test::Constant(true),
                Test::Or(inner) => parts.extend(inner),
                other => parts.push(other),
            }
        }
        single(parts, false).unwrap_or_else(Test::Or)
    }
}

/// What is left of a chain when it is no chain any more.
fn single(mut parts: Vec<Test>, neutral: bool) -> Result<Test, Vec<Test>> {
    match parts.len() {
        0 => Ok(Test::Constant(neutral)),
        1 => Ok(parts.pop().unwrap_or(Test::Constant(neutral))),
        _ => Err(parts),
    }
}

impl Planner<'_> {
    /// What a predicate asks of a row.
    pub(super) fn test(&mut self, predicate: &Predicate) -> Result<Test, Diagnostic> {
        Ok(match predicate {
            Predicate::Constant(answer) => Test::Constant(*answer),
            Predicate::Not(inner) => self.test(inner)?.negated(),
            Predicate::And(parts) => Test::all(self.tests(parts)?),
            Predicate::Or(parts) => {
                let parts = self.tests(parts)?;
                self.any(parts)?
            }
            Predicate::IsTrue(field) => self.is_true(field),
            Predicate::Exists(field) => self.present(field),
            Predicate::Compare(field, comparison, Operand::Constant(constant)) => {
                self.compare(field, *comparison, constant)
            }
            Predicate::Compare(left, comparison, Operand::Field(right)) => {
                self.compare_fields(left, *comparison, right)
            }
            Predicate::OneOf {
                field,
                items,
                negated,
            } => self.one_of(field, items, *negated)?,
            Predicate::Text(field, pattern) => self.text(field, pattern)?,
            Predicate::Items(table, items) => self.items(*table, items)?,
        })
    }

    fn tests(&mut self, predicates: &[Predicate]) -> Result<Vec<Test>, Diagnostic> {
        predicates.iter().map(|part| self.test(part)).collect()
    }

    /// `Test::any`, with many comparisons of one field with texts made one look into a table.
    pub(super) fn any(&mut self, tests: Vec<Test>) -> Result<Test, Diagnostic> {
        let parts = match Test::any(tests) {
            Test::Or(parts) => parts,
            other => return Ok(other),
        };
        let mut symbols: Vec<(Field, Vec<u32>)> = Vec::new();
        let mut rest = Vec::new();
        for part in parts {
            match part {
                Test::Compare(field, Comparison::Equal, Literal::Symbol(symbol)) => {
                    match symbols.iter_mut().find(|(of, _)| *of == field) {
                        Some((_, list)) => list.push(symbol),
                        None => symbols.push((field, vec![symbol])),
                    }
                }
                other => rest.push(other),
            }
        }
        for (field, mut list) in symbols {
            if list.len() > SYMBOLS_BY_TABLE {
                list.sort_unstable();
                list.dedup();
                let matcher = self.matchers.symbols(list);
                rest.push(Test::Match(field, matcher));
            } else {
                rest.extend(list.into_iter().map(|symbol| {
                    Test::Compare(field, Comparison::Equal, Literal::Symbol(symbol))
                }));
            }
        }
        Ok(Test::any(rest))
    }

    fn is_true(&mut self, field: &tree::Field) -> Test {
        let field = self.fields.field(field);
        match field.kind {
            FieldKind::Flag(_) | FieldKind::Attribute => {
                self.fields.compares(field, Types::BOOL);
                Test::IsTrue(field)
            }
            _ => Test::Constant(false),
        }
    }

    fn present(&mut self, field: &tree::Field) -> Test {
        let field = self.fields.field(field);
        match field.kind {
            FieldKind::Text | FieldKind::Duration | FieldKind::Time | FieldKind::Attribute => {
                Test::Present(field)
            }
            FieldKind::Int | FieldKind::Kind | FieldKind::Status | FieldKind::Flag(_) => {
                Test::Constant(true)
            }
        }
    }

    fn compare(
        &mut self,
        field: &tree::Field,
        comparison: Comparison,
        constant: &Constant,
    ) -> Test {
        let field = self.fields.field(field);
        let Some(types) = alike(field.kind, constant) else {
            return Test::Constant(false);
        };
        self.fields.compares(field, types);
        let literal = match constant {
            Constant::Int(int) => Literal::Int(*int),
            Constant::Float(float) => Literal::Float(float.to_bits()),
            Constant::Duration(ns) => Literal::Duration(*ns),
            Constant::Text(text) if comparison.is_equality() => {
                Literal::Symbol(self.fields.constant(text))
            }
            Constant::Text(text) => {
                self.fields.reads_text(field);
                Literal::Text(text.clone())
            }
            // Neither bools nor enums have an order.
            Constant::Bool(_) | Constant::Enum(_) if !comparison.is_equality() => {
                return Test::Constant(false);
            }
            Constant::Bool(bool) => Literal::Bool(*bool),
            Constant::Enum(number) => Literal::Enum(*number),
        };
        Test::Compare(field, comparison, literal)
    }

    fn compare_fields(
        &mut self,
        left: &tree::Field,
        comparison: Comparison,
        right: &tree::Field,
    ) -> Test {
        let (left, right) = (self.fields.field(left), self.fields.field(right));
        if !comparable(left.kind, right.kind, comparison) {
            return Test::Constant(false);
        }
        if !comparison.is_equality() {
            for field in [left, right] {
                if matches!(field.kind, FieldKind::Text | FieldKind::Attribute) {
                    self.fields.reads_text(field);
                }
            }
        }
        Test::Fields(left, comparison, right)
    }

    fn one_of(
        &mut self,
        field: &tree::Field,
        items: &[Constant],
        negated: bool,
    ) -> Result<Test, Diagnostic> {
        let tests = items
            .iter()
            .map(|item| self.compare(field, Comparison::Equal, item))
            .collect();
        let found = self.any(tests)?;
        if !negated {
            return Ok(found);
        }
        let of = self.fields.field(field);
        let mut types = None;
        for item in items {
            if let Some(more) = alike(of.kind, item) {
                types = Some(more.with(types.unwrap_or_default()));
            }
        }
        let like_an_item = match types {
            None => Test::Constant(false),
            Some(types) if of.kind == FieldKind::Attribute => Test::HasType(of, types),
            Some(_) => self.present(field),
        };
        Ok(Test::all(vec![like_an_item, found.negated()]))
    }

    fn text(&mut self, of: &tree::Field, pattern: &Pattern) -> Result<Test, Diagnostic> {
        let field = self.fields.field(of);
        if !has_text(field.kind) {
            return Ok(Test::Constant(false));
        }
        self.fields.compares(field, Types::TEXT);
        self.fields.reads_text(field);
        let (relation, operand) = match pattern {
            Pattern::Like(glob) => return self.matches(of, field, PatternKey::Like(glob.clone())),
            Pattern::Matches(regex) => {
                return self.matches(of, field, PatternKey::Regex(regex.clone()));
            }
            Pattern::Contains(operand) => (TextRelation::Contains, operand),
            Pattern::StartsWith(operand) => (TextRelation::StartsWith, operand),
            Pattern::EndsWith(operand) => (TextRelation::EndsWith, operand),
        };
        match operand {
            TextOperand::Constant(text) => {
                self.matches(of, field, PatternKey::Related(relation, text.clone()))
            }
            TextOperand::Field(other) => {
                let other = self.fields.field(other);
                if !has_text(other.kind) {
                    return Ok(Test::Constant(false));
                }
                self.fields.compares(other, Types::TEXT);
                self.fields.reads_text(other);
                Ok(Test::Texts(field, relation, other))
            }
        }
    }

    fn matches(
        &mut self,
        of: &tree::Field,
        field: Field,
        pattern: PatternKey,
    ) -> Result<Test, Diagnostic> {
        let matcher = self
            .matchers
            .pattern(pattern)
            .map_err(|problem| problem.diagnostic(of.span))?;
        Ok(Test::Match(field, matcher))
    }

    fn items(&mut self, table: Table, items: &Items) -> Result<Test, Diagnostic> {
        let offsets = self.fields.offsets(table);
        let quantified = |test: Test, quantity| Test::Items {
            table,
            offsets,
            test: Box::new(test),
            quantity,
        };
        Ok(match items {
            Items::Any(predicate) => quantified(self.test(predicate)?, Quantity::Some),
            Items::All(predicate) => {
                quantified(self.test(predicate)?.negated(), Quantity::Some).negated()
            }
            Items::Count(predicate, comparison, constant) => {
                let test = self.test(predicate)?;
                match constant {
                    Constant::Int(int) => quantified(
                        test,
                        Quantity::Count(IntTest::Compare(*comparison, *int).into()),
                    ),
                    Constant::Float(float) => quantified(
                        test,
                        Quantity::Count(IntTest::with_float(*comparison, *float).into()),
                    ),
                    _ => Test::Constant(false),
                }
            }
        })
    }
}

fn has_text(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Text | FieldKind::Attribute)
}

/// The attribute types that a field can have and the constant is of; none where they are never alike.
fn alike(kind: FieldKind, constant: &Constant) -> Option<Types> {
    match (kind, constant) {
        (FieldKind::Attribute | FieldKind::Flag(_), Constant::Bool(_)) => Some(Types::BOOL),
        (FieldKind::Attribute | FieldKind::Int, Constant::Int(_) | Constant::Float(_)) => {
            Some(Types::NUMBER)
        }
        (FieldKind::Attribute | FieldKind::Text, Constant::Text(_)) => Some(Types::TEXT),
        (FieldKind::Duration, Constant::Duration(_))
        | (FieldKind::Kind | FieldKind::Status, Constant::Enum(_)) => Some(Types::default()),
        _ => None,
    }
}

/// Whether two fields can be of one type that has this comparison.
fn comparable(left: FieldKind, right: FieldKind, comparison: Comparison) -> bool {
    use FieldKind::*;
    match (left, right) {
        (Attribute, Attribute | Text | Int) | (Text | Int, Attribute) => true,
        (Attribute, Flag(_)) | (Flag(_), Attribute | Flag(_)) | (Kind, Kind) | (Status, Status) => {
            comparison.is_equality()
        }
        (Text, Text) | (Int, Int) | (Duration, Duration) | (Time, Time) => true,
        _ => false,
    }
}
