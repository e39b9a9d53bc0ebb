//! What is settled when a trace completes: its spans without duplicates, in an order that depends on them alone, and
//! which parents are missing.

use std::cmp::Ordering;

use super::held::HeldRequests;
use super::ids::{Ids, Parent};
use super::open::{DROPPED, MARKS};
use super::trace::SpanRef;
use crate::otlp::touch::{AT_ONCE, touch};

/// Three ids, a name and a kind.
const LEAD_BYTES: usize = 80;

/// Buffers, reused from trace to trace.
#[derive(Debug, Default)]
pub(super) struct Completer {
    keys: Vec<Key>,
    parents: Vec<Parent>,
    /// The duplicates that the last call found.
    pub(super) duplicates: Vec<SpanRef>,
}

/// What completion says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) missing_parents: u32,
    pub(super) dropped: bool,
    pub(super) root: u32,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    ids: Ids,
    span: SpanRef,
}

impl Completer {
    /// Removes duplicates from `spans`, puts the others in order and takes the marks off their sections.
    pub(super) fn finish(&mut self, requests: &HeldRequests, spans: &mut Vec<SpanRef>) -> Facts {
        self.deduplicate(requests, spans);
        let mut dropped = false;
        for span in spans.iter_mut() {
            dropped |= span.section & DROPPED != 0;
            span.section &= !MARKS;
        }
        self.find_missing_parents();
        Facts {
            missing_parents: self.parents.len() as u32,
            dropped,
            root: self.root(),
        }
    }

    /// The first span without a parent, else the first whose parent is missing, else (a cycle) the first.
    fn root(&self) -> u32 {
        let without = self.keys.iter().position(|key| key.ids.parent.is_none());
        let missing = |parent: &Parent| self.parents.binary_search(parent).is_ok();
        let root = without.or_else(|| {
            let mut keys = self.keys.iter();
            keys.position(|key| key.ids.parent.as_ref().is_some_and(missing))
        });
        root.unwrap_or_default() as u32
    }

    /// Removes duplicates from `spans`, and puts the others in order.
    pub(super) fn deduplicate(&mut self, requests: &HeldRequests, spans: &mut Vec<SpanRef>) {
        self.read(requests, spans);
        spans.clear();
        spans.extend(self.keys.iter().map(|key| key.span));
    }

    /// Whether the spans above all others have their parent in another process: exactly one parent is missing, and
    /// everything that points to it came from elsewhere. A span of the parent's own process would mean that the parent is
    /// still to come. For traces that have no span without a parent.
    pub(super) fn has_remote_root(&mut self, requests: &HeldRequests, spans: &[SpanRef]) -> bool {
        self.read(requests, spans);
        self.find_missing_parents();
        let [missing] = self.parents[..] else {
            return false;
        };
        self.keys
            .iter()
            .all(|key| key.ids.remote || key.ids.parent != Some(missing))
    }

    /// The ids and kinds of the remaining spans, in order.
    pub(super) fn identities(&self) -> impl Iterator<Item = (u64, i32)> {
        self.keys.iter().map(|key| (key.ids.span, key.ids.kind))
    }

    /// Fills `keys` with the different spans in order, and `duplicates` with the others.
    fn read(&mut self, requests: &HeldRequests, spans: &[SpanRef]) {
        self.keys.clear();
        for spans in spans.chunks(AT_ONCE) {
            touch(spans.iter().map(|&span| lead(requests.span(span))));
            self.keys.extend(spans.iter().map(|&span| Key {
                ids: requests.ids(span),
                span,
            }));
        }
        self.keys.sort_unstable_by(|a, b| {
            let by_id = a
                .ids
                .span
                .cmp(&b.ids.span)
                .then(a.ids.kind.cmp(&b.ids.kind));
            by_id.then_with(|| by_bytes(requests, a.span, b.span))
        });
        self.duplicates.clear();
        let duplicates = &mut self.duplicates;
        self.keys.dedup_by(|later, kept| {
            let same = later.ids.span == kept.ids.span && later.ids.kind == kept.ids.kind;
            if same {
                duplicates.push(later.span);
            }
            same
        });
    }

    /// Fills `parents` with those that no span is, each once.
    fn find_missing_parents(&mut self) {
        let keys = &self.keys;
        let is_missing = |parent: &Parent| {
            !parent.usable
                || keys
                    .binary_search_by(|key| key.ids.span.cmp(&parent.id))
                    .is_err()
        };
        self.parents.clear();
        self.parents.extend(
            keys.iter()
                .filter_map(|key| key.ids.parent)
                .filter(is_missing),
        );
        self.parents.sort_unstable();
        self.parents.dedup();
    }
}

/// The part of a span in which its ids most likely lie.
fn lead(span: &[u8]) -> &[u8] {
    span.get(..LEAD_BYTES).unwrap_or(span)
}

/// The order of two spans with one id and kind: by their bytes, then by those of their resource and scope.
pub(super) fn by_bytes(requests: &HeldRequests, a: SpanRef, b: SpanRef) -> Ordering {
    let bytes = requests.span(a).cmp(requests.span(b));
    bytes.then_with(|| requests.surroundings(a).cmp(requests.surroundings(b)))
}
