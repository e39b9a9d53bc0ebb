//! Operators on text, and their patterns.

use super::Checker;
use super::field::placed;
use super::names::Type;
use super::tree::{Field, Pattern, Predicate, Table, TextOperand};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{Expression, ExpressionKind, Name, TextOperator};
use crate::syntax::literal;

impl Checker<'_, '_> {
    pub(super) fn text_test(
        &mut self,
        left: &Expression,
        operator: TextOperator,
        right: &Expression,
        table: Table,
    ) -> Option<Predicate> {
        let field = self.text_field(left, operator, table);
        let operand = self.text_operand(right, operator, table);
        let (field, operand) = (field?, operand?);
        let pattern = match operator {
            TextOperator::Contains => Pattern::Contains(operand),
            TextOperator::StartsWith => Pattern::StartsWith(operand),
            TextOperator::EndsWith => Pattern::EndsWith(operand),
            TextOperator::Like | TextOperator::Matches => {
                let TextOperand::Constant(text) = operand else {
                    self.sink.push(
                        Diagnostic::new(
                            Code::NotALiteral,
                            right.span,
                            format!("the pattern of `{}` is quoted text", operator.name()),
                        )
                        .here("this is a field"),
                    );
                    return None;
                };
                if operator == TextOperator::Like {
                    Pattern::Like(text)
                } else {
                    self.regex(&text, right.span)?;
                    Pattern::Matches(text)
                }
            }
        };
        Some(Predicate::Text(field, pattern))
    }

    fn text_field(
        &mut self,
        left: &Expression,
        operator: TextOperator,
        table: Table,
    ) -> Option<Field> {
        let (field, kind) = match &left.kind {
            ExpressionKind::Name(name) => self.field(name, table)?,
            ExpressionKind::Index(name, key) => self.indexed(name, key, left.span, table)?,
            ExpressionKind::Invalid => return None,
            _ => {
                self.not_a_field(left.span);
                return None;
            }
        };
        if matches!(kind, Type::Attribute | Type::Text) {
            return Some(field);
        }
        let text = self.quote(left.span, "this");
        self.sink.push(
            Diagnostic::new(
                Code::NotText,
                left.span,
                format!(
                    "`{}` is about text, and `{text}` is {}",
                    operator.name(),
                    kind.describe()
                ),
            )
            .help("compare it with `==`, `in` or `<`"),
        );
        None
    }

    fn text_operand(
        &mut self,
        right: &Expression,
        operator: TextOperator,
        table: Table,
    ) -> Option<TextOperand> {
        match &right.kind {
            ExpressionKind::Text(text) => Some(TextOperand::Constant(text.clone())),
            ExpressionKind::Name(name) if !placed(name) => {
                self.bare_text(name).map(TextOperand::Constant)
            }
            ExpressionKind::Name(name) => Some(TextOperand::Field(self.field(name, table)?.0)),
            ExpressionKind::Index(name, key) => Some(TextOperand::Field(
                self.indexed(name, key, right.span, table)?.0,
            )),
            ExpressionKind::Invalid => None,
            _ => {
                self.sink.push(
                    Diagnostic::new(
                        Code::NotText,
                        right.span,
                        format!("`{}` takes text", operator.name()),
                    )
                    .help(format!(
                        "put it in quotes: `\"{}\"`",
                        self.quote(right.span, "…")
                    )),
                );
                None
            }
        }
    }

    /// A word on the right of an operator.
    pub(super) fn bare_text(&mut self, name: &Name) -> Option<String> {
        if name.wildcard {
            self.sink.push(
                Diagnostic::new(
                    Code::MisplacedWildcard,
                    name.span,
                    "text outside of quotes has no star",
                )
                .help(format!("for a pattern, `like '{}*'`", name.text)),
            );
            return None;
        }
        Some(name.text.clone())
    }

    fn regex(&mut self, pattern: &str, span: Span) -> Option<()> {
        let Err(mistake) = super::regex::parse(pattern) else {
            return Some(());
        };
        if mistake.too_large {
            self.sink
                .push(Diagnostic::new(Code::RegexTooLarge, span, mistake.message));
            return None;
        }
        let text = span.text(self.source);
        let place = |offset: usize| match text.starts_with(['"', '\'']) {
            true => span.start as usize + literal::source_offset(text, offset),
            false => span.start as usize + offset,
        };
        // In parentheses the text starts somewhere inside of the span.
        let at = match text.starts_with('(') {
            true => span,
            false => Span::new(place(mistake.start), place(mistake.end)),
        };
        self.sink.push(
            Diagnostic::new(Code::InvalidRegex, at, "the regular expression is wrong")
                .here(mistake.message),
        );
        None
    }
}
