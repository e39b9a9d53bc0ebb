//! Which columns a rule set reads: the union of its rules' manifests, each column once.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::HashMap;

use super::plan::Plan;
use super::symbols::Constants;

/// What a column has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    Spans,
    Events,
    Links,
}

impl Table {
    /// What one of its rows is called.
    pub fn item(self) -> &'static str {
        match self {
            Table::Spans => "span",
            Table::Events => "event",
            Table::Links => "link",
        }
    }
}

/// Where an attribute is looked for.
///
/// With `Any`, a place whose value is missing (no such key, an empty `AnyValue`, text that is not UTF-8) leaves it to the
/// next place. `Scope` has two keys that are not attributes: `name` and `version` are the scope's own fields, missing
/// where they are empty, since that is how OTLP says "unknown"; `Any` does not look there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The span, then its resource, then its scope.
    Any,
    Span,
    Resource,
    Scope,
}

/// Facts that every item of a table has; see `wit/rule.wit` for the width of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intrinsic {
    Name,
    Service,
    StatusMessage,
    TraceId,
    SpanId,
    ParentId,
    Parent,
    SubtreeEnd,
    Depth,
    ChildCount,
    Events,
    Links,
    Start,
    End,
    Duration,
    SelfTime,
    Time,
    Kind,
    Status,
    Flags,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    Intrinsic(Intrinsic),
    Attribute { place: Place, key: Box<str> },
}

/// A column that some rule reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnKey {
    pub table: Table,
    pub source: Source,
}

/// The arrays of a column; an attribute has one of bytes (tags) and one of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    W32,
    W64,
    W8,
    Attribute,
}

/// The columns of a rule set, and the text constants of its rules with symbols that hold for the whole set.
///
/// The first two columns are always the spans' names and services: [`Projection::NAME`], [`Projection::SERVICE`].
#[derive(Debug)]
pub struct Projection {
    pub columns: Vec<ColumnKey>,
    /// Symbol `i` of every batch is `constants[i]`; symbols of other text follow.
    pub constants: Arc<Constants>,
    pub(super) plan: Plan,
}

/// Collects the columns and constants of rules.
#[derive(Debug)]
pub struct ProjectionBuilder {
    columns: Vec<ColumnKey>,
    indices: HashMap<ColumnKey, u32>,
    constants: Vec<Box<str>>,
    symbols: HashMap<Box<str>, u32>,
}

impl Projection {
    pub const NAME: usize = 0;
    pub const SERVICE: usize = 1;
}

impl Default for Projection {
    fn default() -> Projection {
        ProjectionBuilder::default().build()
    }
}

impl Default for ProjectionBuilder {
    fn default() -> ProjectionBuilder {
        let mut builder = ProjectionBuilder {
            columns: Vec::new(),
            indices: HashMap::default(),
            constants: Vec::new(),
            symbols: HashMap::default(),
        };
        // Candidates are found by names and services, and every signal shows them.
        builder.column(&ColumnKey::intrinsic(Table::Spans, Intrinsic::Name));
        builder.column(&ColumnKey::intrinsic(Table::Spans, Intrinsic::Service));
        builder
    }
}

impl ProjectionBuilder {
    pub fn new() -> ProjectionBuilder {
        ProjectionBuilder::default()
    }

    /// Adds what one rule reads; returns the index in the projection of each column, and the symbol of each constant.
    pub fn add<'a>(
        &mut self,
        columns: impl IntoIterator<Item = &'a ColumnKey>,
        constants: &[impl AsRef<str>],
    ) -> (Vec<u32>, Vec<u32>) {
        let columns = columns.into_iter().map(|key| self.column(key)).collect();
        let constants = constants
            .iter()
            .map(|text| self.constant(text.as_ref()))
            .collect();
        (columns, constants)
    }

    pub fn build(self) -> Projection {
        let plan = Plan::new(&self.columns);
        Projection {
            columns: self.columns,
            constants: Arc::new(Constants::new(self.constants)),
            plan,
        }
    }

    /// Most columns of most rules are there already, so that looking comes before copying.
    fn column(&mut self, key: &ColumnKey) -> u32 {
        // An event or a link has no resource or scope of its own: every place means the item.
        let key = match (key.table, &key.source) {
            (table @ (Table::Events | Table::Links), Source::Attribute { key, .. }) => {
                Cow::Owned(ColumnKey::attribute(table, Place::Span, key))
            }
            _ => Cow::Borrowed(key),
        };
        if let Some(&index) = self.indices.get(key.as_ref()) {
            return index;
        }
        let offsets = match key.table {
            Table::Spans => None,
            Table::Events => Some(Intrinsic::Events),
            Table::Links => Some(Intrinsic::Links),
        };
        if let Some(offsets) = offsets {
            self.column(&ColumnKey::intrinsic(Table::Spans, offsets));
        }
        let index = self.columns.len() as u32;
        self.columns.push(key.as_ref().clone());
        self.indices.insert(key.into_owned(), index);
        index
    }

    fn constant(&mut self, text: &str) -> u32 {
        if let Some(&symbol) = self.symbols.get(text) {
            return symbol;
        }
        let symbol = self.constants.len() as u32;
        self.constants.push(text.into());
        self.symbols.insert(text.into(), symbol);
        symbol
    }
}

impl ColumnKey {
    pub fn intrinsic(table: Table, intrinsic: Intrinsic) -> ColumnKey {
        ColumnKey {
            table,
            source: Source::Intrinsic(intrinsic),
        }
    }

    pub fn attribute(table: Table, place: Place, key: &str) -> ColumnKey {
        ColumnKey {
            table,
            source: Source::Attribute {
                place,
                key: key.into(),
            },
        }
    }

    /// The arrays that the column has.
    pub fn width(&self) -> Width {
        match self.source {
            Source::Intrinsic(intrinsic) => intrinsic.width(),
            Source::Attribute { .. } => Width::Attribute,
        }
    }

    /// Whether the table has such a fact. A column that it has not may be declared, and all its rows are missing.
    pub fn exists(&self) -> bool {
        match self.source {
            Source::Intrinsic(intrinsic) => self.table.has(intrinsic),
            Source::Attribute { .. } => true,
        }
    }
}

impl Table {
    pub fn has(self, intrinsic: Intrinsic) -> bool {
        match self {
            Table::Spans => intrinsic != Intrinsic::Time,
            Table::Events => matches!(intrinsic, Intrinsic::Name | Intrinsic::Time),
            Table::Links => matches!(intrinsic, Intrinsic::TraceId | Intrinsic::SpanId),
        }
    }
}

impl Intrinsic {
    pub fn width(self) -> Width {
        use Intrinsic::*;
        match self {
            Name | Service | StatusMessage | TraceId | SpanId | ParentId => Width::W32,
            Parent | SubtreeEnd | Depth | ChildCount | Events | Links => Width::W32,
            Start | End | Duration | SelfTime | Time => Width::W64,
            Kind | Status | Flags => Width::W8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_constants_of_several_rules_are_shared() {
        let mut builder = ProjectionBuilder::new();
        let amount = ColumnKey::attribute(Table::Spans, Place::Any, "amount");
        let name = ColumnKey::intrinsic(Table::Spans, Intrinsic::Name);
        assert_eq!(
            builder.add(&[amount.clone(), name.clone()], &["a", "b"]),
            (vec![2, 0], vec![0, 1])
        );
        let kind = ColumnKey::intrinsic(Table::Spans, Intrinsic::Kind);
        assert_eq!(
            builder.add(&[kind, amount], &["b", "c", "b"]),
            (vec![3, 2], vec![1, 2, 1])
        );
        let projection = builder.build();
        assert_eq!(projection.columns[Projection::NAME], name);
        assert_eq!(projection.columns.len(), 4);
        assert_eq!(
            projection
                .constants
                .iter()
                .map(|text| &**text)
                .collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn a_table_of_items_brings_its_offsets() {
        let mut builder = ProjectionBuilder::new();
        let (columns, _) = builder.add(
            &[
                ColumnKey::attribute(Table::Events, Place::Any, "exception.type"),
                ColumnKey::attribute(Table::Events, Place::Span, "exception.type"),
                ColumnKey::intrinsic(Table::Spans, Intrinsic::Events),
            ],
            &[""; 0],
        );
        assert_eq!(columns, [3, 3, 2]);
    }
}
