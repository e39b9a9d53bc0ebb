//! AST to typed tree: names resolved, types checked, synonyms gone.
//!
//! A part that does not check gives none, and the checker goes on with its neighbours, so that one run tells all that is
//! wrong with a rule. Recursion follows the nesting of the source, which the parser has bounded.

mod compare;
mod condition;
mod constant;
mod field;
mod item;
mod items;
mod lints;
pub mod names;
mod number;
pub mod regex;
mod rule;
mod steps;
mod text;
pub mod tree;
pub(crate) mod wording;

use crate::diagnostic::{Sink, Span};
use crate::syntax::ast;

/// Checks the rules of a file, but for those that are known. Those that do not check are told of and left out.
pub fn check(file: &ast::File, stem: &str, source: &str, sink: &mut Sink) -> Vec<tree::Rule> {
    Checker { source, sink }.file(file, stem)
}

struct Checker<'s, 'd> {
    source: &'s str,
    sink: &'d mut Sink,
}

impl<'s> Checker<'s, '_> {
    /// The text of a part of the source, or a stand-in where it is too long for a message.
    fn quote(&self, span: Span, stand_in: &'static str) -> &'s str {
        /// What still reads well inside of a sentence.
        const LONGEST: usize = 60;
        let text = span.text(self.source);
        if text.len() > LONGEST || text.contains('\n') {
            stand_in
        } else {
            text
        }
    }
}
