//! Lists and arguments.

use super::{Parsed, Parser};
use crate::diagnostic::Code;
use crate::syntax::ast::Expression;
use crate::syntax::token::Kind;

impl Parser<'_, '_> {
    /// `( condition, … )`; the parenthesis is the token at hand. A mistake inside gives none.
    /// `quantifies`: they may start with `v in set:`.
    pub(super) fn arguments(&mut self, quantifies: bool) -> Parsed<Option<Vec<Expression>>> {
        self.bracketed(Kind::CloseParen, "`)`", |parser| {
            parser.listed(Kind::CloseParen, |parser| parser.argument(quantifies))
        })
    }

    /// Elements with commas between, up to the closing bracket, which stays.
    pub(super) fn listed<T>(
        &mut self,
        close: Kind,
        element: impl Fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut elements = Vec::new();
        while self.kind() != close {
            elements.push(element(self)?);
            if self.kind() != Kind::Comma {
                break;
            }
            self.advance();
        }
        Ok(elements)
    }

    fn argument(&mut self, quantifies: bool) -> Parsed<Expression> {
        if self.binding_starts(quantifies) {
            return self.later(
                Code::BindingsNotYet,
                "names for spans, and quantifiers over them, are",
            );
        }
        self.condition()
    }
}
