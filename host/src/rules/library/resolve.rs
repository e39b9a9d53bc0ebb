//! Who gives which rule, what changed by that, and what has to wait: a file that is gone may be back in a moment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{InForce, Library, is_withheld, replaced};
use crate::engine::Rule;
use crate::rules::compile::Problem;
use crate::rules::sources;
use crate::rules::update::{Change, FileReport, Update};
use crate::time::Time;

/// How often a rule that is due to go is looked at again while the folder that held it is gone, or its file is back and
/// not read.
const AGAIN: Duration = Duration::from_secs(1);

impl Library {
    /// Who gives which rule: whoever had it before, else the first. Tells what changed. Where the one that had it is gone,
    /// another that gave it all along waits, too, as the file may be back.
    pub(super) fn resolve(&mut self, now: Time, update: &mut Update) {
        let mut claims: BTreeMap<&str, Vec<(&Path, &Arc<Rule>)>> = BTreeMap::new();
        for (path, held) in &self.files {
            for known in &held.gives {
                let claim = (path.as_path(), known);
                claims.entry(&known.id).or_default().push(claim);
            }
        }
        let mut next = BTreeMap::new();
        let mut doubles = HashSet::new();
        let mut leaving = HashMap::new();
        for (&id, claims) in &claims {
            let before = self.in_force.get(id);
            let has_it = before.and_then(|f| claims.iter().find(|(path, _)| *path == f.path));
            if let (Some(before), None) = (before, has_it)
                && claims.iter().all(|(path, _)| self.is_double(id, path))
                && let Some(at) = self.stays_until(id, before, now)
            {
                let others = claims
                    .iter()
                    .map(|(path, _)| (id.to_owned(), (*path).to_owned()));
                doubles.extend(others);
                leaving.insert(id.to_owned(), at);
                let (rule, path) = (before.rule.clone(), before.path.clone());
                next.insert(id.to_owned(), InForce { rule, path });
                continue;
            }
            let Some(&(path, rule)) = has_it.or(claims.first()) else {
                continue;
            };
            doubles.extend(
                claims
                    .iter()
                    .filter(|(other, _)| *other != path)
                    .map(|(other, _)| (id.to_owned(), (*other).to_owned())),
            );
            let rule = match before {
                // The same but for its file or its comments: its instances are warm.
                Some(before) if before.rule.version == rule.version => {
                    self.withheld.remove(id);
                    before.rule.clone()
                }
                // What the file gives has been rolled back.
                Some(before) if is_withheld(&self.withheld, rule) => before.rule.clone(),
                before => {
                    self.withheld.remove(id);
                    if let Some(before) = before {
                        replaced(&mut self.earlier, &before.rule, rule);
                    }
                    update.changes.push(Change {
                        id: id.to_owned(),
                        path: path.to_owned(),
                        before: before.map(|before| before.rule.clone()),
                        after: Some(rule.clone()),
                    });
                    rule.clone()
                }
            };
            let path = path.to_owned();
            next.insert(id.to_owned(), InForce { rule, path });
        }
        for (id, in_force) in std::mem::take(&mut self.in_force) {
            if next.contains_key(&id) {
                continue;
            }
            if let Some(at) = self.stays_until(&id, &in_force, now) {
                leaving.insert(id.clone(), at);
                next.insert(id, in_force);
                continue;
            }
            if !self.files.contains_key(&in_force.path)
                && update.files.iter().all(|file| file.path != in_force.path)
            {
                update.files.push(FileReport {
                    removed: true,
                    ..FileReport::of(&in_force.path)
                });
            }
            update.changes.push(Change {
                id,
                path: in_force.path,
                before: Some(in_force.rule),
                after: None,
            });
        }
        for (id, in_force) in &next {
            if leaving.contains_key(id) && !self.leaving.contains_key(id) {
                let mut files = update.files.iter_mut();
                if let Some(file) = files.find(|file| file.path == in_force.path) {
                    file.leaving.push(id.clone());
                }
            }
        }
        self.leaving = leaving;
        self.in_force = next;
        let in_force = &self.in_force;
        self.earlier.retain(|id, _| in_force.contains_key(id));
        self.withheld.retain(|id, _| in_force.contains_key(id));
        self.gone.retain(|path, held| {
            let mut ids = held.gives.iter().map(|known| known.id.as_str());
            ids.any(|id| self.in_force.get(id).is_some_and(|f| f.path == *path))
        });
        self.tell_doubles(doubles, update);
    }

    fn tell_doubles(&mut self, doubles: HashSet<(String, PathBuf)>, update: &mut Update) {
        let mut new: Vec<_> = doubles.difference(&self.doubles).cloned().collect();
        new.sort();
        for (id, second) in new {
            let Some(first) = self.in_force.get(&id).map(|f| f.path.clone()) else {
                continue;
            };
            let problem = Problem::Duplicate {
                id,
                first,
                second: second.clone(),
            };
            match update.files.iter_mut().find(|file| file.path == second) {
                Some(file) => file.problems.push(problem),
                None => update.files.push(FileReport {
                    problems: vec![problem],
                    ..FileReport::of(&second)
                }),
            }
        }
        // One that was given twice and is not any more, as its file is gone.
        for (_, path) in self.doubles.difference(&doubles) {
            let is_told = update.files.iter().any(|file| file.path == *path);
            if !self.files.contains_key(path) && !is_told {
                update.files.push(FileReport {
                    removed: true,
                    ..FileReport::of(path)
                });
            }
        }
        self.doubles = doubles;
    }

    /// Whether another file gave this rule already when it was last looked.
    fn is_double(&self, id: &str, path: &Path) -> bool {
        self.doubles.contains(&(id.to_owned(), path.to_owned()))
    }

    /// How long a rule stays in force that its file gives no more; none where it goes now.
    fn stays_until(&self, id: &str, in_force: &InForce, now: Time) -> Option<Time> {
        let at = self.leaving.get(id).copied();
        let at = at.unwrap_or_else(|| now.after(self.removal_delay));
        if now < at {
            return Some(at);
        }
        let again = self.is_folder_gone(&in_force.path) || self.is_unread(&in_force.path);
        again.then(|| now.after(AGAIN))
    }

    /// Whether the folder that was named, or the one of the file that was, is gone itself.
    fn is_folder_gone(&self, path: &Path) -> bool {
        let mut roots = self.roots.iter().filter(|root| path.starts_with(root));
        !roots.any(|root| std::fs::metadata(sources::folder_of(root)).is_ok())
    }

    /// Whether there is a file at the path that was not read yet: it is being written, or what is there was just put there.
    fn is_unread(&self, path: &Path) -> bool {
        let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let Some(real) = is_file.then(|| std::fs::canonicalize(path).ok()).flatten() else {
            return false;
        };
        match self.real.get(&real) {
            // The same file under another path is no other file.
            Some(known) => !self.files.contains_key(known),
            None => true,
        }
    }
}
