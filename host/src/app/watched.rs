//! Rule files that a host follows: watched from before they are first read, so that no save is missed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::cli::Failure;
use crate::cli::failure::note;
use crate::config::Config;
use crate::engine::Engine;
use crate::live::Book;
use crate::pipeline::thread::Clock;
use crate::replay::ring::Ring;
use crate::rules::dsl;
use crate::rules::library::Library;
use crate::rules::update::Update;
use crate::rules::watch::{Saved, Watch, WatchOptions};
use crate::sinks::paint::Paint;

/// Saves that wait to be looked at. The watcher waits with more, and gathers them.
const SAVES: usize = 16;

/// A library that was opened, and the watcher that tells of what is saved since.
pub struct Watched {
    pub library: Library,
    pub saved: Receiver<Saved>,
    pub watch: Watch,
    pub clock: Clock,
    /// Where what saves lead to is entered. Whoever subscribes before the host starts misses nothing.
    pub book: Arc<Book>,
    /// The host's. Traces that are put into it before the host starts are what the first rules are tried on.
    pub ring: Arc<Ring>,
    /// What opening it led to.
    pub update: Update,
    pub took: Duration,
}

impl Watched {
    /// Loads the rules that the configuration names.
    pub fn open(config: &Config, engine: &Arc<Engine>) -> Result<Watched, Failure> {
        let started = Instant::now();
        let clock = Clock::start();
        let (sender, saved) = bounded(SAVES);
        let options = WatchOptions {
            poll: config.watch_poll,
            quiet: config.save_quiet,
            held_open: config.held_open,
            events: true,
        };
        let watch = Watch::start(config.rules.clone(), options, sender)
            .map_err(|error| Failure::new(format!("can't watch the rule files: {error}")))?;
        let mut library = Library::new(
            engine.clone(),
            config.rules.clone(),
            &dsl::compile,
            config.removal_delay,
        );
        let update = library.open(clock.now());
        Ok(Watched {
            library,
            saved,
            watch,
            clock,
            book: Arc::default(),
            ring: super::ring(config),
            update,
            took: started.elapsed(),
        })
    }

    /// Says on stderr what is wrong, and fails where no rule is left to run.
    pub fn some(self) -> Result<Watched, Failure> {
        let color = Paint::for_stderr().color;
        let mut problems = self.update.paths.len();
        for error in &self.update.paths {
            note(&format!("error: {error}"));
        }
        for file in &self.update.files {
            for warning in &file.warnings {
                note(if color {
                    &warning.painted
                } else {
                    &warning.text
                });
            }
            for problem in &file.problems {
                problems += problem.count();
                note(&problem.rendered(color));
            }
        }
        let rules = self.library.rules().len();
        if rules == 0 {
            return Err(Failure::new("there is no rule to run")
                .help("`betrace check PATH` says what is wrong with each"));
        }
        if problems > 0 {
            note(&format!(
                "warning: problems that keep rules from running: {problems}; rules that run without them: {rules}"
            ));
        }
        Ok(self)
    }
}
