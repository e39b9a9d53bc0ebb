//! What a rule means: an interpreter of the typed tree over plain traces, for tests alone.
//!
//! Small and obvious rather than fast, and independent of `plan` and `emit`: where the compiled rule and this file
//! disagree, the compiled rule is wrong.

mod parts;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use regex_automata::Input;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;

use crate::types::regex;
use crate::types::tree::{
    Base, ClauseKind, Comparison, Condition, Constant, Field, Intrinsic, Items, Number, Operand,
    Pattern, Place, Predicate, Rule, Set, Source, Table, TextOperand,
};

pub use parts::{Answer, explain};

/// Spans in tree preorder.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Trace {
    pub spans: Vec<Span>,
}

/// A span; `None` is missing.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Span {
    pub name: Option<String>,
    pub service: Option<String>,
    pub status_message: Option<String>,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    pub parent_id: Option<String>,
    pub kind: u8,
    pub status: u8,
    pub start: Option<i64>,
    pub end: Option<i64>,
    pub duration: Option<i64>,
    pub self_time: Option<i64>,
    pub depth: u32,
    pub child_count: u32,
    pub is_root: bool,
    pub is_leaf: bool,
    /// Where it is (never `Any`), its key and its value.
    pub attributes: Vec<(Place, String, Value)>,
    pub events: Vec<Item>,
    pub links: Vec<Item>,
}

/// An event (name and time) or a link (trace and span id).
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Item {
    pub name: Option<String>,
    pub time: Option<i64>,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    pub attributes: Vec<(String, Value)>,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array,
    Map,
    Bytes,
}

/// A broken clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Index into the rule's clauses.
    pub clause: usize,
    /// The first hundred spans of its evidence.
    pub spans: Vec<usize>,
    /// How many more there are.
    pub more: usize,
}

/// Spans a finding names.
const EVIDENCE: usize = 100;

/// What a rule finds in a trace.
pub fn evaluate(rule: &Rule, trace: &Trace) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(when) = &rule.when
        && !trace.holds(&when.condition)
    {
        return findings;
    }
    for (index, (kind, clause)) in rule.clauses.iter().enumerate() {
        let broken_when = matches!(kind, ClauseKind::Detect | ClauseKind::Never);
        if trace.holds(&clause.condition) != broken_when {
            continue;
        }
        let mut spans = BTreeSet::new();
        if let Some(when) = &rule.when {
            trace.evidence(&when.condition, true, &mut spans);
        }
        trace.evidence(&clause.condition, broken_when, &mut spans);
        findings.push(Finding {
            clause: index,
            more: spans.len().saturating_sub(EVIDENCE),
            spans: spans.into_iter().take(EVIDENCE).collect(),
        });
    }
    findings
}

impl Trace {
    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Constant(answer) => *answer,
            Condition::Not(inner) => !self.holds(inner),
            Condition::And(parts) => parts.iter().all(|part| self.holds(part)),
            Condition::Or(parts) => parts.iter().any(|part| self.holds(part)),
            Condition::Exists(set) => !self.members(set).is_empty(),
            Condition::Every(set, predicate) => self
                .members(set)
                .into_iter()
                .all(|span| self.row(span).is(predicate)),
            Condition::Compare(left, comparison, right) => {
                compare(&self.number(left), *comparison, &self.number(right))
            }
        }
    }

    fn members(&self, set: &Set) -> Vec<usize> {
        let based = |span: &Span| match (&set.base, &span.name) {
            (Base::All, _) => true,
            (Base::Named(name), Some(own)) => own == name,
            (Base::Prefixed(prefix), Some(own)) => own.starts_with(prefix.as_str()),
            (_, None) => false,
        };
        (0..self.spans.len())
            .filter(|&span| based(&self.spans[span]))
            .filter(|&span| set.filters.iter().all(|filter| self.row(span).is(filter)))
            .collect()
    }

    fn number(&self, number: &Number) -> Read<'_> {
        match number {
            Number::Count(set) => Read::Int(self.members(set).len() as i64),
            Number::Int(int) => Read::Int(*int),
            Number::Float(float) => Read::Float(*float),
        }
    }

    /// The spans that made a condition have this value.
    fn evidence(&self, condition: &Condition, value: bool, spans: &mut BTreeSet<usize>) {
        match condition {
            Condition::Constant(_) => {}
            Condition::Not(inner) => self.evidence(inner, !value, spans),
            Condition::And(parts) | Condition::Or(parts) => {
                for part in parts {
                    if self.holds(part) == value {
                        self.evidence(part, value, spans);
                    }
                }
            }
            Condition::Exists(set) => {
                if value {
                    spans.extend(self.members(set));
                }
            }
            Condition::Every(set, predicate) => spans.extend(
                self.members(set)
                    .into_iter()
                    .filter(|&span| value || !self.row(span).is(predicate)),
            ),
            Condition::Compare(left, _, right) => {
                for side in [left, right] {
                    if let Number::Count(set) = side {
                        spans.extend(self.members(set));
                    }
                }
            }
        }
    }

    fn row(&self, span: usize) -> Row<'_> {
        Row {
            span: &self.spans[span],
            event: None,
            link: None,
        }
    }
}

/// A span, and inside `events.any(...)` and its like an item of it.
#[derive(Clone, Copy)]
struct Row<'t> {
    span: &'t Span,
    event: Option<&'t Item>,
    link: Option<&'t Item>,
}

/// What is read from a row, or stands in the rule.
#[derive(Clone, Debug)]
enum Read<'t> {
    Missing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'t str),
    Duration(i64),
    Time(i64),
    Kind(u8),
    Status(u8),
    /// A literal: a kind or a status.
    Enum(u8),
    /// Arrays, maps, bytes: there, and unlike everything.
    Other,
}

impl<'t> Row<'t> {
    fn is(&self, predicate: &Predicate) -> bool {
        match predicate {
            Predicate::Constant(answer) => *answer,
            Predicate::Not(inner) => !self.is(inner),
            Predicate::And(parts) => parts.iter().all(|part| self.is(part)),
            Predicate::Or(parts) => parts.iter().any(|part| self.is(part)),
            Predicate::IsTrue(field) => matches!(self.read(field), Read::Bool(true)),
            Predicate::Exists(field) => !matches!(self.read(field), Read::Missing),
            Predicate::Compare(field, comparison, Operand::Constant(constant)) => {
                compare(&self.read(field), *comparison, &literal(constant))
            }
            Predicate::Compare(field, comparison, Operand::Field(other)) => {
                compare(&self.read(field), *comparison, &self.read(other))
            }
            Predicate::OneOf {
                field,
                items,
                negated,
            } => {
                let read = self.read(field);
                let mut like = items
                    .iter()
                    .map(literal)
                    .filter(|item| alike(&read, item))
                    .peekable();
                let is_like_one = like.peek().is_some();
                let equals_one = like.any(|item| compare(&read, Comparison::Equal, &item));
                is_like_one && equals_one != *negated
            }
            Predicate::Text(field, pattern) => self.matches(field, pattern),
            Predicate::Items(table, items) => self.items(*table, items),
        }
    }

    fn items(&self, table: Table, items: &Items) -> bool {
        let rows: Vec<Row<'t>> = match table {
            Table::Links => self
                .span
                .links
                .iter()
                .map(|link| Row {
                    link: Some(link),
                    ..*self
                })
                .collect(),
            Table::Events | Table::Spans => self
                .span
                .events
                .iter()
                .map(|event| Row {
                    event: Some(event),
                    ..*self
                })
                .collect(),
        };
        match items {
            Items::Any(predicate) => rows.iter().any(|row| row.is(predicate)),
            Items::All(predicate) => rows.iter().all(|row| row.is(predicate)),
            Items::Count(predicate, comparison, constant) => {
                let count = rows.iter().filter(|row| row.is(predicate)).count();
                compare(&Read::Int(count as i64), *comparison, &literal(constant))
            }
        }
    }

    fn matches(&self, field: &Field, pattern: &Pattern) -> bool {
        let Read::Text(text) = self.read(field) else {
            return false;
        };
        let related = |operand: &TextOperand, holds: fn(&str, &str) -> bool| match operand {
            TextOperand::Constant(other) => holds(text, other),
            TextOperand::Field(other) => match self.read(other) {
                Read::Text(other) => holds(text, other),
                _ => false,
            },
        };
        match pattern {
            Pattern::Contains(operand) => related(operand, |text, other| text.contains(other)),
            Pattern::StartsWith(operand) => related(operand, |text, other| text.starts_with(other)),
            Pattern::EndsWith(operand) => related(operand, |text, other| text.ends_with(other)),
            Pattern::Like(glob) => like(text, glob),
            Pattern::Matches(regex) => matches_regex(text, regex),
        }
    }

    fn read(&self, field: &Field) -> Read<'t> {
        match &field.source {
            Source::Attribute(place, key) => self.attribute(field.table, *place, key),
            Source::Intrinsic(intrinsic) => match field.table {
                Table::Spans => span_fact(self.span, *intrinsic),
                Table::Events => self
                    .event
                    .map_or(Read::Missing, |item| item_fact(item, *intrinsic)),
                Table::Links => self
                    .link
                    .map_or(Read::Missing, |item| item_fact(item, *intrinsic)),
            },
        }
    }

    fn attribute(&self, table: Table, place: Place, key: &str) -> Read<'t> {
        let item = match table {
            Table::Spans => {
                let places: &[Place] = match place {
                    Place::Any => &[Place::Span, Place::Resource, Place::Scope],
                    Place::Span => &[Place::Span],
                    Place::Resource => &[Place::Resource],
                    Place::Scope => &[Place::Scope],
                };
                let found = places.iter().find_map(|place| {
                    let mut attributes = self.span.attributes.iter();
                    attributes.find(|(at, own, _)| at == place && own == key)
                });
                return found.map_or(Read::Missing, |(_, _, value)| value.into());
            }
            Table::Events => self.event,
            Table::Links => self.link,
        };
        item.and_then(|item| item.attributes.iter().find(|(own, _)| own == key))
            .map_or(Read::Missing, |(_, value)| value.into())
    }
}

fn span_fact(span: &Span, intrinsic: Intrinsic) -> Read<'_> {
    match intrinsic {
        Intrinsic::Name => text(&span.name),
        Intrinsic::Service => text(&span.service),
        Intrinsic::StatusMessage => text(&span.status_message),
        Intrinsic::TraceId => text(&span.trace_id),
        Intrinsic::SpanId => text(&span.span_id),
        Intrinsic::ParentId => text(&span.parent_id),
        Intrinsic::Kind => Read::Kind(span.kind),
        Intrinsic::Status => Read::Status(span.status),
        Intrinsic::Start => span.start.map_or(Read::Missing, Read::Time),
        Intrinsic::End => span.end.map_or(Read::Missing, Read::Time),
        Intrinsic::Duration => span.duration.map_or(Read::Missing, Read::Duration),
        Intrinsic::SelfTime => span.self_time.map_or(Read::Missing, Read::Duration),
        Intrinsic::Depth => Read::Int(span.depth.into()),
        Intrinsic::ChildCount => Read::Int(span.child_count.into()),
        Intrinsic::IsRoot => Read::Bool(span.is_root),
        Intrinsic::IsLeaf => Read::Bool(span.is_leaf),
        Intrinsic::Time => Read::Missing,
    }
}

fn item_fact(item: &Item, intrinsic: Intrinsic) -> Read<'_> {
    match intrinsic {
        Intrinsic::Name => text(&item.name),
        Intrinsic::TraceId => text(&item.trace_id),
        Intrinsic::SpanId => text(&item.span_id),
        Intrinsic::Time => item.time.map_or(Read::Missing, Read::Time),
        _ => Read::Missing,
    }
}

fn text(of: &Option<String>) -> Read<'_> {
    of.as_deref().map_or(Read::Missing, Read::Text)
}

impl<'t> From<&'t Value> for Read<'t> {
    fn from(value: &'t Value) -> Read<'t> {
        match value {
            Value::Bool(bool) => Read::Bool(*bool),
            Value::Int(int) => Read::Int(*int),
            Value::Float(float) => Read::Float(*float),
            Value::Text(text) => Read::Text(text),
            Value::Array | Value::Map | Value::Bytes => Read::Other,
        }
    }
}

fn literal(constant: &Constant) -> Read<'_> {
    match constant {
        Constant::Bool(bool) => Read::Bool(*bool),
        Constant::Int(int) => Read::Int(*int),
        Constant::Float(float) => Read::Float(*float),
        Constant::Text(text) => Read::Text(text),
        Constant::Duration(ns) => Read::Duration(*ns),
        Constant::Enum(number) => Read::Enum(*number),
    }
}

/// Whether two values are there and of types that compare.
fn alike(left: &Read<'_>, right: &Read<'_>) -> bool {
    use Read::*;
    matches!(
        (left, right),
        (Bool(_), Bool(_))
            | (Int(_) | Float(_), Int(_) | Float(_))
            | (Text(_), Text(_))
            | (Duration(_), Duration(_))
            | (Time(_), Time(_))
            | (Kind(_) | Enum(_), Kind(_) | Enum(_))
            | (Status(_) | Enum(_), Status(_) | Enum(_))
    )
}

/// False where a side is missing or the types are unlike. Bools, kinds and status codes have no order; a NaN is unequal
/// to everything and has none either.
fn compare(left: &Read<'_>, comparison: Comparison, right: &Read<'_>) -> bool {
    use Read::*;
    if !alike(left, right) {
        return false;
    }
    let ordering = match (left, right) {
        (Int(a), Int(b)) | (Duration(a), Duration(b)) | (Time(a), Time(b)) => Some(a.cmp(b)),
        (Float(a), Float(b)) => a.partial_cmp(b),
        (Int(a), Float(b)) => compare_exactly(*a, *b),
        (Float(a), Int(b)) => compare_exactly(*b, *a).map(Ordering::reverse),
        (Text(a), Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Bool(a), Bool(b)) => (a == b).then_some(Ordering::Equal),
        (Kind(a) | Status(a) | Enum(a), Kind(b) | Status(b) | Enum(b)) => {
            (a == b).then_some(Ordering::Equal)
        }
        _ => None,
    };
    // What has no order is not `<=` to its equal.
    let ordered = !matches!(left, Bool(_) | Kind(_) | Status(_) | Enum(_));
    match comparison {
        Comparison::Equal => ordering == Some(Ordering::Equal),
        Comparison::NotEqual => ordering != Some(Ordering::Equal),
        Comparison::Less => ordered && ordering.is_some_and(Ordering::is_lt),
        Comparison::LessOrEqual => ordered && ordering.is_some_and(Ordering::is_le),
        Comparison::Greater => ordered && ordering.is_some_and(Ordering::is_gt),
        Comparison::GreaterOrEqual => ordered && ordering.is_some_and(Ordering::is_ge),
    }
}

/// No int is rounded to a float. An i128 holds every i64, and its casts saturate.
fn compare_exactly(int: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    let whole = float.floor();
    let fraction = if float > whole {
        Ordering::Less
    } else {
        Ordering::Equal
    };
    Some(i128::from(int).cmp(&(whole as i128)).then(fraction))
}

/// `*` any text, `?` one character.
fn like(text: &str, glob: &str) -> bool {
    let mut rest = glob.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|at| like(&text[at..], rest.as_str()))
        }
        Some(expected) => {
            let mut characters = text.chars();
            characters
                .next()
                .is_some_and(|character| expected == '?' || expected == character)
                && like(characters.as_str(), rest.as_str())
        }
    }
}

fn matches_regex(text: &str, pattern: &str) -> bool {
    let matches = || {
        let hir = regex::parse(pattern).ok()?;
        let nfa = thompson::Compiler::new().build_from_hir(&hir).ok()?;
        let automaton = dense::Builder::new()
            .configure(dense::Config::new().start_kind(StartKind::Unanchored))
            .build_from_nfa(&nfa)
            .ok()?;
        automaton.try_search_fwd(&Input::new(text)).ok()
    };
    matches().flatten().is_some()
}
