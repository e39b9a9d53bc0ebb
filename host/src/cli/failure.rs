//! How a command ends.

use std::io::Write;
use std::process::ExitCode;

use crate::config::misspelt;
use crate::telemetry::log;

/// A command did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0: nothing to report.
    Quiet,
    /// Exit code 1: a rule fired, or one is broken.
    Found,
}

/// A command could not do its work: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What and where.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
}

impl Outcome {
    pub fn exit_code(self) -> ExitCode {
        match self {
            Outcome::Quiet => ExitCode::SUCCESS,
            Outcome::Found => ExitCode::from(1),
        }
    }
}

impl Failure {
    pub fn new(what: impl Into<String>) -> Failure {
        Failure {
            what: what.into(),
            help: None,
        }
    }

    /// An error with the errors that caused it.
    pub fn of(error: &dyn std::error::Error) -> Failure {
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some messages hold their cause's already.
            if !what.contains(&text) {
                what = format!("{what}: {text}");
            }
            cause = error.source();
        }
        Failure::new(what)
    }

    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// That of clap, too, for arguments that make no sense.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(2)
    }

    /// To stderr; where that is closed there is nobody to tell.
    pub fn print(&self) {
        let help = self.help.as_ref();
        let help = help.map_or_else(String::new, |help| format!("\n help: {help}"));
        if log::takes(&format!("error: {}{help}", self.what)) {
            return;
        }
        let _ = writeln!(std::io::stderr().lock(), "error: {}{help}", self.what);
    }
}

/// A line to stderr, or to the log, where that is what reads stderr.
pub fn note(text: &str) {
    if !log::takes(text) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Says which variables of the environment nothing reads, though they look as if they were for us.
pub fn note_misspelt() {
    for (name, meant) in misspelt(std::env::vars_os().map(|(name, _)| name)) {
        note(&format!(
            "warning: nothing reads `{name}`: did you mean `{meant}`?"
        ));
    }
}

/// Lines to stdout, which is what was asked for: that they can't be written is a failure. Who has closed it, as `head` does,
/// has read what they wanted.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("can't write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
