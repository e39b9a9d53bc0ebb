//! Comparisons of fields of one item: which pairs of types can ever be equal, less or greater.

use super::Checker;
use super::constant::describe_literal;
use super::field::placed;
use super::items::ItemSet;
use super::names::{self, Type};
use super::tree::{Comparison, Constant, Field, Items, Operand, Predicate, Source, Table};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::{self, Expression, ExpressionKind, Name};
use crate::syntax::is_null;

/// A side of a comparison between fields.
enum Side<'e> {
    Field(Field, Type),
    Literal(&'e ExpressionKind),
    /// A bare word on the right.
    Word(&'e Name),
    Count(ItemSet),
}

/// Where a literal is compared with a field.
#[derive(Clone, Copy)]
struct Site {
    /// As it is written.
    comparison: ast::Comparison,
    /// As it is read from the field's side.
    operator: Comparison,
    /// The literal.
    at: Span,
    /// The whole comparison.
    span: Span,
}

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
                let site = Site {
                    comparison,
                    operator,
                    at: right.span,
                    span,
                };
                self.field_with(field, kind, literal, site)
            }
            (Side::Literal(literal), Side::Field(field, kind)) => {
                let site = Site {
                    comparison,
                    operator: flip(operator),
                    at: left.span,
                    span,
                };
                self.field_with(field, kind, literal, site)
            }
            (Side::Field(field, kind), Side::Word(word)) => {
                self.field_with_word(field, kind, comparison, word, span)
            }
            (Side::Field(a, a_kind), Side::Field(b, b_kind)) => {
                self.like(&a, a_kind, &b, b_kind, comparison)?;
                Some(Predicate::Compare(a, operator, Operand::Field(b)))
            }
            (Side::Literal(literal), Side::Word(word)) => {
                let site = Site {
                    comparison,
                    operator: flip(operator),
                    at: left.span,
                    span,
                };
                self.literal_with_word(literal, word, site, table)
            }
            (Side::Literal(_), Side::Literal(_)) => self.nothing_to_compare(span, None),
            (Side::Count(set), Side::Literal(literal)) => {
                let site = Site {
                    comparison,
                    operator,
                    at: right.span,
                    span,
                };
                self.count_with(set, literal, left.span, site)
            }
            (Side::Literal(literal), Side::Count(set)) => {
                let site = Site {
                    comparison,
                    operator: flip(operator),
                    at: left.span,
                    span,
                };
                self.count_with(set, literal, right.span, site)
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

    fn field_with(
        &mut self,
        field: Field,
        kind: Type,
        literal: &ExpressionKind,
        site: Site,
    ) -> Option<Predicate> {
        let Site {
            comparison,
            operator,
            at,
            span,
        } = site;
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
        self.literal_elsewhere(&field, kind, word);
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
        let site = Site {
            comparison,
            operator,
            at: word.span,
            span,
        };
        self.field_with(field, kind, &literal, site)
    }

    /// Warns of `x == null` and `b == True`, which are text.
    fn literal_elsewhere(&mut self, field: &Field, kind: Type, word: &Name) {
        if !matches!(kind, Type::Attribute | Type::Text) {
            return;
        }
        let written = word.text.as_str();
        let name = self.quote(field.span, "x");
        let lower = written.to_ascii_lowercase();
        let help = match lower.as_str() {
            _ if is_null(written) => {
                format!("of a field that is missing, `missing({name})`")
            }
            "true" | "false" => format!("the literal is `{lower}`"),
            _ => return,
        };
        let message = format!("`{written}` is the text \"{written}\" here");
        self.sink.push(
            Diagnostic::new(Code::WordIsNoLiteral, word.span, message)
                .help(help)
                .help(format!(
                    "if the text is meant, put it in quotes: `\"{written}\"`"
                )),
        );
    }

    /// `5 < depth`: on the right of a number an intrinsic, and nothing else.
    fn literal_with_word(
        &mut self,
        literal: &ExpressionKind,
        word: &Name,
        site: Site,
        table: Table,
    ) -> Option<Predicate> {
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
                self.field_with(field, kind, literal, site)
            }
            _ => {
                let turned = format!(
                    "on the right a word is text; the field stands on the left: `{} {} {}`",
                    word.text,
                    symbol(site.operator),
                    self.quote(site.at, "…")
                );
                self.nothing_to_compare(site.span, Some(turned))
            }
        }
    }

    fn count_with(
        &mut self,
        set: ItemSet,
        literal: &ExpressionKind,
        count: Span,
        site: Site,
    ) -> Option<Predicate> {
        let Site {
            comparison,
            operator,
            at,
            span,
        } = site;
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

    pub(super) fn unlike(
        &mut self,
        a: Span,
        a_kind: &str,
        b: Span,
        b_kind: &str,
        at: ast::Comparison,
    ) {
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

/// The operator with its sides exchanged.
pub(super) fn flip(operator: Comparison) -> Comparison {
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
