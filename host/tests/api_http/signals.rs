//! Signals: in pages, and as they happen.

use serde_json::{Value, json};

use crate::client::{Events, ask, charge, get, start};

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
        "limit=0",
        "limit=1001",
        "unknown=1",
        "rule=a&rule=b",
    ] {
        let answer = get(&serve, &format!("/api/v1/signals?{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], json!("bad_request"));
        assert!(error["help"].is_string(), "{wrong}: {error}");
    }
    let all = get(&serve, "/api/v1/signals?limit=1000").json();
    assert_eq!(traces(&all).len(), 5);
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
