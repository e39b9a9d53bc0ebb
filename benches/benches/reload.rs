//! A save, from the rename that an editor does: until the new version judges live traffic, and until it is known what it does
//! to 1,000 kept traces of 20 spans. With 10 and with 1,000 rules, in files of their own and in one, and while traffic flows;
//! and what a change does to the pace of ingest.
//!
//! Prints tables; not divan's, since what counts is the 95th of a hundred edits. The watcher, its pause for further saves,
//! compilation and all else are part of every figure.

// Its output is the tables.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use betrace::app::{self, Host, Source, Watched};
use betrace::assemble::trace::{Completion, Trace};
use betrace::config::Config;
use betrace::live::SaveReport;
use betrace::load::client::{Client, Target};
use betrace::load::retry::Answer;
use betrace::load::template::framed;
use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use betrace::replay::kept::{Judgement, Kept, KeptBatch};
use betrace::sinks;
use betrace::sinks::format::Format;
use betrace::sinks::stream::Stream;
use betrace_benches::traffic::{self, SERVICES, Traffic};
use crossbeam_channel::Receiver;

const TRACES: usize = 1_000;
const EDITS: usize = 100;
const WARM_UP: usize = 10;
/// Between two requests of 1,000 spans: 250,000 spans a second, a fifth of a core.
const PACE: Duration = Duration::from_millis(4);

fn main() {
    // `load` alone, where that is asked for.
    if std::env::args().any(|argument| argument == "load") {
        return under_load();
    }
    println!("a save by rename, {EDITS} edits, {TRACES} kept traces of 20 spans; milliseconds");
    println!(
        "{:44} {:>24} {:>24}",
        "", "in force p50 p95", "verdict p50 p95"
    );
    let mut live = Vec::new();
    for (rules, layout) in [
        (10, Layout::Apart),
        (1_000, Layout::Apart),
        (10, Layout::Together),
        (1_000, Layout::Together),
    ] {
        let desk = Desk::new(rules, layout, rule);
        let times = desk.edits(EDITS);
        times.print(&format!("{rules} rules {}", layout.words()));
        live.push(times.verdict[EDITS / 2]);
        desk.host.stop();
    }
    if let [ten, thousand, ten_in_one, thousand_in_one] = live[..] {
        let ratio = |a: Duration, b: Duration| b.as_secs_f64() / a.as_secs_f64();
        println!(
            "one of 1,000 rules against one of 10: {:.2} apart, {:.2} in one file",
            ratio(ten, thousand),
            ratio(ten_in_one, thousand_in_one)
        );
    }
    under_load();
}

#[derive(Clone, Copy)]
enum Layout {
    /// A file each.
    Apart,
    /// One file.
    Together,
}

impl Layout {
    fn words(self) -> &'static str {
        match self {
            Layout::Apart => "in files of their own",
            Layout::Together => "in one file",
        }
    }
}

/// A host that follows a folder of rules.
struct Desk {
    _folder: tempfile::TempDir,
    host: Host,
    reports: Receiver<Arc<SaveReport>>,
    path: PathBuf,
    /// The rules of the edited file behind the first.
    rest: String,
    rule: Write,
}

/// Writes the rule of a number after so many edits.
type Write = fn(usize, u64) -> String;

struct Times {
    live: Vec<Duration>,
    verdict: Vec<Duration>,
}

impl Desk {
    fn new(rules: usize, layout: Layout, rule: Write) -> Desk {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rule-0.betrace");
        let mut rest = String::new();
        for number in 1..rules {
            let text = rule(number, 1);
            match layout {
                Layout::Apart => {
                    let path = folder.path().join(format!("rule-{number}.betrace"));
                    std::fs::write(path, text).expect("a file");
                }
                Layout::Together => rest += &text,
            }
        }
        std::fs::write(&path, rule(0, 0) + &rest).expect("a file");
        let config = Config {
            rules: vec![folder.path().to_owned()],
            otlp_grpc: Some("127.0.0.1:0".to_owned()),
            otlp_http: None,
            api: None,
            workers: 1,
            settle: Duration::from_millis(500),
            ..Config::default()
        };
        let engine = app::engine(&config).expect("an engine");
        let watched = Watched::open(&config, &engine).expect("rules load");
        assert_eq!(watched.library.rules().len(), rules);
        let stream = Stream::new("nowhere", Format::Json, Box::new(std::io::sink()));
        let (sink, _writer) = sinks::start(stream, sinks::DEFAULT_BYTES).expect("a thread");
        let source = Source::Watched(Box::new(watched));
        let host = Host::start(&config, engine, source, sink, false).expect("it starts");
        for number in 0..TRACES {
            host.live().ring.keep(kept(number as u64));
        }
        Desk {
            reports: host.live().book.subscribe(),
            _folder: folder,
            host,
            path,
            rest,
            rule,
        }
    }

    fn edits(&self, edits: usize) -> Times {
        let mut times = Times {
            live: Vec::new(),
            verdict: Vec::new(),
        };
        for edit in 0..WARM_UP + edits {
            let (live, verdict) = self.edit(edit as u64 + 1);
            if edit >= WARM_UP {
                times.live.push(live);
                times.verdict.push(verdict);
            }
        }
        times.live.sort_unstable();
        times.verdict.sort_unstable();
        times
    }

    /// One edit; how long after its rename the rule was in force, and its verdict there.
    fn edit(&self, number: u64) -> (Duration, Duration) {
        let beside = self.path.with_extension("tmp");
        std::fs::write(&beside, (self.rule)(0, number) + &self.rest).expect("a file");
        let before = self.host.live().rules.current().generation;
        let started = Instant::now();
        std::fs::rename(&beside, &self.path).expect("it is renamed");
        while self.host.live().rules.current().generation == before {
            std::thread::yield_now();
        }
        let live = started.elapsed();
        let report = self.reports.recv().expect("the host lives");
        let verdict = report.verdict.as_ref().expect("it changed a rule");
        // More, where traffic flows.
        assert!(verdict.coverage.traces as usize >= TRACES);
        (live, started.elapsed())
    }
}

impl Times {
    fn print(&self, what: &str) {
        let at = |times: &[Duration], percent: usize| {
            times[times.len() * percent / 100].as_secs_f64() * 1e3
        };
        println!(
            "{what:44} {:>15.1} {:>8.1} {:>15.1} {:>8.1}",
            at(&self.live, 50),
            at(&self.live, 95),
            at(&self.verdict, 50),
            at(&self.verdict, 95)
        );
    }
}

/// Fires on about half of the traces, on more or fewer with every edit.
fn rule(number: usize, edit: u64) -> String {
    format!(
        "rule rule-{number} {{ detect {{ shop.step_{}.where(amount > {} and http.request.method != x{number}) }} }}\n",
        number % 20,
        edit % 100
    )
}

/// Fires on one trace in 2,000: with signals for half of them it would be their writing that is measured.
fn rare_rule(number: usize, edit: u64) -> String {
    format!(
        "rule rule-{number} {{ detect {{ shop.step_{number}.where(http.response.status_code >= 500 and amount > {}) }} }}\n",
        1_000 + edit % 100
    )
}

/// A trace of 20 spans with the names of the benches' traffic.
fn kept(number: u64) -> Kept {
    let mut scan = Scan::default();
    let bytes = traffic::trace(number, 20);
    let request = Request::scan(bytes, &mut scan).expect("OTLP");
    let spans = scan
        .spans
        .iter()
        .map(|span| betrace::assemble::trace::SpanRef {
            request: 0,
            section: span.section,
            range: span.range,
        });
    let trace = Trace {
        id: u128::from(number + 1).to_be_bytes(),
        spans: spans.collect(),
        completion: Completion::Root,
        missing_parents: 0,
        dropped: false,
        root: 0,
        through: 0,
    };
    let one = Arc::new(Kept {
        id: trace.id,
        request,
        spans: trace.spans.clone(),
        completion: Completion::Root,
        missing_parents: 0,
        dropped: false,
        root: 0,
        root_service: None,
        root_name: None,
        judged_at: number,
        generation: 1,
        signalled: Box::default(),
    });
    let batch = [one];
    Kept::copy(&trace, &KeptBatch::new(&batch), Judgement::default())
}

/// Edits while a sender keeps a worker busy: what changes of the pace of requests.
fn under_load() {
    let desk = Desk::new(100, Layout::Apart, rare_rule);
    let address = desk.host.grpc().expect("it listens");
    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let stop = stop.clone();
        move || send(address, &stop)
    });
    let times = desk.edits(EDITS);
    stop.store(true, Relaxed);
    let mut pauses = sender.join().expect("it sends");
    times.print("100 rules, 250,000 spans a second");
    pauses.sort_unstable();
    let at = |percent: f64| {
        let index = (pauses.len() as f64 * percent / 100.0) as usize;
        pauses[index.min(pauses.len() - 1)].as_secs_f64() * 1e3
    };
    println!(
        "answers to {} requests of 1,000 spans meanwhile: p50 {:.1} p99 {:.1} most {:.1} ms",
        pauses.len(),
        at(50.0),
        at(99.0),
        at(100.0)
    );
    desk.host.stop();
}

/// Sends a request every so often, and returns how long each took to be answered. A request is answered when the queue of
/// its shard holds it, so an ingest that pauses shows here.
fn send(address: std::net::SocketAddr, stop: &AtomicBool) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut client = Client::new(Target::grpc(address, ""));
        let mut turns = tokio::time::interval(PACE);
        let traffic = Traffic::default();
        let mut took = Vec::new();
        let mut group = 1 << 20;
        while !stop.load(Relaxed) {
            for service in 0..SERVICES {
                let request = framed(&traffic.request(group, service));
                turns.tick().await;
                let started = Instant::now();
                let answer = client.export(request).await;
                assert_eq!(answer, Answer::Taken { rejected: 0 });
                took.push(started.elapsed());
            }
            group += 1;
        }
        took
    })
}
