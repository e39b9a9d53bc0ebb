//! What the language will have later: recognised, told, skipped.

use super::{Parsed, Parser};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::token::{Kind, Reserved};

impl Parser<'_, '_> {
    /// Tells that the part of the language that starts here is not built yet.
    pub(super) fn later<T>(&mut self, code: Code, what: &str) -> Parsed<T> {
        let found = self.found();
        self.fail(
            Diagnostic::new(code, self.here(), format!("{what} not supported yet"))
                .here(format!("{found} is reserved for it")),
        )
    }

    /// `let slow(limit) =`, `list risky =`.
    pub(super) fn later_declaration_starts(&self) -> bool {
        self.kind() == Kind::Word
            && matches!(self.text(), "let" | "list")
            && self.kind_at(1) == Kind::Word
    }

    /// Tells and skips it, up to the next declaration.
    pub(super) fn later_declaration(&mut self) {
        let what = format!("`{}` is", self.text());
        let _: Parsed<()> = self.later(Code::DeclarationsNotYet, &what);
        self.advance();
        self.skip_to_declaration();
    }

    /// `over 1m by user_id`.
    pub(super) fn window(&mut self) -> Parsed<()> {
        let told = self.later(Code::WindowsNotYet, "windows over many traces are");
        self.advance();
        told
    }

    /// `v => p`, and where a quantifier can stand `v in set` (what follows a plain `in` is a list).
    pub(super) fn binding_starts(&self, quantifies: bool) -> bool {
        self.kind() == Kind::Word
            && match self.kind_at(1) {
                Kind::Arrow => true,
                Kind::Reserved(Reserved::In) => quantifies && self.kind_at(2) == Kind::Word,
                _ => false,
            }
    }
}
