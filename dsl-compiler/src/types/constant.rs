//! What a literal is beside a field: of the field's type, or a mistake.

use super::Checker;
use super::names::Type;
use super::tree::{Constant, Field, Intrinsic, Source};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::ExpressionKind;

impl Checker<'_, '_> {
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
}

/// How messages call a literal.
pub(super) fn describe_literal(literal: &ExpressionKind) -> &'static str {
    match literal {
        ExpressionKind::Bool(_) => "true or false",
        ExpressionKind::Int(_) | ExpressionKind::Float(_) => "a number",
        ExpressionKind::Duration(_) => "a duration",
        _ => "text",
    }
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
