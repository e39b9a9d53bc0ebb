//! `betrace serve` and `betrace demo` as processes: how they start, what they refuse, and how they end.

mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{PATIENCE, Serve, betrace, lines, rest};

/// One rule that more spans can satisfy, one that none can.
const RULES: &str = "\
rule missing-entry { when { payment.charge_card } always { ledger.record_entry } }
rule no-bypass { when { payment.charge_card } never { payment.bypass_validation } }
";

/// Longer than a test waits.
const NEVER: [&str; 6] = ["--settle", "10m", "--idle", "20m", "--max-age", "30m"];

#[test]
fn sigterm_judges_what_is_open() {
    let folder = folder(&[("payment.betrace", RULES)]);
    let serve = Serve::start(&[&["--rules", path(folder.path())], &NEVER[..]].concat());
    let rooted = [
        span(1, 1, None, "POST /checkout"),
        span(1, 2, Some(1), "payment.charge_card"),
    ];
    let rootless = [
        span(2, 2, Some(1), "payment.charge_card"),
        span(2, 3, Some(2), "payment.bypass_validation"),
    ];
    send(&serve, &rooted);
    send(&serve, &rootless);
    let (stdout, stderr, status) = serve.terminate();
    assert_eq!(status.code(), Some(0), "{stderr:?}");
    let mut signals: Vec<[String; 3]> = stdout
        .iter()
        .map(|line| {
            let signal: Value = serde_json::from_str(line).expect("JSON");
            ["rule", "trace_id", "completeness"]
                .map(|field| signal[field].as_str().expect("a text").to_owned())
        })
        .collect();
    signals.sort();
    assert_eq!(
        signals,
        [
            ["missing-entry".to_owned(), trace_id(1), "root".to_owned()],
            ["no-bypass".to_owned(), trace_id(2), "drained".to_owned()],
        ],
        "of the trace without a root only what more spans can't undo"
    );
    assert!(
        stderr.contains(&"betrace: 2 traces of 4 spans in 2 requests: 2 signals".to_owned()),
        "{stderr:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_sigterm_ends_it_while_the_sink_is_stuck() {
    /// The room in a pipe.
    const PIPE: usize = 64 << 10;
    let folder = folder(&[("payment.betrace", RULES)]);
    let pipe = folder.path().join("signals");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is there").success());
    // Read by nobody, and full.
    let mut full = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .expect("a pipe");
    full.write_all(&[b'\n'; PIPE]).expect("room");
    let arguments = ["--rules", path(folder.path()), "--signals", path(&pipe)];
    let serve = Serve::start(&[&arguments, &NEVER[..]].concat());
    send(&serve, &unrecorded(1));
    serve.signal_to_end();
    serve.said("betrace: stopping");
    serve.signal_to_end();
    let (_, stderr, status) = serve.ended();
    assert_eq!(status.code(), Some(130), "{stderr:?}");
    assert!(stderr[0].contains("stopped at once"), "{stderr:?}");
    assert_eq!(stderr.len(), 1, "{stderr:?}");
    drop(full);
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let folder = folder(&[("payment.betrace", RULES)]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    for (flag, other) in [
        ("--otlp-grpc", "--otlp-http"),
        ("--otlp-http", "--otlp-grpc"),
    ] {
        let (code, stderr) = refused(
            &[
                "--rules",
                path(folder.path()),
                flag,
                &address,
                other,
                "127.0.0.1:0",
            ],
            &[],
        );
        assert_eq!(code, 2, "{stderr}");
        assert!(
            stderr.contains(&format!("`{address}`")) && stderr.contains(&format!("`{flag}`")),
            "{stderr}"
        );
    }
}

#[test]
fn signals_are_appended_to_a_file() {
    let folder = folder(&[("payment.betrace", RULES)]);
    let file = folder.path().join("signals.jsonl");
    std::fs::write(&file, "{\"earlier\":1}\n").expect("written");
    for trace in 1..=2 {
        let serve = Serve::start(&[
            "--rules",
            path(folder.path()),
            "--signals",
            path(&file),
            "--settle",
            "1ms",
        ]);
        send(&serve, &unrecorded(trace));
        let (stdout, stderr, status) = serve.terminate();
        assert_eq!((stdout.len(), status.code()), (0, Some(0)), "{stderr:?}");
    }
    let written = std::fs::read_to_string(&file).expect("there");
    let traces: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["trace_id"].clone())
        .collect();
    assert_eq!(
        traces,
        [Value::Null, json!(trace_id(1)), json!(trace_id(2))]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn signals_that_can_not_be_written_are_a_failure() {
    let folder = folder(&[("payment.betrace", RULES)]);
    let serve = Serve::start(&["--rules", path(folder.path()), "--signals", "/dev/full"]);
    send(&serve, &unrecorded(1));
    let (_, stderr, status) = serve.terminate();
    assert_eq!(status.code(), Some(2), "{stderr:?}");
    let last = stderr.last().expect("an error");
    assert!(
        last.starts_with("error: can't write signals to /dev/full: No space left")
            && last.ends_with("(1 lost)"),
        "{stderr:?}"
    );
}

#[test]
fn flags_win_over_the_environment_and_it_over_the_file() {
    let folder = folder(&[
        ("rules/payment.betrace", RULES),
        ("wrong.toml", "settle = \"6\"\n"),
        (
            "slow.toml",
            "settle = \"10m\"\nidle = \"20m\"\nmax-age = \"30m\"\n",
        ),
    ]);
    let rules = folder.path().join("rules");
    let (wrong, slow) = (
        folder.path().join("wrong.toml"),
        folder.path().join("slow.toml"),
    );

    // The setting that counts is the one that is found wrong.
    let base = ["--rules", path(&rules), "--config", path(&wrong)];
    let in_file = format!("`settle` in {}", wrong.display());
    let with_flag = [&base[..], &["--settle", "8"]].concat();
    let in_environment = [("BETRACE_SETTLE", "7")];
    for (arguments, environment, origin) in [
        (&base[..], &[][..], in_file.as_str()),
        (&base[..], &in_environment[..], "`BETRACE_SETTLE`"),
        (&with_flag[..], &in_environment[..], "`--settle`"),
    ] {
        let (code, stderr) = refused(arguments, environment);
        assert_eq!(code, 2, "{stderr}");
        assert_eq!(
            stderr.matches("settle").count(),
            origin.matches("settle").count(),
            "{stderr}"
        );
        assert!(stderr.contains(origin), "{origin}: {stderr}");
    }

    // And it is the one that works: with another, the signal would not come in time.
    let base = ["--rules", path(&rules), "--config", path(&slow)];
    let with_flag = [&base[..], &["--settle", "1ms"]].concat();
    for (arguments, settle) in [(&base[..], "1ms"), (&with_flag[..], "9m")] {
        let serve = Serve::with_environment(arguments, &[("BETRACE_SETTLE", settle)]);
        send(&serve, &unrecorded(1));
        assert_eq!(serve.signal()["completeness"], "root");
    }
}

#[test]
fn broken_rules_are_told_and_the_others_run() {
    let folder = folder(&[
        (
            "broken.betrace",
            "rule broken {\n  detect { spans.where(duration > 500) }\n}\n",
        ),
        ("payment.betrace", RULES),
        ("twin.betrace", "rule no-bypass { detect { a.b } }"),
    ]);
    let serve = Serve::start(&["--rules", path(folder.path()), "--settle", "1ms"]);
    let greeting = serve.greeting.join("\n");
    for said in [
        "broken.betrace",
        "duration > 500",
        "twin.betrace: the rule `no-bypass` is already in",
        "payment.betrace",
        "betrace: 2 rules loaded",
    ] {
        assert!(greeting.contains(said), "{said}: {greeting}");
    }
    send(&serve, &unrecorded(1));
    assert_eq!(serve.signal()["rule"], "missing-entry");
    assert_eq!(serve.terminate().2.code(), Some(0));
}

#[test]
fn without_a_rule_it_does_not_start() {
    let folder = folder(&[("notes.txt", "no rules")]);
    let (code, stderr) = refused(&["--rules", path(folder.path())], &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("the folder holds no rules"), "{stderr}");
    let (code, stderr) = refused(&[], &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--rules PATH"), "{stderr}");
}

#[test]
fn texts_that_are_not_utf8_are_told_at_the_end() {
    let folder = folder(&[(
        "bob.betrace",
        "rule bob { detect { call.where(user == bob) } }",
    )]);
    let serve = Serve::start(&["--rules", path(folder.path())]);
    let mut call = span(1, 1, None, "call");
    call["attributes"] = json!([{"key": "user", "value": {"stringValue": "MARK"}}]);
    let json = request(&[call]).to_string();
    let mut bytes = betrace::otlp::json::to_protobuf(json.as_bytes()).expect("a request");
    let at = bytes
        .windows(4)
        .position(|window| window == b"MARK")
        .expect("it is there");
    bytes[at] = 0xff;
    serve.post("application/x-protobuf", &bytes);
    let (stdout, stderr, status) = serve.terminate();
    assert_eq!((stdout.len(), status.code()), (0, Some(0)), "{stderr:?}");
    assert!(
        stderr.contains(&"  texts that are not UTF-8, and so missing: 1".to_owned()),
        "{stderr:?}"
    );
}

#[test]
fn the_demo_ends_when_nobody_reads_on() {
    let mut child = betrace(&["demo", "--settle", "10ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    // As of a `head` that has seen enough.
    drop(child.stdout.take());
    let errors = lines(child.stderr.take().expect("piped"));
    let said = rest(&errors).join("\n");
    let status = child.wait().expect("it is our child");
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("error: "), "{said}");
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("it is in the folder")).expect("made");
        File::create(&file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("written");
    }
    folder
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs a `serve` that does not start: exit code and stderr.
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let mut child = betrace(&["serve"])
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let errors = lines(child.stderr.take().expect("piped"));
    let mut said = Vec::new();
    while let Ok(line) = errors.recv_timeout(PATIENCE) {
        // One that serves would not end by itself.
        if line.starts_with("betrace: OTLP") {
            child.kill().expect("it is our child");
        }
        said.push(line);
    }
    let status = child.wait().expect("it is our child");
    (status.code().unwrap_or(-1), said.join("\n"))
}

fn trace_id(trace: u8) -> String {
    format!("{trace:032x}")
}

fn span(trace: u8, id: u8, parent: Option<u8>, name: &str) -> Value {
    json!({
        "traceId": trace_id(trace),
        "spanId": format!("{id:016x}"),
        "parentSpanId": parent.map(|id| format!("{id:016x}")).unwrap_or_default(),
        "name": name,
        "kind": 1,
        "startTimeUnixNano": "1771000000000000000",
        "endTimeUnixNano": "1771000000001000000",
    })
}

/// A trace with a charge that the ledger does not know of.
fn unrecorded(trace: u8) -> [Value; 2] {
    [
        span(trace, 1, None, "POST /checkout"),
        span(trace, 2, Some(1), "payment.charge_card"),
    ]
}

fn request(spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
}

fn send(serve: &Serve, spans: &[Value]) {
    serve.post("application/json", request(spans).to_string().as_bytes());
}
