//! Source to AST: bytes are words, words are rules.
//!
//! Nothing here knows what a name means. Mistakes go to the sink, and parsing goes on behind them.

pub mod ast;
mod lexer;
mod limits;
pub mod literal;
mod parser;
mod token;

pub(crate) use limits::ID_HELP;
pub use limits::{MAX_FILE_BYTES, MAX_ID_BYTES, MAX_NESTING, MAX_RULE_BYTES};
pub(crate) use parser::hint::is_null;
pub use token::METHOD_WORDS;
pub(crate) use token::is_word;

use std::borrow::Cow;

use crate::diagnostic::{Sink, Span};

/// Whether the caller has a rule already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// No: it needs a component.
    No,
    /// Yes. It is looked at all the same, for its warnings.
    Warned,
    /// Yes, and there was nothing to be said of it.
    Clean,
}

/// Parses a file. Time and memory are linear in the source, and recursion is bounded by [`MAX_NESTING`].
pub fn parse(source: &str, sink: &mut Sink) -> ast::File {
    parse_changed(source, &|_, _| Known::No, sink)
}

/// As [`parse`], but passes over declarations whose id and [`alone`] text are `known` to be without a mistake.
pub fn parse_changed(
    source: &str,
    known: &dyn Fn(&str, &str) -> Known,
    sink: &mut Sink,
) -> ast::File {
    let lexed = lexer::lex(source, sink);
    parser::file(source, lexed, known, sink)
}

/// A rule as a file of its own. Nothing outside of its declaration and the lines above it says what it means.
pub fn alone<'s>(declaration: Span, description: &str, source: &'s str) -> Cow<'s, str> {
    let declaration = declaration.text(source);
    // What is the whole file holds its description, if it has one.
    if description.is_empty() || declaration.len() == source.len() {
        return Cow::Borrowed(declaration);
    }
    let lines = description.split('\n');
    let mut text: String = lines.map(|line| format!("/// {line}\n")).collect();
    text.push_str(declaration);
    Cow::Owned(text)
}
