//! `GET /api/v1/rules`: the rules as they stand, and what they did.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Error;
use super::state::State;
use crate::engine::{Rule, RuleSet};
use crate::pipeline::thread::Clock;
use crate::rules::update::{RuleState, RuleStatus};
use crate::signal::Severity;
use crate::signal::stamp::rfc3339;

/// The rules as they stand.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rules {
    /// Of the rule set in force; it grows with every change.
    generation: u64,
    rules: Vec<RuleView>,
}

/// A rule, or a file that gives none.
#[derive(Debug, Serialize, ToSchema)]
struct RuleView {
    id: String,
    file: String,
    state: RuleState,
    /// In force; null where nothing is.
    version: Option<String>,
    severity: Option<Severity>,
    tags: Vec<String>,
    description: String,
    /// What is wrong with the file as it is, or odd.
    diagnostic: Option<String>,
    /// Clauses found broken, over all versions.
    fires: u64,
    evaluations: u64,
    /// Candidate traces.
    traces: u64,
    /// Traces that it was not asked about, as nothing in them can concern it.
    skipped: u64,
    /// Candidate traces without a verdict: the rule faulted, was quarantined or passed over, or there was no instance to be had.
    unjudged: u64,
    /// Of these, those that it was passed over for, as it takes more than its share of a worker that lags.
    passed_over: u64,
    faults: u64,
    last_fault: Option<String>,
    /// Why and until when it is not asked, or what was rolled back; null where neither.
    quarantine: Option<QuarantineView>,
    /// CPU time of all its calls.
    seconds: f64,
}

/// A version of a rule that kept faulting.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantineView {
    /// The version that is not asked: the one in force, or the one that was rolled back.
    version: String,
    /// As faults are counted: `trap`, `timeout`, ...
    kind: String,
    /// What the fault that led to it said.
    message: String,
    /// When it is tried again; null where that is when its file changes.
    until: Option<String>,
    /// Candidate traces that came meanwhile, over all quarantines.
    traces: u64,
}

/// The rules as they stand.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    operation_id = "listRules",
    responses((status = 200, description = "All rules", body = Rules))
)]
pub(super) async fn list(Extract(state): Extract<Arc<State>>) -> Json<Rules> {
    let set = state.rules.current();
    let statuses = state.statuses();
    let rules = statuses.iter();
    Json(Rules {
        generation: set.generation,
        rules: rules
            .map(|status| view(status, &set, &state.clock))
            .collect(),
    })
}

pub(super) fn is_known(state: &State, id: &str) -> bool {
    state.book.statuses().iter().any(|status| status.id == id)
        || state.rules.current().rules.iter().any(|rule| rule.id == id)
}

/// That there is no such rule, and which there might have been meant.
pub(super) fn unknown(state: &State, id: &str) -> Error {
    let set = state.rules.current();
    let near = crate::config::nearest(id, set.rules.iter().map(|rule| rule.id.as_str()));
    let help = near.map_or_else(
        || "`GET /api/v1/rules` lists them".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Error::not_found(format!("there is no rule `{id}`")).help(help)
}

/// That nothing is in force of a rule, and why.
pub(super) fn not_in_force(state: &State, id: &str) -> Error {
    let statuses = state.book.statuses();
    let mut broken = statuses.iter().filter(|s| s.state == RuleState::Broken);
    let Some(status) = broken.find(|status| status.id == id) else {
        return unknown(state, id);
    };
    let file = status.path.display();
    let message = format!(
        "the rule `{id}` in {file} is broken, and no version of it has been in force since the host started"
    );
    Error::new(StatusCode::UNPROCESSABLE_ENTITY, "not_explained", message)
        .diagnostic(status.diagnostic.clone())
        .help("mend the file, and ask again")
}

/// Why an older version of a rule than its file's is in force; none where it is the file's.
pub(super) fn last_good(state: &State, id: &str) -> Option<String> {
    let statuses = state.book.statuses();
    let mut old = statuses.iter().filter(|s| s.state == RuleState::LastGood);
    let status = old.find(|status| status.id == id)?;
    Some(format!(
        "the last good version of `{id}` answers, which is in force: its file {} is broken now, or does not hold it any more",
        status.path.display()
    ))
}

fn view(status: &RuleStatus, set: &RuleSet, clock: &Clock) -> RuleView {
    let rule = status.rule.as_deref();
    let counts = rule.map(|rule| set.counts(rule)).unwrap_or_default();
    RuleView {
        id: status.id.clone(),
        file: status.path.display().to_string(),
        state: status.state_now(clock.now()),
        version: rule.map(|rule| rule.version.clone()),
        severity: rule.map(|rule| rule.manifest.severity.into()),
        tags: rule
            .map(|rule| rule.manifest.tags.clone())
            .unwrap_or_default(),
        description: rule
            .map(|rule| rule.manifest.description.clone())
            .unwrap_or_default(),
        diagnostic: status.diagnostic.clone(),
        fires: counts.findings,
        evaluations: counts.evaluations,
        traces: counts.traces,
        skipped: counts.skipped,
        unjudged: counts.unjudged,
        passed_over: counts.passed_over,
        faults: counts.all_faults(),
        last_fault: rule
            .and_then(Rule::last_fault)
            .map(|fault| fault.to_string()),
        quarantine: quarantine(status, counts.quarantined, clock),
        seconds: counts.nanoseconds as f64 / 1e9,
    }
}

fn quarantine(status: &RuleStatus, traces: u64, clock: &Clock) -> Option<QuarantineView> {
    let in_force = status.rule.as_deref();
    let open = in_force.and_then(|rule| Some((rule, rule.breaker().quarantine()?)));
    let (version, fault, until) = match (open, &status.withheld) {
        (Some((rule, open)), _) => {
            let left = open.until.since(clock.now());
            let left = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
            let until = rfc3339(Clock::unix_ns().saturating_add(left));
            (rule.version.clone(), open.fault, Some(until))
        }
        (None, Some(withheld)) => (withheld.version.clone(), withheld.fault.clone(), None),
        (None, None) => return None,
    };
    Some(QuarantineView {
        version,
        kind: fault.kind.name().to_owned(),
        message: fault.message,
        until,
        traces,
    })
}
