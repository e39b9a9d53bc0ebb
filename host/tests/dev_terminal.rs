//! `betrace dev` in a terminal: what is on the screen after the start, a save, a broken one, a mended one, and how it ends.
//!
//! A real binary, a real pseudo-terminal, real files saved by rename. Nothing here sleeps: each wait is for what the screen
//! shows.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::{Value, json};
use support::PATIENCE;

const ROWS: u16 = 40;
const COLUMNS: u16 = 100;

/// A terminal with `betrace dev` in it.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Runs it in `folder`, on ports that are free.
    fn start(folder: &Path, arguments: &[&str]) -> Terminal {
        let size = PtySize {
            rows: ROWS,
            cols: COLUMNS,
            ..PtySize::default()
        };
        let pair = native_pty_system().openpty(size).expect("a terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_betrace"));
        let ports = [
            "--otlp-grpc",
            "127.0.0.1:0",
            "--otlp-http",
            "127.0.0.1:0",
            "--api",
            "off",
        ];
        command.arg("dev");
        command.args(arguments.iter().chain(&ports));
        command.cwd(folder);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).expect("it was built");
        // Ours; the child's end closes with the child.
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().expect("it can be read");
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            // At the end of the child a terminal reads as an error on Linux.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal {
            child,
            keys: pair.master.take_writer().expect("it can be written"),
            bytes,
            screen: vt100::Parser::new(cells(ROWS), cells(COLUMNS), 0),
            _master: pair.master,
        }
    }

    /// Waits until all of these are on the screen at once, and returns it.
    fn shows(&mut self, texts: &[&str]) -> String {
        // Signals go on coming, so it is not only silence that says that a text won't.
        let until = Instant::now() + PATIENCE;
        loop {
            let contents = self.screen.screen().contents();
            if texts.iter().all(|text| contents.contains(text)) {
                return contents;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => panic!("{texts:?} did not come:\n{contents}"),
            }
        }
    }

    /// The colour of the first cell of the line that starts with `text`.
    fn color(&self, text: &str) -> vt100::Color {
        let screen = self.screen.screen();
        let row = screen
            .rows(0, COLUMNS)
            .position(|row| row.starts_with(text))
            .unwrap_or_else(|| panic!("no line starts with {text}"));
        let cell = screen.cell(u16::try_from(row).expect("a row"), 0);
        cell.expect("it is on the screen").fgcolor()
    }

    /// Presses Ctrl-C, and waits for the end.
    fn interrupt(mut self) -> (u32, String) {
        self.keys.write_all(b"\x03").expect("it takes keys");
        while let Ok(bytes) = self.bytes.recv_timeout(PATIENCE) {
            self.screen.process(&bytes);
        }
        let status = self.child.wait().expect("it is our child");
        (status.exit_code(), self.screen.screen().contents())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where it has ended this does nothing.
        let _ = self.child.kill();
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a screen has cells")
}

/// As editors save: another file, renamed.
fn save(path: &Path, text: &str) -> Instant {
    let other = path.with_extension("tmp");
    fs::write(&other, text).expect("a file");
    let at = Instant::now();
    fs::rename(&other, path).expect("it is renamed");
    at
}

/// A payment of this amount, without a check.
fn payment(trace: u8, amount: f64) -> Value {
    let span = |id: u8, parent: Option<u8>, name: &str, from: u64, to: u64| {
        json!({
            "traceId": format!("{trace:032x}"),
            "spanId": format!("{id:016x}"),
            "parentSpanId": parent.map_or_else(String::new, |id| format!("{id:016x}")),
            "name": name,
            "startTimeUnixNano": (1_700_000_000_000_000_000 + from * 1_000_000).to_string(),
            "endTimeUnixNano": (1_700_000_000_000_000_000 + to * 1_000_000).to_string(),
        })
    };
    let mut charge = span(2, Some(1), "payment.charge_card", 10, 90);
    charge["attributes"] = json!([{"key": "amount", "value": {"doubleValue": amount}}]);
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "payment"}}]},
        "scopeSpans": [{"spans": [span(1, None, "POST /pay", 0, 120), charge]}],
    }]})
}

/// A folder with recorded payments of 250, 1500 and 2500.
fn recorded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: Vec<String> = [(1, 250.0), (2, 1_500.0), (3, 2_500.0)]
        .iter()
        .map(|&(trace, amount)| payment(trace, amount).to_string())
        .collect();
    fs::write(folder.path().join("traces.jsonl"), lines.join("\n")).expect("a file");
    folder
}

/// The milliseconds behind `label` in the screen's last line that has it.
fn milliseconds(screen: &str, label: &str) -> f64 {
    let (_, behind) = screen.rsplit_once(label).expect("it is there");
    let mut words = behind.split_whitespace();
    let number: f64 = words.next().and_then(|w| w.parse().ok()).expect("a number");
    match words.next().map(|unit| unit.trim_end_matches(',')) {
        Some("us") => number / 1e3,
        Some("ms") => number,
        Some("s") => number * 1e3,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_save_is_answered_on_the_screen() {
    let folder = recorded();
    let path: PathBuf = folder.path().join("rules/example.betrace");
    let mut terminal = Terminal::start(
        folder.path(),
        &["--from", "traces.jsonl", "--settle", "20ms"],
    );
    let first = terminal.shows(&[
        "example is new and fires on 2 of 3 traces",
        "1 of 1 root operation",
    ]);
    assert!(
        first.contains("rules/example.betrace is written, for you to edit"),
        "{first}"
    );
    assert!(
        first.contains("3 traces of 6 spans in traces.jsonl"),
        "{first}"
    );
    let example = fs::read_to_string(&path).expect("it was written");

    // A save: the newest trace that newly fires, its evidence marked, and how long it took.
    let saved = save(&path, &example.replace("amount > 1000", "amount > 100"));
    let after = terminal.shows(&[
        "example fires on 3 of 3 traces (before: 2)",
        "1 of 1 root operation",
    ]);
    let (_, block) = after.rsplit_once("── ").expect("a headline");
    for text in [
        "rules/example.betrace",
        "1 newly, 0 no longer, 0 with other evidence, 2 as before",
        "+ newly: POST /pay of payment, trace 00000000000000000000000000000001",
        "broke always { payment.fraud_check }",
        "> payment        └ payment.charge_card",
        "amount = 250",
    ] {
        assert!(after.contains(text), "{text}:\n{after}");
    }
    assert_eq!(
        terminal.color("> payment        └"),
        vt100::Color::Idx(1),
        "{block}"
    );
    let elapsed = saved.elapsed();
    let (live, verdict) = (
        milliseconds(&after, "live after "),
        milliseconds(&after, "verdict after "),
    );
    assert!(live <= verdict, "{after}");
    assert!(
        Duration::from_secs_f64(verdict / 1e3) <= elapsed,
        "{elapsed:?}:\n{after}"
    );

    // The same once more.
    save(&path, &example.replace("amount > 1000", "amount > 100"));
    terminal.shows(&["nothing changes: the rules are what they were"]);

    // A broken one: the mistake where it stands, and that the rule runs on.
    save(
        &path,
        &example.replace("{ payment.fraud_check }", "{ payment. }"),
    );
    let broken = terminal.shows(&[
        "rules/example.betrace is broken",
        "error[E",
        "always { payment. }",
        "`example` runs on as it was before this save",
    ]);
    assert!(!broken.contains("example fires on none"), "{broken}");

    // Live traffic meets the last good version, which wants a check above 100.
    let (_, endpoint) = first
        .split_once("OTEL_EXPORTER_OTLP_ENDPOINT=http://")
        .expect("said");
    post(
        endpoint.split_whitespace().next().expect("an address"),
        &payment(9, 250.0),
    );
    let live = terminal.shows(&["high      example", "00000000000000000000000000000009"]);
    assert!(live.contains("POST /pay of payment"), "{live}");

    // A mended one.
    save(&path, &example.replace("amount > 1000", "amount > 2000"));
    terminal.shows(&[
        "rules/example.betrace is mended",
        "example fires on 1 of 4 traces (before: 4)",
        "0 newly, 3 no longer, 0 with other evidence, 1 as before",
        "- no longer, 1 of 3",
    ]);

    // The rule goes with its file.
    fs::remove_file(&path).expect("it is removed");
    terminal.shows(&["example is removed; it fired on 1 of 4 traces"]);

    let (code, last) = terminal.interrupt();
    assert_eq!(code, 0, "{last}");
    assert!(last.contains("1 signal"), "{last}");
}

#[test]
fn the_demo_needs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::start(folder.path(), &["--demo", "my/rules"]);
    terminal.shows(&[
        "betrace dev: save a rule in my/rules to see what it does",
        "my/rules/example.betrace is written",
        "a web shop of 14 services sends its traces",
        "1 rule in force: example",
    ]);
    terminal.shows(&["high      example", "POST /checkout"]);
    let path = folder.path().join("my/rules/example.betrace");
    let example = fs::read_to_string(&path).expect("it was written");
    save(&path, &example.replace("always", "never"));
    terminal.shows(&["example fires on", "(before: ", "root operations"]);
    let (code, last) = terminal.interrupt();
    assert_eq!(code, 0, "{last}");
}

/// Posts an OTLP request, and waits until it is taken.
fn post(address: &str, request: &Value) {
    let body = request.to_string();
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(
        stream,
        "POST /v1/traces HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
