//! A trace's outline from its spans: parents found, lines chosen, and the text of those lines read from the wire.

use std::hash::{BuildHasher, RandomState};

use super::Evidence;
use super::evidence::Spot;
use super::outline::{Line, MoreLine, Outline, Pick, Shape, SpanLine, choose};
use crate::columns::tree::{Node, Tree};
use crate::otlp::span::SpanView;
use crate::replay::kept::Kept;

/// The outline of a trace whose spans come in tree preorder; `evidence` are the signal's, as indices into `spots`.
pub(super) fn outline(spots: &[Spot<'_>], evidence: &[usize]) -> Outline {
    let shapes = shapes(spots, evidence);
    let name = |row: usize| spots.get(row).and_then(Spot::name);
    let lines = choose(&shapes).into_iter().map(|pick| match pick {
        Pick::Span { row, depth } => Line::Span(SpanLine {
            depth,
            name: name(row),
            service: spots.get(row).and_then(Spot::service),
            offset_ns: spots.get(row).and_then(Spot::offset_ns),
            duration_ns: spots.get(row).and_then(Spot::duration_ns),
            error: spots.get(row).is_some_and(Spot::is_error),
            evidence: evidence.iter().position(|&known| known == row),
        }),
        Pick::More {
            depth,
            spans,
            evidence,
            name_of,
        } => Line::More(MoreLine {
            depth,
            spans,
            evidence,
            name: name_of.and_then(name),
        }),
    });
    let ends = spots
        .iter()
        .filter_map(|spot| Some(spot.offset_ns()? + spot.duration_ns().unwrap_or(0)));
    Outline {
        lines: lines.collect(),
        spans: spots.len(),
        extent_ns: ends.max().unwrap_or(0),
    }
}

/// The outline of a kept trace with some of its spans marked, rows in tree preorder, and what `evidence` says of these.
#[cfg_attr(
    not(feature = "engine"),
    expect(dead_code, reason = "only explanations ask, and they need the engine")
)]
pub(crate) fn outline_of(
    kept: &Kept,
    marked: &[u32],
    evidence: impl Fn(&Spot<'_>) -> Evidence,
) -> (Outline, Vec<Evidence>) {
    let nodes: Vec<Node> = kept
        .spans
        .iter()
        .map(|at| node(&kept.request.span(at.range)))
        .collect();
    let mut tree = Tree::default();
    tree.build(&nodes);
    let start = kept
        .spans
        .iter()
        .map(|at| kept.request.span(at.range).start());
    let start = start.min().unwrap_or_default();
    let spots: Vec<Spot<'_>> = tree
        .order
        .iter()
        .enumerate()
        .filter_map(|(row, &position)| {
            let at = *kept.spans.get(position as usize)?;
            Some(Spot::new(&kept.request, at, row, start))
        })
        .collect();
    let rows = marked.iter().map(|&row| row as usize);
    // What the outline calls evidence are places among these.
    let marked: Vec<usize> = rows.filter(|&row| row < spots.len()).collect();
    let told = marked.iter().filter_map(|&row| spots.get(row));
    (outline(&spots, &marked), told.map(evidence).collect())
}

fn node(span: &SpanView<'_>) -> Node {
    Node {
        id: u64::from_be_bytes(span.span_id()),
        parent: span.parent_id().map_or(0, u64::from_be_bytes),
        start: span.start(),
        kind: span.kind(),
    }
}

fn shapes(spots: &[Spot<'_>], evidence: &[usize]) -> Vec<Shape> {
    let nodes: Vec<Node> = spots.iter().map(|spot| node(&spot.span)).collect();
    // Rows are in this order already: the tree is built for its parents.
    let mut tree = Tree::default();
    tree.build(&nodes);
    let names = RandomState::new();
    let mut shapes: Vec<Shape> = spots
        .iter()
        .zip(&tree.parent)
        .map(|(spot, &parent)| Shape {
            parent: usize::try_from(parent)
                .ok()
                .filter(|&parent| parent < spots.len()),
            name: names.hash_one(spot.span.name()),
            error: spot.is_error(),
            evidence: false,
        })
        .collect();
    for &row in evidence {
        if let Some(shape) = shapes.get_mut(row) {
            shape.evidence = true;
        }
    }
    shapes
}
