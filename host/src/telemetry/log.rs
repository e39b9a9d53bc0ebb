//! The log, and what a command says beside it.
//!
//! A person at a terminal reads text. Off it, where something collects the log, each line is a JSON object, and so is each
//! note of a command that runs as a service: what reads lines of JSON must not stumble over others.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;

/// Which lines of the log are shown: `BETRACE_LOG=debug`, or by module, `BETRACE_LOG=betrace::ingest=debug`.
const LOG: &str = "BETRACE_LOG";

/// The target of notes in the log. They are shown whatever [`LOG`] says, as they are where the log is text.
const SAID: &str = "betrace::said";

/// Notes are lines of the log in this process.
static NOTES_ARE_LOGGED: AtomicBool = AtomicBool::new(false);

/// What a command has to say beside the log: its greeting, its summary, why it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notes {
    /// For a person, in any case.
    Beside,
    /// Lines of the log, where that is JSON: for a command that runs as a service.
    Logged,
    /// For a person, who is shown on a screen of its own what reloads led to.
    OnScreen,
}

/// The log of this process.
pub(super) fn to_stderr(format: LogFormat, notes: Notes) -> Box<dyn Layer<Registry> + Send + Sync> {
    let is_terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let logged = json && notes == Notes::Logged;
    NOTES_ARE_LOGGED.store(logged, Relaxed);
    let ansi = is_terminal && std::env::var_os("NO_COLOR").is_none();
    let asked = std::env::var(LOG).unwrap_or_default();
    Box::new(layer(json, ansi, std::io::stderr).with_filter(filter(&asked, notes)))
}

/// Says `text` in the log, if that is where notes of this process belong.
pub fn takes(text: &str) -> bool {
    let logged = NOTES_ARE_LOGGED.load(Relaxed);
    if logged {
        say(text);
    }
    logged
}

/// A note as a line of the log: `warning: ...` and `error: ...` at their level, and so what a compiler says, which has the
/// number of the error there.
fn say(text: &str) {
    let text = text.trim_end();
    let after = |word| {
        let rest = text.strip_prefix(word)?;
        rest.strip_prefix(": ")
            .or(rest.starts_with('[').then_some(text))
    };
    if let Some(text) = after("error") {
        tracing::error!(target: SAID, "{text}");
    } else if let Some(text) = after("warning") {
        tracing::warn!(target: SAID, "{text}");
    } else if !text.is_empty() {
        tracing::info!(target: SAID, "{text}");
    }
}

/// Warnings, reloads, what becomes of rules that keep faulting, and what was asked for.
fn filter(asked: &str, notes: Notes) -> EnvFilter {
    let asked = match notes {
        _ if !asked.is_empty() => asked,
        // Of folders that vanish or can't be watched, the watcher tells itself, in words of rules.
        Notes::Logged => "warn,notify=error,betrace::app::reload=info,betrace::quarantine=info",
        Notes::OnScreen => "warn,notify=error,betrace::app::reload=off,betrace::quarantine=off",
        Notes::Beside => "warn,betrace::quarantine=info",
    };
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse_lossy(asked);
    match format!("{SAID}=info").parse() {
        Ok(said) => filter.add_directive(said),
        Err(_) => filter,
    }
}

fn layer<S, W>(json: bool, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    if json {
        let layer = layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false);
        Box::new(layer)
    } else {
        Box::new(layer.with_ansi(ansi))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, asked: &str, log: impl FnOnce()) -> String {
        logged_by(json, asked, Notes::Beside, log)
    }

    fn logged_by(json: bool, asked: &str, notes: Notes, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = layer(json, false, move || writer.clone()).with_filter(filter(asked, notes));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = written.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    fn some() {
        let _span = tracing::info_span!("reload").entered();
        tracing::warn!(folder = "rules \"of\" ours", "no events\nof this folder");
        tracing::info!("not asked for");
        say("betrace: 2 rules loaded");
        say("warning: nothing listens");
        say("error: a port is in use");
        say("error[B0101]: a word too much\n --> a.betrace:1:1\n");
        say("errors come in threes");
        say("");
    }

    #[test]
    fn off_a_terminal_each_line_is_an_object() {
        let log = logged(true, "", some);
        let lines: Vec<[String; 3]> = log
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).expect(line);
                assert!(
                    line["timestamp"]
                        .as_str()
                        .is_some_and(|at| at.ends_with('Z'))
                );
                ["level", "target", "message"]
                    .map(|field| line[field].as_str().expect(field).to_owned())
            })
            .collect();
        let of = |line: [&str; 3]| line.map(str::to_owned);
        assert_eq!(
            lines,
            [
                of([
                    "WARN",
                    "betrace::telemetry::log::tests",
                    "no events\nof this folder"
                ]),
                of(["INFO", SAID, "betrace: 2 rules loaded"]),
                of(["WARN", SAID, "nothing listens"]),
                of(["ERROR", SAID, "a port is in use"]),
                of([
                    "ERROR",
                    SAID,
                    "error[B0101]: a word too much\n --> a.betrace:1:1"
                ]),
                of(["INFO", SAID, "errors come in threes"]),
            ]
        );
        assert!(log.contains(r#""folder":"rules \"of\" ours""#), "{log}");
    }

    #[test]
    fn what_the_library_of_the_watcher_warns_of_is_told_only_who_asks() {
        let warn = || {
            tracing::warn!(target: "notify::inotify", "Unable to remove the path");
            tracing::error!(target: "notify::inotify", "it broke");
        };
        for notes in [Notes::Logged, Notes::OnScreen] {
            let log = logged_by(false, "", notes, warn);
            assert!(!log.contains("Unable") && log.contains("it broke"), "{log}");
            let log = logged_by(false, "warn", notes, warn);
            assert!(log.contains("Unable"), "{log}");
        }
    }

    #[test]
    fn notes_are_shown_whatever_is_asked_for() {
        let log = logged(true, "off", some);
        assert_eq!(log.lines().count(), 5, "{log}");
        let log = logged(false, "betrace=info", some);
        assert!(log.contains("not asked for"), "{log}");
        assert!(!log.contains('\u{1b}'), "{log}");
    }
}
