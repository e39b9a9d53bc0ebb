//! An expression to a deterministic automaton in the fewest bytes: the table that emitted code walks.
//!
//! ```text
//! state 0: no match any more    state 1: a match, whatever follows    others: rows of `table`, `stride` states each
//! next = table[state * stride + classes[byte]]        at the end of the text: ends[state]
//! ```

use std::borrow::Cow;
use std::collections::HashMap;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Dot, Hir, Repetition};

use super::error::Problem;

/// What the tables of a rule's automata may take together: they stay in the memory of every instance of the rule.
const TABLES: usize = 1 << 20;

/// What the automata of a rule may take while they are built. It bounds the time as well: each state is worked out
/// once a class of bytes, in time proportional to what is stored for it.
const BUILDING: usize = 4 << 20;

/// No match any more.
const REJECT: u32 = 0;
/// A match, whatever follows.
const ACCEPT: u32 = 1;

/// Says of a text whether it matches.
#[derive(Clone, PartialEq, Eq)]
pub struct Automaton {
    /// The class of each byte, below `stride`.
    pub classes: Box<[u8; 256]>,
    /// Classes of bytes.
    pub stride: u32,
    /// Where a text starts.
    pub start: u32,
    /// The next state of each state and class.
    pub table: Vec<u32>,
    /// Whether a text that ends in this state matches.
    pub ends: Vec<bool>,
}

/// What is left to spend on a rule's automata.
#[derive(Debug)]
pub(super) struct Budget {
    tables: usize,
    building: usize,
}

impl Budget {
    pub(super) fn of_a_rule() -> Budget {
        Budget {
            tables: TABLES,
            building: BUILDING,
        }
    }
}

impl Automaton {
    /// Bytes a state takes in the table.
    pub fn width(&self) -> u32 {
        match self.ends.len() {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        }
    }

    /// What it takes in a component.
    pub fn size(&self) -> usize {
        256 + self.ends.len() + self.table.len() * self.width() as usize
    }

    /// Whether this text matches.
    pub fn matches(&self, text: &str) -> bool {
        let next = |state: u32, &byte: &u8| {
            let class = self.classes[byte as usize];
            self.table[(state * self.stride + u32::from(class)) as usize]
        };
        let last = text.as_bytes().iter().fold(self.start, next);
        self.ends[last as usize]
    }
}

impl std::fmt::Debug for Automaton {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Automaton({} states, {} classes)",
            self.ends.len(),
            self.stride
        )
    }
}

/// Builds the automaton of an expression, within what is left.
pub(super) fn build(hir: &Hir, budget: &mut Budget) -> Result<Automaton, Problem> {
    let too_large = Problem::TooLarge { limit: TABLES };
    let dense = determinize(hir, budget.building).ok_or(too_large.clone())?;
    budget.building = budget.building.saturating_sub(dense.memory_usage());
    let states = States::reached(&dense).ok_or(too_large.clone())?;
    let automaton = states.decided().packed();
    budget.tables = budget
        .tables
        .checked_sub(automaton.size())
        .ok_or(too_large)?;
    Ok(automaton)
}

fn determinize(hir: &Hir, limit: usize) -> Option<dense::DFA<Vec<u32>>> {
    let (hir, anchored) = match from_any_character(hir) {
        Some(hir) => (Cow::Owned(hir), StartKind::Anchored),
        None => (Cow::Borrowed(hir), StartKind::Unanchored),
    };
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(limit)),
        )
        .build_from_hir(&hir)
        .ok()?;
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(anchored)
                .accelerate(false)
                .dfa_size_limit(Some(limit))
                .determinize_size_limit(Some(limit)),
        )
        .build_from_nfa(&nfa)
        .ok()
}

/// The expression, anchored, after any number of whole characters. That is what an unanchored search is, but that the
/// latter starts at every byte: where only a position matches, as in `\B`, it would find one within a character.
fn from_any_character(hir: &Hir) -> Option<Hir> {
    let properties = hir.properties();
    if properties.minimum_len() != Some(0) || properties.look_set().is_empty() {
        return None;
    }
    let before = Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: false,
        sub: Box::new(Hir::dot(Dot::AnyChar)),
    });
    Some(Hir::concat(vec![before, hir.clone()]))
}

/// The states that a text can reach, each with a row of 256 / class transitions.
struct States {
    classes: Box<[u8; 256]>,
    stride: usize,
    start: u32,
    table: Vec<u32>,
    ends: Vec<bool>,
}

impl States {
    /// None where the automaton gives up on some text, which none without Unicode word boundaries does.
    fn reached(dense: &dense::DFA<Vec<u32>>) -> Option<States> {
        let mut classes = Box::new([0; 256]);
        let mut bytes = Vec::new();
        for byte in 0..=u8::MAX {
            let class = dense.byte_classes().get(byte);
            classes[byte as usize] = class;
            if class as usize == bytes.len() {
                bytes.push(byte);
            }
        }
        let stride = bytes.len();
        let anchored = match dense.start_kind() {
            StartKind::Anchored => Anchored::Yes,
            StartKind::Unanchored | StartKind::Both => Anchored::No,
        };
        let start = dense
            .start_state_forward(&Input::new("").anchored(anchored))
            .ok()?;
        let mut table = vec![REJECT; stride];
        table.extend(std::iter::repeat_n(ACCEPT, stride));
        let mut ends = vec![false, true];
        let mut number: HashMap<StateID, u32> = HashMap::new();
        let mut queue = Vec::new();
        let mut number_of = |state: StateID, queue: &mut Vec<StateID>| -> Option<u32> {
            if dense.is_quit_state(state) {
                return None;
            }
            if dense.is_dead_state(state) {
                return Some(REJECT);
            }
            if dense.is_match_state(state) {
                return Some(ACCEPT);
            }
            let next = number.len() as u32 + 2;
            Some(*number.entry(state).or_insert_with(|| {
                queue.push(state);
                next
            }))
        };
        let start = number_of(start, &mut queue)?;
        let mut at = 0;
        while let Some(&state) = queue.get(at) {
            at += 1;
            for &byte in &bytes {
                table.push(number_of(dense.next_state(state, byte), &mut queue)?);
            }
            ends.push(dense.is_match_state(dense.next_eoi_state(state)));
        }
        Some(States {
            classes,
            stride,
            start,
            table,
            ends,
        })
    }

    /// States from which every text matches become `ACCEPT`, those from which none does `REJECT`.
    fn decided(mut self) -> States {
        let undecided_yes = self.reaching(|end| !end);
        let undecided_no = self.reaching(|end| end);
        let decide =
            |state: u32| match (undecided_yes[state as usize], undecided_no[state as usize]) {
                (false, _) => ACCEPT,
                (_, false) => REJECT,
                _ => state,
            };
        for next in &mut self.table {
            *next = decide(*next);
        }
        self.start = decide(self.start);
        self
    }

    /// The states from which some text ends in a state that `ends` so.
    fn reaching(&self, ends: impl Fn(bool) -> bool) -> Vec<bool> {
        let count = self.ends.len();
        let mut sources: Vec<Vec<u32>> = vec![Vec::new(); count];
        for (state, row) in self.table.chunks(self.stride).enumerate() {
            for &next in row {
                let list = &mut sources[next as usize];
                if list.last() != Some(&(state as u32)) {
                    list.push(state as u32);
                }
            }
        }
        let mut reaching: Vec<bool> = self.ends.iter().map(|&end| ends(end)).collect();
        let mut queue: Vec<u32> = (0..count as u32)
            .filter(|&state| reaching[state as usize])
            .collect();
        while let Some(state) = queue.pop() {
            for &source in &sources[state as usize] {
                if !std::mem::replace(&mut reaching[source as usize], true) {
                    queue.push(source);
                }
            }
        }
        reaching
    }

    /// Without states that are no longer reached, and with classes that are always alike made one.
    fn packed(self) -> Automaton {
        let mut number: Vec<Option<u32>> = vec![None; self.ends.len()];
        let mut kept = vec![REJECT, ACCEPT];
        number[REJECT as usize] = Some(REJECT);
        number[ACCEPT as usize] = Some(ACCEPT);
        let keep = |state: u32, kept: &mut Vec<u32>, number: &mut Vec<Option<u32>>| {
            *number[state as usize].get_or_insert_with(|| {
                kept.push(state);
                kept.len() as u32 - 1
            })
        };
        let start = keep(self.start, &mut kept, &mut number);
        let mut rows = Vec::new();
        let mut at = 0;
        while let Some(&state) = kept.get(at) {
            at += 1;
            let row = state as usize * self.stride;
            for class in 0..self.stride {
                rows.push(keep(self.table[row + class], &mut kept, &mut number));
            }
        }
        let mut merged: HashMap<Vec<u32>, u8> = HashMap::new();
        let mut class_of = Vec::with_capacity(self.stride);
        let mut columns: Vec<usize> = Vec::new();
        for class in 0..self.stride {
            let column: Vec<u32> = rows
                .iter()
                .skip(class)
                .step_by(self.stride)
                .copied()
                .collect();
            let next = merged.len() as u8;
            class_of.push(*merged.entry(column).or_insert_with(|| {
                columns.push(class);
                next
            }));
        }
        let mut classes = self.classes;
        for class in classes.iter_mut() {
            *class = class_of[*class as usize];
        }
        Automaton {
            classes,
            stride: columns.len() as u32,
            start,
            table: rows
                .chunks(self.stride)
                .flat_map(|row| columns.iter().map(|&class| row[class]))
                .collect(),
            ends: kept
                .iter()
                .map(|&state| self.ends[state as usize])
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::expression;
    use super::*;

    fn regex(pattern: &str) -> Automaton {
        build(
            &expression::regex(pattern).unwrap(),
            &mut Budget::of_a_rule(),
        )
        .unwrap()
    }

    fn like(glob: &str) -> Automaton {
        build(&expression::like(glob), &mut Budget::of_a_rule()).unwrap()
    }

    #[test]
    fn like_is_of_the_whole_text_and_of_characters() {
        for (glob, text, answer) in [
            ("a?c", "abc", true),
            ("a?c", "aéc", true),
            ("a?c", "a\nc", true),
            ("a?c", "ac", false),
            ("a?c", "abcd", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*.sql", "drop\n.sql", true),
            ("a**b", "ab", true),
            ("a.c", "abc", false),
            ("??", "é", false),
            ("?*?", "😀x", true),
        ] {
            assert_eq!(like(glob).matches(text), answer, "{text:?} like {glob:?}");
        }
    }

    #[test]
    fn perl_classes_are_ascii_and_the_rest_is_unicode() {
        for (pattern, text, answer) in [
            (r"^\d$", "٣", false),
            (r"^\d$", "3", true),
            (r"^\D$", "٣", true),
            (r"^[\d]$", "٣", false),
            (r"^[^\d]$", "é", true),
            (r"^\w+$", "é", false),
            (r"^.$", "é", true),
            (r"\bé", "é", false),
            (r"\bx\b", "é x é", true),
            (r"^\s$", "\u{a0}", false),
            (r"^\p{L}$", "é", true),
            (r"(?i)^É$", "é", true),
            (r"a\Bb", "ab", true),
            // Within `é` no character meets another.
            (r"\B", "7é7", false),
            (r"\B", "7éé7", true),
            (r"\B|é{2}", "7é7", false),
            ("Timeout", "java.TimeoutException", true),
            ("", "", true),
            ("^$", "", true),
            ("^$", "x", false),
            ("a$", "ba\n", false),
        ] {
            assert_eq!(
                regex(pattern).matches(text),
                answer,
                "{text:?} matches {pattern:?}"
            );
        }
    }

    #[test]
    fn what_is_decided_is_not_walked() {
        let automaton = regex("a");
        assert_eq!(automaton.ends.len(), 3, "reject, accept and the start");
        assert_eq!(automaton.stride, 2);
        assert_eq!(regex("").start, ACCEPT);
    }

    #[test]
    fn what_does_not_fit_is_refused_soon() {
        for pattern in [
            "a.{40}$".to_owned(),
            r"\p{L}{1000}".to_owned(),
            "(a|b)*a(a|b){25}".to_owned(),
            "((((x{100}){100}){100}){100})".to_owned(),
        ] {
            let hir = expression::regex(&pattern).unwrap();
            let start = std::time::Instant::now();
            let refused = build(&hir, &mut Budget::of_a_rule());
            assert_eq!(
                refused,
                Err(Problem::TooLarge { limit: TABLES }),
                "{pattern}"
            );
            assert!(
                start.elapsed().as_secs() < 10,
                "{pattern} took {:?}",
                start.elapsed()
            );
        }
    }
}
