//! What the compiler tells the author of a rule: a stable code, a message, labelled places in the source, and hints.
//!
//! Phases push into a [`Sink`], which bounds how much one file can be told and remembers whether any of it was an error.

mod code;
mod render;
mod suggest;

pub use code::Code;
pub use render::position;
pub use suggest::closest;

/// A byte range of a rule file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From byte offsets; those past `u32` cannot occur, because files are bounded, and are clamped.
    pub fn new(start: usize, end: usize) -> Span {
        Span {
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// The smallest range that holds both.
    pub fn to(self, other: Span) -> Span {
        Span {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// Its text; empty where the range does not fit the source.
    pub fn text(self, source: &str) -> &str {
        source
            .get(self.start as usize..self.end as usize)
            .unwrap_or("")
    }
}

/// Whether a diagnostic keeps the file from compiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The file gives no rule.
    Error,
    /// The file compiles, and probably does not say what its author means.
    Warning,
}

/// One mistake, or one doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake; its text form (`E0301`) never changes meaning.
    pub code: Code,
    /// Error or warning.
    pub level: Level,
    /// One line, lower case, no full stop.
    pub message: String,
    /// Places in the source; the first is primary.
    pub labels: Vec<Label>,
    /// What to do about it, a sentence each.
    pub help: Vec<String>,
}

/// A place in the source and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What; may be empty.
    pub text: String,
    /// The mistake itself, and not what explains it.
    pub primary: bool,
}

impl Diagnostic {
    /// A diagnostic about `span`, with the level that the code has.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            level: code.level(),
            message: short(message.into()),
            labels: vec![Label {
                span,
                text: String::new(),
                primary: true,
            }],
            help: Vec::new(),
        }
    }

    /// Says something at the primary place.
    pub fn here(mut self, text: impl Into<String>) -> Diagnostic {
        if let Some(label) = self.labels.first_mut() {
            label.text = short(text.into());
        }
        self
    }

    /// Adds a place that explains the mistake.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label {
            span,
            text: short(text.into()),
            primary: false,
        });
        self
    }

    /// Adds a hint.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(short(text.into()));
        self
    }

    /// Adds `did you mean`, if some candidate is close to what was written.
    pub fn did_you_mean<'a>(
        self,
        written: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Diagnostic {
        match closest(written, candidates) {
            Some(found) => self.help(format!("did you mean `{found}`?")),
            None => self,
        }
    }

    /// Where the mistake is.
    pub fn span(&self) -> Span {
        self.labels
            .iter()
            .find(|label| label.primary)
            .map_or(Span::default(), |label| label.span)
    }

    /// As rustc would print it. Control characters of path and source are replaced, so that no file can drive the
    /// terminal that shows its mistakes.
    pub fn render(&self, path: &str, source: &str, color: bool) -> String {
        render::render(self, path, source, color)
    }
}

/// How many errors, and how many warnings, are told of one file: more than a person reads, and few enough that a
/// file of garbage costs no more than one of rules.
pub const MAX_DIAGNOSTICS: usize = 100;

/// After so many errors the rest of a file is not looked at: it is no rule file.
const ENOUGH_ERRORS: usize = 10 * MAX_DIAGNOSTICS;

/// Collects the diagnostics of one file.
#[derive(Debug, Default)]
pub struct Sink {
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Sink {
    /// Keeps it, or only counts it where there are [`MAX_DIAGNOSTICS`] of its level.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.level {
            Level::Error => &mut self.errors,
            Level::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= MAX_DIAGNOSTICS {
            self.list.push(diagnostic);
        }
    }

    /// How many errors there were, told or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether what follows is not worth looking at.
    pub(crate) fn has_enough(&self) -> bool {
        self.errors >= ENOUGH_ERRORS
    }

    /// In source order, with a last one that says how many were left out.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.span().start);
        let more = self.errors.saturating_sub(MAX_DIAGNOSTICS);
        if more > 0 {
            let least = if self.has_enough() { "at least " } else { "" };
            let last = self.list.last().map_or(Span::default(), Diagnostic::span);
            self.list.push(Diagnostic::new(
                Code::TooManyErrors,
                last,
                format!("and {least}{more} more errors"),
            ));
        }
        self.list
    }
}

/// Of a message, a label or a hint, in bytes: they quote names, which can be as long as a file.
const MAX_TEXT: usize = 300;

fn short(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

fn clamp(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
