//! About what signals take of memory, for the bounds of those who keep them.

use super::outline::{Line, Outline};
use super::{Emission, Signal};

/// A field of evidence, but for its text.
const FIELD: usize = 64;

impl Emission {
    /// About what it takes of memory.
    pub fn bytes(&self) -> usize {
        let outline = self.outline.as_ref().map_or(0, outline);
        size_of::<Emission>() + self.signal.bytes() + outline
    }
}

impl Signal {
    /// About what it takes of memory.
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.id,
            &self.rule,
            &self.version,
            &self.message,
            &self.trace_id,
        ];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let lists = self.tags.iter().chain(&self.services);
        let lists: usize = lists.map(|text| size_of::<String>() + text.len()).sum();
        let clauses = self.clauses.iter();
        let clauses: usize = clauses.map(|clause| FIELD + clause.text.len()).sum();
        let evidence = self.evidence.iter().map(|evidence| {
            let names = evidence.name.iter().chain(&evidence.service);
            let names: usize = names.map(String::len).sum();
            let fields = evidence.fields.0.iter();
            let fields: usize = fields
                .map(|(name, value)| FIELD + name.len() + json(value))
                .sum();
            4 * FIELD + names + fields
        });
        size_of::<Signal>() + 4 * FIELD + texts + lists + clauses + evidence.sum::<usize>()
    }
}

fn outline(outline: &Outline) -> usize {
    let lines = outline.lines.iter().map(|line| match line {
        Line::Span(span) => {
            let texts = span.name.iter().chain(&span.service);
            size_of::<Line>() + texts.map(String::len).sum::<usize>()
        }
        Line::More(_) => size_of::<Line>() + FIELD,
    });
    lines.sum()
}

fn json(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    let inner: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json).sum(),
        Value::Object(items) => items.iter().map(|(name, v)| name.len() + json(v)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inner
}
