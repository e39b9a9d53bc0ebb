//! The lazy scan against prost: the same bytes accepted or rejected, the same spans and values read.

mod otlp_support;

use std::collections::BTreeMap;

use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use bytes::Bytes;
use otlp_support::plain::Plain;
use otlp_support::soup::{Choices, REQUEST, message};
use otlp_support::{mirror, plain};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Both accept `bytes` and read the same, or both reject them. Returns whether they accept.
fn agree(bytes: &[u8]) -> bool {
    let mut scan = Scan::default();
    let ours = Request::scan(Bytes::copy_from_slice(bytes), &mut scan);
    match (mirror::decode(bytes), ours) {
        (Ok(theirs), Ok(ours)) => {
            assert_eq!(plain::of_mirror(&theirs), plain::of_scan(&ours, &scan));
            true
        }
        (Err(_), Err(error)) => {
            assert!(error.offset as usize <= bytes.len());
            assert!(scan.spans.is_empty() && scan.sections.is_empty() && scan.parts.is_empty());
            false
        }
        (Ok(_), Err(error)) => panic!("only prost accepts: {error}"),
        (Err(error), Ok(_)) => panic!("only the scan accepts: {error}"),
    }
}

fn soup(choices: &[u8]) -> Vec<u8> {
    message(&mut Choices(choices), &REQUEST)
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..3_000)
}

/// One damage to some bytes; places are taken modulo their length.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(usize, u8),
    Set(usize, u8),
    Insert(usize, u8),
    Truncate(usize),
    Splice(usize, usize, usize),
    Remove(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || 0..4096_usize;
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, 1 << bit)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        1 => at().prop_map(Mutation::Truncate),
        2 => (at(), at(), 1..64_usize).prop_map(|(from, to, len)| Mutation::Splice(from, to, len)),
        1 => (at(), 1..16_usize).prop_map(|(at, len)| Mutation::Remove(at, len)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match *mutation {
        Mutation::Flip(at, bits) => bytes[at % len] ^= bits,
        Mutation::Set(at, byte) => bytes[at % len] = byte,
        Mutation::Insert(at, byte) => bytes.insert(at % len, byte),
        Mutation::Truncate(at) => bytes.truncate(at % len),
        Mutation::Splice(from, to, count) => {
            let from = from % len;
            let part = bytes[from..(from + count).min(len)].to_vec();
            let to = to % len;
            bytes.splice(to..to, part);
        }
        Mutation::Remove(at, count) => {
            let at = at % len;
            bytes.drain(at..(at + count).min(len));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_any_shape(choices in choices()) {
        agree(&soup(&choices));
    }

    #[test]
    fn damaged_requests(choices in choices(), mutations in vec(mutation(), 1..5)) {
        let mut bytes = soup(&choices);
        for mutation in &mutations {
            mutate(&mut bytes, mutation);
        }
        agree(&bytes);
    }

    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..64)) {
        agree(&bytes);
    }

    #[test]
    fn random_bytes_as_a_span(
        inner in vec(prop_oneof![3 => 0..0x20_u8, 1 => any::<u8>(), 1 => Just(0x4a_u8)], 0..60),
    ) {
        agree(&request_with_span(&[IDS, &inner].concat()));
    }

    /// A scan that was used before finds the same as a new one.
    #[test]
    fn a_scan_is_reused(first in choices(), second in choices()) {
        let mut used = Scan::default();
        let _ = Request::scan(Bytes::from(soup(&first)), &mut used);
        let mut new = Scan::default();
        let bytes = Bytes::from(soup(&second));
        let outcome = Request::scan(bytes.clone(), &mut used).map(drop);
        prop_assert_eq!(outcome, Request::scan(bytes, &mut new).map(drop));
        prop_assert_eq!(format!("{:?}", used), format!("{:?}", new));
    }
}

/// Trace id and span id of a span.
const IDS: &[u8] = b"\x0a\x10\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x12\x08\x02\x02\x02\x02\x02\x02\x02\x02";

fn delimited(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(payload.len() as u64, &mut out);
    out.extend_from_slice(payload);
    out
}

fn request_with_span(span: &[u8]) -> Vec<u8> {
    delimited(1, &delimited(2, &delimited(2, span)))
}

/// Where each message lies in a request, as field numbers from the outside.
const PATHS: [&[u8]; 15] = [
    &[],
    &[1],
    &[1, 1],
    &[1, 1, 1],
    &[1, 1, 3],
    &[1, 2],
    &[1, 2, 1],
    &[1, 2, 2],
    &[1, 2, 2, 9],
    &[1, 2, 2, 9, 2],
    &[1, 2, 2, 9, 2, 5],
    &[1, 2, 2, 9, 2, 6],
    &[1, 2, 2, 11],
    &[1, 2, 2, 13],
    &[1, 2, 2, 15],
];

fn at_path(path: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    for depth in (0..=path.len()).rev() {
        if path[..depth] == [1, 2, 2] {
            bytes = [IDS, &bytes].concat();
        }
        if let Some(number) = depth.checked_sub(1).map(|i| path[i]) {
            bytes = delimited(number, &bytes);
        }
    }
    bytes
}

/// Each field number with each wire type, in each message.
#[test]
fn every_field_and_wire_type() {
    let payloads: [&[u8]; 8] = [
        &[],
        &[0],
        &[1],
        &[0xff, 1],
        &[2, 8, 1],
        &[2, 0x0a, 0],
        &[3; 4],
        &[7; 8],
    ];
    for path in PATHS {
        for key in 0..=21 << 3 | 7_u64 {
            for payload in payloads {
                let mut content = Vec::new();
                prost::encoding::encode_varint(key, &mut content);
                content.extend_from_slice(payload);
                agree(&at_path(path, &content));
            }
        }
    }
}

/// Varints around ten bytes and 64 bits, as key, as length and as value.
#[test]
fn long_varints() {
    let mut varints = Vec::new();
    for len in 1..=11 {
        for last in [0, 1, 2, 3, 0x0a, 0x7f] {
            for middle in [0x80, 0xff] {
                let mut varint = vec![middle; len];
                varint[len - 1] = last;
                varints.push(varint);
            }
        }
    }
    for path in PATHS {
        for varint in &varints {
            agree(&at_path(path, varint));
            // A key with these bytes on top of field 1 or 10, as number and as text.
            for first in [0x8a_u8, 0x90, 0xd0] {
                for value in [&[][..], &[0], &[1, b'x']] {
                    agree(&at_path(path, &[&[first], &varint[..], value].concat()));
                }
            }
            for key in [
                0x08, 0x0a, 0x10, 0x12, 0x18, 0x20, 0x28, 0x30, 0x40, 0x4a, 0x50, 0x60, 0x70,
            ] {
                agree(&at_path(path, &[&[key], &varint[..]].concat()));
            }
        }
    }
}

/// Attributes as SDKs write them take a path of their own through the scan: each byte of one is set to each value, and each value
/// is cut short, in messages whose lengths are right.
#[test]
fn every_byte_of_a_usual_attribute() {
    let values = [
        vec![],
        delimited(1, b"eight xx"),
        vec![0x10, 1],
        vec![0x18, 0x7f],
        vec![0x18, 0xff, 0x01],
        vec![
            0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ],
        vec![0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        delimited(5, &delimited(1, &delimited(1, b"in an array"))),
    ];
    for value in &values {
        let attribute = delimited(9, &[delimited(1, b"a.key"), delimited(2, value)].concat());
        let mut bytes = at_path(&[1, 2, 2], &[attribute.clone(), attribute.clone()].concat());
        assert!(agree(&bytes));
        for end in 0..value.len() {
            let cut = [delimited(1, b"a.key"), delimited(2, &value[..end])].concat();
            agree(&at_path(&[1, 2, 2], &delimited(9, &cut)));
        }
        let first = bytes.len() - 2 * attribute.len();
        for at in first..first + attribute.len() {
            let before = bytes[at];
            for byte in 0..=255 {
                bytes[at] = byte;
                agree(&bytes);
            }
            bytes[at] = before;
        }
    }
}

/// How deep arrays, maps, groups and unknown fields may nest is the same, to the level.
#[test]
fn nesting_around_the_limit() {
    let mut outcomes = Vec::new();
    for depth in 85..105 {
        let groups = |n: usize| [[0xa3, 0x06].repeat(n), [0xa4, 0x06].repeat(n)].concat();
        let with_unknown = |n: usize| {
            [
                [0xa3, 0x06].repeat(n),
                vec![0xa0, 0x06, 1],
                [0xa4, 0x06].repeat(n),
            ]
            .concat()
        };
        outcomes.push(agree(&groups(depth)));
        outcomes.push(agree(&with_unknown(depth)));
        outcomes.push(agree(&request_with_span(&groups(depth))));
        outcomes.push(agree(&request_with_span(
            &[IDS, &with_unknown(depth)].concat(),
        )));
        let innermost: [&[u8]; 4] = [&[], b"\x0a\x01x", b"\xa0\x06\x01", &groups(1)];
        for value in innermost {
            for odd in [false, true] {
                let mut array = value.to_vec();
                let mut map = value.to_vec();
                for _ in 0..(depth - 5) / 2 {
                    array = delimited(5, &delimited(1, &array));
                    map = delimited(6, &delimited(1, &delimited(2, &map)));
                }
                if odd {
                    array = delimited(5, &array);
                    map = delimited(6, &map);
                }
                for value in [array, map] {
                    let attribute = delimited(9, &delimited(2, &value));
                    outcomes.push(agree(&request_with_span(&[IDS, &attribute].concat())));
                    let resource = delimited(1, &delimited(1, &delimited(2, &value)));
                    outcomes.push(agree(&delimited(1, &resource)));
                }
            }
        }
    }
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
}

/// The cases that the property must not leave to chance.
#[test]
fn merging_of_repeated_values() {
    let text = delimited(1, b"x");
    let array = |item: &[u8]| delimited(5, &delimited(1, &delimited(1, item)));
    let map = delimited(6, &delimited(1, &delimited(1, b"k")));
    let index = vec![0x40, 1];
    let values: [&[Vec<u8>]; 6] = [
        &[array(b"a"), array(b"b")],
        &[array(b"a"), text.clone(), array(b"b")],
        &[array(b"a"), map.clone(), array(b"b"), map.clone()],
        &[array(b"a"), index.clone()],
        &[text.clone(), index, array(b"b"), vec![], array(b"c")],
        &[map.clone(), map, text],
    ];
    for parts in values {
        let together = delimited(2, &parts.concat());
        let apart: Vec<u8> = parts.iter().flat_map(|part| delimited(2, part)).collect();
        let element = delimited(2, &delimited(5, &delimited(1, &parts.concat())));
        for value in [together, apart, element] {
            let attribute = delimited(9, &value);
            assert!(agree(&request_with_span(&[IDS, &attribute].concat())));
        }
    }
}

/// A request that is cut anywhere: the scan never accepts what prost does not.
#[test]
fn every_prefix() {
    let mut runner = TestRunner::deterministic();
    let mut cut = 0;
    while cut < 10 {
        let bytes = soup(&sample(&mut runner));
        if bytes.len() > 200 && agree(&bytes) {
            for len in 0..bytes.len() {
                agree(&bytes[..len]);
            }
            cut += 1;
        }
    }
}

/// The generator is only worth something if it gets to where bugs would be.
#[test]
fn soup_reaches_what_matters() {
    let mut runner = TestRunner::deterministic();
    let (mut accepted, mut reached) = (0, BTreeMap::<&str, u32>::new());
    for _ in 0..1_000 {
        let Ok(request) = mirror::decode(&soup(&sample(&mut runner))) else {
            continue;
        };
        accepted += 1;
        let found = plain::of_mirror(&request);
        let mut note = |what, is| *reached.entry(what).or_default() += u32::from(is);
        note("bad trace id", found.reasons.trace_id > 0);
        note("bad span id", found.reasons.span_id > 0);
        note("bad parent id", found.reasons.parent_id > 0);
        for span in &found.spans {
            let values = || span.attributes.iter().map(|(_, value)| value);
            note("span", true);
            note("root", span.is_root);
            note("child", !span.is_root);
            note("dropped", span.says_dropped);
            note("remote parent", span.remote_parent);
            note("event", span.events.iter().any(|e| !e.2.is_empty()));
            note("link", span.links.iter().any(|l| !l.3.is_empty()));
            note("status", span.status.0 != 0 && !span.status.1.is_empty());
            note("resource", span.resource.0.len() > 1);
            note("schemas", span.schemas.iter().all(|url| !url.is_empty()));
            note(
                "scope",
                !span.scope.0.is_empty() && !span.scope.2.is_empty(),
            );
            note(
                "array",
                values().any(|v| matches!(v, Plain::Array(a) if a.len() > 1)),
            );
            note(
                "map",
                values().any(|v| matches!(v, Plain::Map(m) if m.len() > 1)),
            );
        }
    }
    assert!((300..950).contains(&accepted), "{accepted} accepted");
    assert!(reached.values().all(|count| *count >= 5), "{reached:?}");
}

fn sample(runner: &mut TestRunner) -> Vec<u8> {
    let tree = choices()
        .new_tree(runner)
        .expect("a strategy without filters");
    tree.current()
}

#[test]
fn reasons_read_as_a_message() {
    let span = |ids: &[u8]| delimited(2, ids);
    let bad_span_id = [&IDS[..18], b"\x12\x08\0\0\0\0\0\0\0\0"].concat();
    let bad_parent = [IDS, b"\x22\x03abc"].concat();
    let spans = [
        span(&[]),
        span(&[]),
        span(&bad_span_id),
        span(&bad_parent),
        span(IDS),
    ]
    .concat();
    let bytes = delimited(1, &delimited(2, &spans));
    assert!(agree(&bytes));
    let mut scan = Scan::default();
    Request::scan(bytes.into(), &mut scan).expect("valid");
    assert_eq!(scan.spans.len(), 1);
    assert_eq!(
        scan.reasons.to_string(),
        "rejected 2 spans with a trace id that is not 16 bytes or is all zeros, 1 span with a span id that is not \
         8 bytes or is all zeros, 1 span with a parent span id that is not 8 bytes"
    );
}
