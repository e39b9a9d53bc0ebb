//! Findings to signals: what a rule found in a trace becomes one object that says what broke, where, and how sure it is.
//!
//! ```text
//! [Finding] + rules + columns + traces + requests -> signals -> [Emission { Signal, Outline? }]
//! ```
//! One rule and one trace make one signal, whichever and however many clauses broke; its id depends on those two alone.

pub(crate) mod draw;
pub mod evidence;
pub mod judge;
#[cfg(feature = "engine")]
mod of_engine;
pub mod outline;
pub mod rule;
pub mod shrink;
mod size;
pub mod stamp;

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use crate::assemble::trace::Completion;

/// That a trace broke a rule. Fields are serialised in this order.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Signal {
    /// A hash of rule id and trace id: an edited rule, a late span or a restart never makes it another signal.
    pub id: String,
    pub rule: String,
    /// Hash of the rule's content.
    pub version: String,
    pub severity: Severity,
    pub tags: Vec<String>,
    /// The clauses that broke, in the rule's order.
    pub clauses: Vec<BrokenClause>,
    pub certainty: Certainty,
    /// The rule's own words; empty where it has none.
    pub message: String,
    pub trace_id: String,
    /// Of the span without a parent, else of the trace's first span.
    pub root_service: Option<String>,
    pub root_name: Option<String>,
    /// The spans that decided, in tree order.
    pub evidence: Vec<Evidence>,
    /// The distinct services of the whole trace, sorted.
    pub services: Vec<String>,
    #[serde(serialize_with = "completion_name")]
    #[schema(value_type = String, example = "root")]
    pub completeness: Completion,
    pub missing_parents: u32,
    /// RFC 3339, UTC.
    pub trace_start: String,
    pub detected_at: String,
    /// At least so many spans more would be evidence, had it not been cut.
    #[serde(skip_serializing_if = "is_zero")]
    pub evidence_more: u64,
}

/// How bad a finding is; ordered from the mildest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// Which body a clause stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClauseKind {
    Detect,
    Expect,
    Always,
    Never,
}

/// Can more spans still undo the signal?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    Certain,
    Unsure,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BrokenClause {
    pub kind: ClauseKind,
    pub text: String,
    /// Its place among the rule's clauses.
    pub index: u32,
}

/// A span that decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    pub span_id: String,
    pub name: Option<String>,
    pub service: Option<String>,
    /// From the trace's first start, as rules see it.
    pub offset_ns: Option<u64>,
    /// Null where the span has not ended, or ended before it started.
    pub duration_ns: Option<u64>,
    /// What the rule read of it, under the names that the rule uses.
    #[schema(value_type = Object)]
    pub fields: Fields,
}

/// Named values in the order in which the rule reads them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(pub Vec<(String, serde_json::Value)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// What goes to the sinks: a signal, and for those that draw, its trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    pub trace_id: [u8; 16],
    pub signal: std::sync::Arc<Signal>,
    pub outline: Option<outline::Outline>,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl ClauseKind {
    pub fn name(self) -> &'static str {
        match self {
            ClauseKind::Detect => "detect",
            ClauseKind::Expect => "expect",
            ClauseKind::Always => "always",
            ClauseKind::Never => "never",
        }
    }
}

fn completion_name<S: Serializer>(
    completion: &Completion,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(completion.name())
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
