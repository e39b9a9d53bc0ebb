//! A rule that keeps faulting in a running host: what is in force, what is told, and the bundle that repeats the fault.

#![cfg(unix)]

mod guests;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use betrace::columns::projection::Intrinsic;
use guests::{Describe, Reads, component};
use serde_json::{Value, json};
use support::{PATIENCE, Serve, betrace};

const WITNESS: &str = "rule witness { detect { spans.count() >= 1 } }\n";

fn describe(id: &'static str) -> Describe<'static> {
    Describe {
        id,
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["bypass"],
        ..Describe::default()
    }
}

/// A host with a rule that finds every trace, its folder, and what it was sent. Signals of a trace come in the order of ids, so
/// this one is the last.
struct Host {
    folder: tempfile::TempDir,
    serve: Serve,
    traces: u32,
}

impl Host {
    fn start(files: &[(&str, &[u8])], arguments: &[&str]) -> Host {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = folder.path().join("rules");
        fs::create_dir(&rules).expect("a folder");
        fs::write(rules.join("witness.betrace"), WITNESS).expect("a file");
        for (name, content) in files {
            fs::write(rules.join(name), content).expect("a file");
        }
        let rules = rules.to_str().expect("text");
        let first = ["--rules", rules, "--settle", "1ms", "--workers", "1"];
        let serve = Serve::start(&[&first[..], arguments].concat());
        Host {
            folder,
            serve,
            traces: 0,
        }
    }

    /// Sends a trace of one span, and waits until all rules have judged it: each trace is a batch. Returns the signals of others.
    fn send(&mut self, name: &str) -> Vec<Value> {
        self.traces += 1;
        let id = format!("{:032x}", self.traces);
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": id, "spanId": format!("{:016x}", 1), "name": name,
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000120000000",
        }]}]}]});
        self.serve
            .post("application/json", request.to_string().as_bytes());
        let mut others = Vec::new();
        loop {
            let signal = self.serve.signal();
            assert_eq!(signal["trace_id"], json!(id));
            if signal["rule"] == "witness" {
                return others;
            }
            others.push(signal);
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.serve.api).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let host = &self.serve.api;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        body.to_owned()
    }

    fn rule(&self, id: &str) -> Value {
        let body = self.get("/api/v1/rules");
        let start = body.find('{').expect("JSON");
        let end = body.rfind('}').expect("JSON");
        let rules: Value = serde_json::from_str(&body[start..=end]).expect("JSON");
        let rules = rules["rules"].as_array().expect("a list");
        let rule = rules.iter().find(|rule| rule["id"] == id);
        rule.expect("it is there").clone()
    }

    /// The value of a metric's line.
    fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics");
        let found = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        let found = found.unwrap_or_else(|| panic!("no `{line}` in:\n{text}"));
        found.trim().parse().expect("a number")
    }

    fn wait_until_optimised(&self) {
        let started = Instant::now();
        while self.metric("betrace_rules_optimise_waiting") > 0.0 {
            assert!(started.elapsed() < PATIENCE, "they still wait");
        }
    }
}

#[test]
fn a_new_version_that_keeps_faulting_is_rolled_back_and_that_is_told() {
    let good = component("name", &describe("pay"));
    let mut host = Host::start(&[("pay.wasm", &good)], &[]);
    assert_eq!(host.send("bypass").len(), 1);
    assert_eq!(host.rule("pay")["quarantine"], json!(null));
    assert_eq!(host.metric("betrace_rule_quarantined{rule=\"pay\"}"), 0.0);
    let version = host.rule("pay")["version"].clone();

    let bad = component("trap_on", &describe("pay"));
    let path = host.folder.path().join("rules/pay.wasm");
    fs::write(&path, &bad).expect("a file");
    host.serve.said("rules reloaded");
    for _ in 0..5 {
        assert_eq!(host.send("bypass").len(), 0, "it traps");
    }
    host.serve.said("is quarantined, as it keeps faulting");
    host.serve.said("is rolled back");
    host.serve.said("rules reloaded");
    assert_eq!(host.send("bypass").len(), 1, "the version before judges");
    let rule = host.rule("pay");
    assert_eq!(
        (&rule["state"], &rule["version"]),
        (&json!("rolled_back"), &version)
    );
    let quarantine = &rule["quarantine"];
    assert_eq!(
        (&quarantine["kind"], &quarantine["until"]),
        (&json!("trap"), &json!(null))
    );
    assert_ne!(quarantine["version"], version);
    let message = quarantine["message"].as_str().expect("text");
    assert!(message.contains("unreachable"), "{message}");
    assert_eq!(host.metric("betrace_rule_quarantined{rule=\"pay\"}"), 0.0);
    assert_eq!(
        host.metric("betrace_rule_quarantines_total{rule=\"pay\"}"),
        1.0
    );
    assert_eq!(host.metric("betrace_rules{state=\"rolled_back\"}"), 1.0);
    assert_eq!(
        host.metric("betrace_rule_faults_total{rule=\"pay\",kind=\"trap\"}"),
        5.0
    );

    // Mended, it is in force at once.
    let mut mended = good.clone();
    mended.extend_from_slice(&[0, 2, 1, b'x']);
    fs::write(&path, &mended).expect("a file");
    host.serve.said("rules reloaded");
    assert_eq!(host.send("bypass").len(), 1);
    assert_eq!(host.rule("pay")["state"], json!("active"));
    let (_, stderr, status) = host.serve.terminate();
    assert_eq!(status.code(), Some(0), "{stderr:?}");
}

#[test]
fn without_a_version_before_it_a_rule_is_quarantined_and_comes_back_when_it_is_well() {
    let bad = component("trap_on", &describe("pay"));
    let mut host = Host::start(&[("pay.wasm", &bad)], &["--breaker-faults", "2"]);
    host.send("bypass");
    host.send("bypass");
    host.serve.said("no good version to go back to");
    assert_eq!(host.send("charge").len(), 0, "it is not asked");
    let rule = host.rule("pay");
    assert_eq!(
        (&rule["state"], &rule["faults"], &rule["unjudged"]),
        (&json!("quarantined"), &json!(2), &json!(3))
    );
    let until = rule["quarantine"]["until"].as_str().expect("a time");
    assert!(until.starts_with("20") && until.ends_with('Z'), "{until}");
    assert_eq!(rule["quarantine"]["traces"], json!(1));
    assert_eq!(host.metric("betrace_rule_quarantined{rule=\"pay\"}"), 1.0);
    assert_eq!(
        host.metric("betrace_rule_quarantined{rule=\"witness\"}"),
        0.0
    );
    assert_eq!(host.metric("betrace_rules{state=\"quarantined\"}"), 1.0);
    assert_eq!(
        host.metric("betrace_rule_quarantined_traces_total{rule=\"pay\"}"),
        1.0
    );
    assert_eq!(
        host.metric("betrace_rule_unjudged_traces_total{rule=\"witness\"}"),
        0.0
    );
    let (_, stderr, _) = host.serve.terminate();
    let told = stderr
        .iter()
        .any(|line| line.contains("rule pay, quarantined: 2 faults"));
    assert!(told, "{stderr:?}");
}

#[test]
fn a_probe_that_passes_ends_the_quarantine() {
    let bad = component("trap_on", &describe("pay"));
    let settings = ["--breaker-faults", "1", "--breaker-back-off", "1ms"];
    let mut host = Host::start(&[("pay.wasm", &bad)], &settings);
    host.send("bypass");
    host.serve.said("is quarantined");
    // Each trace is at least a millisecond behind the one before, so the next one probes.
    assert_eq!(host.send("charge").len(), 1);
    host.serve.said("is out of quarantine");
    assert_eq!(host.rule("pay")["state"], json!("active"));
}

/// The bundles in a folder.
fn bundles(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the host made it");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn replayed(path: &Path) -> (Option<i32>, String, String) {
    let output = betrace(&["replay", path.to_str().expect("text")]).output();
    let output = output.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_fault_is_kept_as_a_bundle_that_repeats_it() {
    let trap_on = component("trap_on", &describe("trap-on"));
    let late = component("thousandth", &describe("late"));
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("bundles");
    let setting = folder.to_str().expect("text");
    let files: [(&str, &[u8]); 2] = [("trap_on.wasm", &trap_on), ("late.wasm", &late)];
    let mut host = Host::start(&files, &["--bundles", setting]);
    // Its first instance goes with the code that is not optimised, and with it what it had counted.
    host.wait_until_optimised();
    host.send("bypass");
    host.send("bypass");
    for _ in 0..998 {
        host.send("charge");
    }
    host.serve.said("a fault is kept");
    host.serve.said("a fault is kept");
    assert_eq!(
        host.metric("betrace_fault_bundles_total{outcome=\"written\"}"),
        2.0
    );
    assert_eq!(
        host.metric("betrace_fault_bundles_total{outcome=\"recent\"}"),
        1.0
    );
    let (_, stderr, _) = host.serve.terminate();
    let paths = bundles(&folder);
    assert_eq!(paths.len(), 2, "{paths:?} {stderr:?}");

    for (path, rule, input) in [
        (&paths[0], "trap-on", "1 trace, call 1 of its instance"),
        (&paths[1], "late", "1 trace, call 1000 of its instance"),
    ] {
        let (code, said, wrong) = replayed(path);
        assert_eq!(code, Some(0), "{said}{wrong}");
        assert!(said.contains(rule) && said.contains(input), "{said}");
        assert!(
            said.contains("now       trap: ") && said.ends_with("the same kind of fault\n"),
            "{said}"
        );
    }

    // Damaged, it says so.
    let mut bytes = fs::read(&paths[0]).expect("a bundle");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = folder.join("damaged");
    fs::write(&damaged, &bytes).expect("a file");
    let (code, said, wrong) = replayed(&damaged);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(
        wrong.contains("the bundle is damaged: its checksum is another"),
        "{wrong}"
    );
    // With rules of its own it needs no others.
    let path = paths[0].to_str().expect("text");
    let output = betrace(&["replay", "--rules", "rules", path])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}
