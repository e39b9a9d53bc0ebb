//! What a look at the rule files led to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::compile::{Message, Problem};
use crate::engine::fault::Fault;
use crate::engine::{Rule, RuleSet};

/// What a look at the rule files led to. Whatever could fail has failed before; nothing here is in doubt.
#[derive(Debug, Default)]
pub struct Update {
    /// What is newly wrong with the paths that were named.
    pub paths: Vec<String>,
    /// The files that were looked at and whose content is another, or is wrong.
    pub files: Vec<FileReport>,
    /// Files that were saved with the content that they had.
    pub unchanged: Vec<PathBuf>,
    /// Rules that are in force and were not, are not any more, or are in another version.
    pub changes: Vec<Change>,
    /// Rules that were quarantined. Such an update tells of no files.
    pub trips: Vec<Trip>,
    /// The set that was published; none where nothing changed.
    pub set: Option<Arc<RuleSet>>,
}

/// What a file's content led to.
#[derive(Debug)]
pub struct FileReport {
    pub path: PathBuf,
    /// Why rules of it do not run in this version.
    pub problems: Vec<Problem>,
    pub warnings: Vec<Message>,
    /// Rules of it that run on in their last good version, by id.
    pub kept: Vec<String>,
    /// Rules that it gave and gives no more, by id. They go a moment later, unless they come back.
    pub leaving: Vec<String>,
    /// The file is gone.
    pub removed: bool,
}

impl FileReport {
    /// Of a file of which nothing is to be said yet.
    pub fn of(path: &Path) -> FileReport {
        FileReport {
            path: path.to_owned(),
            problems: Vec::new(),
            warnings: Vec::new(),
            kept: Vec::new(),
            leaving: Vec::new(),
            removed: false,
        }
    }
}

/// A rule that changed. At least one side is there.
#[derive(Clone, Debug)]
pub struct Change {
    pub id: String,
    pub path: PathBuf,
    pub before: Option<Arc<Rule>>,
    pub after: Option<Arc<Rule>>,
}

/// A rule that kept faulting and is quarantined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    pub id: String,
    pub path: PathBuf,
    /// The version that faulted.
    pub version: String,
    /// Its latest fault.
    pub fault: Fault,
    /// How long it is not asked.
    pub back_off: Duration,
    /// The version before, which is in force again instead; none where there is none that is good.
    pub back_to: Option<String>,
}

/// How a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// The file's present version is in force.
    Active,
    /// The file's present version is broken, or the file is gone for the moment: the last good one is in force.
    LastGood,
    /// The file is broken and there is no good version: nothing is in force. The id is the file's stem.
    Broken,
    /// The version in force kept faulting and is not asked for a while.
    Quarantined,
    /// The file's present version kept faulting: the good one before it is in force until the file is another.
    RolledBack,
}

/// A rule, or a file that gives none, as it stands.
#[derive(Clone, Debug)]
pub struct RuleStatus {
    pub id: String,
    pub path: PathBuf,
    pub state: RuleState,
    /// In force; none where the state is `Broken`.
    pub rule: Option<Arc<Rule>>,
    /// What is wrong with the file as it is, rendered without colour; warnings where nothing is wrong.
    pub diagnostic: Option<String>,
    /// The file's present version, where it was rolled back.
    pub withheld: Option<Withheld>,
}

/// A version that is not in force though its file is right: it kept faulting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    pub version: String,
    pub fault: Fault,
}

impl Update {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        !self.is_news() && self.unchanged.is_empty()
    }

    /// Whether anything is another than before.
    pub fn is_news(&self) -> bool {
        !(self.paths.is_empty()
            && self.files.is_empty()
            && self.changes.is_empty()
            && self.trips.is_empty())
    }
}

impl RuleStatus {
    /// How the rule stands right now: a breaker opens and closes by itself.
    pub fn state_now(&self) -> RuleState {
        let is_open = |rule: &Arc<Rule>| rule.breaker().quarantine().is_some();
        match self.rule.as_ref().is_some_and(is_open) {
            true => RuleState::Quarantined,
            false => self.state,
        }
    }
}
