//! What a rule needs to be asked at all, looked for in a trace: which of its triggers the trace holds.
//!
//! The engine's index says only whether a trace is a candidate; here is which trigger was absent, in words.

use std::ops::Range;

use super::explained::{TriggerGroup, TriggerView};
use super::words::quoted;
use crate::columns::batch::{Column, Columns, tag};
use crate::columns::projection::{ColumnKey, Projection, Table};
use crate::engine::RuleSet;
use crate::engine::manifest::Trigger;

/// Triggers of a group that are listed.
const LISTED: usize = 8;

/// The triggers of one rule of a set, resolved against its projection.
#[derive(Debug)]
pub struct Triggers {
    groups: Vec<Vec<Wanted>>,
}

#[derive(Debug)]
struct Wanted {
    what: What,
    /// A noun, such as "a span `x`".
    text: String,
}

#[derive(Debug)]
enum What {
    Name(String),
    Prefix(String),
    Service(String),
    /// A column of the projection.
    Attribute(Option<usize>),
}

impl Triggers {
    pub fn new(set: &RuleSet, rule: usize) -> Triggers {
        let groups = set.rules.get(rule).map(|rule| &rule.manifest.triggers);
        let wanted = |trigger: &Trigger| Wanted {
            text: noun(trigger),
            what: match trigger {
                Trigger::Name(name) => What::Name(name.clone()),
                Trigger::NamePrefix(prefix) => What::Prefix(prefix.clone()),
                Trigger::Service(service) => What::Service(service.clone()),
                Trigger::Attribute { place, key } => {
                    let key = ColumnKey::attribute(Table::Spans, *place, key);
                    let columns = &set.projection.columns;
                    What::Attribute(columns.iter().position(|column| *column == key))
                }
            },
        };
        let groups = groups.map(Vec::as_slice).unwrap_or_default().iter();
        Triggers {
            groups: groups
                .map(|group| group.iter().map(wanted).collect())
                .collect(),
        }
    }

    /// Which triggers these rows hold, group by group.
    pub(super) fn met(&self, columns: &Columns, rows: &Range<usize>) -> Vec<Vec<bool>> {
        let groups = self.groups.iter();
        groups
            .map(|group| {
                let met = group.iter().map(|wanted| wanted.is_met(columns, rows));
                met.collect()
            })
            .collect()
    }

    /// How many groups these rows meet, of how many.
    pub(super) fn groups_met(&self, columns: &Columns, rows: &Range<usize>) -> usize {
        let met = |group: &&Vec<Wanted>| group.iter().any(|wanted| wanted.is_met(columns, rows));
        self.groups.iter().filter(met).count()
    }

    /// Whether a trace of these rows is a candidate.
    pub fn all_met(&self, columns: &Columns, rows: &Range<usize>) -> bool {
        self.groups_met(columns, rows) == self.groups.len()
    }

    pub(super) fn view(&self, met: &[Vec<bool>]) -> Vec<TriggerGroup> {
        let groups = self.groups.iter().zip(met);
        groups
            .map(|(group, met)| TriggerGroup {
                met: met.contains(&true),
                triggers: group
                    .iter()
                    .zip(met)
                    .take(LISTED)
                    .map(|(wanted, &met)| TriggerView {
                        text: wanted.text.clone(),
                        met,
                    })
                    .collect(),
                more: group.len().saturating_sub(LISTED) as u64,
            })
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// A group in words: "a span `a` or a span `b`".
    pub(super) fn words(&self, group: usize) -> String {
        let group = self
            .groups
            .get(group)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut words: Vec<&str> = group.iter().take(LISTED).map(|w| w.text.as_str()).collect();
        let more = format!("{} more", group.len().saturating_sub(LISTED));
        if group.len() > LISTED {
            words.push(&more);
        }
        words.join(" or ")
    }
}

impl Wanted {
    fn is_met(&self, columns: &Columns, rows: &Range<usize>) -> bool {
        let any = |column: usize, is_wanted: &dyn Fn(&str) -> bool| {
            let Some(Column::W32(symbols)) = columns.columns.get(column) else {
                return false;
            };
            let symbols = symbols.get(rows.clone()).unwrap_or_default();
            let mut last = None;
            symbols.iter().any(|&symbol| {
                // Runs of one service, or of one name, are the rule.
                if last == Some(symbol) {
                    return false;
                }
                last = Some(symbol);
                symbol != crate::columns::batch::NONE && is_wanted(columns.symbols.text(symbol))
            })
        };
        match &self.what {
            What::Name(name) => any(Projection::NAME, &|text| text == name),
            What::Prefix(prefix) => {
                any(Projection::NAME, &|text| text.starts_with(prefix.as_str()))
            }
            What::Service(service) => any(Projection::SERVICE, &|text| text == service),
            What::Attribute(None) => false,
            What::Attribute(Some(column)) => match columns.columns.get(*column) {
                Some(Column::Attribute { tags, .. }) => {
                    let tags = tags.get(rows.clone()).unwrap_or_default();
                    tags.iter().any(|&tag| tag != tag::MISSING)
                }
                _ => false,
            },
        }
    }
}

fn noun(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Name(name) => format!("a span {}", quoted(name)),
        Trigger::NamePrefix(prefix) => format!("a span {}", quoted(&format!("{prefix}*"))),
        Trigger::Service(service) => format!("a span of the service {}", quoted(service)),
        Trigger::Attribute { key, .. } => format!("a span with {}", quoted(key)),
    }
}
