//! Warnings: rules that compile and probably do not say what is meant.

use super::tree::{Base, ClauseKind, Condition, Rule, Set};
use crate::diagnostic::{Code, Diagnostic, Sink};

/// Pushes the warnings about a rule.
pub(super) fn rule(rule: &Rule, source: &str, sink: &mut Sink) {
    let mut lints = Lints { source, sink };
    let when = rule.when.iter().map(|clause| (true, clause));
    let clauses = rule.clauses.iter().map(|(kind, clause)| {
        (
            matches!(kind, ClauseKind::Detect | ClauseKind::Never),
            clause,
        )
    });
    for (signals, clause) in when.chain(clauses) {
        lints.condition(&clause.condition, signals, &[]);
    }
}

struct Lints<'s, 'd> {
    source: &'s str,
    sink: &'d mut Sink,
}

impl Lints<'_, '_> {
    /// `signals`: the rule signals where this is true, and not where it is false. `beside`: what is true as well.
    fn condition(&mut self, condition: &Condition, signals: bool, beside: &[Condition]) {
        match condition {
            Condition::Not(inner) => self.condition(inner, !signals, &[]),
            Condition::And(parts) => {
                for part in parts {
                    self.condition(part, signals, parts);
                }
            }
            Condition::Or(parts) => {
                for part in parts {
                    self.condition(part, signals, &[]);
                }
            }
            Condition::Every(set, _)
                if signals && may_be_empty(set) && !self.asked_for(set, beside) =>
            {
                self.all_over_nothing(set);
            }
            _ => {}
        }
    }

    fn all_over_nothing(&mut self, set: &Set) {
        let text = set.span.text(self.source);
        let base = text.split(".all").next().unwrap_or(text);
        let diagnostic = Diagnostic::new(
            Code::AllOverNothing,
            set.span,
            "`all` is true in traces that have no such span",
        )
        .here("the rule signals there too");
        self.sink
            .push(if base.len() < 60 && base.len() < text.len() {
                diagnostic.help(format!("ask for one as well: `{base}.exists and …`"))
            } else {
                diagnostic.help("ask with `exists` for one as well")
            });
    }

    /// Whether what stands beside `all` in an `and` asks for a span of the same set. By its text: good enough for a
    /// warning.
    fn asked_for(&self, set: &Set, beside: &[Condition]) -> bool {
        let text = set.span.text(self.source);
        beside.iter().any(|other| match other {
            Condition::Exists(other) => {
                let base = other.span.text(self.source);
                let base = base.strip_suffix(".exists").unwrap_or(base);
                text.strip_prefix(base)
                    .is_some_and(|rest| rest.starts_with(".all"))
            }
            _ => false,
        })
    }
}

/// A trace has spans; fewer than all of them may be none.
fn may_be_empty(set: &Set) -> bool {
    set.base != Base::All || !set.filters.is_empty()
}
