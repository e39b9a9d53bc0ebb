//! A host under test, and what asks it: plain sockets, so that what goes over them is plain to see.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{PATIENCE, Serve};

pub const RULES: &str = "\
/// No charge without a check.
rule charge-needs-check {
  severity: critical
  tags: [payments]
  when   { payment.charge_card }
  always { payment.fraud_check }
}
rule silent { detect { never.happens } }
";

pub fn start(arguments: &[&str]) -> (tempfile::TempDir, Serve) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("payment.betrace"), RULES).expect("a file");
    let rules = folder.path().to_str().expect("text").to_owned();
    let serve = Serve::start(&[&["--rules", &rules, "--settle", "1ms"], arguments].concat());
    (folder, serve)
}

/// A charge without a check.
pub fn charge(serve: &Serve, trace: u32) -> String {
    let id = format!("{trace:032x}");
    let span = |id: u32, parent: &str, name: &str| {
        json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name,
               "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000120000000",
               "attributes": [{"key": "amount", "value": {"intValue": "1500"}}]})
    };
    let root = format!("{:016x}", 1);
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "payment"}}]},
        "scopeSpans": [{"spans": [span(1, "", "POST /pay"), span(2, &root, "payment.charge_card")],
                        "schemaUrl": "https://opentelemetry.io/schemas/1.30.0"}],
        "schemaUrl": "https://opentelemetry.io/schemas/1.29.0",
    }]});
    serve.post("application/json", request.to_string().as_bytes());
    id
}

pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

pub fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let host = headers.iter().find(|(name, _)| *name == "host");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\nconnection: close\r\n",
        host.map_or(address, |(_, host)| host),
        body.len()
    );
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}\r\n{body}").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let head = head.to_lowercase();
    Answer {
        status: status.expect("a status"),
        text: if head.contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        },
        head,
    }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    out
}

pub fn get(serve: &Serve, path: &str) -> Answer {
    ask(&serve.api, "GET", path, &[], "")
}

pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn open(serve: &Serve, headers: &[(&str, &str)]) -> Events {
        let mut stream = TcpStream::connect(&serve.api).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let headers: String = headers
            .iter()
            .map(|(n, v)| format!("{n}: {v}\r\n"))
            .collect();
        write!(
            stream,
            "GET /api/v1/signals/stream HTTP/1.1\r\nhost: {}\r\n{headers}\r\n",
            serve.api
        )
        .expect("it reads");
        let mut events = Events(BufReader::new(stream));
        assert!(events.line().starts_with("HTTP/1.1 200"));
        while !events.line().is_empty() {}
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Nothing more comes, but the end of the body.
    pub fn has_ended(&mut self) -> bool {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("it ends");
        rest.trim() == "0"
    }

    /// The next event: its kind, id and data.
    pub fn next(&mut self) -> (String, String, Value) {
        let (mut kind, mut id, mut data) = Default::default();
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("event: ") {
                kind = text.to_owned();
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = serde_json::from_str(text).expect("JSON");
            } else if line == "0" {
                panic!("the stream has ended");
            } else if line.is_empty() && !String::is_empty(&kind) {
                return (kind, id, data);
            }
        }
    }
}

pub fn save(folder: &Path, text: &str) {
    let beside = folder.join("payment.tmp");
    std::fs::write(&beside, text).expect("a file");
    std::fs::rename(beside, folder.join("payment.betrace")).expect("it is renamed");
}

/// Asks until the answer is as wanted: what is waited for has no event of its own here.
pub fn until(serve: &Serve, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let started = std::time::Instant::now();
    loop {
        let answer = get(serve, path);
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{}", answer.text);
    }
}
