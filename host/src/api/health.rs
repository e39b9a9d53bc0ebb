//! `/healthz`: is this process worth keeping? `/readyz`: does it take traces and judge them?

use std::sync::Arc;

use axum::extract::State as Extract;
use http::StatusCode;

use super::state::State;

/// 200 while the host works; 503 when one of its threads has ended, which only a restart mends.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getHealth",
    responses(
        (status = 200, description = "It works", body = String, content_type = "text/plain"),
        (status = 503, description = "It has to be restarted", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn healthz(Extract(state): Extract<Arc<State>>) -> (StatusCode, &'static str) {
    if state.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "a shard's thread has ended: restart the host\n",
        )
    }
}

/// 200 while traces are taken and rules are in force; 503 otherwise, with the reason.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "getReadiness",
    responses(
        (status = 200, description = "It takes traces", body = String, content_type = "text/plain"),
        (status = 503, description = "It does not", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn readyz(Extract(state): Extract<Arc<State>>) -> (StatusCode, &'static str) {
    if !state.is_alive() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "a shard's thread has ended\n",
        )
    } else if state.ingest.is_closed() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if state.log.as_ref().is_some_and(|log| log.is_replaying()) {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the write-ahead log is being read back\n",
        )
    } else if state.rules.current().rules.is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, "no rule is in force\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::state::fixture::state;
    use super::*;

    #[tokio::test]
    async fn a_host_that_judges_nothing_is_not_ready_and_a_broken_one_not_well() {
        let (state, router, _trigger) = state(1, 1);
        let state = Arc::new(state);
        let ready = || readyz(Extract(state.clone()));
        assert_eq!(
            ready().await,
            (StatusCode::SERVICE_UNAVAILABLE, "no rule is in force\n")
        );
        assert_eq!(healthz(Extract(state.clone())).await.0, StatusCode::OK);
        router.close();
        assert_eq!(ready().await.1, "stopping\n");
        state.broken.store(true, Relaxed);
        assert_eq!(ready().await.1, "a shard's thread has ended\n");
        let well = healthz(Extract(state.clone())).await;
        assert_eq!(well.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
