//! The names that have a meaning of their own: intrinsics and their types, members of enums, methods, functions.

use super::tree::{Intrinsic, Table};
use crate::diagnostic::Code;

/// What a field's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// An attribute: bool, int, float or text, known when it is read.
    Attribute,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// UTF-8.
    Text,
    /// Nanoseconds.
    Duration,
    /// A point in time.
    Timestamp,
    /// A span's kind.
    Kind,
    /// A span's status.
    Status,
}

impl Type {
    /// How messages call a value of it.
    pub fn describe(self) -> &'static str {
        match self {
            Type::Attribute => "an attribute",
            Type::Bool => "true or false",
            Type::Int => "a whole number",
            Type::Text => "text",
            Type::Duration => "a duration",
            Type::Timestamp => "a point in time",
            Type::Kind => "a span kind",
            Type::Status => "a status",
        }
    }

    /// The members of an enum with OTLP's numbers; none for other types.
    pub fn members(self) -> &'static [(&'static str, u8)] {
        match self {
            Type::Kind => KINDS,
            Type::Status => STATUSES,
            _ => &[],
        }
    }

    /// Whether less and greater mean something.
    pub fn ordered(self) -> bool {
        !matches!(self, Type::Bool | Type::Kind | Type::Status)
    }
}

const KINDS: &[(&str, u8)] = &[
    ("unspecified", 0),
    ("internal", 1),
    ("server", 2),
    ("client", 3),
    ("producer", 4),
    ("consumer", 5),
];

const STATUSES: &[(&str, u8)] = &[("unset", 0), ("ok", 1), ("error", 2)];

const OF_SPANS: &[(&str, Intrinsic, Type)] = &[
    ("name", Intrinsic::Name, Type::Text),
    ("service", Intrinsic::Service, Type::Text),
    ("kind", Intrinsic::Kind, Type::Kind),
    ("status", Intrinsic::Status, Type::Status),
    ("status_message", Intrinsic::StatusMessage, Type::Text),
    ("duration", Intrinsic::Duration, Type::Duration),
    ("start", Intrinsic::Start, Type::Timestamp),
    ("end", Intrinsic::End, Type::Timestamp),
    ("depth", Intrinsic::Depth, Type::Int),
    ("child_count", Intrinsic::ChildCount, Type::Int),
    ("self_time", Intrinsic::SelfTime, Type::Duration),
    ("is_root", Intrinsic::IsRoot, Type::Bool),
    ("is_leaf", Intrinsic::IsLeaf, Type::Bool),
    ("trace_id", Intrinsic::TraceId, Type::Text),
    ("span_id", Intrinsic::SpanId, Type::Text),
    ("parent_id", Intrinsic::ParentId, Type::Text),
];

const OF_EVENTS: &[(&str, Intrinsic, Type)] = &[
    ("name", Intrinsic::Name, Type::Text),
    ("time", Intrinsic::Time, Type::Timestamp),
];

const OF_LINKS: &[(&str, Intrinsic, Type)] = &[
    ("trace_id", Intrinsic::TraceId, Type::Text),
    ("span_id", Intrinsic::SpanId, Type::Text),
];

/// The intrinsics of a table's items.
pub fn intrinsics(table: Table) -> &'static [(&'static str, Intrinsic, Type)] {
    match table {
        Table::Spans => OF_SPANS,
        Table::Events => OF_EVENTS,
        Table::Links => OF_LINKS,
    }
}

/// The intrinsic of that name.
pub fn intrinsic(table: Table, word: &str) -> Option<(Intrinsic, Type)> {
    let found = intrinsics(table).iter().find(|(name, _, _)| *name == word);
    found.map(|(_, intrinsic, kind)| (*intrinsic, *kind))
}

/// `events` and `links`, which are several of a span.
pub fn items(word: &str) -> Option<Table> {
    match word {
        "events" => Some(Table::Events),
        "links" => Some(Table::Links),
        _ => None,
    }
}

/// How messages call one item of a table.
pub fn item(table: Table) -> &'static str {
    match table {
        Table::Spans => "a span",
        Table::Events => "an event",
        Table::Links => "a link",
    }
}

/// The methods of sets that exist.
pub const METHODS: &[&str] = &["where", "count", "exists", "any", "all", "none"];

/// The functions that exist.
pub const FUNCTIONS: &[&str] = &["count", "exists", "missing"];

/// A method of a part of the language that is not built yet.
pub fn later_method(word: &str) -> Option<Code> {
    Some(match word {
        "sum" | "avg" | "min" | "max" | "stddev" | "p50" | "p90" | "p95" | "p99" | "percentile"
        | "distinct" | "max_concurrent" | "duration" => Code::AggregatesNotYet,
        "first" | "last" | "longest" | "children" | "parent" | "descendants" | "ancestors"
        | "siblings" | "roots" | "leaves" => Code::NavigationNotYet,
        "by" => Code::GroupsNotYet,
        _ => return None,
    })
}

/// A function of a part of the language that is not built yet.
pub fn later_function(word: &str) -> Option<Code> {
    match word {
        "number" | "lower" | "upper" | "trim" | "len" => Some(Code::FunctionsNotYet),
        _ => later_method(word),
    }
}

/// `trace.duration` and its like, which are not built yet.
pub const TRACE_FACTS: &[&str] = &[
    "duration",
    "start",
    "end",
    "root",
    "service_count",
    "complete",
];

/// What can follow `trace.`.
pub const TRACE_NAMES: &[&str] = &["spans", "has", "count"];
