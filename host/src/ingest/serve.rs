//! Accepting connections, serving them over HTTP/1 and HTTP/2, and ending them when the host stops.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router as App;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic_health::ServingStatus;
use tower_service::Service;

use super::counters::{Counters, Transport};
use super::intake::Intake;
use super::limits::{
    CONNECTION_WINDOW, HEADER_BYTES, HTTP1_BUFFER_BYTES, Limits, PING_TIMEOUT, STREAM_WINDOW,
    STREAMS,
};
use super::routing::Router;
use super::shutdown::Shutdown;
use super::socket::Socket;
use super::{grpc, http};

/// How long a connection without a request stays when the host stops: enough to send what is buffered and a goodbye.
const GOODBYE: Duration = Duration::from_millis(250);

/// The pause after a failure to accept. Most are a lack of file descriptors, which only time mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sockets to serve; none where a protocol is off.
#[derive(Debug, Default)]
pub struct Listeners {
    pub grpc: Option<TcpListener>,
    pub http: Option<TcpListener>,
}

/// Serves until `shutdown`; then refuses what is new, answers what was begun, and returns.
pub async fn serve(listeners: Listeners, router: Router, limits: Limits, shutdown: Shutdown) {
    let grpc = async {
        if let Some(listener) = listeners.grpc {
            serve_grpc(listener, router.clone(), limits.clone(), shutdown.clone()).await;
        }
    };
    let http = async {
        if let Some(listener) = listeners.http {
            serve_http(listener, router.clone(), limits.clone(), shutdown.clone()).await;
        }
    };
    tokio::join!(grpc, http);
}

/// [`serve`] for OTLP/gRPC.
pub async fn serve_grpc(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut shutdown: Shutdown,
) {
    let limits = Arc::new(limits);
    let intake = Intake::new(router.clone(), Arc::clone(&limits), Transport::Grpc);
    let (app, health) = grpc::app(intake).await;
    let server = Server {
        app,
        limits,
        counters: router.counters(Transport::Grpc).clone(),
        name: Transport::Grpc.name(),
    };
    let stopped = || router.close();
    tokio::join!(server.run(listener, shutdown.clone(), stopped), async {
        shutdown.wait().await;
        grpc::set_health(&health, ServingStatus::NotServing).await;
    });
}

/// [`serve`] for OTLP/HTTP.
pub async fn serve_http(listener: TcpListener, router: Router, limits: Limits, shutdown: Shutdown) {
    let limits = Arc::new(limits);
    let app = http::app(Intake::new(
        router.clone(),
        Arc::clone(&limits),
        Transport::Http,
    ));
    Server {
        app,
        limits,
        counters: router.counters(Transport::Http).clone(),
        name: Transport::Http.name(),
    }
    .run(listener, shutdown, || router.close())
    .await;
}

/// A server of HTTP/1 and HTTP/2, whatever it serves.
pub struct Server {
    pub app: App,
    pub limits: Arc<Limits>,
    pub counters: Arc<Counters>,
    /// For the log.
    pub name: &'static str,
}

impl Server {
    /// Serves until `shutdown`, and answers what was begun. `stopped` is called once nothing new is taken.
    pub async fn run(self, listener: TcpListener, mut shutdown: Shutdown, stopped: impl FnOnce()) {
        let counters = &self.counters;
        let slots = Arc::new(Semaphore::new(
            self.limits.connections.min(Semaphore::MAX_PERMITS),
        ));
        let builder = Arc::new(builder(&self.limits));
        let mut connections = JoinSet::new();
        let mut stop = shutdown.clone();
        loop {
            let accepted = tokio::select! {
                () = shutdown.wait() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    counters.accept_errors.add(1);
                    tracing::warn!(%error, transport = self.name, "can't accept a connection");
                    tokio::select! { () = stop.wait() => {}, () = sleep(ACCEPT_PAUSE) => {} }
                    continue;
                }
            };
            // Closing at once tells the client to go elsewhere; a connection left in the backlog would look alive.
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                counters.connections_refused.add(1);
                continue;
            };
            counters.connections.add(1);
            let socket = self.socket(stream, slot);
            connections.spawn(connection(
                socket,
                self.app.clone(),
                Arc::clone(&builder),
                shutdown.clone(),
                Arc::clone(&self.counters),
            ));
        }
        drop(listener);
        stopped();
        let deadline = Instant::now() + self.limits.drain_timeout;
        while let Ok(Some(_)) = timeout_at(deadline, connections.join_next()).await {}
        connections.shutdown().await;
    }

    fn socket(&self, stream: TcpStream, slot: tokio::sync::OwnedSemaphorePermit) -> Socket {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        // A live HTTP/2 peer answers pings, so its connection is never still for this long.
        let still = self.limits.idle_timeout + PING_TIMEOUT;
        let header = self.limits.header_timeout;
        Socket::new(stream, slot, header, still, Arc::clone(&self.counters))
    }
}

/// Serves one connection to its end.
async fn connection(
    socket: Socket,
    app: App,
    builder: Arc<Builder<TokioExecutor>>,
    mut shutdown: Shutdown,
    counters: Arc<Counters>,
) {
    let active = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&active);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let guard = Active::new(&counted);
        let answer = app.clone().call(request);
        async move {
            let answer = answer.await;
            drop(guard);
            answer as Result<_, Infallible>
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    tokio::select! {
        ended = connection.as_mut() => return note_end(ended, &counters),
        () = shutdown.wait() => connection.as_mut().graceful_shutdown(),
    }
    // A peer that doesn't answer the goodbye, or only watches its health, must not hold up the host.
    loop {
        match timeout(GOODBYE, connection.as_mut()).await {
            Ok(ended) => return note_end(ended, &counters),
            Err(_) if active.load(Ordering::Relaxed) == 0 => return,
            Err(_) => {}
        }
    }
}

fn note_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>, counters: &Counters) {
    if let Err(error) = ended {
        // What fails for the socket's own time is counted there, and no timeout of hyper's.
        let hyper = error.downcast_ref::<hyper::Error>();
        if hyper.is_some_and(hyper::Error::is_timeout) {
            counters.connections_idle.add(1);
        }
        tracing::debug!(error, "a connection ended early");
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Counts from the end of the last request, so it bounds idle connections as well as slow headers.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(STREAM_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// A request that is being answered.
struct Active(Arc<AtomicUsize>);

impl Active {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
