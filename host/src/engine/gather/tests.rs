//! What a call's lists say, read as `wit/rule.wit` says, is what the columns hold of its traces.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::columns::projection::{ColumnKey, Intrinsic, Place, ProjectionBuilder, Table};
use crate::columns::symbols::Constants;
use crate::engine::manifest::{Clause, ClauseKind, Compared, Manifest, RuleColumn, Severity};

const TEXTS: [&str; 6] = [
    "",
    "a",
    "bb",
    "ccc",
    "constant",
    "a longer text that takes some room",
];

/// A span as it is expected to arrive.
#[derive(Clone, Debug)]
struct Row {
    name: Option<usize>,
    /// A row before it in its trace.
    parent: Option<usize>,
    duration: i64,
    kind: u8,
    attribute: Cell,
    /// Names of its events.
    events: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Cell {
    Missing,
    Int(i64),
    Text(usize),
}

fn row() -> impl Strategy<Value = Row> {
    let text = 0..TEXTS.len();
    let cell = prop_oneof![
        Just(Cell::Missing),
        any::<i64>().prop_map(Cell::Int),
        text.clone().prop_map(Cell::Text)
    ];
    let events = prop::collection::vec(text.clone(), 0..3);
    (
        prop::option::of(text),
        prop::option::of(0..8usize),
        -1i64..99,
        0u8..6,
        cell,
        events,
    )
        .prop_map(|(name, parent, duration, kind, attribute, events)| Row {
            name,
            parent,
            duration,
            kind,
            attribute,
            events,
        })
}

/// The columns that the test's rule reads, in its manifest's order.
fn rule_columns(text: u8) -> Vec<RuleColumn> {
    let keys = [
        ColumnKey::attribute(Table::Spans, Place::Any, "key"),
        ColumnKey::intrinsic(Table::Spans, Intrinsic::Parent),
        ColumnKey::intrinsic(Table::Events, Intrinsic::Name),
        ColumnKey::intrinsic(Table::Spans, Intrinsic::Kind),
        ColumnKey::intrinsic(Table::Spans, Intrinsic::Events),
        ColumnKey::intrinsic(Table::Spans, Intrinsic::Duration),
        ColumnKey::intrinsic(Table::Spans, Intrinsic::Name),
    ];
    let asks = [
        text & 1 != 0,
        false,
        text & 2 != 0,
        false,
        false,
        false,
        text & 4 != 0,
    ];
    keys.into_iter()
        .zip(asks)
        .map(|(key, text)| RuleColumn {
            key,
            text,
            compared: Compared::default(),
        })
        .collect()
}

fn manifest(columns: Vec<RuleColumn>) -> Manifest {
    Manifest {
        id: "rule".into(),
        description: String::new(),
        severity: Severity::Low,
        tags: Vec::new(),
        message: String::new(),
        clauses: vec![Clause {
            kind: ClauseKind::Detect,
            text: String::new(),
            stable: true,
        }],
        columns,
        constants: vec!["constant".into(), "nowhere".into()],
        triggers: Vec::new(),
    }
}

/// A batch of all traces, as the projection of columns would make it.
fn project(keys: &[ColumnKey], constants: &Arc<Constants>, traces: &[Vec<Row>]) -> Columns {
    let mut columns = Columns {
        offsets: vec![0],
        ..Columns::default()
    };
    columns.symbols.reset(constants);
    let mut symbol = |text: usize| {
        columns
            .symbols
            .intern(TEXTS[text].as_bytes())
            .expect("it is UTF-8")
    };
    let rows: Vec<&Row> = traces.iter().flatten().collect();
    let arrays = keys.iter().map(|key| match (&key.table, &key.source) {
        (Table::Spans, crate::columns::projection::Source::Attribute { .. }) => Column::Attribute {
            tags: rows
                .iter()
                .map(|row| match row.attribute {
                    Cell::Missing => tag::MISSING,
                    Cell::Int(_) => tag::INT,
                    Cell::Text(_) => tag::TEXT,
                })
                .collect(),
            values: rows
                .iter()
                .map(|row| match row.attribute {
                    Cell::Missing => 0,
                    Cell::Int(value) => value as u64,
                    Cell::Text(text) => u64::from(symbol(text)),
                })
                .collect(),
        },
        (Table::Events, _) => Column::W32(
            rows.iter()
                .flat_map(|row| &row.events)
                .map(|&text| symbol(text))
                .collect(),
        ),
        (_, crate::columns::projection::Source::Intrinsic(intrinsic)) => match intrinsic {
            Intrinsic::Parent => {
                let mut parents = Vec::new();
                for trace in traces {
                    let first = parents.len();
                    parents.extend(
                        trace
                            .iter()
                            .enumerate()
                            .map(|(at, row)| parent(row, at, first)),
                    );
                }
                Column::W32(parents)
            }
            Intrinsic::Events => {
                let mut end = 0;
                let ends = rows.iter().map(|row| {
                    end += row.events.len() as u32;
                    end
                });
                Column::W32(std::iter::once(0).chain(ends).collect())
            }
            Intrinsic::Kind => Column::W8(rows.iter().map(|row| row.kind).collect()),
            Intrinsic::Duration => Column::W64(rows.iter().map(|row| row.duration).collect()),
            Intrinsic::Name => Column::W32(
                rows.iter()
                    .map(|row| row.name.map_or(NONE, &mut symbol))
                    .collect(),
            ),
            _ => Column::W32(vec![NONE; rows.len()]),
        },
        (table, source) => panic!("{table:?} {source:?}"),
    });
    let arrays = arrays.collect();
    columns.columns = arrays;
    for trace in traces {
        let end = columns.offsets[columns.offsets.len() - 1] + trace.len() as u32;
        columns.offsets.push(end);
    }
    columns
}

fn parent(row: &Row, at: usize, first: usize) -> u32 {
    match row.parent {
        Some(parent) if parent < at => (first + parent) as u32,
        _ => NONE,
    }
}

/// Which text each symbol of a call stands for: one each way.
#[derive(Default)]
struct Names {
    texts: HashMap<u32, usize>,
    symbols: HashMap<usize, u32>,
}

impl Names {
    fn agree(&mut self, symbol: u32, text: usize) {
        assert_eq!(
            *self.texts.entry(symbol).or_insert(text),
            text,
            "symbol {symbol} is two texts"
        );
        assert_eq!(
            *self.symbols.entry(text).or_insert(symbol),
            symbol,
            "{:?} has two symbols",
            TEXTS[text]
        );
    }
}

/// Reads a call's lists and compares them with the traces that it is of.
fn compare(gather: &Gather, traces: &[&Vec<Row>], text: u8) {
    let (mut w32, mut w64, mut w8) = (&gather.w32[..], &gather.w64[..], &gather.w8[..]);
    fn next<'a, T>(list: &mut &'a [T], count: usize) -> &'a [T] {
        let (first, rest) = list.split_at(count);
        *list = rest;
        first
    }
    let rows: Vec<&Row> = traces.iter().copied().flatten().collect();
    let events: Vec<usize> = rows.iter().flat_map(|row| row.events.clone()).collect();
    assert_eq!(
        (gather.traces(), gather.spans as usize),
        (traces.len(), rows.len())
    );
    assert_eq!((gather.events as usize, gather.links), (events.len(), 0));
    let offsets = next(&mut w32, traces.len() + 1);
    let constants = next(&mut w32, 2);
    let mut names = Names::default();
    let mut with_text = Vec::new();

    let (tags, values) = (next(&mut w8, rows.len()), next(&mut w64, rows.len()));
    for ((row, &tag), &value) in rows.iter().zip(tags).zip(values) {
        match row.attribute {
            Cell::Missing => assert_eq!((tag, value), (tag::MISSING, 0)),
            Cell::Int(expected) => assert_eq!((tag, value as i64), (tag::INT, expected)),
            Cell::Text(expected) => {
                assert_eq!(tag, tag::TEXT);
                names.agree(value as u32, expected);
                with_text.extend((text & 1 != 0).then_some(expected));
            }
        }
    }
    let parents = next(&mut w32, rows.len());
    for (trace, range) in traces.iter().zip(offsets.windows(2)) {
        let first = range[0] as usize;
        assert_eq!(range[1] as usize - first, trace.len());
        for (at, row) in trace.iter().enumerate() {
            assert_eq!(parents[first + at], parent(row, at, first));
        }
    }
    for (&symbol, &expected) in next(&mut w32, events.len()).iter().zip(&events) {
        names.agree(symbol, expected);
        with_text.extend((text & 2 != 0).then_some(expected));
    }
    assert_eq!(
        next(&mut w8, rows.len()),
        rows.iter().map(|row| row.kind).collect::<Vec<_>>()
    );
    let ends = next(&mut w32, rows.len() + 1);
    for (row, range) in rows.iter().zip(ends.windows(2)) {
        assert_eq!(events[range[0] as usize..range[1] as usize], row.events);
    }
    let durations: Vec<i64> = next(&mut w64, rows.len())
        .iter()
        .map(|&value| value as i64)
        .collect();
    assert_eq!(
        durations,
        rows.iter().map(|row| row.duration).collect::<Vec<_>>()
    );
    for (row, &symbol) in rows.iter().zip(next(&mut w32, rows.len())) {
        match row.name {
            None => assert_eq!(symbol, NONE),
            Some(expected) => {
                names.agree(symbol, expected);
                with_text.extend((text & 4 != 0).then_some(expected));
            }
        }
    }

    let constant = TEXTS
        .iter()
        .position(|&text| text == "constant")
        .expect("it is one of them");
    assert_eq!(
        constants,
        [names.symbols.get(&constant).copied().unwrap_or(NONE), NONE]
    );
    assert!(names.texts.keys().all(|&symbol| symbol < gather.symbols));
    if text == 0 {
        assert!(w8.is_empty());
    } else {
        let ends = next(&mut w32, gather.symbols as usize + 1);
        for (&symbol, &text) in &names.texts {
            let bytes = &w8[ends[symbol as usize] as usize..ends[symbol as usize + 1] as usize];
            let expected = if with_text.contains(&text) {
                TEXTS[text]
            } else {
                ""
            };
            assert_eq!(std::str::from_utf8(bytes), Ok(expected));
        }
        assert_eq!(w8.len(), ends[gather.symbols as usize] as usize);
        assert_eq!(
            names.texts.len(),
            gather.symbols as usize,
            "only symbols that occur"
        );
    }
    assert!(w32.is_empty() && w64.is_empty());
}

proptest! {
    #[test]
    fn calls_hold_what_the_columns_hold(
        traces in prop::collection::vec(prop::collection::vec(row(), 1..8), 1..20),
        chosen in prop::collection::vec(any::<bool>(), 20),
        text in 0u8..8,
        call_bytes in 64usize..2_000,
    ) {
        let manifest = manifest(rule_columns(text));
        let layout = Layout::new(&manifest);
        let mut builder = ProjectionBuilder::new();
        // Others' constants come first, so that the rule's have other numbers in the set than in its manifest.
        builder.add(&[], &["others", "bb"]);
        let keys: Vec<ColumnKey> = manifest.columns.iter().map(|column| column.key.clone()).collect();
        let (columns, constants) = builder.add(&keys, &manifest.constants);
        let binding = Binding { columns, constants };
        let projection = builder.build();
        let events = projection.columns.iter().position(|key| *key == keys[4]);
        let columns = project(&projection.columns, &projection.constants, &traces);
        let reader = Reader {
            layout: &layout,
            binding: &binding,
            offsets: OffsetColumns { events, links: None },
            columns: &columns,
            constants: projection.constants.len(),
        };

        let wanted: Vec<u32> = (0..traces.len() as u32).filter(|&trace| chosen[trace as usize]).collect();
        let limits = CallLimits { call_bytes, trace_bytes: 1_000, traces: 7 };
        let mut gather = Gather::default();
        let mut rest = &wanted[..];
        while !rest.is_empty() {
            match gather.take(&reader, rest, limits) {
                Taken::TooLarge => {
                    gather.take(&reader, &rest[..1], CallLimits { trace_bytes: usize::MAX, ..limits });
                    gather.write(&reader);
                    prop_assert!(bytes(&gather) > 1_000);
                    rest = &rest[1..];
                }
                Taken::Call { traces: count, oversized } => {
                    prop_assert!(count > 0 && count <= 7);
                    gather.write(&reader);
                    let taken: Vec<&Vec<Row>> = rest[..count].iter().map(|&trace| &traces[trace as usize]).collect();
                    compare(&gather, &taken, text);
                    prop_assert_eq!(oversized, bytes(&gather) > call_bytes);
                    prop_assert!(!oversized || count == 1);
                    rest = &rest[count..];
                }
            }
        }
    }
}

/// What a call lowers.
fn bytes(gather: &Gather) -> usize {
    4 * gather.w32.len() + 8 * gather.w64.len() + gather.w8.len()
}
