//! What a rule says of itself to the host, as in `wit/rule.wit`.

use super::{Types, excerpt, stability};
use crate::types::tree::{self, ClauseKind, Place, Severity, Table};

/// `manifest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The rule's id.
    pub id: String,
    /// The `///` lines above it.
    pub description: String,
    /// How bad a finding is.
    pub severity: Severity,
    /// Free labels, in source order.
    pub tags: Vec<String>,
    /// Shown with a signal.
    pub message: String,
    /// What can break.
    pub clauses: Vec<Clause>,
    /// What the rule reads.
    pub columns: Vec<Column>,
    /// Text that symbols are compared with.
    pub constants: Vec<String>,
    /// Of every group at least one must be present.
    pub triggers: Vec<Vec<Trigger>>,
}

/// `clause`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// What makes it broken.
    pub kind: ClauseKind,
    /// Its source.
    pub text: String,
    /// No further span of the trace can undo the finding.
    pub stable: bool,
}

/// `column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it has a row for.
    pub table: Table,
    /// What the rows hold.
    pub source: ColumnSource,
    /// The rule reads the text of its symbols.
    pub text: bool,
    /// The types its values are compared with.
    pub compared: Types,
}

/// `source`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnSource {
    /// Every item has it.
    Fact(Fact),
    /// Some items have it.
    Attribute(Place, String),
}

/// `intrinsic`, as far as rules can ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Fact {
    Name,
    Service,
    StatusMessage,
    TraceId,
    SpanId,
    ParentId,
    Depth,
    ChildCount,
    Events,
    Links,
    Start,
    End,
    Duration,
    SelfTime,
    Time,
    Kind,
    Status,
    Flags,
}

/// `trigger`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// A span of this name.
    Name(String),
    /// A span whose name starts so.
    NamePrefix(String),
    /// A span of this service.
    Service(String),
    /// A span that has this attribute.
    Attribute(Place, String),
}

/// Tags of a rule: they travel with each of its signals.
const MAX_TAGS: usize = 64;

/// Bytes of a tag: it is a name that people type.
const MAX_TAG_BYTES: usize = 200;

/// Clauses of a rule. One contract has a handful.
const MAX_CLAUSES: usize = 256;

/// Fields of a rule: each is a column that every call carries.
const MAX_COLUMNS: usize = 256;

/// Texts that a rule compares names and values with.
const MAX_CONSTANTS: usize = 4_096;

impl Manifest {
    /// What there is too much of, in words: the host takes no rule beyond these bounds.
    pub fn excess(&self) -> Option<String> {
        let counts = [
            ("tags", self.tags.len(), MAX_TAGS),
            ("clauses", self.clauses.len(), MAX_CLAUSES),
            ("fields", self.columns.len(), MAX_COLUMNS),
            ("different texts", self.constants.len(), MAX_CONSTANTS),
        ];
        if let Some((what, count, most)) = counts.into_iter().find(|(_, count, most)| count > most)
        {
            return Some(format!("the rule has {count} {what}, of at most {most}"));
        }
        let tag = self.tags.iter().find(|tag| tag.len() > MAX_TAG_BYTES)?;
        Some(format!(
            "a tag has {} bytes, of at most {MAX_TAG_BYTES}",
            tag.len()
        ))
    }
}

pub(super) fn clauses(rule: &tree::Rule, source: &str) -> Vec<Clause> {
    rule.clauses
        .iter()
        .map(|(kind, clause)| Clause {
            kind: *kind,
            text: text(clause, source),
            stable: stability::stable(rule, *kind, &clause.condition),
        })
        .collect()
}

/// A clause's source, as it is shown to people.
pub(super) fn text(clause: &tree::Clause, source: &str) -> String {
    on_one_line(excerpt(source, clause.span.start, clause.span.end))
}

/// Source as it is shown with a signal: without comments, each run of white space outside of quotes one blank.
fn on_one_line(source: &str) -> String {
    let mut line = String::with_capacity(source.len());
    let mut rest = source.chars().peekable();
    let mut apart = false;
    while let Some(c) = rest.next() {
        let comment = c == '#' || (c == '/' && rest.peek() == Some(&'/'));
        if comment {
            while rest.next_if(|c| *c != '\n').is_some() {}
        }
        if comment || c.is_whitespace() {
            apart = true;
            continue;
        }
        if std::mem::take(&mut apart) && !line.is_empty() {
            line.push(' ');
        }
        line.push(c);
        if matches!(c, '"' | '\'') {
            while let Some(inner) = rest.next() {
                line.push(inner);
                if inner == '\\' {
                    line.extend(rest.next());
                } else if inner == c {
                    break;
                }
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::on_one_line;

    #[test]
    fn comments_and_line_ends_go_and_quotes_stay() {
        let source = "a.where( # why\r\n  x == 'b  # \\'c'\t// and so\n\n) > 1 # end";
        assert_eq!(on_one_line(source), "a.where( x == 'b  # \\'c' ) > 1");
        assert_eq!(on_one_line("# first\n'open"), "'open");
        assert_eq!(on_one_line(""), "");
    }
}
