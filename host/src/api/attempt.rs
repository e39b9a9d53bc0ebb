//! `POST /api/v1/check` and `POST /api/v1/try`: a rule's source in, what is wrong with it and what it would find out.
//! Nothing is kept of it.
//!
//! The source is bounded as a file's is, by `api-body`, and in its rules by `try-rules`. What takes long is work as
//! [`Permit`] bounds it, and what was begun is abandoned between two rules, or two calls of one, once nobody waits for it.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::extract::rejection::BytesRejection;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::diff::Diff;
use super::error::{Error, ErrorBody};
use super::query::{self, Parameters};
use super::state::State;
use super::work::Permit;
use crate::engine::{Rule, RuleSource, probe};
use crate::pipeline::thread::Clock;
use crate::replay::coverage::Coverage;
use crate::replay::explain::fill_silences;
use crate::replay::trial::{Trial, TrialLimits};
use crate::rules::compile::{SOURCE_BYTES, Source};
use crate::rules::dsl;
use crate::rules::update::Change;

/// The name of a rule that has none.
const NAME: &str = "rule";

/// Bytes of a name: what a file's may have.
const NAME_BYTES: usize = 255;

/// What a check and a trial take beside the body, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read as `Parameters`")]
struct Named {
    /// The name of the file that it would be in, without `.betrace`: the id of a rule that is a bare condition.
    name: Option<String>,
}

/// A source with its name, where both come as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    /// The text of a `.betrace` file.
    source: String,
    /// The name of that file, without `.betrace`.
    name: Option<String>,
}

/// What is to be said of a rule's source.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    /// Whether it could be in force.
    ok: bool,
    /// The ids of its rules.
    rules: Vec<String>,
    diagnostics: Vec<DiagnosticView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DiagnosticView {
    /// `error` or `warning`.
    level: &'static str,
    /// As a terminal shows it.
    text: String,
}

/// What rules would find.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tried {
    #[serde(flatten)]
    checked: Checked,
    /// One for each rule, over the traces that are kept.
    verdicts: Vec<Diff>,
    /// The time for a trial was up before all traces were tried: the oldest have no verdict.
    out_of_time: bool,
    coverage: Coverage,
    /// In words.
    sample: String,
}

/// Says what is wrong with a rule's source, which is the body.
#[utoipa::path(
    post,
    path = "/api/v1/check",
    operation_id = "checkRules",
    params(Named),
    request_body(
        content((String = "text/plain"), (Sent = "application/json")),
        description = "The text of a `.betrace` file, as it is or in JSON"
    ),
    responses(
        (status = 200, description = "What is to be said of it", body = Checked),
        (status = 400, description = "A body or a name that can't be read", body = ErrorBody),
        (status = 413, description = "It is too long, or holds too many rules", body = ErrorBody),
        (status = 429, description = "Others are being checked or tried, and too many wait", body = ErrorBody),
        (status = 503, description = "It took too long", body = ErrorBody),
    )
)]
pub(super) async fn check(
    Extract(state): Extract<Arc<State>>,
    named: query::Sent,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Checked>, Error> {
    let text = Text::read(&state, named, &headers, body)?;
    let work = Permit::take(&state, |state| &state.attempts).await?;
    let checked = work.run(move |state, overtaken| load(state, &text, overtaken));
    checked.await?.map(|(checked, _)| Json(checked))
}

/// Says what rules would find in the traces that are kept. The body is their source.
#[utoipa::path(
    post,
    path = "/api/v1/try",
    operation_id = "tryRules",
    params(Named),
    request_body(
        content((String = "text/plain"), (Sent = "application/json")),
        description = "The text of a `.betrace` file, as it is or in JSON"
    ),
    responses(
        (status = 200, description = "What they would find", body = Tried),
        (status = 400, description = "A body or a name that can't be read", body = ErrorBody),
        (status = 413, description = "It is too long, or holds too many rules", body = ErrorBody),
        (status = 429, description = "Others are being checked or tried, and too many wait", body = ErrorBody),
        (status = 503, description = "It took too long", body = ErrorBody),
    )
)]
pub(super) async fn attempt(
    Extract(state): Extract<Arc<State>>,
    named: query::Sent,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Tried>, Error> {
    let text = Text::read(&state, named, &headers, body)?;
    let work = Permit::take(&state, |state| &state.attempts).await?;
    let tried = work.run(move |state, overtaken| tried(state, &text, overtaken));
    tried.await?.map(Json)
}

fn tried(state: &State, text: &Text, overtaken: &AtomicBool) -> Result<Tried, Error> {
    let (checked, rules) = load(state, text, overtaken)?;
    let kept = state.ring.snapshot();
    let coverage = state.ring.coverage(&kept);
    let sample = coverage.sentence(Clock::unix_ns());
    let added = |rule: &Arc<Rule>| Change {
        id: rule.id.clone(),
        path: rule.origin.clone(),
        before: None,
        after: Some(rule.clone()),
    };
    let changes: Vec<Change> = rules.iter().map(added).collect();
    let limits = TrialLimits::for_request(state.limits.attempts);
    let mut trial = Trial::with_limits(state.engine.clone(), limits);
    let verdict = trial.judge(&changes, &kept, coverage.clone(), overtaken);
    let mut verdict = verdict.unwrap_or_default();
    fill_silences(&state.engine, &changes, &kept, &mut verdict, overtaken);
    Ok(Tried {
        checked,
        verdicts: verdict.rules.iter().map(Diff::from).collect(),
        out_of_time: verdict.out_of_time,
        coverage,
        sample,
    })
}

/// A source that was sent.
struct Text {
    name: String,
    source: Bytes,
}

impl Text {
    fn read(
        state: &State,
        named: query::Sent,
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Text, Error> {
        let mut name = Parameters::read(named, &["name"])?.owned("name");
        let mut source = body.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(state.limits.body),
            status => Error::new(status, "bad_request", error.body_text()),
        })?;
        if is_json(headers) {
            let sent: Sent = serde_json::from_slice(&source).map_err(|error| {
                Error::bad_request(format!("the body is not as announced: {error}")).help(
                    "send `{\"source\": \"…\", \"name\": \"…\"}`, or the source as text/plain",
                )
            })?;
            name = sent.name.or(name);
            source = sent.source.into();
        }
        if source.len() > SOURCE_BYTES {
            return Err(too_large(SOURCE_BYTES));
        }
        let name = name.unwrap_or_else(|| NAME.to_owned());
        if !is_file_name(&name) {
            return Err(Error::bad_request("`name` is not the name of a file")
                .help("it is where the rule would be: `name.betrace`, without a folder"));
        }
        Ok(Text { name, source })
    }
}

fn too_large(most: usize) -> Error {
    let message = format!("the body is longer than {most} bytes");
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        .help("send fewer rules at a time, or raise `--api-body`")
}

fn too_many(count: usize, most: usize) -> Error {
    let message = format!("the source holds {count} rules, of which at most {most} are taken");
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        .help("send fewer rules at a time, or raise `--try-rules`")
}

/// Whatever else a body is said to be, such as what `curl --data` says, is the source itself.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && !name
            .chars()
            .any(|c| c.is_control() || c == '/' || c == '\\')
}

/// Compiles and loads a source, as its file would be. Between two rules it ends once it is overtaken: nobody reads what it
/// found until then.
fn load(
    state: &State,
    text: &Text,
    overtaken: &AtomicBool,
) -> Result<(Checked, Vec<Arc<Rule>>), Error> {
    let engine = &state.engine;
    let file = format!("{}.betrace", text.name);
    let most = state.limits.attempt_rules;
    let count = Cell::new(0);
    let compiled = dsl::compile(Source {
        path: Path::new(&file),
        stem: &text.name,
        bytes: &text.source,
        // Asked for each rule, before it is made. What is `known` is passed over.
        known: &|_, _| {
            count.set(count.get() + 1);
            match count.get() > most || overtaken.load(Relaxed) {
                true => betrace_dsl::Known::Clean,
                false => betrace_dsl::Known::No,
            }
        },
    });
    if count.get() > most {
        state.counters.attempts_too_many.fetch_add(1, Relaxed);
        return Err(too_many(count.get(), most));
    }
    let mut diagnostics: Vec<DiagnosticView> = compiled
        .messages
        .iter()
        .map(|message| DiagnosticView {
            level: if message.error { "error" } else { "warning" },
            text: message.text.clone(),
        })
        .collect();
    let source = Arc::new(RuleSource {
        stem: text.name.clone(),
        text: text.source.to_vec(),
        clean: compiled.messages.is_empty(),
    });
    let mut rules = Vec::new();
    for rule in compiled.rules {
        if overtaken.load(Relaxed) {
            break;
        }
        let loaded = Rule::load(engine, &rule.component, &file).map(Arc::new);
        let loaded = loaded.map_err(|error| error.to_string()).and_then(|rule| {
            let probed = probe::probe(engine, &rule).map_err(|error| error.to_string());
            probed.map(|()| Arc::new(rule.in_force(None, Some(&source))))
        });
        match loaded {
            Ok(rule) => rules.push(rule),
            Err(error) => diagnostics.push(DiagnosticView {
                level: "error",
                text: format!("error: {error}"),
            }),
        }
    }
    let checked = Checked {
        ok: diagnostics
            .iter()
            .all(|diagnostic| diagnostic.level != "error"),
        rules: rules.iter().map(|rule| rule.id.clone()).collect(),
        diagnostics,
    };
    Ok((checked, rules))
}

#[cfg(test)]
mod tests {
    use super::super::state::fixture::state;
    use super::*;

    fn text() -> Text {
        Text {
            name: "three".to_owned(),
            source: "rule a { detect { x } } rule b { detect { x } } rule c { detect { x } }"
                .into(),
        }
    }

    #[test]
    fn no_rule_is_compiled_once_nobody_waits() {
        let (mut state, _router, _trigger) = state(1, 1);
        state.limits.attempt_rules = 3;
        let load = |overtaken| load(&state, &text(), &AtomicBool::new(overtaken));
        let (checked, rules) = load(true).expect("there are few enough");
        assert!(
            rules.is_empty() && checked.diagnostics.is_empty(),
            "{checked:?}"
        );
        let (checked, rules) = load(false).expect("there are few enough");
        assert_eq!((checked.ok, rules.len()), (true, 3), "{checked:?}");
    }

    #[test]
    fn a_source_holds_so_many_rules() {
        let (mut state, _router, _trigger) = state(1, 1);
        state.limits.attempt_rules = 2;
        let refused = load(&state, &text(), &AtomicBool::new(false));
        assert_eq!(refused.err(), Some(too_many(3, 2)));
        assert_eq!(state.counters.attempts_too_many.load(Relaxed), 1);
    }
}
