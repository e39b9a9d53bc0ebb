//! What a trace must hold for a rule to find anything: of every group at least one.
//!
//! Sound above all. A group that is dropped or too wide only makes the host run the rule in vain; a group that is
//! wrong loses findings. So whatever is not understood needs nothing.

use std::collections::BTreeSet;

use super::manifest::Trigger;
use crate::types::tree::{
    Base, ClauseKind, Comparison, Condition, Constant, Field, Intrinsic, Items, Number, Operand,
    Pattern, Place, Predicate, Rule, Set, Source, Table, TextOperand,
};

/// Groups of a rule. The host looks at each for each trace that might be a candidate.
const GROUPS: usize = 8;

/// Alternatives in a group. The host's index has an entry for each.
const ALTERNATIVES: usize = 256;

/// The groups of a rule, at most [`GROUPS`] of at most [`ALTERNATIVES`]; none where it has to see every trace.
pub(super) fn of(rule: &Rule) -> Vec<Vec<Trigger>> {
    let broken = rule.clauses.iter().map(|(kind, clause)| {
        let broken_when = matches!(kind, ClauseKind::Detect | ClauseKind::Never);
        condition(&clause.condition, broken_when)
    });
    let mut need = Need::one_of(broken);
    if let Some(when) = &rule.when {
        need = Need::each([condition(&when.condition, true), need]);
    }
    match need {
        // A rule that finds nothing has no way to say so.
        Need::Never => Vec::new(),
        Need::Groups(groups) => groups
            .into_iter()
            .map(|group| group.into_iter().collect())
            .collect(),
    }
}

type Group = BTreeSet<Trigger>;

/// What must be there for something to be so.
#[derive(Clone, Debug)]
enum Need {
    /// It can't be so.
    Never,
    /// Of each group one; no group: it may be so in any trace.
    Groups(Vec<Group>),
}

impl Need {
    fn nothing() -> Need {
        Need::Groups(Vec::new())
    }

    fn trigger(trigger: Trigger) -> Need {
        Need::Groups(vec![Group::from([trigger])])
    }

    fn always(answer: bool) -> Need {
        if answer { Need::nothing() } else { Need::Never }
    }

    fn each(needs: impl IntoIterator<Item = Need>) -> Need {
        let mut all: Vec<Group> = Vec::new();
        for need in needs {
            match need {
                Need::Never => return Need::Never,
                Need::Groups(groups) => {
                    for group in groups {
                        if !all.contains(&group) {
                            all.push(group);
                        }
                    }
                }
            }
            if all.len() > GROUPS {
                all.sort_by_key(Group::len);
                all.truncate(GROUPS);
            }
        }
        Need::Groups(all)
    }

    fn one_of(needs: impl IntoIterator<Item = Need>) -> Need {
        let mut any: Option<Vec<Group>> = None;
        for need in needs {
            let Need::Groups(groups) = need else { continue };
            let either = match any {
                None => groups,
                Some(others) => combine(others, groups),
            };
            if either.is_empty() {
                return Need::nothing();
            }
            any = Some(either);
        }
        any.map_or(Need::Never, Need::Groups)
    }
}

/// `(a and b) or (c and d)` as groups: `(a or c) and (a or d) and (b or c) and (b or d)`.
fn combine(mut left: Vec<Group>, mut right: Vec<Group>) -> Vec<Group> {
    if left.len() * right.len() > GROUPS {
        left = narrowest(left);
        right = narrowest(right);
    }
    if let ([left], [right]) = (left.as_mut_slice(), right.as_mut_slice()) {
        // The case of long chains, in place.
        left.append(right);
    } else {
        let mut product = Vec::new();
        for left in &left {
            for right in &right {
                let union: Group = left.union(right).cloned().collect();
                if !product.contains(&union) {
                    product.push(union);
                }
            }
        }
        left = product;
    }
    left.retain(|group| group.len() <= ALTERNATIVES);
    left
}

fn narrowest(groups: Vec<Group>) -> Vec<Group> {
    groups
        .into_iter()
        .min_by_key(Group::len)
        .into_iter()
        .collect()
}

/// What it takes for a condition to have this value.
fn condition(of: &Condition, value: bool) -> Need {
    match of {
        Condition::Constant(answer) => Need::always(*answer == value),
        Condition::Not(inner) => condition(inner, !value),
        Condition::And(parts) | Condition::Or(parts) => {
            let needs = parts.iter().map(|part| condition(part, value));
            if matches!(of, Condition::And(_)) == value {
                Need::each(needs)
            } else {
                Need::one_of(needs)
            }
        }
        Condition::Exists(set) if value => members(set),
        Condition::Exists(_) => Need::nothing(),
        Condition::Every(_, _) if value => Need::nothing(),
        Condition::Every(set, each) => Need::each([members(set), predicate(each, false)]),
        Condition::Compare(left, comparison, right) => {
            let comparison = if value {
                *comparison
            } else {
                opposite(*comparison)
            };
            numbers(left, comparison, right)
        }
    }
}

/// What it takes for two numbers of a trace to compare so. A count of nothing is 0.
fn numbers(left: &Number, comparison: Comparison, right: &Number) -> Need {
    use Comparison::{Greater, Less, NotEqual};
    match (left, right) {
        (Number::Count(left), Number::Count(right)) => match comparison {
            Greater => members(left),
            Less => members(right),
            NotEqual => Need::one_of([members(left), members(right)]),
            _ => Need::nothing(),
        },
        (Number::Count(set), literal) => counted(set, comparison, literal),
        (literal, Number::Count(set)) => counted(set, comparison.flipped(), literal),
        _ => Need::nothing(),
    }
}

fn counted(set: &Set, comparison: Comparison, literal: &Number) -> Need {
    let true_of_none = match literal {
        Number::Int(int) => comparison.holds(0.cmp(int)),
        // The negation of a comparison with a NaN is not a comparison.
        Number::Float(float) => match 0.0.partial_cmp(float) {
            Some(ordering) => comparison.holds(ordering),
            None => true,
        },
        Number::Count(_) => true,
    };
    if true_of_none {
        Need::nothing()
    } else {
        members(set)
    }
}

fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// What it takes for a set not to be empty.
fn members(set: &Set) -> Need {
    let base = match &set.base {
        Base::All => Need::nothing(),
        Base::Named(name) => Need::trigger(Trigger::Name(name.clone())),
        Base::Prefixed(prefix) => Need::trigger(Trigger::NamePrefix(prefix.clone())),
    };
    let filters = set.filters.iter().map(|filter| predicate(filter, true));
    Need::each(std::iter::once(base).chain(filters))
}

/// What it takes for a predicate to have this value of some span of the trace.
fn predicate(of: &Predicate, value: bool) -> Need {
    match of {
        Predicate::Constant(answer) => Need::always(*answer == value),
        Predicate::Not(inner) => predicate(inner, !value),
        Predicate::And(parts) | Predicate::Or(parts) => {
            let needs = parts.iter().map(|part| predicate(part, value));
            if matches!(of, Predicate::And(_)) == value {
                Need::each(needs)
            } else {
                Need::one_of(needs)
            }
        }
        // The rest is false where a field is missing.
        _ if !value => Need::nothing(),
        Predicate::IsTrue(field) | Predicate::Exists(field) => present(field),
        Predicate::Compare(field, comparison, operand) => match operand {
            Operand::Constant(Constant::Text(text)) if *comparison == Comparison::Equal => {
                equal(field, text)
            }
            Operand::Constant(_) => present(field),
            Operand::Field(other) => Need::each([present(field), present(other)]),
        },
        Predicate::OneOf {
            field,
            items,
            negated,
        } => {
            if *negated {
                present(field)
            } else {
                Need::one_of(items.iter().map(|item| match item {
                    Constant::Text(text) => equal(field, text),
                    _ => present(field),
                }))
            }
        }
        Predicate::Text(field, pattern) => text(field, pattern),
        Predicate::Items(_, Items::Any(inner)) => predicate(inner, true),
        Predicate::Items(_, _) => Need::nothing(),
    }
}

fn text(field: &Field, pattern: &Pattern) -> Need {
    match pattern {
        Pattern::Contains(TextOperand::Field(other))
        | Pattern::StartsWith(TextOperand::Field(other))
        | Pattern::EndsWith(TextOperand::Field(other)) => {
            Need::each([present(field), present(other)])
        }
        Pattern::StartsWith(TextOperand::Constant(prefix)) => starts_with(field, prefix),
        Pattern::Like(glob) => {
            let prefix = glob.split(['*', '?']).next().unwrap_or_default();
            starts_with(field, prefix)
        }
        _ => present(field),
    }
}

fn starts_with(field: &Field, prefix: &str) -> Need {
    if is(field, Intrinsic::Name) {
        Need::trigger(Trigger::NamePrefix(prefix.to_owned()))
    } else {
        present(field)
    }
}

fn equal(field: &Field, text: &str) -> Need {
    if is(field, Intrinsic::Name) {
        Need::trigger(Trigger::Name(text.to_owned()))
    } else if is(field, Intrinsic::Service) {
        Need::trigger(Trigger::Service(text.to_owned()))
    } else {
        present(field)
    }
}

/// What it takes for a field to be there. Triggers speak of spans: an event's field needs nothing.
fn present(field: &Field) -> Need {
    match (&field.table, &field.source) {
        (Table::Spans, Source::Attribute(place, key)) => attribute(*place, key),
        _ => Need::nothing(),
    }
}

fn attribute(place: Place, key: &str) -> Need {
    Need::trigger(Trigger::Attribute(place, key.to_owned()))
}

fn is(field: &Field, intrinsic: Intrinsic) -> bool {
    field.table == Table::Spans && field.source == Source::Intrinsic(intrinsic)
}
