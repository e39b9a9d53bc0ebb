//! Which rules a trace can break at all: ten thousand rules of which a trace touches ten have to cost what ten cost.
//!
//! Triggers are atoms (a name, a prefix of names, a service, an attribute); a rule is a candidate when each of its groups
//! has an atom that the trace holds. One group of each rule, its *pivot*, is indexed from atoms to rules; the others are
//! checked once the pivot is met. The pivot is the group whose atoms the fewest rules share.
//!
//! An exact name or service is a constant of the rule set, so it is found by an array lookup with the row's symbol. A
//! prefix is looked up once per distinct symbol of a batch. An attribute is looked for in the tags of its column.

use std::ops::Range;

use foldhash::HashMap;

use crate::columns::batch::{Column, Columns, tag};
use crate::columns::projection::Projection;

const NONE: u32 = u32::MAX;

/// The index of a rule set.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Rules without triggers.
    always: Vec<u32>,
    /// By symbol of a constant: the atom "a span has this name", or `NONE`.
    names: Vec<u32>,
    services: Vec<u32>,
    prefixes: Prefixes,
    /// By atom: its column, or `NONE` where the atom is no attribute.
    columns: Vec<u32>,
    /// Atoms of attributes that are in some pivot: looked for in each trace, the others only to check a group.
    attributes: Vec<u32>,
    /// By atom: rules whose pivot holds it.
    pivots: Lists,
    /// By rule: its groups but for the pivot, as a run of `groups`.
    rules: Vec<Range<u32>>,
    groups: Lists,
}

/// A trigger, resolved against a projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Atom<'a> {
    /// The symbol of a constant.
    Name(u32),
    Service(u32),
    Prefix(&'a str),
    /// A column of the projection.
    Attribute(u32),
}

/// Lists of numbers in one allocation.
#[derive(Debug, Default)]
struct Lists {
    items: Vec<u32>,
    ends: Vec<u32>,
}

#[derive(Debug, Default)]
struct Prefixes {
    /// The lengths that prefixes have, ascending.
    lengths: Vec<usize>,
    atoms: HashMap<Box<str>, u32>,
}

/// Finds candidates; what a worker keeps between batches.
#[derive(Debug, Default)]
pub struct Finder {
    /// By atom: the trace that it was last seen in, and last looked for in vain, as numbered by `stamp`.
    present: Vec<u32>,
    absent: Vec<u32>,
    /// By rule: the trace that it was last weighed for.
    weighed: Vec<u32>,
    stamp: u32,
    /// Atoms of this trace.
    met: Vec<u32>,
    /// By symbol of the batch: its prefixes' atoms, a run of `prefix_atoms`.
    prefixes: Vec<Option<(u32, u32)>>,
    prefix_atoms: Vec<u32>,
    /// By rule: its candidate traces.
    traces: Vec<Vec<u32>>,
    touched: Vec<u32>,
    every_trace: Vec<u32>,
}

impl Candidates {
    /// Builds the index. `groups` has each rule's groups of atoms; `constants` is how many constants the projection has.
    pub(super) fn new(groups: &[Vec<Vec<Atom<'_>>>], constants: usize) -> Self {
        let mut index = Candidates {
            names: vec![NONE; constants],
            services: vec![NONE; constants],
            ..Candidates::default()
        };
        // In a few allocations whatever the number of rules: a set is built anew with every save.
        let mut keys = HashMap::default();
        let mut numbered = Lists::default();
        for group in groups.iter().flatten() {
            for &atom in group {
                numbered.items.push(index.number(atom, &mut keys));
            }
            numbered.end();
        }
        let mut sharing = vec![0u64; index.columns.len()];
        for &atom in &numbered.items {
            sharing[atom as usize] += 1;
        }
        let cost = |group: &u32| {
            let atoms = numbered.get(*group).iter();
            atoms.map(|&atom| sharing[atom as usize]).sum::<u64>()
        };
        // Pairs of an atom and a rule whose pivot holds it.
        let mut pivots = Vec::with_capacity(groups.len());
        let mut next = 0;
        for (rule, groups) in groups.iter().enumerate() {
            let rule = rule as u32;
            let first = index.groups.len();
            let own = next..next + groups.len() as u32;
            next = own.end;
            match own.clone().min_by_key(cost) {
                None => index.always.push(rule),
                Some(pivot) => {
                    let atoms = numbered.get(pivot).iter();
                    pivots.extend(atoms.map(|&atom| (atom, rule)));
                    for other in own.filter(|&group| group != pivot) {
                        index.groups.push(numbered.get(other));
                    }
                }
            }
            index.rules.push(first..index.groups.len());
        }
        pivots.sort_unstable();
        pivots.dedup();
        let mut pivots = pivots.into_iter().peekable();
        for (atom, column) in index.columns.iter().enumerate() {
            let atom = atom as u32;
            let before = index.pivots.items.len();
            while let Some((_, rule)) = pivots.next_if(|(other, _)| *other == atom) {
                index.pivots.items.push(rule);
            }
            if index.pivots.items.len() > before && *column != NONE {
                index.attributes.push(atom);
            }
            index.pivots.end();
        }
        index
    }

    /// An index that makes every rule a candidate of every trace.
    pub(super) fn everything(rules: usize) -> Self {
        Self::new(&vec![Vec::new(); rules], 0)
    }

    /// The number of an atom. `keys` has those of attributes, by column.
    fn number(&mut self, atom: Atom<'_>, keys: &mut HashMap<u32, u32>) -> u32 {
        let next = self.columns.len() as u32;
        let number = match atom {
            Atom::Name(symbol) => number_at(&mut self.names, symbol, next),
            Atom::Service(symbol) => number_at(&mut self.services, symbol, next),
            Atom::Prefix(text) => self.prefixes.add(text, next),
            Atom::Attribute(column) => *keys.entry(column).or_insert(next),
        };
        if number == next {
            self.columns.push(if let Atom::Attribute(column) = atom {
                column
            } else {
                NONE
            });
        }
        number
    }
}

impl Finder {
    /// Finds the candidate traces of every rule of the index.
    pub(super) fn find(&mut self, index: &Candidates, columns: &Columns) {
        self.start_batch(index, columns);
        let names = symbols(columns, Projection::NAME);
        let services = symbols(columns, Projection::SERVICE);
        for (trace, ends) in columns.offsets.windows(2).enumerate() {
            let rows = ends[0] as usize..ends[1] as usize;
            self.start_trace();
            self.meet_names(index, columns, &names[rows.clone()]);
            self.meet_services(index, &services[rows.clone()]);
            for &atom in &index.attributes {
                if has_attribute(columns, index.columns[atom as usize], &rows) {
                    self.meet(atom);
                }
            }
            self.weigh(index, columns, trace as u32, &rows);
        }
        self.touched.sort_unstable();
    }

    /// Rules that have a candidate trace, ascending.
    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// The candidate traces of a rule, ascending.
    pub(super) fn traces(&self, index: &Candidates, rule: u32) -> &[u32] {
        if index.always.binary_search(&rule).is_ok() {
            &self.every_trace
        } else {
            &self.traces[rule as usize]
        }
    }

    fn start_batch(&mut self, index: &Candidates, columns: &Columns) {
        for &rule in &self.touched {
            if let Some(traces) = self.traces.get_mut(rule as usize) {
                traces.clear();
            }
        }
        self.touched.clear();
        // An index of another rule set has other atoms and rules; stamps of this one stay valid, as they only grow.
        if self.present.len() != index.columns.len() || self.weighed.len() != index.rules.len() {
            self.stamp = 0;
            reset(&mut self.present, index.columns.len(), 0);
            reset(&mut self.absent, index.columns.len(), 0);
            reset(&mut self.weighed, index.rules.len(), 0);
            self.traces.resize_with(index.rules.len(), Vec::new);
        }
        if !index.prefixes.lengths.is_empty() {
            self.prefix_atoms.clear();
            reset(&mut self.prefixes, columns.symbols.len(), None);
        }
        let traces = columns.offsets.len().saturating_sub(1) as u32;
        self.every_trace.clear();
        if traces > 0 && !index.always.is_empty() {
            self.every_trace.extend(0..traces);
            self.touched.extend_from_slice(&index.always);
        }
    }

    fn start_trace(&mut self) {
        self.met.clear();
        if self.stamp == u32::MAX {
            self.stamp = 0;
            self.present.fill(0);
            self.absent.fill(0);
            self.weighed.fill(0);
        }
        self.stamp += 1;
    }

    fn meet(&mut self, atom: u32) {
        let present = &mut self.present[atom as usize];
        if *present != self.stamp {
            *present = self.stamp;
            self.met.push(atom);
        }
    }

    fn meet_names(&mut self, index: &Candidates, columns: &Columns, names: &[u32]) {
        let mut last = NONE;
        for &symbol in names {
            if symbol == last || symbol == NONE {
                continue;
            }
            last = symbol;
            if let Some(&atom) = index.names.get(symbol as usize)
                && atom != NONE
            {
                self.meet(atom);
            }
            if !index.prefixes.lengths.is_empty() {
                let (start, end) = self.prefixes_of(index, columns, symbol);
                for at in start..end {
                    self.meet(self.prefix_atoms[at as usize]);
                }
            }
        }
    }

    fn meet_services(&mut self, index: &Candidates, services: &[u32]) {
        let mut last = NONE;
        for &symbol in services {
            if symbol == last {
                continue;
            }
            last = symbol;
            if let Some(&atom) = index.services.get(symbol as usize)
                && atom != NONE
            {
                self.meet(atom);
            }
        }
    }

    /// The run of `prefix_atoms` for a symbol; its text is looked at when it is met first.
    fn prefixes_of(&mut self, index: &Candidates, columns: &Columns, symbol: u32) -> (u32, u32) {
        if let Some(run) = self.prefixes[symbol as usize] {
            return run;
        }
        let start = self.prefix_atoms.len() as u32;
        index
            .prefixes
            .find(columns.symbols.text(symbol), &mut self.prefix_atoms);
        let run = (start, self.prefix_atoms.len() as u32);
        self.prefixes[symbol as usize] = Some(run);
        run
    }

    /// Makes the trace a candidate of the rules whose groups are all met.
    fn weigh(&mut self, index: &Candidates, columns: &Columns, trace: u32, rows: &Range<usize>) {
        for at in 0..self.met.len() {
            for &rule in index.pivots.get(self.met[at]) {
                let weighed = &mut self.weighed[rule as usize];
                if *weighed == self.stamp {
                    continue;
                }
                *weighed = self.stamp;
                let groups = index.rules[rule as usize].clone();
                if groups.into_iter().all(|group| {
                    index
                        .groups
                        .get(group)
                        .iter()
                        .any(|&atom| self.holds(index, columns, atom, rows))
                }) {
                    let traces = &mut self.traces[rule as usize];
                    if traces.is_empty() {
                        self.touched.push(rule);
                    }
                    traces.push(trace);
                }
            }
        }
    }

    /// Whether the trace holds an atom. Attributes outside of pivots are looked for here, once a trace.
    fn holds(
        &mut self,
        index: &Candidates,
        columns: &Columns,
        atom: u32,
        rows: &Range<usize>,
    ) -> bool {
        let at = atom as usize;
        if self.present[at] == self.stamp {
            return true;
        }
        let column = index.columns[at];
        if column == NONE || self.absent[at] == self.stamp {
            return false;
        }
        let found = has_attribute(columns, column, rows);
        if found {
            self.present[at] = self.stamp;
        } else {
            self.absent[at] = self.stamp;
        }
        found
    }
}

impl Lists {
    fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    fn push(&mut self, items: &[u32]) {
        self.items.extend_from_slice(items);
        self.end();
    }

    /// What was put in since the last end is a list.
    fn end(&mut self) {
        self.ends.push(self.items.len() as u32);
    }

    fn get(&self, list: u32) -> &[u32] {
        let at = list as usize;
        let start = if at == 0 {
            0
        } else {
            self.ends[at - 1] as usize
        };
        &self.items[start..self.ends[at] as usize]
    }
}

impl Prefixes {
    fn add(&mut self, text: &str, next: u32) -> u32 {
        if let Err(at) = self.lengths.binary_search(&text.len()) {
            self.lengths.insert(at, text.len());
        }
        *self.atoms.entry(text.into()).or_insert(next)
    }

    fn find(&self, text: &str, atoms: &mut Vec<u32>) {
        for &length in &self.lengths {
            if length > text.len() {
                return;
            }
            if let Some(prefix) = text.get(..length)
                && let Some(&atom) = self.atoms.get(prefix)
            {
                atoms.push(atom);
            }
        }
    }
}

fn number_at(atoms: &mut [u32], symbol: u32, next: u32) -> u32 {
    let atom = &mut atoms[symbol as usize];
    if *atom == NONE {
        *atom = next;
    }
    *atom
}

fn reset<T: Clone>(items: &mut Vec<T>, len: usize, value: T) {
    items.clear();
    items.resize(len, value);
}

fn symbols(columns: &Columns, column: usize) -> &[u32] {
    match columns.columns.get(column) {
        Some(Column::W32(symbols)) => symbols,
        other => unreachable!("names and services are symbols, not {other:?}"),
    }
}

fn has_attribute(columns: &Columns, column: u32, rows: &Range<usize>) -> bool {
    match columns.columns.get(column as usize) {
        Some(Column::Attribute { tags, .. }) => {
            tags[rows.clone()].iter().any(|&tag| tag != tag::MISSING)
        }
        other => unreachable!("an attribute has tags, not {other:?}"),
    }
}

#[cfg(test)]
mod tests;
