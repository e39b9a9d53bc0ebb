//! What was written, before names have a meaning. Chains are flat, so that depth is bounded by the nesting limit.

use super::Known;
use crate::diagnostic::Span;

/// A file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// In source order. A bare body is a rule without an id.
    pub rules: Vec<Rule>,
    /// Something here was reported; what is missing may be missing because of it.
    pub broken: bool,
}

/// `rule id { … }`, or the whole of a file that holds a bare body.
#[derive(Clone, Debug)]
pub struct Rule {
    /// None for a bare body.
    pub id: Option<Word>,
    /// From `rule` to its closing brace.
    pub span: Span,
    /// The `///` lines above it.
    pub description: String,
    /// `severity`, `tags`, `message`.
    pub settings: Vec<Setting>,
    /// `detect`, `expect`, `when`, `always`, `never` and bare conditions.
    pub bodies: Vec<Body>,
    /// What the caller says it has of it, where it was asked. What is clean is passed over: it has no settings and no
    /// bodies here.
    pub known: Option<Known>,
    /// As [`File::broken`].
    pub broken: bool,
}

/// `severity: high`.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where its name stands.
    pub keyword: Span,
    /// What it says.
    pub value: SettingValue,
}

/// What a setting says.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum SettingValue {
    Severity(Word),
    Tags(Vec<Word>),
    Message(Word),
}

impl SettingValue {
    /// `severity`.
    pub fn name(&self) -> &'static str {
        match self {
            SettingValue::Severity(_) => "severity",
            SettingValue::Tags(_) => "tags",
            SettingValue::Message(_) => "message",
        }
    }
}

/// A word as it is meant: without quotes, escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its text.
    pub text: String,
    /// Where it stands, quotes included.
    pub span: Span,
    /// Whether it was quoted.
    pub quoted: bool,
}

/// `detect { condition }`.
#[derive(Clone, Debug)]
pub struct Body {
    /// Which.
    pub kind: BodyKind,
    /// Where its keyword stands; the condition, if it has none.
    pub keyword: Span,
    /// The condition, without the braces.
    pub condition: Expression,
}

/// What a body says of its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BodyKind {
    Bare,
    Detect,
    Expect,
    When,
    Always,
    Never,
}

impl BodyKind {
    /// The body that a keyword starts.
    pub fn of(keyword: &str) -> Option<BodyKind> {
        Some(match keyword {
            "detect" => BodyKind::Detect,
            "expect" => BodyKind::Expect,
            "when" => BodyKind::When,
            "always" => BodyKind::Always,
            "never" => BodyKind::Never,
            _ => return None,
        })
    }

    /// How messages call it.
    pub fn name(self) -> &'static str {
        match self {
            BodyKind::Bare => "a bare condition",
            BodyKind::Detect => "`detect`",
            BodyKind::Expect => "`expect`",
            BodyKind::When => "`when`",
            BodyKind::Always => "`always`",
            BodyKind::Never => "`never`",
        }
    }
}

/// A condition, a set, a field or a value: which one depends on where it stands.
#[derive(Clone, Debug)]
pub struct Expression {
    /// What it is.
    pub kind: ExpressionKind,
    /// Parentheses included.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum ExpressionKind {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent; finite.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Quoted text, escapes resolved.
    Text(String),
    /// `payment.charge`, `payment.*`.
    Name(Name),
    /// `attr["any key"]`: the name before the bracket and the key.
    Index(Name, String),
    /// `base.where(p).count()`; never empty.
    Chain(Box<Expression>, Vec<Call>),
    /// `exists(x)`.
    Function(Word, Vec<Expression>),
    /// `not x`.
    Not(Box<Expression>),
    /// Two or more.
    And(Vec<Expression>),
    /// Two or more.
    Or(Vec<Expression>),
    /// `a == b`.
    Compare(Box<Expression>, Comparison, Box<Expression>),
    /// `a in [b, c]`.
    In {
        /// `a`.
        left: Box<Expression>,
        /// `not in`.
        negated: bool,
        /// `b`, `c`.
        items: Vec<Expression>,
        /// The list with its brackets.
        list: Span,
    },
    /// `a contains b`.
    TextTest(Box<Expression>, TextOperator, Box<Expression>),
    /// A mistake that was reported.
    Invalid,
}

/// A dotted name.
#[derive(Clone, Debug)]
pub struct Name {
    /// As written, without the star: `payment.charge`, and `payment.` of `payment.*`.
    pub text: String,
    /// Where it stands, with the star.
    pub span: Span,
    /// Ends in `.*`.
    pub wildcard: bool,
}

impl Name {
    /// Has more than one segment.
    pub fn dotted(&self) -> bool {
        self.text.contains('.')
    }
}

/// `.where(p)`.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its word.
    pub method: Word,
    /// None where no parentheses follow.
    pub arguments: Option<Vec<Expression>>,
    /// From the word to the closing parenthesis.
    pub span: Span,
}

/// `==` and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// Which.
    pub operator: crate::types::tree::Comparison,
    /// Where.
    pub span: Span,
}

/// Operators on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TextOperator {
    Contains,
    StartsWith,
    EndsWith,
    Like,
    Matches,
}

impl TextOperator {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            TextOperator::Contains => "contains",
            TextOperator::StartsWith => "starts_with",
            TextOperator::EndsWith => "ends_with",
            TextOperator::Like => "like",
            TextOperator::Matches => "matches",
        }
    }
}
