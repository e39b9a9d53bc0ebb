//! Unmodified OpenTelemetry SDKs, and a Collector beside its own backend, send to a running `betrace serve`.
//!
//! `cargo xtask test` installs the clients and says where they are; without it a test says that it was left out.

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{PATIENCE, Serve, tests};

const PYTHON: &str = "BETRACE_TEST_PYTHON";
const NODE: &str = "BETRACE_TEST_NODE";
const COLLECTOR: &str = "BETRACE_TEST_COLLECTOR";

#[test]
fn python_over_grpc() {
    python("grpc", "none");
}

#[test]
fn python_over_grpc_with_gzip() {
    python("grpc", "gzip");
}

#[test]
fn python_over_http() {
    python("http", "none");
}

#[test]
fn python_over_http_with_gzip() {
    python("http", "gzip");
}

#[test]
fn node_over_grpc() {
    node("grpc", "none");
}

#[test]
fn node_over_grpc_with_gzip() {
    node("grpc", "gzip");
}

#[test]
fn node_over_http_with_protobuf() {
    node("proto", "none");
}

#[test]
fn node_over_http_with_protobuf_and_gzip() {
    node("proto", "gzip");
}

#[test]
fn node_over_http_with_json() {
    node("json", "none");
}

#[test]
fn node_over_http_with_json_and_gzip() {
    node("json", "gzip");
}

#[test]
fn collector_beside_its_backend_by_otlp() {
    collector("otlp.yaml");
}

#[test]
fn collector_beside_its_backend_by_otlphttp() {
    collector("otlphttp.yaml");
}

fn python(protocol: &str, compression: &str) {
    let Some(python) = client(PYTHON) else { return };
    let serve = start();
    let endpoint = if protocol == "grpc" {
        serve.grpc.clone()
    } else {
        format!("http://{}", serve.http)
    };
    let mut command = Command::new(python);
    command
        .arg(tests("clients/python/send.py"))
        .args([protocol, &endpoint, compression]);
    assert_both_examples(&serve, &send(command));
}

fn node(protocol: &str, compression: &str) {
    let Some(home) = client(NODE) else { return };
    let serve = start();
    let address = if protocol == "grpc" {
        &serve.grpc
    } else {
        &serve.http
    };
    let mut command = Command::new("node");
    command
        .arg(home.join("send.mjs"))
        .args([protocol, &format!("http://{address}"), compression]);
    assert_both_examples(&serve, &send(command));
}

/// The Python SDK sends to a Collector, which forwards as the documented configuration says.
fn collector(configuration: &str) {
    let (Some(collector), Some(python)) = (client(COLLECTOR), client(PYTHON)) else {
        return;
    };
    let serve = start();
    let receiver = free_address();
    let configuration = tests("../../docs/collector").join(configuration);
    let mut child = Command::new(collector)
        .arg("--config")
        .arg(configuration)
        .env("COLLECTOR_GRPC", &receiver)
        .env("BETRACE_OTLP_GRPC", &serve.grpc)
        .env("BETRACE_OTLP_HTTP", format!("http://{}", serve.http))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the Collector starts");
    let log = support::lines(child.stderr.take().expect("piped"));
    let mut said = Vec::new();
    while !said
        .last()
        .is_some_and(|line: &String| line.contains("Everything is ready"))
    {
        let line = log.recv_timeout(PATIENCE);
        said.push(
            line.unwrap_or_else(|_| {
                panic!("the Collector did not get ready:\n{}", said.join("\n"))
            }),
        );
    }
    let mut command = Command::new(python);
    command
        .arg(tests("clients/python/send.py"))
        .args(["grpc", &receiver, "gzip"]);
    let trace_id = send(command);
    assert_both_examples(&serve, &trace_id);
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
}

fn start() -> Serve {
    let rules = tests("clients/rules");
    Serve::start(&[
        "--rules",
        rules.to_str().expect("UTF-8"),
        "--settle",
        "3s",
        "--signals",
        "stdout",
    ])
}

/// A trace that breaks both rules: twelve calls of `sales` for one user, and a large charge that nobody checked.
fn trace() -> Value {
    let mut spans = vec![
        json!({"service": "web", "name": "POST /checkout", "parent": null, "attributes": {"user_id": "12345"}}),
    ];
    for call in 0..12 {
        spans.push(json!({"service": "sales", "name": "sales.quote", "parent": 0, "attributes": {"call": call}}));
    }
    spans.push(json!({
        "service": "payment", "name": "payment.charge_card", "parent": 0,
        "attributes": {"amount": 1500.5, "currency": "EUR", "retry": false},
    }));
    Value::Array(spans)
}

/// Runs a client to its end; it prints the id of the trace that it sent.
fn send(mut command: Command) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(trace().to_string().as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it is our child");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn assert_both_examples(serve: &Serve, trace_id: &str) {
    let signals: BTreeMap<String, Value> = (0..2)
        .map(|_| serve.signal())
        .map(|signal| {
            (
                signal["rule"].as_str().expect("a rule id").to_owned(),
                signal,
            )
        })
        .collect();
    let rules: Vec<&str> = signals.keys().map(String::as_str).collect();
    assert_eq!(rules, ["payment", "too-many-sales"]);
    for signal in signals.values() {
        assert_eq!(signal["trace_id"], trace_id);
        assert_eq!(signal["completeness"], "root");
        assert_eq!(signal["certainty"], "certain");
        assert_eq!(signal["missing_parents"], 0);
        assert_eq!(signal["root_service"], "web");
        assert_eq!(signal["root_name"], "POST /checkout");
        assert_eq!(signal["services"], json!(["payment", "sales", "web"]));
    }
    let charge = &signals["payment"]["evidence"];
    assert_eq!(charge.as_array().expect("a list").len(), 1);
    assert_eq!(charge[0]["name"], "payment.charge_card");
    assert_eq!(charge[0]["service"], "payment");
    assert_eq!(charge[0]["fields"], json!({"amount": 1500.5}));
    assert_eq!(
        signals["too-many-sales"]["evidence"]
            .as_array()
            .expect("a list")
            .len(),
        13
    );
}

/// Where `cargo xtask test` put a client.
fn client(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        eprintln!(
            "left out: {variable} is not set; `cargo xtask test` installs the client and sets it"
        );
    }
    path
}

/// An address that nobody listened on a moment ago: the Collector can't say which port it was given.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}
