//! Conditions: true or false of a whole trace. A name is a set of spans here.

use super::Checker;
use super::names::{
    self, FUNCTIONS, METHODS, TRACE_FACTS, TRACE_NAMES, later_function, later_method,
};
use super::steps::End;
use super::tree::{Base, Condition, Number, Predicate, Set, Table};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{Call, Expression, ExpressionKind, Name, Word};

/// What an expression is, where it is asked of a trace.
pub(super) enum Value {
    Set(Set),
    Number(Number),
    Condition(Condition),
    /// A literal that is no number; what messages call it.
    Other(&'static str),
}

impl Checker<'_, '_> {
    /// A condition; none where something in it was told of.
    pub(super) fn condition(&mut self, expression: &Expression) -> Option<Condition> {
        match &expression.kind {
            ExpressionKind::Bool(value) => {
                self.written_out(*value, expression.span);
                Some(Condition::Constant(*value))
            }
            ExpressionKind::Not(inner) => Some(Condition::Not(Box::new(self.condition(inner)?))),
            ExpressionKind::And(parts) => Some(Condition::And(self.conditions(parts, true)?)),
            ExpressionKind::Or(parts) => Some(Condition::Or(self.conditions(parts, false)?)),
            // As a condition it names spans; as a value it is text.
            ExpressionKind::Text(name) => {
                let base = Base::Named(name.clone());
                let set = Set {
                    base,
                    filters: Vec::new(),
                    span: expression.span,
                };
                Some(Condition::Exists(set))
            }
            _ => match self.value(expression)? {
                Value::Set(set) => {
                    if let ExpressionKind::Name(name) = &expression.kind {
                        self.field_names_spans(name);
                    }
                    Some(Condition::Exists(set))
                }
                Value::Condition(condition) => Some(condition),
                Value::Number(Number::Count(_)) => {
                    let text = self.quote(expression.span, "…");
                    self.not_a_condition(expression.span, "a number")
                        .help(format!("compare it: `{text} > 0`"))
                        .tell(self)
                }
                Value::Number(_) => self.not_a_condition(expression.span, "a number").tell(self),
                Value::Other(what) => self.not_a_condition(expression.span, what).tell(self),
            },
        }
    }

    /// Warns of `is_root` and `events.any(…)`, where a name is that of spans.
    fn field_names_spans(&mut self, name: &Name) {
        let word = name.text.as_str();
        let field = names::intrinsic(Table::Spans, word).is_some() || names::items(word).is_some();
        if name.wildcard || !field {
            return;
        }
        self.sink.push(
            Diagnostic::new(
                Code::FieldNamesSpans,
                name.span,
                format!("`{word}` names the spans called \"{word}\" here, and is no field"),
            )
            .help(format!("fields belong to spans: `spans.any({word}…)`"))
            .help(format!(
                "if spans of that name are meant, put it in quotes: `\"{word}\"`"
            )),
        );
    }

    /// Parts of `and` (`or`), those of the same operator in parentheses included.
    fn conditions(&mut self, parts: &[Expression], and: bool) -> Option<Vec<Condition>> {
        let mut checked = Vec::with_capacity(parts.len());
        let mut complete = true;
        for part in parts {
            match self.condition(part) {
                Some(Condition::And(inner)) if and => checked.extend(inner),
                Some(Condition::Or(inner)) if !and => checked.extend(inner),
                Some(condition) => checked.push(condition),
                None => complete = false,
            }
        }
        complete.then_some(checked)
    }

    /// What an expression is; none where something in it was told of.
    pub(super) fn value(&mut self, expression: &Expression) -> Option<Value> {
        let span = expression.span;
        Some(match &expression.kind {
            ExpressionKind::Invalid => return None,
            ExpressionKind::Bool(value) => Value::Condition(Condition::Constant(*value)),
            ExpressionKind::Int(number) => Value::Number(Number::Int(*number)),
            ExpressionKind::Float(number) => Value::Number(Number::Float(*number)),
            ExpressionKind::Duration(_) => Value::Other("a duration"),
            ExpressionKind::Text(_) => Value::Other("text"),
            ExpressionKind::Name(name) => Value::Set(Set {
                base: self.base(name)?,
                filters: Vec::new(),
                span,
            }),
            ExpressionKind::Index(name, _) => return self.field_of_trace(name, span),
            ExpressionKind::Chain(base, calls) => return self.chain(base, calls, span),
            ExpressionKind::Function(word, arguments) => {
                return self.function(word, arguments, span);
            }
            ExpressionKind::Compare(left, comparison, right) => {
                Value::Condition(self.compare_numbers(left, *comparison, right, span)?)
            }
            ExpressionKind::In {
                left,
                negated,
                items,
                list,
            } => match self.value(left)? {
                Value::Number(count @ Number::Count(_)) => {
                    Value::Condition(self.count_in(&count, *negated, items, *list)?)
                }
                other => return self.field_test(&other, left.span, span),
            },
            ExpressionKind::TextTest(left, ..) => {
                let value = self.value(left)?;
                return self.field_test(&value, left.span, span);
            }
            ExpressionKind::Not(_) | ExpressionKind::And(_) | ExpressionKind::Or(_) => {
                Value::Condition(self.condition(expression)?)
            }
        })
    }

    /// A set; quoted text names spans.
    pub(super) fn set(&mut self, expression: &Expression) -> Option<Set> {
        let span = expression.span;
        if let ExpressionKind::Text(name) = &expression.kind {
            return Some(Set {
                base: Base::Named(name.clone()),
                filters: Vec::new(),
                span,
            });
        }
        let what = match self.value(expression)? {
            Value::Set(set) => return Some(set),
            Value::Number(_) => "a number",
            Value::Condition(_) => "true or false",
            Value::Other(what) => what,
        };
        self.sink.push(Diagnostic::new(
            Code::NotASet,
            span,
            format!("expected a set of spans, and this is {what}"),
        ));
        None
    }

    fn base(&mut self, name: &Name) -> Option<Base> {
        if name.wildcard {
            return Some(Base::Prefixed(name.text.clone()));
        }
        if name.text == "spans" || name.text == "trace.spans" {
            return Some(Base::All);
        }
        match name.text.split_once('.') {
            Some(("trace", fact)) => self.unknown_trace_name(name.span, fact),
            Some(("spans", rest)) if later_method(rest).is_some() => {
                let code = later_method(rest)?;
                let message = format!("`spans.{rest}` is not supported yet");
                self.sink.push(Diagnostic::new(code, name.span, message));
                None
            }
            Some(("spans", rest)) => {
                let diagnostic = Diagnostic::new(
                    Code::UnknownTraceName,
                    name.span,
                    format!("`spans` has no method `{rest}`"),
                )
                .did_you_mean(rest, METHODS.iter().copied());
                self.quote_hint(diagnostic, name.span)
            }
            _ if name.text == "trace" => {
                let diagnostic = Diagnostic::new(
                    Code::UnknownTraceName,
                    name.span,
                    "`trace` is no set of spans",
                )
                .help("all spans of the trace are `trace.spans`, or `spans`");
                self.quote_hint(diagnostic, name.span)
            }
            _ => Some(Base::Named(name.text.clone())),
        }
    }

    fn unknown_trace_name<T>(&mut self, span: Span, fact: &str) -> Option<T> {
        if TRACE_FACTS.contains(&fact) {
            self.sink.push(Diagnostic::new(
                Code::TraceFactsNotYet,
                span,
                format!("`trace.{fact}` is not supported yet"),
            ));
            return None;
        }
        if matches!(fact, "has" | "count") {
            self.sink.push(
                Diagnostic::new(
                    Code::WrongArguments,
                    span,
                    format!("`trace.{fact}` takes one set of spans"),
                )
                .help(format!("as in `trace.{fact}(payment.*)`")),
            );
            return None;
        }
        if METHODS.contains(&fact) {
            self.sink.push(
                Diagnostic::new(Code::UnknownTraceName, span, "`trace` is no set of spans")
                    .help(format!("write `trace.spans.{fact}(…)`")),
            );
            return None;
        }
        let fact = if fact.len() > 60 { "…" } else { fact };
        let diagnostic = Diagnostic::new(
            Code::UnknownTraceName,
            span,
            format!("`trace` has no `{fact}`"),
        )
        .did_you_mean(fact, TRACE_NAMES.iter().copied());
        self.quote_hint(diagnostic, span)
    }

    fn quote_hint<T>(&mut self, diagnostic: Diagnostic, span: Span) -> Option<T> {
        let text = self.quote(span, "…");
        self.sink
            .push(diagnostic.help(format!("spans of that name are `\"{text}\"`")));
        None
    }

    fn chain(&mut self, base: &Expression, calls: &[Call], span: Span) -> Option<Value> {
        let quantifier = match &base.kind {
            ExpressionKind::Name(name) if name.text == "trace" && !name.wildcard => {
                return self.trace_method(calls);
            }
            // `any.where(p)`, without a set, is of all spans.
            ExpressionKind::Name(name)
                if matches!(name.text.as_str(), "any" | "all" | "none")
                    && !name.wildcard
                    && calls
                        .first()
                        .is_some_and(|call| call.method.text == "where") =>
            {
                Some(name.text.as_str())
            }
            ExpressionKind::Name(name) => {
                self.field_names_spans(name);
                None
            }
            _ => None,
        };
        let set = match quantifier {
            Some(_) => Some(Set {
                base: Base::All,
                filters: Vec::new(),
                span,
            }),
            None => self.set(base),
        };
        let steps = self.steps(calls, quantifier);
        let (mut set, steps) = (set?, steps?);
        set.span = span;
        let mut complete = true;
        for filter in &steps.filters {
            match self.predicate(filter, Table::Spans) {
                Some(predicate) => push_flat(&mut set.filters, predicate),
                None => complete = false,
            }
        }
        let value = match steps.end {
            End::Set => Value::Set(set),
            End::Count => Value::Number(Number::Count(set)),
            End::Exists => Value::Condition(Condition::Exists(set)),
            End::Any(predicate) => {
                push_flat(&mut set.filters, self.predicate(predicate, Table::Spans)?);
                Value::Condition(Condition::Exists(set))
            }
            End::None(predicate) => {
                push_flat(&mut set.filters, self.predicate(predicate, Table::Spans)?);
                Value::Condition(Condition::Not(Box::new(Condition::Exists(set))))
            }
            End::All(predicate) => {
                let predicate = self.predicate(predicate, Table::Spans)?;
                Value::Condition(Condition::Every(set, predicate))
            }
        };
        complete.then_some(value)
    }

    /// `trace.has(x)`, `trace.count(x)`.
    fn trace_method(&mut self, calls: &[Call]) -> Option<Value> {
        let [first, more @ ..] = calls else {
            return None;
        };
        let word = first.method.text.as_str();
        let make: fn(Set) -> Value = match word {
            "has" => |set| Value::Condition(Condition::Exists(set)),
            "count" => |set| Value::Number(Number::Count(set)),
            _ => return self.unknown_trace_name(first.method.span, word),
        };
        let arguments = first.arguments.as_deref().unwrap_or_default();
        let value = self.set_argument(&format!("trace.{word}"), arguments, first.span, make);
        if let Some(next) = more.first() {
            let what = if word == "has" {
                "true or false"
            } else {
                "a number"
            };
            self.sink.push(Diagnostic::new(
                Code::UnknownMethod,
                next.method.span,
                format!("`trace.{word}` is {what}, which has no methods"),
            ));
            return None;
        }
        value
    }

    fn function(&mut self, word: &Word, arguments: &[Expression], span: Span) -> Option<Value> {
        let make: fn(Set) -> Value = match word.text.as_str() {
            "count" => |set| Value::Number(Number::Count(set)),
            "exists" => |set| Value::Condition(Condition::Exists(set)),
            "missing" => |set| Value::Condition(Condition::Not(Box::new(Condition::Exists(set)))),
            _ => {
                self.unknown_function(word, arguments);
                return None;
            }
        };
        self.set_argument(&word.text, arguments, span, make)
    }

    fn set_argument(
        &mut self,
        name: &str,
        arguments: &[Expression],
        span: Span,
        make: fn(Set) -> Value,
    ) -> Option<Value> {
        match arguments {
            [argument] => self.set(argument).map(make),
            _ => {
                self.sink.push(
                    Diagnostic::new(
                        Code::WrongArguments,
                        span,
                        format!("`{name}` takes one set of spans"),
                    )
                    .help(format!("as in `{name}(payment.*)`")),
                );
                None
            }
        }
    }

    /// Of any position: a function that does not exist, or does not exist yet.
    pub(super) fn unknown_function(&mut self, word: &Word, arguments: &[Expression]) {
        let name = word.text.as_str();
        if let Some(code) = later_function(name) {
            let message = format!("`{name}` is not supported yet");
            self.sink.push(Diagnostic::new(code, word.span, message));
            return;
        }
        let shown = self.quote(word.span, "…");
        let diagnostic = Diagnostic::new(
            Code::UnknownFunction,
            word.span,
            format!("there is no function `{shown}`"),
        );
        let argument = arguments
            .first()
            .map_or("…", |argument| self.quote(argument.span, "…"));
        self.sink.push(match name {
            "any" | "all" | "none" | "where" => {
                diagnostic.help(format!("say of which spans: `spans.{name}({argument})`"))
            }
            "has" => diagnostic.help(format!("write `trace.has({argument})`, or `{argument}`")),
            _ => diagnostic
                .did_you_mean(name, FUNCTIONS.iter().copied())
                .help("the functions are `count`, `exists` and `missing`"),
        });
    }

    /// `attr["x"]` asked of a trace.
    fn field_of_trace<T>(&mut self, name: &Name, span: Span) -> Option<T> {
        let text = self.quote(span, "…");
        self.sink.push(
            Diagnostic::new(
                Code::NotASet,
                span,
                format!(
                    "`{}[…]` is a field of one span, and this asks of the whole trace",
                    name.text
                ),
            )
            .help(format!("say of which spans: `spans.any(exists({text}))`")),
        );
        None
    }

    /// `service in [a]`, `name contains 'x'` asked of a trace.
    fn field_test<T>(&mut self, value: &Value, left: Span, span: Span) -> Option<T> {
        let what = match value {
            Value::Set(_) => "a set of spans",
            Value::Number(_) => "a number",
            Value::Condition(_) => "true or false",
            Value::Other(what) => what,
        };
        let test = self.quote(span, "…");
        self.sink.push(
            Diagnostic::new(
                Code::SetCompared,
                left,
                format!("this is {what} of the whole trace, and not a field"),
            )
            .help(format!("fields belong to spans: `spans.any({test})`")),
        );
        None
    }

    /// Warns of `true` and `false` as conditions.
    pub(super) fn written_out(&mut self, value: bool, span: Span) {
        let message = format!("this is always {value}");
        self.sink
            .push(Diagnostic::new(Code::AlwaysTrue, span, message));
    }

    fn not_a_condition(&self, span: Span, what: &str) -> Pending {
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

/// A diagnostic that still takes hints.
pub(super) struct Pending(pub(super) Diagnostic);

impl Pending {
    pub(super) fn help(self, text: String) -> Pending {
        Pending(self.0.help(text))
    }

    pub(super) fn tell<T>(self, checker: &mut Checker<'_, '_>) -> Option<T> {
        checker.sink.push(self.0);
        None
    }
}

/// Filters are all true together, as the parts of `and` are.
pub(super) fn push_flat(filters: &mut Vec<Predicate>, predicate: Predicate) {
    match predicate {
        Predicate::And(parts) => filters.extend(parts),
        other => filters.push(other),
    }
}
