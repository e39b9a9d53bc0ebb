//! What follows a name inside of `where`: `events.any(p)`, `links.count()`, `user_id.exists`.

use super::Checker;
use super::condition::push_flat;
use super::names;
use super::steps::{End, Steps};
use super::tree::{Items, Predicate, Table};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{Call, Expression, ExpressionKind};

/// Events or links of a span, as far as a chain of methods has said.
pub(super) struct ItemSet {
    pub(super) table: Table,
    filters: Vec<Predicate>,
}

impl ItemSet {
    /// The filters as one predicate.
    pub(super) fn predicate(mut self) -> Predicate {
        match self.filters.pop() {
            None => Predicate::Constant(true),
            Some(only) if self.filters.is_empty() => only,
            Some(last) => {
                self.filters.push(last);
                Predicate::And(self.filters)
            }
        }
    }

    fn some(self) -> Predicate {
        let table = self.table;
        Predicate::Items(table, Items::Any(Box::new(self.predicate())))
    }
}

impl Checker<'_, '_> {
    /// A chain as a predicate.
    pub(super) fn item_chain(
        &mut self,
        base: &Expression,
        calls: &[Call],
        span: Span,
        table: Table,
    ) -> Option<Predicate> {
        let Some(of) = items_of(base, table) else {
            return self.field_method(base, calls, table);
        };
        let steps = self.steps(calls, None)?;
        let mut set = self.item_set(of, &steps)?;
        match steps.end {
            End::Exists => Some(set.some()),
            End::Any(predicate) => {
                push_flat(&mut set.filters, self.predicate(predicate, of)?);
                Some(set.some())
            }
            End::None(predicate) => {
                push_flat(&mut set.filters, self.predicate(predicate, of)?);
                Some(Predicate::Not(Box::new(set.some())))
            }
            End::All(predicate) => {
                let predicate = self.predicate(predicate, of)?;
                Some(every(set, predicate))
            }
            End::Count => {
                let text = self.quote(span, "…");
                self.no_condition(span, "a number")
                    .help(format!("compare it: `{text} > 0`"))
                    .tell(self)
            }
            End::Set => {
                let text = self.quote(span, "…");
                self.no_condition(span, "a set")
                    .help(format!("ask whether there are any: `{text}.exists`"))
                    .tell(self)
            }
        }
    }

    fn item_set(&mut self, table: Table, steps: &Steps<'_>) -> Option<ItemSet> {
        let mut set = ItemSet {
            table,
            filters: Vec::new(),
        };
        let mut complete = true;
        for filter in &steps.filters {
            match self.predicate(filter, table) {
                Some(predicate) => push_flat(&mut set.filters, predicate),
                None => complete = false,
            }
        }
        complete.then_some(set)
    }

    /// `events`, `events.where(p)` as the argument of `exists`; none where it is no such thing.
    pub(super) fn some_items(
        &mut self,
        argument: &Expression,
        table: Table,
    ) -> Option<Option<Predicate>> {
        self.items_argument(argument, table)
            .map(|set| set.map(ItemSet::some))
    }

    fn items_argument(&mut self, argument: &Expression, table: Table) -> Option<Option<ItemSet>> {
        let (base, calls): (_, &[Call]) = match &argument.kind {
            ExpressionKind::Name(_) => (argument, &[]),
            ExpressionKind::Chain(base, calls) => (base.as_ref(), calls),
            _ => return None,
        };
        let of = items_of(base, table)?;
        let Some(steps) = self.steps(calls, None) else {
            return Some(None);
        };
        if !matches!(steps.end, End::Set) {
            self.sink.push(Diagnostic::new(
                Code::WrongArguments,
                argument.span,
                "expected a field, events or links",
            ));
            return Some(None);
        }
        Some(self.item_set(of, &steps))
    }

    /// `events.count()`, `count(events)`; none where it is no count.
    pub(super) fn item_count(
        &mut self,
        expression: &Expression,
        table: Table,
    ) -> Option<Option<ItemSet>> {
        match &expression.kind {
            ExpressionKind::Chain(base, calls) => {
                let of = items_of(base, table)?;
                // A chain that ends in something else is told of as what it is.
                if calls.last().is_none_or(|last| last.method.text != "count") {
                    return None;
                }
                let Some(steps) = self.steps(calls, None) else {
                    return Some(None);
                };
                Some(self.item_set(of, &steps))
            }
            ExpressionKind::Function(word, arguments) if word.text == "count" => {
                let found = match arguments.as_slice() {
                    [argument] => self.items_argument(argument, table),
                    _ => None,
                };
                Some(found.unwrap_or_else(|| {
                    let message = "inside of `where`, `count` takes events or links";
                    self.sink.push(
                        Diagnostic::new(Code::WrongArguments, expression.span, message)
                            .help("as in `count(events)`"),
                    );
                    None
                }))
            }
            _ => None,
        }
    }

    /// A method of something that is no set: `user_id.exists`.
    fn field_method(
        &mut self,
        base: &Expression,
        calls: &[Call],
        table: Table,
    ) -> Option<Predicate> {
        let field = match &base.kind {
            ExpressionKind::Name(name) => {
                let [only] = calls else {
                    return self.unknown_field_method(base, calls);
                };
                if !asks_existence(only) {
                    return self.unknown_field_method(base, calls);
                }
                self.field(name, table)?.0
            }
            ExpressionKind::Index(name, key) => {
                let [only] = calls else {
                    return self.unknown_field_method(base, calls);
                };
                if !asks_existence(only) {
                    return self.unknown_field_method(base, calls);
                }
                self.indexed(name, key, base.span, table)?.0
            }
            ExpressionKind::Invalid => return None,
            _ => return self.unknown_field_method(base, calls),
        };
        Some(Predicate::Exists(field))
    }

    fn unknown_field_method(&mut self, base: &Expression, calls: &[Call]) -> Option<Predicate> {
        let call = match calls {
            [first, second, ..] if asks_existence(first) => second,
            [first, ..] => first,
            [] => return None,
        };
        let word = call.method.text.as_str();
        let span = call.method.span;
        let field = self.quote(base.span, "x");
        let diagnostic = match names::later_method(word) {
            Some(code) => Diagnostic::new(code, span, format!("`{word}` is not supported yet")),
            None => Diagnostic::new(
                Code::UnknownMethod,
                span,
                format!("fields have no method `{word}`"),
            ),
        };
        let operators = ["contains", "starts_with", "ends_with", "like", "matches"];
        self.sink.push(if operators.contains(&word) {
            diagnostic.help(format!("it is an operator: `{field} {word} 'text'`"))
        } else if names::METHODS.contains(&word) {
            diagnostic.help("inside of `where` a name is a field of one span, not a set of spans")
        } else {
            diagnostic
                .did_you_mean(word, operators.into_iter().chain(["exists"]))
                .help("the one method of a field is `exists`")
        });
        None
    }
}

fn asks_existence(call: &Call) -> bool {
    call.method.text == "exists" && call.arguments.as_ref().is_none_or(Vec::is_empty)
}

/// Each item that passes the filters is so: `all(p)`, and `where(f).all(p)` as none that is `f and not p`.
fn every(mut set: ItemSet, predicate: Predicate) -> Predicate {
    if set.filters.is_empty() {
        return Predicate::Items(set.table, Items::All(Box::new(predicate)));
    }
    set.filters.push(Predicate::Not(Box::new(predicate)));
    Predicate::Not(Box::new(set.some()))
}

/// The table that a name stands for, among the fields of spans.
fn items_of(base: &Expression, table: Table) -> Option<Table> {
    match &base.kind {
        ExpressionKind::Name(name) if table == Table::Spans && !name.wildcard => {
            names::items(&name.text)
        }
        _ => None,
    }
}
