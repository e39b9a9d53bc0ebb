//! Colours, where the reader is a terminal that wants them.

use std::io::IsTerminal;

/// Paints text, or leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    pub color: bool,
}

/// What a text is, which says how it is painted. The terminal's own palette, so that it suits its background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// What to look at first.
    Strong,
    /// What is there for completeness.
    Faint,
    /// What broke.
    Bad,
    /// A warning.
    Doubtful,
    /// A label.
    Label,
    /// The head of a severe signal: as much as a terminal can shout.
    Alarm,
}

impl Paint {
    pub fn for_stdout() -> Paint {
        Paint {
            color: wanted() && std::io::stdout().is_terminal(),
        }
    }

    pub fn for_stderr() -> Paint {
        Paint {
            color: wanted() && std::io::stderr().is_terminal(),
        }
    }

    pub fn paint(self, style: Style, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Bad => "31;1",
            Style::Doubtful => "33",
            Style::Label => "36",
            Style::Alarm => "41;97;1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Columns of the terminal, or those of a page where there is none.
pub fn terminal_width() -> usize {
    const PAGE: usize = 110;
    terminal_size::terminal_size().map_or(PAGE, |(width, _)| usize::from(width.0))
}

/// Not on a terminal that can't show colours, nor where `NO_COLOR` is set to something (<https://no-color.org>).
fn wanted() -> bool {
    let set = |name| std::env::var_os(name).unwrap_or_default();
    set("NO_COLOR").is_empty() && set("TERM") != "dumb"
}
