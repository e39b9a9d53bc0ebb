//! `GET /api/v1/signals/stream`: signals as they happen, as server-sent events.
//!
//! A reader that was away goes on where it was (`Last-Event-ID`) as far as the buffer reaches, and one that is slow is told
//! how many signals it missed: a stream has no queue of its own, it reads the buffer that all share.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::error::{Error, ErrorBody};
use super::page::{Filter, Wanted};
use super::state::State;
use crate::pipeline::thread::Clock;
use crate::signal::Signal;

/// A comment is sent when nothing else was for so long, so that proxies keep the stream open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Signals as they happen: events `signal` with a signal as data, and `missed` where a reader was too slow or away for too
/// long, with `{"missed": 12}`, or `null` where the host was restarted and nobody knows.
#[utoipa::path(
    get,
    path = "/api/v1/signals/stream",
    params(
        Wanted,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen"),
    ),
    responses(
        (status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
        (status = 400, description = "A filter that can't be read", body = ErrorBody),
        (status = 503, description = "Too many streams", body = ErrorBody),
    )
)]
pub(super) async fn stream(
    Extract(state): Extract<Arc<State>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let Query(wanted) = wanted.map_err(|error| Error::bad_request(error.body_text()))?;
    let filter = wanted.filter(Clock::unix_ns())?;
    let Ok(permit) = state.streams.clone().try_acquire_owned() else {
        state.counters.streams_refused.fetch_add(1, Relaxed);
        return Err(Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            format!(
                "{} streams are open, which is the most",
                state.limits.streams
            ),
        )
        .help("close one, or raise `--api-streams`")
        .retry_after(5));
    };
    let last = headers.get("last-event-id");
    let last = last.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let start = start(last.as_deref(), &state)?;
    let reader = Reader {
        next: start.next,
        waiting: start.restarted.then(missed_unknown).into_iter().collect(),
        filter,
        state,
        _permit: permit,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.event().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// Where a stream begins.
struct Start {
    next: u64,
    /// The last event was one of an earlier run.
    restarted: bool,
}

fn start(last: Option<&str>, state: &State) -> Result<Start, Error> {
    let now = Start {
        next: state.recent.next(),
        restarted: false,
    };
    let Some(last) = last.map(str::trim).filter(|last| !last.is_empty()) else {
        return Ok(now);
    };
    let parts = last.split_once('-').and_then(|(epoch, number)| {
        let epoch = u64::from_str_radix(epoch, 16).ok()?;
        Some((epoch, number.parse::<u64>().ok()?))
    });
    match parts {
        Some((epoch, number)) if epoch == state.recent.epoch() => Ok(Start {
            next: number.saturating_add(1).min(now.next),
            restarted: false,
        }),
        Some(_) => Ok(Start {
            next: 0,
            restarted: true,
        }),
        None => Err(Error::bad_request(format!("`{last}` is no id of an event"))
            .help("`Last-Event-ID` takes the `id` of an event of this stream")),
    }
}

struct Reader {
    state: Arc<State>,
    filter: Filter,
    /// The number of the next signal to look at.
    next: u64,
    /// Events that are ready, the next one last.
    waiting: Vec<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next event; none when the host stops.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(event);
            }
            self.read();
            if self.waiting.is_empty() {
                let mut shutdown = self.state.shutdown.clone();
                tokio::select! {
                    () = shutdown.wait() => return None,
                    () = self.state.recent.wait(self.next) => {}
                }
            }
        }
    }

    fn read(&mut self) {
        let batch = self.state.recent.since(self.next);
        self.next += batch.missed;
        if batch.missed > 0 {
            self.state
                .counters
                .streams_missed
                .fetch_add(batch.missed, Relaxed);
            let data = format!("{{\"missed\":{}}}", batch.missed);
            self.waiting
                .push(Event::default().event("missed").data(data));
        }
        let epoch = self.state.recent.epoch();
        for (number, signal) in batch.signals {
            self.next = number + 1;
            if self.filter.takes(&signal) {
                self.waiting.extend(event(epoch, number, &signal));
            }
        }
        self.waiting.reverse();
    }
}

fn event(epoch: u64, number: u64, signal: &Signal) -> Option<Event> {
    // Names and numbers always serialise.
    let data = serde_json::to_string(signal).ok()?;
    let id = format!("{epoch:x}-{number}");
    Some(Event::default().event("signal").id(id).data(data))
}

fn missed_unknown() -> Event {
    Event::default().event("missed").data("{\"missed\":null}")
}
