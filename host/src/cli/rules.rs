//! Rules for commands: found, compiled, loaded, and what is wrong with them said.

use std::path::PathBuf;
use std::sync::Arc;

use super::failure::{Failure, note};
use crate::engine::{Engine, EngineLimits};
use crate::rules::{Loaded, Problem, SourceFile, dsl, load, sources};

/// Rules that were loaded, and how many things kept others from it.
#[derive(Debug)]
pub struct Rules {
    pub loaded: Loaded,
    pub files: Vec<SourceFile>,
    /// Paths that gave no file, said in full.
    pub path_errors: Vec<String>,
    color: bool,
}

impl Rules {
    /// Finds and loads the rules of `paths`. Problems are returned, not printed.
    pub fn load(engine: &Arc<Engine>, paths: &[PathBuf], color: bool) -> Rules {
        let found = sources::find(paths);
        let loaded = load(engine, &found.files, &dsl::compile);
        let path_errors = found.errors.iter().map(ToString::to_string).collect();
        Rules {
            loaded,
            files: found.files,
            path_errors,
            color,
        }
    }

    /// Problems: paths without rules, each of the compiler's errors, rules that don't load, ids that are there twice.
    pub fn problems(&self) -> usize {
        let loaded = self.loaded.problems.iter().map(Problem::count);
        self.path_errors.len() + loaded.sum::<usize>()
    }

    /// Says all that is wrong, loudly, on stderr.
    pub fn report(&self) {
        for warning in &self.loaded.warnings {
            note(if self.color {
                &warning.painted
            } else {
                &warning.text
            });
        }
        for error in &self.path_errors {
            note(&format!("error: {error}"));
        }
        for problem in &self.loaded.problems {
            note(&problem.rendered(self.color));
        }
    }

    /// Reports, and fails where no rule is left to run.
    pub fn some(self) -> Result<Rules, Failure> {
        self.report();
        if self.loaded.rules.is_empty() {
            return Err(Failure::new("there is no rule to run")
                .help("`betrace check PATH` says what is wrong with each"));
        }
        if self.problems() > 0 {
            let (bad, good) = (self.problems(), self.loaded.rules.len());
            note(&format!(
                "warning: problems that keep rules from running: {bad}; rules that run without them: {good}"
            ));
        }
        Ok(self)
    }
}

/// An engine for `workers` threads.
pub fn engine(workers: usize) -> Result<Arc<Engine>, Failure> {
    let engine = Engine::new(EngineLimits::for_workers(workers));
    engine.map(Arc::new).map_err(|error| {
        Failure::of(&error).help("is memory or address space limited (`ulimit -v`)?")
    })
}
