//! A rule's answer, checked and mapped back from the call's numbering to the batch's.
//!
//! Every index came from a stranger: what is not among what the rule was given is a fault of the rule.

use super::bindings::exports::betrace::rule::types as abi;
use super::fault::{Fault, FaultKind};
use super::gather::Gather;
use super::limits::{EVIDENCE_ROWS, VALUE_BYTES, VALUES};

/// A clause that a trace broke.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Index into `RuleSet::rules`.
    pub rule: u32,
    /// Index into the batch's traces.
    pub trace: u32,
    /// Index into the manifest's clauses.
    pub clause: u32,
    /// Evidence: rows of the batch's columns, ascending, all of this trace, at most 100.
    pub rows: Vec<u32>,
    /// How many more there were.
    pub more: u32,
    /// The values of the message.
    pub values: Vec<Value>,
}

/// A value of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Missing,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Nanoseconds.
    Duration(i64),
}

/// What a call was about.
pub(super) struct Asked<'a> {
    pub(super) rule: u32,
    /// Indices into the batch's traces, in the call's order.
    pub(super) traces: &'a [u32],
    pub(super) clauses: usize,
    pub(super) most: usize,
}

/// Appends the findings to `out`, ordered by trace and clause; all of them or, on a fault, none.
pub(super) fn accept(
    found: Vec<abi::Finding>,
    asked: &Asked<'_>,
    gather: &Gather,
    out: &mut Vec<Finding>,
) -> Result<(), Fault> {
    if found.len() > asked.most {
        return Err(Fault::new(
            FaultKind::TooMuch,
            format!(
                "it returned {} findings, at most {} are allowed",
                found.len(),
                asked.most
            ),
        ));
    }
    let start = out.len();
    for finding in found {
        match check(finding, asked, gather) {
            Ok(finding) => out.push(finding),
            Err(fault) => {
                out.truncate(start);
                return Err(fault);
            }
        }
    }
    let new = &mut out[start..];
    new.sort_by_key(|finding| (finding.trace, finding.clause));
    if let Some(twice) = new
        .windows(2)
        .find(|pair| (pair[0].trace, pair[0].clause) == (pair[1].trace, pair[1].clause))
    {
        let message = format!(
            "it returned two findings of clause {} for one trace",
            twice[0].clause
        );
        out.truncate(start);
        return Err(Fault::new(FaultKind::Index, message));
    }
    Ok(())
}

fn check(finding: abi::Finding, asked: &Asked<'_>, gather: &Gather) -> Result<Finding, Fault> {
    let (Some(&trace), Some((rows, first))) = (
        asked.traces.get(finding.trace as usize),
        gather.spans_of(finding.trace as usize),
    ) else {
        let message = format!(
            "finding of trace {}, but the batch had {}",
            finding.trace,
            asked.traces.len()
        );
        return Err(Fault::new(FaultKind::Index, message));
    };
    if finding.clause as usize >= asked.clauses {
        let message = format!(
            "finding of clause {}, but the rule has {}",
            finding.clause, asked.clauses
        );
        return Err(Fault::new(FaultKind::Index, message));
    }
    if finding.spans.len() > EVIDENCE_ROWS {
        let message = format!(
            "{} evidence spans, at most {EVIDENCE_ROWS} are allowed",
            finding.spans.len()
        );
        return Err(Fault::new(FaultKind::TooMuch, message));
    }
    let last = first + rows.len() as u32;
    let mut spans = finding.spans;
    let mut least = first;
    for span in &mut spans {
        if *span < least || *span >= last {
            let message = format!(
                "evidence span {span} of trace {}, whose spans are {first} to {last}, is not in it or not in order",
                finding.trace
            );
            return Err(Fault::new(FaultKind::Index, message));
        }
        least = *span + 1;
        *span = *span - first + rows.start as u32;
    }
    Ok(Finding {
        rule: asked.rule,
        trace,
        clause: finding.clause,
        rows: spans,
        more: finding.more,
        values: values(finding.values)?,
    })
}

fn values(from: Vec<abi::Value>) -> Result<Vec<Value>, Fault> {
    if from.len() > VALUES {
        let message = format!(
            "{} values of a message, at most {VALUES} are allowed",
            from.len()
        );
        return Err(Fault::new(FaultKind::TooMuch, message));
    }
    let mut bytes = 0;
    let values = from.into_iter().map(|value| match value {
        abi::Value::Missing => Value::Missing,
        abi::Value::Boolean(value) => Value::Boolean(value),
        abi::Value::Integer(value) => Value::Integer(value),
        abi::Value::Float(value) => Value::Float(value),
        abi::Value::Duration(value) => Value::Duration(value),
        abi::Value::Text(text) => {
            bytes += text.len();
            Value::Text(text)
        }
    });
    let values = values.collect();
    if bytes > VALUE_BYTES {
        let message = format!(
            "{bytes} bytes of text in a message's values, at most {VALUE_BYTES} are allowed"
        );
        return Err(Fault::new(FaultKind::TooMuch, message));
    }
    Ok(values)
}
