//! OTLP JSON to protobuf and back: what the JSON says, prost reads from the bytes; bad JSON says where and why.

mod otlp_support;

use betrace::otlp::json::{
    JsonError, documents, span_to_json, spans_to_json, to_protobuf, value_to_json,
};
use betrace::otlp::request::Request;
use betrace::otlp::scan::{Scan, scan};
use otlp_support::mirror::{self, Member};
use otlp_support::soup::{Choices, REQUEST, message};
use otlp_support::{plain, render};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use serde_json::json;

/// Any request that JSON can say.
fn request() -> impl Strategy<Value = mirror::Request> {
    vec(any::<u8>(), 0..3_000).prop_map(|choices| {
        let bytes = message(&mut Choices(&choices), &REQUEST);
        let mut request = mirror::Request::decode(&*bytes).unwrap_or_default();
        render::limit_to_json(&mut request);
        request
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn prost_reads_what_the_json_says(request in request(), style in vec(any::<u8>(), 0..4_000)) {
        let json = render::request(&mut Choices(&style), &request);
        let bytes = to_protobuf(json.as_bytes()).map_err(|e| TestCaseError::fail(format!("{e}: {json}")))?;
        prop_assert!(bytes.len() <= json.len());
        let read = mirror::decode(&bytes).map_err(TestCaseError::fail)?;
        // Compared as bytes, since NaN is not equal to itself.
        prop_assert_eq!(read.encode_to_vec(), request.encode_to_vec());
    }

    /// Span by span to JSON and back.
    #[test]
    fn spans_come_back(request in request()) {
        let mut found = Scan::default();
        let ours = Request::scan(request.encode_to_vec().into(), &mut found).expect("prost wrote it");
        let spans = plain::of_scan(&ours, &found).spans;
        for (scanned, before) in found.spans.iter().zip(spans) {
            let json = span_to_json(&ours, scanned.section, scanned.range).to_string();
            let bytes = to_protobuf(json.as_bytes()).map_err(|e| TestCaseError::fail(format!("{e}: {json}")))?;
            let mut again = Scan::default();
            let read = Request::scan(bytes.into(), &mut again).expect("converted");
            prop_assert_eq!(vec![before], plain::of_scan(&read, &again).spans);
        }
    }

    /// All spans of a request as one, in any order: each is there with its own resource and scope.
    #[test]
    fn whole_traces_come_back(request in request(), order in vec(any::<usize>(), 0..20)) {
        let mut found = Scan::default();
        let ours = Request::scan(request.encode_to_vec().into(), &mut found).expect("prost wrote it");
        let all = plain::of_scan(&ours, &found).spans;
        let order: Vec<usize> = order.iter().map(|at| at % all.len().max(1)).filter(|at| *at < all.len()).collect();
        let before: Vec<_> = order.iter().map(|&at| all[at].clone()).collect();
        let spans = order.iter().map(|&at| (found.spans[at].section, found.spans[at].range));
        let json = spans_to_json(&ours, spans).to_string();
        let bytes = to_protobuf(json.as_bytes()).map_err(|e| TestCaseError::fail(format!("{e}: {json}")))?;
        let mut again = Scan::default();
        let read = Request::scan(bytes.into(), &mut again).expect("converted");
        prop_assert_eq!(before, plain::of_scan(&read, &again).spans);
    }

    /// Damaged JSON is no reason to panic, and what still passes is JSON and scans.
    #[test]
    fn damaged_json(
        request in request(),
        damage in vec((any::<usize>(), prop_oneof![
            any::<u8>(),
            prop::sample::select(br#"{}[]",:\ud800 e.-+0n"#.as_slice()),
        ], 0..3_u8), 1..4),
    ) {
        let mut json = render::request(&mut Choices(&[]), &request).into_bytes();
        for (at, byte, how) in damage {
            let at = at % json.len().max(1);
            match how {
                0 if at < json.len() => json[at] = byte,
                1 => json.insert(at, byte),
                _ if at < json.len() => drop(json.remove(at)),
                _ => {}
            }
        }
        check_any(&json)?;
    }

    #[test]
    fn any_text(json in r#"[\[\]{}",:0-9eE.+\-ntrue falsu\\]{0,40}"#, before in 0..4_usize) {
        let prefix = ["", r#"{"a":"#, r#"{"resourceSpans":["#, r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"flags":"#];
        check_any(format!("{}{json}", prefix[before]).as_bytes())?;
    }
}

/// Whatever the text: an error, or bytes that scan, from what serde_json calls JSON as well.
fn check_any(json: &[u8]) -> Result<(), TestCaseError> {
    let Ok(bytes) = to_protobuf(json) else {
        return Ok(());
    };
    prop_assert!(scan(&bytes, &mut Scan::default()).is_ok());
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
    if let Err(error) = serde_json::from_slice::<serde_json::Value>(json) {
        // It refuses numbers beyond f64 even where nobody reads them, and halves of surrogate pairs.
        let error = error.to_string();
        let known = ["out of range", "surrogate", "hex escape", "recursion limit"];
        prop_assert!(known.iter().any(|k| error.contains(k)), "{}", error);
    }
    Ok(())
}

fn convert(json: &str) -> Result<mirror::Request, JsonError> {
    to_protobuf(json.as_bytes())
        .map(|bytes| mirror::decode(&bytes).expect("converted bytes decode"))
}

/// A request with one span that has these fields.
fn span_json(fields: &str) -> String {
    format!(r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{{{fields}}}]}}]}}]}}"#)
}

fn span(fields: &str) -> mirror::Span {
    let request = convert(&span_json(fields)).unwrap_or_else(|error| panic!("{error}"));
    request.resource_spans[0].scope_spans[0].spans[0].clone()
}

#[test]
fn numbers_keep_every_digit() {
    let span = span(
        r#""startTimeUnixNano": "1544712660300000001", "endTimeUnixNano": 18446744073709551615, "kind": "SPAN_KIND_CLIENT",
        "flags": 4294967295, "attributes": [
            {"key": "a", "value": {"intValue": "-9223372036854775808"}},
            {"key": "b", "value": {"intValue": 9007199254740993}},
            {"key": "c", "value": {"intValue": 1.5e3}},
            {"key": "d", "value": {"doubleValue": 0.1}},
            {"key": "e", "value": {"doubleValue": "-Infinity"}},
            {"key": "f", "value": {"doubleValue": 5e-324}}]"#,
    );
    assert_eq!(span.start_time_unix_nano, 1_544_712_660_300_000_001);
    assert_eq!(span.end_time_unix_nano, u64::MAX);
    assert_eq!((span.kind, span.flags), (3, u32::MAX));
    let values: Vec<Member> = span
        .attributes
        .into_iter()
        .filter_map(|a| a.value?.value)
        .collect();
    let expected = [
        Member::Int(i64::MIN),
        Member::Int(9_007_199_254_740_993),
        Member::Int(1_500),
        Member::Double(0.1),
        Member::Double(f64::NEG_INFINITY),
        Member::Double(5e-324),
    ];
    assert_eq!(values, expected);
}

#[test]
fn text_takes_escapes_and_halves_of_pairs() {
    let name =
        |json: &str| String::from_utf8(span(&format!(r#""name": "{json}""#)).name).expect("text");
    assert_eq!(
        name(r#"\"\\\/\b\f\n\r\t\u00e9é"#),
        "\"\\/\u{8}\u{c}\n\r\té\u{e9}"
    );
    assert_eq!(name(r"\ud83d\ude00"), "😀");
    assert_eq!(
        name(r"a\ud83db\ude00c\ud83d\u0041"),
        "a\u{fffd}b\u{fffd}c\u{fffd}A"
    );
    assert_eq!(name(r"\ud83d\ud83d\ude00\ud83d"), "\u{fffd}😀\u{fffd}");
    assert_eq!(name(r"\u0000"), "\0");
}

#[test]
fn null_is_absent_and_unknown_keys_are_ignored() {
    let span = span(
        r#""name": null, "attributes": null, "status": null, "x": {"y": [null]}, "kind": null, "trace_id": "aB""#,
    );
    assert_eq!(
        span,
        mirror::Span {
            trace_id: vec![0xab],
            ..mirror::Span::default()
        }
    );
    assert_eq!(
        convert(r#"{"resourceLogs": []}"#),
        Ok(mirror::Request::default())
    );
}

#[test]
fn errors_say_where_and_what() {
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let nested = format!(
        "{}{{}}{}",
        r#"{"arrayValue":{"values":["#.repeat(60),
        "]}}".repeat(60)
    );
    let cases = [
        ("", "", "expected an object, found the end of the text"),
        ("[]", "", "expected an object, found an array"),
        ("{} x", "", "expected the end of the text, found `x`"),
        ("{\"a\":1,}", "", "a comma has nothing behind it"),
        ("{\"a\" 1}", "", "expected `:`, found a number"),
        ("{a:1}", "", "expected a key, found `a`"),
        ("{\"a\": nul}", "", "expected `null`"),
        ("{\"a\": 01}", "", "expected `,` or `}`, found a number"),
        ("{\"a\": -}", "", "a number is malformed"),
        ("{\"a\": \"\\x\"}", "", "an escape sequence is unknown"),
        (
            "{\"a\": \"\\u12g4\"}",
            "",
            "`\\u` needs four hexadecimal digits",
        ),
        ("{\"a\": \"x", "", "a string has no end"),
        (
            "{\"a\": \"\n\"}",
            "",
            "a string holds a control character, which must be escaped",
        ),
        (
            &format!("{{\"a\": {}}}", deep(101)),
            "",
            "nests deeper than 100",
        ),
        (
            "{\"resourceSpans\": {}}",
            "resourceSpans",
            "expected an array, found an object",
        ),
        (
            "{\"resourceSpans\": [{}, null]}",
            "resourceSpans[1]",
            "expected an object, found `n`",
        ),
        (
            "{\"resourceSpans\": [{}",
            "resourceSpans",
            "expected `,` or `]`, found the end of the text",
        ),
    ];
    for (json, path, what) in cases {
        let error = convert(json).expect_err(json);
        assert_eq!((&*error.path, &*error.what), (path, what), "{json}");
    }
    let in_span = [
        (
            r#""traceId": "0g""#,
            "traceId",
            "expected hexadecimal digits, two a byte, found `0g`",
        ),
        (
            r#""traceId": "abc""#,
            "traceId",
            "expected hexadecimal digits, two a byte, found `abc`",
        ),
        (
            r#""traceId": 12"#,
            "traceId",
            "expected a string, found a number",
        ),
        (r#""name": "a", "name": "b""#, "name", "is there twice"),
        (
            r#""kind": "SERVER""#,
            "kind",
            "expected an integer or one of SPAN_KIND_UNSPECIFIED, SPAN_KIND_INTERNAL, \
            SPAN_KIND_SERVER, SPAN_KIND_CLIENT, SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER, found `SERVER`",
        ),
        (
            r#""flags": -1"#,
            "flags",
            "expected an integer of 32 bits, not negative, found `-1`",
        ),
        (
            r#""endTimeUnixNano": 1.5"#,
            "endTimeUnixNano",
            "expected an integer of 64 bits, not negative, found `1.5`",
        ),
        (
            r#""attributes": [{"value": {"intValue": "9223372036854775808"}}]"#,
            "attributes[0].value.intValue",
            "expected an integer of 64 bits, found `9223372036854775808`",
        ),
        (
            r#""attributes": [{"value": {"doubleValue": "nan"}}]"#,
            "attributes[0].value.doubleValue",
            "expected a number, `NaN`, `Infinity` or `-Infinity`, found `nan`",
        ),
        (
            r#""attributes": [{"value": {"boolValue": "true"}}]"#,
            "attributes[0].value.boolValue",
            "expected `true` or `false`, found a string",
        ),
        (
            r#""attributes": [{"value": {"bytesValue": "?"}}]"#,
            "attributes[0].value.bytesValue",
            "expected base64, found `?`",
        ),
        (
            r#""attributes": [{}, {"value": {"intValue": 1, "stringValue": "x"}}]"#,
            "attributes[1].value.stringValue",
            "a value can't have two types",
        ),
        (
            r#""events": [{"attributes": [{"key": {}}]}]"#,
            "events[0].attributes[0].key",
            "expected a string, found an object",
        ),
    ];
    for (fields, path, what) in in_span {
        let error = convert(&span_json(fields)).expect_err(fields);
        assert_eq!(
            error.path,
            format!("resourceSpans[0].scopeSpans[0].spans[0].{path}")
        );
        assert_eq!(error.what, what);
    }
    let too_deep = convert(&span_json(&format!(
        r#""attributes": [{{"value": {nested}}}]"#
    )))
    .expect_err("deep");
    assert_eq!(too_deep.what, "messages nest deeper than 100");
    let bad = to_protobuf(b"{\"resourceSpans\":\n [{\"schemaUrl\": 1}]}").expect_err("a number");
    assert_eq!(
        bad.to_string(),
        "invalid OTLP JSON at `resourceSpans[0].schemaUrl` (line 2, column 17): expected a string, found a number"
    );
    assert_eq!(
        to_protobuf(b"{\xff").expect_err("no text").what,
        "the text is not UTF-8"
    );
}

/// As deep as JSON may nest is as deep as the scan allows, to the level.
#[test]
fn nesting_is_the_scans() {
    let value = |n: usize| {
        format!(
            "{}{{}}{}",
            r#"{"arrayValue":{"values":["#.repeat(n),
            "]}}".repeat(n)
        )
    };
    let json = |n| span_json(&format!(r#""attributes": [{{"value": {}}}]"#, value(n)));
    // ResourceSpans, ScopeSpans, Span, KeyValue, AnyValue, and two for each array.
    let deepest = (100 - 5) / 2;
    let bytes = to_protobuf(json(deepest).as_bytes()).expect("as deep as may be");
    assert!(scan(&bytes, &mut Scan::default()).is_ok());
    assert!(convert(&json(deepest + 1)).is_err());
    for bomb in ["[", "{\"a\":", "{\"resourceSpans\":["] {
        assert!(to_protobuf(bomb.repeat(1_000_000).as_bytes()).is_err());
        assert!(to_protobuf(format!("{{\"a\":{}", bomb.repeat(1_000_000)).as_bytes()).is_err());
    }
}

#[test]
fn documents_follow_one_another() {
    let text = "{\"resourceSpans\": [{}]}\n{\"resourceLogs\": []}\r\n\n{\n \"resourceSpans\": [{},\n {}]\n}";
    let counts =
        documents(text.as_bytes()).map(|d| mirror::decode(&d.expect("valid")).expect("valid"));
    let counts: Vec<usize> = counts.map(|request| request.resource_spans.len()).collect();
    assert_eq!(counts, [1, 0, 2]);
    let mut broken = documents(b"{}\n{]\n{}");
    assert!(matches!(broken.next(), Some(Ok(_))));
    assert!(matches!(
        broken.next(),
        Some(Err(JsonError { line: 2, .. }))
    ));
    assert!(broken.next().is_none());
    assert_eq!(documents(b" \n").count(), 0);
}

#[test]
fn values_as_a_person_writes_them() {
    let json = span_json(
        r#""traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "attributes": [
        {"key": "a", "value": {"intValue": 1500}}, {"key": "b", "value": {"stringValue": "x"}},
        {"key": "c", "value": {"arrayValue": {"values": [{"intValue": 1}, {"boolValue": true}, {}]}}},
        {"key": "d", "value": {"kvlistValue": {"values": [
            {"key": "a", "value": {"doubleValue": 0.5}}, {"key": "a", "value": {"intValue": 2}}]}}},
        {"key": "e", "value": {"bytesValue": "AQID"}}, {"key": "f", "value": {"doubleValue": "NaN"}}, {"key": "g"}]"#,
    );
    let mut found = Scan::default();
    let bytes = to_protobuf(json.as_bytes()).expect("valid");
    let request = Request::scan(bytes.into(), &mut found).expect("valid");
    let range = found.spans[0].range;
    let values: Vec<_> = request
        .span(range)
        .attributes()
        .map(|(_, v)| value_to_json(v))
        .collect();
    let expected = json!([1500, "x", [1, true, null], {"a": 0.5}, "AQID", "NaN", null]);
    assert_eq!(serde_json::Value::from(values), expected);
    let whole = span_to_json(&request, 0, range);
    let span = &whole["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "5b8efff798038103d269b633813fc60c");
    assert_eq!(
        span["attributes"][0],
        json!({"key": "a", "value": {"intValue": "1500"}})
    );
}
