//! How far a long read has come: a bar on a terminal's stderr, nothing elsewhere.
//!
//! The bar is the last line of the screen. Whatever else goes to the terminal goes through [`Progress::beside`] or
//! [`Progress::say`], which take the bar away, write, and draw it again below.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::note;

/// How often the bar moves while nothing is counted.
const TICK: Duration = Duration::from_millis(100);

const OF_A_KNOWN_LENGTH: &str =
    "reading [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
const OF_AN_UNKNOWN_LENGTH: &str = "reading {spinner} {binary_bytes}, {binary_bytes_per_sec}";
const JUDGING: &str = "judging {spinner}";

/// A bar, from the first byte to the end of the judging.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// On stderr. `total` bytes are to be read; none, where nobody knows.
    pub fn reading(total: Option<u64>) -> Progress {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => OF_A_KNOWN_LENGTH,
            None => OF_AN_UNKNOWN_LENGTH,
        };
        bar.set_style(style(template));
        Progress { bar }
    }

    /// Counts what was read.
    pub fn counter(&self) -> impl FnMut(u64) + 'static {
        let bar = self.bar.clone();
        move |bytes| bar.inc(bytes)
    }

    /// All is read, and is judged now.
    pub fn judging(&self) {
        if !self.bar.is_hidden() {
            self.bar.set_style(style(JUDGING));
            self.bar.enable_steady_tick(TICK);
        }
    }

    /// Writes to `out`, which goes to the same terminal.
    pub fn beside<W: Write>(&self, out: W) -> Beside<W> {
        let bar = self.bar.clone();
        Beside { bar, out }
    }

    /// A note beside it.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| note(text));
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Characters that every terminal has.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .tick_chars("-\\|/ ")
}

/// See [`Progress::beside`]. What is written at a time must be whole lines, or the bar would stand in the midst of one.
#[derive(Debug)]
pub struct Beside<W> {
    bar: ProgressBar,
    out: W,
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = &mut self.out;
        let write = || out.write_all(bytes).and_then(|()| out.flush());
        self.bar.suspend(write).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_right() {
        for template in [OF_A_KNOWN_LENGTH, OF_AN_UNKNOWN_LENGTH, JUDGING] {
            ProgressStyle::with_template(template).expect(template);
        }
    }

    #[test]
    fn what_is_written_beside_it_is_written_whole() {
        let progress = Progress::reading(Some(10));
        let mut out = Vec::new();
        let mut beside = progress.beside(&mut out);
        progress.counter()(5);
        beside.write_all(b"one\ntwo\n").expect("a vector takes all");
        progress.end();
        assert_eq!(out, b"one\ntwo\n");
    }
}
