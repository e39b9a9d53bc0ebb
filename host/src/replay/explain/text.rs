//! An explanation for a person who was woken by it: the verdict, why, then the rule part by part with its spans.
//!
//! ```text
//! DOES NOT FIRE  payment-fraud-check  on trace 4bf92f3577b34da6a3ce929d0e0e4736
//!   why     `when` does not hold: none of 2 spans `payment.charge_card` passes `amount > 1000`: `amount` was text in 2 of 2 spans
//!   trace   checkout  POST /checkout  12 spans, 312 ms
//!
//!   no    when
//!   no      payment.charge_card.where(amount > 1000)
//!   2         payment.charge_card
//! > 0         amount > 1000
//!               payment  payment.charge_card  +98.2 ms  amount = "2310.5"
//!   -     always { payment.fraud_check }
//! ```
//! A clause in which nothing decided takes one line; `-` says that it was not asked. All text of rules and traces goes through [`text::clean`]; no line is wider than asked; what is left out is counted.

use std::time::{SystemTime, UNIX_EPOCH};

use super::explained::{Explained, Explanation, InRing, Outcome, PartView, Where};
use super::words::{completion, one_line, value};
use crate::signal::{Certainty, Evidence};
use crate::sinks::paint::{Paint, Style};
use crate::sinks::person::{MAX_WIDTH, MIN_WIDTH};
use crate::sinks::text::{self, clean, counted, duration, wrapped};

/// Lines of parts: two screens. What decides comes first into them.
pub const MAX_LINES: usize = 80;

/// Spans that are drawn below a part that decides, and below another.
const DECIDING_SPANS: usize = 4;

/// Columns of a reason, over several lines.
const REASON: usize = 600;

/// Reasons that are drawn.
const REASONS: usize = 5;

/// Columns of what a part has come to.
const VALUE: usize = 6;

/// Levels of parts that are indented.
const MAX_INDENT: usize = 16;

/// Draws an explanation, with a line feed after each line.
pub fn view(explanation: &Explanation, paint: Paint, width: usize) -> String {
    let mut page = Page {
        paint,
        width: width.clamp(MIN_WIDTH, MAX_WIDTH),
        out: String::new(),
    };
    page.head(explanation);
    match &explanation.explained {
        Some(explained) => page.explained(explanation, explained),
        None => page.elsewhere(&explanation.whereabouts),
    }
    page.out
}

struct Page {
    paint: Paint,
    width: usize,
    out: String,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn head(&mut self, explanation: &Explanation) {
        let (word, style) = match explanation.outcome {
            Outcome::Fires => ("FIRES", Style::Bad),
            Outcome::Quiet => ("DOES NOT FIRE", Style::Label),
            Outcome::NotAsked => ("NOT ASKED", Style::Label),
            Outcome::Failed => ("FAILED", Style::Bad),
            Outcome::Unknown => ("NOT AT HAND", Style::Doubtful),
        };
        let trace = clean(&explanation.trace_id, 32);
        let room = self
            .width
            .saturating_sub(word.len() + "  on trace ".len() + 2 + trace.len());
        let line = format!(
            "{}  {}  on trace {trace}",
            self.paint.paint(style, word),
            self.paint
                .paint(Style::Strong, &clean(&explanation.rule, room)),
        );
        self.line(&line);
    }

    fn explained(&mut self, explanation: &Explanation, explained: &Explained) {
        let style = match explained.outcome {
            Outcome::Fires | Outcome::Failed => Style::Bad,
            _ => Style::Strong,
        };
        for (index, reason) in explained.reasons.iter().take(REASONS).enumerate() {
            let label = if index == 0 { "why" } else { "" };
            self.fact(
                label,
                &reason.text,
                if index == 0 { style } else { Style::Faint },
            );
        }
        if explained.reasons.is_empty() && explained.outcome == Outcome::Fires {
            for body in explained.bodies.iter().filter(|body| body.broken) {
                let clause = format!("{} {{ {} }}", body.kind, one_line(&body.text));
                self.fact("broke", &clause, style);
            }
        }
        let more = explained.reasons.len().saturating_sub(REASONS);
        if more > 0 {
            self.fact(
                "",
                &format!("… {}", counted(more as u64, "more reason")),
                Style::Faint,
            );
        }
        self.trace(explanation, explained);
        if let Some(missing) = &explained.parts_missing {
            self.fact("parts", &format!("not shown: {missing}"), Style::Faint);
            for body in &explained.bodies {
                let word = if body.broken { "broken" } else { "kept" };
                let clause = format!("{word}: {} {{ {} }}", body.kind, one_line(&body.text));
                self.fact("", &clause, Style::Faint);
            }
        }
        if explained.parts_missing.is_some() {
            self.triggers(explained);
        }
        self.parts(explained);
    }

    fn trace(&mut self, explanation: &Explanation, explained: &Explained) {
        let trace = &explained.trace;
        let root = [&trace.root_service, &trace.root_name]
            .map(|part| part.as_deref().unwrap_or("?"))
            .join("  ");
        self.fact(
            "trace",
            &format!(
                "{root}  {}, {}",
                counted(trace.spans, "span"),
                duration(trace.extent_ns)
            ),
            Style::Faint,
        );
        let mut judged = completion(&trace.completion).to_owned();
        if trace.missing_parents > 0 {
            judged.push_str(&format!(
                "; {} missing",
                counted(trace.missing_parents.into(), "parent span")
            ));
        }
        if trace.dropped {
            judged.push_str("; some span dropped attributes, events or links");
        }
        if trace.generation > 0 {
            judged.push_str(&format!(
                "; judged by rule set {}{}",
                trace.generation,
                ago(trace.judged_at)
            ));
        }
        self.fact("", &judged, Style::Faint);
        if let Where::Judged { late, .. } = explanation.whereabouts
            && late > 0
        {
            let late = format!(
                "{} came too late to be judged",
                counted(late.into(), "span")
            );
            self.fact("late", &late, Style::Doubtful);
        }
        if explained.certainty == Some(Certainty::Unsure) {
            self.fact("unsure", "more spans could undo this", Style::Doubtful);
        }
        match (explained.fired_then, explained.outcome) {
            (Some(true), Outcome::Quiet | Outcome::NotAsked) => self.fact(
                "then",
                "the rule fired when the trace was judged: it was another version",
                Style::Doubtful,
            ),
            (Some(false), Outcome::Fires) => self.fact(
                "then",
                "the rule did not fire when the trace was judged: it was another version, or not in force yet",
                Style::Doubtful,
            ),
            _ => {}
        }
    }

    fn triggers(&mut self, explained: &Explained) {
        for (index, group) in explained.triggers.iter().enumerate() {
            let label = if index == 0 { "needs" } else { "and" };
            let mut words: Vec<String> = group.triggers.iter().map(|t| t.text.clone()).collect();
            if group.more > 0 {
                words.push(format!("{} more", group.more));
            }
            let is = if group.met { "there" } else { "absent" };
            let style = if group.met {
                Style::Faint
            } else {
                Style::Doubtful
            };
            self.fact(label, &format!("{} ({is})", words.join(" or ")), style);
        }
    }

    /// The rule, part by part.
    fn parts(&mut self, explained: &Explained) {
        let drawn = Drawn::of(explained);
        if !drawn.lines.is_empty() {
            self.line("");
        }
        for line in &drawn.lines {
            self.part(line);
        }
        let left_out = drawn.left_out + explained.parts_more;
        if left_out > 0 {
            let text = format!("    … {}; JSON has them", counted(left_out, "more part"));
            let text = self.paint.paint(Style::Faint, &text);
            self.line(&text);
        }
    }

    fn part(&mut self, line: &Line<'_>) {
        let part = line.part;
        let kind = part.kind.as_str();
        let value = match line.part.holds {
            _ if line.unasked => "-".to_owned(),
            _ if is_of_spans(part) => part.count.to_string(),
            true => "yes".to_owned(),
            false => "no".to_owned(),
        };
        let counts = match (kind, part.others) {
            ("number", None) => format!("  {}", part.count),
            ("number", Some(others)) => format!("  {} and {others}", part.count),
            ("every", Some(others)) if part.count > 0 => {
                format!("  {} of {others} do not pass", part.count)
            }
            _ => String::new(),
        };
        let indent = 2 * (part.depth as usize).min(MAX_INDENT);
        let room = self
            .width
            .saturating_sub(2 + VALUE + indent + text::width(&counts));
        let body = match is_body(part) {
            true if line.open => kind.to_owned(),
            true => format!("{kind} {{ {} }}", one_line(&part.text)),
            false => words_of(&part.text),
        };
        let (mark, style) = match line.decides {
            true => (">", Style::Strong),
            false => (" ", Style::Faint),
        };
        let text = format!(
            "{} {}{}{}{}",
            self.paint.paint(Style::Bad, mark),
            self.paint.paint(style, &text::column(&value, VALUE)),
            " ".repeat(indent),
            self.paint.paint(style, &clean(&body, room)),
            self.paint.paint(style, &counts),
        );
        self.line(&text);
        if line.decides {
            self.spans(part, indent);
        }
    }

    fn spans(&mut self, part: &PartView, indent: usize) {
        if part.kind == "number" {
            // Its number is what counts.
            return;
        }
        let left = " ".repeat(2 + VALUE + indent + 2);
        let room = self.width.saturating_sub(left.len());
        for span in part.spans.iter().take(DECIDING_SPANS) {
            let mut line = span_line(span);
            for field in part.fields.iter().filter(|field| field.missing > 0) {
                if !span.fields.0.iter().any(|(name, _)| *name == field.field) {
                    line.push_str(&format!("  {} missing", field.field));
                }
            }
            let line = clean(&line, room);
            let line = format!("{left}{}", self.paint.paint(Style::Doubtful, &line));
            self.line(&line);
        }
        let all = part.spans.len().max(match part.failed {
            true => 0,
            false => part.count as usize,
        });
        let more = all.saturating_sub(DECIDING_SPANS);
        if more > 0 {
            let more = format!("{left}… {more} more");
            self.line(&self.paint.paint(Style::Faint, &more));
        }
    }

    fn elsewhere(&mut self, whereabouts: &Where) {
        let (what, help) = elsewhere(whereabouts);
        self.fact("why", &what, Style::Strong);
        self.fact("do", help, Style::Faint);
    }

    /// A label and its text, over as many lines as it needs.
    fn fact(&mut self, label: &str, body: &str, style: Style) {
        const LABEL: usize = 8;
        let room = self.width.saturating_sub(LABEL + 2);
        let mut label = text::column(label, LABEL);
        for part in wrapped(&clean(body, REASON), room) {
            let line = format!(
                "  {}{}",
                self.paint.paint(Style::Label, &label),
                self.paint.paint(style, &part)
            );
            self.line(&line);
            label = " ".repeat(LABEL);
        }
    }
}

/// What there is to say of a trace whose spans are not at hand: what, and what to do.
pub fn elsewhere(whereabouts: &Where) -> (String, &'static str) {
    match whereabouts {
        Where::Never => (
            "no span of this trace has come, or it was so long ago that the host has forgotten it"
                .to_owned(),
            "check the id; traces are remembered for as long as late spans are waited for",
        ),
        Where::Open { spans, age_ns } => (
            format!(
                "the trace is still open: {} so far, the first {} ago; no rule has been asked",
                counted(*spans, "span"),
                duration(*age_ns)
            ),
            "ask again when it is complete",
        ),
        Where::Judged {
            completion: word,
            generation,
            late,
            ago_ns,
            ring,
        } => {
            let (fate, help) = fate(*ring);
            let late = match late {
                0 => String::new(),
                late => format!("; {} came too late", counted((*late).into(), "span")),
            };
            let by = match generation {
                0 => "before the host started".to_owned(),
                generation => format!("by rule set {generation}"),
            };
            (
                format!(
                    "the trace was judged {} ago {by}, {}{late}; {fate}",
                    duration(*ago_ns),
                    completion(word),
                ),
                help,
            )
        }
        Where::Recorded => (
            "the recording does not hold this trace".to_owned(),
            "check the id",
        ),
        Where::Unknown => (
            "the host did not say where the trace is".to_owned(),
            "ask again; is the host overloaded?",
        ),
    }
}

/// Why the ring does not hold a judged trace, and what to do.
fn fate(ring: InRing) -> (&'static str, &'static str) {
    match ring {
        InRing::Kept => ("its spans are kept", "ask again"),
        InRing::Evicted => (
            "its spans were kept, and went for those of newer traces",
            "raise `ring-memory`, or `ring-signalled` if it broke a rule, to keep traces for longer",
        ),
        InRing::Skipped => (
            "its spans were never kept: so many traces came that the ring takes a part of them only",
            "raise `ring-memory`, or `ring-signalled` if it broke a rule, or lower `ring-turnover`, to keep a larger part",
        ),
        InRing::TooLarge => (
            "its spans were never kept: it is larger than all that the ring may hold",
            "raise `ring-memory`, or `ring-signalled` if it broke a rule; each worker has its share",
        ),
        InRing::Repeated => (
            "its spans were never kept, as those of an earlier trace of the same id were",
            "raise `decided-for`, so that spans that come so late make no second trace",
        ),
        InRing::Off => (
            "its spans were never kept, as `ring-memory` is 0",
            "set `ring-memory` to keep recent traces; a recording can be explained with `betrace replay --explain`",
        ),
    }
}

/// The lines of a rule.
struct Drawn<'a> {
    lines: Vec<Line<'a>>,
    left_out: u64,
}

struct Line<'a> {
    part: &'a PartView,
    decides: bool,
    /// What stands in it is drawn below.
    open: bool,
    /// It is a clause that nobody asked, as `when` does not hold.
    unasked: bool,
}

impl<'a> Drawn<'a> {
    /// All parts of the clauses in which something decided, or where they are too many, those that decide with what they
    /// stand in, then the first.
    fn of(explained: &'a Explained) -> Drawn<'a> {
        let parts = &explained.parts;
        let when = parts.iter().find(|part| part.kind == "when");
        let unasked = when.is_some_and(|when| !when.holds);
        let mut keep = vec![false; parts.len()];
        let mut deciding = Vec::new();
        let mut count = 0;
        for (at, part) in parts.iter().enumerate().filter(|(_, part)| part.decides) {
            let mut next = Some((at, part));
            while let Some((at, part)) = next.filter(|_| count < MAX_LINES) {
                if let Some(kept) = keep.get_mut(at).filter(|kept| !**kept) {
                    *kept = true;
                    count += 1;
                }
                if part.parent.is_none() {
                    deciding.push(part.index);
                }
                next = above(parts, part);
            }
        }
        let mut body = None;
        for (part, kept) in parts.iter().zip(&mut keep) {
            if part.parent.is_none() {
                body = Some(part.index);
            }
            let is_shown = part.parent.is_none() || body.is_some_and(|b| deciding.contains(&b));
            if is_shown && count < MAX_LINES && !*kept {
                *kept = true;
                count += 1;
            }
        }
        let mut drawn = Drawn {
            lines: Vec::new(),
            left_out: 0,
        };
        for (part, kept) in parts.iter().zip(keep) {
            let last = drawn.lines.last_mut();
            match last.filter(|line| says_the_same(line.part, part)) {
                Some(line) => line.decides |= part.decides,
                None if !kept => drawn.left_out += 1,
                None => {
                    let open = deciding.contains(&part.index);
                    let is_clause = part.kind == "always" || part.kind == "never";
                    drawn.lines.push(Line {
                        part,
                        decides: part.decides,
                        open,
                        unasked: unasked && is_clause,
                    });
                }
            }
        }
        drawn
    }
}

/// A set without conditions is its base: one line says it.
fn says_the_same(set: &PartView, base: &PartView) -> bool {
    set.kind == "present"
        && base.kind == "base"
        && base.parent == Some(set.index)
        && base.text == set.text
}

fn above<'a>(parts: &'a [PartView], part: &PartView) -> Option<(usize, &'a PartView)> {
    let parent = part.parent?;
    let at = parts
        .binary_search_by_key(&parent, |part| part.index)
        .ok()?;
    Some((at, parts.get(at)?))
}

fn is_of_spans(part: &PartView) -> bool {
    part.kind == "base" || part.kind.starts_with("filter")
}

fn is_body(part: &PartView) -> bool {
    part.parent.is_none()
}

fn words_of(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn span_line(span: &Evidence) -> String {
    let mut line = format!(
        "{}  {}",
        span.service.as_deref().unwrap_or("?"),
        span.name.as_deref().unwrap_or("(no name)")
    );
    if let Some(offset) = span.offset_ns {
        line.push_str(&format!("  +{}", duration(offset)));
    }
    if let Some(took) = span.duration_ns {
        line.push_str(&format!("  took {}", duration(took)));
    }
    for (name, of) in &span.fields.0 {
        let is_word = name == "kind" || name == "status";
        line.push_str(&format!("  {name} = {}", value(of, is_word)));
    }
    line
}

/// When something was judged, from now.
fn ago(unix_ns: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    match now.checked_sub(unix_ns) {
        Some(ago) if unix_ns > 0 => format!(" {} ago", duration(ago)),
        _ => String::new(),
    }
}
