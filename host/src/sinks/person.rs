//! A signal for a person: what broke and why, and the trace as a small waterfall with the evidence marked.
//!
//! Emission in, a block of lines out, each no wider than asked. All text goes through [`text::clean`].

use serde_json::Value;

use super::paint::{Paint, Style};
use super::{text, waterfall};
use crate::assemble::trace::Completion;
use crate::signal::outline::Outline;
use crate::signal::{Certainty, Emission, Fields, Severity, Signal};

/// Widths between which a view adapts: below, bars lose their meaning; above, the eye loses its line.
pub const MIN_WIDTH: usize = 72;
pub const MAX_WIDTH: usize = 140;

/// Columns of one value of evidence.
const VALUE: usize = 60;

/// Columns of a clause's text, over several lines.
const CLAUSE: usize = 400;

/// Evidence that is listed where there is no trace to draw it in.
const MAX_LISTED: usize = 8;

/// Draws `emission`, with a line feed after each line and an empty line at the end.
pub fn view(emission: &Emission, paint: Paint, width: usize) -> String {
    let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    let mut view = View {
        paint,
        width,
        out: String::new(),
    };
    view.head(&emission.signal);
    view.facts(&emission.signal, emission.outline.as_ref());
    view.line("");
    match &emission.outline {
        Some(outline) => {
            for line in waterfall::lines(&emission.signal.evidence, outline, paint, width) {
                view.line(&line);
            }
        }
        None => view.list(&emission.signal),
    }
    view.line("");
    view.out
}

struct View {
    paint: Paint,
    width: usize,
    out: String,
}

impl View {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn head(&mut self, signal: &Signal) {
        let severity = signal.severity.name().to_uppercase();
        let style = match signal.severity {
            Severity::Critical => Style::Alarm,
            Severity::High => Style::Bad,
            Severity::Medium => Style::Doubtful,
            Severity::Low | Severity::Info => Style::Label,
        };
        // To the second: nobody reads further, and JSON has the rest.
        let when = format!(
            "{} UTC",
            signal
                .trace_start
                .get(..19)
                .unwrap_or(&signal.trace_start)
                .replace('T', " ")
        );
        let room = self.width.saturating_sub(severity.len() + when.len() + 6);
        let line = format!(
            "{}  {}  {}",
            self.paint.paint(style, &format!(" {severity} ")),
            self.paint
                .paint(Style::Strong, &text::column(&signal.rule, room)),
            self.paint.paint(Style::Faint, &when),
        );
        self.line(&line);
    }

    fn facts(&mut self, signal: &Signal, outline: Option<&Outline>) {
        if !signal.message.is_empty() {
            self.fact("", &signal.message, Style::Strong);
        }
        for clause in &signal.clauses {
            let words = clause.text.split_whitespace().collect::<Vec<_>>().join(" ");
            self.fact(
                "broke",
                &format!("{} {{ {words} }}", clause.kind.name()),
                Style::Bad,
            );
        }
        let root = [&signal.root_service, &signal.root_name]
            .map(|part| part.as_deref().unwrap_or("?"))
            .join("  ");
        self.fact("in", &root, Style::Strong);
        let mut trace = signal.trace_id.clone();
        if let Some(outline) = outline {
            trace.push_str(&format!(
                "  {} of {}, {}",
                text::counted(outline.spans as u64, "span"),
                text::counted(signal.services.len() as u64, "service"),
                text::duration(outline.extent_ns)
            ));
        }
        self.fact("trace", &trace, Style::Faint);
        if signal.certainty == Certainty::Unsure {
            self.fact("unsure", &doubt(signal), Style::Doubtful);
        }
        self.fact(
            "signal",
            &format!(
                "{}  version {}",
                signal.id,
                text::clean(&signal.version, 12)
            ),
            Style::Faint,
        );
    }

    /// A label and its text, over as many lines as it needs.
    fn fact(&mut self, label: &str, body: &str, style: Style) {
        const LABEL: usize = 8;
        let room = self.width.saturating_sub(LABEL + 2);
        let mut label = text::column(label, LABEL);
        for part in text::wrapped(&text::clean(body, CLAUSE), room) {
            let line = format!(
                "  {}{}",
                self.paint.paint(Style::Label, &label),
                self.paint.paint(style, &part)
            );
            self.line(&line);
            label = " ".repeat(LABEL);
        }
    }

    /// The evidence alone, where the trace is not at hand.
    fn list(&mut self, signal: &Signal) {
        for evidence in signal.evidence.iter().take(MAX_LISTED) {
            let name = evidence.name.as_deref().unwrap_or("?");
            let service = evidence.service.as_deref().unwrap_or("?");
            let line = format!(
                "  > {} {}",
                text::column(service, 14),
                text::clean(name, self.width.saturating_sub(20))
            );
            self.line(&line);
            for value in values(&evidence.fields) {
                self.line(&format!(
                    "      {}",
                    text::clean(&value, self.width.saturating_sub(6))
                ));
            }
        }
        let rest = signal.evidence.len().saturating_sub(MAX_LISTED) as u64 + signal.evidence_more;
        if rest > 0 {
            self.line(&format!("  … {rest} more"));
        }
    }
}

/// Evidence's values, `name = value`.
pub(super) fn values(fields: &Fields) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::String(text) => text::clean(text, VALUE),
        other => text::clean(&other.to_string(), VALUE),
    };
    fields
        .0
        .iter()
        .map(|(name, value)| format!("{} = {}", text::clean(name, VALUE), shown(value)))
        .collect()
}

/// Why more spans could undo the signal.
fn doubt(signal: &Signal) -> String {
    let mut reasons = Vec::new();
    if signal.missing_parents > 0 {
        let verb = if signal.missing_parents == 1 {
            "is"
        } else {
            "are"
        };
        reasons.push(format!(
            "{} {verb} missing",
            text::counted(u64::from(signal.missing_parents), "parent span")
        ));
    }
    match signal.completeness {
        Completion::Root => {}
        Completion::Idle => reasons.push("its root never came".to_owned()),
        Completion::MaxAge => reasons.push("it was still growing at its greatest age".to_owned()),
        Completion::SpanCap | Completion::ByteCap => {
            reasons.push("it was cut at its largest size".to_owned())
        }
        Completion::Evicted => {
            reasons.push("it was judged early because memory ran short".to_owned())
        }
        Completion::Drained => reasons.push("the input ended before its root came".to_owned()),
    }
    if reasons.is_empty() {
        reasons.push("a span says that it dropped attributes or events".to_owned());
    }
    format!("more spans could undo this: {}", reasons.join(", "))
}
