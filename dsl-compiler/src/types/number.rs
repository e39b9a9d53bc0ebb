//! Comparisons of numbers of a whole trace.

use super::Checker;
use super::compare::flip;
use super::condition::Value;
use super::tree::{Comparison, Condition, Number};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{self, Expression, ExpressionKind};

/// Numbers in a list that a count is looked for in: each is a comparison of its own, with the set again.
const MAX_COUNTS: usize = 64;

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

    /// `spans.count() in [1, 30]`: equal to one of them, or to none.
    pub(super) fn count_in(
        &mut self,
        count: &Number,
        negated: bool,
        items: &[Expression],
        list: Span,
    ) -> Option<Condition> {
        if items.is_empty() {
            self.sink.push(Diagnostic::new(
                Code::EmptyList,
                list,
                "nothing is in an empty list",
            ));
            return None;
        }
        if items.len() > MAX_COUNTS {
            let listed = items.len();
            let message =
                format!("the list has {listed} numbers for a count, of at most {MAX_COUNTS}");
            self.sink.push(
                Diagnostic::new(Code::RuleTooWide, list, message)
                    .help("compare the count with bounds: `>= 1 and … <= 30`"),
            );
            return None;
        }
        let operator = match negated {
            true => Comparison::NotEqual,
            false => Comparison::Equal,
        };
        let mut parts = Vec::with_capacity(items.len());
        let mut complete = true;
        for item in items {
            let number = match item.kind {
                ExpressionKind::Int(number) => Number::Int(number),
                ExpressionKind::Float(number) => Number::Float(number),
                ExpressionKind::Invalid => {
                    complete = false;
                    continue;
                }
                _ => {
                    self.sink.push(
                        Diagnostic::new(
                            Code::NotALiteral,
                            item.span,
                            "a count is only in a list of numbers",
                        )
                        .here("no number"),
                    );
                    complete = false;
                    continue;
                }
            };
            let literal = as_float(&number).unwrap_or_default();
            complete &= self
                .against_zero(Comparison::Equal, literal, true, item.span, "a count")
                .is_some();
            parts.push(Condition::Compare(count.clone(), operator, number));
        }
        if !complete {
            return None;
        }
        if parts.len() == 1 {
            return parts.pop();
        }
        Some(match negated {
            true => Condition::And(parts),
            false => Condition::Or(parts),
        })
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
