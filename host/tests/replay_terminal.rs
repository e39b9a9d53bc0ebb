//! `betrace replay` on a terminal: a bar while it reads, and nothing of it in what it leaves there.
#![cfg(all(feature = "engine", unix))]

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const SIZE: PtySize = PtySize {
    // Each line of the signals is one of the screen.
    rows: 40,
    cols: 1_000,
    pixel_width: 0,
    pixel_height: 0,
};

fn side(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).expect("a terminal has some")
}

/// All that a command wrote to its terminal, and what stands there at its end.
fn on_a_terminal(arguments: &[&str], input: Option<&Path>) -> (String, String, u32) {
    let pair = native_pty_system().openpty(SIZE).expect("a terminal");
    // A shell redirects what is not the terminal's.
    let mut command = match input {
        None => {
            let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_betrace"));
            command.args(arguments);
            command
        }
        Some(input) => {
            let mut command = CommandBuilder::new("sh");
            command.args(["-c", "file=$1; shift; exec \"$@\" < \"$file\"", "sh"]);
            command.arg(input);
            command.arg(env!("CARGO_BIN_EXE_betrace"));
            command.args(arguments);
            command
        }
    };
    command.env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR");
    let mut child = pair.slave.spawn_command(command).expect("it was built");
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let mut written = Vec::new();
    // A terminal whose last process has ended answers with an error.
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = reader.read(&mut buffer) {
        written.extend_from_slice(&buffer[..read]);
    }
    let status = child.wait().expect("it is our child");
    let mut screen = vt100::Parser::new(side(SIZE.rows), side(SIZE.cols), 0);
    screen.process(&written);
    (
        String::from_utf8_lossy(&written).into_owned(),
        screen.screen().contents(),
        status.exit_code(),
    )
}

/// Rules, and traces of which each breaks one at the cap of one span, so that signals come while the input is read.
fn recording(folder: &Path) -> [String; 2] {
    let rules = folder.join("charged.betrace");
    std::fs::write(&rules, "when { charge } never { charge }\n").expect("it is written");
    let traces = folder.join("traces.jsonl");
    let mut file = std::fs::File::create(&traces).expect("a file");
    for trace in 1..=20 {
        let span = format!(
            r#"{{"traceId":"{trace:032x}","spanId":"{trace:016x}","name":"charge","startTimeUnixNano":"1771000000000000000","endTimeUnixNano":"1771000000001000000"}}"#
        );
        writeln!(
            file,
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#
        )
        .expect("room");
    }
    [rules, traces].map(|path| path.to_str().expect("text").to_owned())
}

#[test]
fn a_bar_of_known_length_goes_and_leaves_the_signals_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let [rules, traces] = recording(folder.path());
    let arguments = [
        "replay",
        "--rules",
        &rules,
        "--span-cap",
        "1",
        "--format",
        "json",
        &traces,
    ];
    let (written, screen, code) = on_a_terminal(&arguments, None);
    assert_eq!(code, 1, "{written}");
    assert!(written.contains("reading ["), "{written:?}");
    let size = std::fs::metadata(&traces).expect("it is there").len();
    assert!(
        written.contains(&format!("of {:.2} KiB", size as f64 / 1024.0)),
        "{written:?}"
    );
    assert!(
        !screen.contains("reading") && !screen.contains("judging"),
        "{screen}"
    );
    let lines: Vec<&str> = screen
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    assert_eq!(lines.len(), 20, "{screen}");
    for line in lines {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
    assert!(screen.contains("20 traces of 20 spans"), "{screen}");
}

#[test]
fn of_stdin_it_shows_what_came() {
    let folder = tempfile::tempdir().expect("a folder");
    let [rules, traces] = recording(folder.path());
    let arguments = ["replay", "--rules", &rules, "-"];
    let (written, screen, code) = on_a_terminal(&arguments, Some(Path::new(&traces)));
    assert_eq!(code, 1, "{written}");
    assert!(
        written.contains("reading - ") || written.contains("reading \\ "),
        "{written:?}"
    );
    assert!(!screen.contains("reading"), "{screen}");
}

#[test]
fn off_a_terminal_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let [rules, traces] = recording(folder.path());
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_betrace"))
        .args(["replay", "--rules", &rules, &traces])
        .output()
        .expect("it was built");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !stderr.contains("reading") && !stderr.contains('\u{1b}'),
        "{stderr:?}"
    );
}
