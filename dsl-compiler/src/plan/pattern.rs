//! Text patterns: each distinct one once, the costly ones as automata.
//!
//! All automata of a rule share one bound, on what they take in the component and on the work of building them.

use std::collections::HashMap;

use regex_syntax::hir::Hir;

use super::automaton::{self, Automaton};
use super::error::Problem;
use super::expression;
use super::predicate::TextRelation;

/// What answers whether a text matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// How.
    pub kind: MatcherKind,
    /// The pattern as the rule has it, for people.
    pub text: String,
}

/// How a text is matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatcherKind {
    /// By its bytes, one by one.
    Automaton(Box<Automaton>),
    /// It starts so.
    StartsWith(String),
    /// It ends so.
    EndsWith(String),
    /// It is one of these constants of the manifest.
    Symbols(Vec<u32>),
}

/// A pattern as the rule has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PatternKey {
    Related(TextRelation, String),
    Like(String),
    Regex(String),
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Pattern(PatternKey),
    Symbols(Vec<u32>),
}

/// The distinct patterns so far.
#[derive(Debug)]
pub(super) struct Matchers {
    pub(super) list: Vec<Matcher>,
    index: HashMap<Key, u32>,
    budget: automaton::Budget,
}

impl Default for Matchers {
    fn default() -> Self {
        Matchers {
            list: Vec::new(),
            index: HashMap::new(),
            budget: automaton::Budget::of_a_rule(),
        }
    }
}

impl Matchers {
    pub(super) fn pattern(&mut self, pattern: PatternKey) -> Result<u32, Problem> {
        let key = Key::Pattern(pattern.clone());
        if let Some(&index) = self.index.get(&key) {
            return Ok(index);
        }
        let (kind, text) = match &pattern {
            PatternKey::Related(TextRelation::StartsWith, text) => (
                MatcherKind::StartsWith(text.clone()),
                format!("starts_with {text:?}"),
            ),
            PatternKey::Related(TextRelation::EndsWith, text) => (
                MatcherKind::EndsWith(text.clone()),
                format!("ends_with {text:?}"),
            ),
            PatternKey::Related(TextRelation::Contains, text) => (
                self.automaton(&Hir::literal(text.as_bytes()))?,
                format!("contains {text:?}"),
            ),
            PatternKey::Like(glob) => (
                self.automaton(&expression::like(glob))?,
                format!("like {glob:?}"),
            ),
            PatternKey::Regex(regex) => {
                let hir = expression::regex(regex)?;
                (self.automaton(&hir)?, format!("matches {regex:?}"))
            }
        };
        Ok(self.push(key, Matcher { kind, text }))
    }

    pub(super) fn prefix(&mut self, prefix: &str) -> u32 {
        let key = Key::Pattern(PatternKey::Related(
            TextRelation::StartsWith,
            prefix.to_owned(),
        ));
        match self.index.get(&key) {
            Some(&index) => index,
            None => self.push(
                key,
                Matcher {
                    kind: MatcherKind::StartsWith(prefix.to_owned()),
                    text: format!("starts_with {prefix:?}"),
                },
            ),
        }
    }

    pub(super) fn symbols(&mut self, symbols: Vec<u32>) -> u32 {
        let key = Key::Symbols(symbols.clone());
        match self.index.get(&key) {
            Some(&index) => index,
            None => {
                let text = format!("one of {} texts", symbols.len());
                self.push(
                    key,
                    Matcher {
                        kind: MatcherKind::Symbols(symbols),
                        text,
                    },
                )
            }
        }
    }

    fn push(&mut self, key: Key, matcher: Matcher) -> u32 {
        let index = self.list.len() as u32;
        self.list.push(matcher);
        self.index.insert(key, index);
        index
    }

    fn automaton(&mut self, hir: &Hir) -> Result<MatcherKind, Problem> {
        let automaton = automaton::build(hir, &mut self.budget)?;
        Ok(MatcherKind::Automaton(Box::new(automaton)))
    }
}
