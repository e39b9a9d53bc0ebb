//! A sender in a process of its own, so that its CPU time is not the host's: the same program, with arguments that say so.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use betrace::load::client::{Protocol, Target};
use betrace::load::deck::Deck;
use betrace::load::send::{Load, run};
use betrace::load::shape::Shape;

use crate::traffic::{SERVICES, SPANS_A_TRACE};

/// The first argument of a sender.
const SEND: &str = "--send";

/// With a request that the host has no room for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent, and how.
#[derive(Clone, Debug)]
pub struct Sender {
    pub address: String,
    /// By OTLP/HTTP, and not by gRPC.
    pub is_http: bool,
    /// `gzip`, `zstd`, or anything else for none.
    pub compression: String,
    pub spans: u64,
    /// Each has one request on its way.
    pub connections: usize,
}

impl Sender {
    /// OTLP/gRPC, not compressed, a connection for each service.
    pub fn new(address: impl ToString, spans: u64) -> Sender {
        Sender {
            address: address.to_string(),
            is_http: false,
            compression: "none".to_owned(),
            spans,
            connections: SERVICES as usize,
        }
    }

    /// Sends from another process, to the end.
    pub fn run_apart(&self) {
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program)
            .args([SEND, &self.address, &self.is_http.to_string()])
            .args([&self.compression, &self.spans.to_string()])
            .arg(self.connections.to_string())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the sender failed"
        );
    }

    /// Sends here and says so, where the arguments of this program ask for it.
    pub fn took_over(arguments: &[String]) -> bool {
        let [send, address, is_http, compression, spans, connections] = arguments else {
            return false;
        };
        if send != SEND {
            return false;
        }
        let sender = Sender {
            address: address.clone(),
            is_http: is_http.parse().expect("true or false"),
            compression: compression.clone(),
            spans: spans.parse().expect("a number"),
            connections: connections.parse().expect("a number"),
        };
        sender.run();
        true
    }

    fn run(&self) {
        let traces = self.spans / SPANS_A_TRACE;
        let mut target = Target::grpc(&self.address, &self.compression);
        if self.is_http {
            target.protocol = Protocol::Http;
        }
        let load = Load {
            deck: Arc::new(Deck::made(&Shape::default(), Some(traces), 0).expect("it is small")),
            target,
            connections: self.connections,
            rate: None,
            duration: None,
            retry_for: PATIENCE,
            seed: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let no_look = async || std::future::pending().await;
        let sent = run(&load, std::future::pending(), no_look, |(), _, _| {});
        let tally = runtime.block_on(sent).expect("it is taken").tally;
        assert_eq!(
            (tally.failed, tally.rejected),
            (0, 0),
            "{:?}",
            tally.failure
        );
    }
}
