//! Names to fields: intrinsics, and attributes with their places.

use super::Checker;
use super::names::{self, Type};
use super::tree::{Field, Place, Source, Table};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::syntax::ast::Name;

impl Checker<'_, '_> {
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
        let mut names = names::intrinsics(table).iter().map(|(name, _, _)| *name);
        if let Some(found) =
            names.find(|name| name.len() >= SHORTEST && one_letter_differs(word, name))
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

    pub(super) fn not_a_field(&mut self, span: Span) {
        self.sink.push(
            Diagnostic::new(Code::NotAField, span, "expected a field").help(
                "a field is an intrinsic or an attribute, as in `user_id` or `attr[\"user id\"]`",
            ),
        );
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
