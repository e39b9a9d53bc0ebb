//! `GET /metrics`: everything that the host counts, for Prometheus.
//!
//! Names and units are those of Prometheus' conventions: base units, `_total` for counters. All families stand in one table,
//! which `docs/metrics.md` is made from.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::exposition::{self, Exposition, Family, Kind};
use super::listing::OTHERS;
use super::state::State;
use crate::assemble::counters::Counters as Assembly;
use crate::assemble::trace::Completion;
use crate::engine::{Counts, FaultKind, Rule, manifest};
use crate::ingest::{Counters, Transport};
use crate::replay::bundle::keeper::Counters as BundleCounters;
use crate::rules::update::RuleState;
use crate::signal::Severity;
use crate::telemetry::traces::Counters as Counted;
use crate::wal::counters::Counters as LogCounters;

macro_rules! families {
    ($($name:ident: $kind:ident $text:literal [$($label:literal),*] $help:literal;)*) => {
        $(static $name: Family = Family {
            name: $text,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All families, in the order in which they are written.
        pub static FAMILIES: &[&Family] = &[$(&$name),*];
    };
}

families! {
    BUILD: Gauge "betrace_build_info" ["version"] "1, with the version as a label.";
    STARTED: Gauge "process_start_time_seconds" [] "When the host started, in Unix time.";
    REQUESTS: Counter "betrace_otlp_requests_total" ["transport"] "OTLP requests acknowledged.";
    SPANS: Counter "betrace_otlp_spans_total" ["transport"] "Spans acknowledged.";
    BYTES: Counter "betrace_otlp_bytes_total" ["transport"] "Bytes of protobuf acknowledged, after decompression.";
    REJECTED: Counter "betrace_otlp_rejected_spans_total" ["transport"] "Spans left out of acknowledged requests, as their ids can't be used.";
    REFUSED: Counter "betrace_otlp_refused_requests_total" ["transport", "reason"] "Requests that were not taken: malformed, too_large, unsupported, overload, unlogged (the write-ahead log could not be written, or is at its bound), timeouts, closed, aborted.";
    CONNECTIONS: Counter "betrace_connections_total" ["server"] "Connections accepted.";
    CONNECTIONS_TIMED_OUT: Counter "betrace_connections_timed_out_total" ["server", "reason"] "Connections closed because the first bytes of a request (silent, see `header-timeout`), or else the rest of its headers, the next request or any sign of life (idle, see `connection-idle`) took too long.";
    CONNECTIONS_REFUSED: Counter "betrace_connections_refused_total" ["server"] "Connections closed at once, because as many as allowed were open.";
    ACCEPT_ERRORS: Counter "betrace_accept_errors_total" ["server"] "Times that a connection could not be accepted, such as for want of file descriptors.";
    IN_FLIGHT: Gauge "betrace_in_flight_bytes" [] "Bytes of requests that no worker has taken yet.";
    OPEN_TRACES: Gauge "betrace_open_traces" [] "Traces whose spans are being gathered.";
    OPEN_SPANS: Gauge "betrace_open_spans" [] "Spans of open traces.";
    OPEN_BYTES: Gauge "betrace_open_bytes" [] "Bytes of spans of open traces.";
    ASSEMBLY_MEMORY: Gauge "betrace_assembly_memory_bytes" [] "What counts against the bound on memory of open traces.";
    OPENED: Counter "betrace_traces_opened_total" [] "Traces of which a first span came.";
    COMPLETED: Counter "betrace_traces_completed_total" ["reason"] "Traces that were complete and judged, by what completed them: root, idle, max_age, span_cap, byte_cap, evicted, drained.";
    DUPLICATES: Counter "betrace_duplicate_spans_total" [] "Spans that came again.";
    LATE: Counter "betrace_late_spans_total" [] "Spans of traces that had been judged.";
    FORGOTTEN: Counter "betrace_judged_traces_forgotten_total" [] "Judged traces forgotten before their time, for want of room.";
    COMPACTIONS: Counter "betrace_compactions_total" [] "Times that open spans were copied out of requests of which little was needed.";
    SHARD_LAG: Gauge "betrace_shard_lag_seconds" ["shard"] "How long the spans that a worker took last had waited for it; 0 once it has caught up. Where it stays above `lag`, the rules cost more than there is time for.";
    SHARD_LAGS: Counter "betrace_shard_lagging_turns_total" ["shard"] "Turns of a worker that began with spans that had waited for longer than `lag`, or with more than half of `shard-queue` taken: in these, rules are held to `rule-share`.";
    INVALID_UTF8: Counter "betrace_invalid_utf8_total" [] "Texts that rules read and that are not UTF-8, and so missing.";
    GENERATION: Gauge "betrace_rules_generation" [] "The rule set in force; it grows with every change.";
    RULES: Gauge "betrace_rules" ["state"] "Rules by state: active, last_good (the file is broken or gone, its last good version is in force), broken (nothing is in force), quarantined (it kept faulting and is not asked for a while), rolled_back (its version before is in force), slow (it was passed over for some traces within the last minute, as it takes more than `rule-share` of a worker that lags).";
    RELOADS: Counter "betrace_rule_reloads_total" [] "Saves that were looked at and were news.";
    RELOAD_FAILURES: Counter "betrace_rule_reload_failures_total" [] "Files that were broken, and folders that could not be read, when they were looked at.";
    RELOADED: Gauge "betrace_rule_last_reload_success_timestamp_seconds" [] "When rule files were last looked at and none of them was wrong, in Unix time.";
    RELOAD_REPORTS_MISSED: Counter "betrace_rule_reload_reports_missed_total" [] "Reports of saves that a terminal was too slow to take.";
    WATCH_OVERFLOWS: Counter "betrace_watch_overflows_total" [] "File system events that were lost, so that all files were looked at.";
    WATCH_UNWATCHED: Counter "betrace_watch_unwatched_folders_total" [] "Folders that no events could be had of; they are looked at from time to time.";
    WATCH_HELD_OPEN: Counter "betrace_watch_held_open_files_total" [] "Files that were taken as they were, as they had stood still for `held-open` and their close had not come.";
    UNLISTED: Gauge "betrace_rules_unlisted" [] "Rules without series of their own, as more than `metrics-rules` are in force. What they do while that is so is under the rule `(others)`.";
    RULE_EVALUATIONS: Counter "betrace_rule_evaluations_total" ["rule"] "Calls of a rule.";
    RULE_TRACES: Counter "betrace_rule_traces_total" ["rule"] "Traces that a rule was asked about.";
    RULE_SPARED: Counter "betrace_rule_skipped_traces_total" ["rule"] "Traces judged since a rule came that it was not asked about, as nothing in them can concern it.";
    RULE_FINDINGS: Counter "betrace_rule_findings_total" ["rule"] "Broken clauses that a rule found.";
    RULE_UNJUDGED: Counter "betrace_rule_unjudged_traces_total" ["rule"] "Traces without a verdict of a rule, as it had faulted in their batch, was quarantined or passed over, or the pool of instances was full.";
    RULE_QUARANTINES: Counter "betrace_rule_quarantines_total" ["rule"] "Times that a rule was quarantined, and that it faulted when it was tried again.";
    RULE_SKIPPED: Counter "betrace_rule_quarantined_traces_total" ["rule"] "Traces that came while a rule was quarantined, and so have no verdict of it.";
    RULE_PASSED_OVER: Counter "betrace_rule_passed_over_traces_total" ["rule"] "Traces that came while a worker lagged and a rule had had its share of it (`rule-share`), and so have no verdict of it.";
    RULE_TOO_LARGE: Counter "betrace_rule_input_too_large_total" ["rule"] "Traces that no instance of a rule has the memory for.";
    RULE_SECONDS: Counter "betrace_rule_cpu_seconds_total" ["rule"] "CPU time of all that is done for a rule: columns gathered, calls, findings checked.";
    RULE_INSTANCES: Counter "betrace_rule_instances_total" ["rule"] "Instances made of a rule.";
    RULE_FAULTS: Counter "betrace_rule_faults_total" ["rule", "kind"] "Faults of a rule: trap, timeout, memory, stack, error, too_much, index, invalid, start.";
    RULE_QUARANTINED: Gauge "betrace_rule_quarantined" ["rule"] "1 while a rule is not asked, as it kept faulting; else 0.";
    RULE_TIMES: Summary "betrace_rule_evaluation_seconds" ["rule", "quantile"] "CPU time of a call of a rule: 0.5 and 0.99 of the last one to two minutes, absent where there was no call; sum and count since the start.";
    SIGNALS: Counter "betrace_rule_signals_total" ["rule", "severity", "certainty"] "Signals of a rule, by the severity that it had then.";
    OPTIMISED: Counter "betrace_rules_optimised_total" ["outcome"] "Rules whose machine code was replaced by optimised code in the background: done, failed (the rule goes on with the code that it has).";
    OPTIMISE_WAITING: Gauge "betrace_rules_optimise_waiting" [] "Rules that run on code that is not optimised yet.";
    OPTIMISE_SECONDS: Counter "betrace_rules_optimise_seconds_total" [] "Time that optimising took in the background.";
    CODE_LOOKUPS: Counter "betrace_code_cache_lookups_total" ["outcome"] "Rules looked for in the folder of machine code (see `code-cache`): hit, miss, damaged (the entry was not what had been written, and was removed).";
    CODE_WRITTEN: Counter "betrace_code_cache_written_total" [] "Entries written there.";
    CODE_FAILED: Counter "betrace_code_cache_failures_total" [] "Entries that could not be read or written.";
    CODE_EVICTED: Counter "betrace_code_cache_evicted_total" [] "Entries that went for newer ones.";
    CODE_BYTES: Gauge "betrace_code_cache_bytes" [] "Bytes of the entries that are there.";
    BUNDLES: Counter "betrace_fault_bundles_total" ["outcome"] "Faults that could be kept as bundles: written, recent (the rule had one within a minute), queue_full, too_large, failed.";
    BUNDLES_REMOVED: Counter "betrace_fault_bundles_removed_total" [] "Bundles removed for newer ones.";
    SIGNALS_WRITTEN: Counter "betrace_signals_written_total" [] "Signals that the sink has written.";
    SIGNALS_LOST: Counter "betrace_signals_lost_total" [] "Signals that could not be written.";
    SIGNALS_QUEUED: Gauge "betrace_signals_queued_bytes" [] "What the signals take of memory that wait to be written.";
    SIGNALS_WAITS: Counter "betrace_signals_queue_waits_total" [] "How often a worker waited, as the signals that wait to be written were at their bound.";
    SIGNALS_REPEATED: Counter "betrace_signals_repeated_total" [] "Signals that were not written, as they had been before the host started.";
    SIGNAL_IDS_FORGOTTEN: Counter "betrace_signal_ids_forgotten_total" [] "Ids of signals that were read back at the start and forgotten, as they were more than `signal-ids`: those signals may be written twice.";
    LOG_BYTES: Gauge "betrace_log_bytes" [] "Bytes of the files of the write-ahead log (all of `betrace_log_` where `data` says that there is one).";
    LOG_SEGMENTS: Gauge "betrace_log_segments" [] "Files of it that hold requests.";
    LOG_REQUESTS: Counter "betrace_log_requests_total" [] "Requests written to it.";
    LOG_WRITTEN: Counter "betrace_log_written_bytes_total" [] "Bytes written to it.";
    LOG_SYNCS: Counter "betrace_log_syncs_total" [] "Times that a group of requests was synced; requests by this is the size of a group.";
    LOG_SYNC_SECONDS: Counter "betrace_log_sync_seconds_total" [] "What that took.";
    LOG_FAILURES: Counter "betrace_log_failures_total" ["what"] "Times that it could not be written: requests, which are refused then, and decided traces, which are tried again.";
    LOG_UNCUT: Gauge "betrace_log_uncut_segments" [] "Files of it that hold requests which were refused, as they could neither be synced nor be cut off; that is tried again.";
    LOG_FULL: Counter "betrace_log_full_total" [] "Requests refused as it was at `log-size`.";
    LOG_DECIDED: Counter "betrace_log_decided_traces_total" [] "Traces of which it was written that they are decided.";
    LOG_TRIMMED: Counter "betrace_log_trimmed_segments_total" [] "Segments that went as no trace needed them.";
    LOG_EVICTED: Counter "betrace_log_evicted_traces_total" [] "Traces that were judged early, as they held the oldest part of a log near `log-size`.";
    LOG_REPLAYED: Counter "betrace_log_replayed_total" ["what"] "What came back from it at the start: requests, spans, and the traces that were open after it.";
    LOG_CUT: Counter "betrace_log_cut_bytes_total" [] "Bytes of torn records that were cut off at the start; nothing in them was acknowledged.";
    LOG_DAMAGED: Counter "betrace_log_damaged_places_total" [] "Places in it that were damaged at the start. What was in them is lost.";
    LOG_DAMAGED_BYTES: Counter "betrace_log_damaged_bytes_total" [] "Bytes of these places.";
    RECENT: Gauge "betrace_recent_signals" [] "Signals that the API has at hand.";
    RECENT_BYTES: Gauge "betrace_recent_signals_bytes" [] "What they take of memory.";
    RECENT_FORGOTTEN: Counter "betrace_recent_signals_forgotten_total" [] "Signals that went for newer ones.";
    RING_TRACES: Gauge "betrace_ring_traces" [] "Recent traces that are kept for changed rules.";
    RING_BYTES: Gauge "betrace_ring_bytes" [] "What they take of memory.";
    RING_OFFERED: Counter "betrace_ring_offered_total" [] "Judged traces that the ring could keep.";
    RING_KEPT: Counter "betrace_ring_kept_total" [] "Of these, those that it kept.";
    RING_SKIPPED: Counter "betrace_ring_skipped_total" [] "Of these, those that it did not, as the newest would be replaced too fast.";
    RING_TOO_LARGE: Counter "betrace_ring_too_large_total" [] "Of these, those larger than all that it may hold.";
    RING_EVICTED: Counter "betrace_ring_evicted_total" [] "Kept traces that went for others.";
    RING_OTHERS: Counter "betrace_ring_other_operations_total" [] "Traces of root operations beyond those that are sampled apart.";
    OWN_SPANS: Counter "betrace_own_spans_total" ["outcome"] "The host's own spans, where `traces-endpoint` says that they are sent: sent, failed (the endpoint did not take them), dropped (more than `traces-queue` waited).";
    OWN_SPANS_WAITING: Gauge "betrace_own_spans_waiting" [] "Own spans in the queue or on their way.";
    API_REQUESTS: Counter "betrace_api_requests_total" ["route", "status"] "Requests to the API.";
    API_FOREIGN: Counter "betrace_api_foreign_requests_total" [] "Requests to the API for a host name that is not this one.";
    API_STREAMS: Gauge "betrace_api_streams" [] "Streams of signals that are open.";
    API_STREAMS_REFUSED: Counter "betrace_api_streams_refused_total" [] "Streams that were refused, because as many as allowed were open.";
    API_STREAMS_MISSED: Counter "betrace_api_streams_missed_total" [] "Signals that streams did not show, as their readers were too slow.";
    API_TRIES_REFUSED: Counter "betrace_api_tries_refused_total" [] "Requests to check, try or explain rules that were refused, because as many as allowed were waiting for their turn, or as it did not come in time.";
    API_TRIES_TIMED_OUT: Counter "betrace_api_tries_timed_out_total" [] "Requests to check, try or explain rules that took too long.";
    API_TRIES_TOO_MANY: Counter "betrace_api_tries_too_many_rules_total" [] "Sources to check or try that were refused, because they held more rules than allowed.";
    API_EXPLANATIONS_FAILED: Counter "betrace_api_explanations_failed_total" [] "Explanations that could not be made, as the rule has too many parts or its explanation met a bound of the sandbox.";
}

/// Everything that the host counts, in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(Extract(state): Extract<Arc<State>>) -> Response {
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], write(&state)).into_response()
}

fn write(state: &State) -> String {
    let mut text = Exposition::default();
    text.family(&BUILD).count(&[env!("CARGO_PKG_VERSION")], 1);
    text.family(&STARTED)
        .sample(&[], state.started as f64 / 1e9);
    ingest(state, &mut text);
    assembly(state, &mut text);
    rules(state, &mut text);
    each_rule(state, &mut text);
    code(state, &mut text);
    bundles(state, &mut text);
    signals(state, &mut text);
    ring(state, &mut text);
    own_spans(state, &mut text);
    api(state, &mut text);
    text.finish()
}

fn ingest(state: &State, text: &mut Exposition) {
    let transports = [
        ("grpc", state.ingest.grpc.snapshot()),
        ("http", state.ingest.http.snapshot()),
    ];
    let mut each = |family: &'static Family, of: fn(&crate::ingest::Snapshot) -> u64| {
        let mut samples = text.family(family);
        for (name, snapshot) in &transports {
            samples.count(&[name], of(snapshot));
        }
    };
    each(&REQUESTS, |s| s.requests);
    each(&SPANS, |s| s.spans);
    each(&BYTES, |s| s.bytes);
    each(&REJECTED, |s| s.rejected);
    let mut refused = text.family(&REFUSED);
    for (name, snapshot) in &transports {
        for (reason, count) in [
            ("malformed", snapshot.malformed),
            ("too_large", snapshot.too_large),
            ("unsupported", snapshot.unsupported),
            ("overload", snapshot.overload),
            ("unlogged", snapshot.unlogged),
            ("timeouts", snapshot.timeouts),
            ("closed", snapshot.closed),
            ("aborted", snapshot.aborted),
        ] {
            refused.count(&[name, reason], count);
        }
    }
    let servers: [(&str, &Counters); 4] = [
        (Transport::Grpc.word(), &state.ingest.grpc),
        (Transport::Http.word(), &state.ingest.http),
        ("api", &state.api_server),
        ("health", &state.health_server),
    ];
    let mut each = |family: &'static Family, of: fn(&crate::ingest::Snapshot) -> u64| {
        let mut samples = text.family(family);
        for (name, counters) in servers {
            samples.count(&[name], of(&counters.snapshot()));
        }
    };
    each(&CONNECTIONS, |s| s.connections);
    let mut timed_out = text.family(&CONNECTIONS_TIMED_OUT);
    for (name, counters) in servers {
        let snapshot = counters.snapshot();
        timed_out.count(&[name, "silent"], snapshot.connections_silent);
        timed_out.count(&[name, "idle"], snapshot.connections_idle);
    }
    let mut each = |family: &'static Family, of: fn(&crate::ingest::Snapshot) -> u64| {
        let mut samples = text.family(family);
        for (name, counters) in servers {
            samples.count(&[name], of(&counters.snapshot()));
        }
    };
    each(&CONNECTIONS_REFUSED, |s| s.connections_refused);
    each(&ACCEPT_ERRORS, |s| s.accept_errors);
    text.family(&IN_FLIGHT)
        .count(&[], state.ingest.budget.used() as u64);
}

fn assembly(state: &State, text: &mut Exposition) {
    let progress: Vec<_> = state
        .shards
        .iter()
        .map(|shard| *shard.lock().unwrap_or_else(PoisonError::into_inner))
        .collect();
    let sum = |of: fn(&Assembly) -> u64| progress.iter().map(|p| of(&p.assembly)).sum::<u64>();
    text.family(&OPEN_TRACES).count(&[], sum(|c| c.open_traces));
    text.family(&OPEN_SPANS).count(&[], sum(|c| c.open_spans));
    text.family(&OPEN_BYTES).count(&[], sum(|c| c.open_bytes));
    text.family(&ASSEMBLY_MEMORY)
        .count(&[], sum(|c| c.memory_bytes));
    text.family(&OPENED).count(&[], sum(|c| c.opened));
    let mut completed = text.family(&COMPLETED);
    for completion in Completion::ALL {
        let count = progress.iter().map(|p| p.assembly.completed_by(completion));
        completed.count(&[completion.name()], count.sum());
    }
    text.family(&DUPLICATES).count(&[], sum(|c| c.duplicates));
    text.family(&LATE).count(&[], sum(|c| c.late));
    text.family(&FORGOTTEN).count(&[], sum(|c| c.forgotten));
    text.family(&COMPACTIONS).count(&[], sum(|c| c.compactions));
    let mut lag = text.family(&SHARD_LAG);
    for (shard, progress) in progress.iter().enumerate() {
        lag.sample(&[&shard.to_string()], progress.behind.as_secs_f64());
    }
    let mut lags = text.family(&SHARD_LAGS);
    for (shard, progress) in progress.iter().enumerate() {
        lags.count(&[&shard.to_string()], progress.lagging_turns);
    }
    let invalid = progress.iter().map(|p| p.invalid_utf8).sum();
    text.family(&INVALID_UTF8).count(&[], invalid);
}

fn rules(state: &State, text: &mut Exposition) {
    let set = state.rules.current();
    text.family(&GENERATION).count(&[], set.generation);
    let now = state.clock.now();
    let statuses = state.statuses();
    let states: Vec<RuleState> = statuses.iter().map(|s| s.state_now(now)).collect();
    let mut rules = text.family(&RULES);
    for wanted in RuleState::ALL {
        let count = states.iter().filter(|&&state| state == wanted).count();
        rules.count(&[wanted.word()], count as u64);
    }
    let counts = state.book.counts();
    text.family(&RELOADS).count(&[], counts.reloads);
    text.family(&RELOAD_FAILURES).count(&[], counts.failures);
    text.family(&RELOADED)
        .sample(&[], counts.succeeded_at as f64 / 1e9);
    text.family(&RELOAD_REPORTS_MISSED)
        .count(&[], counts.missed);
    let watch =
        |of: fn(&crate::rules::watch::WatchCounters) -> u64| state.watch.as_deref().map_or(0, of);
    let overflows = watch(|watch| watch.overflows.load(Relaxed));
    text.family(&WATCH_OVERFLOWS).count(&[], overflows);
    let unwatched = watch(|watch| watch.unwatched.load(Relaxed));
    text.family(&WATCH_UNWATCHED).count(&[], unwatched);
    let held_open = watch(|watch| watch.held_open.load(Relaxed));
    text.family(&WATCH_HELD_OPEN).count(&[], held_open);
}

fn each_rule(state: &State, text: &mut Exposition) {
    let set = state.rules.current();
    let listed = state.listing.look(&set);
    text.family(&UNLISTED)
        .count(&[], listed.others.len() as u64);
    let rules = listed.rules.iter();
    let mut told: Vec<(&str, &Counts)> = rules.map(|(r, c)| (r.id.as_str(), c)).collect();
    told.extend(listed.sum.as_ref().map(|sum| (OTHERS, sum)));
    let mut each = |family: &'static Family, of: fn(&Counts) -> f64| {
        let mut samples = text.family(family);
        for (rule, counts) in &told {
            samples.sample(&[rule], of(counts));
        }
    };
    each(&RULE_EVALUATIONS, |c| c.evaluations as f64);
    each(&RULE_TRACES, |c| c.traces as f64);
    each(&RULE_SPARED, |c| c.skipped as f64);
    each(&RULE_FINDINGS, |c| c.findings as f64);
    each(&RULE_UNJUDGED, |c| c.unjudged as f64);
    each(&RULE_QUARANTINES, |c| c.quarantines as f64);
    each(&RULE_SKIPPED, |c| c.quarantined as f64);
    each(&RULE_PASSED_OVER, |c| c.passed_over as f64);
    each(&RULE_TOO_LARGE, |c| c.input_too_large as f64);
    each(&RULE_SECONDS, |c| c.nanoseconds as f64 / 1e9);
    each(&RULE_INSTANCES, |c| c.instances as f64);
    let mut faults = text.family(&RULE_FAULTS);
    for (rule, counts) in &told {
        for kind in FaultKind::ALL {
            faults.count(&[rule, kind.name()], counts.faults(kind));
        }
    }
    let mut quarantined = text.family(&RULE_QUARANTINED);
    let is_out = |rule: &Arc<Rule>| rule.breaker().quarantine().is_some();
    for (rule, _) in &listed.rules {
        quarantined.count(&[&rule.id], u64::from(is_out(rule)));
    }
    if listed.sum.is_some() {
        let out = listed.others.iter().filter(|rule| is_out(rule)).count();
        quarantined.count(&[OTHERS], out as u64);
    }
    times(state, &listed.rules, &told, text);
    each_signal(&listed.rules, listed.sum.as_ref(), text);
}

fn times(
    state: &State,
    rules: &[(Arc<Rule>, Counts)],
    told: &[(&str, &Counts)],
    text: &mut Exposition,
) {
    let now = state.clock.now();
    let mut times = text.family(&RULE_TIMES);
    for (rule, _) in rules {
        if let Some(quantiles) = rule.quantiles(now) {
            times.sample(&[&rule.id, "0.5"], quantiles.p50.as_secs_f64());
            times.sample(&[&rule.id, "0.99"], quantiles.p99.as_secs_f64());
        }
    }
    for (rule, counts) in told {
        let seconds = counts.nanoseconds as f64 / 1e9;
        times.sum_and_count(&[rule], seconds, counts.evaluations);
    }
}

fn each_signal(rules: &[(Arc<Rule>, Counts)], others: Option<&Counts>, text: &mut Exposition) {
    let mut signals = text.family(&SIGNALS);
    let rules = rules.iter();
    let rules = rules.map(|(rule, counts)| (&*rule.id, Some(rule.manifest.severity), counts));
    for (rule, present, counts) in rules.chain(others.map(|counts| (OTHERS, None, counts))) {
        for severity in manifest::Severity::ALL {
            let counts = counts.signals.of(severity);
            // Of other severities only what there was before an edit.
            if Some(severity) != present && counts == [0, 0] {
                continue;
            }
            let severity = Severity::from(severity).name();
            for (certainty, count) in ["certain", "unsure"].into_iter().zip(counts) {
                signals.count(&[rule, severity, certainty], count);
            }
        }
    }
}

fn bundles(state: &State, text: &mut Exposition) {
    let counters = state.bundles.as_deref();
    let count = |of: fn(&BundleCounters) -> &AtomicU64| {
        counters.map_or(0, |counters| of(counters).load(Relaxed))
    };
    let mut outcomes = text.family(&BUNDLES);
    outcomes.count(&["written"], count(|c| &c.written));
    outcomes.count(&["recent"], count(|c| &c.recent));
    outcomes.count(&["queue_full"], count(|c| &c.queue_full));
    outcomes.count(&["too_large"], count(|c| &c.too_large));
    outcomes.count(&["failed"], count(|c| &c.failed));
    let removed = count(|c| &c.removed);
    text.family(&BUNDLES_REMOVED).count(&[], removed);
}

fn signals(state: &State, text: &mut Exposition) {
    text.family(&SIGNALS_WRITTEN)
        .count(&[], state.sink.written());
    text.family(&SIGNALS_LOST).count(&[], state.sink.lost());
    text.family(&SIGNALS_QUEUED)
        .count(&[], state.sink.queued_bytes());
    text.family(&SIGNALS_WAITS).count(&[], state.sink.waits());
    text.family(&SIGNALS_REPEATED)
        .count(&[], state.sink.repeated());
    text.family(&SIGNAL_IDS_FORGOTTEN)
        .count(&[], state.sink.ids_forgotten());
    log(state, text);
    let recent = state.recent.counts();
    text.family(&RECENT).count(&[], recent.held);
    text.family(&RECENT_BYTES).count(&[], recent.bytes);
    text.family(&RECENT_FORGOTTEN).count(&[], recent.forgotten);
}

fn code(state: &State, text: &mut Exposition) {
    let optimiser = state.engine.optimiser().unwrap_or_default();
    let mut outcomes = text.family(&OPTIMISED);
    outcomes.count(&["done"], optimiser.optimised);
    outcomes.count(&["failed"], optimiser.failed);
    text.family(&OPTIMISE_WAITING).count(&[], optimiser.waiting);
    text.family(&OPTIMISE_SECONDS)
        .sample(&[], optimiser.nanoseconds as f64 / 1e9);
    let cache = state.engine.cache();
    let cache = cache.map_or_else(Default::default, |cache| cache.counts());
    let mut lookups = text.family(&CODE_LOOKUPS);
    lookups.count(&["hit"], cache.hits);
    lookups.count(&["miss"], cache.misses);
    lookups.count(&["damaged"], cache.damaged);
    text.family(&CODE_WRITTEN).count(&[], cache.written);
    text.family(&CODE_FAILED).count(&[], cache.failed);
    text.family(&CODE_EVICTED).count(&[], cache.evicted);
    text.family(&CODE_BYTES).count(&[], cache.bytes);
}

fn log(state: &State, text: &mut Exposition) {
    let log = state.log.as_deref();
    let count = |of: fn(&LogCounters) -> u64| log.map_or(0, of);
    let mut one = |family: &'static Family, of: fn(&LogCounters) -> u64| {
        text.family(family).count(&[], count(of));
    };
    one(&LOG_BYTES, LogCounters::bytes);
    one(&LOG_SEGMENTS, LogCounters::segments);
    one(&LOG_REQUESTS, LogCounters::requests);
    one(&LOG_WRITTEN, LogCounters::written);
    one(&LOG_SYNCS, LogCounters::syncs);
    let seconds = count(LogCounters::sync_nanoseconds) as f64 / 1e9;
    text.family(&LOG_SYNC_SECONDS).sample(&[], seconds);
    let mut failures = text.family(&LOG_FAILURES);
    failures.count(&["requests"], count(LogCounters::failures));
    failures.count(&["decided"], count(LogCounters::decided_failures));
    let mut one = |family: &'static Family, of: fn(&LogCounters) -> u64| {
        text.family(family).count(&[], count(of));
    };
    one(&LOG_UNCUT, LogCounters::uncut);
    one(&LOG_FULL, LogCounters::full);
    one(&LOG_DECIDED, LogCounters::decided);
    one(&LOG_TRIMMED, LogCounters::trimmed);
    let shards = state.shards.iter();
    let evicted = shards.map(|shard| {
        let progress = *shard.lock().unwrap_or_else(PoisonError::into_inner);
        progress.assembly.evicted_by_log
    });
    text.family(&LOG_EVICTED).count(&[], evicted.sum());
    let mut replayed = text.family(&LOG_REPLAYED);
    replayed.count(&["requests"], count(LogCounters::replayed_requests));
    replayed.count(&["spans"], count(LogCounters::replayed_spans));
    replayed.count(&["traces"], count(LogCounters::replayed_traces));
    let mut one = |family: &'static Family, of: fn(&LogCounters) -> u64| {
        text.family(family).count(&[], count(of));
    };
    one(&LOG_CUT, LogCounters::cut_bytes);
    one(&LOG_DAMAGED, LogCounters::damaged);
    one(&LOG_DAMAGED_BYTES, LogCounters::damaged_bytes);
}

fn ring(state: &State, text: &mut Exposition) {
    let ring = state.ring.counters();
    text.family(&RING_TRACES).count(&[], ring.traces);
    text.family(&RING_BYTES).count(&[], ring.bytes);
    text.family(&RING_OFFERED).count(&[], ring.offered);
    text.family(&RING_KEPT).count(&[], ring.kept);
    text.family(&RING_SKIPPED).count(&[], ring.skipped);
    text.family(&RING_TOO_LARGE).count(&[], ring.too_large);
    text.family(&RING_EVICTED).count(&[], ring.evicted);
    text.family(&RING_OTHERS).count(&[], ring.other_operations);
}

fn own_spans(state: &State, text: &mut Exposition) {
    let counters = state.own_spans.as_deref();
    let counts = counters.map_or_else(Default::default, Counted::counts);
    let mut outcomes = text.family(&OWN_SPANS);
    outcomes.count(&["sent"], counts.sent);
    outcomes.count(&["failed"], counts.failed);
    outcomes.count(&["dropped"], counts.dropped);
    text.family(&OWN_SPANS_WAITING).count(&[], counts.waiting);
}

fn api(state: &State, text: &mut Exposition) {
    let mut requests = text.family(&API_REQUESTS);
    for ((route, status), count) in state.counters.requests() {
        requests.count(&[&route, &status.to_string()], count);
    }
    let counters = &state.counters;
    text.family(&API_FOREIGN)
        .count(&[], counters.foreign.load(Relaxed));
    let open = state.limits.streams - state.streams.available_permits().min(state.limits.streams);
    text.family(&API_STREAMS).count(&[], open as u64);
    let refused = counters.streams_refused.load(Relaxed);
    text.family(&API_STREAMS_REFUSED).count(&[], refused);
    let missed = counters.streams_missed.load(Relaxed);
    text.family(&API_STREAMS_MISSED).count(&[], missed);
    let refused = counters.attempts_refused.load(Relaxed);
    text.family(&API_TRIES_REFUSED).count(&[], refused);
    let timed_out = counters.attempts_timed_out.load(Relaxed);
    text.family(&API_TRIES_TIMED_OUT).count(&[], timed_out);
    let too_many = counters.attempts_too_many.load(Relaxed);
    text.family(&API_TRIES_TOO_MANY).count(&[], too_many);
    let failed = counters.explanations_failed.load(Relaxed);
    text.family(&API_EXPLANATIONS_FAILED).count(&[], failed);
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- families: made from host/src/api/metrics.rs, see its test -->\n\n";
    const END: &str = "<!-- end of families -->";

    /// `BLESS=1 cargo test -p betrace api::metrics` writes the table anew.
    #[test]
    fn the_documentation_lists_every_family() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let page = std::fs::read_to_string(&path).expect("docs/metrics.md is there");
        let (before, rest) = page.split_once(BEGIN).expect("it has the marker");
        let (table, after) = rest.split_once(END).expect("it has the other marker");
        if std::env::var_os("BLESS").is_some() {
            let page = format!("{before}{BEGIN}{}{END}{after}", rows());
            std::fs::write(&path, page).expect("it can be written");
            return;
        }
        assert_eq!(
            table,
            rows(),
            "docs/metrics.md is not what the table says: run this test with BLESS=1"
        );
    }

    fn rows() -> String {
        let mut rows =
            "| name | type | labels | what it counts |\n| --- | --- | --- | --- |\n".to_owned();
        for family in FAMILIES {
            let labels: Vec<String> = family
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let _ = writeln!(
                rows,
                "| `{}` | {} | {} | {} |",
                family.name,
                family.kind.name(),
                labels.join(", "),
                family.help
            );
        }
        rows.push('\n');
        rows
    }

    #[test]
    fn names_follow_the_conventions() {
        for family in FAMILIES {
            let is_total = family.name.ends_with("_total");
            assert_eq!(is_total, family.kind == Kind::Counter, "{}", family.name);
            assert!(
                family.help.ends_with('.') && !family.help.contains('\n'),
                "{}",
                family.name
            );
        }
        let names: std::collections::HashSet<&str> = FAMILIES.iter().map(|f| f.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
    }
}
