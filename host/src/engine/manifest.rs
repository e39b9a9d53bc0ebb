//! What a rule says of itself, checked: every count and length bounded, every column one that its table has.

use std::fmt;

use super::bindings::exports::betrace::rule::types as abi;
use super::layout::{self, Kind};
use crate::columns::projection::{ColumnKey, Intrinsic, Place, Source, Table};

/// The layout of batches that this host writes.
pub const ABI: u32 = 1;

/// Bytes of an id or a tag. It is a name that people type.
pub const ID_BYTES: usize = 200;
/// Tags of a rule, which travel with each of its signals.
pub const TAGS: usize = 64;
/// Bytes of a description, a message, or the text of a clause: the largest rule file is as long.
pub const TEXT_BYTES: usize = 64 << 10;
/// Clauses of a rule.
pub const CLAUSES: usize = 256;
/// Columns of a rule. Each costs the call even where the trace has nothing in it.
pub const COLUMNS: usize = 256;
/// Constants of a rule, and bytes of each: the largest rule is as long.
pub const CONSTANTS: usize = 4_096;
pub const CONSTANT_BYTES: usize = 64 << 10;
/// Triggers of a rule, over all groups.
pub const TRIGGERS: usize = 4_096;
/// Bytes of an attribute's key: the largest rule is as long.
pub const KEY_BYTES: usize = 64 << 10;

/// What a rule is called, what it reads and when it has to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub id: String,
    pub description: String,
    pub severity: Severity,
    pub tags: Vec<String>,
    pub message: String,
    pub clauses: Vec<Clause>,
    pub columns: Vec<RuleColumn>,
    pub constants: Vec<String>,
    /// All of these groups have to be met, each by any of its triggers.
    pub triggers: Vec<Vec<Trigger>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// From the mildest.
    pub const ALL: [Severity; 5] = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClauseKind {
    Detect,
    Expect,
    Always,
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    pub kind: ClauseKind,
    pub text: String,
    /// No further span of the trace can undo its finding.
    pub stable: bool,
}

/// A column that a rule reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleColumn {
    pub key: ColumnKey,
    /// The rule reads the text of the column's symbols.
    pub text: bool,
    pub compared: Compared,
}

/// The types that a rule compares a column's values with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    pub boolean: bool,
    pub integer: bool,
    pub float: bool,
    pub text: bool,
}

impl From<Compared> for crate::columns::census::Types {
    fn from(types: Compared) -> Self {
        Self {
            boolean: types.boolean,
            integer: types.integer,
            float: types.float,
            text: types.text,
        }
    }
}

/// Something that a trace must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    Name(String),
    NamePrefix(String),
    Service(String),
    Attribute { place: Place, key: String },
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error(
        "it is written for ABI {0}, this host speaks {ABI}: build it again with the SDK of this release"
    )]
    Abi(u32),
    #[error("its id is empty")]
    NoId,
    #[error("its id holds the control character {0:?}")]
    ControlInId(char),
    #[error("it has no clause, so it can't find anything")]
    NoClause,
    #[error("{what} is {value}, at most {most} are allowed")]
    TooMany {
        what: &'static str,
        value: usize,
        most: usize,
    },
    #[error("{what} is {value} bytes long, at most {most} are allowed")]
    TooLong {
        what: &'static str,
        value: usize,
        most: usize,
    },
    #[error("column {index}: {table} have no `{intrinsic}`")]
    NoSuchColumn {
        index: usize,
        table: &'static str,
        intrinsic: String,
    },
    #[error(
        "column {index}: an attribute of {table} is looked for in the item alone, so its place has to be `span`"
    )]
    Place { index: usize, table: &'static str },
    #[error("column {index}: `text` is asked for, but `{intrinsic}` holds no symbols")]
    NoText { index: usize, intrinsic: String },
    #[error("trigger group {0} is empty, so the rule would never be called")]
    EmptyGroup(usize),
}

impl Manifest {
    /// Checks what a rule said of itself.
    pub(super) fn check(from: abi::Manifest) -> Result<Self, ManifestError> {
        if from.abi != ABI {
            return Err(ManifestError::Abi(from.abi));
        }
        if from.id.trim().is_empty() {
            return Err(ManifestError::NoId);
        }
        if let Some(control) = from.id.chars().find(|c| c.is_control()) {
            return Err(ManifestError::ControlInId(control));
        }
        if from.clauses.is_empty() {
            return Err(ManifestError::NoClause);
        }
        bounds(&from)?;
        Ok(Self {
            id: from.id,
            description: from.description,
            severity: severity(from.severity),
            tags: from.tags,
            message: from.message,
            clauses: from.clauses.into_iter().map(clause).collect(),
            columns: from
                .columns
                .into_iter()
                .enumerate()
                .map(column)
                .collect::<Result<_, _>>()?,
            constants: from.constants,
            triggers: from
                .triggers
                .into_iter()
                .map(|group| group.into_iter().map(trigger).collect())
                .collect(),
        })
    }
}

fn bounds(from: &abi::Manifest) -> Result<(), ManifestError> {
    long("the id", &from.id, ID_BYTES)?;
    long("the description", &from.description, TEXT_BYTES)?;
    long("the message", &from.message, TEXT_BYTES)?;
    many("the number of tags", from.tags.len(), TAGS)?;
    from.tags
        .iter()
        .try_for_each(|tag| long("a tag", tag, ID_BYTES))?;
    many("the number of clauses", from.clauses.len(), CLAUSES)?;
    from.clauses
        .iter()
        .try_for_each(|clause| long("the text of a clause", &clause.text, TEXT_BYTES))?;
    many("the number of columns", from.columns.len(), COLUMNS)?;
    many("the number of constants", from.constants.len(), CONSTANTS)?;
    from.constants
        .iter()
        .try_for_each(|text| long("a constant", text, CONSTANT_BYTES))?;
    many(
        "the number of trigger groups",
        from.triggers.len(),
        TRIGGERS,
    )?;
    many(
        "the number of triggers",
        from.triggers.iter().map(Vec::len).sum(),
        TRIGGERS,
    )?;
    for (index, group) in from.triggers.iter().enumerate() {
        if group.is_empty() {
            return Err(ManifestError::EmptyGroup(index));
        }
        for trigger in group {
            match trigger {
                abi::Trigger::Name(text)
                | abi::Trigger::NamePrefix(text)
                | abi::Trigger::Service(text) => {
                    long("a trigger", text, CONSTANT_BYTES)?;
                }
                abi::Trigger::Attribute(attribute) => {
                    long("a trigger's key", &attribute.key, KEY_BYTES)?
                }
            }
        }
    }
    Ok(())
}

fn long(what: &'static str, text: &str, most: usize) -> Result<(), ManifestError> {
    match text.len() {
        value if value > most => Err(ManifestError::TooLong { what, value, most }),
        _ => Ok(()),
    }
}

fn many(what: &'static str, value: usize, most: usize) -> Result<(), ManifestError> {
    if value > most {
        Err(ManifestError::TooMany { what, value, most })
    } else {
        Ok(())
    }
}

fn column((index, from): (usize, abi::Column)) -> Result<RuleColumn, ManifestError> {
    let table = match from.table {
        abi::Table::Spans => Table::Spans,
        abi::Table::Events => Table::Events,
        abi::Table::Links => Table::Links,
    };
    let source = match from.source {
        abi::Source::Intrinsic(wanted) => {
            let wanted = intrinsic(wanted);
            if !table.has(wanted) {
                let intrinsic = intrinsic_name(wanted).to_owned();
                return Err(ManifestError::NoSuchColumn {
                    index,
                    table: table_name(table),
                    intrinsic,
                });
            }
            if from.text && layout::kind(&Source::Intrinsic(wanted)) != Kind::Symbols {
                return Err(ManifestError::NoText {
                    index,
                    intrinsic: intrinsic_name(wanted).to_owned(),
                });
            }
            Source::Intrinsic(wanted)
        }
        abi::Source::Attribute(attribute) => {
            long("the key of a column", &attribute.key, KEY_BYTES)?;
            let place = place(attribute.place);
            if table != Table::Spans && place != Place::Span {
                return Err(ManifestError::Place {
                    index,
                    table: table_name(table),
                });
            }
            Source::Attribute {
                place,
                key: attribute.key.into(),
            }
        }
    };
    let compared = Compared {
        boolean: from.compared.contains(abi::Types::BOOLEAN),
        integer: from.compared.contains(abi::Types::INTEGER),
        float: from.compared.contains(abi::Types::FLOAT),
        text: from.compared.contains(abi::Types::TEXT),
    };
    Ok(RuleColumn {
        key: ColumnKey { table, source },
        text: from.text,
        compared,
    })
}

fn severity(from: abi::Severity) -> Severity {
    match from {
        abi::Severity::Info => Severity::Info,
        abi::Severity::Low => Severity::Low,
        abi::Severity::Medium => Severity::Medium,
        abi::Severity::High => Severity::High,
        abi::Severity::Critical => Severity::Critical,
    }
}

fn clause(from: abi::Clause) -> Clause {
    let kind = match from.kind {
        abi::ClauseKind::Detect => ClauseKind::Detect,
        abi::ClauseKind::Expect => ClauseKind::Expect,
        abi::ClauseKind::Always => ClauseKind::Always,
        abi::ClauseKind::Never => ClauseKind::Never,
    };
    Clause {
        kind,
        text: from.text,
        stable: from.stable,
    }
}

fn trigger(from: abi::Trigger) -> Trigger {
    match from {
        abi::Trigger::Name(text) => Trigger::Name(text),
        abi::Trigger::NamePrefix(text) => Trigger::NamePrefix(text),
        abi::Trigger::Service(text) => Trigger::Service(text),
        abi::Trigger::Attribute(attribute) => Trigger::Attribute {
            place: place(attribute.place),
            key: attribute.key,
        },
    }
}

fn place(from: abi::Place) -> Place {
    match from {
        abi::Place::Any => Place::Any,
        abi::Place::Span => Place::Span,
        abi::Place::OfResource => Place::Resource,
        abi::Place::Scope => Place::Scope,
    }
}

fn intrinsic(from: abi::Intrinsic) -> Intrinsic {
    match from {
        abi::Intrinsic::Name => Intrinsic::Name,
        abi::Intrinsic::Service => Intrinsic::Service,
        abi::Intrinsic::StatusMessage => Intrinsic::StatusMessage,
        abi::Intrinsic::TraceId => Intrinsic::TraceId,
        abi::Intrinsic::SpanId => Intrinsic::SpanId,
        abi::Intrinsic::ParentId => Intrinsic::ParentId,
        abi::Intrinsic::Parent => Intrinsic::Parent,
        abi::Intrinsic::SubtreeEnd => Intrinsic::SubtreeEnd,
        abi::Intrinsic::Depth => Intrinsic::Depth,
        abi::Intrinsic::ChildCount => Intrinsic::ChildCount,
        abi::Intrinsic::Events => Intrinsic::Events,
        abi::Intrinsic::Links => Intrinsic::Links,
        abi::Intrinsic::Start => Intrinsic::Start,
        abi::Intrinsic::End => Intrinsic::End,
        abi::Intrinsic::Duration => Intrinsic::Duration,
        abi::Intrinsic::SelfTime => Intrinsic::SelfTime,
        abi::Intrinsic::Time => Intrinsic::Time,
        abi::Intrinsic::Kind => Intrinsic::Kind,
        abi::Intrinsic::Status => Intrinsic::Status,
        abi::Intrinsic::Flags => Intrinsic::Flags,
    }
}

/// The name of a table as `wit/rule.wit` spells it.
pub fn table_name(table: Table) -> &'static str {
    match table {
        Table::Spans => "spans",
        Table::Events => "events",
        Table::Links => "links",
    }
}

/// The name of an intrinsic as `wit/rule.wit` spells it.
pub fn intrinsic_name(intrinsic: Intrinsic) -> &'static str {
    match intrinsic {
        Intrinsic::Name => "name",
        Intrinsic::Service => "service",
        Intrinsic::StatusMessage => "status-message",
        Intrinsic::TraceId => "trace-id",
        Intrinsic::SpanId => "span-id",
        Intrinsic::ParentId => "parent-id",
        Intrinsic::Parent => "parent",
        Intrinsic::SubtreeEnd => "subtree-end",
        Intrinsic::Depth => "depth",
        Intrinsic::ChildCount => "child-count",
        Intrinsic::Events => "events",
        Intrinsic::Links => "links",
        Intrinsic::Start => "start",
        Intrinsic::End => "end",
        Intrinsic::Duration => "duration",
        Intrinsic::SelfTime => "self-time",
        Intrinsic::Time => "time",
        Intrinsic::Kind => "kind",
        Intrinsic::Status => "status",
        Intrinsic::Flags => "flags",
    }
}

/// The name of a place as `wit/rule.wit` spells it.
pub fn place_name(place: Place) -> &'static str {
    match place {
        Place::Any => "any",
        Place::Span => "span",
        Place::Resource => "of-resource",
        Place::Scope => "scope",
    }
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl ClauseKind {
    pub fn name(self) -> &'static str {
        match self {
            ClauseKind::Detect => "detect",
            ClauseKind::Expect => "expect",
            ClauseKind::Always => "always",
            ClauseKind::Never => "never",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trigger::Name(text) => write!(f, "name {text:?}"),
            Trigger::NamePrefix(text) => write!(f, "name {text:?}…"),
            Trigger::Service(text) => write!(f, "service {text:?}"),
            Trigger::Attribute { place, key } => {
                write!(f, "attribute {key:?} ({})", place_name(*place))
            }
        }
    }
}
