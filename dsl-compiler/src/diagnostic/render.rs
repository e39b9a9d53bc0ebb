//! Diagnostic to text, the way rustc prints it.
//!
//! Only the lines that labels stand on are handed to the renderer, and of a long line only a part, so that the cost of a
//! diagnostic depends neither on the file nor on its lines.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Title, Origin, Renderer, Snippet};

use super::{Diagnostic, Label, Level};

/// Labels that are further apart than this are shown as two excerpts.
const MAX_EXCERPT: usize = 4096;

/// How much of a long line is shown on each side of a label.
const MAX_MARGIN: usize = 400;

/// Line and column of a byte offset, both from 1; the column counts characters.
pub fn position(source: &str, offset: usize) -> (usize, usize) {
    let offset = floor(source, offset);
    let start = line_start(source, offset);
    let line = source[..start]
        .bytes()
        .filter(|byte| *byte == b'\n')
        .count()
        + 1;
    (line, source[start..offset].chars().count() + 1)
}

pub(super) fn render(diagnostic: &Diagnostic, path: &str, source: &str, color: bool) -> String {
    let title = match diagnostic.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
    };
    let path = one_line(path);
    let mut group = Group::with_title(
        title
            .primary_title(one_line(&diagnostic.message))
            .id(diagnostic.code.as_str()),
    );
    for (at, excerpt) in excerpts(&diagnostic.labels, source).into_iter().enumerate() {
        let snippet = excerpt.snippet(source);
        // The renderer counts columns from where an excerpt starts; in the middle of a line, that is wrong.
        if excerpt.start == line_start(source, excerpt.start) {
            group = group.element(snippet.path(path.clone()));
        } else {
            if at == 0 {
                let (line, column) = position(source, diagnostic.span().start as usize);
                group = group.element(Origin::path(path.clone()).line(line).char_column(column));
            }
            group = group.element(snippet);
        }
    }
    for help in &diagnostic.help {
        group = group.element(Title::HELP.message(one_line(help)));
    }
    let groups: [Group<'_>; 1] = [group];
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.decor_style(DecorStyle::Ascii).render(&groups)
}

/// A part of the source, and the labels in it as byte ranges of the source.
struct Excerpt<'a> {
    start: usize,
    end: usize,
    labels: Vec<(usize, usize, &'a Label)>,
}

/// Each label with its (first) line, the nearby ones together. In source order, but that the primary one is first.
fn excerpts<'a>(labels: &'a [Label], source: &str) -> Vec<Excerpt<'a>> {
    let mut excerpts: Vec<Excerpt<'a>> = Vec::new();
    for label in labels {
        let start = floor(source, label.span.start as usize);
        let line_end = source[start..]
            .find('\n')
            .map_or(source.len(), |at| start + at);
        let end = ceil(source, label.span.end as usize).clamp(start, line_end);
        let from = floor(
            source,
            line_start(source, start).max(start.saturating_sub(MAX_MARGIN)),
        );
        let until = ceil(source, line_end.min(start + MAX_MARGIN));
        let end = end.min(until);
        let near = excerpts.iter_mut().find(|other| {
            other.end.max(until) - other.start.min(from) <= MAX_EXCERPT
                && whole_lines(source, other.start, from, until)
        });
        match near {
            Some(other) => {
                other.start = other.start.min(from);
                other.end = other.end.max(until);
                other.labels.push((start, end, label));
            }
            None => excerpts.push(Excerpt {
                start: from,
                end: until,
                labels: vec![(start, end, label)],
            }),
        }
    }
    excerpts
}

/// Excerpts can be joined only where the later one does not start in the middle of another line.
fn whole_lines(source: &str, other: usize, from: usize, until: usize) -> bool {
    let starts_line = |at: usize| at == line_start(source, at);
    let ends_line = until == source.len() || source.as_bytes().get(until) == Some(&b'\n');
    other == from || (starts_line(other) && starts_line(from) && ends_line)
}

impl<'a> Excerpt<'a> {
    fn snippet(&self, source: &str) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let line = source[..self.start]
            .bytes()
            .filter(|byte| *byte == b'\n')
            .count()
            + 1;
        // Characters that are replaced change length, so places are counted in the text that is shown.
        let shown = |until: usize| visible(&source[self.start..until]);
        Snippet::source(shown(self.end))
            .line_start(line)
            .annotations(self.labels.iter().map(|(start, end, label)| {
                let kind = if label.primary {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                let annotation = kind.span(shown(*start).len()..shown(*end).len());
                if label.text.is_empty() {
                    annotation
                } else {
                    annotation.label(one_line(&label.text))
                }
            }))
    }
}

/// Text without characters that a terminal or an editor would obey instead of show.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\r' => ' ',
            _ if obeyed(c) => '\u{fffd}',
            _ => c,
        })
        .collect()
}

/// As [`visible`], on one line: for what is not an excerpt.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if obeyed(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Control characters, and those that change the direction or the flow of text.
fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn line_start(source: &str, offset: usize) -> usize {
    source[..offset].rfind('\n').map_or(0, |at| at + 1)
}

/// The nearest character boundary at or before an offset.
fn floor(source: &str, offset: usize) -> usize {
    source.floor_char_boundary(offset.min(source.len()))
}

/// The nearest character boundary at or after an offset.
fn ceil(source: &str, offset: usize) -> usize {
    source.ceil_char_boundary(offset.min(source.len()))
}

#[cfg(test)]
mod tests {
    use super::super::{Code, Span};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("äb\nc", 2), (1, 2));
        assert_eq!(position("äb\nc", 4), (2, 1));
        assert_eq!(position("", 7), (1, 1));
    }

    #[test]
    fn a_long_line_is_cut_and_keeps_its_column() {
        let source = format!("{}x{}", "a ".repeat(100_000), " b".repeat(100_000));
        let text = Diagnostic::new(Code::Unexpected, Span::new(200_000, 200_001), "odd")
            .here("this")
            .render("r", &source, false);
        assert!(text.contains("r:1:200001"), "{text}");
        assert!(text.len() < 2000, "{}", text.len());
        assert!(text.contains("^ this"), "{text}");
    }

    proptest! {
        #[test]
        fn any_source_and_any_labels_render_without_control_characters(
            source in "(\\PC|[\n\r\t\0\u{1b}\u{9b}\u{202e}ä🦀]){0,300}",
            spans in proptest::collection::vec((0usize..700, 0usize..700), 1..5),
            color: bool,
        ) {
            let mut diagnostic = Diagnostic::new(Code::Unexpected, Span::new(spans[0].0, spans[0].1), source.clone());
            for (start, end) in &spans[1..] {
                diagnostic = diagnostic.label(Span::new(*start, *end), source.clone());
            }
            let text = diagnostic.render("a\u{1b}b", &source, color);
            let obeyed = text.chars().find(|c| obeyed(*c) && *c != '\n' && !(color && *c == '\u{1b}'));
            prop_assert_eq!(obeyed, None);
        }
    }
}
