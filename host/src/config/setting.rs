//! What a setting is: its names in all places, its kind, and the range of its values.

use super::parse;
use super::settings::SETTINGS;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// As in the file; `--NAME` as a flag, and in capitals after `BETRACE_` in the environment.
    pub name: &'static str,
    pub group: Group,
    pub kind: Kind,
    /// As one would write it.
    pub default: &'static str,
    /// What it is, or what it bounds and why.
    pub about: &'static str,
}

/// A heading that settings stand under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    General,
    Assembly,
    Servers,
    Batches,
    Rules,
    Live,
    Api,
}

/// What a setting holds. Ranges are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `host:port`, or `off`.
    Address,
    /// Files and folders.
    Paths,
    /// `stdout` or a file.
    Signals,
    /// A folder, or `off`.
    Folder,
    /// One of these words.
    Choice { of: &'static [&'static str] },
    /// `http://host:port`, or `off`.
    Endpoint,
    /// Such as `500ms`; the range in milliseconds.
    Duration { least: u64, most: u64 },
    /// Such as `64MiB`; the range in bytes.
    Size { least: u64, most: u64 },
    /// A size, or `auto`.
    AutoSize { least: u64, most: u64 },
    /// A whole number.
    Count { least: u64, most: u64 },
    /// A whole number, or `auto`.
    AutoCount { least: u64, most: u64 },
}

impl Setting {
    pub fn named(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Its name in the environment.
    pub fn variable(&self) -> String {
        format!(
            "BETRACE_{}",
            self.name.replace('-', "_").to_ascii_uppercase()
        )
    }

    /// How it is written in the file.
    pub(super) fn example(&self) -> String {
        match self.kind {
            Kind::Paths => format!("`{} = [\"rules\"]`", self.name),
            Kind::Count { .. } => format!("`{} = {}`", self.name, self.default),
            _ => format!("`{} = \"{}\"`", self.name, self.default),
        }
    }
}

impl Group {
    pub const ALL: [Group; 7] = [
        Group::General,
        Group::Assembly,
        Group::Servers,
        Group::Batches,
        Group::Rules,
        Group::Live,
        Group::Api,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Group::General => "General",
            Group::Assembly => "Assembly",
            Group::Servers => "Servers",
            Group::Batches => "Batches",
            Group::Rules => "Rules",
            Group::Live => "Live rules",
            Group::Api => "API",
        }
    }
}

impl Kind {
    /// The range of a value in nanoseconds, bytes or units.
    pub(super) fn range(self) -> Option<(u64, u64)> {
        match self {
            Kind::Duration { least, most } => Some((
                least.saturating_mul(1_000_000),
                most.saturating_mul(1_000_000),
            )),
            Kind::Size { least, most }
            | Kind::Count { least, most }
            | Kind::AutoSize { least, most }
            | Kind::AutoCount { least, most } => Some((least, most)),
            Kind::Address
            | Kind::Paths
            | Kind::Signals
            | Kind::Folder
            | Kind::Choice { .. }
            | Kind::Endpoint => None,
        }
    }

    /// A value in nanoseconds, bytes or units, as one would write it.
    pub(super) fn show(self, value: u64) -> String {
        match self {
            Kind::Duration { .. } => parse::show_duration(value),
            Kind::Size { .. } | Kind::AutoSize { .. } => parse::show_size(value),
            _ => value.to_string(),
        }
    }

    pub(super) fn check(self, value: u64) -> Result<(), String> {
        match self.range() {
            Some((least, most)) if !(least..=most).contains(&value) => Err(format!(
                "`{}` is out of range: from {} to {}",
                self.show(value),
                self.show(least),
                self.show(most)
            )),
            _ => Ok(()),
        }
    }
}
