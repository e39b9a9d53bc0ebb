//! Why a rule fired or did not, asked of a host that runs and of a recording, with the real binary.
#![cfg(feature = "engine")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use support::{Serve, betrace};

const RULES: &str = "\
rule charge-needs-check {
  when   { payment.charge_card.where(amount > 1000) }
  always { payment.fraud_check }
}
rule text-amount { detect { payment.charge_card.where(amount == '1500') } }
";

/// A rule folder.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("payment.betrace"), RULES).expect("a file");
    folder
}

/// A request with a charge and no check.
fn charge(trace: u32, amount: Value) -> Value {
    let span = |id: u32, parent: &str, name: &str, attributes: Value| {
        json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name,
               "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000120000000", "attributes": attributes})
    };
    let root = format!("{:016x}", 1);
    let amount = json!([{"key": "amount", "value": amount}]);
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "payment"}}]},
        "scopeSpans": [{"spans": [
            span(1, "", "POST /pay", json!([])),
            span(2, &root, "payment.charge_card", amount),
        ]}],
    }]})
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output: Output = betrace(arguments).output().expect("the binary was built");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        output.status.code().expect("a code"),
        text(output.stdout),
        text(output.stderr),
    )
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn id(trace: u32) -> String {
    format!("{trace:032x}")
}

#[test]
fn a_host_says_why() {
    let folder = folder();
    let rules = path(folder.path());
    let serve = Serve::start(&["--rules", rules, "--settle", "1ms", "--workers", "1"]);
    serve.post(
        "application/json",
        charge(1, json!({"intValue": "1500"}))
            .to_string()
            .as_bytes(),
    );
    serve.signal();
    let ask = |rule: &str, trace: &str, more: &[&str]| {
        let arguments = [&["explain", rule, trace, "--api", &serve.api], more].concat();
        run(&arguments)
    };
    let (code, out, err) = ask("charge-needs-check", &id(1), &[]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.starts_with("FIRES  charge-needs-check"), "{out}");
    assert!(
        out.contains("`always` is broken: no span is named `payment.fraud_check`"),
        "{out}"
    );
    let (code, out, _) = ask("text-amount", &id(1), &["--json"]);
    let explanation: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &explanation["outcome"]), (0, &json!("quiet")));
    let whereabouts = &explanation["whereabouts"];
    assert_eq!(
        (
            &whereabouts["state"],
            &whereabouts["completion"],
            &whereabouts["late"]
        ),
        (&json!("judged"), &json!("root"), &json!(0))
    );
    let reason = explanation["explained"]["reasons"][0]["text"].as_str();
    let reason = reason.expect("a reason");
    assert!(
        reason.contains("`amount` was int in 1 of 1 span"),
        "{reason}"
    );

    let (code, _, err) = ask("charge-need-check", &id(1), &[]);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean `charge-needs-check`?"), "{err}");
    let (code, out, err) = ask("text-amount", &id(9), &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("no span of this trace has come"), "{err}");
    let (code, _, err) = ask("text-amount", "12", &[]);
    assert!(code == 2 && err.contains("32 hexadecimal digits"), "{err}");
    serve.terminate();
}

/// A host that answers so many requests with 429, and those after them with 404.
fn busy_host(busy: usize) -> (String, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it listens").to_string();
    let answers = std::thread::spawn(move || {
        for count in 1.. {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let (status, body) = match count <= busy {
                true => (
                    "429 Busy\r\nretry-after: 0",
                    r#"{"error": {"message": "too much to do"}}"#,
                ),
                false => ("404 None", r#"{"error": {"message": "no such thing"}}"#),
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            if count > busy || count == 5 {
                return count;
            }
        }
        0
    });
    (address, answers)
}

#[test]
fn a_host_that_has_no_time_is_asked_again_and_not_for_ever() {
    for (busy, asked, said) in [(2, 3, "no such thing"), (9, 5, "too much to do")] {
        let (address, answers) = busy_host(busy);
        let (code, _, err) = run(&["explain", "a", &id(1), "--api", &address]);
        assert!(code == 2 && err.contains(said), "{err}");
        assert_eq!(answers.join().expect("no panic"), asked);
    }
}

#[test]
fn a_rule_that_is_broken_says_so() {
    let folder = folder();
    let broken = folder.path().join("brk.betrace");
    std::fs::write(&broken, "rule brk { detect { payment. } }").expect("a file");
    let rules = path(folder.path());
    let serve = Serve::start(&["--rules", rules, "--settle", "1ms"]);
    let request = charge(1, json!({"intValue": "1500"}));
    serve.post("application/json", request.to_string().as_bytes());
    serve.signal();
    let ask = |rule: &str| run(&["explain", rule, &id(1), "--api", &serve.api]);
    let (code, _, err) = ask("brk");
    assert_eq!(code, 2);
    assert!(
        err.contains("brk.betrace is broken") && err.contains("\nerror[E"),
        "{err}"
    );
    assert!(err.contains("\n help: mend the file"), "{err}");
    let (_, _, err) = ask("charge-needs-check");
    assert_eq!(err, "");

    // What was good, and whose file is broken now, answers, and says so.
    let file = folder.path().join("payment.betrace");
    let save = file.with_extension("tmp");
    std::fs::write(&save, RULES.replace("payment.fraud_check }", "payment. }")).expect("a file");
    std::fs::rename(save, file).expect("it is renamed");
    serve.said("error[E");
    let (code, out, err) = ask("charge-needs-check");
    assert_eq!(code, 1, "{err}");
    assert!(out.starts_with("FIRES"), "{out}");
    assert!(
        err.starts_with("note: the last good version of `charge-needs-check` answers"),
        "{err}"
    );
    serve.terminate();
}

#[test]
fn many_who_ask_at_once_are_all_told() {
    let folder = folder();
    let rules = path(folder.path());
    let bounds = ["--settle", "1ms", "--explain-at-once", "1"];
    let serve = Serve::start(&[&["--rules", rules], &bounds[..]].concat());
    let request = charge(1, json!({"intValue": "1500"}));
    serve.post("application/json", request.to_string().as_bytes());
    serve.signal();
    std::thread::scope(|scope| {
        let ask = || run(&["explain", "charge-needs-check", &id(1), "--api", &serve.api]);
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        for told in asked {
            let (code, out, err) = told.join().expect("no panic");
            assert_eq!(code, 1, "{out}{err}");
        }
    });
    serve.terminate();
}

#[test]
fn a_trace_that_is_open_or_not_kept_is_said_to_be_so() {
    let folder = folder();
    let rules = path(folder.path());
    let bounds = ["--ring-memory", "0", "--ring-signalled", "0"];
    let start = |settle: &str| {
        let serve = Serve::start(&[&["--rules", rules, "--settle", settle], &bounds[..]].concat());
        let request = charge(1, json!({"intValue": "1500"}));
        serve.post("application/json", request.to_string().as_bytes());
        serve
    };
    let ask = |serve: &Serve| run(&["explain", "text-amount", &id(1), "--api", &serve.api]);

    let serve = start("50s");
    let (code, _, err) = ask(&serve);
    assert_eq!(code, 2);
    assert!(err.contains("still open: 2 spans so far"), "{err}");
    serve.terminate();

    let serve = start("1ms");
    serve.signal();
    let (code, _, err) = ask(&serve);
    assert_eq!(code, 2);
    assert!(
        err.contains("was judged") && err.contains("never kept, as `ring-memory` is 0"),
        "{err}"
    );
    assert!(err.contains("set `ring-memory`"), "{err}");
    serve.terminate();
}

/// Traces come, each asked for once it is judged, until one is `wanted` in the ring; the first is asked for again after each.
fn until_one_is(wanted: &str, bounds: &[&str], again: bool) -> (String, String) {
    let folder = folder();
    let rules = path(folder.path());
    let general = ["--rules", rules, "--settle", "1ms", "--workers", "1"];
    let serve = Serve::start(&[&general[..], bounds].concat());
    for trace in 1..1_000 {
        let request = charge(trace, json!({"intValue": "1500"}));
        serve.post("application/json", request.to_string().as_bytes());
        serve.signal();
        let asked = if again { 1 } else { trace };
        let ask = |more: &[&str]| {
            let asked = id(asked);
            let arguments = ["explain", "text-amount", &asked, "--api", &serve.api];
            run(&[&arguments[..], more].concat())
        };
        let (_, out, _) = ask(&["--json"]);
        let explanation: Value = serde_json::from_str(&out).expect("JSON");
        let whereabouts = &explanation["whereabouts"];
        assert_eq!(whereabouts["state"], json!("judged"), "{out}");
        let is_there = !explanation["explained"].is_null();
        assert_eq!(is_there, whereabouts["ring"] == json!("kept"), "{out}");
        if whereabouts["ring"] == json!(wanted) {
            let (code, out, err) = ask(&[]);
            assert_eq!(code, 2, "{out}{err}");
            let trace = format!("http://{}/api/v1/traces/{}", serve.api, id(asked));
            let agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build()
                .new_agent();
            let answer = agent.get(&trace).call().expect("an answer");
            assert_eq!(answer.status(), 404);
            let answer = answer.into_body().read_to_string().expect("text");
            serve.terminate();
            return (err, answer);
        }
    }
    panic!("no trace is {wanted}");
}

#[test]
fn a_trace_that_was_evicted_is_told_from_one_that_was_never_kept() {
    let apart = ["--ring-signalled", "0", "--ring-memory"];
    for (wanted, bounds, again, words, what_to_do) in [
        (
            "evicted",
            &["16KiB", "--ring-turnover", "0ms"][..],
            true,
            "its spans were kept, and went for those of newer traces",
            "raise `ring-memory`",
        ),
        (
            "skipped",
            &["16KiB", "--ring-turnover", "24h"],
            false,
            "never kept: so many traces came",
            "lower `ring-turnover`",
        ),
        (
            "too_large",
            &["1KiB"],
            false,
            "never kept: it is larger than all that the ring may hold",
            "raise `ring-memory`",
        ),
    ] {
        let (said, answered) = until_one_is(wanted, &[&apart[..], bounds].concat(), again);
        for text in [&said, &answered] {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(words) && text.contains(what_to_do), "{text}");
        }
    }
}

#[test]
fn a_recording_says_why_and_what_it_left_out() {
    let folder = folder();
    let rules = path(folder.path());
    let recording = folder.path().join("traces.jsonl");
    let traces = (1..=9).map(|trace| charge(trace, json!({"intValue": (trace * 200).to_string()})));
    let lines: Vec<String> = traces.map(|trace| trace.to_string()).collect();
    std::fs::write(&recording, lines.join("\n")).expect("a file");
    let recording = path(&recording);
    let replay = |more: &[&str]| {
        run(&[
            &["replay", "--rules", rules, "--explain"],
            more,
            &[recording],
        ]
        .concat())
    };
    let (code, out, err) = replay(&["--format", "text", "--most", "2"]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(out.matches("FIRES  charge-needs-check").count(), 2, "{out}");
    assert_eq!(
        out.matches("DOES NOT FIRE  text-amount").count(),
        2,
        "{out}"
    );
    assert!(
        err.contains("charge-needs-check: left out 2 traces that it fires on, 5 traces that it does not fire on"),
        "{err}"
    );

    let one = id(2);
    let (code, out, err) = replay(&[
        "--rule",
        "charge-needs-check",
        "--trace",
        &one,
        "--format",
        "json",
    ]);
    assert_eq!(code, 0, "{err}");
    let explanation: Value = serde_json::from_str(&out).expect("one object");
    assert_eq!(
        (
            &explanation["trace_id"],
            &explanation["outcome"],
            &explanation["whereabouts"]
        ),
        (&json!(one), &json!("quiet"), &json!({"state": "recorded"}))
    );
    assert!(out.contains("`amount` was 400"), "{out}");

    let (code, _, err) = replay(&["--trace", &id(77)]);
    assert!(
        code == 2 && err.contains("no input holds the trace"),
        "{err}"
    );
    let (code, _, err) = replay(&["--rule", "charge-needs-chek"]);
    assert!(
        code == 2 && err.contains("did you mean `charge-needs-check`?"),
        "{err}"
    );
}
