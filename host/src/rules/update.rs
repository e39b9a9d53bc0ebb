//! What a look at the rule files led to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::compile::{Message, Problem};
use crate::engine::fault::Fault;
use crate::engine::{Rule, RuleSet};
use crate::time::Time;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// In force, and passed over for some traces within the last minute, as it takes more than its share of a worker that lags.
    Slow,
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

impl RuleState {
    pub const ALL: [RuleState; 6] = [
        RuleState::Active,
        RuleState::LastGood,
        RuleState::Broken,
        RuleState::Quarantined,
        RuleState::RolledBack,
        RuleState::Slow,
    ];

    /// As metrics and the API have it.
    pub fn word(self) -> &'static str {
        match self {
            RuleState::Active => "active",
            RuleState::LastGood => "last_good",
            RuleState::Broken => "broken",
            RuleState::Quarantined => "quarantined",
            RuleState::RolledBack => "rolled_back",
            RuleState::Slow => "slow",
        }
    }
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
    /// Of a rule that the host came with, which no file gives.
    pub fn fixed(rule: &Arc<Rule>) -> RuleStatus {
        RuleStatus {
            id: rule.id.clone(),
            path: rule.origin.clone(),
            state: RuleState::Active,
            rule: Some(rule.clone()),
            diagnostic: None,
            withheld: None,
        }
    }

    /// How the rule stands right now: a breaker opens and closes by itself, and a worker lags or does not.
    pub fn state_now(&self, now: Time) -> RuleState {
        let Some(rule) = &self.rule else {
            return self.state;
        };
        match self.state {
            _ if rule.breaker().quarantine().is_some() => RuleState::Quarantined,
            RuleState::Active if rule.slow().is_slow(now) => RuleState::Slow,
            state => state,
        }
    }
}
