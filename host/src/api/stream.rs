//! `GET /api/v1/signals/stream`: signals as they happen, as server-sent events.
//!
//! A reader that was away goes on where it was (`Last-Event-ID`) as far as the buffer reaches, and one that is slow is told
//! how many signals it missed: a stream has no queue of its own, it reads the buffer that all share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::error::{Error, ErrorBody};
use super::page::{Filter, Followed};
use super::query::Sent;
use super::state::State;
use crate::signal::Signal;

/// A comment is sent when nothing else was for so long, so that proxies keep the stream open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Signals that a stream reads at a time, and holds until they are sent.
const AT_ONCE: usize = 16;

/// Signals as they happen: events `signal` with a signal as data, and `missed` where a reader was too slow or away for too
/// long, with `{"missed": 12}`, or `null` where the host was restarted and nobody knows.
#[utoipa::path(
    get,
    path = "/api/v1/signals/stream",
    operation_id = "streamSignals",
    params(
        Followed,
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
    followed: Sent,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let filter = Followed::read(followed)?.filter()?;
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
        restarted: start.restarted,
        waiting: VecDeque::new(),
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
    /// The host was restarted, and its reader is still to be told so.
    restarted: bool,
    /// Read and not sent yet, and only so many: a slow reader must not hold what the buffer has let go.
    waiting: VecDeque<(u64, Arc<Signal>)>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next event; none once the host has stopped and nothing is left.
    async fn event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.restarted) {
            return Some(Event::default().event("missed").data("{\"missed\":null}"));
        }
        let mut stopped = false;
        loop {
            while let Some((number, signal)) = self.waiting.pop_front() {
                if let Some(event) = self.shown(number, &signal) {
                    return Some(event);
                }
            }
            if let Some(missed) = self.read() {
                return Some(missed);
            }
            if !self.waiting.is_empty() {
                continue;
            }
            if stopped {
                return None;
            }
            let mut shutdown = self.state.shutdown.clone();
            tokio::select! {
                // What came before it is still sent.
                () = shutdown.wait() => stopped = true,
                () = self.state.recent.wait(self.next) => {}
            }
        }
    }

    /// Reads on; says what has gone before it was read.
    fn read(&mut self) -> Option<Event> {
        let batch = self.state.recent.since(self.next, AT_ONCE);
        self.next += batch.missed + batch.signals.len() as u64;
        self.waiting.extend(batch.signals);
        if batch.missed == 0 {
            return None;
        }
        let counter = &self.state.counters.streams_missed;
        counter.fetch_add(batch.missed, Relaxed);
        let first = self.waiting.front().map_or(self.next, |(first, _)| *first);
        let event = Event::default()
            .event("missed")
            // Whoever is cut off after it is not told again.
            .id(self.id(first.saturating_sub(1)))
            .data(format!("{{\"missed\":{}}}", batch.missed));
        Some(event)
    }

    fn shown(&self, number: u64, signal: &Signal) -> Option<Event> {
        if !self.filter.takes(signal) {
            return None;
        }
        // Names and numbers always serialise.
        let data = serde_json::to_string(signal).ok()?;
        let event = Event::default().event("signal").id(self.id(number));
        Some(event.data(data))
    }

    fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.state.recent.epoch())
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::super::state::fixture::state;
    use super::*;
    use crate::signal::fixture::emission;

    fn reader(state: State) -> Reader {
        let permit = state.streams.clone().try_acquire_owned();
        Reader {
            filter: Filter::default(),
            next: 0,
            restarted: false,
            waiting: VecDeque::new(),
            _permit: permit.expect("there is one"),
            state: Arc::new(state),
        }
    }

    /// The next event as it is sent, but for a signal's id and data.
    async fn said(reader: &mut Reader) -> String {
        let event = reader.event().await.expect("there is one");
        let events = stream::iter([Ok::<_, Infallible>(event)]);
        let body = Sse::new(events).into_response().into_body();
        let sent = body.collect().await.expect("it is at hand").to_bytes();
        let text = String::from_utf8_lossy(&sent).into_owned();
        match text.starts_with("event: signal\n") {
            true => "signal".to_owned(),
            false => text,
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_went_by_and_reads_on() {
        let (state, _router, _trigger) = state(1, 40);
        let mut reader = reader(state);
        let recent = reader.state.recent.clone();
        let push = |count: usize| {
            let batch: Vec<_> = (0..count).map(|_| emission()).collect();
            recent.push(&batch);
        };
        push(20);
        assert_eq!(said(&mut reader).await, "signal");
        // 16 are read, 4 more are there; these go, and 26 others with them.
        push(70);
        for _ in 1..AT_ONCE {
            assert_eq!(said(&mut reader).await, "signal");
        }
        let missed = said(&mut reader).await;
        assert_eq!(missed, "event: missed\nid: 7-49\ndata: {\"missed\":34}\n\n");
        for _ in 0..40 {
            assert_eq!(said(&mut reader).await, "signal");
        }
        assert_eq!(reader.next, 90);
        assert_eq!(reader.state.counters.streams_missed.load(Relaxed), 34);
        assert!(reader.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_host_that_stops_sends_what_is_there_first() {
        let (state, _router, trigger) = state(1, 40);
        let mut reader = reader(state);
        trigger.fire();
        reader.state.recent.push(&[emission(), emission()]);
        assert_eq!(said(&mut reader).await, "signal");
        assert_eq!(said(&mut reader).await, "signal");
        assert!(reader.event().await.is_none());
    }
}
