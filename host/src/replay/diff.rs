//! What two versions of a rule found in one trace, compared; and what else differs between the versions.
//!
//! Compared are the clauses that broke, their evidence and the values of the message. A clause is the same clause in both
//! versions where its text is, else where it stands at the same place among those that are new: who changes a number in a
//! condition wants to know on which traces that makes a difference, not that the number is another.

use super::verdict::FactChange;
use crate::engine::manifest::{Clause, Manifest};
use crate::engine::{Finding, Value};

/// How two verdicts on one trace differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Neither fires.
    Silent,
    /// The new version fires, the one before did not.
    Newly,
    NoLonger,
    /// Both do, by other clauses, with other evidence or other values.
    Otherwise,
    /// Both do, for the same reasons.
    Unchanged,
}

/// Which clauses of two versions are the same clause.
#[derive(Debug, Default)]
pub struct Pairing {
    /// By clause of the new version: that of the one before.
    clauses: Vec<Option<u32>>,
    /// Whether the messages have the same words, so that their values mean the same.
    values: bool,
}

impl Pairing {
    pub fn new(before: &Manifest, after: &Manifest) -> Pairing {
        Pairing {
            clauses: pairs(&before.clauses, &after.clauses),
            values: before.message == after.message,
        }
    }

    /// Compares the findings of the version before and of the new one in one trace. Severity, tags and message are no
    /// reasons: a trace that fires as before does, whatever it is called now.
    pub fn compare(&self, before: &[Finding], after: &[Finding]) -> Difference {
        match (before.is_empty(), after.is_empty()) {
            (true, true) => Difference::Silent,
            (true, false) => Difference::Newly,
            (false, true) => Difference::NoLonger,
            (false, false) if self.is_same(before, after) => Difference::Unchanged,
            (false, false) => Difference::Otherwise,
        }
    }

    /// A clause breaks at most once in a trace, and no two have one partner: so equal counts and a partner for each of one
    /// side are a partner for each of both.
    fn is_same(&self, before: &[Finding], after: &[Finding]) -> bool {
        before.len() == after.len()
            && after.iter().all(|new| {
                let partner = self.clauses.get(new.clause as usize).copied().flatten();
                let old = before.iter().find(|old| Some(old.clause) == partner);
                old.is_some_and(|old| {
                    old.rows == new.rows
                        && old.more == new.more
                        && (!self.values || same_values(&old.values, &new.values))
                })
            })
    }
}

/// What two versions say of themselves, where it differs.
pub fn facts(before: &Manifest, after: &Manifest) -> Vec<FactChange> {
    let of = |manifest: &Manifest| {
        let severity = crate::signal::Severity::from(manifest.severity);
        [
            ("severity", severity.name().to_owned()),
            ("tags", manifest.tags.join(", ")),
            ("message", manifest.message.clone()),
            ("description", manifest.description.clone()),
        ]
    };
    let both = of(before).into_iter().zip(of(after));
    both.filter(|((_, before), (_, after))| before != after)
        .map(|((fact, before), (_, after))| FactChange {
            fact,
            before,
            after,
        })
        .collect()
}

/// Pairs clauses of the same kind: first those of the same text, then the others in their order.
fn pairs(before: &[Clause], after: &[Clause]) -> Vec<Option<u32>> {
    let mut taken = vec![false; before.len()];
    let mut pairs = vec![None; after.len()];
    let exact = |old: &Clause, new: &Clause| old.kind == new.kind && old.text == new.text;
    let alike = |old: &Clause, new: &Clause| old.kind == new.kind;
    for is_pair in [&exact as &dyn Fn(&Clause, &Clause) -> bool, &alike] {
        for (pair, new) in pairs.iter_mut().zip(after) {
            if pair.is_some() {
                continue;
            }
            let mut free = before.iter().zip(&mut taken).enumerate();
            let found = free.find(|(_, (old, taken))| !**taken && is_pair(old, new));
            if let Some((index, (_, taken))) = found {
                *taken = true;
                *pair = u32::try_from(index).ok();
            }
        }
    }
    pairs
}

/// Equal, where a number that is none equals itself: it is what the rule read both times.
fn same_values(before: &[Value], after: &[Value]) -> bool {
    let same = |(old, new): (&Value, &Value)| match (old, new) {
        (Value::Float(old), Value::Float(new)) => old.to_bits() == new.to_bits() || old == new,
        (old, new) => old == new,
    };
    before.len() == after.len() && before.iter().zip(after).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::manifest::{ClauseKind, Severity};

    fn manifest(clauses: &[(ClauseKind, &str)], message: &str) -> Manifest {
        let clause = |&(kind, text): &(ClauseKind, &str)| Clause {
            kind,
            text: text.to_owned(),
            stable: true,
        };
        Manifest {
            id: "rule".to_owned(),
            description: String::new(),
            severity: Severity::Medium,
            tags: Vec::new(),
            message: message.to_owned(),
            clauses: clauses.iter().map(clause).collect(),
            columns: Vec::new(),
            constants: Vec::new(),
            triggers: Vec::new(),
        }
    }

    fn finding(clause: u32, rows: &[u32], values: &[Value]) -> Finding {
        Finding {
            rule: 0,
            trace: 0,
            clause,
            rows: rows.to_vec(),
            more: 0,
            values: values.to_vec(),
        }
    }

    use ClauseKind::{Detect, Never};

    #[test]
    fn a_clause_is_known_by_its_text_or_else_by_its_place() {
        let before = manifest(&[(Detect, "a > 1"), (Detect, "b"), (Never, "c")], "");
        let after = manifest(
            &[
                (Detect, "b"),
                (Detect, "a > 2"),
                (Detect, "d"),
                (Never, "e"),
            ],
            "",
        );
        let pairs = Pairing::new(&before, &after).clauses;
        assert_eq!(pairs, [Some(1), Some(0), None, Some(2)]);
    }

    #[test]
    fn a_number_in_a_clause_is_no_difference_and_evidence_is() {
        let before = manifest(&[(Detect, "a > 1")], "");
        let pairing = Pairing::new(&before, &manifest(&[(Detect, "a > 2")], ""));
        let old = [finding(0, &[3, 4], &[])];
        for (new, difference) in [
            (vec![finding(0, &[3, 4], &[])], Difference::Unchanged),
            (vec![finding(0, &[3], &[])], Difference::Otherwise),
            (vec![finding(1, &[3, 4], &[])], Difference::Otherwise),
            (
                vec![finding(0, &[3, 4], &[]), finding(1, &[], &[])],
                Difference::Otherwise,
            ),
            (Vec::new(), Difference::NoLonger),
        ] {
            assert_eq!(pairing.compare(&old, &new), difference, "{new:?}");
        }
        assert_eq!(pairing.compare(&[], &old), Difference::Newly);
        assert_eq!(pairing.compare(&[], &[]), Difference::Silent);
        let mut more = finding(0, &[3, 4], &[]);
        more.more = 1;
        assert_eq!(pairing.compare(&old, &[more]), Difference::Otherwise);
    }

    #[test]
    fn values_count_where_the_message_has_the_same_words() {
        let before = manifest(&[(Detect, "a")], "{} of {}");
        let nan = Value::Float(f64::NAN);
        let old = [finding(0, &[], &[nan.clone(), Value::Integer(1)])];
        let new = [finding(0, &[], &[nan.clone(), Value::Integer(2)])];
        let pairing = Pairing::new(&before, &before);
        assert_eq!(pairing.compare(&old, &old), Difference::Unchanged);
        assert_eq!(pairing.compare(&old, &new), Difference::Otherwise);
        let other = Pairing::new(&before, &manifest(&[(Detect, "a")], "{} from {}"));
        assert_eq!(other.compare(&old, &new), Difference::Unchanged);
    }

    #[test]
    fn facts_that_decide_nothing_are_told_apart() {
        let before = manifest(&[(Detect, "a")], "old");
        let mut after = manifest(&[(Detect, "b")], "new");
        after.severity = Severity::High;
        let told = facts(&before, &after);
        let told: Vec<_> = told
            .iter()
            .map(|f| (f.fact, f.before.as_str(), f.after.as_str()))
            .collect();
        assert_eq!(
            told,
            [("severity", "medium", "high"), ("message", "old", "new")]
        );
        assert_eq!(facts(&before, &before), []);
    }
}
