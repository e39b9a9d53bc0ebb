//! The settings in effect, and where each was written: what `betrace config show` prints.
//!
//! As text it is a configuration file that means the same, with the places as comments.

use std::ffi::OsString;
use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::setting::{Group, Kind, Setting};
use super::settings::SETTINGS;
use super::written::{Origin, Written};
use super::{Config, parse};

/// Columns up to which values push the comments behind them to the right.
const VALUE_COLUMNS: usize = 44;

/// One setting in effect.
#[derive(Clone, Debug)]
pub struct Effective {
    pub setting: &'static Setting,
    /// In one spelling, however it was written.
    pub value: Value,
    /// What `auto` comes to here.
    pub resolved: Option<Value>,
    pub origin: Origin,
}

/// All settings, in the order of the documentation. `warm_instances` is what `auto` would be of the setting of that name,
/// which the engine knows.
pub fn effective(written: &Written, config: &Config, warm_instances: usize) -> Vec<Effective> {
    SETTINGS
        .iter()
        .map(|setting| {
            let value = value(setting, written);
            let resolved = (value == "auto").then(|| match setting.name {
                "workers" => Some(json!(config.workers)),
                "memory" => Some(json!(parse::show_size(config.memory as u64))),
                "warm-instances" => Some(json!(warm_instances)),
                _ => None,
            });
            Effective {
                setting,
                value,
                resolved: resolved.flatten(),
                origin: written.origin(setting).clone(),
            }
        })
        .collect()
}

/// A configuration file, each line with where its value comes from.
pub fn toml(settings: &[Effective]) -> String {
    let mut page = String::new();
    for group in Group::ALL {
        if !page.is_empty() {
            page.push('\n');
        }
        let _ = writeln!(page, "# {}", group.title());
        for one in settings.iter().filter(|one| one.setting.group == group) {
            let value = match &one.value {
                Value::Array(paths) => {
                    let paths: Vec<String> = paths.iter().map(toml_text).collect();
                    format!("[{}]", paths.join(", "))
                }
                value => toml_text(value),
            };
            let line = format!("{} = {value}", one.setting.name);
            let _ = write!(page, "{line:<VALUE_COLUMNS$} # {}", place(one));
            if let Some(resolved) = &one.resolved {
                let _ = write!(page, "; here {}", plain(resolved));
            }
            page.push('\n');
        }
    }
    page
}

/// An object with a member a setting.
pub fn json(settings: &[Effective]) -> Value {
    #[derive(Serialize)]
    struct One<'a> {
        value: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        resolved: &'a Option<Value>,
        default: Value,
        from: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#where: Option<String>,
    }
    let members = settings.iter().map(|one| {
        let (from, place) = match &one.origin {
            Origin::Default => ("default", None),
            Origin::File(path) => ("file", Some(path.display().to_string())),
            Origin::Environment => ("environment", Some(one.setting.variable())),
            Origin::Flag => ("flag", Some(format!("--{}", one.setting.name))),
        };
        let shown = One {
            value: &one.value,
            resolved: &one.resolved,
            default: value(one.setting, &Written::default()),
            from,
            r#where: place,
        };
        (one.setting.name.to_owned(), json!(shown))
    });
    Value::Object(members.collect::<Map<_, _>>())
}

fn value(setting: &Setting, written: &Written) -> Value {
    let entry = written.get(setting.name);
    let texts = entry.map(|entry| entry.texts.as_slice());
    let text = |text: &OsString| text.to_string_lossy().into_owned();
    if setting.kind == Kind::Paths {
        let paths = texts.unwrap_or_default().iter().map(text);
        return json!(paths.collect::<Vec<_>>());
    }
    let text = texts
        .and_then(<[OsString]>::last)
        .map_or_else(|| setting.default.to_owned(), text);
    if matches!(setting.kind, Kind::Signals | Kind::Folder) {
        return json!(text);
    }
    let text = text.trim();
    // Validation has read the same text: what can't be read in another way is a word, such as `auto`.
    let spelled = match setting.kind {
        Kind::Count { .. } | Kind::AutoCount { .. } => parse::count(text).ok().map(Value::from),
        Kind::Size { .. } | Kind::AutoSize { .. } => parse::size(text)
            .ok()
            .map(|size| json!(parse::show_size(size))),
        Kind::Duration { .. } => parse::duration(text).ok().map(|duration| {
            let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            json!(parse::show_duration(nanoseconds))
        }),
        _ => None,
    };
    spelled.unwrap_or_else(|| json!(text))
}

fn place(one: &Effective) -> String {
    match &one.origin {
        Origin::Default => "default".to_owned(),
        // A path may hold anything, and a comment ends with its line.
        Origin::File(path) => path.display().to_string().escape_debug().to_string(),
        Origin::Environment => one.setting.variable(),
        Origin::Flag => format!("--{}", one.setting.name),
    }
}

fn toml_text(value: &Value) -> String {
    match value {
        Value::String(text) => ::toml::Value::String(text.clone()).to_string(),
        value => value.to_string(),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
