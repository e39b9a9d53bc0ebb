//! `betrace serve --data`: what was acknowledged is judged, however the host ends.

#![cfg(unix)]

mod support;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{PATIENCE, Serve, betrace, lines};

/// One that fires on every trace, and one that fires on a trace of which the second half is missing.
const RULES: &str = "\
rule every { detect { spans.count() >= 1 } }
rule half { when { first } always { second } }
";

/// Longer than a test waits.
const NEVER: [&str; 6] = ["--settle", "10m", "--idle", "20m", "--max-age", "30m"];

/// A folder with rules, a log and a file of signals.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = folder.path().join("rules");
        fs::create_dir(&rules).expect("a folder");
        fs::write(rules.join("rules.betrace"), RULES).expect("a file");
        Place { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let named = ["rules", "data", "signals"].map(|name| {
            let name = if name == "signals" { "signals.jsonl" } else { name };
            self.path(name).to_str().expect("UTF-8").to_owned()
        });
        let flags = ["--rules", "--data", "--signals"].map(str::to_owned);
        let both = flags.into_iter().zip(named).flat_map(|(flag, name)| [flag, name]);
        both.chain(more.iter().map(|&word| word.to_owned())).collect()
    }

    fn start(&self, more: &[&str]) -> Serve {
        let arguments = self.arguments(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Serve::start(&arguments)
    }

    /// Rule and trace of each signal, in the order in which they were written.
    fn signals(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.path("signals.jsonl")).unwrap_or_default();
        let signal = |line: &str| {
            let signal: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let text = |field: &str| signal[field].as_str().expect("a text").to_owned();
            (text("rule"), text("trace_id"))
        };
        text.lines().map(signal).collect()
    }

    /// The files of the log of this kind, by name.
    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("data")).expect("a folder");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
        files.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(prefix))
        });
        files.sort();
        files
    }
}

fn trace_id(trace: u64) -> String {
    format!("{trace:032x}")
}

/// A request with one span of a trace, and so many bytes that nobody needs.
fn request(trace: u64, name: &str, padding: usize) -> String {
    let (id, parent) = match name {
        "first" => (1, String::new()),
        _ => (2, format!("{:016x}", 1)),
    };
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": trace_id(trace),
        "spanId": format!("{id:016x}"),
        "parentSpanId": parent,
        "name": name,
        "startTimeUnixNano": "1771000000000000000",
        "endTimeUnixNano": "1771000000001000000",
        "attributes": [{"key": "padding", "value": {"stringValue": "x".repeat(padding)}}],
    }]}]}]})
    .to_string()
}

/// A connection that stays.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("a socket");
        Client { stream }
    }

    /// Posts a request; the head of the answer, or none where the host has gone.
    fn post(&mut self, body: &str) -> Option<String> {
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .ok()?;
        let mut answer = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let read = self.stream.read(&mut bytes).ok().filter(|&read| read > 0)?;
            answer.extend_from_slice(&bytes[..read]);
            let text = String::from_utf8_lossy(&answer).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let head = head.to_ascii_lowercase();
            let length = head.split_once("content-length: ").expect("a length").1;
            let length = length.lines().next().expect("a line");
            if body.len() >= length.parse().expect("a number") {
                return Some(head);
            }
        }
    }

    fn is_taken(&mut self, body: &str) -> bool {
        self.post(body)
            .is_some_and(|head| head.starts_with("http/1.1 200"))
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn metric(serve: &Serve, line: &str) -> f64 {
    let text = get(&serve.api, "/metrics");
    let found = text
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("no `{line}` in:\n{text}"));
    found.trim().parse().expect("a number")
}

/// Asks until the metric is what is waited for.
fn wait_for(serve: &Serve, line: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    let started = Instant::now();
    loop {
        let value = metric(serve, line);
        if wanted(value) {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "{line} is {value}");
    }
}

/// The same numbers from run to run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A trace of which both requests were acknowledged.
struct Acknowledged {
    trace: u64,
    /// From before the first was sent until the second was acknowledged.
    took: Duration,
}

/// Sends traces of two requests until the host has gone, and tells of each that was acknowledged.
fn send(address: &str, first: u64, acknowledged: &Sender<Acknowledged>) {
    let mut client = Client::connect(address);
    let mut random = Random(first * 2 + 1);
    for trace in first.. {
        let started = Instant::now();
        for name in ["first", "second"] {
            if !client.is_taken(&request(trace, name, random.below(6_000) as usize)) {
                return;
            }
        }
        let took = started.elapsed();
        if acknowledged.send(Acknowledged { trace, took }).is_err() {
            return;
        }
    }
}

const KILLS: u64 = 100;

const SETTLE: Duration = Duration::from_millis(40);

#[test]
fn a_host_that_is_killed_a_hundred_times_owes_no_verdict_and_repeats_no_signal() {
    let place = Place::new();
    // A log of small segments, so that they come and go.
    let settings = [
        "--settle", "40ms", "--workers", "2", "--request-limit", "64KiB", "--log-size", "4MiB",
    ];
    let mut random = Random(0x5eed);
    let mut owed: HashMap<String, Duration> = HashMap::new();
    for round in 0..KILLS {
        if round % 10 == 9 {
            kill_while_it_starts(&place, &settings);
            continue;
        }
        let serve = place.start(&settings);
        let (sender, acknowledged) = channel();
        let senders: Vec<_> = (0..3)
            .map(|number| {
                let (address, sender) = (serve.http.clone(), sender.clone());
                let first = (round * 3 + number) << 32 | 1;
                std::thread::spawn(move || send(&address, first, &sender))
            })
            .collect();
        drop(sender);
        for _ in 0..random.below(150) {
            enter(&mut owed, &acknowledged.recv().expect("it is alive"));
        }
        // SIGKILL.
        drop(serve);
        for sender in senders {
            sender.join().expect("it ends with the host");
        }
        for trace in acknowledged {
            enter(&mut owed, &trace);
        }
    }
    let serve = place.start(&settings);
    wait_for(&serve, "betrace_open_traces", |open| open == 0.0);
    let (_, stderr, status) = serve.terminate();
    assert_eq!(status.code(), Some(0), "{stderr:?}");

    let signals = place.signals();
    let mut seen = HashSet::new();
    for signal in &signals {
        assert!(seen.insert(signal), "{signal:?} is there twice");
    }
    assert!(owed.len() as u64 > KILLS * 20, "{} traces", owed.len());
    for (trace, took) in &owed {
        let has = |rule: &str| seen.contains(&(rule.to_owned(), trace.clone()));
        assert!(has("every"), "{trace} was acknowledged, and has no verdict");
        // Whoever sent both halves in time has a verdict on both.
        assert!(!has("half") || *took >= SETTLE, "{trace} was judged by half of it");
    }
}

fn enter(owed: &mut HashMap<String, Duration>, trace: &Acknowledged) {
    owed.insert(trace_id(trace.trace), trace.took);
}

/// Kills it at the first word that it says: it has read the log by then, and serves nothing yet.
fn kill_while_it_starts(place: &Place, settings: &[&str]) {
    let mut child = betrace(&["serve", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
        .args(["--api", "127.0.0.1:0"])
        .args(place.arguments(settings))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let said: Receiver<String> = lines(child.stderr.take().expect("piped"));
    said.recv_timeout(PATIENCE).expect("it says something");
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
}
