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
    if field.of == 0 {
        return format!("no {} to look for {name} in", field.item);
    }
    let items = counted(field.of, &field.item);
    let unlike: u64 = field.unlike.iter().map(|met| met.times).sum();
    let like = field.of.saturating_sub(unlike + field.missing);
    let mut kinds: Vec<(String, u64)> = Vec::new();
    if like > 0 {
        kinds.push((values(field), like));
    }
    let met = field.unlike.iter();
    kinds.extend(met.map(|met| (met.was.clone(), met.times)));
    if field.missing > 0 {
        kinds.push(("missing".to_owned(), field.missing));
    }
    match &kinds[..] {
        [(what, _)] if like == field.of => format!("{name} was {what}"),
        kinds => {
            let kinds: Vec<String> = kinds
                .iter()
                .map(|(what, times)| format!("{what} in {times}"))
                .collect();
            format!("{name} was {} of {items}", kinds.join(", "))
        }
    }
}

fn values(field: &Field) -> String {
    /// Fields whose values are words and not text.
    const WORDS: [&str; 6] = ["duration", "start", "end", "self_time", "kind", "status"];
    let is_word = WORDS.contains(&field.field.as_str());
    let shown: Vec<String> = field.values.iter().map(|of| value(of, is_word)).collect();
    match (&shown[..], field.more) {
        ([], _) => "there".to_owned(),
        ([least, most], true) if field.values.iter().all(Json::is_number) => {
            format!("{least} to {most}")
        }
        (shown, true) => format!("{}, …", shown.join(", ")),
        (shown, false) => shown.join(", "),
    }
}

/// A value; text in quotes, so that it is not taken for a number.
pub(super) fn value(value: &Json, is_word: bool) -> String {
    match value {
        Json::String(word) if is_word => clean(word, WIDTH),
        value => clean(&value.to_string(), WIDTH),
    }
}

/// A part that decided, with what is known of the spans that it was asked of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided<'a> {
    pub(super) part: &'a Part,
    pub(super) holds: bool,
    pub(super) count: u64,
    /// Of a second set, or of all that were asked.
    pub(super) others: Option<u64>,
    /// The text of its base, and how many spans that names.
    pub(super) base: Option<(&'a str, u64)>,
    /// What the fields were in them.
    pub(super) fields: &'a [Field],
}

/// Why a part has the value that it has, with its text.
pub(super) fn why(decided: Decided<'_>) -> String {
    let text = format!("`{}`", one_line(&decided.part.text));
    match decided.part.kind {
        PartKind::Base => reason(decided),
        PartKind::FilterBoth => format!("{}: {text}", reason(decided)),
        kind if kind.is_of_spans() => {
            let (base, asked) = decided.base.unwrap_or(("spans", 0));
            let told = told(decided.fields);
            match asked {
                1 => format!("the span {} does not pass {text}{told}", name_of(base)),
                _ => format!("none of {} passes {text}{told}", some(asked, base)),
            }
        }
        _ => format!("{text}: {}", reason(decided)),
    }
}

/// Why a part has the value that it has: a clause of a sentence, where its text is told already.
pub(super) fn reason(decided: Decided<'_>) -> String {
    let Decided {
        part,
        holds,
        count,
        others,
        base,
        fields,
    } = decided;
    let (base, asked) = base.unwrap_or(("spans", 0));
    match (part.kind, others) {
        (PartKind::Base, _) => no_span(base),
        (PartKind::Constant, _) => format!("it is always {holds}"),
        (PartKind::Every, Some(1)) if holds => format!("the span {} passes", name_of(base)),
        (PartKind::Every, Some(all)) if holds => format!("all {} pass", some(all, base)),
        (PartKind::Every, all) => {
            let of = some(all.unwrap_or(count), base);
            let verb = if count == 1 { "does" } else { "do" };
            format!("{count} of {of} {verb} not pass{}", told(fields))
        }
        (PartKind::Number, Some(others)) => format!("the counts are {count} and {others}"),
        (PartKind::Number, None) => format!("the count is {count}"),
        (PartKind::Present, _) if holds => counted(count, "span"),
        (PartKind::Present, _) => format!(
            "there {} {}, but none meets all conditions at once",
            if asked == 1 { "is" } else { "are" },
            some(asked, base)
        ),
        (PartKind::FilterBoth, _) => format!("of {}, none passes both at once", some(asked, base)),
        _ if fields.is_empty() => format!("none of {} passes", some(asked, base)),
        _ => told(fields).trim_start_matches(": ").to_owned(),
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
