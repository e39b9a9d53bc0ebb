//! The settings as command line flags, made from the table. Flatten [`Flags`] into a command with clap's derive.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, PathBufValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use super::setting::{Group, Kind, Setting};
use super::settings::SETTINGS;

/// The flags that were given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    config: Option<PathBuf>,
    given: BTreeMap<&'static str, Vec<OsString>>,
}

impl Flags {
    /// The configuration file that was named.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Setting, &[OsString])> {
        SETTINGS
            .iter()
            .filter_map(|setting| Some((setting, self.given.get(setting.name)?.as_slice())))
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(PathBufValueParser::new())
            .value_hint(ValueHint::FilePath)
            .help("A configuration file in TOML; flags and the environment (`BETRACE_...`) are stronger");
        SETTINGS
            .iter()
            .map(argument)
            .fold(command.arg(file), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            self.config = Some(path.clone());
        }
        for setting in SETTINGS {
            if let Some(texts) = matches.get_many::<OsString>(setting.name) {
                self.given.insert(setting.name, texts.cloned().collect());
            }
        }
        Ok(())
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let mut about = setting.about.to_owned();
    if let Some(first) = about.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let argument = Arg::new(setting.name)
        .long(setting.name)
        .value_name(value_name(setting.kind))
        // Text is read when all places are known, so that errors are alike for all of them.
        .help(format!("{about} [default: {}]", setting.default))
        .help_heading(setting.group.title())
        // `-h` is for a first look, `--help` for everything.
        .hide_short_help(!matches!(setting.group, Group::General | Group::Assembly));
    match setting.kind {
        Kind::Paths => argument
            .value_parser(OsStringValueParser::new())
            .value_hint(ValueHint::AnyPath)
            .num_args(1..)
            .action(ArgAction::Append),
        Kind::Choice { of } => argument.value_parser(Words(of)),
        Kind::Signals => argument
            .value_parser(OsStringValueParser::new())
            .value_hint(ValueHint::FilePath),
        Kind::Folder => argument
            .value_parser(OsStringValueParser::new())
            .value_hint(ValueHint::DirPath),
        _ => argument
            .value_parser(OsStringValueParser::new())
            .value_hint(ValueHint::Other),
    }
}

/// Takes any text, and tells help and shells which make sense.
#[derive(Clone, Copy, Debug)]
struct Words(&'static [&'static str]);

impl TypedValueParser for Words {
    type Value = OsString;

    fn parse_ref(
        &self,
        _: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<OsString, clap::Error> {
        Ok(value.to_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Address => "ADDRESS",
        Kind::Paths => "PATH",
        Kind::Signals => "TARGET",
        Kind::Folder => "DIR",
        Kind::Choice { .. } => "WORD",
        Kind::Endpoint => "URL",
        Kind::Duration { .. } => "DURATION",
        Kind::Size { .. } | Kind::AutoSize { .. } => "SIZE",
        Kind::Count { .. } | Kind::AutoCount { .. } => "COUNT",
    }
}
