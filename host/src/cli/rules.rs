//! Rules for commands: found, compiled, loaded, and what is wrong with them said.

use std::path::PathBuf;
use std::sync::Arc;

use betrace_dsl::diagnostic::Level;

use super::failure::{Failure, note};
use crate::engine::{Engine, EngineLimits};
use crate::rules::compile::Source;
use crate::rules::{Compiled, CompiledRule, Loaded, Message, Problem, SourceFile, load, sources};

/// Rules that were loaded, and how many things kept others from it.
#[derive(Debug)]
pub struct Rules {
    pub loaded: Loaded,
    pub files: Vec<SourceFile>,
    /// Paths that gave no file, said in full.
    pub path_errors: Vec<String>,
}

impl Rules {
    /// Finds and loads the rules of `paths`. Problems are returned, not printed.
    pub fn load(engine: &Engine, paths: &[PathBuf], color: bool) -> Rules {
        let found = sources::find(paths);
        let loaded = load(
            engine,
            &found.files,
            &|source| compile(&source, color),
            None,
        );
        let path_errors = found.errors.iter().map(ToString::to_string).collect();
        Rules {
            loaded,
            files: found.files,
            path_errors,
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
            note(warning);
        }
        for error in &self.path_errors {
            note(&format!("error: {error}"));
        }
        for problem in &self.loaded.problems {
            let text = problem.to_string();
            // What the compiler renders says itself that it is an error.
            note(&if text.starts_with("error") || text.contains("\nerror") {
                text
            } else {
                format!("error: {text}")
            });
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

/// Compiles the source of one file, its diagnostics rendered for a person.
pub fn compile(source: &Source<'_>, color: bool) -> Compiled {
    let output = betrace_dsl::compile(source.stem, source.bytes);
    let path = source.path.display().to_string();
    let text = String::from_utf8_lossy(source.bytes);
    let message = |diagnostic: &betrace_dsl::diagnostic::Diagnostic| Message {
        error: diagnostic.level == Level::Error,
        text: diagnostic.render(&path, &text, color),
    };
    Compiled {
        messages: output.diagnostics.iter().map(message).collect(),
        rules: output
            .rules
            .into_iter()
            .map(|rule| CompiledRule {
                id: rule.id,
                component: rule.component,
            })
            .collect(),
    }
}
