//! A rule set: an immutable snapshot of rules, what has to be read for them, and when each has to be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::candidates::{Atom, Candidates};
use super::counters::Counts;
use super::manifest::Trigger;
use super::rule::Rule;
use crate::columns::projection::{ColumnKey, Intrinsic, Projection, ProjectionBuilder, Table};

/// Rules as they are at one moment. Each batch is judged by exactly one set.
#[derive(Debug)]
pub struct RuleSet {
    /// Grows with every published set.
    pub generation: u64,
    pub rules: Vec<Arc<Rule>>,
    /// In the order of `rules`.
    pub bindings: Vec<Binding>,
    /// What to read of a batch.
    pub projection: Projection,
    pub candidates: Candidates,
    /// Unlike any other set's in this process.
    pub(super) key: u64,
    pub(super) offsets: OffsetColumns,
    /// Traces that were judged, by this set and those that it succeeds.
    judged: Arc<AtomicU64>,
}

/// A rule's manifest, resolved against the projection of its set.
#[derive(Debug)]
pub struct Binding {
    /// For each of the manifest's columns, the projection's.
    pub columns: Vec<u32>,
    /// For each of the manifest's constants, its symbol in every batch.
    pub constants: Vec<u32>,
}

/// Columns that say which rows of a table belong to a span.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OffsetColumns {
    pub(super) events: Option<usize>,
    pub(super) links: Option<usize>,
}

impl RuleSet {
    pub fn new(generation: u64, rules: Vec<Arc<Rule>>) -> Self {
        Self::build(generation, rules, true)
    }

    /// As [`RuleSet::new`], the set that succeeds another: what all rules were judged by is counted on.
    pub fn after(before: &RuleSet, rules: Vec<Arc<Rule>>) -> Self {
        Self {
            judged: before.judged.clone(),
            ..Self::new(before.generation + 1, rules)
        }
    }

    /// Its rules are in force from now on: what they are spared counts from here, unless they were before.
    pub fn enters(&self) {
        let judged = self.judged();
        for rule in &self.rules {
            rule.counters().came(judged);
        }
    }

    /// Traces that were judged, by this set and those that it succeeds.
    pub fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    pub(super) fn judges(&self, traces: usize) {
        self.judged.fetch_add(traces as u64, Ordering::Relaxed);
    }

    /// What a rule of it did so far, and what it was spared.
    pub fn counts(&self, rule: &Rule) -> Counts {
        rule.counters().read_of(self.judged())
    }

    /// A set without an index, whose rules see every trace. It finds what [`RuleSet::new`]'s finds, and takes longer:
    /// that is the index's test.
    pub fn without_index(generation: u64, rules: Vec<Arc<Rule>>) -> Self {
        Self::build(generation, rules, false)
    }

    fn build(generation: u64, rules: Vec<Arc<Rule>>, indexed: bool) -> Self {
        let mut builder = ProjectionBuilder::new();
        let mut bindings = Vec::with_capacity(rules.len());
        let mut groups = Vec::with_capacity(rules.len());
        for rule in &rules {
            let keys = rule.manifest.columns.iter().map(|column| &column.key);
            let (columns, constants) = builder.add(keys, &rule.manifest.constants);
            bindings.push(Binding { columns, constants });
            if indexed {
                groups.push(resolve(&mut builder, &rule.manifest.triggers));
            }
        }
        let projection = builder.build();
        let candidates = if indexed {
            Candidates::new(&groups, projection.constants.len())
        } else {
            Candidates::everything(rules.len())
        };
        let offsets = OffsetColumns {
            events: position(&projection, Intrinsic::Events),
            links: position(&projection, Intrinsic::Links),
        };
        Self {
            generation,
            bindings,
            candidates,
            key: next_key(),
            offsets,
            judged: Arc::default(),
            projection,
            rules,
        }
    }
}

/// Triggers to atoms; what the host has to read for them is added to the projection.
fn resolve<'a>(
    builder: &mut ProjectionBuilder,
    triggers: &'a [Vec<Trigger>],
) -> Vec<Vec<Atom<'a>>> {
    let mut atom = |trigger: &'a Trigger| match trigger {
        Trigger::Name(text) => Atom::Name(constant(builder, text)),
        Trigger::Service(text) => Atom::Service(constant(builder, text)),
        Trigger::NamePrefix(text) => Atom::Prefix(text),
        Trigger::Attribute { place, key } => Atom::Attribute(column(
            builder,
            &ColumnKey::attribute(Table::Spans, *place, key),
        )),
    };
    triggers
        .iter()
        .map(|group| group.iter().map(&mut atom).collect())
        .collect()
}

fn constant(builder: &mut ProjectionBuilder, text: &str) -> u32 {
    let (_, symbols) = builder.add(&[], &[text]);
    symbols[0]
}

fn column(builder: &mut ProjectionBuilder, key: &ColumnKey) -> u32 {
    let (columns, _) = builder.add([key], &[""; 0]);
    columns[0]
}

fn position(projection: &Projection, intrinsic: Intrinsic) -> Option<usize> {
    let key = ColumnKey::intrinsic(Table::Spans, intrinsic);
    projection.columns.iter().position(|column| *column == key)
}

fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
