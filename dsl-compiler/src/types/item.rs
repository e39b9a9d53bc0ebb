//! Predicates: true or false of one span, event or link. A name is a field here.

use super::Checker;
use super::condition::Pending;
use super::names::{self, Type};
use super::tree::{Constant, Field, Pattern, Place, Predicate, Source, Table, TextOperand};
use crate::diagnostic::{Code, Diagnostic, Span, closest};
use crate::syntax::ast::{Expression, ExpressionKind, Name, TextOperator, Word};
use crate::syntax::literal;

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

    pub(super) fn not_a_field(&mut self, span: Span) {
        self.sink.push(
            Diagnostic::new(Code::NotAField, span, "expected a field").help(
                "a field is an intrinsic or an attribute, as in `user_id` or `attr[\"user id\"]`",
            ),
        );
    }

    /// What a name is read from.
    pub(super) fn field(&mut self, name: &Name, table: Table) -> Option<(Field, Type)> {
        if name.wildcard {
            self.sink.push(
                Diagnostic::new(
                    Code::MisplacedWildcard,
                    name.span,
                    "a field's name has no star",
                )
                .help("a star stands in names of spans, outside of `where`"),
            );
            return None;
        }
        match name.text.split_once('.') {
            None => self.plain_field(&name.text, name.span, table),
            Some((place @ ("attr" | "resource" | "scope"), key)) => {
                self.placed_field(place, key, name.span, table)
            }
            Some((head, rest)) => {
                if table == Table::Spans && names::items(head).is_some() {
                    self.sink.push(
                        Diagnostic::new(
                            Code::ItemsAsAttribute,
                            name.span,
                            format!("this is the span's attribute `{}`", name.text),
                        )
                        .help(format!(
                            "to ask of the span's {head}: `{head}.any({rest} == …)`"
                        ))
                        .help(format!(
                            "if the attribute is meant, say so: `attr.{}`",
                            name.text
                        )),
                    );
                }
                Some(attribute(Place::Any, &name.text, name.span, table))
            }
        }
    }

    fn plain_field(&mut self, word: &str, span: Span, table: Table) -> Option<(Field, Type)> {
        if let Some((intrinsic, kind)) = names::intrinsic(table, word) {
            return Some((
                Field {
                    table,
                    source: Source::Intrinsic(intrinsic),
                    span,
                },
                kind,
            ));
        }
        let of_spans =
            names::intrinsic(Table::Spans, word).is_some() || names::items(word).is_some();
        if table != Table::Spans && of_spans {
            let item = names::item(table);
            self.sink.push(
                Diagnostic::new(Code::WrongItem, span, format!("{item} has no `{word}`"))
                    .here("this is a field of spans")
                    .help(format!("{item}'s attribute of that name is `attr.{word}`"))
                    .help("ask of the span outside of these parentheses"),
            );
            return None;
        }
        if names::items(word).is_some() {
            self.sink.push(
                Diagnostic::new(
                    Code::NotAField,
                    span,
                    format!("a span has any number of {word}"),
                )
                .help(format!(
                    "ask whether there are any with `{word}.exists`, how many with `{word}.count()`"
                ))
                .help(format!("ask of one of them with `{word}.any(name == …)`")),
            );
            return None;
        }
        self.nearly_intrinsic(word, span, table);
        Some(attribute(Place::Any, word, span, table))
    }

    /// Warns of `sevice == 'sales'`. Only one letter may differ, and short words are left alone.
    fn nearly_intrinsic(&mut self, word: &str, span: Span, table: Table) {
        const SHORTEST: usize = 5;
        if word.len() < SHORTEST {
            return;
        }
        let near = |name: &&str| name.len().abs_diff(word.len()) <= 1 && name.len() >= SHORTEST;
        let candidates = names::intrinsics(table)
            .iter()
            .map(|(name, _, _)| *name)
            .filter(near);
        if let Some(found) = closest(word, candidates)
            && one_letter_differs(word, found)
        {
            self.sink.push(
                Diagnostic::new(
                    Code::LooksLikeIntrinsic,
                    span,
                    format!("`{word}` is read as an attribute"),
                )
                .help(format!("did you mean `{found}`?"))
                .help(format!("if the attribute is meant, say so: `attr.{word}`")),
            );
        }
    }

    /// `attr["any key"]`.
    pub(super) fn indexed(
        &mut self,
        name: &Name,
        key: &str,
        span: Span,
        table: Table,
    ) -> Option<(Field, Type)> {
        let place = name.text.as_str();
        if !matches!(place, "attr" | "resource" | "scope") || name.wildcard {
            self.sink.push(
                Diagnostic::new(
                    Code::NotAField,
                    name.span,
                    "a key in brackets follows only `attr`, `resource` and `scope`",
                )
                .did_you_mean(place, ["attr", "resource", "scope"])
                .help("elements of arrays and maps can't be asked for"),
            );
            return None;
        }
        self.placed_field(place, key, span, table)
    }

    fn placed_field(
        &mut self,
        place: &str,
        key: &str,
        span: Span,
        table: Table,
    ) -> Option<(Field, Type)> {
        let place = match place {
            "attr" => Place::Span,
            _ if table != Table::Spans => {
                let item = names::item(table);
                self.sink.push(
                    Diagnostic::new(
                        Code::WrongItem,
                        span,
                        format!("{item} has no {place} of its own"),
                    )
                    .help("ask of the span outside of these parentheses"),
                );
                return None;
            }
            "resource" => Place::Resource,
            _ => Place::Scope,
        };
        Some(attribute(place, key, span, table))
    }

    fn text_test(
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
}

/// `attr.x` and its like: on the right of an operator, what is a field and not text.
pub(super) fn placed(name: &Name) -> bool {
    let head = name.text.split_once('.').map(|(head, _)| head);
    matches!(head, Some("attr" | "resource" | "scope"))
}

fn attribute(place: Place, key: &str, span: Span, table: Table) -> (Field, Type) {
    let place = if table == Table::Spans {
        place
    } else {
        Place::Span
    };
    let source = Source::Attribute(place, key.to_owned());
    (
        Field {
            table,
            source,
            span,
        },
        Type::Attribute,
    )
}

/// One letter put in, left out or replaced, or two neighbours swapped.
fn one_letter_differs(a: &str, b: &str) -> bool {
    let front = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.as_bytes().get(front..), b.as_bytes().get(front..));
    let (Some(a), Some(b)) = (a, b) else {
        return false;
    };
    match (a, b) {
        ([x, y, a @ ..], [v, w, b @ ..]) if a == b && x == w && y == v => true,
        ([_, a @ ..], [_, b @ ..]) if a == b => true,
        ([_, a @ ..], b) | (b, [_, a @ ..]) if a == b => true,
        (a, [_, b @ ..]) => a == b,
        _ => false,
    }
}
