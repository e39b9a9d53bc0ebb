//! What can be seen of a host that stops.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::client::{Events, ask, charge, get, start, until};
use crate::support::PATIENCE;

#[test]
fn a_host_that_stops_says_so_until_it_has_judged_all() {
    let (_folder, serve) = start(&["--health", "127.0.0.1:0"]);
    assert_eq!(get(&serve, "/readyz").status, 200);
    // A request that has begun keeps it from ending.
    let mut upload = TcpStream::connect(&serve.http).expect("it listens");
    upload.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(
        upload,
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut begun = [0; 25];
    upload.read_exact(&mut begun).expect("it goes on");
    assert!(begun.starts_with(b"HTTP/1.1 100 "));

    serve.signal_to_end();
    let stopping = until(&serve, "/readyz", |answer| answer.status != 200);
    assert_eq!(
        (stopping.status, stopping.text.as_str()),
        (503, "stopping\n")
    );
    assert_eq!(get(&serve, "/healthz").text, "ok\n");
    let health = serve
        .greeting
        .iter()
        .find_map(|line| line.strip_prefix("betrace: health and metrics on "))
        .expect("it says where");
    assert_eq!(ask(health, "GET", "/readyz", &[], "").status, 503);

    upload.write_all(b"{}").expect("it reads");
    let mut answer = String::new();
    upload.read_to_string(&mut answer).expect("an answer");
    // Nothing new is taken, and the client is told to send it to the next host.
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("shutting down"),
        "{answer}"
    );
    let (_, _, status) = serve.ended();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_stream_ends_with_the_last_signals() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("charge.betrace"), "payment.charge_card").expect("a file");
    let rules = folder.path().to_str().expect("text");
    let serve = crate::support::Serve::start(&["--rules", rules, "--settle", "10s"]);
    let mut events = Events::open(&serve, &[]);
    let id = charge(&serve, 1);
    // The trace is open, and judged as the host ends.
    serve.signal_to_end();
    let (kind, _, signal) = events.next();
    assert_eq!((kind.as_str(), &signal["trace_id"]), ("signal", &json!(id)));
    assert!(events.has_ended());
    let (_, _, status) = serve.ended();
    assert_eq!(status.code(), Some(0));
}
