//! Comparisons of numbers of a whole trace.

use super::Checker;
use super::compare::flip;
use super::condition::Value;
use super::tree::{Comparison, Condition, Number};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{self, Expression, ExpressionKind};

impl Checker<'_, '_> {
    pub(super) fn compare_numbers(
        &mut self,
        left: &Expression,
        comparison: ast::Comparison,
        right: &Expression,
        span: Span,
    ) -> Option<Condition> {
        let values = (self.side_value(left), self.side_value(right));
        let (left_value, right_value) = (values.0?, values.1?);
        let (left_number, right_number) = match (left_value, right_value) {
            (Value::Number(a), Value::Number(b)) => (a, b),
            (Value::Set(_), other) => return self.set_compared(left, comparison, right, &other),
            (other, Value::Set(_)) => return self.set_compared(right, comparison, left, &other),
            (Value::Condition(_), _) => return self.condition_as_value(left.span),
            (_, Value::Condition(_)) => return self.condition_as_value(right.span),
            (Value::Other(a), Value::Other(b)) if a == b => {
                return self.nothing_to_compare(span, None);
            }
            (a, b) => {
                let (a, b) = (describe(&a), describe(&b));
                self.unlike(left.span, a, right.span, b, comparison);
                return None;
            }
        };
        if !matches!(left_number, Number::Count(_)) && !matches!(right_number, Number::Count(_)) {
            return self.nothing_to_compare(span, None);
        }
        let operator = comparison.operator;
        let (against, literal) = match (&left_number, &right_number) {
            (Number::Count(_), Number::Count(_)) => (operator, None),
            (Number::Count(_), literal) => (operator, as_float(literal)),
            (literal, _) => (flip(operator), as_float(literal)),
        };
        if let Some(literal) = literal {
            self.against_zero(against, literal, true, span, "a count")?;
        }
        Some(Condition::Compare(left_number, operator, right_number))
    }

    /// A side, and `true` and `false` as values.
    fn side_value(&mut self, side: &Expression) -> Option<Value> {
        match side.kind {
            ExpressionKind::Bool(_) => Some(Value::Other("true or false")),
            _ => self.value(side),
        }
    }

    fn set_compared<T>(
        &mut self,
        set: &Expression,
        comparison: ast::Comparison,
        other: &Expression,
        value: &Value,
    ) -> Option<T> {
        let set_text = self.quote(set.span, "…");
        let other_text = self.quote(other.span, "…");
        let operator = comparison.span.text(self.source);
        let what = describe(value);
        let mut diagnostic = Diagnostic::new(
            Code::SetCompared,
            set.span,
            format!("`{set_text}` is a set of spans, which has no order and equals nothing"),
        )
        .here("a set of spans")
        .label(other.span, what);
        if matches!(value, Value::Number(_)) {
            let counted = match set_text.strip_suffix(".count") {
                Some(name) => format!("{name}.count()"),
                None => format!("{set_text}.count()"),
            };
            diagnostic = diagnostic.help(format!("count it: `{counted} {operator} {other_text}`"));
        }
        if let ExpressionKind::Name(name) = &set.kind
            && !name.wildcard
            && name.text != "spans"
            && name.text != "trace.spans"
        {
            diagnostic = diagnostic.help(format!(
                "fields belong to spans: `spans.any({set_text} {operator} {other_text})`"
            ));
        }
        self.sink.push(diagnostic);
        None
    }

    pub(super) fn condition_as_value<T>(&mut self, span: Span) -> Option<T> {
        self.sink.push(
            Diagnostic::new(
                Code::ConditionAsValue,
                span,
                "a condition can't be compared",
            )
            .here("this is true or false by itself")
            .help("leave the comparison out, or put `not` in front"),
        );
        None
    }

    pub(super) fn nothing_to_compare<T>(&mut self, span: Span, help: Option<String>) -> Option<T> {
        let diagnostic = Diagnostic::new(
            Code::NothingToCompare,
            span,
            "both sides are literals: this is the same for every trace",
        );
        self.sink.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
        None
    }

    /// Tells of `count() < 0`, and warns of `count() >= 0`. None: it is never true.
    pub(super) fn against_zero(
        &mut self,
        operator: Comparison,
        literal: f64,
        whole: bool,
        span: Span,
        what: &str,
    ) -> Option<()> {
        let always = match operator {
            Comparison::Less if literal <= 0.0 => false,
            Comparison::LessOrEqual if literal < 0.0 => false,
            Comparison::Greater if literal < 0.0 => true,
            Comparison::GreaterOrEqual if literal <= 0.0 => true,
            Comparison::Equal if literal < 0.0 || (whole && literal.fract() != 0.0) => false,
            Comparison::NotEqual if literal < 0.0 || (whole && literal.fract() != 0.0) => true,
            _ => return Some(()),
        };
        let nature = if whole {
            "a whole number, 0 or more"
        } else {
            "0 or more"
        };
        if always {
            self.sink.push(
                Diagnostic::new(Code::AlwaysTrue, span, "this is always true")
                    .here(format!("{what} is {nature}")),
            );
            return Some(());
        }
        self.sink.push(
            Diagnostic::new(Code::AlwaysFalse, span, "this is never true")
                .here(format!("{what} is {nature}")),
        );
        None
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Set(_) => "a set of spans",
        Value::Number(_) => "a number",
        Value::Condition(_) => "true or false",
        Value::Other(what) => what,
    }
}

fn as_float(number: &Number) -> Option<f64> {
    match number {
        Number::Count(_) => None,
        Number::Int(number) => Some(*number as f64),
        Number::Float(number) => Some(*number),
    }
}
