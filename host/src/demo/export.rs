//! Spans to export requests, as SDKs do it: each service gathers what has ended and flushes at its own phase, so that the
//! spans of one trace come in several requests, apart.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::call::{Recorded, attribute};
use super::shop::{SERVICES, Service};

/// How often a service flushes: well below the demo's `settle`, so that no trace is judged before its last span came.
pub const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// The exporters of all services.
#[derive(Debug, Default)]
pub struct Exporters {
    pending: BTreeMap<&'static str, Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    spans: Vec<Span>,
    /// In Unix nanoseconds.
    flush_at: u64,
}

impl Exporters {
    pub fn add(&mut self, spans: Vec<Recorded>) {
        for recorded in spans {
            self.pending
                .entry(recorded.service)
                .or_default()
                .spans
                .push(recorded.span);
        }
    }

    /// The requests of the services whose flush is due at `now`, with the spans that have ended by then.
    pub fn flush(&mut self, now: u64) -> Vec<ExportTraceServiceRequest> {
        let mut requests = Vec::new();
        for (phase, service) in SERVICES.iter().enumerate() {
            let Some(pending) = self.pending.get_mut(service.name) else {
                continue;
            };
            if now < pending.flush_at {
                continue;
            }
            pending.flush_at = next_flush(now, phase);
            let (ended, open): (Vec<_>, Vec<_>) = std::mem::take(&mut pending.spans)
                .into_iter()
                .partition(|span| span.end_time_unix_nano <= now);
            pending.spans = open;
            if !ended.is_empty() {
                requests.push(request(service, ended));
            }
        }
        requests
    }

    /// Everything, whether due and ended or not.
    pub fn flush_all(&mut self) -> Vec<ExportTraceServiceRequest> {
        for pending in self.pending.values_mut() {
            pending.flush_at = 0;
        }
        self.flush(u64::MAX)
    }
}

/// The next time of a service's own beat.
fn next_flush(now: u64, phase: usize) -> u64 {
    let every = u64::try_from(FLUSH_EVERY.as_nanos()).unwrap_or(u64::MAX);
    let shift = every / SERVICES.len() as u64 * phase as u64;
    (now.saturating_sub(shift) / every * every)
        .saturating_add(shift)
        .saturating_add(every)
}

fn request(service: &Service, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let text = |key, value: &str| attribute(key, Value::StringValue(value.to_owned()));
    let resource = Resource {
        attributes: vec![
            text("service.name", service.name),
            text("service.version", "1.4.2"),
            text("cloud.region", service.region),
            text("telemetry.sdk.language", service.language),
            text("telemetry.sdk.name", "opentelemetry"),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: format!("shop/{}", service.name),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::call::record;
    use crate::demo::random::Random;
    use crate::demo::shop::{Order, Steps, checkout};

    const START: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn a_trace_comes_in_a_request_of_each_service_and_none_before_its_spans_have_ended() {
        let mut random = Random::new(9);
        let order = Order::large(&mut random);
        let spans = record(
            &checkout(&order, &Steps::correct(&order, &mut random)),
            START,
            &mut random,
        );
        let expected = spans.len();
        let mut exporters = Exporters::default();
        exporters.add(spans);
        let (mut seen, mut requests) = (0, 0);
        for tick in 0..60 {
            let now = START + tick * 40_000_000;
            for request in exporters.flush(now) {
                let spans = &request.resource_spans[0].scope_spans[0].spans;
                assert!(spans.iter().all(|span| span.end_time_unix_nano <= now));
                seen += spans.len();
                requests += 1;
            }
        }
        assert_eq!(seen, expected);
        assert!(requests >= 10, "{requests}");
        assert!(exporters.flush_all().is_empty());
    }
}
