//! The rule files as they stand, and the rules that are in force because of them.
//!
//! ```text
//! Saved -> look at the files -> load what is another -> who gives which rule? -> changes -> [publish]
//! ```
//! Nothing is taken out of force by a mistake: a file that is broken gives what its last good version gave; a rule that no
//! file gives any more goes only after a while, and not while the folder that was named is gone. A version that keeps faulting
//! gives way to the one before.

mod resolve;
mod statuses;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::compile::{Compile, Known, Loading, OfFile, Problem};
use super::sources::{self, SourceFile};
use super::stamp::Stamp;
use super::update::{Change, FileReport, Trip, Update, Withheld};
use super::watch::Saved;
use crate::engine::{Engine, Rule};
use crate::time::Time;

/// Earlier versions of a rule that are kept to be rolled back to. Who edits a rule leaves mistakes in a few versions in a row
/// at most, and each holds machine code.
const EARLIER: usize = 3;

/// The rule files under some paths.
pub struct Library {
    engine: Arc<Engine>,
    roots: Vec<PathBuf>,
    compile: Compile<'static>,
    removal_delay: Duration,
    files: BTreeMap<PathBuf, Held>,
    /// Files that are gone, as long as rules of theirs are in force. One that comes back or was moved compiles nothing.
    gone: BTreeMap<PathBuf, Held>,
    /// Where files really are, to their paths: what an editor saves may lie behind a link.
    real: HashMap<PathBuf, PathBuf>,
    in_force: BTreeMap<String, InForce>,
    /// By rule, the versions before the one in force that were never quarantined, the latest last.
    earlier: HashMap<String, Vec<Arc<Rule>>>,
    /// By rule, what its file gives and is not in force, as it kept faulting.
    withheld: HashMap<String, Withheld>,
    /// Rules whose quarantine has been told: of which version, and since when it was.
    quarantined: HashMap<String, (String, Time)>,
    /// Rules that no file gives, and when they go.
    leaving: HashMap<String, Time>,
    /// Ids that a file gives and another has, so that each is told once.
    doubles: HashSet<(String, PathBuf)>,
    path_errors: HashSet<String>,
    /// Paths below which nothing could be looked at, and why: rules of files there run on.
    hidden: Vec<(PathBuf, String)>,
}

/// A file that is there.
#[derive(Default)]
struct Held {
    stamp: Option<Stamp>,
    content: Option<blake3::Hash>,
    /// What its last good version gave, and of the present one whatever is good.
    gives: Vec<Arc<Rule>>,
    /// Ids whose present version is broken. All, where the file as such is.
    broken: Broken,
    /// What is wrong, or odd, in the file as it is.
    diagnostic: Option<String>,
}

#[derive(Default)]
enum Broken {
    #[default]
    Nothing,
    Rules(HashSet<String>),
    File,
}

struct InForce {
    rule: Arc<Rule>,
    path: PathBuf,
}

/// Which files a look is about.
enum Look {
    /// These, which are known.
    At(Vec<PathBuf>),
    /// All that are there now.
    Everywhere,
}

impl Library {
    /// Nothing is looked at before [`Library::open`].
    pub fn new(
        engine: Arc<Engine>,
        roots: Vec<PathBuf>,
        compile: Compile<'static>,
        removal_delay: Duration,
    ) -> Library {
        Library {
            engine,
            roots,
            compile,
            removal_delay,
            files: BTreeMap::new(),
            gone: BTreeMap::new(),
            real: HashMap::new(),
            in_force: BTreeMap::new(),
            earlier: HashMap::new(),
            withheld: HashMap::new(),
            quarantined: HashMap::new(),
            leaving: HashMap::new(),
            doubles: HashSet::new(),
            path_errors: HashSet::new(),
            hidden: Vec::new(),
        }
    }

    /// Loads everything that is there.
    pub fn open(&mut self, now: Time) -> Update {
        self.look(Look::Everywhere, &HashSet::new(), now)
    }

    /// Looks at what was saved.
    pub fn saved(&mut self, saved: &Saved, now: Time) -> Update {
        let writing = saved.writing.iter();
        let writing = writing.filter_map(|path| std::fs::canonicalize(path).ok());
        let writing: HashSet<PathBuf> = writing.collect();
        let known: Option<Vec<PathBuf>> = saved.paths.iter().map(|path| self.known(path)).collect();
        let look = match known {
            Some(paths) if !saved.rescan => Look::At(paths),
            _ => Look::Everywhere,
        };
        self.look(look, &writing, now)
    }

    /// How long a rule that its file gives no more stays.
    pub fn removal_delay(&self) -> Duration {
        self.removal_delay
    }

    /// When a rule that no file gives is to go.
    pub fn due(&self) -> Option<Time> {
        self.leaving.values().min().copied()
    }

    /// Takes out of force what is due.
    pub fn tick(&mut self, now: Time) -> Update {
        let mut update = Update::default();
        self.resolve(now, &mut update);
        update
    }

    /// Looks for rules that are quarantined. Where there is an earlier version that never was, it is in force again.
    pub fn tripped(&mut self) -> Update {
        let mut update = Update::default();
        let mut quarantined = HashMap::new();
        for (id, in_force) in &mut self.in_force {
            let Some(quarantine) = in_force.rule.breaker().quarantine() else {
                continue;
            };
            let back_to = self.earlier.get_mut(id).and_then(Vec::pop);
            if back_to.is_none() {
                let which = (in_force.rule.version.clone(), quarantine.since);
                let is_told = self.quarantined.get(id) == Some(&which);
                quarantined.insert(id.clone(), which);
                if is_told {
                    continue;
                }
            }
            update.trips.push(Trip {
                id: id.clone(),
                path: in_force.path.clone(),
                version: in_force.rule.version.clone(),
                fault: quarantine.fault.clone(),
                back_off: quarantine.back_off,
                back_to: back_to.as_ref().map(|rule| rule.version.clone()),
            });
            let Some(good) = back_to else { continue };
            let bad = std::mem::replace(&mut in_force.rule, good.clone());
            // One that was rolled back to may fault too; what the file gives is the first.
            self.withheld.entry(id.clone()).or_insert(Withheld {
                version: bad.version.clone(),
                fault: quarantine.fault,
            });
            update.changes.push(Change {
                id: id.clone(),
                path: in_force.path.clone(),
                before: Some(bad),
                after: Some(good),
            });
        }
        self.quarantined = quarantined;
        update
    }

    /// The rules that are in force, by id.
    pub fn rules(&self) -> Vec<Arc<Rule>> {
        self.in_force.values().map(|r| r.rule.clone()).collect()
    }

    /// The path under which a file is known; none where it is new or gone, so that all are to be looked at.
    fn known(&self, path: &Path) -> Option<PathBuf> {
        let real = std::fs::canonicalize(path).ok()?;
        self.real.get(&real).cloned()
    }

    fn look(&mut self, look: Look, writing: &HashSet<PathBuf>, now: Time) -> Update {
        let mut update = Update::default();
        let is_save = matches!(look, Look::At(_));
        let files = match look {
            Look::At(paths) => paths
                .iter()
                .filter_map(|path| sources::file(path))
                .collect(),
            Look::Everywhere => self.find(&mut update),
        };
        let is_writing = |path: &Path| {
            !writing.is_empty()
                && std::fs::canonicalize(path).is_ok_and(|real| writing.contains(&real))
        };
        let mut stamps = HashMap::new();
        let mut changed = Vec::new();
        for file in files {
            let stamp = Stamp::of(&file.path);
            let held = self.files.get(&file.path);
            let is_new = stamp.is_none() || held.is_none_or(|held| held.stamp != stamp);
            if is_new && !is_writing(&file.path) {
                stamps.insert(file.path.clone(), stamp);
                changed.push(file);
            }
        }
        for file in self.load(&changed) {
            let stamp = stamps.remove(&file.path).flatten();
            let path = file.path.clone();
            match self.take(file, stamp) {
                Some(report) => update.files.push(report),
                // Of files that were moved or swapped there is no save to answer.
                None if is_save => update.unchanged.push(path),
                None => {}
            }
        }
        self.resolve(now, &mut update);
        update
    }

    /// All files that are there; those that are not any more are let go.
    fn find(&mut self, update: &mut Update) -> Vec<SourceFile> {
        let walked = sources::walk(&self.roots);
        let found = walked.sources;
        let here: HashSet<&Path> = found.files.iter().map(|file| file.path.as_path()).collect();
        let hidden: Vec<&Path> = found.errors.iter().filter_map(|e| e.hides()).collect();
        let is_gone = |path: &PathBuf, _: &mut Held| {
            !here.contains(path.as_path()) && !hidden.iter().any(|hidden| path.starts_with(hidden))
        };
        self.gone.extend(self.files.extract_if(.., is_gone));
        let paths = found.files.iter().map(|file| file.path.clone());
        self.real = walked.real.into_iter().zip(paths).collect();
        self.hidden = found
            .errors
            .iter()
            .filter_map(|error| Some((error.hides()?.to_owned(), error.to_string())))
            .collect();
        let errors: HashSet<String> = found.errors.iter().map(ToString::to_string).collect();
        update.paths = errors.difference(&self.path_errors).cloned().collect();
        update.paths.sort();
        self.path_errors = errors;
        found.files
    }

    fn load(&self, files: &[SourceFile]) -> Vec<OfFile> {
        if files.is_empty() {
            return Vec::new();
        }
        let mut known = Known::default();
        for held in self.gone.values() {
            known.add_moved(&held.gives);
        }
        for file in files {
            if let Some(held) = self.files.get(&file.path) {
                known.add(&file.path, &held.gives);
            }
        }
        let loading = Loading {
            engine: &self.engine,
            compile: self.compile,
            known: &known,
            before: &|id| self.in_force.get(id).map(|in_force| in_force.rule.clone()),
        };
        loading.all(files)
    }

    /// Takes what a file gave; none where it says what it said before.
    fn take(&mut self, file: OfFile, stamp: Option<Stamp>) -> Option<FileReport> {
        // A file that comes back is what it was, in another version.
        let gone = self.gone.remove(&file.path);
        let held = self.files.entry(file.path.clone());
        let held = held.or_insert_with(|| gone.unwrap_or_default());
        let same = file.content.is_some() && file.content == held.content;
        held.stamp = stamp;
        held.content = file.content;
        if same {
            return None;
        }
        let mut problems = Vec::new();
        let mut gives: Vec<Arc<Rule>> = Vec::new();
        let mut given = HashSet::new();
        let mut broken = HashSet::new();
        let mut whole = false;
        for (id, rule) in file.rules {
            match rule {
                Ok(known) if !given.insert(known.id.clone()) => {
                    problems.push(Problem::Duplicate {
                        id: known.id.clone(),
                        first: file.path.clone(),
                        second: file.path.clone(),
                    });
                }
                Ok(known) => gives.push(known),
                Err(problem) => {
                    match id {
                        Some(id) => {
                            gives.extend(held.gives.iter().find(|k| k.id == id).cloned());
                            broken.insert(id);
                        }
                        None => whole = true,
                    }
                    problems.push(problem);
                }
            }
        }
        let texts = problems.iter().map(|problem| problem.rendered(false));
        let warnings = file.warnings.iter().map(|warning| warning.text.clone());
        let diagnostic: Vec<String> = texts.chain(warnings).collect();
        held.diagnostic = (!diagnostic.is_empty()).then(|| diagnostic.join("\n"));
        let kept: Vec<String> = match whole {
            true => held.gives.iter().map(|known| known.id.clone()).collect(),
            false => broken.iter().cloned().collect(),
        };
        let is_in_force = |id: &String| self.in_force.get(id).is_some_and(|f| f.path == file.path);
        let mut kept: Vec<String> = kept.into_iter().filter(is_in_force).collect();
        kept.sort();
        if !whole {
            held.gives = gives;
        }
        held.broken = match (whole, broken.is_empty()) {
            (true, _) => Broken::File,
            (false, true) => Broken::Nothing,
            (false, false) => Broken::Rules(broken),
        };
        Some(FileReport {
            path: file.path,
            problems,
            warnings: file.warnings,
            kept,
            leaving: Vec::new(),
            removed: false,
        })
    }
}

fn is_withheld(withheld: &HashMap<String, Withheld>, rule: &Rule) -> bool {
    let withheld = withheld.get(&rule.id);
    withheld.is_some_and(|withheld| withheld.version == rule.version)
}

/// Keeps what was in force, to be rolled back to, unless it was quarantined itself.
fn replaced(earlier: &mut HashMap<String, Vec<Arc<Rule>>>, before: &Arc<Rule>, now: &Rule) {
    let versions = earlier.entry(before.id.clone()).or_default();
    // What is in force again must not be rolled back to itself.
    versions.retain(|rule| rule.version != now.version && rule.version != before.version);
    if !before.breaker().has_opened() {
        versions.push(before.clone());
    }
    let surplus = versions.len().saturating_sub(EARLIER);
    versions.drain(..surplus);
}
