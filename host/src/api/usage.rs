//! `GET /api/v1/rules/usage`: what the host is busy with, and what each rule takes of it. `betrace top` asks for it again and
//! again, so all counters come with the time that they are of.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State as Extract;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::state::State;
use crate::engine::RuleSet;
use crate::rules::update::{RuleState, RuleStatus};
use crate::time::Time;

/// What the host is busy with. Counts are since its start.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Usage {
    pub(crate) version: String,
    /// How long the host has run: what counts are to be seen against.
    pub(crate) uptime_seconds: f64,
    /// Spans acknowledged.
    pub(crate) spans: u64,
    /// Requests that were turned away for want of room, to be sent again.
    pub(crate) overload: u64,
    /// Traces that were judged.
    pub(crate) traces: u64,
    pub(crate) open_traces: u64,
    /// What open traces take of memory.
    pub(crate) memory_bytes: u64,
    /// Bytes of requests that no worker has taken yet.
    pub(crate) in_flight_bytes: u64,
    /// One a worker.
    pub(crate) shards: Vec<ShardUsage>,
    pub(crate) rules: Vec<RuleUsage>,
}

/// How far a worker is behind.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShardUsage {
    /// How long the spans that it took last had waited for it.
    pub(crate) lag_seconds: f64,
    /// Turns that began with more than `lag`, or with its queue more than half full.
    pub(crate) lagging_turns: u64,
}

/// What a rule takes. Counts are over all its versions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RuleUsage {
    pub(crate) id: String,
    pub(crate) state: RuleState,
    /// CPU time.
    pub(crate) seconds: f64,
    /// Calls.
    pub(crate) evaluations: u64,
    /// Traces that it was given.
    pub(crate) traces: u64,
    /// Traces that it was not asked about, as nothing in them can concern it.
    pub(crate) skipped: u64,
    /// Traces that it was passed over for, as it takes more than its share of a worker that lags.
    pub(crate) passed_over: u64,
    /// Traces without a verdict, for whatever reason.
    pub(crate) unjudged: u64,
    pub(crate) signals: u64,
    pub(crate) faults: u64,
    /// CPU time of a call, the median of the last one to two minutes; null where there was none.
    pub(crate) p50_seconds: Option<f64>,
    /// That which 99 of 100 calls did not take longer than.
    pub(crate) p99_seconds: Option<f64>,
}

/// What the host is busy with, and what each rule takes of it.
#[utoipa::path(
    get,
    path = "/api/v1/rules/usage",
    operation_id = "getUsage",
    responses((status = 200, description = "Counts since the host started", body = Usage))
)]
pub(super) async fn usage(Extract(state): Extract<Arc<State>>) -> Json<Usage> {
    let set = state.rules.current();
    let now = state.clock.now();
    let shown = state.shards.iter();
    let progress: Vec<_> = shown
        .map(|shard| *shard.lock().unwrap_or_else(PoisonError::into_inner))
        .collect();
    let assembly = progress.iter().map(|progress| progress.assembly);
    let (grpc, http) = (state.ingest.grpc.snapshot(), state.ingest.http.snapshot());
    let statuses = state.statuses();
    Json(Usage {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: now.since(Time::default()).as_secs_f64(),
        spans: grpc.spans + http.spans,
        overload: grpc.overload + http.overload,
        traces: set.judged(),
        open_traces: assembly.clone().map(|a| a.open_traces).sum(),
        memory_bytes: assembly.map(|a| a.memory_bytes).sum(),
        in_flight_bytes: state.ingest.budget.used() as u64,
        shards: progress
            .iter()
            .map(|shard| ShardUsage {
                lag_seconds: shard.behind.as_secs_f64(),
                lagging_turns: shard.lagging_turns,
            })
            .collect(),
        rules: statuses.iter().map(|s| rule(s, &set, now)).collect(),
    })
}

fn rule(status: &RuleStatus, set: &RuleSet, now: Time) -> RuleUsage {
    let rule = status.rule.as_deref();
    let counts = rule.map(|rule| set.counts(rule)).unwrap_or_default();
    let quantiles = rule.and_then(|rule| rule.quantiles(now));
    RuleUsage {
        id: status.id.clone(),
        state: status.state_now(now),
        seconds: counts.nanoseconds as f64 / 1e9,
        evaluations: counts.evaluations,
        traces: counts.traces,
        skipped: counts.skipped,
        passed_over: counts.passed_over,
        unjudged: counts.unjudged,
        signals: counts.signals.all(),
        faults: counts.all_faults(),
        p50_seconds: quantiles.map(|quantiles| quantiles.p50.as_secs_f64()),
        p99_seconds: quantiles.map(|quantiles| quantiles.p99.as_secs_f64()),
    }
}
