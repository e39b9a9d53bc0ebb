//! `POST /api/v1/check` and `POST /api/v1/try`: a rule's source in, what is wrong with it and what it would find out.
//! Nothing is kept of it.
//!
//! The source is bounded as a file's is, and by `api-body`; so many are worked on at a time; and the answer does not wait
//! longer than `try-timeout`: what was begun is then abandoned between two batches.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State as Extract};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};

use super::error::{Error, ErrorBody};
use super::page::seconds;
use super::rules::Diff;
use super::state::State;
use crate::engine::{Engine, Rule, RuleSource, probe};
use crate::replay::coverage::Coverage;
use crate::replay::trial::{Trial, TrialLimits, try_rules};
use crate::rules::compile::{SOURCE_BYTES, Source};
use crate::rules::dsl;

/// The name of a rule that has none.
const NAME: &str = "rule";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// The name of the file that it would be in, without `.betrace`: the id of a rule that is a bare condition.
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
    coverage: Coverage,
    /// In words.
    sample: String,
}

/// Says what is wrong with a rule's source, which is the body.
#[utoipa::path(
    post,
    path = "/api/v1/check",
    params(Named),
    request_body(content = String, content_type = "text/plain", description = "The text of a `.betrace` file"),
    responses(
        (status = 200, description = "What is to be said of it", body = Checked),
        (status = 413, description = "It is too long", body = ErrorBody),
        (status = 429, description = "Others are being checked", body = ErrorBody),
        (status = 503, description = "It took too long", body = ErrorBody),
    )
)]
pub(super) async fn check(
    Extract(state): Extract<Arc<State>>,
    named: Result<Query<Named>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Checked>, Error> {
    let request = Request::new(&state, named, body)?;
    let engine = state.engine.clone();
    let checked = request.run(&state, move |request, _| load(&engine, &request).0);
    checked.await.map(Json)
}

/// Says what rules would find in the traces that are kept. The body is their source.
#[utoipa::path(
    post,
    path = "/api/v1/try",
    params(Named),
    request_body(content = String, content_type = "text/plain", description = "The text of a `.betrace` file"),
    responses(
        (status = 200, description = "What they would find", body = Tried),
        (status = 413, description = "It is too long", body = ErrorBody),
        (status = 429, description = "Others are being tried", body = ErrorBody),
        (status = 503, description = "It took too long", body = ErrorBody),
    )
)]
pub(super) async fn attempt(
    Extract(state): Extract<Arc<State>>,
    named: Result<Query<Named>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Tried>, Error> {
    let request = Request::new(&state, named, body)?;
    let (engine, ring) = (state.engine.clone(), state.ring.clone());
    let limits = TrialLimits::for_request(state.limits.attempts);
    let tried = request.run(&state, move |request, overtaken| {
        let (checked, rules) = load(&engine, &request);
        let kept = ring.snapshot();
        let coverage = ring.coverage(&kept);
        let sample = coverage.sentence(crate::pipeline::thread::Clock::unix_ns());
        let mut trial = Trial::with_limits(engine.clone(), limits);
        let verdict = try_rules(&mut trial, &rules, &kept, coverage.clone(), overtaken);
        let verdicts = verdict.unwrap_or_default().rules;
        Tried {
            checked,
            verdicts: verdicts.iter().map(Diff::from).collect(),
            coverage,
            sample,
        }
    });
    tried.await.map(Json)
}

/// A source that was sent, with the right to have it worked on.
struct Request {
    name: String,
    source: Bytes,
    permit: OwnedSemaphorePermit,
}

impl Request {
    fn new(
        state: &Arc<State>,
        named: Result<Query<Named>, QueryRejection>,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Request, Error> {
        let Query(named) = named.map_err(|error| Error::bad_request(error.body_text()))?;
        let too_large = |most: usize| {
            Error::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the source is longer than {most} bytes"),
            )
        };
        let source = body.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(state.limits.body),
            status => Error::new(status, "bad_body", error.body_text()),
        })?;
        if source.len() > SOURCE_BYTES {
            return Err(too_large(SOURCE_BYTES));
        }
        let Ok(permit) = state.attempts.clone().try_acquire_owned() else {
            state.counters.attempts_refused.fetch_add(1, Relaxed);
            return Err(Error::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                format!(
                    "{} rules are being tried, which is the most",
                    state.limits.attempts
                ),
            )
            .help("try again; `--try-at-once` says how many may be")
            .retry_after(1));
        };
        Ok(Request {
            name: named.name.unwrap_or_else(|| NAME.to_owned()),
            source,
            permit,
        })
    }

    /// Works on it on a thread that may block, for as long as somebody waits.
    async fn run<T: Send + 'static>(
        self,
        state: &Arc<State>,
        work: impl FnOnce(Request, &AtomicBool) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let overtaken = Arc::new(AtomicBool::new(false));
        // Set when this future ends, also where the client went away.
        let abandon = Abandon(overtaken.clone());
        let task = tokio::task::spawn_blocking(move || work(self, &overtaken));
        let timeout = state.limits.attempt_timeout;
        let answer = tokio::time::timeout(timeout, task).await;
        drop(abandon);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Error::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "failed",
                "the rule could not be worked on",
            )
            .help("this is a bug in betrace: please report it with the rule")),
            Err(_) => {
                state.counters.attempts_timed_out.fetch_add(1, Relaxed);
                Err(Error::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "timeout",
                    format!("it took longer than {} s", seconds(timeout)),
                )
                .help("try a smaller rule, or raise `--try-timeout`"))
            }
        }
    }
}

struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Compiles and loads a source, as its file would be.
fn load(engine: &Arc<Engine>, request: &Request) -> (Checked, Vec<Arc<Rule>>) {
    // Held until the work is done, whoever waits.
    let _permit = &request.permit;
    let file = format!("{}.betrace", request.name);
    let compiled = dsl::compile(Source {
        path: Path::new(&file),
        stem: &request.name,
        bytes: &request.source,
        known: &|_, _| false,
    });
    let mut diagnostics: Vec<DiagnosticView> = compiled
        .messages
        .iter()
        .map(|message| DiagnosticView {
            level: if message.error { "error" } else { "warning" },
            text: message.text.clone(),
        })
        .collect();
    let source = Arc::new(RuleSource {
        stem: request.name.clone(),
        text: request.source.to_vec(),
    });
    let mut rules = Vec::new();
    for rule in compiled.rules {
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
    (checked, rules)
}
