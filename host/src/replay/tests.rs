use std::io::Write;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

use super::input::{Chunk, Input, InputError, Position, Source};
use crate::demo::call::record;
use crate::demo::export::Exporters;
use crate::demo::random::Random;
use crate::demo::shop;

/// Some requests with spans.
fn requests(seed: u64) -> Vec<ExportTraceServiceRequest> {
    let mut random = Random::new(seed);
    let mut exporters = Exporters::default();
    for _ in 0..4 {
        let visit = shop::visit(&mut random);
        exporters.add(record(&visit, 1_700_000_000_000_000_000, &mut random));
    }
    exporters.flush_all()
}

fn read(bytes: Vec<u8>) -> Result<Vec<Chunk>, InputError> {
    Input::new("traces", std::io::Cursor::new(bytes))?.collect()
}

/// All chunks as one message.
fn joined(chunks: &[Chunk]) -> ExportTraceServiceRequest {
    let bytes: Vec<u8> = chunks
        .iter()
        .flat_map(|chunk| chunk.bytes.to_vec())
        .collect();
    ExportTraceServiceRequest::decode(&bytes[..]).unwrap()
}

fn merged(requests: &[ExportTraceServiceRequest]) -> ExportTraceServiceRequest {
    let resource_spans = requests
        .iter()
        .flat_map(|r| r.resource_spans.clone())
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn framed(requests: &[ExportTraceServiceRequest], pack: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        let frame = pack(request.encode_to_vec());
        bytes.extend((frame.len() as u32).to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

#[test]
fn protobuf_is_read_in_every_packing() {
    let requests = requests(1);
    let expected = merged(&requests);
    let plain: Vec<u8> = requests
        .iter()
        .flat_map(ExportTraceServiceRequest::encode_to_vec)
        .collect();
    // Two files that were compressed and then joined are one.
    let (one, two) = (
        requests[0].encode_to_vec(),
        merged(&requests[1..]).encode_to_vec(),
    );
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for (what, bytes) in [
        ("plain", plain.clone()),
        ("gzip", gzip(&plain)),
        ("zstd", zstd(&plain)),
        ("joined gzip", [gzip(&one), gzip(&two)].concat()),
        ("joined zstd", [zstd(&one), zstd(&two)].concat()),
        ("framed", framed(&requests, |bytes| bytes)),
        ("framed zstd", framed(&requests, |bytes| zstd(&bytes))),
        ("framed gzip", framed(&requests, |bytes| gzip(&bytes))),
        (
            "framed, gzip over all",
            gzip(&framed(&requests, |bytes| bytes)),
        ),
    ] {
        let chunks = read(bytes).unwrap();
        assert_eq!(joined(&chunks), expected, "{what}");
        assert!(
            chunks.len() >= requests.len(),
            "{what} is read piece by piece"
        );
    }
}

#[test]
fn json_is_read_whether_on_one_line_or_many() {
    let one = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"a{\"}"}]}]}]}"#;
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(one).unwrap())
            .unwrap();
    let names = |text: String| -> Vec<(String, Position)> {
        let chunks = read(text.into_bytes()).unwrap();
        chunks
            .iter()
            .map(|chunk| (joined(std::slice::from_ref(chunk)), chunk.at))
            .map(|(r, at)| (r.resource_spans[0].scope_spans[0].spans[0].name.clone(), at))
            .collect()
    };
    let at = |line| ("a{\"}".to_owned(), Position::Line(line));
    assert_eq!(names(one.to_owned()), [at(1)]);
    assert_eq!(
        names(format!("\u{feff}{one}\n{one}\r\n\n{one}\n")),
        [at(1), at(2), at(4)]
    );
    let lines = pretty.lines().count() as u64;
    assert_eq!(
        names(format!("{pretty}\n{pretty}{one}")),
        [at(1), at(lines + 1), at(2 * lines)]
    );
}

#[test]
fn nothing_is_in_an_empty_input() {
    assert_eq!(read(Vec::new()).unwrap(), []);
    assert_eq!(read(b"\n  \n".to_vec()).unwrap(), []);
    assert_eq!(read(b"{}".to_vec()).unwrap().len(), 1);
}

#[test]
fn errors_name_the_file_the_place_and_what_to_do() {
    let whole = requests(2)[0].encode_to_vec();
    let cases = [
        ("not OTLP", b"hello".to_vec()),
        ("a JSON list", b"[{\"resourceSpans\":[]}]".to_vec()),
        (
            "cut JSON",
            b"{\"resourceSpans\":[]}\n{\"resourceSpans\":[{".to_vec(),
        ),
        (
            "damaged JSON",
            b"{\"resourceSpans\":[]}\n\n{\"resourceSpans\":[}".to_vec(),
        ),
        ("something between", b"{\"resourceSpans\":[]}, {}".to_vec()),
        ("cut protobuf", whole[..whole.len() - 1].to_vec()),
        ("damaged protobuf", [&whole[..], &[0x0f]].concat()),
        (
            "a huge field",
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0],
        ),
        ("a cut frame", vec![0, 0, 0, 9, 0x0a]),
        ("a frame of something", vec![0, 0, 0, 2, b'h', b'i']),
        ("a cut gzip", gzip(&whole)[..60].to_vec()),
    ];
    let report: Vec<String> = cases
        .into_iter()
        .map(|(what, bytes)| {
            let error = read(bytes).unwrap_err();
            format!("{what}: {error}\n  help: {}", error.help())
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn a_path_that_is_no_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| Source::new(path).open().map(|_| ()).unwrap_err();
    assert!(matches!(open(folder.path()), InputError::Folder { .. }));
    let missing = open(&folder.path().join("missing.json"));
    assert!(missing.to_string().contains("missing.json"));
    assert_eq!(missing.help(), "check the path; `-` reads stdin");
    assert_eq!(Source::new("-".as_ref()), Source::Stdin);
}

#[test]
fn an_input_ends_after_its_first_error() {
    let mut input = Input::new("traces", std::io::Cursor::new(b"{}\nno".to_vec())).unwrap();
    assert!(input.next().unwrap().is_ok());
    assert!(input.next().unwrap().is_err());
    assert!(input.next().is_none());
}

#[test]
fn an_input_of_nothing_ends() {
    const MOST: usize = 40 << 20;
    let zeros = || std::io::repeat(0);
    let fields = || std::io::Cursor::new([0x0a, 0].repeat(MOST / 2));
    let objects = || std::io::Cursor::new(b"{}\n".repeat(MOST / 3));
    let ended = |input: Result<Input, InputError>| {
        let (good, bad): (Vec<_>, Vec<_>) = input.unwrap().partition(Result::is_ok);
        (good.len(), bad[0].as_ref().unwrap_err().to_string())
    };
    let (good, error) = ended(Input::new("zero", zeros()));
    assert_eq!(
        (good, error.as_str()),
        (0, "zero, byte 0: the length of a message is 0")
    );
    for input in [Input::new("nil", fields()), Input::new("nil", objects())] {
        let (good, error) = ended(input);
        assert_eq!(good, 100_000);
        assert!(error.contains("empty requests"), "{error}");
    }
    // Some that are empty are nothing to mind.
    let some = [[0x0a, 0].repeat(1000), requests(1)[0].encode_to_vec()].concat();
    assert!(read(some.repeat(101)).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), head in 0_usize..6) {
        let heads: [&[u8]; 6] = [b"", b"{\"", b"\x0a", b"\x00\x00", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"];
        let _ = read([heads[head], &bytes].concat());
    }
}
