//! What a compared field was in the spans that were asked: missing, of another type, or which values.
//!
//! Facts of several traces add up, so that a rule that is silent over thousands of them says "`amount` was text in 37 of
//! 37 spans".

use serde_json::{Value as Json, json};

use super::explained::{Field, TypeMet};
use super::words::item;
use crate::columns::batch::{Column, Columns, NEVER, NONE, tag};
use crate::columns::census::{Census, Types, tag_name};
use crate::columns::projection::{ColumnKey, Intrinsic, Source, Table};
use crate::engine::{Rule, RuleSet};
use crate::signal::evidence::{KINDS, STATUSES, field_name, shortened};

/// Distinct values that are told.
const VALUES: usize = 5;

/// What a field was so far.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    field: String,
    table: Table,
    compared: Types,
    census: Census,
    values: Vec<Json>,
    more: bool,
    /// Of numbers.
    least: Option<f64>,
    most: Option<f64>,
}

/// The field of a column; none for those that nobody names in a rule.
pub(super) fn of_column(rule: &Rule, column: u32) -> Option<Fact> {
    let column = rule.manifest.columns.get(column as usize)?;
    Some(Fact {
        field: name(&column.key)?,
        table: column.key.table,
        compared: column.compared.into(),
        census: Census::default(),
        values: Vec::new(),
        more: false,
        least: None,
        most: None,
    })
}

impl Fact {
    /// Takes the values of a column of the rule (the first of `set`) in these rows.
    pub(super) fn take(&mut self, set: &RuleSet, columns: &Columns, column: u32, rows: &[u32]) {
        let index = set
            .bindings
            .first()
            .and_then(|binding| binding.columns.get(column as usize));
        let Some(index) = index.map(|&index| index as usize) else {
            return;
        };
        let (Some(key), Some(of)) = (
            set.projection.columns.get(index),
            columns.columns.get(index),
        ) else {
            return;
        };
        for &row in rows {
            match items(set, columns, self.table, row) {
                None => self.one(key, of, columns, row as usize),
                Some(items) => items.for_each(|item| self.one(key, of, columns, item)),
            }
        }
    }

    fn one(&mut self, key: &ColumnKey, of: &Column, columns: &Columns, row: usize) {
        let Some((tag, value)) = value(key, of, columns, row) else {
            return;
        };
        if let Some(count) = self.census.rows.get_mut(usize::from(tag)) {
            *count += 1;
        }
        // An intrinsic is always of the type that it is compared with.
        let is_attribute = matches!(key.source, Source::Attribute { .. });
        if tag == tag::MISSING || is_attribute && self.is_unlike(tag) {
            return;
        }
        if let Some(number) = value.as_f64() {
            self.least = Some(self.least.map_or(number, |least| least.min(number)));
            self.most = Some(self.most.map_or(number, |most| most.max(number)));
        }
        if self.values.contains(&value) {
            return;
        }
        if self.values.len() < VALUES {
            self.values.push(value);
        } else {
            self.more = true;
        }
    }

    fn is_unlike(&self, tag: u8) -> bool {
        let mut one = Census::default();
        if let Some(count) = one.rows.get_mut(usize::from(tag)) {
            *count = 1;
        }
        one.unlike(self.compared).next().is_some()
    }

    pub(super) fn view(&self) -> Field {
        let unlike = if self.values.is_empty() || self.compared != Types::default() {
            self.census.unlike(self.compared).collect()
        } else {
            Vec::new()
        };
        let mut unlike: Vec<TypeMet> = unlike
            .into_iter()
            .map(|(tag, times)| TypeMet {
                was: tag_name(tag).to_owned(),
                times,
            })
            .collect();
        unlike.sort_by_key(|met| std::cmp::Reverse(met.times));
        let mut values = self.values.clone();
        let mut more = self.more;
        // Of many numbers, how far they go says more than which came first.
        if more
            && let (Some(least), Some(most)) = (self.least, self.most)
            && values.iter().all(Json::is_number)
        {
            values = vec![number(least), number(most)];
            more = true;
        }
        Field {
            field: self.field.clone(),
            item: item(self.table).to_owned(),
            of: self.census.rows.iter().sum(),
            missing: self.census.rows[usize::from(tag::MISSING)],
            unlike,
            values,
            more,
        }
    }
}

fn number(value: f64) -> Json {
    // A whole number is written as one.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

/// The rows of a table that belong to a span; none where the table is that of spans.
fn items(
    set: &RuleSet,
    columns: &Columns,
    table: Table,
    row: u32,
) -> Option<impl Iterator<Item = usize> + use<>> {
    let offsets = match table {
        Table::Spans => return None,
        Table::Events => Intrinsic::Events,
        Table::Links => Intrinsic::Links,
    };
    let key = ColumnKey::intrinsic(Table::Spans, offsets);
    let index = set.projection.columns.iter().position(|c| *c == key);
    let range = index.and_then(|index| match columns.columns.get(index)? {
        Column::W32(offsets) => {
            let (from, to) = (offsets.get(row as usize)?, offsets.get(row as usize + 1)?);
            Some(*from as usize..*to as usize)
        }
        _ => None,
    });
    Some(range.unwrap_or_default())
}

/// A cell's tag and what it holds, in plain words.
fn value(key: &ColumnKey, of: &Column, columns: &Columns, row: usize) -> Option<(u8, Json)> {
    let missing = Some((tag::MISSING, Json::Null));
    let text = |symbol: u32| json!(shortened(columns.symbols.text(symbol)));
    match (of, &key.source) {
        (Column::Attribute { tags, values }, _) => {
            let (tag, value) = (*tags.get(row)?, *values.get(row)?);
            let value = match tag {
                tag::BOOL => json!(value != 0),
                tag::INT => json!(value as i64),
                tag::FLOAT => json!(f64::from_bits(value)),
                tag::TEXT => text(u32::try_from(value).unwrap_or(NONE)),
                _ => Json::Null,
            };
            Some((tag, value))
        }
        (Column::W32(rows), Source::Intrinsic(intrinsic)) => {
            let value = *rows.get(row)?;
            match intrinsic {
                Intrinsic::Depth | Intrinsic::ChildCount => Some((tag::INT, json!(value))),
                _ if value == NONE => missing,
                _ => Some((tag::TEXT, text(value))),
            }
        }
        (Column::W64(rows), _) => match *rows.get(row)? {
            NEVER => missing,
            ns => Some((tag::INT, json!(crate::sinks::text::duration(ns as u64)))),
        },
        (Column::W8(rows), Source::Intrinsic(intrinsic)) => {
            let value = *rows.get(row)?;
            let words: &[&str] = match intrinsic {
                Intrinsic::Kind => &KINDS,
                Intrinsic::Status => &STATUSES,
                _ => return None,
            };
            let word = words.get(usize::from(value));
            Some((
                tag::TEXT,
                word.map_or_else(|| json!(value), |word| json!(word)),
            ))
        }
        _ => None,
    }
}

/// What a rule calls a column.
fn name(key: &ColumnKey) -> Option<String> {
    if let Some(name) = field_name(key) {
        return Some(name);
    }
    // What evidence shows anyway, but a reason has to name.
    let name = match &key.source {
        Source::Intrinsic(Intrinsic::Name) => "name",
        Source::Intrinsic(Intrinsic::Service) => "service",
        Source::Intrinsic(Intrinsic::Duration) => "duration",
        Source::Intrinsic(Intrinsic::Start) => "start",
        Source::Intrinsic(Intrinsic::End) => "end",
        Source::Intrinsic(Intrinsic::TraceId) => "trace_id",
        Source::Intrinsic(Intrinsic::SpanId) => "span_id",
        _ => return None,
    };
    Some(name.to_owned())
}
