//! Which findings further spans can't undo.
//!
//! Spans may still come, so a set only grows: what is true because a span is there stays true, what is true because
//! none is does not. A predicate that speaks of a span's place among others may change for a span that is there.

use crate::types::tree::{
    ClauseKind, Comparison, Condition, Field, Intrinsic, Items, Number, Operand, Pattern,
    Predicate, Rule, Set, Source, TextOperand,
};

/// Whether no further span can undo that this clause of the rule is broken.
pub(super) fn stable(rule: &Rule, kind: ClauseKind, condition: &Condition) -> bool {
    let broken_when = matches!(kind, ClauseKind::Detect | ClauseKind::Never);
    stays(condition, broken_when)
        && rule
            .when
            .as_ref()
            .is_none_or(|when| stays(&when.condition, true))
}

/// Whether a condition that has this value keeps it.
fn stays(condition: &Condition, value: bool) -> bool {
    match condition {
        Condition::Constant(_) => true,
        Condition::Not(inner) => stays(inner, !value),
        Condition::And(parts) | Condition::Or(parts) => parts.iter().all(|part| stays(part, value)),
        Condition::Exists(set) => value && settled_set(set),
        Condition::Every(set, predicate) => !value && settled_set(set) && settled(predicate),
        Condition::Compare(left, comparison, right) => {
            use Comparison::{Greater, GreaterOrEqual, Less, LessOrEqual};
            let (set, comparison) = match (left, right) {
                (Number::Count(_), Number::Count(_)) => return false,
                (Number::Count(set), _) => (set, *comparison),
                (_, Number::Count(set)) => (set, comparison.flipped()),
                _ => return true,
            };
            let at_least = match comparison {
                Greater | GreaterOrEqual => value,
                Less | LessOrEqual => !value,
                Comparison::Equal | Comparison::NotEqual => false,
            };
            at_least && settled_set(set)
        }
    }
}

fn settled_set(set: &Set) -> bool {
    set.filters.iter().all(settled)
}

/// Whether a predicate keeps its value for a span.
fn settled(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Constant(_) => true,
        Predicate::Not(inner) => settled(inner),
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().all(settled),
        Predicate::IsTrue(field) | Predicate::Exists(field) | Predicate::OneOf { field, .. } => {
            settled_field(field)
        }
        Predicate::Compare(field, _, operand) => {
            settled_field(field)
                && match operand {
                    Operand::Constant(_) => true,
                    Operand::Field(other) => settled_field(other),
                }
        }
        Predicate::Text(field, pattern) => {
            settled_field(field)
                && match pattern {
                    Pattern::Contains(TextOperand::Field(other))
                    | Pattern::StartsWith(TextOperand::Field(other))
                    | Pattern::EndsWith(TextOperand::Field(other)) => settled_field(other),
                    _ => true,
                }
        }
        Predicate::Items(_, Items::Any(inner) | Items::All(inner) | Items::Count(inner, ..)) => {
            settled(inner)
        }
    }
}

/// Offsets from the trace's start move when an earlier span comes, but all of them alike, and they are compared with
/// each other only.
fn settled_field(field: &Field) -> bool {
    !matches!(
        field.source,
        Source::Intrinsic(
            Intrinsic::Depth | Intrinsic::ChildCount | Intrinsic::SelfTime | Intrinsic::IsLeaf
        )
    )
}
