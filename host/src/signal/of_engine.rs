//! The engine's rules and findings, as signals see them.

use super::judge::Found;
use super::rule::{ClauseFacts, RuleFacts};
use super::{ClauseKind, Severity};
use crate::engine::manifest;
use crate::engine::{Finding, Rule};

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
