//! Runs the real `betrace` binary and reads what it prints. Nothing here sleeps: each wait is for a line, and a line that
//! does not come within [`PATIENCE`] fails the test.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
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
    pub api: String,
    /// What it said until it listened.
    pub greeting: Vec<String>,
}

impl Serve {
    /// Starts it with these arguments, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Serve {
        Serve::with_environment(arguments, &[])
    }

    /// As [`start`](Serve::start), with these variables.
    pub fn with_environment(arguments: &[&str], environment: &[(&str, &str)]) -> Serve {
        let mut command = serving();
        command.args(arguments).envs(environment.iter().copied());
        Serve::spawn(command)
    }

    /// As [`start`](Serve::start), from a command that comes to [`serving`].
    pub fn spawn(mut command: Command) -> Serve {
        command
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
            api: String::new(),
            greeting: Vec::new(),
        };
        while serve.grpc.is_empty() || serve.http.is_empty() {
            let line = serve.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!(
                    "betrace serve ended or went quiet before it listened:\n{}",
                    serve.greeting.join("\n")
                )
            });
            if let Some(address) = after(&line, "betrace: OTLP/gRPC on ") {
                serve.grpc = address;
            }
            if let Some(address) = after(&line, "betrace: the API on ") {
                serve.api = address;
            }
            if let Some(address) = after(&line, "betrace: OTLP/HTTP on ") {
                serve.http = address;
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

    /// Posts an OTLP request to `/v1/traces` and waits until it is taken.
    pub fn post(&self, content_type: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(&self.http).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(
            stream,
            "POST /v1/traces HTTP/1.1\r\nhost: {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            self.http,
            body.len()
        )
        .and_then(|()| stream.write_all(body))
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// Waits for a line on stderr that holds `text`.
    pub fn said(&self, text: &str) -> String {
        let mut lines = Vec::new();
        loop {
            match self.stderr.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => lines.push(line),
                Err(_) => panic!("nothing said `{text}`:\n{}", lines.join("\n")),
            }
        }
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn signal_to_end(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill is there");
        assert!(sent.success());
    }

    /// Waits for the end, and answers with the rest of stdout, the rest of stderr, and how it ended.
    pub fn ended(mut self) -> (Vec<String>, Vec<String>, ExitStatus) {
        // Both end when the process does.
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        (stdout, stderr, self.child.wait().expect("it is our child"))
    }

    /// Sends SIGTERM, and waits as [`ended`](Serve::ended) does.
    pub fn terminate(self) -> (Vec<String>, Vec<String>, ExitStatus) {
        self.signal_to_end();
        self.ended()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It has ended where `terminate` was called, and then this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The word behind `text` in a line of the log, be that text or JSON.
fn after(line: &str, text: &str) -> Option<String> {
    let (_, rest) = line.split_once(text)?;
    rest.split('"').next().map(str::to_owned)
}

/// The binary of this build with these arguments.
pub fn betrace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_betrace"));
    // As at a terminal: these tests read what a person does.
    command.args(arguments).env("BETRACE_LOG_FORMAT", "text");
    command
}

/// `betrace serve` on ports of its own.
pub fn serving() -> Command {
    betrace(&[
        "serve",
        "--otlp-grpc",
        "127.0.0.1:0",
        "--otlp-http",
        "127.0.0.1:0",
        "--api",
        "127.0.0.1:0",
    ])
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

/// All lines up to the end of a stream.
pub fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => all.push(line),
            Err(RecvTimeoutError::Disconnected) => return all,
            Err(RecvTimeoutError::Timeout) => panic!("it did not end:\n{}", all.join("\n")),
        }
    }
}
