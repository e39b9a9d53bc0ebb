//! Configuration: as written (flags, environment, file), then as validated, once, at start.
//!
//! ```text
//! SETTINGS (one table) -> Flags | environment | file -> Written -> Config
//! ```
//! Flags win over the environment, the environment over the file, the file over defaults. Everything about a setting
//! (its name in all four places, its kind, default and range) stands once, in [`SETTINGS`].

mod flags;
mod page;
mod parse;
mod setting;
mod settings;
mod show;
mod suggest;
mod validated;
mod written;

#[cfg(test)]
mod tests;

pub use flags::Flags;
pub use page::table;
pub use parse::{duration, size};
pub use setting::{Group, Kind, Setting};
pub use settings::SETTINGS;
pub use show::{Effective, effective, json, toml};
pub use suggest::nearest;
pub use validated::{Config, LogFormat, SignalsTarget};
pub use written::{Origin, Written, misspelt};

use std::ffi::OsString;
use std::path::PathBuf;

/// Reads the settings from all places, and `defaults` where a command has its own. Says all that is wrong with them: what
/// can't be read of a file keeps no mistake of the others quiet.
pub fn load(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    defaults: &[(&str, &str)],
) -> Result<(Written, Config), ConfigErrors> {
    let (mut written, mut errors) = Written::gather(flags, environment);
    for (name, text) in defaults {
        written = written.or_default(name, text);
    }
    match Config::validate(&written) {
        Ok(config) if errors.is_empty() => return Ok((written, config)),
        Ok(_) => {}
        Err(more) => errors.extend(more.0),
    }
    Err(ConfigErrors(errors))
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("can't read the configuration file `{}`: {source}", .path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration file `{}` is larger than {limit} bytes: is it the right file?", .path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("the configuration file `{}` is not valid TOML: {source}", .path.display())]
    Toml {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
    #[error("there is no setting `{key}` ({}){}", .path.display(), .suggestion.map(|s| format!(": did you mean `{s}`?")).unwrap_or_default())]
    UnknownKey {
        path: PathBuf,
        key: String,
        suggestion: Option<&'static str>,
    },
    #[error("{origin}: {problem}")]
    Value { origin: String, problem: String },
    #[error("{0}")]
    Conflict(String),
    #[error(
        "no rules: name a file or a folder with `--rules PATH`, `BETRACE_RULES` or `rules` in the configuration file"
    )]
    NoRules,
}

/// All that is wrong with the configuration, so that it can be mended at once.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::error::Error for ConfigErrors {}

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(out, "{}{error}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}
