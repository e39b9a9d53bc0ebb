//! The index answers what a look at each group of each rule answers.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::columns::symbols::Constants;

const NAMES: [&str; 6] = ["", "a", "ab", "abc", "b", "other"];
/// Names below this are constants of the set; the text of the others has another symbol in each batch.
const CONSTANTS: usize = 4;
const PREFIXES: [&str; 5] = ["", "a", "ab", "bc", "other"];
/// Columns of attributes, after names and services.
const ATTRIBUTES: u32 = 3;

#[derive(Clone, Debug)]
struct Row {
    name: Option<usize>,
    service: Option<usize>,
    attributes: [bool; ATTRIBUTES as usize],
}

fn row() -> impl Strategy<Value = Row> {
    let name = || prop::option::weighted(0.8, 0..NAMES.len());
    (
        name(),
        name(),
        prop::array::uniform3(prop::bool::weighted(0.2)),
    )
        .prop_map(|(name, service, attributes)| Row {
            name,
            service,
            attributes,
        })
}

fn atom() -> impl Strategy<Value = Atom<'static>> {
    let constant = 0..CONSTANTS as u32;
    prop_oneof![
        constant.clone().prop_map(Atom::Name),
        constant.prop_map(Atom::Service),
        prop::sample::select(&PREFIXES[..]).prop_map(Atom::Prefix),
        (2..2 + ATTRIBUTES).prop_map(Atom::Attribute),
    ]
}

fn batch(constants: &Arc<Constants>, traces: &[Vec<Row>]) -> Columns {
    let mut columns = Columns {
        offsets: vec![0],
        ..Columns::default()
    };
    columns.symbols.reset(constants);
    for trace in traces {
        columns
            .offsets
            .push(columns.offsets[columns.offsets.len() - 1] + trace.len() as u32);
    }
    let rows: Vec<&Row> = traces.iter().flatten().collect();
    let mut symbol = |name: Option<usize>| {
        name.map_or(NONE, |name| {
            columns
                .symbols
                .intern(NAMES[name].as_bytes())
                .expect("UTF-8")
        })
    };
    let names = rows.iter().map(|row| symbol(row.name)).collect();
    let services = rows.iter().map(|row| symbol(row.service)).collect();
    columns.columns = vec![Column::W32(names), Column::W32(services)];
    for attribute in 0..ATTRIBUTES as usize {
        let tags = rows
            .iter()
            .map(|row| {
                if row.attributes[attribute] {
                    tag::ARRAY
                } else {
                    tag::MISSING
                }
            })
            .collect();
        columns.columns.push(Column::Attribute {
            tags,
            values: vec![0; rows.len()],
        });
    }
    columns
}

fn holds(trace: &[Row], atom: &Atom<'_>) -> bool {
    trace.iter().any(|row| match *atom {
        Atom::Name(symbol) => row.name == Some(symbol as usize),
        Atom::Service(symbol) => row.service == Some(symbol as usize),
        Atom::Prefix(prefix) => row.name.is_some_and(|name| NAMES[name].starts_with(prefix)),
        Atom::Attribute(column) => row.attributes[column as usize - 2],
    })
}

fn constants() -> Arc<Constants> {
    Arc::new(Constants::new(
        NAMES[..CONSTANTS].iter().map(|&text| text.into()).collect(),
    ))
}

proptest! {
    #[test]
    fn the_index_finds_exactly_the_traces_that_meet_all_groups(
        rules in prop::collection::vec(prop::collection::vec(prop::collection::vec(atom(), 1..4), 0..4), 0..12),
        batches in prop::collection::vec(prop::collection::vec(prop::collection::vec(row(), 0..5), 0..8), 1..4),
        stamp in prop_oneof![Just(0), Just(u32::MAX - 3)],
    ) {
        let constants = constants();
        let index = Candidates::new(&rules, constants.len());
        let mut finder = Finder::default();
        // Leaves low stamps behind, which a counter that starts anew must not take for its own.
        for traces in &batches {
            finder.find(&index, &batch(&constants, traces));
        }
        finder.stamp = finder.stamp.max(stamp);
        for traces in &batches {
            finder.find(&index, &batch(&constants, traces));
            let mut touched = Vec::new();
            for (rule, groups) in rules.iter().enumerate() {
                let meets = |trace: &Vec<Row>| groups.iter().all(|group| group.iter().any(|atom| holds(trace, atom)));
                let expected: Vec<u32> = (0..traces.len() as u32).filter(|&t| meets(&traces[t as usize])).collect();
                prop_assert_eq!(finder.traces(&index, rule as u32), &expected[..], "rule {}", rule);
                if !expected.is_empty() {
                    touched.push(rule as u32);
                }
            }
            prop_assert_eq!(finder.touched(), &touched[..]);
        }
    }
}

#[test]
fn the_pivot_is_the_group_that_few_rules_share() {
    // A hundred rules of one service, each of a name of its own: a trace must not weigh them all.
    let rules: Vec<Vec<Vec<Atom<'_>>>> = (0..100)
        .map(|name| vec![vec![Atom::Service(0)], vec![Atom::Name(name)]])
        .collect();
    let index = Candidates::new(&rules, 100);
    let weighed: Vec<usize> = (0..index.columns.len() as u32)
        .map(|atom| index.pivots.get(atom).len())
        .collect();
    assert_eq!(weighed.iter().max(), Some(&1));
}

#[test]
fn without_an_index_every_rule_sees_every_trace() {
    let constants = constants();
    let rows = vec![Row {
        name: None,
        service: None,
        attributes: [false; 3],
    }];
    let index = Candidates::everything(3);
    let mut finder = Finder::default();
    finder.find(&index, &batch(&constants, &[rows.clone(), rows]));
    assert_eq!(finder.touched(), [0, 1, 2]);
    assert_eq!(finder.traces(&index, 2), [0, 1]);
}

#[test]
fn stamps_that_start_anew_are_not_taken_for_old_ones() {
    let constants = constants();
    let row = Row {
        name: Some(0),
        service: Some(0),
        attributes: [true; 3],
    };
    let columns = batch(&constants, &[vec![row]]);
    let index = Candidates::new(
        &[vec![vec![Atom::Name(0)], vec![Atom::Attribute(2)]]],
        constants.len(),
    );
    let mut finder = Finder::default();
    finder.find(&index, &columns);
    assert_eq!(finder.stamp, 1);
    finder.stamp = u32::MAX;
    finder.find(&index, &columns);
    assert_eq!((finder.stamp, finder.traces(&index, 0)), (1, &[0][..]));
}
