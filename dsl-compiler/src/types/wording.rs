//! Typed tree back to the language of rules: what a part of a rule says, for people.
//!
//! What comes out means the tree that went in: it can be put into a rule again. Synonyms are reduced to one form
//! (`spans.any(p)` is `spans.where(p)`), words that are text stand in quotes. Longer texts than [`LONGEST`] are cut.

use std::fmt::Write;

use super::names::{self, FUNCTIONS};
use super::tree::{
    Base, Comparison, Condition, Constant, Field, Intrinsic, Items, Number, Operand, Pattern,
    Place, Predicate, Set, Source, Table, TextOperand,
};
use crate::syntax::{METHOD_WORDS, is_word};

/// Bytes that are written of a part. More would be read by nobody, and as each part holds those below it, the texts of a
/// deep rule would be many times its source.
const LONGEST: usize = 2_000;

/// A condition.
pub(crate) fn condition(of: &Condition) -> String {
    written(|words| words.condition(of, Binding::Loosest))
}

/// A base, as a set.
pub(crate) fn base(of: &Base) -> String {
    written(|words| words.base(of))
}

/// A predicate of a span, an event or a link.
pub(crate) fn predicate(of: &Predicate) -> String {
    written(|words| words.predicate(of, Binding::Loosest))
}

fn written(write: impl FnOnce(&mut Words)) -> String {
    let mut words = Words {
        text: String::new(),
    };
    write(&mut words);
    let mut text = words.text;
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

/// How tightly an operator holds its parts together: those that hold looser stand in parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Loosest,
    And,
    Not,
}

struct Words {
    text: String,
}

impl Words {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Written enough to be cut, so that nothing behind it matters.
    fn full(&self) -> bool {
        self.text.len() > LONGEST
    }

    fn condition(&mut self, of: &Condition, within: Binding) {
        match of {
            Condition::Constant(answer) => self.push(truth(*answer)),
            Condition::Not(inner) => {
                self.push("not ");
                self.condition(inner, Binding::Not);
            }
            Condition::And(parts) => {
                self.chain(parts, true, within, Words::condition);
            }
            Condition::Or(parts) => {
                self.chain(parts, false, within, Words::condition);
            }
            Condition::Exists(set) => self.set(set),
            Condition::Every(set, predicate) => {
                self.set(set);
                self.call(".all", predicate);
            }
            Condition::Compare(left, comparison, right) => {
                self.number(left);
                self.comparison(*comparison);
                self.number(right);
            }
        }
    }

    fn chain<T>(
        &mut self,
        parts: &[T],
        and: bool,
        within: Binding,
        write: fn(&mut Self, &T, Binding),
    ) {
        let (own, operator) = if and {
            (Binding::And, " and ")
        } else {
            (Binding::Loosest, " or ")
        };
        if let [only] = parts {
            return write(self, only, within);
        }
        let apart = own < within;
        if apart {
            self.push("(");
        }
        for (index, part) in parts.iter().enumerate() {
            if self.full() {
                return;
            }
            if index > 0 {
                self.push(operator);
            }
            // A chain in a chain of its own kind keeps its parentheses.
            write(self, part, if and { Binding::Not } else { Binding::And });
        }
        if apart {
            self.push(")");
        }
    }

    /// `.where(p)` and its like.
    fn call(&mut self, method: &str, predicate: &Predicate) {
        self.push(method);
        self.push("(");
        self.predicate(predicate, Binding::Loosest);
        self.push(")");
    }

    fn set(&mut self, set: &Set) {
        self.base(&set.base);
        for filter in &set.filters {
            if self.full() {
                return;
            }
            self.call(".where", filter);
        }
    }

    fn base(&mut self, base: &Base) {
        match base {
            Base::All => self.push("spans"),
            Base::Named(name) if names_spans(name) => self.push(name),
            Base::Named(name) => self.quoted(name),
            Base::Prefixed(prefix) => {
                self.push(prefix);
                self.push("*");
            }
        }
    }

    fn number(&mut self, number: &Number) {
        match number {
            Number::Count(set) => {
                self.set(set);
                self.push(".count()");
            }
            Number::Int(int) => self.display(int),
            Number::Float(float) => self.float(*float),
        }
    }

    fn predicate(&mut self, of: &Predicate, within: Binding) {
        match of {
            Predicate::Constant(answer) => self.push(truth(*answer)),
            Predicate::Not(inner) => {
                self.push("not ");
                self.predicate(inner, Binding::Not);
            }
            Predicate::And(parts) => self.chain(parts, true, within, Words::predicate),
            Predicate::Or(parts) => self.chain(parts, false, within, Words::predicate),
            Predicate::IsTrue(field) => self.field(field, false),
            Predicate::Exists(field) => {
                self.push("exists(");
                self.field(field, false);
                self.push(")");
            }
            Predicate::Compare(field, comparison, operand) => {
                self.field(field, false);
                self.comparison(*comparison);
                match operand {
                    Operand::Constant(constant) => self.constant(field, constant),
                    Operand::Field(other) => self.field(other, true),
                }
            }
            Predicate::OneOf {
                field,
                items,
                negated,
            } => self.one_of(field, items, *negated),
            Predicate::Text(field, pattern) => self.pattern(field, pattern),
            Predicate::Items(table, items) => self.items(*table, items),
        }
    }

    fn one_of(&mut self, field: &Field, items: &[Constant], negated: bool) {
        self.field(field, false);
        self.push(if negated { " not in [" } else { " in [" });
        for (index, item) in items.iter().enumerate() {
            if self.full() {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            self.constant(field, item);
        }
        self.push("]");
    }

    fn pattern(&mut self, field: &Field, pattern: &Pattern) {
        self.field(field, false);
        let (operator, operand) = match pattern {
            Pattern::Contains(operand) => (" contains ", operand),
            Pattern::StartsWith(operand) => (" starts_with ", operand),
            Pattern::EndsWith(operand) => (" ends_with ", operand),
            Pattern::Like(glob) => {
                self.push(" like ");
                return self.quoted(glob);
            }
            Pattern::Matches(regex) => {
                self.push(" matches ");
                return self.quoted(regex);
            }
        };
        self.push(operator);
        match operand {
            TextOperand::Constant(text) => self.quoted(text),
            TextOperand::Field(other) => self.field(other, true),
        }
    }

    fn items(&mut self, table: Table, items: &Items) {
        let of_all = |asked: &Predicate| *asked == Predicate::Constant(true);
        let name = match table {
            Table::Links => "links",
            Table::Events | Table::Spans => "events",
        };
        match items {
            Items::Any(asked) if of_all(asked) => {
                self.push("exists(");
                self.push(name);
                self.push(")");
            }
            Items::Any(asked) => {
                self.push(name);
                self.call(".any", asked);
            }
            Items::All(asked) => {
                self.push(name);
                self.call(".all", asked);
            }
            Items::Count(asked, comparison, constant) => {
                self.push(name);
                if !of_all(asked) {
                    self.call(".where", asked);
                }
                self.push(".count()");
                self.comparison(*comparison);
                self.plain(constant);
            }
        }
    }

    /// `right`: on the right of an operator, where a lone word would be text.
    fn field(&mut self, field: &Field, right: bool) {
        let (place, key) = match &field.source {
            Source::Intrinsic(intrinsic) => return self.push(intrinsic_name(*intrinsic)),
            Source::Attribute(place, key) => (*place, key),
        };
        let own = field.table != Table::Spans || place == Place::Any;
        if own && !right && is_bare_key(field.table, key) {
            return self.push(key);
        }
        self.push(match place {
            Place::Any | Place::Span => "attr",
            Place::Resource => "resource",
            Place::Scope => "scope",
        });
        if is_dotted(key) && !key.ends_with(".exists") && key != "exists" {
            self.push(".");
            self.push(key);
        } else {
            self.push("[");
            self.quoted(key);
            self.push("]");
        }
    }

    fn comparison(&mut self, comparison: Comparison) {
        self.push(match comparison {
            Comparison::Equal => " == ",
            Comparison::NotEqual => " != ",
            Comparison::Less => " < ",
            Comparison::LessOrEqual => " <= ",
            Comparison::Greater => " > ",
            Comparison::GreaterOrEqual => " >= ",
        });
    }

    /// A literal beside a field: members of enums by their names.
    fn constant(&mut self, field: &Field, constant: &Constant) {
        let (Constant::Enum(number), Source::Intrinsic(of)) = (constant, &field.source) else {
            return self.plain(constant);
        };
        let kinds = names::intrinsics(field.table).iter();
        let member = kinds
            .filter(|(_, intrinsic, _)| intrinsic == of)
            .flat_map(|(_, _, kind)| kind.members())
            .find(|(_, member)| member == number);
        match member {
            Some((name, _)) => self.push(name),
            None => self.plain(constant),
        }
    }

    fn plain(&mut self, constant: &Constant) {
        match constant {
            Constant::Bool(answer) => self.push(truth(*answer)),
            Constant::Int(int) => self.display(int),
            Constant::Float(float) => self.float(*float),
            Constant::Text(text) => self.quoted(text),
            Constant::Duration(ns) => self.duration(*ns),
            Constant::Enum(number) => self.display(number),
        }
    }

    /// With a point or an exponent, so that it stays a float.
    fn float(&mut self, float: f64) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{float:?}");
    }

    fn display(&mut self, value: &dyn std::fmt::Display) {
        let _ = write!(self.text, "{value}");
    }

    /// In the largest unit that makes it a whole number.
    fn duration(&mut self, ns: i64) {
        const UNITS: [(i64, &str); 5] = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        let unit = UNITS.into_iter().find(|(unit, _)| ns % unit == 0);
        let (unit, name) = match unit {
            Some(_) if ns == 0 => (1, "s"),
            Some(unit) => unit,
            None => (1, "ns"),
        };
        let _ = write!(self.text, "{}{name}", ns / unit);
    }

    fn quoted(&mut self, text: &str) {
        self.push("\"");
        for c in text.chars() {
            if self.full() {
                return;
            }
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                '\n' => self.push("\\n"),
                '\t' => self.push("\\t"),
                '\r' => self.push("\\r"),
                _ if c.is_control() => {
                    let _ = write!(self.text, "\\u{{{:x}}}", c as u32);
                }
                _ => self.text.push(c),
            }
        }
        self.push("\"");
    }
}

fn truth(answer: bool) -> &'static str {
    if answer { "true" } else { "false" }
}

/// Whether a name of spans can stand without quotes, whatever follows it, and is no field's either.
fn names_spans(name: &str) -> bool {
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let is_method = |word: &str| METHOD_WORDS.contains(&word) || FUNCTIONS.contains(&word);
    is_dotted(name)
        && is_word(first)
        && !first.starts_with(|c: char| c.is_ascii_digit())
        && !matches!(first, "spans" | "trace")
        && (rest.is_empty() || !rest.split('.').any(is_method))
        && (!rest.is_empty()
            || !is_method(first)
                && names::intrinsic(Table::Spans, first).is_none()
                && names::items(first).is_none())
}

/// Whether an attribute's key is read as one where it stands alone.
fn is_bare_key(table: Table, key: &str) -> bool {
    if !is_dotted(key) || key.ends_with(".exists") {
        return false;
    }
    match key.split_once('.') {
        Some((first, _)) => is_word(first) && !matches!(first, "attr" | "resource" | "scope"),
        None => {
            is_word(key)
                && key != "exists"
                && names::intrinsic(table, key).is_none()
                && names::intrinsic(Table::Spans, key).is_none()
                && names::items(key).is_none()
        }
    }
}

/// Words with dots between, as the lexer takes them.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|segment| {
        !segment.is_empty()
            && !segment.starts_with('-')
            && !segment.ends_with('-')
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    })
}

fn intrinsic_name(intrinsic: Intrinsic) -> &'static str {
    let tables = [Table::Spans, Table::Events, Table::Links];
    let mut all = tables.into_iter().flat_map(names::intrinsics);
    all.find(|(_, of, _)| *of == intrinsic)
        .map_or("name", |(name, _, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = base(&Base::Named("é".repeat(LONGEST)));
        assert!(
            long.len() <= LONGEST + '…'.len_utf8() && long.ends_with("é…"),
            "{long}"
        );
    }

    #[test]
    fn durations_are_whole_in_their_unit() {
        let told = |ns| written(|words| words.duration(ns));
        let shown = [
            0,
            1,
            1_500,
            250_000_000,
            90_000_000_000,
            7_200_000_000_000,
            -2_000_000,
        ];
        assert_eq!(shown.map(told).join(" "), "0s 1ns 1500ns 250ms 90s 2h -2ms");
    }
}
