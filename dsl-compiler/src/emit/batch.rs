//! The batch as emitted code sees it: where each column, constant and text is, worked out once a call.

use std::collections::BTreeSet;

use super::code::Code;
use super::memory::load;
use super::module::{Func, Global, Module};
use super::{Emitter, I32};
use crate::plan::{ColumnSource, Fact, Literal, Plan, Predicate, Test};
use crate::types::tree::Table;

/// Columns or constants that one function binds, so that no function grows without bound.
const AT_ONCE: usize = 256;

/// Where things are; all are addresses but for the constants' symbols.
pub(super) struct Batch {
    /// Number of spans.
    pub(super) spans: Global,
    /// The rows of each column; of an attribute, its values.
    pub(super) values: Vec<Global>,
    /// The tags of each attribute.
    pub(super) tags: Vec<Option<Global>>,
    /// The symbols of the constants.
    pub(super) constants: Global,
    /// The symbol of each constant that a test compares with.
    pub(super) symbols: Vec<Option<Global>>,
    /// The offsets of the symbols' text.
    pub(super) text_offsets: Global,
    /// The text.
    pub(super) text: Global,
    /// The first address behind what was bound so far, of each list.
    pub(super) at32: Global,
    pub(super) at64: Global,
    pub(super) at8: Global,
}

/// A constant that no row holds is unlike every symbol, also the one of missing text.
const IN_NO_ROW: i32 = -2;

impl Batch {
    /// `predicates` are tests that are asked besides those of the plan's sets.
    pub(super) fn new(plan: &Plan, predicates: &[Predicate], module: &mut Module) -> Batch {
        let mut compared = BTreeSet::new();
        let asked = predicates.iter().map(|predicate| &predicate.test);
        for test in plan.sets.iter().map(|set| &set.test).chain(asked) {
            symbols(test, &mut compared);
        }
        let constants = &plan.manifest.constants;
        let columns = &plan.manifest.columns;
        Batch {
            spans: module.global("spans"),
            constants: module.global("constants"),
            symbols: constants
                .iter()
                .enumerate()
                .map(|(index, text)| {
                    compared
                        .contains(&(index as u32))
                        .then(|| module.global(&format!("symbol of {text:?}")))
                })
                .collect(),
            values: columns
                .iter()
                .map(|column| module.global(&label(column.table, &column.source)))
                .collect(),
            tags: columns
                .iter()
                .map(|column| match &column.source {
                    ColumnSource::Fact(_) => None,
                    source => {
                        Some(module.global(&format!("types of {}", label(column.table, source))))
                    }
                })
                .collect(),
            text_offsets: module.global("text offsets"),
            text: module.global("text"),
            at32: module.global("end of w32"),
            at64: module.global("end of w64"),
            at8: module.global("end of w8"),
        }
    }
}

impl Emitter<'_> {
    /// Whether the batch comes with text.
    pub(super) fn reads_text(&self) -> bool {
        self.plan.manifest.columns.iter().any(|column| column.text)
    }

    /// Functions `()` that read the constants' symbols.
    pub(super) fn bind_constants(&mut self) -> Vec<Func> {
        let compared: Vec<(u32, Global)> = (0u32..)
            .zip(&self.batch.symbols)
            .filter_map(|(index, global)| global.map(|global| (index, global)))
            .collect();
        compared
            .chunks(AT_ONCE)
            .map(|chunk| {
                let function = self.module.declare("bind constants", &[], &[]);
                let mut code = Code::caching(0);
                let symbol = code.local(I32);
                for (index, global) in chunk {
                    code.global(self.batch.constants);
                    load(&mut code, 4 * index);
                    code.op()
                        .local_set(symbol)
                        .local_get(symbol)
                        .i32_const(IN_NO_ROW)
                        .local_get(symbol)
                        .i32_const(-1)
                        .i32_ne()
                        .select();
                    code.set_global(*global);
                }
                self.module.define(function, code);
                function
            })
            .collect()
    }

    /// Functions `(spans, events, links)` that work out where the columns are.
    pub(super) fn bind_columns(&mut self) -> Vec<Func> {
        let columns = &self.plan.manifest.columns;
        let indices: Vec<usize> = (0..columns.len()).collect();
        indices
            .chunks(AT_ONCE)
            .map(|chunk| {
                let function = self.module.declare("bind columns", &[I32, I32, I32], &[]);
                let mut code = Code::new(3);
                for &index in chunk {
                    let rows = match columns[index].table {
                        Table::Spans => 0,
                        Table::Events => 1,
                        Table::Links => 2,
                    };
                    self.bind_column(&mut code, index, rows);
                }
                self.module.define(function, code);
                function
            })
            .collect()
    }

    fn bind_column(&mut self, code: &mut Code, index: usize, rows: u32) {
        let batch = &self.batch;
        let value = batch.values[index];
        let (list, shift) = match &self.plan.manifest.columns[index].source {
            ColumnSource::Attribute(..) => (batch.at64, 3),
            ColumnSource::Fact(
                Fact::Start | Fact::End | Fact::Duration | Fact::SelfTime | Fact::Time,
            ) => (batch.at64, 3),
            ColumnSource::Fact(Fact::Kind | Fact::Status | Fact::Flags) => (batch.at8, 0),
            ColumnSource::Fact(_) => (batch.at32, 2),
        };
        take(code, list, value, rows, shift);
        if let ColumnSource::Fact(Fact::Events | Fact::Links) =
            &self.plan.manifest.columns[index].source
        {
            code.global(list).i32(4);
            code.op().i32_add();
            code.set_global(list);
        }
        if let Some(tags) = batch.tags[index] {
            take(code, batch.at8, tags, rows, 0);
        }
    }
}

/// Gives a column the next rows of a list.
fn take(code: &mut Code, list: Global, column: Global, rows: u32, shift: i32) {
    code.op()
        .global_get(list.0)
        .global_set(column.0)
        .global_get(list.0)
        .local_get(rows)
        .i32_const(shift)
        .i32_shl()
        .i32_add()
        .global_set(list.0);
}

/// The constants that a test compares with.
fn symbols(test: &Test, into: &mut BTreeSet<u32>) {
    match test {
        Test::Not(inner) => symbols(inner, into),
        Test::And(parts) | Test::Or(parts) => parts.iter().for_each(|part| symbols(part, into)),
        Test::Items { test, .. } => symbols(test, into),
        Test::Compare(_, _, Literal::Symbol(symbol)) => {
            into.insert(*symbol);
        }
        _ => {}
    }
}

fn label(table: Table, source: &ColumnSource) -> String {
    let table = match table {
        Table::Spans => "",
        Table::Events => "event ",
        Table::Links => "link ",
    };
    match source {
        ColumnSource::Fact(fact) => format!("{table}{fact:?}"),
        ColumnSource::Attribute(place, key) => format!("{table}{place:?} {key:?}"),
    }
}
