//! Sends a deck over some connections, each with one request on its way, and counts the answers.
//!
//! Without a rate a connection takes the next request when it has the answer to its last. With one, a thread hands out
//! requests when they are due ([`pace`](super::pace)): the runtime's timer is too coarse for that, by a millisecond and more.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use tokio::sync::{Mutex, Notify, mpsc};

use super::client::{Client, ConnectionError, Target};
use super::deck::Deck;
use super::order::{Due, Order};
use super::pace::{Ticket, pace};
use super::retry::{Answer, Backoff};
use super::tally::Tally;
use super::template::mask;

/// Requests that are due and wait for a connection. More wait in the thread that hands them out; none is left out.
const WAITING: usize = 1_024;

/// Requests that fail one after another before the whole load does: the host says the same to each.
const GIVE_UP_AFTER: u32 = 10;

/// What is to be done.
#[derive(Debug)]
pub struct Load {
    pub deck: Arc<Deck>,
    pub target: Target,
    pub connections: usize,
    /// Spans a second; none is as fast as it goes.
    pub rate: Option<u64>,
    /// No group of traces begins after so long.
    pub duration: Option<Duration>,
    /// How long a request is tried again.
    pub retry_for: Duration,
    /// Trace ids differ by it.
    pub seed: u64,
}

/// How it went.
#[derive(Debug)]
pub struct Sent {
    pub tally: Tally,
    pub traces: u64,
    pub elapsed: Duration,
    /// It was told to stop.
    pub stopped: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("can't start the thread that keeps the pace")]
    Thread(#[source] std::io::Error),
    #[error("{GIVE_UP_AFTER} requests in a row failed, the last with: {0}")]
    Refused(String),
}

/// Sends until all is sent or `stop` is ready. `look` is shown the counts at each tick of `looks`.
pub async fn run<L>(
    load: &Load,
    stop: impl Future<Output = ()>,
    mut looks: impl AsyncFnMut() -> L,
    mut look: impl FnMut(L, Duration, &Tally),
) -> Result<Sent, LoadError> {
    let mut clients = Vec::new();
    for _ in 0..load.connections.max(1) {
        let mut client = Client::new(load.target.clone());
        client.connect().await?;
        clients.push(client);
    }
    let started = Instant::now();
    let (tickets, pacing) = match load.rate {
        Some(rate) => {
            let (receiver, pacing) = paced(load, rate, started)?;
            (Tickets::Paced(Mutex::new(receiver)), Some(pacing))
        }
        None => (Tickets::Flat(RefCell::new(Order::new(&load.deck))), None),
    };
    let run = Run {
        load,
        started,
        tickets,
        tally: RefCell::default(),
        spares: RefCell::new(vec![Vec::new(); load.deck.templates().len()]),
        stopping: Cell::new(false),
        stop: Notify::new(),
    };
    let stopped = run.all(clients, stop, &mut looks, &mut look).await;
    let elapsed = started.elapsed();
    let tally = run.tally.into_inner();
    let groups = match (run.tickets, pacing) {
        (Tickets::Flat(order), _) => order.into_inner().begun(),
        (Tickets::Paced(receiver), Some(pacing)) => {
            drop(receiver);
            pacing.end()
        }
        (Tickets::Paced(_), None) => 0,
    };
    match tally.failure {
        Some(why) if tally.in_a_row >= GIVE_UP_AFTER && !stopped => Err(LoadError::Refused(why)),
        _ => Ok(Sent {
            tally,
            traces: load.deck.traces(groups),
            elapsed,
            stopped,
        }),
    }
}

/// An error with what caused it.
pub fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

enum Tickets {
    Flat(RefCell<Order>),
    Paced(Mutex<mpsc::Receiver<Ticket>>),
}

/// The thread that hands out requests.
struct Pacing {
    thread: std::thread::JoinHandle<u64>,
    /// It ends when this is let go.
    stop: std::sync::mpsc::SyncSender<()>,
}

impl Pacing {
    /// The groups that began.
    fn end(self) -> u64 {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

fn paced(
    load: &Load,
    rate: u64,
    started: Instant,
) -> Result<(mpsc::Receiver<Ticket>, Pacing), LoadError> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (stop, stopped) = sync_channel(0);
    let (deck, until) = (load.deck.clone(), load.duration);
    let wait = move |at: Duration| {
        let left = at.saturating_sub(started.elapsed());
        left.is_zero() || stopped.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
    };
    let thread = std::thread::Builder::new()
        .name("pace".to_owned())
        .spawn(move || {
            pace(&deck, rate, until, wait, |ticket| {
                sender.blocking_send(ticket).is_ok()
            })
        })
        .map_err(LoadError::Thread)?;
    Ok((receiver, Pacing { thread, stop }))
}

/// What the connections share. All are on one thread.
struct Run<'a> {
    load: &'a Load,
    started: Instant,
    tickets: Tickets,
    tally: RefCell<Tally>,
    /// By template, buffers that were sent.
    spares: RefCell<Vec<Vec<BytesMut>>>,
    stopping: Cell<bool>,
    stop: Notify,
}

impl Run<'_> {
    /// Lets each connection send until nothing is left. Whether it was told to stop.
    async fn all<L>(
        &self,
        clients: Vec<Client>,
        stop: impl Future<Output = ()>,
        looks: &mut impl AsyncFnMut() -> L,
        look: &mut impl FnMut(L, Duration, &Tally),
    ) -> bool {
        let numbered = clients.into_iter().zip(0_u64..);
        let all = join_all(numbered.map(|(client, number)| self.connection(client, number)));
        let (mut all, mut stop) = (std::pin::pin!(all), std::pin::pin!(stop));
        let mut stopped = false;
        loop {
            tokio::select! {
                _ = &mut all => return stopped,
                () = &mut stop, if !stopped => {
                    stopped = true;
                    self.end();
                }
                tick = looks() => look(tick, self.started.elapsed(), &self.tally.borrow()),
            }
        }
    }

    async fn connection(&self, mut client: Client, number: u64) {
        while let Some((due, at)) = self.next().await {
            let Some(template) = self.load.deck.template(due.template) else {
                return;
            };
            let spare = self
                .spares
                .borrow_mut()
                .get_mut(due.template)
                .and_then(Vec::pop);
            let filled = template
                .fill(spare, mask(self.load.seed, due.group))
                .freeze();
            let spans = template.spans();
            let body = client.target().body(filled.clone());
            self.tally.borrow_mut().sent(spans, body.len());
            let sent = Instant::now();
            let seed = self.load.seed ^ number << 32 ^ due.group;
            match self.deliver(&mut client, body, seed).await {
                Ok(rejected) => {
                    let latency = at.map_or(sent, |at| self.started + at).elapsed();
                    self.tally.borrow_mut().taken(spans, rejected, latency);
                }
                Err(why) => self.failed(spans, why),
            }
            self.give_back(due.template, filled);
        }
    }

    /// The next request, and when it is due.
    async fn next(&self) -> Option<(Due, Option<Duration>)> {
        if self.stopping.get() {
            return None;
        }
        match &self.tickets {
            Tickets::Flat(order) => {
                let mut order = order.borrow_mut();
                let over = |duration| self.started.elapsed() >= duration;
                if self.load.duration.is_some_and(over) {
                    order.end();
                }
                let due = order.next(&self.load.deck)?;
                Some((due, None))
            }
            Tickets::Paced(tickets) => {
                let ticket = async { tickets.lock().await.recv().await };
                let ticket = tokio::select! {
                    ticket = ticket => ticket?,
                    () = self.stop.notified() => return None,
                };
                Some((ticket.due, Some(ticket.at)))
            }
        }
    }

    /// Sends until it is taken: how many spans were left out, or why it failed.
    async fn deliver(&self, client: &mut Client, body: Bytes, seed: u64) -> Result<u64, String> {
        let first = Instant::now();
        let mut backoff = Backoff::new(seed);
        loop {
            let (after, why) = match client.export(body.clone()).await {
                Answer::Taken { rejected } => return Ok(rejected),
                Answer::Refused { why } => return Err(why),
                Answer::Again { after, why } => (after, why),
            };
            let wait = backoff.wait(after);
            if self.stopping.get() || first.elapsed() + wait > self.load.retry_for {
                return Err(why);
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.notified() => return Err(why),
            }
            self.tally.borrow_mut().retries += 1;
        }
    }

    fn failed(&self, spans: u64, why: String) {
        let mut tally = self.tally.borrow_mut();
        tally.failed(spans, why);
        if tally.in_a_row >= GIVE_UP_AFTER {
            drop(tally);
            self.end();
        }
    }

    /// Nothing more is taken or tried again; what is on its way is waited for.
    fn end(&self) {
        self.stopping.set(true);
        self.stop.notify_waiters();
    }

    /// Keeps a buffer for the next of its template, unless the connection still holds it.
    fn give_back(&self, template: usize, sent: Bytes) {
        if let (Ok(sent), Some(spares)) = (
            sent.try_into_mut(),
            self.spares.borrow_mut().get_mut(template),
        ) {
            spares.push(sent);
        }
    }
}
