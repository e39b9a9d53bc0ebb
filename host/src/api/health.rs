//! `/healthz`: is this process worth keeping? `/readyz`: does it take traces and judge them?

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State as Extract;
use http::StatusCode;

use super::state::State;

/// What a kubelet reads, and a line for a person.
type Answer = (StatusCode, Cow<'static, str>);

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
pub(super) async fn healthz(Extract(state): Extract<Arc<State>>) -> Answer {
    match state.ended() {
        None => well(),
        Some(thread) => ended(thread),
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
pub(super) async fn readyz(Extract(state): Extract<Arc<State>>) -> Answer {
    if let Some(thread) = state.ended() {
        ended(thread)
    } else if state.ingest.is_closed() {
        unavailable("stopping\n")
    } else if state.log.as_ref().is_some_and(|log| log.is_replaying()) {
        unavailable("the write-ahead log is being read back\n")
    } else if state.rules.current().rules.is_empty() {
        unavailable("no rule is in force\n")
    } else {
        well()
    }
}

fn well() -> Answer {
    (StatusCode::OK, Cow::Borrowed("ok\n"))
}

fn ended(thread: &str) -> Answer {
    unavailable(format!(
        "the thread `{thread}` of the host has ended: restart the host\n"
    ))
}

fn unavailable(why: impl Into<Cow<'static, str>>) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, why.into())
}

#[cfg(test)]
mod tests {
    use super::super::state::fixture::state;
    use super::*;
    use crate::alarm::Alarm;

    #[tokio::test]
    async fn a_host_that_judges_nothing_is_not_ready_and_a_broken_one_not_well() {
        let (mut state, router, _trigger) = state(1, 1);
        let alarm = Alarm::default();
        state.alarms = vec![Alarm::default(), alarm.clone()];
        let state = Arc::new(state);
        let ready = || readyz(Extract(state.clone()));
        assert_eq!(ready().await, unavailable("no rule is in force\n"));
        assert_eq!(healthz(Extract(state.clone())).await.0, StatusCode::OK);
        router.close();
        assert_eq!(ready().await.1, "stopping\n");
        let thread = std::thread::Builder::new().name("log".to_owned());
        let thread = thread.spawn(move || {
            let _watch = alarm.watch();
            panic!("a bug");
        });
        thread.expect("it starts").join().expect_err("it panics");
        let why = unavailable("the thread `log` of the host has ended: restart the host\n");
        assert_eq!(ready().await, why);
        assert_eq!(healthz(Extract(state.clone())).await, why);
    }
}
