//! A projection as the walk over a span needs it: which facts to keep, and where each attribute key goes.

use super::batch::NONE;
use super::keys::Keys;
use super::projection::{ColumnKey, Intrinsic, Place, Source, Table};

/// What is read of spans, their resources and scopes, events and links.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Attribute keys of spans, resources and scopes, each with where it goes.
    pub(super) keys: Keys,
    pub(super) targets: Vec<Targets>,
    /// The index of `service.name` among the keys, where the service is read.
    pub(super) service: Option<u32>,
    /// Columns of the scope's own fields.
    pub(super) scope_name: Option<u32>,
    pub(super) scope_version: Option<u32>,
    /// The spans' columns that are no attributes.
    pub(super) intrinsics: Vec<(Intrinsic, usize)>,
    pub(super) wanted: Wanted,
    pub(super) events: ItemPlan,
    pub(super) links: ItemPlan,
}

/// The columns of one key, by place; [`NONE`] where there is no such column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Targets {
    pub(super) any: u32,
    pub(super) span: u32,
    pub(super) resource: u32,
    pub(super) scope: u32,
}

/// Facts that cost something and are kept only where a column shows them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) name: bool,
    pub(super) status_message: bool,
    pub(super) trace_id: bool,
    pub(super) span_id: bool,
    pub(super) parent_id: bool,
}

/// What is read of a span's events, or of its links.
#[derive(Debug, Default)]
pub(super) struct ItemPlan {
    /// The spans' column of offsets, or one of the table's own, is read.
    pub(super) read: bool,
    /// All columns of the table.
    pub(super) columns: Vec<usize>,
    /// Those that are no attributes.
    pub(super) intrinsics: Vec<(Intrinsic, usize)>,
    /// Attribute keys, and the column of each.
    pub(super) keys: Keys,
    pub(super) targets: Vec<usize>,
}

impl Plan {
    pub(super) fn new(columns: &[ColumnKey]) -> Plan {
        let mut plan = Plan::default();
        for (index, column) in columns.iter().enumerate() {
            match column.table {
                Table::Spans => plan.span_column(&column.source, index),
                Table::Events => plan.events.column(column, index),
                Table::Links => plan.links.column(column, index),
            }
        }
        plan
    }

    fn span_column(&mut self, source: &Source, index: usize) {
        match source {
            Source::Intrinsic(intrinsic) => {
                self.intrinsics.push((*intrinsic, index));
                match intrinsic {
                    Intrinsic::Name => self.wanted.name = true,
                    Intrinsic::StatusMessage => self.wanted.status_message = true,
                    Intrinsic::TraceId => self.wanted.trace_id = true,
                    Intrinsic::SpanId => self.wanted.span_id = true,
                    Intrinsic::ParentId => self.wanted.parent_id = true,
                    Intrinsic::Service => self.service = Some(self.key("service.name")),
                    Intrinsic::Events => self.events.read = true,
                    Intrinsic::Links => self.links.read = true,
                    _ => {}
                }
            }
            Source::Attribute { place, key } => {
                let column = index as u32;
                match (place, &**key) {
                    (Place::Scope, "name") => self.scope_name = Some(column),
                    (Place::Scope, "version") => self.scope_version = Some(column),
                    _ => {
                        let key = self.key(key) as usize;
                        let targets = &mut self.targets[key];
                        match place {
                            Place::Any => targets.any = column,
                            Place::Span => targets.span = column,
                            Place::Resource => targets.resource = column,
                            Place::Scope => targets.scope = column,
                        }
                    }
                }
            }
        }
    }

    fn key(&mut self, key: &str) -> u32 {
        let index = self.keys.add(key);
        self.targets.resize(self.keys.len(), Targets::NONE);
        index
    }
}

impl Targets {
    const NONE: Targets = Targets {
        any: NONE,
        span: NONE,
        resource: NONE,
        scope: NONE,
    };

    /// Whether a span's own attribute goes anywhere.
    #[inline]
    pub(super) fn in_span(&self) -> bool {
        self.any != NONE || self.span != NONE
    }
}

impl ItemPlan {
    fn column(&mut self, column: &ColumnKey, index: usize) {
        self.read = true;
        self.columns.push(index);
        match &column.source {
            Source::Intrinsic(intrinsic) => self.intrinsics.push((*intrinsic, index)),
            Source::Attribute { key, .. } => {
                let key = self.keys.add(key) as usize;
                // The builder knows one place for items, so a key comes once.
                self.targets.resize(self.keys.len(), index);
                self.targets[key] = index;
            }
        }
    }
}
