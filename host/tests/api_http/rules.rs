//! Rules as they stand, what saves do, what others would do; and the traces that this is told of.

use serde_json::json;

use crate::client::{RULES, ask, charge, get, save, start, until};

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
    let schemas = [
        &trace["resourceSpans"][0]["schemaUrl"],
        &trace["resourceSpans"][0]["scopeSpans"][0]["schemaUrl"],
    ];
    assert_eq!(
        schemas,
        [29, 30]
            .map(|v| format!("https://opentelemetry.io/schemas/1.{v}.0"))
            .each_ref()
    );
    let protobuf = betrace::otlp::json::to_protobuf(trace.to_string().as_bytes());
    assert!(protobuf.is_ok());
    let never = get(&serve, &format!("/api/v1/traces/{:032x}", 5));
    assert_eq!(never.status, 404);
    assert!(
        never.text.contains("no span of this trace"),
        "{}",
        never.text
    );
    assert_eq!(get(&serve, "/api/v1/traces/5").status, 400);

    let (_folder, serve) = start(&["--ring-memory", "0", "--ring-signalled", "0"]);
    let id = charge(&serve, 7);
    serve.signal();
    let gone = get(&serve, &format!("/api/v1/traces/{id}"));
    assert!(
        gone.text.contains("was judged") && gone.text.contains("by rule set 1"),
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
fn a_silent_rule_is_told_why_it_is_silent() {
    let (folder, serve) = start(&[]);
    charge(&serve, 1);
    serve.signal();
    let wants_text = RULES.replace(
        "never.happens",
        "payment.charge_card.where(amount == \"1500\")",
    );
    save(folder.path(), &wants_text);
    let diff = until(&serve, "/api/v1/rules/silent/diff", |answer| {
        answer.status == 200
    })
    .json();
    assert_eq!(
        (&diff["fires"], &diff["candidates"], &diff["traces"]),
        (&json!(0), &json!(1), &json!(1))
    );
    let silence = &diff["silence"];
    assert_eq!(silence["candidates"], json!(1), "{diff}");
    let never = silence["never"][0]["why"].as_str().expect("text");
    assert!(never.contains("`amount` was int in 1 of 1 span"), "{diff}");
    assert_eq!(
        silence["nearest"]["trace_id"],
        json!(format!("{:032x}", 1)),
        "{diff}"
    );
    assert_eq!(diff["coverage"]["traces"], json!(1));
    let sample = diff["sample"].as_str().expect("text");
    assert!(sample.ends_with("1 of 1 root operation"), "{sample}");

    let tried = ask(
        &serve.api,
        "POST",
        "/api/v1/try",
        &[("content-type", "application/json; charset=utf-8")],
        &json!({"name": "absent", "source": "no.such_span"}).to_string(),
    );
    let tried = tried.json();
    assert_eq!(tried["verdicts"][0]["rule"], json!("absent"), "{tried}");
    let absent = &tried["verdicts"][0]["silence"]["absent"][0];
    assert!(
        absent
            .as_str()
            .is_some_and(|it| it.contains("no.such_span")),
        "{tried}"
    );
}

#[test]
fn a_rule_explains_a_trace_or_says_where_it_is() {
    let (_folder, serve) = start(&[]);
    let id = charge(&serve, 1);
    serve.signal();
    let explain =
        |rule: &str, trace: &str| get(&serve, &format!("/api/v1/rules/{rule}/explain/{trace}"));
    let fires = explain("charge-needs-check", &id).json();
    assert_eq!(fires["outcome"], json!("fires"), "{fires}");
    assert_eq!(fires["whereabouts"]["state"], json!("judged"));
    assert_eq!(fires["whereabouts"]["generation"], json!(1));
    let parts = fires["explained"]["parts"].as_array().expect("parts");
    assert!(
        parts.iter().any(|part| part["decides"] == json!(true)),
        "{fires}"
    );
    let quiet = explain("silent", &id).json();
    assert_eq!(quiet["outcome"], json!("not_asked"), "{quiet}");
    let never = explain("silent", &format!("{:032x}", 99)).json();
    assert_eq!(
        (&never["outcome"], &never["whereabouts"]["state"]),
        (&json!("unknown"), &json!("never"))
    );
    assert_eq!(explain("silnt", &id).status, 404);
    assert_eq!(explain("silent", "xyz").status, 400);
}

#[test]
fn what_can_not_be_read_is_told() {
    let (_folder, serve) = start(&[]);
    let json = [("content-type", "application/json")];
    let long = "x".repeat(256);
    for (path, headers, body) in [
        ("/api/v1/check", &json[..], "{"),
        ("/api/v1/check", &json[..], "{\"sauce\": \"a\"}"),
        ("/api/v1/check?name=a%2Fb", &[], "a"),
        ("/api/v1/check?name=a%0Ab", &[], "a"),
        ("/api/v1/check?nom=a", &[], "a"),
        (&format!("/api/v1/try?name={long}"), &[], "a"),
    ] {
        let answer = ask(&serve.api, "POST", path, headers, body);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert_eq!(answer.json()["error"]["code"], json!("bad_request"));
    }
    let answer = get(&serve, "/api/v1/rules/%ff/diff");
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(answer.json()["error"]["code"], json!("bad_request"));
    // Bytes that are no text are a rule that does not compile.
    let mut body = String::from("payment.charge_card ");
    body.push('\u{0}');
    let answer = ask(&serve.api, "POST", "/api/v1/check", &[], &body).json();
    assert_eq!(answer["ok"], serde_json::json!(false), "{answer}");
}
