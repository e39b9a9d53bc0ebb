//! Comparisons: which pairs of types can ever be equal, less or greater, and what a literal is beside a field.

use super::Checker;
use super::condition::Value;
use super::item::placed;
use super::items::ItemSet;
use super::names::{self, Type};
use super::tree::{
    Comparison, Condition, Constant, Field, Intrinsic, Items, Number, Operand, Predicate, Source,
    Table,
};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{self, Expression, ExpressionKind, Name};

/// A side of a comparison between fields.
enum Side<'e> {
    Field(Field, Type),
    Literal(&'e ExpressionKind),
    /// A bare word on the right.
    Word(&'e Name),
    Count(ItemSet),
}

/// Numbers of the whole trace.
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

    fn condition_as_value<T>(&mut self, span: Span) -> Option<T> {
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

    fn nothing_to_compare<T>(&mut self, span: Span, help: Option<String>) -> Option<T> {
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
    fn against_zero(
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

/// Fields of one item.
impl Checker<'_, '_> {
    pub(super) fn compare_fields(
        &mut self,
        left: &Expression,
        comparison: ast::Comparison,
        right: &Expression,
        span: Span,
        table: Table,
    ) -> Option<Predicate> {
        let sides = (self.side(left, table, false), self.side(right, table, true));
        let operator = comparison.operator;
        match (sides.0?, sides.1?) {
            (Side::Field(field, kind), Side::Literal(literal)) => {
                self.field_with(field, kind, comparison, operator, literal, right.span, span)
            }
            (Side::Literal(literal), Side::Field(field, kind)) => self.field_with(
                field,
                kind,
                comparison,
                flip(operator),
                literal,
                left.span,
                span,
            ),
            (Side::Field(field, kind), Side::Word(word)) => {
                self.field_with_word(field, kind, comparison, word, span)
            }
            (Side::Field(a, a_kind), Side::Field(b, b_kind)) => {
                self.like(&a, a_kind, &b, b_kind, comparison)?;
                Some(Predicate::Compare(a, operator, Operand::Field(b)))
            }
            (Side::Literal(literal), Side::Word(word)) => {
                let number = matches!(
                    literal,
                    ExpressionKind::Int(_) | ExpressionKind::Float(_) | ExpressionKind::Duration(_)
                );
                match names::intrinsic(table, &word.text) {
                    Some((intrinsic, kind)) if number => {
                        let source = Source::Intrinsic(intrinsic);
                        let field = Field {
                            table,
                            source,
                            span: word.span,
                        };
                        let operator = flip(operator);
                        self.field_with(field, kind, comparison, operator, literal, left.span, span)
                    }
                    _ => {
                        let turned = format!(
                            "on the right a word is text; the field stands on the left: `{} {} {}`",
                            word.text,
                            symbol(flip(operator)),
                            self.quote(left.span, "…")
                        );
                        self.nothing_to_compare(span, Some(turned))
                    }
                }
            }
            (Side::Literal(_), Side::Literal(_)) => self.nothing_to_compare(span, None),
            (Side::Count(set), Side::Literal(literal)) => self.count_with(
                set,
                comparison,
                operator,
                literal,
                (left.span, right.span),
                span,
            ),
            (Side::Literal(literal), Side::Count(set)) => {
                let spans = (right.span, left.span);
                self.count_with(set, comparison, flip(operator), literal, spans, span)
            }
            (Side::Count(_), _) | (_, Side::Count(_)) => {
                self.sink.push(Diagnostic::new(
                    Code::ItemCountsNotYet,
                    span,
                    "a count of events or links can be compared with a number only, so far",
                ));
                None
            }
            // Words stand on the right alone.
            (Side::Word(_), _) => None,
        }
    }

    fn side<'e>(&mut self, side: &'e Expression, table: Table, right: bool) -> Option<Side<'e>> {
        if let Some(count) = self.item_count(side, table) {
            return count.map(Side::Count);
        }
        match &side.kind {
            ExpressionKind::Invalid => None,
            ExpressionKind::Name(name) if right && !placed(name) => Some(Side::Word(name)),
            ExpressionKind::Name(name) => {
                let (field, kind) = self.field(name, table)?;
                Some(Side::Field(field, kind))
            }
            ExpressionKind::Index(name, key) => {
                let (field, kind) = self.indexed(name, key, side.span, table)?;
                Some(Side::Field(field, kind))
            }
            ExpressionKind::Bool(_)
            | ExpressionKind::Int(_)
            | ExpressionKind::Float(_)
            | ExpressionKind::Duration(_)
            | ExpressionKind::Text(_) => Some(Side::Literal(&side.kind)),
            ExpressionKind::Function(word, arguments)
                if !matches!(word.text.as_str(), "exists" | "missing") =>
            {
                self.unknown_function(word, arguments);
                None
            }
            _ => {
                // What is wrong inside of it is told first.
                self.predicate(side, table)?;
                self.condition_as_value(side.span)
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn field_with(
        &mut self,
        field: Field,
        kind: Type,
        comparison: ast::Comparison,
        operator: Comparison,
        literal: &ExpressionKind,
        at: Span,
        span: Span,
    ) -> Option<Predicate> {
        let exact = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let constant = self.constant(&field, kind, literal, at, operator == Comparison::Equal)?;
        let unordered = !kind.ordered() || matches!(constant, Constant::Bool(_));
        if unordered && !exact {
            return self.no_order(comparison, kind, &constant);
        }
        let number = match constant {
            Constant::Int(number) | Constant::Duration(number) => Some(number as f64),
            Constant::Float(number) => Some(number),
            _ => None,
        };
        if let (Some(number), Type::Int | Type::Duration) = (number, kind) {
            let text = self.quote(field.span, "it");
            let what = format!("`{text}`");
            // A duration can be missing, so that it is never sure to be 0 or more, only never less.
            let doubtful = kind == Type::Duration && number <= 0.0;
            let certain = matches!(
                operator,
                Comparison::Less | Comparison::LessOrEqual | Comparison::Equal
            );
            if !doubtful || certain {
                self.against_zero(operator, number, kind == Type::Int, span, &what)?;
            }
        }
        Some(Predicate::Compare(
            field,
            operator,
            Operand::Constant(constant),
        ))
    }

    fn field_with_word(
        &mut self,
        field: Field,
        kind: Type,
        comparison: ast::Comparison,
        word: &Name,
        span: Span,
    ) -> Option<Predicate> {
        let operator = comparison.operator;
        let table = field.table;
        let intrinsic = names::intrinsic(table, &word.text);
        if matches!(kind, Type::Int | Type::Duration | Type::Timestamp) {
            if let Some((intrinsic, right_kind)) = intrinsic {
                let right = Field {
                    table,
                    source: Source::Intrinsic(intrinsic),
                    span: word.span,
                };
                self.like(&field, kind, &right, right_kind, comparison)?;
                return Some(Predicate::Compare(field, operator, Operand::Field(right)));
            }
            let candidates = names::intrinsics(table).iter();
            let alike = candidates
                .filter(|(_, _, other)| *other == kind)
                .map(|(name, _, _)| *name);
            let diagnostic = Diagnostic::new(
                Code::UnlikeTypes,
                word.span,
                format!(
                    "{} is never equal to text, nor less or greater",
                    kind.describe()
                ),
            )
            .here("a word on the right is text")
            .label(field.span, kind.describe())
            .did_you_mean(&word.text, alike);
            self.sink.push(match kind {
                Type::Timestamp | Type::Duration => diagnostic,
                _ => diagnostic.help(format!("for an attribute, say so: `attr.{}`", word.text)),
            });
            return None;
        }
        let text = self.bare_text(word)?;
        if intrinsic.is_some() && kind.members().is_empty() {
            let word_text = &word.text;
            self.sink.push(
                Diagnostic::new(
                    Code::WordIsText,
                    word.span,
                    format!(
                        "`{word_text}` is the text \"{word_text}\" here, not the span's {word_text}"
                    ),
                )
                .help(format!(
                    "if the text is meant, put it in quotes: `\"{word_text}\"`"
                ))
                .help("an intrinsic can stand on the right only of a number, a duration or a time"),
            );
        }
        let literal = ExpressionKind::Text(text);
        self.field_with(field, kind, comparison, operator, &literal, word.span, span)
    }

    fn count_with(
        &mut self,
        set: ItemSet,
        comparison: ast::Comparison,
        operator: Comparison,
        literal: &ExpressionKind,
        (count, at): (Span, Span),
        span: Span,
    ) -> Option<Predicate> {
        let (constant, number) = match literal {
            ExpressionKind::Int(number) => (Constant::Int(*number), *number as f64),
            ExpressionKind::Float(number) => (Constant::Float(*number), *number),
            other => {
                self.unlike(count, "a number", at, describe_literal(other), comparison);
                return None;
            }
        };
        self.against_zero(operator, number, true, span, "a count")?;
        let table = set.table;
        let items = Items::Count(Box::new(set.predicate()), operator, constant);
        Some(Predicate::Items(table, items))
    }

    fn no_order<T>(
        &mut self,
        comparison: ast::Comparison,
        kind: Type,
        constant: &Constant,
    ) -> Option<T> {
        let what = match constant {
            Constant::Bool(_) => Type::Bool.describe(),
            _ => kind.describe(),
        };
        self.sink.push(
            Diagnostic::new(
                Code::NoOrder,
                comparison.span,
                format!("{what} is never less or greater than another"),
            )
            .help("compare with `==`, `!=` or `in`"),
        );
        None
    }

    /// A literal beside a field. `exact`: they have to be equal, and so the text of an id has to have its form.
    pub(super) fn constant(
        &mut self,
        field: &Field,
        kind: Type,
        literal: &ExpressionKind,
        at: Span,
        exact: bool,
    ) -> Option<Constant> {
        match (kind, literal) {
            (Type::Attribute | Type::Bool, ExpressionKind::Bool(value)) => {
                Some(Constant::Bool(*value))
            }
            (Type::Attribute | Type::Int, ExpressionKind::Int(number)) => {
                Some(Constant::Int(*number))
            }
            (Type::Attribute | Type::Int, ExpressionKind::Float(number)) => {
                Some(Constant::Float(*number))
            }
            (Type::Attribute, ExpressionKind::Text(text)) => Some(Constant::Text(text.clone())),
            (Type::Text, ExpressionKind::Text(text)) => {
                if exact {
                    self.form_of_id(field, text, at)?;
                }
                Some(Constant::Text(text.clone()))
            }
            (Type::Duration, ExpressionKind::Duration(ns)) => Some(Constant::Duration(*ns)),
            (Type::Kind | Type::Status, ExpressionKind::Text(text)) => self.member(kind, text, at),
            _ => {
                self.unlike_constant(field, kind, literal, at);
                None
            }
        }
    }

    fn member(&mut self, kind: Type, text: &str, at: Span) -> Option<Constant> {
        let members = kind.members();
        if let Some((_, number)) = members
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            return Some(Constant::Enum(*number));
        }
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        // As OTLP spells them.
        let plain = text
            .trim_start_matches("SPAN_KIND_")
            .trim_start_matches("STATUS_CODE_");
        let shown = self.quote(at, "this");
        self.sink.push(
            Diagnostic::new(
                Code::UnknownMember,
                at,
                format!("{} is never `{shown}`", kind.describe()),
            )
            .did_you_mean(plain, names.iter().copied())
            .help(format!("it is one of {}", list(&names))),
        );
        None
    }

    /// Ids are text of a fixed form; what has another is never equal.
    fn form_of_id(&mut self, field: &Field, text: &str, at: Span) -> Option<()> {
        let digits = match field.source {
            Source::Intrinsic(Intrinsic::TraceId) => 32,
            Source::Intrinsic(Intrinsic::SpanId | Intrinsic::ParentId) => 16,
            _ => return Some(()),
        };
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == digits && text.bytes().all(hex) {
            return Some(());
        }
        let lower = text.to_ascii_lowercase();
        let diagnostic = Diagnostic::new(Code::AlwaysFalse, at, "this is never true")
            .here(format!("such an id has {digits} digits, 0 to 9 and a to f"));
        self.sink
            .push(match lower.len() == digits && lower.bytes().all(hex) {
                true => diagnostic.help(format!("did you mean `{lower}`?")),
                false => diagnostic,
            });
        None
    }

    fn unlike_constant(&mut self, field: &Field, kind: Type, literal: &ExpressionKind, at: Span) {
        let text = self.quote(at, "…");
        let described = describe_literal(literal);
        let name = self.quote(field.span, "the field");
        let code = match (kind, literal) {
            (Type::Attribute, ExpressionKind::Duration(_)) => Code::AttributeAsDuration,
            (Type::Duration, ExpressionKind::Int(_) | ExpressionKind::Float(_)) => {
                Code::DurationWithoutUnit
            }
            _ => Code::UnlikeTypes,
        };
        let message = match code {
            Code::AttributeAsDuration => format!("`{name}` is an attribute, and never a duration"),
            Code::DurationWithoutUnit => {
                format!("`{name}` is a duration, and `{text}` has no unit")
            }
            _ => format!(
                "`{name}` is {}, which {described} never equals",
                kind.describe()
            ),
        };
        let diagnostic = Diagnostic::new(code, at, message)
            .here(described)
            .label(field.span, kind.describe());
        let inner = text.trim_matches(['"', '\'']);
        self.sink.push(match (kind, literal) {
            (Type::Attribute, _) => {
                diagnostic.help("compare with a plain number, in the attribute's own unit")
            }
            (Type::Duration, ExpressionKind::Int(_) | ExpressionKind::Float(_)) => {
                diagnostic.help(format!("say a unit: `{text}ms`, `{text}s`"))
            }
            (Type::Duration | Type::Int, ExpressionKind::Text(_))
                if inner.starts_with(|c: char| c.is_ascii_digit()) && text != inner =>
            {
                diagnostic.help(format!("leave the quotes out: `{inner}`"))
            }
            (Type::Timestamp, _) => {
                diagnostic.help("a point in time compares with another one: `end > start`")
            }
            (Type::Bool, _) => diagnostic.help("it is `true` or `false`"),
            (Type::Text, _) => diagnostic.help(format!("put it in quotes: `\"{text}\"`")),
            (Type::Kind | Type::Status, _) => {
                let names: Vec<&str> = kind.members().iter().map(|(name, _)| *name).collect();
                diagnostic.help(format!("it is one of {}", list(&names)))
            }
            _ => diagnostic,
        });
    }

    /// Whether two fields can ever be equal, less or greater.
    fn like(
        &mut self,
        a: &Field,
        a_kind: Type,
        b: &Field,
        b_kind: Type,
        comparison: ast::Comparison,
    ) -> Option<()> {
        let dynamic = |kind| matches!(kind, Type::Attribute | Type::Bool | Type::Int | Type::Text);
        let one_is_dynamic = a_kind == Type::Attribute || b_kind == Type::Attribute;
        if a_kind != b_kind && !(one_is_dynamic && dynamic(a_kind) && dynamic(b_kind)) {
            self.unlike(
                a.span,
                a_kind.describe(),
                b.span,
                b_kind.describe(),
                comparison,
            );
            return None;
        }
        let exact = matches!(
            comparison.operator,
            Comparison::Equal | Comparison::NotEqual
        );
        for kind in [a_kind, b_kind] {
            if !exact && !kind.ordered() {
                return self.no_order(comparison, kind, &Constant::Int(0));
            }
        }
        Some(())
    }

    fn unlike(&mut self, a: Span, a_kind: &str, b: Span, b_kind: &str, at: ast::Comparison) {
        let attribute = [a_kind, b_kind].contains(&Type::Attribute.describe())
            && [a_kind, b_kind].contains(&Type::Duration.describe());
        let code = if attribute {
            Code::AttributeAsDuration
        } else {
            Code::UnlikeTypes
        };
        self.sink.push(
            Diagnostic::new(
                code,
                at.span,
                "two types that never compare: this is always false",
            )
            .label(a, a_kind)
            .label(b, b_kind),
        );
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

fn describe_literal(literal: &ExpressionKind) -> &'static str {
    match literal {
        ExpressionKind::Bool(_) => "true or false",
        ExpressionKind::Int(_) | ExpressionKind::Float(_) => "a number",
        ExpressionKind::Duration(_) => "a duration",
        _ => "text",
    }
}

fn as_float(number: &Number) -> Option<f64> {
    match number {
        Number::Count(_) => None,
        Number::Int(number) => Some(*number as f64),
        Number::Float(number) => Some(*number),
    }
}

/// The operator with its sides exchanged.
fn flip(operator: Comparison) -> Comparison {
    match operator {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

fn symbol(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
