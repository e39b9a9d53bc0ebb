//! A request's spans to the shards that their trace ids hash to.
//!
//! A request is scanned once and becomes one [`Routed`] for each shard that it touches. It is accepted when all of them
//! are queued; where there is a write-ahead log, it is durable in it before. When a queue turns out to be full after another took its part, the client is told to send again, and the
//! shard that has the spans already counts them once.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::mem::{size_of, take};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError};

use super::budget::{Budget, Permit};
use super::counters::{Counters, Transport};
use super::refusal::Refusal;
use crate::assemble::trace::{Parcel, span_bytes};
use crate::otlp::request::Request;
use crate::otlp::scan::{Range, Scan, ScannedSpan, Section};
use crate::wal::{Hold, Log, Logged};

/// Spans that a thread's scan tables keep room for between requests (2 MiB); what a larger request needed is freed.
const KEPT_SPANS: usize = 65_536;

/// What a shard's queue holds.
#[derive(Debug)]
pub struct Routed {
    pub parcel: Parcel,
    /// The request's bytes in the budget. Drop it when the shard accounts for the parcel itself.
    pub permit: Arc<Permit>,
    /// When the request was scanned. A shard that lags behind its queue judges by this time, not by the one when it
    /// gets here, so that a trace is not settled while its spans wait.
    pub arrived: Instant,
    /// Keeps the request in the write-ahead log, where there is one. Who takes the parcel releases it in the end.
    pub hold: Option<Hold>,
}

/// A request that was scanned, and what stands for its memory.
struct Prepared {
    request: Arc<Request>,
    groups: Vec<Vec<ScannedSpan>>,
    permit: Arc<Permit>,
    accepted: Accepted,
}

/// What a client is told of a request that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Spans whose ids can't be used.
    pub rejected: u32,
}

/// Ingest as seen from beside: it holds no queue open.
#[derive(Clone, Debug)]
pub struct IngestView {
    closed: Arc<AtomicBool>,
    pub budget: Arc<Budget>,
    pub grpc: Arc<Counters>,
    pub http: Arc<Counters>,
}

impl IngestView {
    /// Whether everything is refused.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// Hands requests to shards. Clones share everything.
#[derive(Clone, Debug)]
pub struct Router(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shards: Vec<Sender<Routed>>,
    /// Keyed, so that nobody outside can aim all traces at one shard.
    hasher: foldhash::quality::RandomState,
    budget: Arc<Budget>,
    closed: Arc<AtomicBool>,
    grpc: Arc<Counters>,
    http: Arc<Counters>,
    log: OnceLock<Log>,
}

impl Router {
    /// Routes to `shards`, a queue each, within `budget`.
    pub fn new(shards: Vec<Sender<Routed>>, budget: Arc<Budget>) -> Self {
        let (hasher, closed) = (
            foldhash::quality::RandomState::default(),
            Arc::new(AtomicBool::new(false)),
        );
        Self(Arc::new(Inner {
            shards,
            hasher,
            budget,
            closed,
            grpc: Arc::default(),
            http: Arc::default(),
            log: OnceLock::new(),
        }))
    }

    /// From now on requests are taken when they are durable in this log. It is set once.
    pub fn keep(&self, log: Log) {
        let _ = self.0.log.set(log);
    }

    /// Takes a request: scans it, logs it where there is a log, and queues its spans. `permit` stands for `bytes`; it grows by
    /// what the span tables take.
    pub(super) async fn take(
        &self,
        transport: Transport,
        bytes: Bytes,
        permit: Permit,
    ) -> Result<Accepted, Refusal> {
        let prepared = self.prepare(bytes, permit)?;
        let logged = match self.0.log.get() {
            Some(log) if prepared.has_spans() => {
                // What is refused need not be written; that it is not full now doesn't say that it won't be.
                self.check_queues(&prepared.groups)?;
                let bytes = prepared.request.bytes.clone();
                Some(log.append(bytes, prepared.permit.clone()).await?)
            }
            _ => None,
        };
        self.finish(transport, prepared, logged.as_ref())
    }

    /// Takes a request where there is no log.
    pub fn route(
        &self,
        transport: Transport,
        bytes: Bytes,
        permit: Permit,
    ) -> Result<Accepted, Refusal> {
        let prepared = self.prepare(bytes, permit)?;
        self.finish(transport, prepared, None)
    }

    /// What a request from before the start means to each shard: its parts, by shard, with the spans of traces that `needed` says
    /// yes to. Its bytes are copied, and only where something of it is needed.
    pub fn split(
        &self,
        bytes: Bytes,
        needed: impl Fn(&[u8; 16]) -> bool,
    ) -> Result<Vec<(usize, Parcel)>, Refusal> {
        with_scan(|scan| {
            let request = Request::scan(bytes, scan).map_err(malformed)?;
            scan.spans.retain(|span| needed(&span.trace_id));
            if scan.spans.is_empty() {
                return Ok(Vec::new());
            }
            let request = Arc::new(Request {
                bytes: Bytes::copy_from_slice(&request.bytes),
                ..request
            });
            let all = span_bytes(&scan.spans);
            let groups = self.group(&scan.spans).into_iter().enumerate();
            let parts = groups.filter(|(_, spans)| !spans.is_empty());
            Ok(parts
                .map(|(shard, spans)| (shard, Parcel::part(Arc::clone(&request), spans, all)))
                .collect())
        })
    }

    /// The shard of a trace: its hash scaled to the number of shards.
    pub fn shard(&self, trace_id: &[u8; 16]) -> usize {
        let mut hasher = self.0.hasher.build_hasher();
        hasher.write_u128(u128::from_ne_bytes(*trace_id));
        ((u128::from(hasher.finish()) * self.0.shards.len() as u128) >> 64) as usize
    }

    /// Refuses everything from now on.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    pub fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// What outlasts the queues, for those who look at the host from beside.
    pub fn view(&self) -> IngestView {
        IngestView {
            closed: self.0.closed.clone(),
            budget: self.0.budget.clone(),
            grpc: self.0.grpc.clone(),
            http: self.0.http.clone(),
        }
    }

    pub fn counters(&self, transport: Transport) -> &Arc<Counters> {
        match transport {
            Transport::Grpc => &self.0.grpc,
            Transport::Http => &self.0.http,
        }
    }

    fn prepare(&self, bytes: Bytes, mut permit: Permit) -> Result<Prepared, Refusal> {
        if self.is_closed() {
            return Err(Refusal::Closed);
        }
        with_scan(|scan| {
            let request = Request::scan(bytes, scan).map_err(malformed)?;
            let groups = self.group(&scan.spans);
            permit.grow(table_bytes(&request, &groups))?;
            Ok(Prepared {
                request: Arc::new(request),
                groups,
                permit: Arc::new(permit),
                accepted: Accepted {
                    rejected: scan.rejected,
                },
            })
        })
    }

    fn finish(
        &self,
        transport: Transport,
        prepared: Prepared,
        logged: Option<&Logged>,
    ) -> Result<Accepted, Refusal> {
        let accepted = prepared.accepted;
        let bytes = prepared.request.bytes.len();
        let spans: usize = prepared.groups.iter().map(Vec::len).sum();
        self.queue(prepared.request, prepared.groups, prepared.permit, logged)?;

        let counters = self.counters(transport);
        counters.requests.add(1);
        counters.bytes.add(bytes as u64);
        counters.spans.add(spans as u64);
        counters.rejected.add(u64::from(accepted.rejected));
        Ok(accepted)
    }

    /// The spans of each shard.
    fn group(&self, spans: &[ScannedSpan]) -> Vec<Vec<ScannedSpan>> {
        let shards = self.0.shards.len();
        if shards <= 1 {
            return vec![spans.to_vec()];
        }
        let mut groups = vec![Vec::new(); shards];
        for span in spans {
            if let Some(group) = groups.get_mut(self.shard(&span.trace_id)) {
                group.push(*span);
            }
        }
        groups
    }

    /// Whether all queues that a request touches have room.
    fn check_queues(&self, groups: &[Vec<ScannedSpan>]) -> Result<(), Refusal> {
        let mut queues = self.0.shards.iter().zip(groups);
        if queues.any(|(shard, spans)| !spans.is_empty() && shard.is_full()) {
            return Err(Refusal::QueueFull);
        }
        Ok(())
    }

    fn queue(
        &self,
        request: Arc<Request>,
        mut groups: Vec<Vec<ScannedSpan>>,
        permit: Arc<Permit>,
        logged: Option<&Logged>,
    ) -> Result<(), Refusal> {
        self.check_queues(&groups)?;
        let all_span_bytes = groups.iter().map(|spans| span_bytes(spans)).sum();
        let arrived = Instant::now();
        for (shard, spans) in self.0.shards.iter().zip(&mut groups) {
            if spans.is_empty() {
                continue;
            }
            let parcel = Parcel::part(Arc::clone(&request), take(spans), all_span_bytes);
            let routed = Routed {
                parcel,
                permit: Arc::clone(&permit),
                arrived,
                hold: logged.map(Logged::hold),
            };
            if let Err(error) = shard.try_send(routed) {
                let (refusal, routed) = match error {
                    TrySendError::Full(routed) => (Refusal::QueueFull, routed),
                    TrySendError::Disconnected(routed) => (Refusal::Closed, routed),
                };
                if let Some(hold) = routed.hold {
                    hold.release();
                }
                return Err(refusal);
            }
        }
        Ok(())
    }
}

impl Prepared {
    fn has_spans(&self) -> bool {
        self.groups.iter().any(|spans| !spans.is_empty())
    }
}

/// Does something with this thread's scan tables.
fn with_scan<T>(work: impl FnOnce(&mut Scan) -> T) -> T {
    thread_local!(static SCAN: RefCell<Scan> = RefCell::default());
    SCAN.with_borrow_mut(|scan| {
        let done = work(scan);
        if scan.spans.capacity() > KEPT_SPANS || scan.parts.capacity() > KEPT_SPANS {
            *scan = Scan::default();
        }
        done
    })
}

fn malformed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Malformed(error.to_string())
}

/// What a request's tables take beside its bytes, until the shards have taken them.
fn table_bytes(request: &Request, groups: &[Vec<ScannedSpan>]) -> usize {
    let spans: usize = groups.iter().map(Vec::capacity).sum();
    spans * size_of::<ScannedSpan>()
        + request.sections.len() * size_of::<Section>()
        + request.parts.len() * size_of::<Range>()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crossbeam_channel::{Receiver, bounded};
    use proptest::prelude::*;

    use super::*;

    /// A protobuf field of bytes, shorter than 128.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("short");
        assert!(length < 0x80);
        [&[number << 3 | 2, length], bytes].concat()
    }

    /// A request with a span of each id, each in a section of its own.
    fn request(ids: &[u128]) -> Bytes {
        let spans = ids.iter().zip(1_u64..).flat_map(|(id, n)| {
            let span = [field(1, &id.to_be_bytes()), field(2, &n.to_be_bytes())].concat();
            field(1, &field(2, &field(2, &span)))
        });
        spans.collect()
    }

    fn router(shards: usize, queue: usize) -> (Router, Vec<Receiver<Routed>>) {
        let (senders, receivers) = (0..shards).map(|_| bounded(queue)).unzip();
        (Router::new(senders, Budget::new(1 << 20)), receivers)
    }

    fn route(router: &Router, bytes: Bytes) -> Result<Accepted, Refusal> {
        let permit = router
            .budget()
            .reserve(bytes.len())
            .map_err(|_| Refusal::QueueFull)?;
        router.route(Transport::Grpc, bytes, permit)
    }

    #[test]
    fn the_permit_is_held_until_the_last_shard_has_taken_its_part() {
        let (router, queues) = router(2, 8);
        let ids: Vec<u128> = (1..=64).collect();
        route(&router, request(&ids)).expect("there is room");
        let held = router.budget().used();
        assert!(held > request(&ids).len(), "bytes and tables: {held}");
        let mut parts: Vec<Routed> = queues.iter().flat_map(|queue| queue.try_iter()).collect();
        assert_eq!(parts.len(), 2, "64 ids touch both shards");
        parts.pop();
        assert_eq!(router.budget().used(), held);
        parts.pop();
        assert_eq!(router.budget().used(), 0);
    }

    #[test]
    fn a_full_queue_refuses_and_holds_nothing() {
        let (router, queues) = router(1, 1);
        route(&router, request(&[1])).expect("there is room");
        let held = router.budget().used();
        assert_eq!(route(&router, request(&[2])), Err(Refusal::QueueFull));
        assert_eq!(router.budget().used(), held);
        drop(queues[0].try_recv());
        route(&router, request(&[2])).expect("there is room again");
    }

    #[test]
    fn a_shard_that_is_gone_and_a_closed_router_refuse() {
        let (gone, queues) = router(1, 1);
        drop(queues);
        assert_eq!(route(&gone, request(&[1])), Err(Refusal::Closed));
        let (closed, _queues) = router(1, 1);
        closed.clone().close();
        assert_eq!(route(&closed, request(&[1])), Err(Refusal::Closed));
        assert_eq!(closed.budget().used(), 0);
    }

    #[test]
    fn tables_are_charged_and_may_not_fit() {
        let (sender, queue) = bounded(1);
        let bytes = request(&(1..=1_000).collect::<Vec<u128>>());
        let router = Router::new(vec![sender], Budget::new(bytes.len() + 1_000));
        assert!(matches!(
            route(&router, bytes),
            Err(Refusal::NeverFits { .. })
        ));
        assert_eq!((router.budget().used(), queue.len()), (0, 0));
    }

    #[test]
    fn ids_spread_over_shards_whichever_of_their_bytes_differ() {
        let (router, _) = router(4, 1);
        for shift in [0, 32, 64, 112] {
            let mut counts = [0_u32; 4];
            for n in 0..4_000_u128 {
                counts[router.shard(&(n << shift | 7).to_be_bytes())] += 1;
            }
            assert!(
                counts.iter().all(|count| (700..1_300).contains(count)),
                "{shift}: {counts:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn each_span_goes_to_one_shard_and_a_trace_to_the_same(
            ids in proptest::collection::vec(0_u128..20, 0..200),
            shards in 1_usize..6,
        ) {
            let (router, queues) = router(shards, 1);
            let accepted = route(&router, request(&ids)).unwrap();
            prop_assert_eq!(accepted.rejected as usize, ids.iter().filter(|id| **id == 0).count());
            let mut homes = HashMap::new();
            let mut got = Vec::new();
            for (home, queue) in queues.iter().enumerate() {
                for routed in queue.try_iter() {
                    prop_assert!(!routed.parcel.spans.is_empty());
                    for span in routed.parcel.spans {
                        prop_assert_eq!(*homes.entry(span.trace_id).or_insert(home), home);
                        got.push((u128::from_be_bytes(span.trace_id), span.range.start));
                    }
                }
            }
            got.sort_by_key(|(_, start)| *start);
            let wanted: Vec<u128> = ids.into_iter().filter(|id| *id != 0).collect();
            prop_assert_eq!(got.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), wanted);
        }
    }
}
