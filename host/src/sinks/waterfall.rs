//! A trace's outline as lines of a terminal: service, tree, a bar in the trace's time, offset and duration.
//!
//! ```text
//!   frontend       POST /checkout            ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━     0 ms   312 ms
//!   checkout       └ checkout.place_order     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━   6.1 ms   290 ms
//! > payment          ├ payment.charge_card        ━━━━━━━━━━                 98.2 ms   120 ms
//!                    │   amount = 2310.5   currency = EUR
//!                    └ … 37 more
//! ```

use super::paint::{Paint, Style};
use super::person::values;
use super::text;
use crate::signal::Evidence;
use crate::signal::outline::{Line, MoreLine, Outline, SpanLine};
use crate::signal::shrink::{LEAST, shrunk};

/// Columns of a service's name.
const SERVICE: usize = 14;

/// Columns of an offset and of a duration: `12.4 ms`, `59m 59s`, and a gap.
const TIME: usize = 9;

/// Levels of the tree that are indented; deeper ones stay there, so that their names can be read.
const MAX_INDENT: usize = 10;

/// Bars are at least this wide, and this share of what service and times leave free.
const MIN_BAR: usize = 12;
const BAR_OF_TEN: usize = 4;

/// Behind values of which not all are shown.
const CUT: &str = " …";

/// Lines of one span's values in a small view.
const SMALL_VALUES: usize = 2;

/// The outline's lines, each at most `width` columns. Its evidence are indices into `evidence`.
pub fn lines(evidence: &[Evidence], outline: &Outline, paint: Paint, width: usize) -> Vec<String> {
    draw(evidence, outline, paint, width, usize::MAX)
}

/// As [`lines`], in about `most` lines: what matters least is left out.
pub fn small(
    evidence: &[Evidence],
    outline: &Outline,
    paint: Paint,
    width: usize,
    most: usize,
) -> Vec<String> {
    let of = |spans| {
        draw(
            evidence,
            &shrunk(outline, spans),
            paint,
            width,
            SMALL_VALUES,
        )
    };
    // Values take lines, too, and how many is known when they are drawn.
    let mut drawn = of(most);
    for spans in (LEAST..most).rev() {
        if drawn.len() <= most {
            break;
        }
        drawn = of(spans);
    }
    drawn
}

fn draw(
    evidence: &[Evidence],
    outline: &Outline,
    paint: Paint,
    width: usize,
    value_lines: usize,
) -> Vec<String> {
    let free = width.saturating_sub(2 + SERVICE + 1 + 2 * TIME);
    let bar = (free * BAR_OF_TEN / 10).max(MIN_BAR);
    let canvas = Canvas {
        paint,
        name: free.saturating_sub(bar + 1),
        bar,
        value_lines,
        extent_ns: outline.extent_ns,
    };
    let mut drawn = Vec::new();
    let mut last_values = Vec::new();
    for (line, branch) in outline.lines.iter().zip(branches(&outline.lines)) {
        match line {
            Line::Span(span) => {
                drawn.push(canvas.span(span, &branch));
                let Some(evidence) = span.evidence.and_then(|index| evidence.get(index)) else {
                    continue;
                };
                let values = values(&evidence.fields);
                // Siblings often repeat what the one above has said.
                if values != last_values {
                    drawn.extend(canvas.values(&values, &branch));
                    last_values = values;
                }
            }
            Line::More(more) => drawn.push(canvas.more(more, &branch)),
        }
    }
    drawn
}

/// What stands left of a line's text, and left of what belongs below it.
struct Branch {
    here: String,
    below: String,
}

struct Canvas {
    paint: Paint,
    name: usize,
    bar: usize,
    /// Lines of one span's values.
    value_lines: usize,
    extent_ns: u64,
}

impl Canvas {
    fn span(&self, span: &SpanLine, branch: &Branch) -> String {
        let is_evidence = span.evidence.is_some();
        let (mark, style) = if is_evidence {
            (">", Style::Bad)
        } else {
            (" ", Style::Faint)
        };
        let error = if span.error { " error" } else { "" };
        let room = self
            .name
            .saturating_sub(text::width(&branch.here) + error.len());
        let name = text::clean(span.name.as_deref().unwrap_or("(no name)"), room);
        let fill = " ".repeat(room.saturating_sub(text::width(&name)));
        let name = if is_evidence {
            self.paint.paint(Style::Strong, &name)
        } else {
            name
        };
        format!(
            "{} {} {}{name}{}{fill} {}{}{}",
            self.paint.paint(Style::Bad, mark),
            text::column(span.service.as_deref().unwrap_or("?"), SERVICE),
            self.paint.paint(Style::Faint, &branch.here),
            self.paint.paint(Style::Bad, error),
            self.paint.paint(style, &self.bar_of(span)),
            self.paint.paint(Style::Faint, &time(span.offset_ns)),
            time(span.duration_ns),
        )
    }

    /// The values of a span, below it, as many to a line as fit.
    fn values(&self, values: &[String], branch: &Branch) -> Vec<String> {
        let left = format!(
            "{}{}",
            " ".repeat(2 + SERVICE + 1),
            self.paint.paint(Style::Faint, &branch.below)
        );
        let room = (self.name + self.bar + 2 * TIME).saturating_sub(text::width(&branch.below) + 1);
        let cut = match self.value_lines {
            usize::MAX => 0,
            _ => text::width(CUT),
        };
        let room = room.saturating_sub(cut);
        let mut lines: Vec<String> = Vec::new();
        for value in values {
            let value = text::clean(value, room);
            let is_last = lines.len() >= self.value_lines;
            match lines.last_mut() {
                Some(line) if text::width(line) + 3 + text::width(&value) <= room => {
                    line.push_str("   ");
                    line.push_str(&value);
                }
                Some(line) if is_last => {
                    line.push_str(CUT);
                    break;
                }
                _ => lines.push(value),
            }
        }
        lines
            .iter()
            .map(|line| format!("{left} {}", self.paint.paint(Style::Doubtful, line)))
            .collect()
    }

    fn more(&self, more: &MoreLine, branch: &Branch) -> String {
        let (mark, style) = if more.evidence > 0 {
            (">", Style::Bad)
        } else {
            (" ", Style::Faint)
        };
        let mut words = format!("… {} more", more.spans);
        if let Some(name) = &more.name {
            words.push_str(&format!(" {}", text::clean(name, 40)));
        }
        if more.evidence > 0 && more.evidence < more.spans {
            words.push_str(&format!(", {} of them evidence", more.evidence));
        }
        let room = (self.name + self.bar + 2 * TIME).saturating_sub(text::width(&branch.here));
        format!(
            "{} {}{}{}",
            self.paint.paint(Style::Bad, mark),
            " ".repeat(SERVICE + 1),
            self.paint.paint(Style::Faint, &branch.here),
            self.paint.paint(style, &text::clean(&words, room))
        )
    }

    /// A span's time within the trace's: at least one cell, dotted where it has no end.
    fn bar_of(&self, span: &SpanLine) -> String {
        let Some(offset) = span.offset_ns else {
            return " ".repeat(self.bar);
        };
        let extent = self.extent_ns.max(1) as f64;
        let cells = self.bar as f64;
        let from = ((offset as f64 / extent * cells) as usize).min(self.bar.saturating_sub(1));
        let (len, cell) = match span.duration_ns {
            Some(duration) => ((duration as f64 / extent * cells).round() as usize, '━'),
            None => (self.bar, '┄'),
        };
        let len = len.clamp(1, self.bar - from);
        let mut bar = " ".repeat(from);
        bar.extend(std::iter::repeat_n(cell, len));
        bar.extend(std::iter::repeat_n(' ', self.bar - from - len));
        bar
    }
}

fn time(ns: Option<u64>) -> String {
    let text = ns.map_or_else(|| "?".to_owned(), text::duration);
    format!("{text:>TIME$}")
}

/// The tree's strokes of each line: whether a level goes on below is known from the lines that follow.
fn branches(lines: &[Line]) -> Vec<Branch> {
    let indent = |line: &Line| line.depth().min(MAX_INDENT);
    let mut goes_on = [false; MAX_INDENT + 1];
    let mut branches = Vec::with_capacity(lines.len());
    let mut below = 0;
    for line in lines.iter().rev() {
        let depth = indent(line);
        let strokes = |upto: usize| -> String {
            (1..upto)
                .map(|level| {
                    if goes_on.get(level) == Some(&true) {
                        "│ "
                    } else {
                        "  "
                    }
                })
                .collect()
        };
        let here_goes_on = goes_on.get(depth) == Some(&true);
        let here = match (depth, here_goes_on) {
            (0, _) => String::new(),
            (_, true) => strokes(depth) + "├ ",
            (_, false) => strokes(depth) + "└ ",
        };
        let own = match (depth, here_goes_on) {
            (0, _) => "",
            (_, true) => "│ ",
            (_, false) => "  ",
        };
        let child = if below > depth { "│ " } else { "  " };
        branches.push(Branch {
            here,
            below: strokes(depth) + own + child,
        });
        // Above this line its own level goes on, and what lies deeper ends.
        for (level, flag) in goes_on.iter_mut().enumerate().skip(depth) {
            *flag = level == depth;
        }
        below = depth;
    }
    branches.reverse();
    branches
}
