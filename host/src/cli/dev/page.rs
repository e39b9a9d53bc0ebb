//! Lines for a terminal, none wider than it.

use crate::sinks::paint::{Paint, Style};
use crate::sinks::person::{MAX_WIDTH, MIN_WIDTH};
use crate::sinks::text;

/// Text that is being written.
pub(super) struct Page {
    pub(super) paint: Paint,
    pub(super) width: usize,
    out: String,
}

impl Page {
    pub(super) fn new(paint: Paint, width: usize) -> Page {
        Page {
            paint,
            width: width.clamp(MIN_WIDTH, MAX_WIDTH),
            out: String::new(),
        }
    }

    /// The lines, each with a line feed.
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// A line as it is: clean, and cut by whoever made it.
    pub(super) fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// Text behind `indent` spaces, over as many lines as it needs, up to `most`.
    pub(super) fn text(&mut self, indent: usize, style: Style, body: &str, most: usize) {
        let room = self.width.saturating_sub(indent);
        let body = text::clean(body, room.saturating_mul(most));
        for line in text::wrapped(&body, room).iter().take(most) {
            let line = self.paint.paint(style, line);
            self.line(&format!("{}{line}", " ".repeat(indent)));
        }
    }

    /// Something named, and what is said of it, on one line or more.
    pub(super) fn named(&mut self, indent: usize, name: &str, body: &str) {
        let name = text::clean(name, self.width / 2);
        let left = indent + text::width(&name) + 1;
        let mut lines = text::wrapped(body, self.width.saturating_sub(left)).into_iter();
        let first = lines.next().unwrap_or_default();
        self.line(&format!(
            "{}{} {first}",
            " ".repeat(indent),
            self.paint.paint(Style::Strong, &name)
        ));
        for line in lines {
            self.line(&format!("{}{line}", " ".repeat(left)));
        }
    }
}
