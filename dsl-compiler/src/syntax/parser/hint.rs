//! What was probably meant, where the grammar has no place for what stands there.

use super::{Parsed, Parser};
use crate::diagnostic::closest;
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::ast::BodyKind;
use crate::syntax::token::Kind;

/// Operators that are words.
const OPERATORS: &[&str] = &[
    "in",
    "contains",
    "starts_with",
    "ends_with",
    "like",
    "matches",
    "and",
    "or",
    "not",
];

/// Units of durations.
const UNITS: &[&str] = &["ns", "us", "ms", "s", "m", "h"];

/// What other languages call a value that is missing.
const NULLS: &[&str] = &["null", "nil", "none", "undefined"];

/// Whether a word is one of [`NULLS`], in any case.
pub(crate) fn is_null(word: &str) -> bool {
    NULLS.iter().any(|null| null.eq_ignore_ascii_case(word))
}

impl Parser<'_, '_> {
    /// Adds what operator, or what else, the word at hand was meant to be. It stands behind a value.
    pub(super) fn operator_hint(&self, diagnostic: Diagnostic) -> Diagnostic {
        if self.kind() != Kind::Word {
            return diagnostic;
        }
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let number = before.is_some_and(|token| matches!(token.kind, Kind::Int | Kind::Float));
        let left = self.previous().text(self.source);
        let word = self.text();
        if number && UNITS.contains(&word) && left.len() < 60 {
            return diagnostic.help(format!("leave the blank out: `{left}{word}`"));
        }
        if word.eq_ignore_ascii_case("is") {
            let not = matches!(self.kind_at(1), Kind::Logic(_));
            let right = self.text_at(if not { 2 } else { 1 });
            return diagnostic.help(match (is_null(right), not) {
                (true, false) => "of a field that is missing, write `missing(x)`",
                (true, true) => "of a field that is there, write `exists(x)`",
                (false, false) => "write `==`",
                (false, true) => "write `!=`",
            });
        }
        let exactly = |operator: &&&str| operator.eq_ignore_ascii_case(word);
        let meant = OPERATORS.iter().find(exactly).copied().or_else(|| {
            // Any two letters are near to `in`.
            let long = OPERATORS.iter().filter(|operator| operator.len() > 2);
            closest(word, long.copied())
        });
        match meant {
            Some(operator) => diagnostic.help(format!("did you mean `{operator}`?")),
            None => diagnostic,
        }
    }

    /// `ruel x {`: a word like `rule`, an id and a brace.
    pub(super) fn misspelled_rule_starts(&self) -> bool {
        if self.kind() != Kind::Word
            || self.text() == "rule"
            || BodyKind::of(self.text()).is_some()
            || !matches!(self.kind_at(1), Kind::Word | Kind::Quoted)
            || BodyKind::of(self.text_at(1)).is_some()
            || closest(self.text(), ["rule"]).is_none()
        {
            return false;
        }
        let mut ahead = 2;
        while self.kind_at(ahead) == Kind::Dot && self.kind_at(ahead + 1) == Kind::Word {
            ahead += 2;
        }
        self.kind_at(ahead) == Kind::OpenBrace
    }

    /// Tells of it.
    pub(super) fn misspelled_rule(&mut self) {
        let message = format!("expected a rule or a condition, found {}", self.found());
        let _: Parsed<()> = self.fail(
            Diagnostic::new(Code::Unexpected, self.here(), message).help("did you mean `rule`?"),
        );
    }

    /// `severity = high`, whose first token is at hand.
    pub(super) fn setting_with_equals<T>(&mut self) -> Parsed<T> {
        let name = self.text().to_owned();
        self.advance();
        let value = match self.text_at(1) {
            value if value.len() < 60 && self.kind_at(1) != Kind::OpenBracket => value,
            _ => "…",
        };
        let help = format!("a setting takes a colon: `{name}: {value}`");
        let message = format!("expected `:`, found {}", self.found());
        self.fail(
            Diagnostic::new(Code::Unexpected, self.here(), message)
                .here("expected `:`")
                .help(help),
        )
    }

    /// `trace . spans`, `attr. n`: whether the dot at hand and the word behind it belong to the name before them.
    pub(super) fn blank_in_a_name(&self) -> bool {
        let apart = !self.adjacent(0) || !self.adjacent(1);
        let place = matches!(
            self.previous().text(self.source),
            "trace" | "attr" | "resource" | "scope"
        );
        let call = self.kind_at(2) == Kind::OpenParen;
        apart && place && !call && self.text_at(1) != "exists"
    }

    /// Tells of it.
    pub(super) fn no_blank_in_a_name<T>(&mut self) -> Parsed<T> {
        let (before, after) = (self.previous(), self.token_at(1).span);
        let name = format!("{}.{}", before.text(self.source), after.text(self.source));
        let diagnostic = Diagnostic::new(
            Code::Unexpected,
            before.to(after),
            "a name has no blanks inside",
        );
        let short = name.len() < 60;
        self.fail(match short {
            true => diagnostic.help(format!("leave the blanks out: `{name}`")),
            false => diagnostic.help("leave the blanks out"),
        })
    }
}
