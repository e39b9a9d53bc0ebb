//! The words of the language.

use crate::diagnostic::{Code, Span};

/// A word and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// What a word is. Numbers and quoted text are read by the parser, from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, or one segment of a dotted one.
    Word,
    /// A word that can't start a name.
    Reserved(Reserved),
    Quoted,
    Int,
    Float,
    Duration,
    /// Starts with a digit and is none of these: `5xx`, `10sec`, `550e8400-e29b`.
    Odd,
    Comparison(Operator),
    /// `||`, which is `or`; `&&`, which is `and`; `!`, which is `not`.
    Logic(Logic),
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Comma,
    Colon,
    Dot,
    Minus,
    Star,
    /// `+ / %`.
    Arithmetic,
    /// `| &`.
    SetOperator,
    /// `=>`.
    Arrow,
    /// `=`, `===`, `<>`, `=~`: operators of other languages.
    Foreign,
    /// Already reported by the lexer.
    Unknown,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    True,
    False,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Like,
    Matches,
    /// Of a part of the language that is not built yet, with the code that says so.
    Later(Later),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Later {
    Text,
    Order,
    Within,
    Structure,
    As,
}

impl Later {
    pub(super) fn code(self) -> Code {
        match self {
            Later::Text => Code::FunctionsNotYet,
            Later::Order | Later::Within => Code::OrderNotYet,
            Later::Structure => Code::StructureNotYet,
            Later::As => Code::BindingsNotYet,
        }
    }
}

/// What a word is where it is not a segment after a dot. `and or not` are the same in any case, the others are not.
pub(super) fn classify(word: &str) -> Kind {
    let reserved = match word {
        "true" => Reserved::True,
        "false" => Reserved::False,
        "in" => Reserved::In,
        "contains" => Reserved::Contains,
        "starts_with" => Reserved::StartsWith,
        "ends_with" => Reserved::EndsWith,
        "like" => Reserved::Like,
        "matches" => Reserved::Matches,
        "icontains" | "imatches" => Reserved::Later(Later::Text),
        "before" | "after" | "overlaps" | "then" => Reserved::Later(Later::Order),
        "within" => Reserved::Later(Later::Within),
        "child_of" | "parent_of" | "inside" | "around" | "sibling_of" => {
            Reserved::Later(Later::Structure)
        }
        "as" => Reserved::Later(Later::As),
        _ if word.eq_ignore_ascii_case("and") => return Kind::Logic(Logic::And),
        _ if word.eq_ignore_ascii_case("or") => return Kind::Logic(Logic::Or),
        _ if word.eq_ignore_ascii_case("not") => return Kind::Logic(Logic::Not),
        _ => return Kind::Word,
    };
    Kind::Reserved(reserved)
}

/// Whether a word can start a name.
pub(crate) fn is_word(word: &str) -> bool {
    classify(word) == Kind::Word
}

/// Words that end a name where `(` or `.where(` follows, those of parts that are not built yet included.
pub const METHOD_WORDS: &[&str] = &[
    "where",
    "count",
    "exists",
    "any",
    "all",
    "none",
    "sum",
    "avg",
    "min",
    "max",
    "stddev",
    "p50",
    "p90",
    "p95",
    "p99",
    "percentile",
    "distinct",
    "first",
    "last",
    "longest",
    "children",
    "parent",
    "descendants",
    "ancestors",
    "siblings",
    "roots",
    "leaves",
    "max_concurrent",
    "duration",
    "by",
];
