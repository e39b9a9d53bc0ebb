//! `GET /api/v1/signals`: the latest signals, newest first, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::error::{Error, ErrorBody};
use super::page::Wanted;
use super::query::Sent;
use super::state::State;
use crate::pipeline::thread::Clock;
use crate::signal::Signal;

/// Signals of a page where nobody says otherwise.
const PAGE: usize = 100;

/// Signals, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    #[serde(serialize_with = "signals")]
    #[schema(value_type = Vec<Signal>)]
    signals: Vec<Arc<Signal>>,
    /// Older ones: ask again with `before` set to this. Null where there are none at hand.
    next: Option<String>,
}

/// The latest signals, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/signals",
    operation_id = "listSignals",
    params(Wanted),
    responses(
        (status = 200, description = "A page of signals", body = Page),
        (status = 400, description = "A filter that can't be read", body = ErrorBody),
    )
)]
pub(super) async fn list(
    Extract(state): Extract<Arc<State>>,
    wanted: Sent,
) -> Result<Json<Page>, Error> {
    let wanted = Wanted::read(wanted)?;
    let filter = wanted.filter(Clock::unix_ns())?;
    let limit = wanted.limit.unwrap_or(PAGE);
    let mut before = match &wanted.before {
        None => u64::MAX,
        Some(text) => cursor(text, state.recent.epoch())?,
    };
    let mut page = Vec::new();
    let mut next = None;
    'pages: loop {
        let batch = state.recent.before(before);
        let Some(&(last, _)) = batch.last() else {
            break;
        };
        for (number, signal) in batch {
            if !filter.takes(&signal) {
                continue;
            }
            if page.len() == limit {
                next = Some(format!("{:x}-{}", state.recent.epoch(), number + 1));
                break 'pages;
            }
            page.push(signal);
        }
        before = last;
    }
    Ok(Json(Page {
        signals: page,
        next,
    }))
}

/// A place in the list, of this run of the host or, where it was restarted, at the beginning.
fn cursor(text: &str, epoch: u64) -> Result<u64, Error> {
    let parts = text.split_once('-').and_then(|(of, number)| {
        let of = u64::from_str_radix(of, 16).ok()?;
        Some((of, number.parse::<u64>().ok()?))
    });
    match parts {
        Some((of, number)) if of == epoch => Ok(number),
        // What was before the restart is not at hand any more.
        Some(_) => Ok(0),
        None => Err(
            Error::bad_request(format!("`{text}` is no place in the list"))
                .help("`before` takes the `next` of the page before"),
        ),
    }
}

fn signals<S: Serializer>(signals: &[Arc<Signal>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(signals.iter().map(|signal| &**signal))
}
