//! Signals of what the engine found: its rules and findings, as [`judge`](super::judge) sees them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::judge::{Context, Found, Unfinished, build};
use super::rule::{ClauseFacts, RuleFacts};
use super::{Certainty, ClauseKind, Emission, Severity};
use crate::assemble::trace::{Requests, Trace};
use crate::columns::batch::Columns;
use crate::engine::manifest;
use crate::engine::{Finding, Rule, RuleSet};

/// A batch that a rule set has judged.
#[derive(Debug)]
pub struct Judged<'a, R> {
    pub set: &'a RuleSet,
    pub columns: &'a Columns,
    pub traces: &'a [Trace],
    pub requests: &'a R,
    pub unfinished: Unfinished,
    /// Whether to draw traces for a person.
    pub outlines: bool,
    /// The time now, in Unix nanoseconds.
    pub detected_at: u64,
}

/// Appends the signals of `findings`, in the order of traces and then of rules, and counts them.
pub fn signals<R: Requests>(judged: &Judged<'_, R>, findings: &[Finding], out: &mut Vec<Emission>) {
    let before = out.len();
    draw(judged, findings, out);
    let mut counts: HashMap<&str, [u64; 2]> = HashMap::new();
    for emission in out.get(before..).unwrap_or_default() {
        let [certain, unsure] = counts.entry(&emission.signal.rule).or_default();
        match emission.signal.certainty {
            Certainty::Certain => *certain += 1,
            Certainty::Unsure => *unsure += 1,
        }
    }
    let rules: BTreeSet<u32> = findings.iter().map(|finding| finding.rule).collect();
    for rule in rules {
        if let Some(rule) = judged.set.rules.get(rule as usize)
            && let Some(&[certain, unsure]) = counts.get(rule.id.as_str())
        {
            rule.signalled(certain, unsure);
        }
    }
}

/// Appends the signals of `findings` without counting them, as they go nowhere but to whoever looks at them.
pub fn draw<R: Requests>(judged: &Judged<'_, R>, findings: &[Finding], out: &mut Vec<Emission>) {
    let mut rules = BTreeMap::new();
    for finding in findings {
        if let Some(rule) = judged.set.rules.get(finding.rule as usize) {
            rules
                .entry(finding.rule)
                .or_insert_with(|| RuleFacts::from(&**rule));
        }
    }
    let context = Context {
        rules: &rules,
        projection: &judged.set.projection,
        columns: judged.columns,
        traces: judged.traces,
        requests: judged.requests,
        unfinished: judged.unfinished,
        outlines: judged.outlines,
        detected_at: judged.detected_at,
    };
    let mut found: Vec<Found<'_>> = findings.iter().map(Found::from).collect();
    build(&context, &mut found, out);
}

impl From<&Rule> for RuleFacts {
    fn from(rule: &Rule) -> RuleFacts {
        let manifest = &rule.manifest;
        let clause = |clause: &manifest::Clause| ClauseFacts {
            kind: clause.kind.into(),
            text: clause.text.clone(),
            stable: clause.stable,
        };
        RuleFacts {
            id: rule.id.clone(),
            version: rule.version.clone(),
            severity: manifest.severity.into(),
            tags: manifest.tags.clone(),
            message: manifest.message.clone(),
            clauses: manifest.clauses.iter().map(clause).collect(),
            reads: manifest
                .columns
                .iter()
                .map(|column| column.key.clone())
                .collect(),
        }
    }
}

impl<'a> From<&'a Finding> for Found<'a> {
    fn from(finding: &'a Finding) -> Found<'a> {
        Found {
            rule: finding.rule,
            trace: finding.trace,
            clause: finding.clause,
            rows: &finding.rows,
            more: finding.more,
        }
    }
}

impl From<manifest::Severity> for Severity {
    fn from(severity: manifest::Severity) -> Severity {
        match severity {
            manifest::Severity::Info => Severity::Info,
            manifest::Severity::Low => Severity::Low,
            manifest::Severity::Medium => Severity::Medium,
            manifest::Severity::High => Severity::High,
            manifest::Severity::Critical => Severity::Critical,
        }
    }
}

impl From<manifest::ClauseKind> for ClauseKind {
    fn from(kind: manifest::ClauseKind) -> ClauseKind {
        match kind {
            manifest::ClauseKind::Detect => ClauseKind::Detect,
            manifest::ClauseKind::Expect => ClauseKind::Expect,
            manifest::ClauseKind::Always => ClauseKind::Always,
            manifest::ClauseKind::Never => ClauseKind::Never,
        }
    }
}
