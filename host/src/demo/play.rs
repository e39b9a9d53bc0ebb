//! Plays the shop's traffic into a host over OTLP/gRPC, as its services' SDKs would.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use super::export::Exporters;
use super::traffic::Traffic;

/// How often it is looked whether something happens or is due. Well below a service's flush interval.
const TICK: Duration = Duration::from_millis(40);

/// A request that the host has no room for is sent again this often, as SDKs do, and then dropped.
const ATTEMPTS: u32 = 4;

/// The wait before the second attempt; each further one doubles it.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    pub traces: u64,
    pub faults: u64,
    pub spans: u64,
    pub requests: u64,
    /// Requests that the host had no room for.
    pub dropped: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error("can't connect the demo's traffic to {endpoint}")]
    Connect {
        endpoint: String,
        source: tonic::transport::Error,
    },
    #[error("{endpoint} refused the demo's traffic: {}", status.message())]
    Refused {
        endpoint: String,
        status: tonic::Status,
    },
}

/// Plays traffic to `endpoint` (`http://127.0.0.1:4317`) until `stop` is ready, and then sends what is left.
pub async fn play(
    endpoint: &str,
    seed: u64,
    stop: impl Future<Output = ()>,
) -> Result<Played, PlayError> {
    let channel = Channel::from_shared(endpoint.to_owned())
        .map_err(|_| refused(endpoint, tonic::Status::invalid_argument("not an address")))?
        .connect()
        .await
        .map_err(|source| PlayError::Connect {
            endpoint: endpoint.to_owned(),
            source,
        })?;
    let mut client = TraceServiceClient::new(channel);
    let mut traffic = Traffic::new(seed, unix_now());
    let mut exporters = Exporters::default();
    let mut played = Played::default();
    let mut tick = tokio::time::interval(TICK);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = &mut stop => break,
        }
        let now = unix_now();
        for (spans, fault) in traffic.advance(now) {
            played.traces += 1;
            played.faults += u64::from(fault.is_some());
            exporters.add(spans);
        }
        send_all(&mut client, endpoint, exporters.flush(now), &mut played).await?;
    }
    send_all(&mut client, endpoint, exporters.flush_all(), &mut played).await?;
    Ok(played)
}

async fn send_all(
    client: &mut TraceServiceClient<Channel>,
    endpoint: &str,
    requests: Vec<ExportTraceServiceRequest>,
    played: &mut Played,
) -> Result<(), PlayError> {
    for request in requests {
        played.requests += 1;
        played.spans += spans_in(&request);
        if !send(client, request)
            .await
            .map_err(|status| refused(endpoint, status))?
        {
            played.dropped += 1;
        }
    }
    Ok(())
}

/// Whether the host took it. What can be retried is retried, and then let go.
async fn send(
    client: &mut TraceServiceClient<Channel>,
    request: ExportTraceServiceRequest,
) -> Result<bool, tonic::Status> {
    let mut backoff = FIRST_BACKOFF;
    for _ in 0..ATTEMPTS {
        match client.export(request.clone()).await {
            Ok(_) => return Ok(true),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) => {
                tokio::time::sleep(backoff).await;
                backoff *= 2;
            }
            Err(status) => return Err(status),
        }
    }
    Ok(false)
}

fn refused(endpoint: &str, status: tonic::Status) -> PlayError {
    PlayError::Refused {
        endpoint: endpoint.to_owned(),
        status,
    }
}

fn spans_in(request: &ExportTraceServiceRequest) -> u64 {
    request
        .resource_spans
        .iter()
        .flat_map(|r| &r.scope_spans)
        .map(|s| s.spans.len() as u64)
        .sum()
}

fn unix_now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
