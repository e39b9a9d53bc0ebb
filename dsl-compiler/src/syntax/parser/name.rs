//! Dotted names, and where they end.

use super::{Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::ast::Name;
use crate::syntax::token::{Kind, METHOD_WORDS};

impl Parser<'_, '_> {
    /// A name; its first segment is the token at hand.
    pub(super) fn name(&mut self) -> Parsed<Name> {
        let mut span = self.advance();
        let mut text_end = span;
        let mut wildcard = false;
        while self.kind() == Kind::Dot && self.adjacent(0) {
            if self.kind_at(1) == Kind::Star && self.adjacent(1) {
                text_end = span.to(self.advance());
                span = span.to(self.advance());
                wildcard = true;
                break;
            }
            if !self.segment_follows() || self.method_follows() {
                break;
            }
            self.advance();
            span = span.to(self.advance());
            text_end = span;
        }
        let text = span.to(text_end).text(self.source);
        let text = if wildcard {
            text.strip_suffix('*').unwrap_or(text)
        } else {
            text
        };
        let name = Name {
            text: text.to_owned(),
            span,
            wildcard,
        };
        self.after_name(name)
    }

    /// What may not follow a name without a space between.
    fn after_name(&mut self, name: Name) -> Parsed<Name> {
        let star = self.kind() == Kind::Star && self.adjacent(0);
        let goes_on = matches!(self.kind(), Kind::Word | Kind::Odd | Kind::Int) && self.adjacent(0)
            || self.kind() == Kind::Dot
                && self.adjacent(0)
                && self.kind_at(1) == Kind::Word
                && !self.method_follows()
                && name.wildcard;
        if star || (name.wildcard && goes_on) {
            let pattern = name.span.to(self.here()).text(self.source).to_owned();
            let span = name.span.to(self.here());
            return self.fail(
                Diagnostic::new(
                    Code::MisplacedWildcard,
                    span,
                    "a star stands only after a name's last dot",
                )
                .here(format!("`{pattern}` is not a name"))
                .help("for other patterns, `spans.where(name like 'pay*ment')`"),
            );
        }
        Ok(name)
    }

    /// A dot at hand and a segment right behind it.
    pub(super) fn segment_follows(&self) -> bool {
        self.kind_at(1) == Kind::Word && self.adjacent(1)
    }

    /// A dot at hand, and behind it a method: a word and its arguments, a method word before `.where(`, or `exists` at
    /// the end.
    pub(super) fn method_follows(&self) -> bool {
        if self.kind_at(1) != Kind::Word {
            return false;
        }
        let word = self.text_at(1);
        match self.kind_at(2) {
            Kind::OpenParen => true,
            Kind::Dot => {
                let where_follows = self.kind_at(3) == Kind::Word
                    && self.text_at(3) == "where"
                    && self.kind_at(4) == Kind::OpenParen;
                let segment =
                    self.adjacent(2) && matches!(self.kind_at(3), Kind::Word | Kind::Star);
                (where_follows && METHOD_WORDS.contains(&word)) || (word == "exists" && !segment)
            }
            _ => word == "exists",
        }
    }
}
