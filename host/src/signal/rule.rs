//! What signals say of a rule: taken from its manifest once, when the rule is loaded.

use super::{ClauseKind, Severity};
use crate::columns::projection::ColumnKey;

/// A rule as its signals name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleFacts {
    pub id: String,
    /// Hash of its content.
    pub version: String,
    pub severity: Severity,
    pub tags: Vec<String>,
    pub message: String,
    pub clauses: Vec<ClauseFacts>,
    /// The columns that it reads, in its manifest's order.
    pub reads: Vec<ColumnKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseFacts {
    pub kind: ClauseKind,
    pub text: String,
    /// No further span of the trace can undo its finding.
    pub stable: bool,
}
