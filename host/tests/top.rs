//! `betrace top` beside a real host: once, on a terminal, and where nobody answers.
#![cfg(all(feature = "engine", unix))]

mod support;

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::{Value, json};
use support::{PATIENCE, Serve, betrace};

const RULES: &str = "\
rule charge-needs-check { when { payment.charge_card } always { payment.fraud_check } }
rule silent { detect { never.happens } }
";

/// A host that has judged a trace, which one of its two rules fires on.
fn host() -> (tempfile::TempDir, Serve) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("payment.betrace"), RULES).expect("a file");
    let rules = folder.path().to_str().expect("text").to_owned();
    let serve = Serve::start(&["--rules", &rules, "--settle", "1ms", "--workers", "1"]);
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": format!("{:032x}", 1), "spanId": format!("{:016x}", 1), "name": "payment.charge_card"},
    ]}]}]});
    serve.post("application/json", request.to_string().as_bytes());
    serve.signal();
    (folder, serve)
}

fn run(command: &mut Command) -> (String, String, Option<i32>) {
    let Output {
        stdout,
        stderr,
        status,
    } = command.output().expect("it was built");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(stdout), text(stderr), status.code())
}

#[test]
fn one_table_is_printed_off_a_terminal_and_the_answer_as_json() {
    let (_folder, serve) = host();
    let top = |arguments: &[&str]| {
        let api = ["top", "--api", &serve.api, "--interval", "10ms"];
        run(&mut betrace(&[&api, arguments].concat()))
    };
    let (table, errors, code) = top(&[]);
    assert_eq!((errors.as_str(), code), ("", Some(0)));
    assert!(!table.contains('\x1b'), "{table}");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 6, "{table}");
    assert!(lines[0].starts_with("betrace 0.1.0   up "), "{table}");
    assert_eq!(lines[1], "2 rules");
    let heading: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(
        heading,
        [
            "RULE",
            "STATE",
            "CPU%▾",
            "EVALS/S",
            "SKIPPED/S",
            "SIGNALS/S",
            "FAULTS",
            "P50",
            "P99"
        ]
    );
    let row = |id: &str| {
        *lines
            .iter()
            .find(|line| line.starts_with(id))
            .expect("a row")
    };
    assert!(row("silent").ends_with("-        -"), "{table}");
    assert!(row("charge-needs-check ").contains(" active "), "{table}");

    let (json, _, code) = top(&["--json"]);
    assert_eq!(code, Some(0));
    let usage: Value = serde_json::from_str(&json).expect("JSON");
    let rule = &usage["rules"][0];
    assert_eq!(rule["id"], json!("charge-needs-check"));
    assert_eq!(
        (&rule["evaluations"], &rule["signals"]),
        (&json!(1), &json!(1))
    );
    assert!(rule["p99_seconds"].as_f64().is_some_and(|took| took > 0.0));
    assert_eq!(usage["spans"], json!(1));
}

#[test]
fn where_nobody_answers_it_says_what_to_do() {
    // Bound and dropped: nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let free = free.expect("a port").to_string();
    let (_, errors, code) = run(&mut betrace(&["top", "--api", &free]));
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with("error: can't ask the host at http://"),
        "{errors}"
    );
    assert!(
        errors.contains("is `betrace serve` running there?"),
        "{errors}"
    );
    let (_, errors, code) = run(&mut betrace(&["top", "--interval", "1ms"]));
    assert_eq!(code, Some(2));
    assert!(errors.contains("at least 10ms"), "{errors}");
}

fn side(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).expect("a terminal has some")
}

/// Reads what comes until these are on the screen at once, or not.
fn shows(screen: &mut vt100::Parser, bytes: &Receiver<Vec<u8>>, text: &str, there: bool) {
    let until = Instant::now() + PATIENCE;
    while screen.screen().contents().contains(text) != there {
        let left = until.saturating_duration_since(Instant::now());
        match bytes.recv_timeout(left) {
            Ok(bytes) => screen.process(&bytes),
            Err(_) => panic!("`{text}`:\n{}", screen.screen().contents()),
        }
    }
}

#[test]
fn on_a_terminal_it_goes_on_until_a_key_ends_it_and_gives_the_screen_back() {
    const SIZE: PtySize = PtySize {
        rows: 12,
        cols: 100,
        pixel_width: 0,
        pixel_height: 0,
    };
    let (_folder, serve) = host();
    let pair = native_pty_system().openpty(SIZE).expect("a terminal");
    // A shell says what is there before and after.
    let mut command = CommandBuilder::new("sh");
    let script = "stty -a > before; echo before; \"$@\"; echo \"ended with $?\"; stty -a > after";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_betrace"), "top"]);
    command.args(["--api", &serve.api, "--interval", "20ms"]);
    let folder = tempfile::tempdir().expect("a folder");
    command.cwd(folder.path());
    command.env("TERM", "xterm-256color");
    command.env("NO_COLOR", "1");
    let mut child = pair.slave.spawn_command(command).expect("there is a shell");
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
    let mut keys = pair.master.take_writer().expect("it can be written");
    let mut screen = vt100::Parser::new(side(SIZE.rows), side(SIZE.cols), 0);

    shows(&mut screen, &bytes, "charge-needs-check", true);
    shows(&mut screen, &bytes, "CPU%▾", true);
    shows(&mut screen, &bytes, "q quit", true);
    assert!(screen.screen().alternate_screen() && screen.screen().hide_cursor());
    keys.write_all(b"f").expect("it takes keys");
    shows(&mut screen, &bytes, "FAULTS▾", true);
    keys.write_all(b"p").expect("it takes keys");
    shows(&mut screen, &bytes, "paused: p goes on", true);
    keys.write_all(b"p").expect("it takes keys");
    shows(&mut screen, &bytes, "paused", false);
    // A host that goes is said, and looked for again.
    let (_, _, status) = serve.terminate();
    assert!(status.success());
    shows(&mut screen, &bytes, "can't ask the host", true);
    keys.write_all(b"q").expect("it takes keys");
    shows(&mut screen, &bytes, "ended with 0", true);
    assert!(!screen.screen().alternate_screen() && !screen.screen().hide_cursor());
    let contents = screen.screen().contents();
    assert!(
        contents.starts_with("before\n") && !contents.contains("RULE"),
        "{contents}"
    );
    child.wait().expect("it is our child");
    let modes = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("it is told");
    assert_eq!(modes("before"), modes("after"));
}
