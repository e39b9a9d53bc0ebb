//! Regular expressions, as the language means them: Unicode text, in which `\b \w \d \s` are ASCII.
//!
//! [`parse`] is the one way from a pattern to an automaton, for the checker as for the plan.

use regex_syntax::ast::{self, Ast, ClassSet, ClassSetItem};
use regex_syntax::hir::Hir;

/// Of a pattern's text. A single class such as `\p{L}` unfolds to hundreds of ranges, so that longer patterns could
/// cost megabytes before their automaton is ever built.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// Of groups, repetitions and classes in each other.
const MAX_NESTING: u32 = 100;

/// What is wrong with a pattern, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// One line.
    pub message: String,
    /// Byte offset of the mistake in the pattern.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// It may be right, and is too large.
    pub too_large: bool,
}

/// Parses a pattern. What it matches is valid UTF-8.
pub fn parse(pattern: &str) -> Result<Hir, Mistake> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(Mistake {
            message: format!(
                "the pattern has {} bytes, of at most {MAX_PATTERN_BYTES}",
                pattern.len()
            ),
            start: 0,
            end: pattern.len(),
            too_large: true,
        });
    }
    let mut ast = ast::parse::ParserBuilder::new()
        .nest_limit(MAX_NESTING)
        .build()
        .parse(pattern)
        .map_err(|error| mistake(error.kind(), error.span()))?;
    ascii(&mut ast);
    regex_syntax::hir::translate::TranslatorBuilder::new()
        .build()
        .translate(pattern, &ast)
        .map_err(|error| mistake(error.kind(), error.span()))
}

fn mistake(kind: &impl std::fmt::Display, span: &ast::Span) -> Mistake {
    Mistake {
        message: kind.to_string().trim_end_matches('.').replace('\n', " "),
        start: span.start.offset,
        end: span.end.offset,
        too_large: false,
    }
}

/// Gives `\b \w \d \s` their ASCII meanings.
fn ascii(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(class) => {
            let span = class.span;
            let item = ClassSetItem::Ascii(ascii_class(class));
            let class = ast::ClassBracketed {
                span,
                negated: false,
                kind: ClassSet::Item(item),
            };
            // Folding case would add a long s to `\w`.
            *ast = without(
                Ast::class_bracketed(class),
                ast::Flag::CaseInsensitive,
                span,
            );
        }
        Ast::Assertion(assertion) => {
            let span = assertion.span;
            let plain = std::mem::replace(ast, Ast::empty(span));
            *ast = without(plain, ast::Flag::Unicode, span);
        }
        Ast::ClassBracketed(class) => ascii_set(&mut class.kind),
        Ast::Repetition(repetition) => ascii(&mut repetition.ast),
        Ast::Group(group) => ascii(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(ascii),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(ascii),
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => {}
    }
}

fn ascii_set(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => ascii_item(item),
        ClassSet::BinaryOp(operation) => {
            ascii_set(&mut operation.lhs);
            ascii_set(&mut operation.rhs);
        }
    }
}

fn ascii_item(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(class) => *item = ClassSetItem::Ascii(ascii_class(class)),
        ClassSetItem::Bracketed(class) => ascii_set(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(ascii_item),
        _ => {}
    }
}

fn ascii_class(class: &ast::ClassPerl) -> ast::ClassAscii {
    let kind = match class.kind {
        ast::ClassPerlKind::Digit => ast::ClassAsciiKind::Digit,
        ast::ClassPerlKind::Space => ast::ClassAsciiKind::Space,
        ast::ClassPerlKind::Word => ast::ClassAsciiKind::Word,
    };
    ast::ClassAscii {
        span: class.span,
        kind,
        negated: class.negated,
    }
}

/// `(?-flag:ast)`.
fn without(ast: Ast, flag: ast::Flag, span: ast::Span) -> Ast {
    let items = vec![
        ast::FlagsItem {
            span,
            kind: ast::FlagsItemKind::Negation,
        },
        ast::FlagsItem {
            span,
            kind: ast::FlagsItemKind::Flag(flag),
        },
    ];
    let kind = ast::GroupKind::NonCapturing(ast::Flags { span, items });
    Ast::group(ast::Group {
        span,
        kind,
        ast: Box::new(ast),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_automata::dfa::dense;
    use regex_automata::dfa::{Automaton, StartKind};
    use regex_automata::nfa::thompson;
    use regex_automata::{Anchored, Input};

    fn matches(pattern: &str, text: &str) -> bool {
        let hir = parse(pattern).unwrap();
        let nfa = thompson::Compiler::new().build_from_hir(&hir).unwrap();
        let config = dense::Config::new().start_kind(StartKind::Unanchored);
        let dfa = dense::Builder::new()
            .configure(config)
            .build_from_nfa(&nfa)
            .unwrap();
        dfa.try_search_fwd(&Input::new(text).anchored(Anchored::No))
            .unwrap()
            .is_some()
    }

    #[test]
    fn classes_are_ascii_and_text_is_unicode() {
        assert!(matches(r"^\w+$", "a_9"));
        assert!(!matches(r"\w", "ä"));
        assert!(!matches(r"(?i)\w", "ſ"));
        assert!(matches(r"^\W$", "ä"));
        assert!(!matches(r"\d", "٣"));
        assert!(!matches(r"[\d]", "٣"));
        assert!(!matches(r"[[\d]&&\d]", "٣"));
        assert!(!matches(r"\s", "\u{a0}"));
        assert!(matches(r"^.$", "ä"));
        assert!(matches(r"(?i)Ä", "ä"));
        assert!(matches(r"\bb", "äb"));
        assert!(!matches(r"\bb", "ab"));
        assert!(matches(r"a\B", "ab"));
    }

    #[test]
    fn what_could_match_half_a_character_is_a_mistake() {
        let mistake = parse(r"ab(?-u:\xff)").unwrap_err();
        assert_eq!((mistake.start, mistake.end), (7, 11));
    }

    #[test]
    fn mistakes_have_places() {
        let mistake = parse("a(b").unwrap_err();
        assert_eq!((mistake.start, mistake.end), (1, 2));
        assert_eq!(mistake.message, "unclosed group");
        assert!(parse(&"(".repeat(5000)).is_err());
        assert!(parse(&format!("{}a{}", "(".repeat(2000), ")".repeat(2000))).is_err());
    }
}
