//! Sentences about parts and fields, for a person who did not write the rule.

use super::explained::Field;
use crate::columns::projection::Table;
use crate::engine::explain::{Part, PartKind};
use crate::sinks::text::{clean, counted};
use serde_json::Value as Json;

/// Columns of a name or a value in a sentence.
const WIDTH: usize = 60;

/// Columns of a part's text in a sentence.
const PART_WIDTH: usize = 120;

/// What one row of a table is called.
pub(super) fn item(table: Table) -> &'static str {
    match table {
        Table::Spans => "span",
        Table::Events => "event",
        Table::Links => "link",
    }
}

/// A name from a rule or a trace, in backticks.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", clean(name, WIDTH))
}

/// A part's text on one line.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    clean(&words.join(" "), PART_WIDTH)
}

/// That a base names no span of what was looked at.
pub(super) fn no_span(base: &str) -> String {
    match base {
        "spans" => "there are no spans".to_owned(),
        name if name.ends_with('*') && !name.starts_with('"') => {
            format!("no span's name is like {}", quoted(name))
        }
        name => format!("no span is named {}", quoted(name.trim_matches('"'))),
    }
}

/// What a field was in the spans that were asked: "`amount` was text in 37 of 37 spans".
pub(super) fn field(field: &Field) -> String {
    let name = quoted(&field.field);
    let items = counted(field.of, &field.item);
    let mut parts = Vec::new();
    for met in &field.unlike {
        parts.push(format!("{} in {} of {items}", met.was, met.times));
    }
    if field.missing > 0 {
        parts.push(match field.missing == field.of {
            true if field.of == 1 => format!("missing in the {}", field.item),
            true => format!("missing in all {items}"),
            false => format!("missing in {} of {items}", field.missing),
        });
    }
    let values: Vec<String> = field.values.iter().map(value).collect();
    match (&values[..], field.more) {
        ([], _) => {}
        ([least, most], true) if field.values.iter().all(Json::is_number) => {
            parts.push(format!("{least} to {most}"));
        }
        (some, more) => {
            let more = if more { ", …" } else { "" };
            parts.push(format!("{}{more}", some.join(", ")));
        }
    }
    if parts.is_empty() {
        return format!("no {} to look for {name} in", field.item);
    }
    format!("{name} was {}", parts.join(", "))
}

fn value(value: &Json) -> String {
    clean(&value.to_string(), WIDTH)
}

/// A part that decided, with what is known of the spans that it was asked of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided<'a> {
    pub(super) part: &'a Part,
    pub(super) holds: bool,
    pub(super) count: u64,
    pub(super) others: u64,
    /// The text of its base, and how many spans that names.
    pub(super) base: Option<(&'a str, u64)>,
    /// What the fields were in them.
    pub(super) fields: &'a [Field],
}

/// Why a part has the value that it has: a clause of a sentence.
pub(super) fn why(decided: Decided<'_>) -> String {
    let Decided {
        part,
        holds,
        count,
        others,
        base,
        fields,
    } = decided;
    let (base, asked) = base.unwrap_or(("spans", others));
    let text = format!("`{}`", one_line(&part.text));
    let told = told(fields);
    match part.kind {
        PartKind::Base => no_span(base),
        PartKind::Constant => format!("{text} is always so"),
        PartKind::Every if holds => format!("{text}: all of {} pass", some(others, base)),
        PartKind::Every => {
            let of = some(others, base);
            format!("{text}: {count} of {of} {} not pass{told}", verb(count))
        }
        PartKind::Number if others > 0 => format!("{text}: the counts are {count} and {others}"),
        PartKind::Number => format!("{text}: the count is {count}"),
        PartKind::Present if holds => format!("{text}: {}", counted(count, "span")),
        PartKind::Present => format!(
            "{text}: there are {}, but none meets all conditions at once",
            some(asked, base)
        ),
        PartKind::FilterBoth => {
            format!("of {}, none meets both at once: {text}", some(asked, base))
        }
        _ if asked == 1 => format!("the span {} is not {text}{told}", name_of(base)),
        _ => format!("none of {} is {text}{told}", some(asked, base)),
    }
}

fn told(fields: &[Field]) -> String {
    let told: Vec<String> = fields.iter().map(field).collect();
    if told.is_empty() {
        String::new()
    } else {
        format!(": {}", told.join("; "))
    }
}

fn some(n: u64, base: &str) -> String {
    match (n, base) {
        (_, "spans") => counted(n, "span"),
        (1, base) => format!("1 span {}", name_of(base)),
        (n, base) => format!("{n} spans {}", name_of(base)),
    }
}

fn name_of(base: &str) -> String {
    match base {
        "spans" => String::new(),
        base => quoted(base.trim_matches('"')),
    }
}

fn verb(n: u64) -> &'static str {
    if n == 1 { "does" } else { "do" }
}

/// What completed a trace, in words.
pub(super) fn completion(word: &str) -> &'static str {
    match word {
        "root" => "whole: its root ended and no more spans came",
        "idle" => "judged without its root: no span came for a while",
        "max_age" => "judged at the greatest age, while spans still came",
        "span_cap" => "judged early, at the bound on spans",
        "byte_cap" => "judged early, at the bound on bytes",
        "evicted" => "judged early, as memory ran short",
        "drained" => "judged without its root, as the host stopped or the input ended",
        _ => "judged",
    }
}
