//! A trace as a person sees it: of a large one only the lines that matter.
//!
//! Spans of a trace in tree preorder go in as [`Shape`]s; out come at most a screen of lines. Kept are the first
//! evidence with its ancestors, then, level by level, what failed and what is left; of siblings with one name only the
//! first few. What is left out is a line that says how many spans it stands for. Every span is in exactly one line.

use std::collections::HashMap;

/// Lines of spans: about a screen, since nobody scrolls through a trace to see whether it matters.
pub const MAX_SPANS: usize = 32;

/// Evidence that is drawn; the signal itself names up to a hundred.
pub const MAX_EVIDENCE: usize = 12;

/// Ancestors of one evidence span that are drawn: the nearest, and the root.
const MAX_ANCESTORS: usize = 8;

/// Siblings of one name that are drawn: three show a pattern.
const MAX_ALIKE: usize = 3;

/// A trace, drawn small.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    pub lines: Vec<Line>,
    /// Of the whole trace.
    pub spans: usize,
    /// From the trace's first start to its last end.
    pub extent_ns: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    Span(SpanLine),
    More(MoreLine),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanLine {
    pub depth: usize,
    pub name: Option<String>,
    pub service: Option<String>,
    pub offset_ns: Option<u64>,
    pub duration_ns: Option<u64>,
    pub error: bool,
    /// Index into the signal's evidence.
    pub evidence: Option<usize>,
}

/// Spans that are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MoreLine {
    pub depth: usize,
    pub spans: usize,
    pub evidence: usize,
    /// Where those directly below one parent are all called so.
    pub name: Option<String>,
}

impl Line {
    pub fn depth(&self) -> usize {
        match self {
            Line::Span(span) => span.depth,
            Line::More(more) => more.depth,
        }
    }
}

/// What choosing lines needs to know of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// An earlier row.
    pub parent: Option<usize>,
    /// Equal for equal names.
    pub name: u64,
    pub error: bool,
    pub evidence: bool,
}

/// A chosen line: a row, or a run of rows that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    Span {
        row: usize,
        depth: usize,
    },
    More {
        depth: usize,
        spans: usize,
        evidence: usize,
        name_of: Option<usize>,
    },
}

/// Chooses the lines of a trace whose spans come in tree preorder. A parent that is not an earlier row counts as none.
pub fn choose(shapes: &[Shape]) -> Vec<Pick> {
    let mut kept = Kept::new(shapes);
    kept.keep(0);
    let mut drawn = 0;
    for row in 0..shapes.len() {
        let alone = kept.is_kept(row) || kept.alike(row) < MAX_ALIKE;
        if kept.shape(row).evidence && alone && drawn < MAX_EVIDENCE {
            kept.keep_with_ancestors(row);
            drawn += 1;
        }
    }
    kept.fill();
    kept.lines()
}

struct Kept<'a> {
    shapes: &'a [Shape],
    kept: Vec<bool>,
    count: usize,
    /// How many children of one parent and name are kept.
    alike: HashMap<(Option<usize>, u64), usize>,
}

impl<'a> Kept<'a> {
    fn new(shapes: &'a [Shape]) -> Self {
        Kept {
            shapes,
            kept: vec![false; shapes.len()],
            count: 0,
            alike: HashMap::new(),
        }
    }

    fn shape(&self, row: usize) -> Shape {
        let shape = self.shapes.get(row).copied().unwrap_or_default();
        Shape {
            parent: shape.parent.filter(|&parent| parent < row),
            ..shape
        }
    }

    fn is_kept(&self, row: usize) -> bool {
        self.kept.get(row).copied().unwrap_or(false)
    }

    fn alike(&self, row: usize) -> usize {
        let shape = self.shape(row);
        self.alike
            .get(&(shape.parent, shape.name))
            .copied()
            .unwrap_or(0)
    }

    fn keep(&mut self, row: usize) {
        let shape = self.shape(row);
        if let Some(kept) = self.kept.get_mut(row).filter(|kept| !**kept) {
            *kept = true;
            self.count += 1;
            *self.alike.entry((shape.parent, shape.name)).or_default() += 1;
        }
    }

    fn keep_with_ancestors(&mut self, row: usize) {
        self.keep(row);
        let mut near = MAX_ANCESTORS;
        let mut at = row;
        while let Some(parent) = self.shape(at).parent {
            if near > 0 || self.shape(parent).parent.is_none() {
                self.keep(parent);
            }
            near = near.saturating_sub(1);
            at = parent;
        }
    }

    /// Keeps more, failed spans first and then the nearest to the root, as long as there is room.
    fn fill(&mut self) {
        let mut depths = Vec::with_capacity(self.shapes.len());
        for row in 0..self.shapes.len() {
            let above = self
                .shape(row)
                .parent
                .and_then(|parent| depths.get(parent).copied());
            depths.push(above.map_or(0_usize, |depth| depth + 1));
        }
        let mut rows: Vec<_> = depths
            .iter()
            .enumerate()
            .map(|(row, depth)| (!self.shape(row).error, *depth, row))
            .collect();
        rows.sort_unstable();
        // Twice, since a failed span may hang below one that only the first pass keeps.
        for (_, _, row) in rows.iter().chain(&rows) {
            if self.count >= MAX_SPANS {
                break;
            }
            let reachable = self
                .shape(*row)
                .parent
                .is_none_or(|parent| self.is_kept(parent));
            if reachable && self.alike(*row) < MAX_ALIKE {
                self.keep(*row);
            }
        }
    }

    fn lines(&self) -> Vec<Pick> {
        // Of each row the nearest kept ancestor, and one more than how many kept ancestors there are.
        let mut anchors: Vec<(Option<usize>, usize)> = Vec::with_capacity(self.shapes.len());
        let mut lines = Vec::new();
        let mut run_anchor = None;
        for row in 0..self.shapes.len() {
            let shape = self.shape(row);
            let (anchor, depth) = match shape.parent {
                Some(parent) if self.is_kept(parent) => (
                    Some(parent),
                    anchors.get(parent).map_or(0, |(_, depth)| depth + 1),
                ),
                Some(parent) => anchors.get(parent).copied().unwrap_or((None, 0)),
                None => (None, 0),
            };
            anchors.push((anchor, depth));
            if self.is_kept(row) {
                lines.push(Pick::Span { row, depth });
                continue;
            }
            let direct = shape.parent == anchor;
            match lines.last_mut() {
                Some(Pick::More {
                    spans,
                    evidence,
                    name_of,
                    ..
                }) if run_anchor == Some(anchor) => {
                    *spans += 1;
                    *evidence += usize::from(shape.evidence);
                    if direct && name_of.is_some_and(|first| self.shape(first).name != shape.name) {
                        *name_of = None;
                    }
                }
                _ => {
                    let name_of = direct.then_some(row);
                    lines.push(Pick::More {
                        depth,
                        spans: 1,
                        evidence: usize::from(shape.evidence),
                        name_of,
                    });
                    run_anchor = Some(anchor);
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

    fn span(parent: Option<usize>, name: u64) -> Shape {
        Shape {
            parent,
            name,
            ..Shape::default()
        }
    }

    #[test]
    fn a_small_trace_is_drawn_whole() {
        let shapes = [
            span(None, 0),
            span(Some(0), 1),
            span(Some(1), 2),
            span(Some(0), 3),
        ];
        let depths: Vec<_> = choose(&shapes).into_iter().collect();
        assert_eq!(
            depths,
            [(0, 0), (1, 1), (2, 2), (3, 1)].map(|(row, depth)| Pick::Span { row, depth })
        );
    }

    #[test]
    fn siblings_of_one_name_are_summarised() {
        let mut shapes = vec![span(None, 0)];
        shapes.extend((0..40).map(|_| Shape {
            evidence: true,
            ..span(Some(0), 1)
        }));
        shapes.push(span(Some(0), 2));
        let lines = choose(&shapes);
        assert_eq!(lines.len(), 6);
        assert_eq!(
            lines[4],
            Pick::More {
                depth: 1,
                spans: 37,
                evidence: 37,
                name_of: Some(4)
            }
        );
        assert_eq!(lines[5], Pick::Span { row: 41, depth: 1 });
    }

    #[test]
    fn evidence_deep_in_a_wide_trace_is_found() {
        // Two hundred branches of three spans each, all named apart; the evidence is a leaf of the last.
        let mut shapes = vec![span(None, 0)];
        for branch in 0..200_u64 {
            let top = shapes.len();
            shapes.extend([
                span(Some(0), branch * 3 + 1),
                span(Some(top), branch * 3 + 2),
                span(Some(top + 1), branch * 3 + 3),
            ]);
        }
        let leaf = shapes.len() - 1;
        shapes[leaf].evidence = true;
        let lines = choose(&shapes);
        assert!(
            lines.contains(&Pick::Span {
                row: leaf,
                depth: 3
            }),
            "{lines:?}"
        );
        assert!(lines.len() <= 2 * MAX_SPANS);
    }

    #[test]
    fn a_long_chain_keeps_its_ends() {
        let mut shapes: Vec<_> = (0..1_000_usize)
            .map(|row| span(row.checked_sub(1), row as u64))
            .collect();
        shapes[999].evidence = true;
        let lines = choose(&shapes);
        assert_eq!(lines.first(), Some(&Pick::Span { row: 0, depth: 0 }));
        assert!(matches!(lines.last(), Some(Pick::Span { row: 999, .. })));
        assert!(lines.len() <= MAX_SPANS + 2, "{}", lines.len());
    }

    proptest! {
        #[test]
        fn every_span_is_in_one_line(
            raw in prop::collection::vec((0_usize..400, 0_u64..5, 0_u8..10), 1..400),
        ) {
            // Any parent that is on the path to the row before keeps the order a preorder.
            let mut path: Vec<usize> = Vec::new();
            let mut shapes: Vec<Shape> = Vec::new();
            for (row, (pick, name, bits)) in raw.into_iter().enumerate() {
                path.truncate(pick % (path.len() + 1));
                shapes.push(Shape { parent: path.last().copied(), name, error: bits == 0, evidence: bits > 7 });
                path.push(row);
            }
            let lines = choose(&shapes);
            let mut total = 0;
            let mut evidence = 0;
            for line in &lines {
                match line {
                    Pick::Span { row, .. } => {
                        total += 1;
                        evidence += usize::from(shapes[*row].evidence);
                    }
                    Pick::More { spans, evidence: more, .. } => {
                        total += spans;
                        evidence += more;
                    }
                }
            }
            prop_assert_eq!(total, shapes.len());
            prop_assert_eq!(evidence, shapes.iter().filter(|s| s.evidence).count());
            let drawn = lines.iter().filter(|l| matches!(l, Pick::Span { .. })).count();
            prop_assert!(drawn <= MAX_SPANS.max(1 + MAX_EVIDENCE * (MAX_ANCESTORS + 2)));
        }
    }
}
