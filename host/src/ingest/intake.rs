//! What both servers do with a request: read it within bounds, make it protobuf, route it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use super::body::{Buffer, drain, read_grpc, read_http};
use super::budget::Permit;
use super::counters::{Counters, Transport};
use super::inflate::{Encoding, inflate};
use super::limits::{Limits, REQUEST_OVERHEAD_BYTES};
use super::refusal::Refusal;
use super::routing::{Accepted, Router};
use crate::otlp::json::to_protobuf;

/// One server's way in.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    router: Router,
    limits: Arc<Limits>,
    transport: Transport,
}

/// How the bytes of a request lie in its body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    /// The one message of a unary call.
    Grpc,
    /// The whole body, of the length that was announced.
    Http { length: Option<usize> },
}

/// What the bytes of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Intake {
    pub(super) fn new(router: Router, limits: Arc<Limits>, transport: Transport) -> Self {
        Self {
            router,
            limits,
            transport,
        }
    }

    pub(super) fn retry_after(&self) -> Duration {
        self.limits.retry_after
    }

    pub(super) fn request_bytes(&self) -> usize {
        self.limits.request_bytes
    }

    pub(super) fn counters(&self) -> &Counters {
        self.router.counters(self.transport)
    }

    /// Takes the request in `body`, or says why not.
    pub(super) async fn receive<B>(
        &self,
        mut body: B,
        framing: Framing,
        encoding: Option<Encoding>,
        format: Format,
    ) -> Result<Accepted, Refusal>
    where
        B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
    {
        let deadline = Instant::now() + self.limits.body_timeout;
        let read = timeout_at(deadline, self.read(&mut body, framing, encoding)).await;
        let read = read
            .unwrap_or(Err(Refusal::Timeout(self.limits.body_timeout)))
            .and_then(|(bytes, permit)| self.protobuf(format, bytes, permit));
        let taken = match read {
            Ok((bytes, permit)) => self.router.take(self.transport, bytes, permit).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &taken {
            refusal.count(self.counters());
            let _ = timeout_at(deadline, drain(&mut body, self.limits.request_bytes)).await;
        }
        taken
    }

    /// Counts a request that is refused before its body is read, and reads the body unless the client waits to be asked
    /// for it (`Expect: 100-continue`).
    pub(super) async fn refuse<B>(&self, mut body: B, refusal: &Refusal, client_waits: bool)
    where
        B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
    {
        refusal.count(self.counters());
        if !client_waits {
            let deadline = Instant::now() + self.limits.body_timeout;
            let _ = timeout_at(deadline, drain(&mut body, self.limits.request_bytes)).await;
        }
    }

    /// The request's bytes as they were before compression.
    async fn read<B>(
        &self,
        body: &mut B,
        framing: Framing,
        encoding: Option<Encoding>,
    ) -> Result<(Bytes, Permit), Refusal>
    where
        B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
    {
        if self.router.is_closed() {
            return Err(Refusal::Closed);
        }
        let limit = self.limits.request_bytes;
        let permit = self.router.budget().reserve(REQUEST_OVERHEAD_BYTES)?;
        let (buffer, compressed) = match framing {
            Framing::Http { length } => (
                read_http(body, Buffer::new(permit, limit, length)).await?,
                true,
            ),
            Framing::Grpc => {
                let message = read_grpc(body, permit, limit).await?;
                (message.buffer, message.compressed)
            }
        };
        match encoding.filter(|_| compressed) {
            None if compressed && matches!(framing, Framing::Grpc) => Err(Refusal::Malformed(
                "the message is marked as compressed, but no grpc-encoding says how".to_owned(),
            )),
            None => Ok(buffer.finish()),
            Some(encoding) => self.inflated(encoding, buffer),
        }
    }

    fn inflated(&self, encoding: Encoding, buffer: Buffer) -> Result<(Bytes, Permit), Refusal> {
        let (compressed, permit) = buffer.finish();
        let out = Buffer::new(permit, self.limits.request_bytes, None);
        let (bytes, mut permit) = inflate(encoding, &compressed, out)?.finish();
        permit.shrink(compressed.len());
        Ok((bytes, permit))
    }

    fn protobuf(
        &self,
        format: Format,
        bytes: Bytes,
        permit: Permit,
    ) -> Result<(Bytes, Permit), Refusal> {
        match format {
            Format::Protobuf => Ok((bytes, permit)),
            Format::Json => self.json_to_protobuf(bytes, permit),
        }
    }

    /// Protobuf of the same meaning, which is never longer than its JSON was.
    fn json_to_protobuf(
        &self,
        json: Bytes,
        mut permit: Permit,
    ) -> Result<(Bytes, Permit), Refusal> {
        let length = json.len();
        permit.grow(length)?;
        let mut protobuf =
            to_protobuf(&json).map_err(|error| Refusal::Malformed(error.to_string()))?;
        drop(json);
        protobuf.shrink_to_fit();
        permit.shrink((2 * length).saturating_sub(protobuf.capacity()));
        Ok((Bytes::from(protobuf), permit))
    }
}
