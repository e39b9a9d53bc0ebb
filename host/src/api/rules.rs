//! `GET /api/v1/rules` and what a rule's last change did.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Error, ErrorBody};
use super::state::State;
use crate::engine::Rule;
use crate::replay::verdict::{ChangeKind, NeverTrue, RuleVerdict, Side};
use crate::rules::update::{RuleState, RuleStatus};
use crate::signal::stamp::hex;
use crate::signal::{Severity, Signal};

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
    faults: u64,
    last_fault: Option<String>,
    /// CPU time of all its calls.
    seconds: f64,
}

/// What the last change of a rule did to the traces that were kept then.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Diff {
    rule: String,
    change: ChangeKind,
    /// The version before, and the one that came.
    before: Option<String>,
    after: Option<String>,
    /// Traces that it was tried on.
    traces: u64,
    /// Of these, those that had what it needs to be asked.
    candidates: u64,
    fires: u64,
    fired_before: u64,
    newly: SideView,
    no_longer: SideView,
    /// For other reasons.
    otherwise: SideView,
    unchanged: u64,
    /// Traces that a version could not judge.
    unjudged: u64,
    fault: Option<String>,
    unlike: Vec<UnlikeView>,
    /// Parts of the condition that no trace made true, where it fires on none.
    never: Vec<NeverTrue>,
}

/// Traces of one kind.
#[derive(Debug, Serialize, ToSchema)]
struct SideView {
    traces: u64,
    /// The newest of them.
    ids: Vec<String>,
    /// Of the newest.
    #[schema(value_type = Option<Signal>)]
    #[serde(serialize_with = "signal")]
    first: Option<Arc<Signal>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct UnlikeView {
    field: String,
    /// What its values were.
    was: &'static str,
    spans: u64,
}

/// The rules as they stand.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    responses((status = 200, description = "All rules", body = Rules))
)]
pub(super) async fn list(Extract(state): Extract<Arc<State>>) -> Json<Rules> {
    let set = state.rules.current();
    let statuses = state.book.statuses();
    let rules = match statuses.is_empty() {
        // Rules that the host came with.
        true => set.rules.iter().map(fixed).collect(),
        false => statuses.iter().map(view).collect(),
    };
    Json(Rules {
        generation: set.generation,
        rules,
    })
}

/// What the last change of a rule did to the traces that were kept then.
#[utoipa::path(
    get,
    path = "/api/v1/rules/{id}/diff",
    params(("id" = String, Path, description = "The rule's id")),
    responses(
        (status = 200, description = "The difference", body = Diff),
        (status = 404, description = "No such rule, or it did not change", body = ErrorBody),
    )
)]
pub(super) async fn diff(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Json<Diff>, Error> {
    match state.book.verdict(&id) {
        Some(verdict) => Ok(Json(Diff::from(&*verdict))),
        None if is_known(&state, &id) => Err(Error::not_found(format!(
            "rule `{id}` did not change since the host started"
        ))
        .help("save its file; `POST /api/v1/try` tries a rule without saving it")),
        None => Err(unknown(&state, &id)),
    }
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

fn fixed(rule: &Arc<Rule>) -> RuleView {
    view(&RuleStatus {
        id: rule.id.clone(),
        path: rule.origin.clone(),
        state: RuleState::Active,
        rule: Some(rule.clone()),
        diagnostic: None,
    })
}

fn view(status: &RuleStatus) -> RuleView {
    let rule = status.rule.as_deref();
    let counts = rule.map(Rule::counts).unwrap_or_default();
    RuleView {
        id: status.id.clone(),
        file: status.path.display().to_string(),
        state: status.state,
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
        faults: counts.all_faults(),
        last_fault: rule
            .and_then(Rule::last_fault)
            .map(|fault| fault.to_string()),
        seconds: counts.nanoseconds as f64 / 1e9,
    }
}

impl From<&RuleVerdict> for Diff {
    fn from(verdict: &RuleVerdict) -> Diff {
        let unlike = verdict.unlike.iter().map(|(unlike, spans)| UnlikeView {
            field: unlike.field.clone(),
            was: unlike.tag,
            spans: *spans,
        });
        let silence = verdict.silence.as_ref();
        Diff {
            rule: verdict.id.clone(),
            change: verdict.change,
            before: verdict.before.clone(),
            after: verdict.after.clone(),
            traces: verdict.traces,
            candidates: verdict.candidates,
            fires: verdict.fires,
            fired_before: verdict.fired_before,
            newly: SideView::from(&verdict.newly),
            no_longer: SideView::from(&verdict.no_longer),
            otherwise: SideView::from(&verdict.otherwise),
            unchanged: verdict.unchanged,
            unjudged: verdict.unjudged,
            fault: verdict.fault.clone(),
            unlike: unlike.collect(),
            never: silence
                .map(|silence| silence.never.clone())
                .unwrap_or_default(),
        }
    }
}

impl From<&Side> for SideView {
    fn from(side: &Side) -> SideView {
        SideView {
            traces: side.traces,
            ids: side.ids.iter().map(|id| hex(id)).collect(),
            first: side.first.as_ref().map(|first| first.signal.clone()),
        }
    }
}

fn signal<S: serde::Serializer>(
    signal: &Option<Arc<Signal>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    signal.as_deref().serialize(serializer)
}
