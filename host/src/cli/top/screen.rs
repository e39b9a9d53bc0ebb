//! The table on a screen of its own, drawn anew at each answer and each key.
//!
//! One thread asks the host, one reads keys, one waits for SIGTERM; this one draws. The terminal is given back as it was
//! however this ends.

use std::io::{IsTerminal, Read, Write};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::rates::{Rates, Sort, rates, sort};
use super::table::{self, Look};
use super::{Host, TopArgs};
use crate::api::Usage;
use crate::app::Signals;
use crate::cli::Failure;
use crate::sinks::paint::{Paint, Style};
use crate::sinks::text::clean;

/// Rows of a terminal that does not say how many it has.
const ROWS: usize = 24;

/// Lines that are not rules: two of the host, a blank, the heading, how many more, the keys.
const OTHER_ROWS: usize = 6;

const KEYS: &str = "q quit   p pause   sort by: c CPU, e evaluations, s signals, f faults, 9 P99";

/// What this thread waits for.
enum Event {
    Answer(Box<Result<Usage, Failure>>),
    Key(u8),
    /// Nobody looks any more.
    End,
}

/// What is on the screen.
struct Screen {
    usage: Usage,
    rates: Rates,
    sort: Sort,
    paused: bool,
    /// Why the last answer did not come.
    failed: Option<String>,
}

/// Shows the table until somebody ends it. `first` is what the host answered first.
pub(super) fn run(host: Host, first: Usage, args: &TopArgs) -> Result<(), Failure> {
    let (events, incoming) = bounded(1);
    stop(events.clone())?;
    spawn("top-asks", asks(host, args.interval, events.clone()))?;
    let terminal = Terminal::take().map_err(|error| {
        Failure::new(format!("can't draw on this terminal: {error}"))
            .help("`betrace top --once` prints one table")
    })?;
    if terminal.keys.is_some() {
        spawn("top-keys", keys(events))?;
    }
    let mut screen = Screen {
        rates: rates(None, &first),
        usage: first,
        sort: args.sort,
        paused: false,
        failed: None,
    };
    // Who closed the terminal has read what they wanted.
    let _ = screen.show(&incoming);
    Ok(())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let failed = |error| Failure::new(format!("can't start a thread: {error}"));
    thread.spawn(run).map(drop).map_err(failed)
}

/// Asks for as long as somebody looks.
fn asks(host: Host, interval: Duration, events: Sender<Event>) -> impl FnOnce() {
    move || {
        loop {
            std::thread::sleep(interval);
            let answer = Box::new(host.ask());
            if events.send(Event::Answer(answer)).is_err() {
                return;
            }
        }
    }
}

fn keys(events: Sender<Event>) -> impl FnOnce() {
    move || {
        let mut keys = std::io::stdin().lock().bytes();
        while let Some(Ok(key)) = keys.next() {
            if events.send(Event::Key(key)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::End);
    }
}

/// A signal ends the table as a key does, so that the terminal is given back.
fn stop(events: Sender<Event>) -> Result<(), Failure> {
    let signals = Signals::take()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(format!("can't wait for the signals that end this: {error}"))
    })?;
    spawn("top-ends", move || {
        runtime.block_on(signals.first());
        let _ = events.send(Event::End);
    })
}

impl Screen {
    fn show(&mut self, events: &Receiver<Event>) -> std::io::Result<()> {
        loop {
            self.draw()?;
            match events.recv() {
                Ok(Event::Answer(answer)) => self.answered(*answer),
                Ok(Event::Key(key)) if self.takes(key) => {}
                Ok(Event::Key(_) | Event::End) | Err(_) => return Ok(()),
            }
        }
    }

    fn answered(&mut self, answer: Result<Usage, Failure>) {
        match answer {
            Ok(_) if self.paused => {}
            Ok(usage) => {
                self.rates = rates(Some(&self.usage), &usage);
                self.usage = usage;
                self.failed = None;
            }
            Err(failure) => self.failed = Some(failure.what),
        }
    }

    /// Returns whether to go on.
    fn takes(&mut self, key: u8) -> bool {
        match key {
            // As the terminal does not do it any more: Ctrl-C, Ctrl-D.
            b'q' | b'Q' | 3 | 4 => return false,
            b'p' | b'P' | b' ' => self.paused = !self.paused,
            b'c' => self.sort = Sort::Cpu,
            b'e' => self.sort = Sort::Evaluations,
            b's' => self.sort = Sort::Signals,
            b'f' => self.sort = Sort::Faults,
            b'9' => self.sort = Sort::P99,
            _ => {}
        }
        true
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let size = terminal_size::terminal_size();
        let (columns, rows) = size.map_or((80, ROWS), |(width, height)| {
            (usize::from(width.0), usize::from(height.0))
        });
        let frame = self.frame(Paint::for_stdout(), columns, rows);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(frame.as_bytes())?;
        stdout.flush()
    }

    /// What is written for a screen of this size: each line over the one before, so that nothing flickers.
    fn frame(&mut self, paint: Paint, columns: usize, rows: usize) -> String {
        sort(&mut self.rates.rules, self.sort);
        let look = Look {
            paint,
            columns,
            rows: rows.saturating_sub(OTHER_ROWS),
            sort: self.sort,
        };
        let mut lines = table::draw(&self.usage, &self.rates, &look);
        let (style, last) = match &self.failed {
            Some(why) => (Style::Bad, clean(why, columns)),
            None if self.paused => (Style::Doubtful, clean("paused: p goes on", columns)),
            None => (Style::Faint, clean(KEYS, columns)),
        };
        lines.truncate(rows.saturating_sub(1));
        lines.resize(rows.saturating_sub(1), String::new());
        lines.push(paint.paint(style, &last));
        format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"))
    }
}

/// A terminal with a screen of our own, and keys that come one by one; as it was once this is dropped.
struct Terminal {
    /// How it read keys before; none where stdin is no terminal.
    keys: Option<Termios>,
}

impl Terminal {
    fn take() -> std::io::Result<Terminal> {
        let mut terminal = Terminal { keys: None };
        if std::io::stdin().is_terminal() {
            let stdin = std::io::stdin();
            let before = rustix::termios::tcgetattr(&stdin)?;
            let mut modes = before.clone();
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &modes)?;
            terminal.keys = Some(before);
        }
        // The other screen, without a cursor.
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(b"\x1b[?1049h\x1b[?25l")?;
        stdout.flush()?;
        Ok(terminal)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut stdout = std::io::stdout().lock();
        // A terminal that is gone needs nothing back.
        let _ = stdout.write_all(b"\x1b[?25h\x1b[?1049l");
        let _ = stdout.flush();
        if let Some(before) = &self.keys {
            let stdin = std::io::stdin();
            let _ = rustix::termios::tcsetattr(stdin, OptionalActions::Now, before);
        }
    }
}
