//! Requests from memory to signals on one thread: routed, assembled, judged; the time is an argument.
//!
//! Without the ring of recent traces, which takes traces at a pace of real time and not by how many are open.

use std::sync::Arc;
use std::time::Duration;

use betrace::assemble::limits::Limits;
use betrace::assemble::shard::Shard;
use betrace::engine::{Engine, EngineLimits, RuleSet};
use betrace::ingest::{Budget, Routed, Router, Transport};
use betrace::load::deck::Deck;
use betrace::load::shape::Shape;
use betrace::load::template::mask;
use betrace::pipeline::Judge;
use betrace::signal::judge::Unfinished;
use betrace::time::Time;
use betrace_benches::rules;
use betrace_benches::traffic::VARIANTS;
use bytes::Bytes;
use crossbeam_channel::{Receiver, unbounded};

/// From a trace's first span to its verdict: four fifths of a flush interval of 5 s, and `settle`.
pub(crate) const OPEN_FOR: Duration = Duration::from_secs(10);

/// Steady traffic, as many spans open at a time as asked for: in each step every service sends what it has of a group of traces,
/// which began so many steps ago as its phase says.
pub(crate) struct Feed {
    deck: Deck,
    services: u64,
    pub(crate) spans_a_step: u64,
    pub(crate) steps_open: u64,
}

impl Feed {
    pub(crate) fn new(spans_a_trace: u64, open_spans: u64) -> Feed {
        let shape = Shape {
            spans: spans_a_trace,
            ..Shape::default()
        };
        let spans_a_step = shape.traces_a_group() * spans_a_trace;
        Feed {
            deck: Deck::made(&shape, None, 0).expect("it is small"),
            services: shape.services,
            spans_a_step,
            steps_open: (open_spans / spans_a_step).max(1),
        }
    }

    /// What the services send in a step.
    pub(crate) fn requests(&self, step: u64) -> Vec<Bytes> {
        let mut requests = Vec::new();
        for service in 0..self.services {
            // The root's service is neither the first nor the last to send.
            let phase = (service + 3) % self.services;
            let Some(group) = step.checked_sub(self.steps_open * phase / 10) else {
                continue;
            };
            // The first variant has a trace that breaks rules, whose share would depend on the length of traces.
            let variant = 1 + group % (VARIANTS - 1);
            for template in self.deck.part(variant, service as usize) {
                let template = self.deck.template(template).expect("it is of the deck");
                requests.push(template.message(mask(0, group)));
            }
        }
        requests
    }

    /// How long after the first a step is.
    pub(crate) fn at(&self, step: u64) -> Duration {
        OPEN_FOR.mul_f64(step as f64 / self.steps_open as f64)
    }

    /// Steps until as many traces are open as will be.
    pub(crate) fn warm_up(&self) -> u64 {
        self.steps_open + self.steps_open / 5 + 2
    }
}

/// One thread of a host.
pub(crate) struct Flow {
    router: Router,
    queue: Receiver<Routed>,
    pub(crate) shard: Shard,
    judge: Judge,
    set: RuleSet,
}

impl Flow {
    /// With rules of this text.
    pub(crate) fn new(source: &str) -> Flow {
        let engine = Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("an engine"));
        let (sender, queue) = unbounded();
        Flow {
            router: Router::new(vec![sender], Budget::new(1 << 30)),
            queue,
            shard: Shard::new(Limits {
                memory_bytes: 64 << 30,
                ..Limits::default()
            }),
            set: RuleSet::new(1, rules::loaded(&engine, source)),
            judge: Judge::new(engine, Unfinished::Stable, false),
        }
    }

    pub(crate) fn step(&mut self, now: Time, requests: Vec<Bytes>) {
        for bytes in requests {
            let permit = self.router.budget().reserve(bytes.len()).expect("room");
            self.router
                .route(Transport::Grpc, bytes, permit)
                .expect("it is taken");
        }
        for routed in self.queue.try_iter() {
            self.shard.insert(routed.parcel, now);
        }
        let (mut traces, mut signals) = (Vec::new(), Vec::new());
        loop {
            let more = self.shard.poll(now, &mut traces);
            self.judge
                .judge(&self.set, &self.shard, &traces, 0, &mut signals);
            for trace in traces.drain(..) {
                self.shard.release(trace);
            }
            if !more {
                break;
            }
        }
        assert!(signals.is_empty(), "nothing in the feed breaks a rule");
    }
}
