//! Why a rule that is well typed can't be planned.

use std::fmt;

use crate::diagnostic::Span;

/// Where and why a rule can't be planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The field whose pattern it is.
    pub span: Span,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The regular expression does not parse.
    Regex(String),
    /// The patterns of the rule need more than this many bytes.
    TooLarge {
        /// The bound.
        limit: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Regex(why) => write!(f, "this regular expression is not valid: {why}"),
            Problem::TooLarge { limit } => write!(
                f,
                "the text patterns of this rule need more than {} KiB; shorten them, or bound their repetitions less",
                limit / 1024
            ),
        }
    }
}

impl std::error::Error for PlanError {}
