//! How each rule stands, and each file that gives none.

use std::path::Path;

use super::{Broken, InForce, Library};
use crate::rules::update::{RuleState, RuleStatus};

impl Library {
    /// How each rule stands, and each file that gives none.
    pub fn statuses(&self) -> Vec<RuleStatus> {
        let mut statuses: Vec<RuleStatus> = self
            .in_force
            .iter()
            .map(|(id, in_force)| self.status(id, in_force))
            .collect();
        for (path, held) in &self.files {
            let gives = |id: &str| self.in_force.get(id).is_some_and(|f| f.path == *path);
            let none = || !held.gives.iter().any(|known| gives(&known.id));
            let ids: Vec<String> = match &held.broken {
                Broken::Nothing => Vec::new(),
                Broken::File if none() => vec![stem(path)],
                Broken::File => Vec::new(),
                Broken::Rules(ids) => ids.iter().filter(|id| !gives(id)).cloned().collect(),
            };
            statuses.extend(ids.into_iter().map(|id| RuleStatus {
                id,
                path: path.clone(),
                state: RuleState::Broken,
                rule: None,
                diagnostic: held.diagnostic.clone(),
                withheld: None,
            }));
        }
        for (id, path) in &self.doubles {
            let first = self.in_force.get(id).map(|f| f.path.display().to_string());
            statuses.push(RuleStatus {
                id: id.clone(),
                path: path.clone(),
                state: RuleState::Broken,
                rule: None,
                diagnostic: first.map(|first| format!("error: this rule is already in {first}")),
                withheld: None,
            });
        }
        statuses.sort_by(|a, b| (&a.id, &a.path).cmp(&(&b.id, &b.path)));
        statuses
    }

    fn status(&self, id: &str, in_force: &InForce) -> RuleStatus {
        let held = self.files.get(&in_force.path);
        let hidden = self.hidden.iter();
        let hidden = hidden
            .clone()
            .find(|(path, _)| in_force.path.starts_with(path));
        let (state, diagnostic) = match held {
            _ if hidden.is_some() => (
                RuleState::LastGood,
                hidden.map(|(_, why)| format!("error: {why}")),
            ),
            None => (RuleState::LastGood, Some("the file is gone".to_owned())),
            Some(held) => {
                let broken = match &held.broken {
                    Broken::Nothing => false,
                    Broken::Rules(ids) => ids.contains(id),
                    Broken::File => true,
                };
                let leaving = self.leaving.contains_key(id);
                let state = if broken || leaving {
                    RuleState::LastGood
                } else if self.withheld.contains_key(id) {
                    RuleState::RolledBack
                } else {
                    RuleState::Active
                };
                (state, held.diagnostic.clone())
            }
        };
        RuleStatus {
            id: id.to_owned(),
            path: in_force.path.clone(),
            state,
            rule: Some(in_force.rule.clone()),
            diagnostic,
            withheld: self.withheld.get(id).cloned(),
        }
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
