//! Lists and arguments.

use super::{Parsed, Parser};
use crate::syntax::ast::Expression;
use crate::syntax::token::Kind;

impl Parser<'_, '_> {
    /// `( condition, … )`; the parenthesis is the token at hand. A mistake inside gives none.
    pub(super) fn arguments(&mut self) -> Parsed<Option<Vec<Expression>>> {
        self.bracketed(Kind::CloseParen, "`)`", |parser| {
            parser.listed(Kind::CloseParen, Self::argument)
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

    fn argument(&mut self) -> Parsed<Expression> {
        if let Some(code) = self.binding_starts() {
            return self.later(code, "names for spans are");
        }
        self.condition()
    }
}
