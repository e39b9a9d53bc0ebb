//! Settings as written, from four places, each remembering where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::setting::{Kind, Setting};
use super::settings::SETTINGS;
use super::suggest::nearest;
use super::{ConfigError, ConfigErrors, Flags};

/// A configuration file. All settings together are a few KiB.
const FILE_BYTES: u64 = 1 << 20;

/// What all our variables begin with.
const PREFIX: &str = "BETRACE_";

/// Variables that are no settings: the file of settings, and the log's lines.
const READ_ELSEWHERE: [&str; 2] = ["BETRACE_CONFIG", "BETRACE_LOG"];

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Environment,
    Flag,
}

/// The settings that were written, the strongest of each.
#[derive(Clone, Debug, Default)]
pub struct Written {
    entries: BTreeMap<&'static str, Entry>,
}

/// One setting as written: one text, or several for a list of paths.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) texts: Vec<OsString>,
    pub(super) origin: Origin,
}

impl Written {
    /// What was written in the file that flags or environment name, in the environment, and in the flags; later ones win.
    pub fn collect(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        match Self::gather(flags, environment) {
            (written, errors) if errors.is_empty() => Ok(written),
            (_, errors) => Err(ConfigErrors(errors)),
        }
    }

    /// As [`collect`](Written::collect), with whatever was right beside what was wrong.
    pub(super) fn gather(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> (Self, Vec<ConfigError>) {
        let environment: BTreeMap<OsString, OsString> = environment
            .into_iter()
            .filter(|(name, value)| is_ours(name) && !value.is_empty())
            .collect();
        let mut written = Self::default();
        let mut errors = Vec::new();
        let file = flags
            .config()
            .map(Path::to_owned)
            .or_else(|| environment.get(&config_variable()).map(PathBuf::from));
        if let Some(path) = file
            && let Err(wrong) = written.read_file(&path)
        {
            errors.extend(wrong.0);
        }
        written.read_environment(&environment);
        for (setting, texts) in flags.given() {
            written.set(setting, texts.to_vec(), Origin::Flag);
        }
        (written, errors)
    }

    /// Writes a default of its own, for a command that has one, where nothing else was written.
    pub fn or_default(mut self, name: &str, text: &str) -> Self {
        if let Some(setting) = Setting::named(name) {
            let entry = Entry {
                texts: vec![text.into()],
                origin: Origin::Default,
            };
            self.entries.entry(setting.name).or_insert(entry);
        }
        self
    }

    /// Adds the settings in the text of a configuration file.
    pub fn read_toml(&mut self, path: &Path, text: &str) -> Result<(), ConfigErrors> {
        let toml = |source| ConfigError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let table: Table = text.parse().map_err(toml)?;
        let mut errors = Vec::new();
        for (key, value) in table {
            let known = Setting::named(&key).ok_or_else(|| unknown_key(path, &key));
            match known.and_then(|setting| Ok((setting, toml_texts(path, setting, value)?))) {
                Ok((setting, texts)) => self.set(setting, texts, Origin::File(path.to_owned())),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(errors))
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Where a setting comes from.
    pub fn origin(&self, setting: &Setting) -> &Origin {
        self.get(setting.name)
            .map_or(&Origin::Default, |entry| &entry.origin)
    }

    fn set(&mut self, setting: &'static Setting, texts: Vec<OsString>, origin: Origin) {
        self.entries.insert(setting.name, Entry { texts, origin });
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigErrors> {
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let mut file = File::open(path).map_err(read)?.take(FILE_BYTES + 1);
        file.read_to_string(&mut text).map_err(read)?;
        if file.limit() == 0 {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
                limit: FILE_BYTES,
            }
            .into());
        }
        self.read_toml(path, &text)
    }

    fn read_environment(&mut self, environment: &BTreeMap<OsString, OsString>) {
        for setting in SETTINGS {
            let Some(value) = environment.get(&OsString::from(setting.variable())) else {
                continue;
            };
            let texts = match setting.kind {
                Kind::Paths => std::env::split_paths(value)
                    .map(PathBuf::into_os_string)
                    .collect(),
                _ => vec![value.clone()],
            };
            self.set(setting, texts, Origin::Environment);
        }
    }
}

impl Origin {
    /// The setting as it was written there.
    pub(super) fn name(&self, setting: &Setting) -> String {
        match self {
            Origin::Default => format!("the default of `{}`", setting.name),
            Origin::File(path) => format!("`{}` in {}", setting.name, path.display()),
            Origin::Environment => format!("`{}`", setting.variable()),
            Origin::Flag => format!("`--{}`", setting.name),
        }
    }
}

fn config_variable() -> OsString {
    "BETRACE_CONFIG".into()
}

/// Variables that nothing reads, each with the one that may have been meant. Only near misses: Kubernetes sets many that
/// begin alike.
pub fn misspelt(names: impl IntoIterator<Item = OsString>) -> Vec<(String, String)> {
    let settings = || SETTINGS.iter().map(Setting::variable);
    let known: Vec<String> = settings()
        .chain(READ_ELSEWHERE.map(str::to_owned))
        .collect();
    // As names of settings are written, which `nearest` compares with.
    let short: Vec<String> = known
        .iter()
        .filter_map(|known| known.strip_prefix(PREFIX))
        .map(|name| name.to_ascii_lowercase().replace('_', "-"))
        .collect();
    let mut misspelt = Vec::new();
    for name in names {
        let Some(name) = name
            .to_str()
            .filter(|name| !known.iter().any(|k| k == name))
        else {
            continue;
        };
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        // Of a service called betrace, and of each of its ports.
        if rest.starts_with("PORT") || rest.starts_with("SERVICE_") {
            continue;
        }
        if let Some(near) = nearest(rest, short.iter().map(String::as_str)) {
            let meant = format!("{PREFIX}{}", near.replace('-', "_").to_ascii_uppercase());
            misspelt.push((name.to_owned(), meant));
        }
    }
    misspelt.sort();
    misspelt
}

/// Other names are not errors: Kubernetes sets `BETRACE_PORT` and its like for a service called betrace.
fn is_ours(name: &OsString) -> bool {
    *name == config_variable() || SETTINGS.iter().any(|setting| *name == *setting.variable())
}

fn unknown_key(path: &Path, key: &str) -> ConfigError {
    let suggestion = nearest(key, SETTINGS.iter().map(|setting| setting.name));
    ConfigError::UnknownKey {
        path: path.to_owned(),
        key: key.chars().take(64).collect(),
        suggestion,
    }
}

fn toml_texts(
    path: &Path,
    setting: &'static Setting,
    value: Value,
) -> Result<Vec<OsString>, ConfigError> {
    let wrong = |found: &str| ConfigError::Value {
        origin: Origin::File(path.to_owned()).name(setting),
        problem: format!(
            "{found} is not what it takes: write it like {}",
            setting.example()
        ),
    };
    let text = |value: Value| match value {
        Value::String(text) => Ok(OsString::from(text)),
        Value::Integer(number)
            if matches!(setting.kind, Kind::Count { .. } | Kind::AutoCount { .. }) =>
        {
            Ok(number.to_string().into())
        }
        Value::Integer(number) => Err(wrong(&format!("the number {number}"))),
        other => Err(wrong(&format!("a TOML {}", other.type_str()))),
    };
    match (setting.kind, value) {
        (Kind::Paths, Value::Array(values)) => values
            .into_iter()
            .map(|v| Ok(beside(path, &text(v)?)))
            .collect(),
        (Kind::Paths, value) => Ok(vec![beside(path, &text(value)?)]),
        (Kind::Signals | Kind::Folder, value) => {
            let target = text(value)?;
            // No path but a word, of the one or of the other.
            let word = match setting.kind {
                Kind::Folder => "off",
                _ => "stdout",
            };
            Ok(vec![if target == word {
                target
            } else {
                beside(path, &target)
            }])
        }
        (_, value) => Ok(vec![text(value)?]),
    }
}

/// Paths in a file are relative to the file: it says the same wherever the host is started.
fn beside(file: &Path, path: &OsString) -> OsString {
    file.parent()
        .map_or_else(|| path.clone(), |folder| folder.join(path).into_os_string())
}
