//! The API of a host that runs, over real sockets.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};
use support::{PATIENCE, Serve};

const RULES: &str = "\
/// No charge without a check.
rule charge-needs-check {
  severity: critical
  tags: [payments]
  when   { payment.charge_card }
  always { payment.fraud_check }
}
rule silent { detect { never.happens } }
";

fn start(arguments: &[&str]) -> (tempfile::TempDir, Serve) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("payment.betrace"), RULES).expect("a file");
    let rules = folder.path().to_str().expect("text").to_owned();
    let serve = Serve::start(&[&["--rules", &rules, "--settle", "1ms"], arguments].concat());
    (folder, serve)
}

/// A charge without a check.
fn charge(serve: &Serve, trace: u32) -> String {
    let id = format!("{trace:032x}");
    let span = |id: u32, parent: &str, name: &str| {
        json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name,
               "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000120000000",
               "attributes": [{"key": "amount", "value": {"intValue": "1500"}}]})
    };
    let root = format!("{:016x}", 1);
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "payment"}}]},
        "scopeSpans": [{"spans": [span(1, "", "POST /pay"), span(2, &root, "payment.charge_card")]}],
    }]});
    serve.post("application/json", request.to_string().as_bytes());
    id
}

struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let host = headers.iter().find(|(name, _)| *name == "host");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\nconnection: close\r\n",
        host.map_or(address, |(_, host)| host),
        body.len()
    );
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{head}\r\n{body}").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    Answer {
        status: status.expect("a status"),
        text: if is_chunked {
            unchunked(body)
        } else {
            body.to_owned()
        },
    }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    out
}

fn get(serve: &Serve, path: &str) -> Answer {
    ask(&serve.api, "GET", path, &[], "")
}

#[test]
fn signals_are_listed_newest_first_filtered_and_paged() {
    let (_folder, serve) = start(&[]);
    assert_eq!(
        get(&serve, "/api/v1/signals").json(),
        json!({"signals": [], "next": null})
    );
    let ids: Vec<String> = (1..=5)
        .map(|trace| {
            let id = charge(&serve, trace);
            assert_eq!(serve.signal()["trace_id"], json!(id));
            id
        })
        .collect();
    let page = get(&serve, "/api/v1/signals?limit=2").json();
    let traces = |page: &Value| -> Vec<String> {
        let signals = page["signals"].as_array().expect("a list");
        signals
            .iter()
            .map(|s| s["trace_id"].as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(traces(&page), [ids[4].clone(), ids[3].clone()]);
    let next = page["next"].as_str().expect("there are more");
    let page = get(&serve, &format!("/api/v1/signals?limit=3&before={next}")).json();
    assert_eq!(
        traces(&page),
        [ids[2].clone(), ids[1].clone(), ids[0].clone()]
    );
    assert_eq!(page["next"], Value::Null);

    let one = get(&serve, &format!("/api/v1/signals?trace={}", ids[1])).json();
    assert_eq!(traces(&one), [ids[1].clone()]);
    assert_eq!(one["signals"][0]["rule"], json!("charge-needs-check"));
    for (filter, count) in [
        ("rule=charge-needs-check", 5),
        ("rule=silent", 0),
        ("severity=critical", 5),
        ("severity=low", 0),
        ("since=1h", 5),
        ("since=2999-01-01T00:00:00Z", 0),
    ] {
        let page = get(&serve, &format!("/api/v1/signals?{filter}")).json();
        assert_eq!(traces(&page).len(), count, "{filter}");
    }
    for wrong in [
        "severity=awful",
        "since=soon",
        "trace=xyz",
        "before=x",
        "limit=many",
        "unknown=1",
    ] {
        let answer = get(&serve, &format!("/api/v1/signals?{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
        assert_eq!(answer.json()["error"]["code"], json!("bad_request"));
    }
}

struct Events(BufReader<TcpStream>);

impl Events {
    fn open(serve: &Serve, headers: &[(&str, &str)]) -> Events {
        let mut stream = TcpStream::connect(&serve.api).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let headers: String = headers
            .iter()
            .map(|(n, v)| format!("{n}: {v}\r\n"))
            .collect();
        write!(
            stream,
            "GET /api/v1/signals/stream HTTP/1.1\r\nhost: {}\r\n{headers}\r\n",
            serve.api
        )
        .expect("it reads");
        let mut events = Events(BufReader::new(stream));
        assert!(events.line().starts_with("HTTP/1.1 200"));
        while !events.line().is_empty() {}
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// The next event: its kind, id and data.
    fn next(&mut self) -> (String, String, Value) {
        let (mut kind, mut id, mut data) = Default::default();
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("event: ") {
                kind = text.to_owned();
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = serde_json::from_str(text).expect("JSON");
            } else if line.is_empty() && !String::is_empty(&kind) {
                return (kind, id, data);
            }
        }
    }
}

#[test]
fn a_stream_goes_on_where_its_reader_was() {
    let (_folder, serve) = start(&["--recent-signals", "3"]);
    let mut events = Events::open(&serve, &[]);
    let first = charge(&serve, 1);
    let (kind, last, signal) = events.next();
    assert_eq!(
        (kind.as_str(), &signal["trace_id"]),
        ("signal", &json!(first))
    );
    serve.signal();
    drop(events);
    for trace in 2..=6 {
        charge(&serve, trace);
        serve.signal();
    }
    let mut events = Events::open(&serve, &[("Last-Event-ID", &last)]);
    let (kind, _, data) = events.next();
    assert_eq!((kind.as_str(), data), ("missed", json!({"missed": 2})));
    for trace in 4..=6 {
        assert_eq!(events.next().2["trace_id"], json!(format!("{trace:032x}")));
    }
    let seventh = charge(&serve, 7);
    assert_eq!(events.next().2["trace_id"], json!(seventh));
    // An id of another run of the host.
    let mut events = Events::open(&serve, &[("Last-Event-ID", "1-5")]);
    assert_eq!(events.next().2, json!({"missed": null}));
    assert_eq!(events.next().0, "missed", "what went since the start");
    assert_eq!(events.next().2["trace_id"], json!(format!("{:032x}", 5)));
    let wrong = ask(
        &serve.api,
        "GET",
        "/api/v1/signals/stream",
        &[("last-event-id", "x")],
        "",
    );
    assert_eq!(wrong.status, 400);
    // Streams end with the host.
    let (_, _, status) = serve.terminate();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn streams_are_bounded() {
    let (_folder, serve) = start(&["--api-streams", "1"]);
    let events = Events::open(&serve, &[]);
    let refused = get(&serve, "/api/v1/signals/stream");
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (503, &json!("too_many_streams"))
    );
    drop(events);
}

#[test]
fn rules_are_shown_as_they_stand_and_what_a_save_did() {
    let (folder, serve) = start(&[]);
    charge(&serve, 1);
    serve.signal();
    let rules = get(&serve, "/api/v1/rules").json();
    assert_eq!(rules["generation"], json!(1));
    let rule = &rules["rules"][0];
    assert_eq!(
        (&rule["id"], &rule["state"], &rule["fires"]),
        (&json!("charge-needs-check"), &json!("active"), &json!(1))
    );
    assert_eq!(rule["description"], json!("No charge without a check."));
    let none = get(&serve, "/api/v1/rules/silent/diff");
    assert_eq!(none.status, 404);
    assert!(none.text.contains("did not change"), "{}", none.text);
    let typo = get(&serve, "/api/v1/rules/silnt/diff");
    assert_eq!(
        typo.json()["error"]["help"],
        json!("did you mean `silent`?")
    );

    let edited = RULES.replace("never.happens", "payment.charge_card");
    save(folder.path(), &edited);
    let diff = until(&serve, "/api/v1/rules/silent/diff", |answer| {
        answer.status == 200
    })
    .json();
    assert_eq!(
        (&diff["change"], &diff["fires"], &diff["fired_before"]),
        (&json!("edited"), &json!(1), &json!(0))
    );
    assert_eq!(diff["newly"]["ids"], json!([format!("{:032x}", 1)]));
    assert_eq!(
        diff["newly"]["first"]["evidence"][0]["name"],
        json!("payment.charge_card")
    );

    save(
        folder.path(),
        &edited.replace("charge_card }", "charge_card"),
    );
    let rules = until(&serve, "/api/v1/rules", |answer| {
        answer.text.contains("last_good")
    })
    .json();
    assert!(
        rules["rules"][1]["diagnostic"]
            .as_str()
            .expect("text")
            .contains("error["),
        "{rules}"
    );
    assert_eq!(rules["generation"], json!(2));
}

fn save(folder: &Path, text: &str) {
    let beside = folder.join("payment.tmp");
    std::fs::write(&beside, text).expect("a file");
    std::fs::rename(beside, folder.join("payment.betrace")).expect("it is renamed");
}

/// Asks until the answer is as wanted: what is waited for has no event of its own here.
fn until(serve: &Serve, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let started = std::time::Instant::now();
    loop {
        let answer = get(serve, path);
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{}", answer.text);
    }
}

#[test]
fn a_trace_is_shown_while_it_is_kept_and_its_absence_explained() {
    let (_folder, serve) = start(&[]);
    let id = charge(&serve, 0xabc);
    serve.signal();
    let trace = get(&serve, &format!("/api/v1/traces/{}", id.to_uppercase()));
    assert_eq!(trace.status, 200, "{}", trace.text);
    let trace = trace.json();
    let spans = &trace["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans.as_array().map(Vec::len), Some(2));
    assert_eq!(spans[0]["traceId"], json!(id));
    assert_eq!(
        spans[0]["attributes"][0]["value"],
        json!({"intValue": "1500"})
    );
    let protobuf = betrace::otlp::json::to_protobuf(trace.to_string().as_bytes());
    assert!(protobuf.is_ok());
    let never = get(&serve, &format!("/api/v1/traces/{:032x}", 5));
    assert_eq!(never.status, 404);
    assert!(never.text.contains("no span of trace"), "{}", never.text);
    assert_eq!(get(&serve, "/api/v1/traces/5").status, 400);

    let (_folder, serve) = start(&["--ring-memory", "0", "--ring-signalled", "0"]);
    let id = charge(&serve, 7);
    serve.signal();
    let gone = get(&serve, &format!("/api/v1/traces/{id}"));
    assert!(
        gone.text.contains("was judged") && gone.text.contains("generation 1"),
        "{}",
        gone.text
    );
}

#[test]
fn a_rule_can_be_checked_and_tried_and_nothing_is_kept() {
    let (_folder, serve) = start(&[]);
    charge(&serve, 1);
    serve.signal();
    let post = |path: &str, body: &str| {
        ask(
            &serve.api,
            "POST",
            path,
            &[("content-type", "text/plain")],
            body,
        )
    };
    let good = post(
        "/api/v1/check?name=big",
        "payment.charge_card.where(amount > 1000)",
    )
    .json();
    assert_eq!(
        (&good["ok"], &good["rules"]),
        (&json!(true), &json!(["big"]))
    );
    let bad = post("/api/v1/check", "payment.charge_card.wher(amount > 1000)").json();
    assert_eq!(bad["ok"], json!(false));
    assert!(
        bad["diagnostics"][0]["text"]
            .as_str()
            .expect("text")
            .contains("wher"),
        "{bad}"
    );

    let tried = post(
        "/api/v1/try?name=big",
        "payment.charge_card.where(amount > 1000)",
    )
    .json();
    let verdict = &tried["verdicts"][0];
    assert_eq!(
        (&verdict["rule"], &verdict["fires"], &verdict["traces"]),
        (&json!("big"), &json!(1), &json!(1))
    );
    assert_eq!(tried["coverage"]["traces"], json!(1));
    assert!(
        tried["sample"]
            .as_str()
            .expect("text")
            .starts_with("1 trace of the last"),
        "{tried}"
    );
    let broken = post("/api/v1/try", "nonsense(").json();
    assert_eq!(
        (&broken["ok"], &broken["verdicts"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(
        get(&serve, "/api/v1/rules").json()["rules"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let long = "x".repeat((1 << 20) + 1);
    assert_eq!(post("/api/v1/try", &long).status, 413);
    assert_eq!(get(&serve, "/api/v1/try").status, 405);
    assert_eq!(
        get(&serve, "/nothing").json()["error"]["code"],
        json!("not_found")
    );
}

#[test]
fn a_page_elsewhere_can_not_read_it_through_a_browser() {
    let (_folder, serve) = start(&[]);
    let foreign = ask(
        &serve.api,
        "GET",
        "/api/v1/signals",
        &[("host", "evil.example:4320")],
        "",
    );
    assert_eq!(
        (foreign.status, &foreign.json()["error"]["code"]),
        (403, &json!("foreign_host"))
    );
    assert_eq!(
        ask(
            &serve.api,
            "GET",
            "/api/v1/signals",
            &[("host", "localhost")],
            ""
        )
        .status,
        200
    );
}

#[test]
fn metrics_are_in_prometheus_format_and_counters_are_there_from_the_start() {
    let (_folder, serve) = start(&["--health", "127.0.0.1:0"]);
    let health = serve
        .greeting
        .iter()
        .find_map(|line| line.strip_prefix("betrace: health and metrics on "));
    let health = health.expect("it says where").to_owned();
    let before = samples(&get(&serve, "/metrics").text);
    assert_eq!(
        before["betrace_rule_signals_total{rule=\"charge-needs-check\"}"],
        0.0
    );
    assert_eq!(
        before["betrace_rule_faults_total{rule=\"silent\",kind=\"trap\"}"],
        0.0
    );
    assert_eq!(before["betrace_rules{state=\"active\"}"], 2.0);
    charge(&serve, 1);
    serve.signal();
    let after = samples(&ask(&health, "GET", "/metrics", &[], "").text);
    for (name, value) in [
        (
            "betrace_rule_signals_total{rule=\"charge-needs-check\"}",
            1.0,
        ),
        ("betrace_otlp_spans_total{transport=\"http\"}", 2.0),
        ("betrace_traces_completed_total{reason=\"root\"}", 1.0),
        ("betrace_ring_traces", 1.0),
    ] {
        assert_eq!(after[name], value, "{name}");
    }
    assert!(after["betrace_rule_cpu_seconds_total{rule=\"charge-needs-check\"}"] > 0.0);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&health, "GET", path, &[], "").text, "ok\n");
        assert_eq!(get(&serve, path).text, "ok\n");
    }
    for path in ["/api/v1/signals", "/api/v1/rules", "/api/v1/openapi.json"] {
        assert_eq!(ask(&health, "GET", path, &[], "").status, 404, "{path}");
    }
}

/// Reads the text format strictly: a HELP and a TYPE before the samples of each family, each sample once.
fn samples(text: &str) -> std::collections::HashMap<String, f64> {
    let mut samples = std::collections::HashMap::new();
    let mut family = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name").to_owned();
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert_eq!(name, family);
            assert!(["counter", "gauge"].contains(&kind));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        let bare = name.split('{').next().expect("a name");
        assert_eq!(bare, family, "{line}");
        let value: f64 = value.parse().expect("a number");
        assert!(
            samples.insert(name.to_owned(), value).is_none(),
            "{name} is there twice"
        );
    }
    samples
}

/// Every route of the document answers, and what it answers is what the document says.
#[test]
fn the_document_says_what_is_served() {
    let (folder, serve) = start(&[]);
    let id = charge(&serve, 1);
    serve.signal();
    save(
        folder.path(),
        &RULES.replace("never.happens", "payment.charge_card"),
    );
    until(&serve, "/api/v1/rules/silent/diff", |answer| {
        answer.status == 200
    });
    let document = get(&serve, "/api/v1/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths");
    let mut seen = 0;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let is_stream =
                operation["responses"]["200"]["content"]["text/event-stream"].is_object();
            if is_stream {
                continue;
            }
            seen += 1;
            let asked = path
                .replace("/rules/{id}", "/rules/silent")
                .replace("/traces/{id}", &format!("/traces/{id}"))
                .replace("{trace}", &id);
            let body = if method == "post" {
                "payment.charge_card"
            } else {
                ""
            };
            let answer = ask(&serve.api, &method.to_uppercase(), &asked, &[], body);
            assert_eq!(answer.status, 200, "{method} {asked}: {}", answer.text);
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            if schema.is_object() {
                validate(&document, schema, &answer.json(), path);
            }
        }
    }
    assert!(seen >= 10, "{seen} operations");
    let error = json!({"$ref": "#/components/schemas/ErrorBody"});
    validate(
        &document,
        &error,
        &get(&serve, "/api/v1/traces/x").json(),
        "an error",
    );
}

fn validate(document: &Value, schema: &Value, answer: &Value, what: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).expect("a schema");
    let wrong: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?} in {answer}");
}
