//! Short ways to write trees and traces.

use betrace_dsl::diagnostic;
use betrace_dsl::reference::{Item, Span, Trace, Value};
use betrace_dsl::types::tree::{
    Base, Clause, ClauseKind, Condition, Constant, Field, Intrinsic, Operand, Pattern, Place,
    Predicate, Rule, Set, Severity, Source, Table,
};

pub use betrace_dsl::types::tree::Comparison::{self, *};

pub fn detect(condition: Condition) -> Rule {
    rule(None, vec![(ClauseKind::Detect, condition)])
}

pub fn rule(when: Option<Condition>, clauses: Vec<(ClauseKind, Condition)>) -> Rule {
    Rule {
        id: "a-rule".to_owned(),
        span: diagnostic::Span::default(),
        declaration: diagnostic::Span::default(),
        description: String::new(),
        severity: Severity::Medium,
        tags: Vec::new(),
        message: String::new(),
        when: when.map(clause),
        clauses: clauses
            .into_iter()
            .map(|(kind, condition)| (kind, clause(condition)))
            .collect(),
    }
}

fn clause(condition: Condition) -> Clause {
    Clause {
        condition,
        span: diagnostic::Span::default(),
    }
}

pub fn set(base: Base, filters: Vec<Predicate>) -> Set {
    Set {
        base,
        filters,
        span: diagnostic::Span::default(),
    }
}

pub fn named(name: &str) -> Set {
    set(Base::Named(name.to_owned()), Vec::new())
}

/// The spans that are so.
pub fn spans(predicate: Predicate) -> Set {
    set(Base::All, vec![predicate])
}

pub fn field(table: Table, source: Source) -> Field {
    Field {
        table,
        source,
        span: diagnostic::Span::default(),
    }
}

pub fn attribute(key: &str) -> Field {
    placed(Place::Any, key)
}

pub fn placed(place: Place, key: &str) -> Field {
    field(Table::Spans, Source::Attribute(place, key.to_owned()))
}

pub fn fact(intrinsic: Intrinsic) -> Field {
    field(Table::Spans, Source::Intrinsic(intrinsic))
}

pub fn compare(field: Field, comparison: Comparison, constant: Constant) -> Predicate {
    Predicate::Compare(field, comparison, Operand::Constant(constant))
}

pub fn compare_fields(left: Field, comparison: Comparison, right: Field) -> Predicate {
    Predicate::Compare(left, comparison, Operand::Field(right))
}

pub fn text(text: &str) -> Constant {
    Constant::Text(text.to_owned())
}

pub fn matches(field: Field, regex: &str) -> Predicate {
    Predicate::Text(field, Pattern::Matches(regex.to_owned()))
}

pub fn not(predicate: Predicate) -> Predicate {
    Predicate::Not(Box::new(predicate))
}

/// A span of this name.
pub fn span(name: &str) -> Span {
    Span {
        name: Some(name.to_owned()),
        ..Span::default()
    }
}

/// A span with this attribute `x`.
pub fn with(value: Value) -> Span {
    Span {
        attributes: vec![(Place::Span, "x".to_owned(), value)],
        ..Span::default()
    }
}

pub fn event(name: &str) -> Item {
    Item {
        name: Some(name.to_owned()),
        ..Item::default()
    }
}

pub fn trace(spans: Vec<Span>) -> Trace {
    Trace { spans }
}
