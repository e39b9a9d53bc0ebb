//! A rule and its explanation, ready to be run over kept traces.

use std::sync::Arc;

use super::explained::{Explained, Outcome};
use super::read::{Reading, parts};
use super::triggers::Triggers;
use crate::assemble::trace::Trace;
use crate::columns::batch::Columns;
use crate::engine::explain::ExplainFault;
use crate::engine::{Engine, Explainer, Finding, LoadError, Rule, RuleSet, Tried, Worker};
use crate::replay::kept::{Kept, KeptBatch};
use crate::signal::judge::{Judged, Unfinished, signals};

/// Why a rule can't be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Its source compiled when it was loaded; its explanation may still be too large.
    #[error("the explanation of rule `{rule}` does not compile: {reason}")]
    Compile { rule: String, reason: String },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("rule `{rule}`: {fault}")]
    Run { rule: String, fault: ExplainFault },
    #[error("there is no trace to explain")]
    NoTrace,
}

/// A rule, its explanation, and what both need to run.
pub(super) struct Desk {
    /// The rule, alone; a copy with counters of its own, as metrics tell of live traffic.
    pub(super) set: Arc<RuleSet>,
    pub(super) rule: Arc<Rule>,
    pub(super) triggers: Triggers,
    /// None of a rule without source.
    pub(super) explainer: Option<Explainer>,
    worker: Worker,
    pub(super) columns: Columns,
}

impl Desk {
    pub(super) fn open(engine: &Arc<Engine>, rule: &Rule) -> Result<Desk, ExplainError> {
        let copy = Arc::new(rule.in_force(None, rule.source()));
        let set = Arc::new(RuleSet::new(0, vec![copy.clone()]));
        let explainer = match rule.source() {
            None => None,
            Some(source) => {
                let compiled = betrace_dsl::explain(&source.stem, &source.text, &rule.id);
                let compiled = compiled.map_err(|diagnostics| ExplainError::Compile {
                    rule: rule.id.clone(),
                    reason: diagnostics
                        .first()
                        .map(|diagnostic| diagnostic.message.clone())
                        .unwrap_or_default(),
                })?;
                Some(Explainer::load(engine, &set, &copy, &compiled.component)?)
            }
        };
        Ok(Desk {
            triggers: Triggers::new(&set, 0),
            set,
            rule: copy,
            explainer,
            worker: Worker::with_warm(engine.clone(), 1),
            columns: Columns::default(),
        })
    }

    /// What the rule makes of a trace, and why.
    pub(super) fn explain(&mut self, kept: &Arc<Kept>) -> Result<Explained, ExplainError> {
        let requests = KeptBatch::new(std::slice::from_ref(kept));
        let traces = requests.traces();
        self.columns
            .project(&self.set.projection, &requests, &traces);
        let rows = 0..self.columns.order.len();
        let met = self.triggers.met(&self.columns, &rows);
        let is_candidate = met.iter().all(|group| group.contains(&true));
        let (findings, fault) = self.judge(&traces);
        let outcome = match () {
            () if !findings.is_empty() => Outcome::Fires,
            () if fault.is_some() => Outcome::Failed,
            () if is_candidate => Outcome::Quiet,
            () => Outcome::NotAsked,
        };
        let answers = match &mut self.explainer {
            None => None,
            Some(explainer) => {
                let answers = explainer.run(&self.columns, &[0]);
                let answers = answers.map_err(|fault| ExplainError::Run {
                    rule: self.rule.id.clone(),
                    fault,
                })?;
                answers.into_iter().next().flatten()
            }
        };
        let mut emissions = Vec::new();
        let judged = Judged {
            set: &self.set,
            columns: &self.columns,
            traces: &traces,
            requests: &requests,
            unfinished: Unfinished::All,
            outlines: false,
            detected_at: 0,
        };
        signals(&judged, &findings, &mut emissions);
        let reading = Reading {
            set: &self.set,
            rule: &self.rule,
            columns: &self.columns,
            requests: &requests,
            kept,
            parts: self.explainer.as_ref().map(Explainer::parts),
            answers: answers.as_deref(),
            outcome,
        };
        Ok(parts(
            &reading,
            &findings,
            emissions.first().map(|emission| &*emission.signal),
            self.triggers.view(&met),
            fault,
        ))
    }

    /// What the rule finds in a batch that is projected, and what went wrong. Nothing is counted of it.
    fn judge(&mut self, traces: &[Trace]) -> (Vec<Finding>, Option<String>) {
        let mut findings = Vec::new();
        let mut tried = Tried::default();
        self.worker.try_out(
            &self.set,
            &self.columns,
            traces,
            &mut findings,
            &mut tried,
            &|| false,
        );
        (findings, tried.reasons.remove(&0))
    }
}
