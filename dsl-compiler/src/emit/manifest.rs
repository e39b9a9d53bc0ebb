//! The manifest as a value of the ABI.

use wit_parser::Type;

use super::component::{Abi, EmitError};
use super::layout::{self, Value};
use super::module::Module;
use crate::plan::{Clause, Column, ColumnSource, Fact, Manifest, Trigger, Types};
use crate::types::tree::{ClauseKind, Place, Severity, Table};

/// Layout of `batch` that the emitted code reads.
const ABI_VERSION: u32 = 1;

/// Puts the manifest into the module's data and returns its address.
pub(super) fn place(manifest: &Manifest, module: &mut Module) -> Result<u32, EmitError> {
    let abi = Abi::get()?;
    let of = abi.named("manifest")?;
    layout::place(abi, module, &Type::Id(of), &value(manifest))
}

fn value(manifest: &Manifest) -> Value<'_> {
    Value::Record(vec![
        ("abi", Value::U32(ABI_VERSION)),
        ("id", Value::Text(&manifest.id)),
        ("description", Value::Text(&manifest.description)),
        ("severity", Value::Enum(severity(manifest.severity))),
        ("tags", texts(&manifest.tags)),
        ("message", Value::Text(&manifest.message)),
        ("clauses", list(&manifest.clauses, clause)),
        ("columns", list(&manifest.columns, column)),
        ("constants", texts(&manifest.constants)),
        (
            "triggers",
            list(&manifest.triggers, |group| list(group, trigger)),
        ),
    ])
}

fn list<'a, T>(items: &'a [T], value: impl Fn(&'a T) -> Value<'a>) -> Value<'a> {
    Value::List(items.iter().map(value).collect())
}

fn texts(items: &[String]) -> Value<'_> {
    list(items, |text| Value::Text(text))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn clause(clause: &Clause) -> Value<'_> {
    Value::Record(vec![
        (
            "kind",
            Value::Enum(match clause.kind {
                ClauseKind::Detect => "detect",
                ClauseKind::Expect => "expect",
                ClauseKind::Always => "always",
                ClauseKind::Never => "never",
            }),
        ),
        ("text", Value::Text(&clause.text)),
        ("stable", Value::Bool(clause.stable)),
    ])
}

fn column(column: &Column) -> Value<'_> {
    let table = match column.table {
        Table::Spans => "spans",
        Table::Events => "events",
        Table::Links => "links",
    };
    let source = match &column.source {
        ColumnSource::Fact(of) => Value::Variant("intrinsic", Box::new(Value::Enum(fact(*of)))),
        ColumnSource::Attribute(place, key) => attribute(*place, key),
    };
    Value::Record(vec![
        ("table", Value::Enum(table)),
        ("source", source),
        ("text", Value::Bool(column.text)),
        ("compared", types(column.compared)),
    ])
}

fn types(types: Types) -> Value<'static> {
    let mut set = Vec::new();
    if types.has(Types::BOOL) {
        set.push("boolean");
    }
    if types.has(Types::NUMBER) {
        set.extend(["integer", "float"]);
    }
    if types.has(Types::TEXT) {
        set.push("text");
    }
    Value::Flags(set)
}

fn trigger(trigger: &Trigger) -> Value<'_> {
    match trigger {
        Trigger::Name(name) => Value::Variant("name", Box::new(Value::Text(name))),
        Trigger::NamePrefix(prefix) => Value::Variant("name-prefix", Box::new(Value::Text(prefix))),
        Trigger::Service(name) => Value::Variant("service", Box::new(Value::Text(name))),
        Trigger::Attribute(place, key) => attribute(*place, key),
    }
}

/// The case `attribute` of both `source` and `trigger`.
fn attribute(place: Place, key: &str) -> Value<'_> {
    let place = match place {
        Place::Any => "any",
        Place::Span => "span",
        Place::Resource => "of-resource",
        Place::Scope => "scope",
    };
    Value::Variant(
        "attribute",
        Box::new(Value::Record(vec![
            ("place", Value::Enum(place)),
            ("key", Value::Text(key)),
        ])),
    )
}

fn fact(fact: Fact) -> &'static str {
    match fact {
        Fact::Name => "name",
        Fact::Service => "service",
        Fact::StatusMessage => "status-message",
        Fact::TraceId => "trace-id",
        Fact::SpanId => "span-id",
        Fact::ParentId => "parent-id",
        Fact::Depth => "depth",
        Fact::ChildCount => "child-count",
        Fact::Events => "events",
        Fact::Links => "links",
        Fact::Start => "start",
        Fact::End => "end",
        Fact::Duration => "duration",
        Fact::SelfTime => "self-time",
        Fact::Time => "time",
        Fact::Kind => "kind",
        Fact::Status => "status",
        Fact::Flags => "flags",
    }
}
