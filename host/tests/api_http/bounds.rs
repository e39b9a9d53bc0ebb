//! Who is turned away.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::client::{Events, ask, charge, get, save, start, until};
use crate::support::PATIENCE;

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
fn a_page_of_another_site_can_not_have_rules_tried() {
    let (_folder, serve) = start(&[]);
    for (origin, status) in [
        ("https://evil.example", 403),
        ("http://10.0.0.1", 403),
        ("null", 403),
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
    ] {
        let answer = ask(
            &serve.api,
            "POST",
            "/api/v1/check",
            &[("origin", origin)],
            "payment.charge_card",
        );
        assert_eq!(answer.status, status, "{origin}: {}", answer.text);
    }
    let text = get(&serve, "/metrics").text;
    assert!(
        text.contains("\nbetrace_api_foreign_requests_total 3\n"),
        "{text}"
    );
}

#[test]
fn connections_are_bounded_and_counted() {
    let (_folder, serve) = start(&["--api-connections", "1", "--health", "127.0.0.1:0"]);
    let events = Events::open(&serve, &[]);
    let mut second = TcpStream::connect(&serve.api).expect("it listens");
    second.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // It is closed at once, by an end or by a reset where something was sent.
    let _ = write!(second, "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut nothing = Vec::new();
    let _ = second.read_to_end(&mut nothing);
    assert_eq!(nothing, b"");
    let health = serve
        .greeting
        .iter()
        .find_map(|line| line.strip_prefix("betrace: health and metrics on "))
        .expect("it says where");
    let text = ask(health, "GET", "/metrics", &[], "").text;
    assert!(
        text.contains("\nbetrace_connections_refused_total{server=\"api\"} 1\n"),
        "{text}"
    );
    drop(events);
}

#[test]
fn who_says_nothing_is_left() {
    let (_folder, serve) = start(&["--header-timeout", "10ms"]);
    let mut silent = TcpStream::connect(&serve.api).expect("it listens");
    silent.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut nothing = Vec::new();
    let _ = silent.read_to_end(&mut nothing);
    assert_eq!(nothing, b"");
    let counted = "betrace_connections_timed_out_total{server=\"api\",reason=\"silent\"} 1";
    until(&serve, "/metrics", |answer| answer.text.contains(counted));
}

/// A request that never ends its headers, and one that is never followed by another.
#[test]
fn who_says_nothing_more_is_left() {
    let (_folder, serve) = start(&["--connection-idle", "50ms"]);
    for begun in [
        "GET /readyz HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
        "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut slow = TcpStream::connect(&serve.api).expect("it listens");
        slow.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        slow.write_all(begun.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer);
    }
    let counted = "betrace_connections_timed_out_total{server=\"api\",reason=\"idle\"} 2";
    until(&serve, "/metrics", |answer| answer.text.contains(counted));
}

#[test]
fn an_explanation_of_too_many_parts_says_so_and_is_counted() {
    let (folder, serve) = start(&[]);
    let rule = format!(
        "rule many {{ detect {{ {} }} }}",
        vec!["a"; 8_000].join(" and ")
    );
    save(folder.path(), &rule);
    until(&serve, "/api/v1/rules", |answer| {
        answer.text.contains("many")
    });
    let id = charge(&serve, 1);
    let answer = until(
        &serve,
        &format!("/api/v1/rules/many/explain/{id}"),
        |answer| answer.status != 200,
    );
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(
        answer.text.contains("at most 8192 are explained"),
        "{}",
        answer.text
    );
    let counted = "\nbetrace_api_explanations_failed_total 1\n";
    until(&serve, "/metrics", |answer| answer.text.contains(counted));
}

#[test]
fn rules_of_a_source_are_bounded_and_counted() {
    let (_folder, serve) = start(&["--try-rules", "20"]);
    let rules = |count: usize| -> String {
        let rules = (0..count).map(|n| format!("rule r{n} {{ detect {{ a.b{n} }} }}\n"));
        rules.collect()
    };
    for path in ["/api/v1/check", "/api/v1/try"] {
        let answer = ask(&serve.api, "POST", path, &[], &rules(21));
        assert_eq!(answer.status, 413, "{path}: {}", answer.text);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], json!("too_large"));
        assert_eq!(
            error["message"],
            json!("the source holds 21 rules, of which at most 20 are taken")
        );
    }
    let answer = ask(&serve.api, "POST", "/api/v1/check", &[], &rules(20));
    assert_eq!(answer.json()["ok"], json!(true), "{}", answer.text);
    let text = get(&serve, "/metrics").text;
    assert!(
        text.contains("\nbetrace_api_tries_too_many_rules_total 2\n"),
        "{text}"
    );
}

#[test]
fn bodies_are_bounded_and_methods_told() {
    let (_folder, serve) = start(&["--api-body", "1KiB"]);
    let long = "x".repeat(1_025);
    let answer = ask(&serve.api, "POST", "/api/v1/check", &[], &long);
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (413, &json!("too_large"))
    );
    let answer = ask(&serve.api, "DELETE", "/api/v1/rules", &[], "");
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (405, &json!("method_not_allowed"))
    );
    assert!(answer.head.contains("allow: get,head"), "{}", answer.head);
    let counted = until(&serve, "/metrics", |answer| {
        answer
            .text
            .contains("betrace_api_requests_total{route=\"/api/v1/check\",status=\"413\"} 1")
    });
    assert_eq!(counted.status, 200);
}
