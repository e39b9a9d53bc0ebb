//! The servers at their bounds: bombs, stalled shards, slow, idle and too many clients, and the end.

mod ingest_support;

use std::time::Duration;

use betrace::ingest::{Limits, Transport};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingest_support::{
    Host, PATIENCE, Setup, body, call, compressed, framed, post, request, request_of, span,
};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const HEAD: &str =
    "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n";

/// Short enough that a test need not wait, and the only thing that happens in it.
const SHORT: Duration = Duration::from_millis(50);

/// A gigabyte of zeros in about a megabyte: many members of 16 MiB, as a stream may have.
fn bomb(encoding: &str) -> Vec<u8> {
    compressed(encoding, &vec![0; 16 << 20]).repeat(64)
}

/// The most memory that this process ever had, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("the line is there");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<usize>().ok())
        .expect("a number");
    kib << 10
}

/// Reads to the end of a connection.
async fn to_the_end(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    // A connection that was closed with bytes unread ends with a reset, which is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("it ends in time");
    String::from_utf8(rest).expect("text")
}

#[tokio::test]
async fn a_bomb_ends_early() {
    let bombs = ["gzip", "zstd"].map(|encoding| (encoding, bomb(encoding)));
    let host = Host::start(Setup {
        in_flight: 96 << 20,
        ..Setup::default()
    })
    .await;
    let before = peak_memory();
    for (encoding, bomb) in &bombs {
        assert!(
            bomb.len() < 5 << 20,
            "{encoding} takes {} bytes",
            bomb.len()
        );
        let answer = call(host.grpc, &[("grpc-encoding", encoding)], framed(1, bomb)).await;
        assert!(
            matches!(
                answer.grpc_status(),
                Code::InvalidArgument | Code::Unavailable
            ),
            "{answer:?}"
        );
        let answer = post(
            host.http,
            &[PROTOBUF, ("content-encoding", encoding)],
            bomb.clone(),
        )
        .await;
        assert!(matches!(answer.status, 413 | 429), "{answer:?}");
    }
    let grown = peak_memory() - before;
    assert!(grown < 256 << 20, "{grown} bytes for bombs of 1 GiB");
    assert_eq!(host.router.budget().used(), 0);
    host.ended().await;
}

#[tokio::test]
async fn a_request_that_the_log_can_not_hold_is_refused_for_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = betrace::wal::Options::new(4 << 10, Duration::from_secs(1), 1);
    let log = betrace::wal::Opened::open(folder.path(), options).expect("it is free");
    let (log, _keeper) = log.start(Vec::new()).expect("it starts");
    let host = Host::start(Setup::default()).await;
    host.router.keep(log);
    let large = request(500).encode_to_vec();
    let answer = call(host.grpc, &[], framed(0, &large)).await;
    assert_eq!(answer.grpc_status(), Code::InvalidArgument, "{answer:?}");
    let said = answer.header("grpc-message").to_owned();
    assert!(said.contains("log-size"), "{said}");
    let answer = post(host.http, &[PROTOBUF], large).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.header("retry-after"), "");
    assert_eq!(host.counted(Transport::Http).too_large, 1);
    let small = request(1).encode_to_vec();
    assert_eq!(post(host.http, &[PROTOBUF], small).await.status, 200);
    host.ended().await;
}

#[tokio::test]
async fn a_stalled_shard_makes_clients_wait_and_not_memory_grow() {
    let in_flight = 1 << 20;
    let host = Host::start(Setup {
        in_flight,
        shards: 1,
        queue: 1_000,
        ..Setup::default()
    })
    .await;
    let bytes = request_of(vec![span(1, 1, &"x".repeat(100_000))]).encode_to_vec();
    let mut taken = 0;
    let refused = loop {
        let answer = post(host.http, &[PROTOBUF], bytes.clone()).await;
        assert!(host.router.budget().used() <= in_flight);
        if answer.status != 200 {
            break answer;
        }
        taken += 1;
        assert!(taken < 11, "a megabyte has no room for more");
    };
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert!(
        taken >= 5,
        "most of the budget is for what is queued, not for what is being read: {taken}"
    );
    let answer = call(host.grpc, &[], framed(0, &bytes)).await;
    assert_eq!(
        answer.grpc_status(),
        Code::Unavailable,
        "one bound for both protocols"
    );
    assert_eq!(host.taken().len(), taken);
    assert_eq!(host.router.budget().used(), 0);
    assert_eq!(post(host.http, &[PROTOBUF], bytes).await.status, 200);
    host.ended().await;
}

#[tokio::test]
async fn bodies_that_are_still_coming_are_charged() {
    let host = Host::start(Setup {
        in_flight: 256 << 10,
        ..Setup::default()
    })
    .await;
    // Each promises much, sends a little, and waits.
    let mut slow = Vec::new();
    while host.counted(Transport::Http).overload == 0 {
        let mut stream = TcpStream::connect(host.http).await.expect("it listens");
        stream
            .write_all(format!("{HEAD}content-length: 60000000\r\n\r\nabc").as_bytes())
            .await
            .expect("it reads");
        slow.push(stream);
        assert!(
            slow.len() < 1_000,
            "a budget of 256 KiB has room for so many bodies"
        );
        tokio::task::yield_now().await;
    }
    assert!(host.router.budget().used() <= 256 << 10);
    drop(slow);
    let bytes = request(1).encode_to_vec();
    let answer = async {
        while post(host.http, &[PROTOBUF], bytes.clone()).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("clients that went away hold nothing");
    host.ended().await;
}

#[tokio::test]
async fn idle_connections_leave_room_and_end_with_the_host() {
    let limits = Limits {
        drain_timeout: 10 * PATIENCE,
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let message = request(1).encode_to_vec();
    // A hundred of each kind: HTTP/1 and HTTP/2 after a request, HTTP/2 that never answers a ping, and nothing said at all.
    let mut idle = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut one = TcpStream::connect(host.http).await.expect("it listens");
        let head = format!("{HEAD}content-length: {}\r\n\r\n", message.len());
        one.write_all(&[head.as_bytes(), &message].concat())
            .await
            .expect("it reads");
        idle.push(one);

        let mut mute = TcpStream::connect(host.grpc).await.expect("it listens");
        mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .expect("it reads");
        idle.push(mute);
        idle.push(TcpStream::connect(host.grpc).await.expect("it listens"));

        let stream = TokioIo::new(TcpStream::connect(host.http).await.expect("it listens"));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                .await
                .expect("HTTP/2");
        let ended = tokio::spawn(connection);
        let request = Request::post("http://localhost/v1/traces").header(PROTOBUF.0, PROTOBUF.1);
        let answer = sender
            .send_request(request.body(body(message.clone())).expect("a request"))
            .await;
        assert_eq!(answer.expect("it answers").status(), 200);
        clients.push((sender, ended));
        host.taken();
    }
    assert_eq!(
        call(host.grpc, &[], framed(0, &message))
            .await
            .grpc_status(),
        Code::Ok
    );
    host.ended().await;
    for (_sender, ended) in clients {
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("it was told to end")
            .expect("no panic")
            .ok();
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_at_once() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let first = TcpStream::connect(host.http).await.expect("it listens");
    let _second = TcpStream::connect(host.http).await.expect("it listens");
    let third = TcpStream::connect(host.http)
        .await
        .expect("the kernel accepts");
    assert_eq!(to_the_end(third).await, "");
    assert_eq!(host.counted(Transport::Http).connections_refused, 1);
    // gRPC has a bound of its own.
    let message = framed(0, &request(1).encode_to_vec());
    assert_eq!(call(host.grpc, &[], message).await.grpc_status(), Code::Ok);
    drop(first);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(host.http).await.expect("it listens");
            let sent = stream
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .await;
            if sent.is_ok() && to_the_end(stream).await.starts_with("HTTP/1.1 404") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("a closed connection makes room");
    host.ended().await;
}

#[tokio::test]
async fn clients_that_say_nothing_or_stop_halfway_are_cut_off() {
    let limits = Limits {
        header_timeout: SHORT,
        body_timeout: SHORT,
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    for beginning in ["", "POST", "PRI * HTTP/2.0\r\n"] {
        for address in [host.http, host.grpc] {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream
                .write_all(beginning.as_bytes())
                .await
                .expect("it reads");
            let answer = to_the_end(stream).await;
            assert!(!answer.contains("200"), "{beginning:?}: {answer}");
        }
    }
    let mut stream = TcpStream::connect(host.http).await.expect("it listens");
    let half = format!("{HEAD}content-length: 100\r\nconnection: close\r\n\r\nhalf");
    stream.write_all(half.as_bytes()).await.expect("it reads");
    let answer = to_the_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert_eq!(host.counted(Transport::Http).timeouts, 1);
    host.ended().await;
}

#[tokio::test]
async fn idle_connections_are_closed_after_a_while() {
    let limits = Limits {
        idle_timeout: SHORT,
        ..Limits::default()
    };
    let host = Host::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let mut stream = TcpStream::connect(host.http).await.expect("it listens");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("it reads");
    assert!(to_the_end(stream).await.starts_with("HTTP/1.1 404"));
    host.ended().await;
}

#[tokio::test]
async fn a_host_that_stops_refuses_so_that_clients_try_again() {
    let host = Host::start(Setup::default()).await;
    // A request that is under way when the host stops.
    let message = request(1).encode_to_vec();
    let mut stream = TcpStream::connect(host.http).await.expect("it listens");
    let head = format!("{HEAD}content-length: {}\r\n\r\n", message.len());
    stream.write_all(head.as_bytes()).await.expect("it reads");
    stream.write_all(&message[..4]).await.expect("it reads");
    while host.router.budget().used() == 0 {
        tokio::task::yield_now().await;
    }
    host.begin_shutdown();
    while !host.router.is_closed() {
        tokio::task::yield_now().await;
    }
    stream
        .write_all(&message[4..])
        .await
        .expect("it still reads");
    let answer = to_the_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("retry-after: 1") && answer.contains("shutting down"),
        "{answer}"
    );
    assert_eq!(host.counted(Transport::Http).closed, 1);
    assert_eq!((host.taken().len(), host.router.budget().used()), (0, 0));
    host.ended().await;
}
