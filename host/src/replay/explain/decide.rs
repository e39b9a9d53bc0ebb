//! Which parts of a rule decided a verdict: from its clauses down to what can't be taken apart.
//!
//! Where one part is enough (a false part of an `and`, a true one of an `or`), all that would have been enough are named,
//! as each alone would have had to be another. An empty set hangs on its base, else on the conditions that no span meets.

use crate::engine::explain::{Answer, Part, PartKind};

/// The parts of a rule and what they are for one trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered<'a> {
    pub(super) parts: &'a [Part],
    pub(super) answers: &'a [Answer],
}

impl<'a> Answered<'a> {
    pub(super) fn part(self, index: usize) -> Option<(&'a Part, &'a Answer)> {
        Some((self.parts.get(index)?, self.answers.get(index)?))
    }

    pub(super) fn holds(self, index: usize) -> bool {
        self.answers.get(index).is_some_and(|answer| answer.holds)
    }

    pub(super) fn count(self, index: usize) -> u32 {
        self.answers.get(index).map_or(0, |answer| answer.count)
    }

    pub(super) fn children(self, of: usize) -> Vec<usize> {
        children(self.parts, of)
    }
}

/// The parts directly below a part.
pub(super) fn children(parts: &[Part], of: usize) -> Vec<usize> {
    let below = parts.iter().enumerate().skip(of + 1);
    below
        .take_while(|(_, part)| part.parent.is_some_and(|parent| parent as usize >= of))
        .filter(|(_, part)| part.parent == u32::try_from(of).ok())
        .map(|(index, _)| index)
        .collect()
}

/// The base whose spans a part asks; a base's own.
pub(super) fn base_of(parts: &[Part], part: usize) -> Option<usize> {
    let mut at = part;
    while parts.get(at)?.kind.is_of_spans() {
        if parts.get(at)?.kind == PartKind::Base {
            return Some(at);
        }
        let parent = parts.get(at)?.parent? as usize;
        if !parts.get(parent)?.kind.is_of_spans() {
            let beside = children(parts, parent).into_iter();
            let before = beside.filter(|&other| other < at);
            return before
                .rev()
                .find(|&other| parts.get(other).is_some_and(|p| p.kind == PartKind::Base));
        }
        at = parent;
    }
    None
}

/// The clauses that broke, by their order among the bodies without `when`.
pub(super) fn broken(answered: Answered<'_>) -> Vec<bool> {
    let bodies = bodies(answered.parts);
    let when = bodies
        .iter()
        .find(|&&body| kind(answered.parts, body) == Some(PartKind::When));
    let asked = when.is_none_or(|&when| answered.holds(when));
    let clauses = bodies.iter().filter_map(|&body| {
        let holds = answered.holds(body);
        match kind(answered.parts, body)? {
            PartKind::Detect => Some(holds),
            PartKind::Expect => Some(!holds),
            PartKind::Always => Some(asked && !holds),
            PartKind::Never => Some(asked && holds),
            _ => None,
        }
    });
    clauses.collect()
}

/// The bodies of a rule.
pub(super) fn bodies(parts: &[Part]) -> Vec<usize> {
    let bodies = parts.iter().enumerate();
    bodies
        .filter(|(_, part)| part.parent.is_none())
        .map(|(index, _)| index)
        .collect()
}

fn kind(parts: &[Part], part: usize) -> Option<PartKind> {
    parts.get(part).map(|part| part.kind)
}

/// The parts that decided, those of the clause that decided first.
pub(super) fn decide(answered: Answered<'_>) -> Vec<usize> {
    let bodies = bodies(answered.parts);
    let mut walk = Walk {
        answered,
        deciding: Vec::new(),
    };
    let is_when = |&&body: &&usize| kind(answered.parts, body) == Some(PartKind::When);
    let when = bodies.iter().find(is_when).copied();
    match when {
        Some(when) if !answered.holds(when) => walk.down(when),
        _ => {
            let broken = broken(answered);
            let fires = broken.contains(&true);
            let clauses = bodies.iter().filter(|&&body| Some(body) != when);
            for (&clause, broken) in clauses.zip(broken) {
                if broken == fires {
                    walk.down(clause);
                }
            }
            if fires && let Some(when) = when {
                walk.down(when);
            }
        }
    }
    let mut deciding = Vec::new();
    for part in walk.deciding {
        if !deciding.contains(&part) {
            deciding.push(part);
        }
    }
    deciding
}

struct Walk<'a> {
    answered: Answered<'a>,
    deciding: Vec<usize>,
}

impl Walk<'_> {
    /// Finds what gave a condition its value.
    fn down(&mut self, part: usize) {
        let Some((of, answer)) = self.answered.part(part) else {
            return;
        };
        let below = self.answered.children(part);
        match of.kind {
            PartKind::Both | PartKind::Either => {
                // Of an `and` that fails, and an `or` that holds, only some parts did it.
                let some = answer.holds == (of.kind == PartKind::Either);
                for child in below {
                    if !some || self.answered.holds(child) == answer.holds {
                        self.down(child);
                    }
                }
            }
            PartKind::Present if !answer.holds => self.empty(part, &below),
            PartKind::Every if answer.holds && answer.others == 0 => {
                let set = below.split_last().map_or(&below[..], |(_, set)| set);
                self.empty(part, set);
            }
            kind if kind.is_body() || kind == PartKind::Negation => {
                below.into_iter().for_each(|child| self.down(child));
            }
            _ => self.deciding.push(part),
        }
    }

    /// Finds why a set has no span. `below`: its base and filters.
    fn empty(&mut self, part: usize, below: &[usize]) {
        let before = self.deciding.len();
        for &child in below {
            match kind(self.answered.parts, child) {
                Some(PartKind::Base) if self.answered.count(child) == 0 => {
                    self.deciding.push(child);
                    return;
                }
                Some(PartKind::Base) => {}
                _ if self.answered.count(child) == 0 => self.filter(child),
                _ => {}
            }
        }
        if self.deciding.len() == before {
            self.deciding.push(part);
        }
    }

    /// Finds why no span passes a filter.
    fn filter(&mut self, part: usize) {
        let below = self.answered.children(part).into_iter();
        let empty: Vec<usize> = below
            .filter(|&child| self.answered.count(child) == 0)
            .collect();
        match kind(self.answered.parts, part) {
            Some(PartKind::FilterNegation) => self.deciding.push(part),
            _ if empty.is_empty() => self.deciding.push(part),
            _ => empty.into_iter().for_each(|child| self.filter(child)),
        }
    }
}
