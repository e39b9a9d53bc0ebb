//! What two versions of a rule found in one trace, compared.

use crate::engine::Finding;

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

/// Compares the findings of the version before and of the new one in one trace, each in the order of clauses. Severity,
/// tags and message are no reasons: a trace that fires as before does, whatever it is called now.
pub fn compare(before: &[Finding], after: &[Finding]) -> Difference {
    match (before.is_empty(), after.is_empty()) {
        (true, true) => Difference::Silent,
        (true, false) => Difference::Newly,
        (false, true) => Difference::NoLonger,
        (false, false) if same(before, after) => Difference::Unchanged,
        (false, false) => Difference::Otherwise,
    }
}

fn same(before: &[Finding], after: &[Finding]) -> bool {
    let reasons = |finding: &Finding| {
        (
            finding.clause,
            finding.rows.clone(),
            finding.more,
            format!("{:?}", finding.values),
        )
    };
    before.iter().map(reasons).eq(after.iter().map(reasons))
}
