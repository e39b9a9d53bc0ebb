//! Patterns as expressions over UTF-8 text.
//!
//! Text is UTF-8 and everything in a regular expression is Unicode but for `\b \w \d \s`, which are ASCII: a rule
//! author means the digits 0 to 9, and an automaton can't decide a Unicode word boundary.

use regex_syntax::ast::{
    self, Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet,
    ClassSetItem,
};
use regex_syntax::hir::{Capture, Dot, Hir, HirKind, Look, Repetition, translate};

use super::error::Problem;

/// How deep a regular expression may nest.
const NESTING: u32 = 100;

/// A regular expression, unanchored.
pub(super) fn regex(pattern: &str) -> Result<Hir, Problem> {
    let mut parsed = ast::parse::ParserBuilder::new()
        .nest_limit(NESTING)
        .build()
        .parse(pattern)
        .map_err(|error| Problem::Regex(error.kind().to_string()))?;
    make_classes_ascii(&mut parsed);
    let hir = translate::TranslatorBuilder::new()
        .build()
        .translate(pattern, &parsed)
        .map_err(|error| Problem::Regex(error.kind().to_string()))?;
    Ok(ascii_boundaries(hir))
}

/// `*` is any text, `?` one character; the whole text matches.
pub(super) fn like(glob: &str) -> Hir {
    let mut parts = vec![Hir::look(Look::Start)];
    let mut literal = String::new();
    let mut after_star = false;
    for character in glob.chars() {
        if !matches!(character, '*' | '?') {
            literal.push(character);
            after_star = false;
            continue;
        }
        parts.push(Hir::literal(std::mem::take(&mut literal).into_bytes()));
        if character == '?' {
            parts.push(Hir::dot(Dot::AnyChar));
            after_star = false;
        } else if !after_star {
            parts.push(any_text());
            after_star = true;
        }
    }
    parts.push(Hir::literal(literal.into_bytes()));
    parts.push(Hir::look(Look::End));
    Hir::concat(parts)
}

/// By bytes rather than characters, which is the same in UTF-8 and makes for smaller automata.
fn any_text() -> Hir {
    Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: true,
        sub: Box::new(Hir::dot(Dot::AnyByte)),
    })
}

fn make_classes_ascii(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(class) => {
            *ast = Ast::class_bracketed(ClassBracketed {
                span: class.span,
                negated: false,
                kind: ClassSet::Item(ClassSetItem::Ascii(ascii(class))),
            });
        }
        Ast::ClassBracketed(class) => make_items_ascii(&mut class.kind),
        Ast::Repetition(repetition) => make_classes_ascii(&mut repetition.ast),
        Ast::Group(group) => make_classes_ascii(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(make_classes_ascii),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(make_classes_ascii),
        _ => {}
    }
}

fn make_items_ascii(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => make_item_ascii(item),
        ClassSet::BinaryOp(operation) => {
            make_items_ascii(&mut operation.lhs);
            make_items_ascii(&mut operation.rhs);
        }
    }
}

fn make_item_ascii(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(class) => *item = ClassSetItem::Ascii(ascii(class)),
        ClassSetItem::Bracketed(class) => make_items_ascii(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(make_item_ascii),
        _ => {}
    }
}

fn ascii(class: &ClassPerl) -> ClassAscii {
    ClassAscii {
        span: class.span,
        kind: match class.kind {
            ClassPerlKind::Digit => ClassAsciiKind::Digit,
            ClassPerlKind::Space => ClassAsciiKind::Space,
            ClassPerlKind::Word => ClassAsciiKind::Word,
        },
        negated: class.negated,
    }
}

fn ascii_boundaries(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => other,
        }),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(ascii_boundaries(*repetition.sub)),
            ..repetition
        }),
        HirKind::Capture(capture) => Hir::capture(Capture {
            sub: Box::new(ascii_boundaries(*capture.sub)),
            ..capture
        }),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(ascii_boundaries).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(ascii_boundaries).collect())
        }
    }
}
