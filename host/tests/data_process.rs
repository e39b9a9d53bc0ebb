//! `betrace serve --data`: what was acknowledged is judged, however the host ends.

#![cfg(unix)]

mod support;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{PATIENCE, Serve, lines, rest, serving};

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
            let name = if name == "signals" {
                "signals.jsonl"
            } else {
                name
            };
            self.path(name).to_str().expect("UTF-8").to_owned()
        });
        let flags = ["--rules", "--data", "--signals"].map(str::to_owned);
        let both = flags
            .into_iter()
            .zip(named)
            .flat_map(|(flag, name)| [flag, name]);
        both.chain(more.iter().map(|&word| word.to_owned()))
            .collect()
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
            let signal: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
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
            let body = request(trace, name, random.below(6_000) as usize);
            // A log that is at its bound has room again in a moment.
            loop {
                match client.post(&body) {
                    Some(head) if head.starts_with("http/1.1 200") => break,
                    Some(head) => assert!(head.starts_with("http/1.1 503"), "{head}"),
                    None => return,
                }
                assert!(started.elapsed() < PATIENCE);
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
        "--settle",
        "40ms",
        "--workers",
        "2",
        "--request-limit",
        "64KiB",
        "--log-size",
        "4MiB",
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
        assert!(
            !has("half") || *took >= SETTLE,
            "{trace} was judged by half of it"
        );
    }
}

fn enter(owed: &mut HashMap<String, Duration>, trace: &Acknowledged) {
    owed.insert(trace_id(trace.trace), trace.took);
}

/// Kills it at the first word that it says: it has read the log by then, and serves nothing yet.
fn kill_while_it_starts(place: &Place, settings: &[&str]) {
    let mut child = serving()
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

#[test]
fn sigterm_leaves_what_is_open_to_the_next_start() {
    let place = Place::new();
    for name in ["first", "second"] {
        let serve = place.start(&NEVER);
        assert!(Client::connect(&serve.http).is_taken(&request(1, name, 10)));
        let (_, stderr, status) = serve.terminate();
        assert_eq!(status.code(), Some(0), "{stderr:?}");
        let left = "  left in the log for the next start: 1 open trace".to_owned();
        assert!(stderr.contains(&left), "{stderr:?}");
        assert_eq!(place.signals(), []);
    }
    let serve = place.start(&["--settle", "1ms"]);
    let came_back = "1 open trace of 2 spans in 2 requests came back from";
    assert!(
        serve.greeting.iter().any(|line| line.contains(came_back)),
        "{:?}",
        serve.greeting
    );
    wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
        decided == 1.0
    });
    assert_eq!(
        place.signals(),
        [("every".to_owned(), trace_id(1))],
        "it had both halves"
    );
    let (_, stderr, _) = serve.terminate();
    let left = "  left in the log for the next start: 0 open traces".to_owned();
    assert!(stderr.contains(&left), "{stderr:?}");
}

#[test]
fn a_trace_that_was_decided_before_the_start_is_not_opened_again() {
    let place = Place::new();
    let serve = place.start(&["--settle", "1ms"]);
    assert!(Client::connect(&serve.http).is_taken(&request(1, "first", 10)));
    wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
        decided == 1.0
    });
    drop(serve);
    let written = place.signals();
    assert_eq!(written.len(), 2);

    let serve = place.start(&["--settle", "1ms"]);
    assert_eq!(
        metric(&serve, "betrace_log_replayed_total{what=\"spans\"}"),
        0.0
    );
    assert!(Client::connect(&serve.http).is_taken(&request(1, "second", 10)));
    wait_for(&serve, "betrace_late_spans_total", |late| late == 1.0);
    serve.terminate();
    assert_eq!(place.signals(), written);
}

/// What comes of a trace that was forgotten for want of room is a trace of its own, also after a crash.
#[test]
fn what_came_after_a_trace_was_forgotten_is_judged_by_the_next_start() {
    for (remembered, others) in [("0", 0), ("1", 1)] {
        let place = Place::new();
        let bound = ["--workers", "1", "--decided-traces", remembered];
        let quick = [&bound[..], &["--settle", "1ms", "--idle", "10ms"]].concat();
        let serve = place.start(&quick);
        let mut client = Client::connect(&serve.http);
        for trace in 1..=1 + others {
            assert!(client.is_taken(&request(trace, "first", 10)));
            wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
                decided == trace as f64
            });
        }
        drop(serve);
        let judged = place.signals();
        assert_eq!(judged.len() as u64, 2 * (1 + others));

        let serve = place.start(&[&bound[..], &NEVER[..]].concat());
        let replayed = "betrace_log_replayed_total{what=\"spans\"}";
        assert_eq!(metric(&serve, replayed), 0.0, "all is judged");
        assert!(Client::connect(&serve.http).is_taken(&request(1, "second", 10)));
        wait_for(&serve, "betrace_open_traces", |open| open == 1.0);
        drop(serve);

        let serve = place.start(&quick);
        assert_eq!(metric(&serve, replayed), 1.0, "it was acknowledged");
        wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
            decided == 1.0
        });
        drop(serve);
        let serve = place.start(&quick);
        assert_eq!(metric(&serve, replayed), 0.0, "it is judged");
    }
}

#[test]
fn signals_that_are_there_are_not_written_again_and_a_torn_one_is() {
    let place = Place::new();
    let serve = place.start(&["--settle", "1ms"]);
    assert!(Client::connect(&serve.http).is_taken(&request(1, "first", 10)));
    wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
        decided == 1.0
    });
    drop(serve);
    // As after a crash of the machine: the signals are there but for a part of the last, that they are is not.
    let path = place.path("signals.jsonl");
    let written = fs::read_to_string(&path).expect("a file");
    fs::write(&path, &written[..written.len() - 10]).expect("a file");
    for file in place.files("decided") {
        fs::remove_file(file).expect("it is there");
    }

    let serve = place.start(&["--settle", "1ms"]);
    wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
        decided == 1.0
    });
    assert_eq!(metric(&serve, "betrace_signals_repeated_total"), 1.0);
    let (_, stderr, _) = serve.terminate();
    let repeated = "  signals that were written before the start: 1".to_owned();
    assert!(stderr.contains(&repeated), "{stderr:?}");
    let signals = place.signals();
    let rules: Vec<&str> = signals.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(rules, ["every", "half"]);
}

#[test]
fn a_second_process_is_told_which_has_the_folder() {
    let place = Place::new();
    let serve = place.start(&NEVER);
    let (code, said) = refused(&place, &[]);
    assert_eq!(code, Some(2), "{said}");
    let holder = format!("in use by process {}", serve.id());
    assert!(said.contains(&holder), "{said}");
    assert!(Client::connect(&serve.http).is_taken(&request(1, "first", 10)));
}

#[test]
fn a_log_of_another_version_is_refused() {
    for version in [1, 3] {
        refuses_version(version);
    }
}

fn refuses_version(version: u8) {
    let place = Place::new();
    drop(place.start(&NEVER));
    let mut header = [0; 32];
    header[..10].copy_from_slice(b"BTRCWAL\n\x00\x00");
    header[8] = version;
    let crc = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    let file = place.path("data").join(format!("requests-{:020}.wal", 1));
    fs::write(&file, header).expect("a file");
    let (code, said) = refused(&place, &[]);
    assert_eq!(code, Some(2), "{said}");
    let wanted = format!(
        "{} is of version {version} of the write-ahead log, and this betrace reads version 2 only",
        file.display()
    );
    assert!(said.contains(&wanted), "{said}");
}

#[test]
fn damage_in_the_middle_is_told_and_what_is_behind_it_is_judged() {
    let place = Place::new();
    let serve = place.start(&NEVER);
    let mut client = Client::connect(&serve.http);
    for trace in 1..=3 {
        assert!(client.is_taken(&request(trace, "first", 1_000)));
    }
    drop(serve);
    let file = place.files("requests").remove(0);
    let mut bytes = fs::read(&file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("a file");

    let serve = place.start(&["--settle", "1ms"]);
    let told = serve.greeting.join("\n");
    for wanted in [
        "is damaged",
        file.to_str().expect("UTF-8"),
        "offset",
        "length",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert_eq!(metric(&serve, "betrace_log_damaged_places_total"), 1.0);
    wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
        decided == 2.0
    });
    let traces: HashSet<String> = place
        .signals()
        .into_iter()
        .map(|(_, trace)| trace)
        .collect();
    assert_eq!(traces, HashSet::from([trace_id(1), trace_id(3)]));
}

#[test]
fn near_its_bound_the_oldest_traces_are_judged_early() {
    const BOUND: u64 = 1 << 20;
    let place = Place::new();
    let settings = [
        "--log-size",
        "1MiB",
        "--request-limit",
        "64KiB",
        "--workers",
        "2",
    ];
    let serve = place.start(&[&settings[..], &NEVER[..]].concat());
    let mut client = Client::connect(&serve.http);
    let started = Instant::now();
    let mut refused = 0;
    for trace in 1..=400 {
        while !client.is_taken(&request(trace, "first", 9_000)) {
            // The shards are about to let old ones go.
            refused += 1;
            assert!(started.elapsed() < PATIENCE);
        }
        let bytes: u64 = place
            .files("requests")
            .iter()
            .filter_map(|file| fs::metadata(file).ok())
            .map(|file| file.len())
            .sum();
        assert!(bytes <= BOUND, "{bytes}");
    }
    assert_eq!(metric(&serve, "betrace_log_full_total"), f64::from(refused));
    // The shards may still be letting go what they were asked for.
    let completed = "betrace_traces_completed_total{reason=\"evicted\"}";
    let evicted = wait_for(&serve, completed, |evicted| {
        evicted == metric(&serve, "betrace_log_evicted_traces_total")
    });
    assert!((250.0..400.0).contains(&evicted), "{evicted}");
    // What was judged is not there again, and nothing else is missing.
    drop(serve);
    let serve = place.start(&["--settle", "1ms", "--workers", "1"]);
    wait_for(&serve, "betrace_open_traces", |open| open == 0.0);
    serve.terminate();
    let signals = place.signals();
    let traces: HashSet<&String> = signals.iter().map(|(_, trace)| trace).collect();
    assert_eq!((traces.len(), signals.len()), (400, 800));
}

/// Others that came since are judged as they complete; only what came while it was open has to stay, until that is too much.
#[test]
fn an_endless_trace_holds_the_log_up_to_its_bound_and_nobody_else() {
    const BOUND: u64 = 1 << 20;
    const ENDLESS: u64 = 9_999;
    const OTHERS: u64 = 300;
    let place = Place::new();
    let sized = ["--log-size", "1MiB", "--request-limit", "64KiB"];
    let endless = ["--settle", "1ms", "--idle", "20m", "--max-age", "30m"];
    let serve = place.start(&[&sized[..], &endless[..]].concat());
    let mut client = Client::connect(&serve.http);
    let started = Instant::now();
    let mut most = 0;
    for trace in 1..=OTHERS {
        for body in [
            request(ENDLESS, "second", 10),
            request(trace, "first", 9_000),
        ] {
            while !client.is_taken(&body) {
                assert!(started.elapsed() < PATIENCE);
            }
        }
        let files = place.files("requests");
        let lengths = files.iter().filter_map(|file| fs::metadata(file).ok());
        let bytes: u64 = lengths.map(|file| file.len()).sum();
        assert!(bytes <= BOUND, "{bytes}");
        most = most.max(bytes);
    }
    assert!(most > BOUND / 4 * 3, "it held {most}");
    wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
        decided == (OTHERS + 1) as f64
    });
    assert_eq!(metric(&serve, "betrace_log_evicted_traces_total"), 1.0);
    let roots = "betrace_traces_completed_total{reason=\"root\"}";
    assert_eq!(metric(&serve, roots), OTHERS as f64);
    assert!(metric(&serve, "betrace_late_spans_total") > 0.0);
    // Nothing is held any more: all goes but what is written, and what was full last.
    wait_for(&serve, "betrace_log_segments", |segments| segments <= 2.0);
    drop(serve);
    let signals = place.signals();
    let every = signals.iter().filter(|(rule, _)| rule == "every");
    let judged: HashSet<&String> = every.map(|(_, trace)| trace).collect();
    assert_eq!(judged.len() as u64, OTHERS + 1);
    assert_eq!(signals.len(), signals.iter().collect::<HashSet<_>>().len());
}

#[cfg(target_os = "linux")]
#[test]
fn while_the_disk_is_full_senders_are_told_to_try_again() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let place = Place::new();
    // A file that may not grow is as good as a disk that is full. The shell lets it be an error, and not the end.
    let mut command = Command::new("sh");
    let served = serving();
    command
        .args(["-c", "trap '' XFSZ; ulimit -S -f 64; exec \"$0\" \"$@\""])
        .arg(served.get_program())
        .args(served.get_args())
        .args(place.arguments(&NEVER))
        .env("BETRACE_LOG_FORMAT", "text");
    let serve = Serve::spawn(command);
    let mut client = Client::connect(&serve.http);
    let mut taken = 0;
    let refused = loop {
        let head = client
            .post(&request(taken + 1, "first", 9_000))
            .expect("it lives");
        if !head.starts_with("http/1.1 200") {
            break head;
        }
        taken += 1;
    };
    assert!(
        refused.starts_with("http/1.1 503") && refused.contains("retry-after: 1"),
        "{refused}"
    );
    assert!(taken > 0);
    assert!(!client.is_taken(&request(taken + 1, "first", 9_000)));
    serve.said("can't write the write-ahead log");
    assert_eq!(
        metric(
            &serve,
            "betrace_otlp_refused_requests_total{transport=\"http\",reason=\"unlogged\"}"
        ),
        2.0
    );
    assert_eq!(
        metric(&serve, "betrace_log_failures_total{what=\"requests\"}"),
        2.0
    );

    let pid = Pid::from_raw(serve.id().cast_signed());
    let free = Rlimit {
        current: None,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, free).expect("it is our child");
    taken += 1;
    assert!(
        client.is_taken(&request(taken, "first", 9_000)),
        "there is room again"
    );
    serve.said("can be written again");
    drop(serve);
    let serve = place.start(&["--settle", "1ms"]);
    assert_eq!(metric(&serve, "betrace_log_cut_bytes_total"), 0.0);
    wait_for(&serve, "betrace_log_decided_traces_total", |decided| {
        decided == taken as f64
    });
    let traces: HashSet<String> = place
        .signals()
        .into_iter()
        .map(|(_, trace)| trace)
        .collect();
    assert_eq!(traces, (1..=taken).map(trace_id).collect());
}

/// Runs a `serve` that does not start: exit code and stderr.
fn refused(place: &Place, more: &[&str]) -> (Option<i32>, String) {
    let mut child = serving()
        .args(place.arguments(more))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let said = rest(&lines(child.stderr.take().expect("piped")));
    let status = child.wait().expect("it is our child");
    (status.code(), said.join("\n"))
}
