//! The typed tree: what a rule means, with every name resolved and every synonym reduced to one form.
//!
//! Chains (`a and b and c`, `.where(p).where(q)`) are flat, so that the depth of a tree is bounded by the nesting limit
//! and not by the length of the source.

use crate::diagnostic::Span;

/// A rule, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// `rule ID`, or the file's stem for a bare body.
    pub id: String,
    /// Where the id stands, or the whole file.
    pub span: Span,
    /// The whole declaration, but for the `///` lines.
    pub declaration: Span,
    /// The `///` lines above it.
    pub description: String,
    /// How bad a finding is.
    pub severity: Severity,
    /// Free labels, in source order.
    pub tags: Vec<String>,
    /// Shown with a signal; empty where the rule has none.
    pub message: String,
    /// The condition of a `when` body: a trace where it is false breaks no clause.
    pub when: Option<Clause>,
    /// What can break, in source order: one `detect` or one `expect`, or the `always` and `never` clauses of a `when`.
    pub clauses: Vec<(ClauseKind, Clause)>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Severity {
    Info,
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// What makes a clause broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClauseKind {
    /// Broken where its condition is true.
    Detect,
    /// Broken where its condition is false.
    Expect,
    /// Broken where `when` is true and its condition is false.
    Always,
    /// Broken where `when` is true and its condition is true.
    Never,
}

/// A condition and where it stands in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// True or false, once a trace.
    pub condition: Condition,
    /// The condition's text, without the braces.
    pub span: Span,
}

/// True or false of a whole trace.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A literal.
    Constant(bool),
    /// True where the other is false.
    Not(Box<Condition>),
    /// True where each is.
    And(Vec<Condition>),
    /// True where one is.
    Or(Vec<Condition>),
    /// The set is not empty (`payment.charge`, `any.where`, `trace.has`).
    Exists(Set),
    /// The predicate is true of every span of the set; true over nothing.
    Every(Set, Predicate),
    /// Two numbers of the trace compare so.
    Compare(Number, Comparison, Number),
}

/// A number of a whole trace.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// How many spans the set has.
    Count(Set),
    /// A literal.
    Int(i64),
    /// A literal.
    Float(f64),
}

/// A set of spans: the base, of which each filter is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Where it starts from.
    pub base: Base,
    /// The predicates of its `where`s, in source order.
    pub filters: Vec<Predicate>,
    /// The whole expression.
    pub span: Span,
}

/// Where a set starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// `spans`.
    All,
    /// The spans of this name.
    Named(String),
    /// The spans whose name starts so: `payment.*` is the prefix `payment.`.
    Prefixed(String),
}

/// `==` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// True or false of one item: a span, or inside `events.any(...)` an event, inside `links.any(...)` a link.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// A literal.
    Constant(bool),
    /// True where the other is false.
    Not(Box<Predicate>),
    /// True where each is.
    And(Vec<Predicate>),
    /// True where one is.
    Or(Vec<Predicate>),
    /// The field is the bool `true`.
    IsTrue(Field),
    /// The field is not missing.
    Exists(Field),
    /// False where a side is missing or the types are unlike. At least one side is a field, and it is the left one unless both are.
    Compare(Field, Comparison, Operand),
    /// The field equals one of these (never empty). `negated`: it is there, of a type like one of them, and equals none.
    OneOf {
        /// Read once.
        field: Field,
        /// Compared one by one.
        items: Vec<Constant>,
        /// `not in`.
        negated: bool,
    },
    /// The field is text, and matches.
    Text(Field, Pattern),
    /// The span's events or links: quantified, or counted.
    Items(Table, Items),
}

/// What is asked of a span's events or links.
#[derive(Clone, Debug, PartialEq)]
pub enum Items {
    /// One of them is so.
    Any(Box<Predicate>),
    /// Each of them is so; true over nothing.
    All(Box<Predicate>),
    /// The number of those that are so compares with this.
    Count(Box<Predicate>, Comparison, Constant),
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Operand {
    Constant(Constant),
    Field(Field),
}

/// A literal, typed by what it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// Quoted, or a bare word.
    Text(String),
    /// Nanoseconds.
    Duration(i64),
    /// OTLP's number of a span kind or a status code.
    Enum(u8),
}

/// How text is matched, against a constant pattern or another field's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `contains`.
    Contains(TextOperand),
    /// `starts_with`.
    StartsWith(TextOperand),
    /// `ends_with`.
    EndsWith(TextOperand),
    /// `like`: `*` any text, `?` one character; the whole text.
    Like(String),
    /// `matches`: a regular expression that was parsed, unanchored; `\b \w \d \s` are ASCII.
    Matches(String),
}

/// What a text is matched with.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum TextOperand {
    Constant(String),
    Field(Field),
}

/// Something read from an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// What it is read from.
    pub table: Table,
    /// Which fact or attribute.
    pub source: Source,
    /// Where it stands.
    pub span: Span,
}

/// What a field is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Table {
    Spans,
    Events,
    Links,
}

/// Which fact or attribute a field is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Every item has it.
    Intrinsic(Intrinsic),
    /// Some items have it, of any type.
    Attribute(Place, String),
}

/// Where an attribute is looked for. An event's or a link's is `Span`: in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The span, then its resource, then its scope.
    Any,
    /// `attr.`
    Span,
    /// `resource.`
    Resource,
    /// `scope.`
    Scope,
}

/// The facts that every span has (`Name` and `Time` every event, `TraceId` and `SpanId` every link).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Intrinsic {
    Name,
    Service,
    Kind,
    Status,
    StatusMessage,
    Duration,
    Start,
    End,
    Depth,
    ChildCount,
    SelfTime,
    IsRoot,
    IsLeaf,
    TraceId,
    SpanId,
    ParentId,
    /// An event's, as an offset from the trace's start.
    Time,
}
