//! The columns that every span has: appended for one trace, from the facts read and the tree.

use super::batch::{Column, NEVER, NONE};
use super::projection::Intrinsic;
use super::read::Spans;
use super::sections::Sections;
use super::tree::Tree;

/// A trace whose spans are read and ordered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered<'a> {
    pub(super) spans: &'a Spans,
    pub(super) sections: &'a Sections,
    pub(super) tree: &'a Tree,
    /// The batch's row of the trace's first span.
    pub(super) base: u32,
    /// First start, in Unix nanoseconds.
    pub(super) start: u64,
    /// The trace id's symbol.
    pub(super) trace_id: u32,
}

/// Appends the trace's rows to the column of `intrinsic`. `events` and `links` are not of this kind: see
/// [`items`](super::items).
pub(super) fn append(intrinsic: Intrinsic, column: &mut Column, trace: Ordered<'_>) {
    let Ordered {
        spans,
        sections,
        tree,
        base,
        start,
        trace_id,
    } = trace;
    let order = tree.order.iter().map(|&position| position as usize);
    let nodes = order
        .clone()
        .filter_map(|position| spans.nodes.get(position));
    let facts = order
        .clone()
        .filter_map(|position| spans.facts.get(position));
    let both = nodes.clone().zip(facts.clone());
    let rebase = |&row: &u32| if row == NONE { NONE } else { row + base };
    match (column, intrinsic) {
        (Column::W32(out), Intrinsic::Name) => out.extend(facts.map(|facts| facts.name)),
        (Column::W32(out), Intrinsic::Service) => {
            out.extend(facts.map(|facts| sections.service(facts.section)))
        }
        (Column::W32(out), Intrinsic::StatusMessage) => {
            out.extend(facts.map(|facts| facts.status_message))
        }
        (Column::W32(out), Intrinsic::TraceId) => out.extend(facts.map(|_| trace_id)),
        (Column::W32(out), Intrinsic::SpanId) => out.extend(facts.map(|facts| facts.span_id)),
        (Column::W32(out), Intrinsic::ParentId) => out.extend(facts.map(|facts| facts.parent_id)),
        (Column::W32(out), Intrinsic::Parent) => out.extend(tree.parent.iter().map(rebase)),
        (Column::W32(out), Intrinsic::SubtreeEnd) => {
            out.extend(tree.subtree_end.iter().map(rebase))
        }
        (Column::W32(out), Intrinsic::Depth) => out.extend(&tree.depth),
        (Column::W32(out), Intrinsic::ChildCount) => out.extend(&tree.child_count),
        (Column::W64(out), Intrinsic::Start) => {
            out.extend(nodes.map(|node| offset(node.start, start)))
        }
        (Column::W64(out), Intrinsic::End) => out.extend(facts.map(|facts| time(facts.end, start))),
        (Column::W64(out), Intrinsic::Duration) => {
            out.extend(both.map(|(node, facts)| clamped(duration(node.start, facts.end))));
        }
        (Column::W64(out), Intrinsic::SelfTime) => append_self_times(out, trace),
        (Column::W8(out), Intrinsic::Kind) => out.extend(nodes.map(|node| byte(node.kind))),
        (Column::W8(out), Intrinsic::Status) => out.extend(facts.map(|facts| byte(facts.status))),
        (Column::W8(out), Intrinsic::Flags) => {
            let flags = |(is_root, &children): (bool, &u32)| {
                u8::from(is_root) | u8::from(children == 0) << 1
            };
            out.extend(
                facts
                    .map(|facts| facts.is_root)
                    .zip(&tree.child_count)
                    .map(flags),
            );
        }
        // A fact that spans have not.
        (column, _) => column.resize(base as usize + tree.order.len()),
    }
}

/// A time that may be unset, as an offset from `start`: missing where it is 0.
pub(super) fn time(time: u64, start: u64) -> i64 {
    if time == 0 {
        NEVER
    } else {
        offset(time, start)
    }
}

/// An offset is never negative, or it could be taken for missing: what lies before the first start is at it.
fn offset(time: u64, start: u64) -> i64 {
    clamped(Some(time.saturating_sub(start)))
}

fn clamped(ns: Option<u64>) -> i64 {
    ns.map_or(NEVER, |ns| i64::try_from(ns).unwrap_or(i64::MAX))
}

fn duration(start: u64, end: u64) -> Option<u64> {
    if end == 0 {
        None
    } else {
        end.checked_sub(start)
    }
}

fn byte(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// Duration less the union of the children's times within it. Children come by start, so that one sweep per parent
/// does, and all parents are swept at once.
fn append_self_times(out: &mut Vec<i64>, trace: Ordered<'_>) {
    /// A span with a duration.
    struct Swept {
        end: u64,
        /// Up to where the children so far cover it.
        covered: u64,
        left: u64,
    }
    let mut swept: Vec<Option<Swept>> = Vec::with_capacity(trace.tree.order.len());
    for (&position, &parent) in trace.tree.order.iter().zip(&trace.tree.parent) {
        let position = position as usize;
        let own = trace
            .spans
            .nodes
            .get(position)
            .zip(trace.spans.facts.get(position))
            .and_then(|(node, facts)| {
                let left = duration(node.start, facts.end)?;
                Some(Swept {
                    end: facts.end,
                    covered: node.start,
                    left,
                })
            });
        if let (Some(own), Some(Some(parent))) = (&own, swept.get_mut(parent as usize)) {
            let (start, end) = (own.covered.max(parent.covered), own.end.min(parent.end));
            if start < end {
                parent.left -= end - start;
                parent.covered = end;
            }
        }
        swept.push(own);
    }
    out.extend(
        swept
            .iter()
            .map(|span| clamped(span.as_ref().map(|span| span.left))),
    );
}
