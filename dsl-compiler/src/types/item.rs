//! Predicates: true or false of one span, event or link. A name is a field here.

use super::Checker;
use super::condition::Pending;
use super::field::placed;
use super::names::Type;
use super::tree::{Constant, Field, Predicate, Table};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{Expression, ExpressionKind, Word};

impl Checker<'_, '_> {
    /// A predicate of an item of this table; none where something in it was told of.
    pub(super) fn predicate(&mut self, expression: &Expression, table: Table) -> Option<Predicate> {
        let span = expression.span;
        match &expression.kind {
            ExpressionKind::Invalid => None,
            ExpressionKind::Bool(value) => {
                self.written_out(*value, span);
                Some(Predicate::Constant(*value))
            }
            ExpressionKind::Int(_) | ExpressionKind::Float(_) => {
                self.no_condition(span, "a number").tell(self)
            }
            ExpressionKind::Duration(_) => self.no_condition(span, "a duration").tell(self),
            ExpressionKind::Text(_) => self
                .no_condition(span, "text")
                .help("compare a field with it, as in `name == …`".to_owned())
                .tell(self),
            ExpressionKind::Name(name) => {
                let (field, kind) = self.field(name, table)?;
                self.truth(field, kind)
            }
            ExpressionKind::Index(name, key) => {
                let (field, kind) = self.indexed(name, key, span, table)?;
                self.truth(field, kind)
            }
            ExpressionKind::Chain(base, calls) => self.item_chain(base, calls, span, table),
            ExpressionKind::Function(word, arguments) => {
                self.item_function(word, arguments, span, table)
            }
            ExpressionKind::Not(inner) => {
                Some(Predicate::Not(Box::new(self.predicate(inner, table)?)))
            }
            ExpressionKind::And(parts) => {
                Some(Predicate::And(self.predicates(parts, table, true)?))
            }
            ExpressionKind::Or(parts) => Some(Predicate::Or(self.predicates(parts, table, false)?)),
            ExpressionKind::Compare(left, comparison, right) => {
                self.compare_fields(left, *comparison, right, span, table)
            }
            ExpressionKind::In {
                left,
                negated,
                items,
                list,
            } => self.one_of(left, *negated, items, *list, table),
            ExpressionKind::TextTest(left, operator, right) => {
                self.text_test(left, *operator, right, table)
            }
        }
    }

    /// Parts of `and` (`or`), those of the same operator in parentheses included.
    fn predicates(
        &mut self,
        parts: &[Expression],
        table: Table,
        and: bool,
    ) -> Option<Vec<Predicate>> {
        let mut checked = Vec::with_capacity(parts.len());
        let mut complete = true;
        for part in parts {
            match self.predicate(part, table) {
                Some(Predicate::And(inner)) if and => checked.extend(inner),
                Some(Predicate::Or(inner)) if !and => checked.extend(inner),
                Some(predicate) => checked.push(predicate),
                None => complete = false,
            }
        }
        complete.then_some(checked)
    }

    /// A bare field as a condition.
    fn truth(&mut self, field: Field, kind: Type) -> Option<Predicate> {
        match kind {
            Type::Attribute | Type::Bool => Some(Predicate::IsTrue(field)),
            _ => {
                let text = self.quote(field.span, "…");
                self.no_condition(field.span, kind.describe())
                    .help(format!("to ask whether it is there, `exists({text})`"))
                    .tell(self)
            }
        }
    }

    /// `exists(x)`, `missing(x)`.
    fn item_function(
        &mut self,
        word: &Word,
        arguments: &[Expression],
        span: Span,
        table: Table,
    ) -> Option<Predicate> {
        let negated = match word.text.as_str() {
            "exists" => false,
            "missing" => true,
            "count" => {
                return self
                    .no_condition(span, "a number")
                    .help(format!("compare it: `{} > 0`", self.quote(span, "…")))
                    .tell(self);
            }
            _ => {
                self.unknown_function(word, arguments);
                return None;
            }
        };
        let [argument] = arguments else {
            self.sink.push(
                Diagnostic::new(
                    Code::WrongArguments,
                    span,
                    format!("`{}` takes one field", word.text),
                )
                .help(format!("as in `{}(user_id)`", word.text)),
            );
            return None;
        };
        let exists = self.exists(argument, table)?;
        Some(if negated {
            Predicate::Not(Box::new(exists))
        } else {
            exists
        })
    }

    fn exists(&mut self, argument: &Expression, table: Table) -> Option<Predicate> {
        if let Some(some) = self.some_items(argument, table) {
            return some;
        }
        match &argument.kind {
            ExpressionKind::Name(name) => Some(Predicate::Exists(self.field(name, table)?.0)),
            ExpressionKind::Index(name, key) => Some(Predicate::Exists(
                self.indexed(name, key, argument.span, table)?.0,
            )),
            ExpressionKind::Invalid => None,
            _ => {
                self.not_a_field(argument.span);
                None
            }
        }
    }

    /// `x in [a, b]`.
    fn one_of(
        &mut self,
        left: &Expression,
        negated: bool,
        items: &[Expression],
        list: Span,
        table: Table,
    ) -> Option<Predicate> {
        let (field, kind) = self.left_field(left, table)?;
        if items.is_empty() {
            self.sink.push(Diagnostic::new(
                Code::EmptyList,
                list,
                "nothing is in an empty list",
            ));
            return None;
        }
        let mut constants = Vec::with_capacity(items.len());
        let mut seen = std::collections::HashSet::new();
        let mut complete = true;
        for item in items {
            match self.element(&field, kind, item) {
                Some(constant) => {
                    if !seen.insert(format!("{constant:?}")) {
                        let message = "the element is in the list twice";
                        self.sink
                            .push(Diagnostic::new(Code::RepeatedElement, item.span, message));
                    }
                    constants.push(constant);
                }
                None => complete = false,
            }
        }
        complete.then_some(Predicate::OneOf {
            field,
            items: constants,
            negated,
        })
    }

    fn element(&mut self, field: &Field, kind: Type, item: &Expression) -> Option<Constant> {
        match &item.kind {
            ExpressionKind::Name(name) if !placed(name) => {
                let text = self.bare_text(name)?;
                self.constant(field, kind, &ExpressionKind::Text(text), item.span, true)
            }
            ExpressionKind::Bool(_)
            | ExpressionKind::Int(_)
            | ExpressionKind::Float(_)
            | ExpressionKind::Duration(_)
            | ExpressionKind::Text(_) => self.constant(field, kind, &item.kind, item.span, true),
            ExpressionKind::Invalid => None,
            _ => {
                self.sink.push(
                    Diagnostic::new(
                        Code::NotALiteral,
                        item.span,
                        "an element of a list is a literal",
                    )
                    .help("compare with fields one by one, and join with `or`"),
                );
                None
            }
        }
    }

    fn left_field(&mut self, left: &Expression, table: Table) -> Option<(Field, Type)> {
        match &left.kind {
            ExpressionKind::Name(name) => self.field(name, table),
            ExpressionKind::Index(name, key) => self.indexed(name, key, left.span, table),
            ExpressionKind::Invalid => None,
            _ => {
                self.not_a_field(left.span);
                None
            }
        }
    }

    pub(super) fn no_condition(&self, span: Span, what: &str) -> Pending {
        Pending(
            Diagnostic::new(
                Code::NotACondition,
                span,
                format!("expected a condition, and this is {what}"),
            )
            .here("neither true nor false"),
        )
    }
}
