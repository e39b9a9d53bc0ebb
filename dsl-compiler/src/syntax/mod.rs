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

use crate::diagnostic::Sink;

/// Parses a file. Time and memory are linear in the source, and recursion is bounded by [`MAX_NESTING`].
pub fn parse(source: &str, sink: &mut Sink) -> ast::File {
    let lexed = lexer::lex(source, sink);
    parser::file(source, lexed, sink)
}
