//! Rules are rewritten all the time while traffic flows, until SIGTERM comes in the midst of it. Every trace that was
//! acknowledged has exactly one verdict of each rule.

#![cfg(unix)]

mod support;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::Value;
use support::{PATIENCE, Serve};

const SENDERS: u64 = 2;
const TRACES: u64 = 10;
const SPANS: u64 = 100;

/// How often the rules are rewritten, each after so many requests more were taken: with some hundred thousand spans a second,
/// some 20 times a second.
const REWRITES: u64 = 60;
const REQUESTS: u64 = 20;

/// Ways of saving, one after the other, and the one that saves the file of a single rule.
const SAVES: u64 = 6;
const OF_C: u64 = 4;

/// A rule that finds something in every trace, whichever version of it judges.
fn edited(id: &str, number: u64) -> String {
    format!("rule edited-{id} {{ detect {{ entry and not version-{number} }} }}\n")
}

#[test]
fn each_trace_has_one_verdict_of_each_rule() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.betrace"), edited("a", 0) + &edited("b", 0)).expect("a file");
    fs::write(at("c.betrace"), edited("c", 0)).expect("a file");
    fs::write(at("stays.betrace"), "rule stays { detect { entry } }").expect("a file");
    let rules = folder.path().to_str().expect("text");
    let signals = tempfile::NamedTempFile::new().expect("a file");
    let out = signals.path().to_str().expect("text");
    let serve = Serve::start(&[
        "--rules",
        rules,
        "--signals",
        out,
        "--settle",
        "1ms",
        "--workers",
        "2",
    ]);

    let taken = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let http = serve.http.clone();
    let mut acknowledged: HashSet<String> = HashSet::new();
    let ended = std::thread::scope(|scope| {
        let (progress, steps) = mpsc::channel();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (progress, taken, stop, http) = (progress.clone(), &taken, &stop, &http);
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    for request in 0.. {
                        if stop.load(SeqCst) {
                            break;
                        }
                        let first = (sender << 32) + request * TRACES + 1;
                        if !post(http, &traces(first)) {
                            break;
                        }
                        mine.extend((first..first + TRACES).map(|id| format!("{id:032x}")));
                        taken.fetch_add(1, SeqCst);
                        // Who counts may have seen enough.
                        let _ = progress.send(());
                    }
                    mine
                })
            })
            .collect();
        drop(progress);
        let mut written = fs::File::open(signals.path()).expect("signals");
        let mut seen = HashSet::new();
        for rewrite in 1..=REWRITES {
            for _ in 0..REQUESTS {
                steps.recv_timeout(PATIENCE).expect("requests are taken");
            }
            save(folder.path(), rewrite);
            // Once a round, until what was saved last has judged: a machine that is slow to reload is not left behind.
            while rewrite % SAVES == OF_C && !judged_anew(&mut written, &mut seen) {
                steps.recv_timeout(PATIENCE).expect("requests are taken");
            }
        }
        // The senders are at work.
        serve.signal_to_end();
        let ended = serve.ended();
        stop.store(true, SeqCst);
        for sender in senders {
            acknowledged.extend(sender.join().expect("it sends"));
        }
        ended
    });
    let (_, stderr, status) = ended;
    assert_eq!(status.code(), Some(0), "{stderr:?}");

    let mut verdicts: HashMap<(String, String), u64> = HashMap::new();
    let mut versions: HashMap<String, HashSet<String>> = HashMap::new();
    let written = fs::read_to_string(signals.path()).expect("signals");
    for line in written.lines() {
        let signal: Value = serde_json::from_str(line).expect("JSON");
        let field = |name: &str| signal[name].as_str().expect("a text").to_owned();
        *verdicts
            .entry((field("rule"), field("trace_id")))
            .or_default() += 1;
        versions
            .entry(field("rule"))
            .or_default()
            .insert(field("version"));
    }
    let twice: Vec<_> = verdicts
        .iter()
        .filter(|(_, count)| **count != 1)
        .take(5)
        .collect();
    assert!(twice.is_empty(), "judged twice: {twice:?}");
    for rule in ["stays", "edited-a", "edited-b", "edited-c"] {
        let missing = |id: &&String| !verdicts.contains_key(&(rule.to_owned(), (*id).clone()));
        let missing: Vec<_> = acknowledged.iter().filter(missing).take(5).collect();
        assert!(
            missing.is_empty(),
            "{rule} has not judged {missing:?} of {}",
            acknowledged.len()
        );
    }
    assert_eq!(versions["stays"].len(), 1);
    for rule in ["edited-a", "edited-b", "edited-c"] {
        assert!(
            versions[rule].len() > 5,
            "{rule}: {} versions",
            versions[rule].len()
        );
    }
    assert!(acknowledged.len() as u64 >= REWRITES * REQUESTS * TRACES);
}

/// Whether signals came since the last look of a version of `edited-c` that had none before.
fn judged_anew(written: &mut fs::File, seen: &mut HashSet<String>) -> bool {
    let mut text = String::new();
    written.read_to_string(&mut text).expect("signals");
    let before = seen.len();
    // What is at the edge of a look is passed over; more of its version will come.
    let signals = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for signal in signals.filter(|signal| signal["rule"] == "edited-c") {
        seen.extend(signal["version"].as_str().map(str::to_owned));
    }
    seen.len() > before
}

/// One of the ways in which files are saved, with mistakes among them.
fn save(folder: &Path, rewrite: u64) {
    let a = folder.join("a.betrace");
    let text = edited("a", rewrite) + &edited("b", rewrite);
    match rewrite % SAVES {
        0 => fs::write(a, text).expect("a file"),
        1 => {
            let beside = folder.join("a.tmp");
            fs::write(&beside, text).expect("a file");
            fs::rename(beside, a).expect("it is renamed");
        }
        2 => fs::write(a, &text[..text.len() - 9]).expect("a broken file"),
        3 => {
            fs::rename(&a, folder.join("a.betrace~")).expect("it is renamed");
            fs::write(a, text).expect("a file");
        }
        OF_C => fs::write(folder.join("c.betrace"), edited("c", rewrite)).expect("a file"),
        _ => {
            let mut file = fs::File::create(a).expect("a file");
            for line in text.lines() {
                writeln!(file, "{line}").expect("it is written");
            }
        }
    }
}

/// Whether the request was taken.
fn post(address: &str, body: &[u8]) -> bool {
    let mut answer = String::new();
    let sent = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "POST /v1/traces HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-protobuf\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        stream.read_to_string(&mut answer)
    });
    sent.is_ok() && answer.starts_with("HTTP/1.1 200 ")
}

fn traces(first: u64) -> Vec<u8> {
    let span = |trace: u64, number: u64| Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        parent_span_id: match number {
            0 => Vec::new(),
            _ => 1_u64.to_be_bytes().to_vec(),
        },
        name: if number == 0 { "entry" } else { "work" }.to_owned(),
        start_time_unix_nano: 1_000 + number,
        end_time_unix_nano: 2_000 + number,
        ..Span::default()
    };
    let traces = first..first + TRACES;
    let spans = traces.flat_map(|trace| (0..SPANS).map(move |number| span(trace, number)));
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}
