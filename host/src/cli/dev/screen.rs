//! What comes, onto the screen: a block a save, a line a signal, one after the other.
//!
//! Ends when no more signals can come, with everything shown, or when nobody can read any more.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, after, never, select_biased};

use super::declared::declared;
use super::lines::Lines;
use super::report::{self, Context, clock};
use crate::live::SaveReport;
use crate::pipeline::thread::Clock;
use crate::signal::Emission;
use crate::sinks::paint::{Paint, terminal_width};
use crate::sinks::stream::Counters;

/// The state of the screen.
pub(super) struct Screen {
    paint: Paint,
    clock: Clock,
    /// Of the sink whose signals are shown.
    counters: Arc<Counters>,
    lines: Lines,
    broken: BTreeSet<PathBuf>,
    /// Rules that another file gives as well, with the file whose one does not run.
    doubles: BTreeSet<(PathBuf, String)>,
    no_traffic: Vec<String>,
    shown: Shown,
}

/// What was shown, in lines or in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Without the start.
    pub(super) saves: u64,
    pub(super) signals: u64,
}

impl Screen {
    pub(super) fn new(
        paint: Paint,
        clock: Clock,
        counters: Arc<Counters>,
        signal_lines: u32,
        no_traffic: Vec<String>,
    ) -> Screen {
        Screen {
            paint,
            clock,
            counters,
            lines: Lines::new(signal_lines),
            broken: BTreeSet::new(),
            doubles: BTreeSet::new(),
            no_traffic,
            shown: Shown::default(),
        }
    }

    /// Shows what comes until the senders of signals are gone.
    pub(super) fn run(
        mut self,
        mut reports: Receiver<Arc<SaveReport>>,
        signals: &Receiver<Vec<Emission>>,
        mut out: impl Write,
    ) -> io::Result<Shown> {
        loop {
            let due = self.lines.due();
            let due = due.map_or_else(never, |at| after(at.since(self.clock.now())));
            let text = select_biased! {
                recv(reports) -> report => match report {
                    Ok(report) => self.block(&report),
                    Err(_) => {
                        reports = never();
                        continue;
                    }
                },
                recv(signals) -> batch => match batch {
                    Ok(batch) => self.signals(&batch),
                    Err(_) => break,
                },
                recv(due) -> _ => self.sum(),
            };
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        let mut rest = String::new();
        for report in reports.try_iter() {
            rest.push_str(&self.block(&report));
        }
        rest.push_str(&self.sum());
        out.write_all(rest.as_bytes())?;
        out.flush()?;
        self.shown.signals += self.counters.lost();
        Ok(self.shown)
    }

    fn block(&mut self, report: &SaveReport) -> String {
        let context = Context {
            paint: self.paint,
            width: terminal_width(),
            broken: &self.broken,
            doubles: &self.doubles,
            declared,
            no_traffic: &self.no_traffic,
        };
        let block = report::block(report, &context);
        for single in report::singles(report, &self.doubles) {
            self.doubles.remove(&single);
        }
        self.doubles.extend(report::doubles(report));
        for file in &report.update.files {
            if file.problems.is_empty() {
                self.broken.remove(&file.path);
            } else {
                self.broken.insert(file.path.clone());
            }
        }
        let is_save = report.number > report::START && report.update.trips.is_empty();
        self.shown.saves += u64::from(is_save);
        format!("\n{block}")
    }

    fn signals(&mut self, batch: &[Emission]) -> String {
        self.shown.signals += batch.len() as u64;
        let now = self.clock.now();
        self.lines.push(batch, now, self.paint, terminal_width())
    }

    fn sum(&mut self) -> String {
        let now = clock(Clock::unix_ns());
        let lost = self.counters.lost();
        self.lines.sum(lost, &now, self.paint, terminal_width())
    }
}
