//! An outline made smaller still, for a place where several are shown at once.
//!
//! An [`Outline`] and a number of lines go in, an outline of about that many comes out. The evidence and what is above it
//! stay longest, then what failed, then what is near the root. Every span is still in exactly one line.

use super::outline::{Line, MoreLine, Outline, SpanLine};

/// Lines that there are in any case: the root, the first evidence, and what is left out between and after them.
pub const LEAST: usize = 4;

/// The outline in at most `most` lines, or [`LEAST`].
pub fn shrunk(outline: &Outline, most: usize) -> Outline {
    let tree = Tree::new(&outline.lines);
    let mut kept = vec![false; outline.lines.len()];
    for (rank, index) in tree.by_importance().into_iter().enumerate() {
        let Some(flag) = kept.get_mut(index).filter(|flag| !**flag) else {
            continue;
        };
        *flag = true;
        let always = rank < tree.always();
        if !always && tree.lines(&kept).len() > most {
            kept[index] = false;
        }
    }
    Outline {
        lines: tree.lines(&kept),
        spans: outline.spans,
        extent_ns: outline.extent_ns,
    }
}

/// Lines and which of them is above which.
struct Tree<'a> {
    lines: &'a [Line],
    parents: Vec<Option<usize>>,
}

impl<'a> Tree<'a> {
    fn new(lines: &'a [Line]) -> Tree<'a> {
        // The last line of each depth so far.
        let mut above: Vec<usize> = Vec::new();
        let mut parents = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            above.truncate(line.depth());
            parents.push(above.last().copied());
            above.push(index);
        }
        Tree { lines, parents }
    }

    fn parent(&self, index: usize) -> Option<usize> {
        self.parents.get(index).copied().flatten()
    }

    fn span(&self, index: usize) -> Option<&SpanLine> {
        match self.lines.get(index) {
            Some(Line::Span(span)) => Some(span),
            _ => None,
        }
    }

    /// How many of the most important lines are kept in any case: the root, and the first evidence.
    fn always(&self) -> usize {
        1 + usize::from(self.evidence().next().is_some())
    }

    fn evidence(&self) -> impl Iterator<Item = usize> {
        (0..self.lines.len())
            .filter(|&index| self.span(index).is_some_and(|s| s.evidence.is_some()))
    }

    /// Lines of spans, the most important first; some come twice.
    fn by_importance(&self) -> Vec<usize> {
        let spans = || (0..self.lines.len()).filter(|&index| self.span(index).is_some());
        let mut order: Vec<usize> = spans().take(1).collect();
        for mut index in self.evidence() {
            order.push(index);
            while let Some(parent) = self.parent(index) {
                order.push(parent);
                index = parent;
            }
        }
        order.extend(spans().filter(|&index| self.span(index).is_some_and(|s| s.error)));
        let mut rest: Vec<usize> = spans().collect();
        rest.sort_by_key(|&index| (self.lines.get(index).map(Line::depth), index));
        order.extend(rest);
        order
    }

    fn lines(&self, kept: &[bool]) -> Vec<Line> {
        let is_kept = |index: usize| kept.get(index) == Some(&true);
        // Of each line the nearest kept one above it, and how many kept ones are above it.
        let mut anchors: Vec<(Option<usize>, usize)> = Vec::with_capacity(self.lines.len());
        let mut lines: Vec<Line> = Vec::new();
        // Above what those that are left out stand, where it is the same for all.
        let mut run = None;
        for (index, line) in self.lines.iter().enumerate() {
            let parent = self.parent(index);
            let above = parent.and_then(|parent| anchors.get(parent).copied());
            let (anchor, depth) = match (parent, above) {
                (Some(parent), Some((_, depth))) if is_kept(parent) => (Some(parent), depth + 1),
                (_, above) => above.unwrap_or_default(),
            };
            anchors.push((anchor, depth));
            let left = match line {
                Line::Span(span) if is_kept(index) => {
                    lines.push(Line::Span(SpanLine {
                        depth,
                        ..span.clone()
                    }));
                    continue;
                }
                Line::Span(span) => MoreLine {
                    depth,
                    spans: 1,
                    evidence: usize::from(span.evidence.is_some()),
                    name: span.name.clone(),
                },
                Line::More(more) => MoreLine {
                    depth,
                    ..more.clone()
                },
            };
            let is_direct = parent == anchor;
            match lines.last_mut() {
                Some(Line::More(more)) => {
                    more.spans += left.spans;
                    more.evidence += left.evidence;
                    more.depth = more.depth.min(depth);
                    if !is_direct || run != Some(anchor) || more.name != left.name {
                        more.name = None;
                    }
                }
                _ => {
                    let name = left.name.filter(|_| is_direct);
                    lines.push(Line::More(MoreLine { name, ..left }));
                    run = Some(anchor);
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(depth: usize, name: &str) -> Line {
        Line::Span(SpanLine {
            depth,
            name: Some(name.to_owned()),
            ..SpanLine::default()
        })
    }

    fn evidence(depth: usize, name: &str) -> Line {
        Line::Span(SpanLine {
            depth,
            name: Some(name.to_owned()),
            evidence: Some(0),
            ..SpanLine::default()
        })
    }

    fn outline(lines: Vec<Line>) -> Outline {
        let spans = lines.iter().map(spans_of).sum();
        Outline {
            lines,
            spans,
            extent_ns: 1,
        }
    }

    fn spans_of(line: &Line) -> usize {
        match line {
            Line::Span(_) => 1,
            Line::More(more) => more.spans,
        }
    }

    fn text(outline: &Outline) -> String {
        let line = |line: &Line| {
            let (mark, words) = match line {
                Line::Span(span) => (
                    span.evidence.is_some(),
                    span.name.clone().unwrap_or_default(),
                ),
                Line::More(more) => {
                    let name = more.name.as_deref().unwrap_or("");
                    (more.evidence > 0, format!("… {} more {name}", more.spans))
                }
            };
            let mark = if mark { ">" } else { " " };
            format!("{mark}{}{words}\n", "  ".repeat(line.depth())).replace(" \n", "\n")
        };
        outline.lines.iter().map(line).collect()
    }

    #[test]
    fn the_evidence_and_what_is_above_it_stay() {
        let large = outline(vec![
            span(0, "POST /checkout"),
            span(1, "verify"),
            span(1, "place_order"),
            span(2, "get_items"),
            span(3, "SELECT"),
            span(2, "charge"),
            evidence(3, "processor"),
            span(4, "ledger"),
            span(2, "label"),
            span(2, "publish"),
        ]);
        insta::assert_snapshot!(text(&shrunk(&large, 7)), @"
         POST /checkout
           verify
           place_order
             … 2 more
             charge
        >      processor
             … 3 more
        ");
        assert_eq!(shrunk(&large, 100), large);
    }

    #[test]
    fn alike_siblings_keep_their_name() {
        let mut lines = vec![span(0, "list")];
        lines.extend((0..3).map(|_| evidence(1, "SELECT")));
        lines.push(Line::More(MoreLine {
            depth: 1,
            spans: 40,
            evidence: 40,
            name: Some("SELECT".to_owned()),
        }));
        insta::assert_snapshot!(text(&shrunk(&outline(lines), 3)), @"
         list
        >  SELECT
        >  … 42 more SELECT
        ");
    }

    proptest! {
        #[test]
        fn every_span_is_in_one_line_and_no_more_lines_than_asked(
            raw in prop::collection::vec((0_usize..40, 0_u8..3, 0_u8..10), 1..60),
            most in LEAST..40,
        ) {
            let mut depth = 1;
            // The first line of an outline is always a span.
            let lines = [span(0, "root")].into_iter().chain(raw.into_iter().map(|(pick, name, bits)| {
                let here = pick % (depth + 1);
                // Nothing hangs below spans that are left out.
                depth = if bits == 9 { here } else { here + 1 };
                match bits {
                    9 => Line::More(MoreLine { depth: here, spans: 3, evidence: 1, name: None }),
                    8 => evidence(here, &name.to_string()),
                    _ => span(here, &name.to_string()),
                }
            }));
            let whole = outline(lines.collect());
            let small = shrunk(&whole, most);
            prop_assert_eq!(small.lines.iter().map(spans_of).sum::<usize>(), whole.spans);
            let marked = |outline: &Outline| -> usize {
                outline.lines.iter().map(|line| match line {
                    Line::Span(span) => usize::from(span.evidence.is_some()),
                    Line::More(more) => more.evidence,
                }).sum()
            };
            prop_assert_eq!(marked(&small), marked(&whole));
            prop_assert!(small.lines.len() <= most, "{} of {most}", small.lines.len());
        }
    }
}
