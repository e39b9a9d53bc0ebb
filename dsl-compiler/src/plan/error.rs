//! Why a rule that checks can't be planned: what its text patterns take.

use crate::diagnostic::{Code, Diagnostic, Span};

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The regular expression does not parse. The checker has told of it already; trees made by hand get here.
    Regex(String),
    /// The automata of the rule need more than this many bytes, or too much work.
    TooLarge { limit: usize },
}

impl Problem {
    /// As told to the author; `span` is the field that is matched.
    pub(super) fn diagnostic(self, span: Span) -> Diagnostic {
        match self {
            Problem::Regex(why) => Diagnostic::new(
                Code::InvalidRegex,
                span,
                format!("this regular expression does not parse: {why}"),
            ),
            Problem::TooLarge { limit } => Diagnostic::new(
                Code::RegexTooLarge,
                span,
                format!(
                    "the text patterns of this rule need more than {} KiB",
                    limit >> 10
                ),
            )
            .here("this is matched with one pattern too many, or with one too large")
            .help("shorten the pattern, or bound its repetitions more tightly"),
        }
    }
}
