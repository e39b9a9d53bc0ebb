//! What happens in a request, as a tree of calls; and such a tree played from a start time as OpenTelemetry spans.
//!
//! ```text
//! Call (who does what, how long, with whom) -> record(call, start, random) -> [Recorded { service, span }]
//! ```
//! A call's own work is spread around its children, which run one after another unless marked `parallel`.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};

use super::random::Random;

/// A microsecond in nanoseconds: the unit of a call's work.
const MICROSECOND: u64 = 1_000;

/// Span flags: the trace was sampled; it is known whether the parent is remote; it is.
const SAMPLED: u32 = 0x1;
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// One span to be, and those below it.
#[derive(Clone, Debug)]
pub struct Call {
    pub service: &'static str,
    pub name: &'static str,
    kind: SpanKind,
    /// Its own time, beside that of its children.
    work_us: u64,
    attributes: Vec<KeyValue>,
    status: StatusCode,
    status_message: &'static str,
    /// Starts together with the sibling before it.
    parallel: bool,
    /// Starts when its parent has ended, as what comes through a queue does.
    detached: bool,
    children: Vec<Call>,
}

/// A span and the service that it belongs to.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub service: &'static str,
    pub span: Span,
}

impl Call {
    fn new(service: &'static str, name: &'static str, kind: SpanKind, work_us: u64) -> Call {
        Call {
            service,
            name,
            kind,
            work_us,
            attributes: Vec::new(),
            status: StatusCode::Unset,
            status_message: "",
            parallel: false,
            detached: false,
            children: Vec::new(),
        }
    }

    /// A request that the service answers.
    pub fn server(service: &'static str, name: &'static str, work_us: u64) -> Call {
        Call::new(service, name, SpanKind::Server, work_us)
    }

    /// A step within the service.
    pub fn step(service: &'static str, name: &'static str, work_us: u64) -> Call {
        Call::new(service, name, SpanKind::Internal, work_us)
    }

    /// A query of the service's PostgreSQL.
    pub fn query(service: &'static str, name: &'static str, statement: &str, work_us: u64) -> Call {
        Call::new(service, name, SpanKind::Client, work_us)
            .text("db.system", "postgresql")
            .text("db.statement", statement)
    }

    /// A call out of the shop, to someone else's API.
    pub fn outside(service: &'static str, name: &'static str, host: &str, work_us: u64) -> Call {
        Call::new(service, name, SpanKind::Client, work_us).text("server.address", host)
    }

    /// A message put into a queue.
    pub fn publish(service: &'static str, name: &'static str, topic: &str) -> Call {
        Call::new(service, name, SpanKind::Producer, 800)
            .text("messaging.system", "kafka")
            .text("messaging.destination.name", topic)
    }

    /// A message taken from a queue, after its sender has gone on.
    pub fn consume(service: &'static str, name: &'static str, work_us: u64) -> Call {
        let mut call = Call::new(service, name, SpanKind::Consumer, work_us);
        call.detached = true;
        call
    }

    pub fn text(self, key: &str, value: &str) -> Call {
        self.attribute(key, Value::StringValue(value.to_owned()))
    }

    pub fn int(self, key: &str, value: i64) -> Call {
        self.attribute(key, Value::IntValue(value))
    }

    pub fn float(self, key: &str, value: f64) -> Call {
        self.attribute(key, Value::DoubleValue(value))
    }

    pub fn bool(self, key: &str, value: bool) -> Call {
        self.attribute(key, Value::BoolValue(value))
    }

    pub fn ok(mut self) -> Call {
        self.status = StatusCode::Ok;
        self
    }

    pub fn failed(mut self, message: &'static str) -> Call {
        self.status = StatusCode::Error;
        self.status_message = message;
        self
    }

    pub fn parallel(mut self) -> Call {
        self.parallel = true;
        self
    }

    pub fn then(mut self, child: Call) -> Call {
        self.children.push(child);
        self
    }

    pub fn then_all(mut self, children: impl IntoIterator<Item = Call>) -> Call {
        self.children.extend(children);
        self
    }

    fn attribute(mut self, key: &str, value: Value) -> Call {
        self.attributes.push(attribute(key, value));
        self
    }
}

/// An attribute of a span or a resource.
pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Plays `call` as a trace of its own that starts at `start`, in Unix nanoseconds.
pub fn record(call: &Call, start: u64, random: &mut Random) -> Vec<Recorded> {
    let mut recorder = Recorder {
        trace_id: random.bytes(),
        random,
        spans: Vec::new(),
    };
    recorder.play(call, None, start);
    recorder.spans
}

struct Recorder<'a> {
    trace_id: [u8; 16],
    random: &'a mut Random,
    spans: Vec<Recorded>,
}

impl Recorder<'_> {
    /// Adds the spans of `call` and of all below it; returns when it ends.
    fn play(&mut self, call: &Call, parent: Option<(&'static str, [u8; 8])>, start: u64) -> u64 {
        let id = self.random.bytes::<8>();
        // Work is uneven, by a tenth to either side.
        let work = call.work_us * MICROSECOND * self.random.within(90..=110) / 100;
        let slice = work / (call.children.len() as u64 + 1);
        let me = Some((call.service, id));

        let mut turn = start;
        let mut end = start;
        for child in call.children.iter().filter(|c| !c.detached) {
            if !child.parallel {
                turn = end + slice;
            }
            end = end.max(self.play(child, me, turn));
        }
        let end = end + slice;
        for child in call.children.iter().filter(|c| c.detached) {
            let delay = self.random.within(2_000..=9_000) * MICROSECOND;
            self.play(child, me, end + delay);
        }
        self.spans.push(Recorded {
            service: call.service,
            span: self.span(call, id, parent, start, end),
        });
        end
    }

    fn span(
        &self,
        call: &Call,
        id: [u8; 8],
        parent: Option<(&'static str, [u8; 8])>,
        start: u64,
        end: u64,
    ) -> Span {
        let remote = parent.is_some_and(|(service, _)| service != call.service);
        Span {
            trace_id: self.trace_id.to_vec(),
            span_id: id.to_vec(),
            parent_span_id: parent.map(|(_, id)| id.to_vec()).unwrap_or_default(),
            name: call.name.to_owned(),
            kind: call.kind as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: call.attributes.clone(),
            status: Some(Status {
                message: call.status_message.to_owned(),
                code: call.status as i32,
            }),
            flags: SAMPLED | KNOWS_REMOTE | if remote { IS_REMOTE } else { 0 },
            ..Span::default()
        }
    }
}
