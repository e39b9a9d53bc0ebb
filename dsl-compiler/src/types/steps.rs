//! The methods that follow a set, of spans as of events: filters, and what is asked at the end.

use super::Checker;
use super::names::{METHODS, later_method};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::ast::{Call, Expression};

/// A chain of methods, understood.
pub(super) struct Steps<'e> {
    /// The predicates of its `where`s.
    pub(super) filters: Vec<&'e Expression>,
    pub(super) end: End<'e>,
}

/// What a chain ends in.
#[derive(Clone, Copy)]
pub(super) enum End<'e> {
    /// The set itself.
    Set,
    Count,
    Exists,
    Any(&'e Expression),
    All(&'e Expression),
    None(&'e Expression),
}

impl Checker<'_, '_> {
    /// Reads a chain. `pending` is a quantifier that stands before it, as in `any.where(p)`.
    pub(super) fn steps<'e>(
        &mut self,
        calls: &'e [Call],
        pending: Option<&str>,
    ) -> Option<Steps<'e>> {
        let mut steps = Steps {
            filters: Vec::new(),
            end: End::Set,
        };
        let mut quantifier = pending;
        for (at, call) in calls.iter().enumerate() {
            if !matches!(steps.end, End::Set) {
                self.method_of_value(call, steps.end);
                return None;
            }
            let word = call.method.text.as_str();
            match (word, quantifier.take()) {
                ("where", Some(quantifier)) => {
                    steps.end = quantified(quantifier, self.predicate_argument(call)?);
                }
                ("where", None) => steps.filters.push(self.predicate_argument(call)?),
                ("any" | "all" | "none", _) if call.arguments.is_none() => {
                    // The parser ends a name there only where `.where(` follows; a later call may be anything.
                    if calls
                        .get(at + 1)
                        .is_none_or(|next| next.method.text != "where")
                    {
                        self.no_predicate(call);
                        return None;
                    }
                    quantifier = Some(word);
                }
                ("any" | "all" | "none", _) => {
                    steps.end = quantified(word, self.predicate_argument(call)?);
                }
                ("count", _) => {
                    self.no_arguments(call, "count")?;
                    steps.end = End::Count;
                }
                ("exists", _) => {
                    self.no_arguments(call, "exists")?;
                    steps.end = End::Exists;
                }
                _ => {
                    self.unknown_method(call);
                    return None;
                }
            }
        }
        Some(steps)
    }

    fn predicate_argument<'e>(&mut self, call: &'e Call) -> Option<&'e Expression> {
        match call.arguments.as_deref() {
            Some([argument]) => Some(argument),
            Some([]) | None => {
                self.no_predicate(call);
                None
            }
            Some([_, second, ..]) => {
                self.sink.push(
                    Diagnostic::new(
                        Code::WrongArguments,
                        second.span,
                        format!("`{}` takes one condition", call.method.text),
                    )
                    .here("a second one")
                    .help("join conditions with `and` or `or`"),
                );
                None
            }
        }
    }

    fn no_predicate(&mut self, call: &Call) {
        let word = &call.method.text;
        self.sink.push(
            Diagnostic::new(
                Code::WrongArguments,
                call.span,
                format!("`{word}` takes a condition"),
            )
            .help(format!("as in `{word}(status == error)`")),
        );
    }

    fn no_arguments(&mut self, call: &Call, word: &str) -> Option<()> {
        match call.arguments.as_deref() {
            Some([]) => Some(()),
            None if word == "exists" => Some(()),
            None => {
                self.sink.push(
                    Diagnostic::new(
                        Code::WrongArguments,
                        call.span,
                        format!("`{word}` is called with parentheses"),
                    )
                    .help(format!("write `{word}()`")),
                );
                None
            }
            Some([first, ..]) => {
                let condition = self.quote(first.span, "…");
                self.sink.push(
                    Diagnostic::new(
                        Code::WrongArguments,
                        first.span,
                        format!("`{word}` takes nothing"),
                    )
                    .help(format!("filter first: `where({condition}).{word}()`")),
                );
                None
            }
        }
    }

    fn method_of_value(&mut self, call: &Call, end: End<'_>) {
        let what = if matches!(end, End::Count) {
            "a number"
        } else {
            "true or false"
        };
        self.sink.push(
            Diagnostic::new(
                Code::UnknownMethod,
                call.method.span,
                format!(
                    "what stands before `.{}` is {what}, which has no methods",
                    call.method.text
                ),
            )
            .help("filter with `where` before that"),
        );
    }

    fn unknown_method(&mut self, call: &Call) {
        let word = call.method.text.as_str();
        let span = call.method.span;
        let diagnostic = match later_method(word) {
            Some(code) => Diagnostic::new(code, span, format!("`{word}` is not supported yet")),
            None => Diagnostic::new(
                Code::UnknownMethod,
                span,
                format!("sets have no method `{word}`"),
            )
            .did_you_mean(word, METHODS.iter().copied())
            .help("the methods are `where count exists any all none`"),
        };
        self.sink.push(diagnostic);
    }
}

fn quantified<'e>(word: &str, predicate: &'e Expression) -> End<'e> {
    match word {
        "any" => End::Any(predicate),
        "all" => End::All(predicate),
        _ => End::None(predicate),
    }
}
