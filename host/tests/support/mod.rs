//! Runs the real `betrace` binary and reads what it prints. Nothing here sleeps: each wait is for a line, and a line that
//! does not come within [`PATIENCE`] fails the test.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than anything takes on a busy machine; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running `betrace serve` on ports of its own.
pub struct Serve {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    pub grpc: String,
    pub http: String,
    /// What it said until it listened.
    pub greeting: Vec<String>,
}

impl Serve {
    /// Starts it with these arguments, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Serve {
        let mut command = betrace(&[
            "serve",
            "--otlp-grpc",
            "127.0.0.1:0",
            "--otlp-http",
            "127.0.0.1:0",
        ]);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        let mut serve = Serve {
            child,
            stdout,
            stderr,
            grpc: String::new(),
            http: String::new(),
            greeting: Vec::new(),
        };
        while serve.grpc.is_empty() || serve.http.is_empty() {
            let line = serve.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!(
                    "betrace serve ended or went quiet before it listened:\n{}",
                    serve.greeting.join("\n")
                )
            });
            if let Some(address) = line.strip_prefix("betrace: OTLP/gRPC on ") {
                serve.grpc = address.to_owned();
            }
            if let Some(address) = line.strip_prefix("betrace: OTLP/HTTP on ") {
                serve.http = address.to_owned();
            }
            serve.greeting.push(line);
        }
        serve
    }

    /// The next signal on stdout.
    pub fn signal(&self) -> serde_json::Value {
        let line = self.stdout.recv_timeout(PATIENCE).expect("a signal");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Sends SIGTERM, waits for the end, and answers with the rest of stdout, the rest of stderr, and how it ended.
    pub fn terminate(mut self) -> (Vec<String>, Vec<String>, ExitStatus) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill is there");
        assert!(sent.success());
        let status = self.child.wait().expect("it is our child");
        (
            self.stdout.iter().collect(),
            self.stderr.iter().collect(),
            status,
        )
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It has ended where `terminate` was called, and then this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary of this build with these arguments.
pub fn betrace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_betrace"));
    command.args(arguments);
    command
}

/// A folder under `host/tests`.
pub fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(path)
}

/// Lines of a stream, read by a thread of their own.
pub fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
