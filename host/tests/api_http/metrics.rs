//! Metrics, and whether the host is well.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use crate::client::{RULES, ask, charge, get, save, start, until};

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
        before["betrace_rule_signals_total{rule=\"charge-needs-check\",severity=\"critical\",certainty=\"certain\"}"],
        0.0
    );
    assert_eq!(
        before["betrace_rule_faults_total{rule=\"silent\",kind=\"trap\"}"],
        0.0
    );
    assert_eq!(before["betrace_rules{state=\"active\"}"], 2.0);
    charge(&serve, 1);
    serve.signal();
    // A shard shows what it counts at the end of its turn, when its signals are out already.
    let completed = "betrace_traces_completed_total{reason=\"root\"} 1";
    until(&serve, "/metrics", |answer| answer.text.contains(completed));
    let after = samples(&ask(&health, "GET", "/metrics", &[], "").text);
    for (name, value) in [
        (
            "betrace_rule_signals_total{rule=\"charge-needs-check\",severity=\"critical\",certainty=\"certain\"}",
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

/// Reads the text format strictly: a HELP and a TYPE before the samples of each family, each family and each sample once,
/// labels as the format quotes them.
fn samples(text: &str) -> HashMap<String, f64> {
    let mut samples = HashMap::new();
    let mut families = HashSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a text");
            assert!(is_name(name) && !help.is_empty(), "{line}");
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            (family, kind) = (name.to_owned(), String::new());
            continue;
        }
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, of) = of.split_once(' ').expect("a name and a type");
            assert_eq!((name, kind.as_str()), (family.as_str(), ""), "{line}");
            assert!(["counter", "gauge", "summary"].contains(&of), "{line}");
            assert_eq!(of == "counter", name.ends_with("_total"), "{line}");
            kind = of.to_owned();
            continue;
        }
        assert!(!kind.is_empty(), "no type before {line}");
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let of_summary = |suffix| kind == "summary" && name.strip_suffix(suffix) == Some(&family);
        let is_of_family = name == family || of_summary("_sum") || of_summary("_count");
        assert!(is_of_family, "{line}");
        assert!(are_labels(labels), "{line}");
        let value: f64 = value.parse().expect("a number");
        assert!(kind != "counter" || value >= 0.0, "{line}");
        let known = samples.insert(series.to_owned(), value);
        assert!(known.is_none(), "{series} is there twice");
    }
    samples
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `rule="a\"b",kind="trap"}`, up to the end.
fn are_labels(mut rest: &str) -> bool {
    loop {
        if rest == "}" {
            return true;
        }
        let Some((name, value)) = rest.split_once("=\"") else {
            return false;
        };
        let mut escaped = false;
        let end = value.char_indices().find(|&(_, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end.filter(|_| is_name(name)) else {
            return false;
        };
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[test]
fn a_rule_is_told_with_what_it_was_spared_and_how_long_its_calls_took() {
    let (_folder, serve) = start(&[]);
    let of = |samples: &HashMap<String, f64>, name: &str, rule: &str| {
        samples[&format!("betrace_rule_{name}{{rule=\"{rule}\"}}")]
    };
    charge(&serve, 1);
    serve.signal();
    let judged = "betrace_rule_skipped_traces_total{rule=\"silent\"} 1";
    let text = until(&serve, "/metrics", |answer| answer.text.contains(judged)).text;
    let samples = samples(&text);
    assert_eq!(
        of(&samples, "skipped_traces_total", "charge-needs-check"),
        0.0
    );
    assert_eq!(of(&samples, "evaluations_total", "charge-needs-check"), 1.0);
    assert_eq!(
        of(&samples, "passed_over_traces_total", "charge-needs-check"),
        0.0
    );
    assert_eq!(
        of(&samples, "evaluation_seconds_count", "charge-needs-check"),
        1.0
    );
    assert_eq!(of(&samples, "evaluation_seconds_count", "silent"), 0.0);
    for quantile in ["0.5", "0.99"] {
        let quantile = |rule: &str| {
            format!("betrace_rule_evaluation_seconds{{rule=\"{rule}\",quantile=\"{quantile}\"}}")
        };
        let took = samples[&quantile("charge-needs-check")];
        assert!(took > 0.0 && took < 1.0, "{took}");
        assert!(!samples.contains_key(&quantile("silent")));
    }
    assert_eq!(samples["betrace_shard_lag_seconds{shard=\"0\"}"], 0.0);
    assert_eq!(samples["betrace_rules_unlisted"], 0.0);
    assert_eq!(samples["betrace_rules{state=\"slow\"}"], 0.0);
}

#[test]
fn rules_beyond_the_bound_are_told_together_and_no_counter_falls() {
    let (folder, serve) = start(&["--metrics-rules", "1"]);
    let read = || samples(&get(&serve, "/metrics").text);
    let evaluations = |samples: &HashMap<String, f64>, rule: &str| {
        let name = format!("betrace_rule_evaluations_total{{rule=\"{rule}\"}}");
        samples.get(&name).copied()
    };
    // Nothing has cost anything yet, so the first is listed.
    let before = read();
    assert_eq!(before["betrace_rules_unlisted"], 1.0);
    assert_eq!(evaluations(&before, "charge-needs-check"), Some(0.0));
    assert_eq!(evaluations(&before, "silent"), None);
    assert_eq!(evaluations(&before, "(others)"), Some(0.0));
    // Two more, one of which is called as well: one of those two is listed, and the other is not.
    let more = format!("{RULES}rule more {{ detect {{ payment.charge_card }} }}\n");
    save(folder.path(), &more);
    until(&serve, "/metrics", |answer| {
        samples(&answer.text)["betrace_rules_unlisted"] == 2.0
    });
    charge(&serve, 1);
    for _ in 0..2 {
        serve.signal();
    }
    let after = until(&serve, "/metrics", |answer| {
        evaluations(&samples(&answer.text), "(others)") == Some(1.0)
    });
    let after = samples(&after.text);
    let listed = ["charge-needs-check", "more"].map(|rule| evaluations(&after, rule));
    assert!(
        listed == [Some(1.0), None] || listed == [None, Some(1.0)],
        "{listed:?}"
    );
    // All can be listed again; what the others did stays told.
    save(
        folder.path(),
        "rule more { detect { payment.charge_card } }",
    );
    let alone = until(&serve, "/metrics", |answer| {
        samples(&answer.text)["betrace_rules_unlisted"] == 0.0
    });
    let alone = samples(&alone.text);
    assert_eq!(evaluations(&alone, "more"), Some(1.0));
    assert_eq!(evaluations(&alone, "(others)"), Some(1.0));
}

#[test]
fn counters_go_on_when_a_rule_is_edited() {
    let (folder, serve) = start(&[]);
    charge(&serve, 1);
    serve.signal();
    let before = samples(&get(&serve, "/metrics").text);
    let reloaded = "betrace_rule_last_reload_success_timestamp_seconds";
    assert!(before[reloaded] >= before["process_start_time_seconds"] - 60.0);
    save(folder.path(), &RULES.replace("critical", "low"));
    until(&serve, "/metrics", |answer| {
        samples(&answer.text)["betrace_rule_reloads_total"] == 2.0
    });
    charge(&serve, 2);
    serve.signal();
    let after = samples(&get(&serve, "/metrics").text);
    let signals = |severity: &str, certainty: &str| {
        after[&format!(
            "betrace_rule_signals_total{{rule=\"charge-needs-check\",severity=\"{severity}\",certainty=\"{certainty}\"}}"
        )]
    };
    assert_eq!(
        (signals("critical", "certain"), signals("low", "certain")),
        (1.0, 1.0)
    );
    assert_eq!(signals("low", "unsure"), 0.0);
    for name in [
        "betrace_rule_traces_total{rule=\"charge-needs-check\"}",
        "betrace_rule_findings_total{rule=\"charge-needs-check\"}",
    ] {
        assert_eq!((before[name], after[name]), (1.0, 2.0), "{name}");
    }
    assert!(after[reloaded] > before[reloaded]);
    assert_eq!(after["betrace_rules_generation"], 2.0);

    save(folder.path(), "rule charge-needs-check {");
    until(&serve, "/metrics", |answer| {
        samples(&answer.text)["betrace_rule_reload_failures_total"] == 1.0
    });
    let broken = samples(&get(&serve, "/metrics").text);
    assert_eq!(broken[reloaded], after[reloaded]);
    assert_eq!(broken["betrace_rules{state=\"last_good\"}"], 2.0);
}

/// A program that writes a rule and keeps its file open: it is taken once it stands still for long enough, and that is counted.
#[test]
fn a_file_that_is_never_closed_is_taken_and_counted() {
    let (folder, serve) = start(&["--held-open", "30ms", "--watch-poll", "10ms"]);
    let mut open = std::fs::File::create(folder.path().join("held.betrace")).expect("a file");
    open.write_all(b"rule held { detect { a } }\n")
        .expect("it is written");
    until(&serve, "/metrics", |answer| {
        answer.text.contains("betrace_rules{state=\"active\"} 3")
    });
    let samples = samples(&get(&serve, "/metrics").text);
    assert!(samples["betrace_watch_held_open_files_total"] >= 1.0);
    drop(open);
}

/// Every family of the documentation is served, whatever has happened so far.
#[test]
fn every_family_is_there_from_the_start() {
    let (_folder, serve) = start(&[]);
    get(&serve, "/readyz");
    let text = get(&serve, "/metrics").text;
    samples(&text);
    let served: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let known: Vec<&str> = betrace::api::FAMILIES.iter().map(|f| f.name).collect();
    assert_eq!(served, known);
}
