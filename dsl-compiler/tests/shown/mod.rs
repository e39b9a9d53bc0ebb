//! Typed trees as text, so that a test reads as a rule and what it means.

use betrace_dsl::types::tree::*;

pub(crate) fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Constant(value) => value.to_string(),
        Condition::Not(inner) => format!("not({})", self::condition(inner)),
        Condition::And(parts) => format!("and({})", joined(parts, self::condition)),
        Condition::Or(parts) => format!("or({})", joined(parts, self::condition)),
        Condition::Exists(set) => format!("some {}", self::set(set)),
        Condition::Every(set, each) => format!("every {}: {}", self::set(set), predicate(each)),
        Condition::Compare(a, operator, b) => {
            format!("{} {} {}", number(a), symbol(*operator), number(b))
        }
    }
}

fn number(number: &Number) -> String {
    match number {
        Number::Count(set) => format!("count {}", self::set(set)),
        Number::Int(number) => number.to_string(),
        Number::Float(number) => format!("{number:?}"),
    }
}

fn set(set: &Set) -> String {
    let base = match &set.base {
        Base::All => "spans".to_owned(),
        Base::Named(name) => format!("<{name}>"),
        Base::Prefixed(prefix) => format!("<{prefix}…>"),
    };
    let filters = set
        .filters
        .iter()
        .map(|filter| format!("[{}]", predicate(filter)));
    base + &filters.collect::<String>()
}

pub(crate) fn predicate(predicate: &Predicate) -> String {
    match predicate {
        Predicate::Constant(value) => value.to_string(),
        Predicate::Not(inner) => format!("not({})", self::predicate(inner)),
        Predicate::And(parts) => format!("and({})", joined(parts, self::predicate)),
        Predicate::Or(parts) => format!("or({})", joined(parts, self::predicate)),
        Predicate::IsTrue(field) => format!("true? {}", self::field(field)),
        Predicate::Exists(field) => format!("there? {}", self::field(field)),
        Predicate::Compare(field, operator, right) => {
            let right = match right {
                Operand::Constant(right) => constant(right),
                Operand::Field(right) => self::field(right),
            };
            format!("{} {} {right}", self::field(field), symbol(*operator))
        }
        Predicate::OneOf {
            field,
            items,
            negated,
        } => {
            let not = if *negated { "not " } else { "" };
            format!("{} {not}in {}", self::field(field), joined(items, constant))
        }
        Predicate::Text(field, pattern) => {
            format!("{} {}", self::field(field), self::pattern(pattern))
        }
        Predicate::Items(table, items) => format!("{table:?}.{}", self::items(items)),
    }
}

fn items(items: &Items) -> String {
    match items {
        Items::Any(each) => format!("any({})", predicate(each)),
        Items::All(each) => format!("all({})", predicate(each)),
        Items::Count(each, operator, right) => {
            format!(
                "count({}) {} {}",
                predicate(each),
                symbol(*operator),
                constant(right)
            )
        }
    }
}

fn pattern(pattern: &Pattern) -> String {
    let operand = |operand: &TextOperand| match operand {
        TextOperand::Constant(text) => format!("{text:?}"),
        TextOperand::Field(right) => field(right),
    };
    match pattern {
        Pattern::Contains(right) => format!("contains {}", operand(right)),
        Pattern::StartsWith(right) => format!("starts_with {}", operand(right)),
        Pattern::EndsWith(right) => format!("ends_with {}", operand(right)),
        Pattern::Like(text) => format!("like {text:?}"),
        Pattern::Matches(text) => format!("matches {text:?}"),
    }
}

/// Intrinsics start with a capital; attributes have their place before a colon, and none if any place will do.
fn field(field: &Field) -> String {
    match &field.source {
        Source::Intrinsic(intrinsic) => format!("{intrinsic:?}"),
        Source::Attribute(Place::Any, key) => key.clone(),
        Source::Attribute(place, key) => format!("{place:?}:{key}"),
    }
}

fn constant(constant: &Constant) -> String {
    match constant {
        Constant::Bool(value) => value.to_string(),
        Constant::Int(number) => number.to_string(),
        Constant::Float(number) => format!("{number:?}"),
        Constant::Text(text) => format!("{text:?}"),
        Constant::Duration(ns) => format!("{ns}ns"),
        Constant::Enum(number) => format!("#{number}"),
    }
}

fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

fn joined<T>(parts: &[T], show: fn(&T) -> String) -> String {
    parts.iter().map(show).collect::<Vec<_>>().join(", ")
}
