//! Patterns as expressions over UTF-8 text.

use regex_syntax::hir::{Dot, Hir, Look, Repetition};

use super::error::Problem;
use crate::types::regex::parse;

/// A regular expression, unanchored.
pub(super) fn regex(pattern: &str) -> Result<Hir, Problem> {
    parse(pattern).map_err(|mistake| Problem::Regex(mistake.message))
}

/// `*` is any text, `?` one character; the whole text matches.
pub(super) fn like(glob: &str) -> Hir {
    let mut parts = vec![Hir::look(Look::Start)];
    let mut literal = String::new();
    let mut after_star = false;
    for character in glob.chars() {
        if !matches!(character, '*' | '?') {
            literal.push(character);
            after_star = false;
            continue;
        }
        parts.push(Hir::literal(std::mem::take(&mut literal).into_bytes()));
        if character == '?' {
            parts.push(Hir::dot(Dot::AnyChar));
            after_star = false;
        } else if !after_star {
            parts.push(any_text());
            after_star = true;
        }
    }
    parts.push(Hir::literal(literal.into_bytes()));
    parts.push(Hir::look(Look::End));
    Hir::concat(parts)
}

/// By bytes rather than characters, which is the same in UTF-8 and makes for smaller automata.
fn any_text() -> Hir {
    Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: true,
        sub: Box::new(Hir::dot(Dot::AnyByte)),
    })
}
