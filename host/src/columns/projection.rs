//! Which columns a rule set reads: the union of its rules' manifests, each column once.

/// What a column has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    Spans,
    Events,
    Links,
}

/// Where an attribute is looked for.
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

/// The columns of a rule set, and the text constants of its rules with symbols that hold for the whole set.
#[derive(Debug, Default)]
pub struct Projection {
    pub columns: Vec<ColumnKey>,
    /// Symbol `i` of every batch is `constants[i]`; symbols of other text follow.
    pub constants: Vec<Box<str>>,
}
