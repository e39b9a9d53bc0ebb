//! The file of a bundle.
//!
//! ```text
//! "betrace bundle\n"  format u32  header u32   all numbers little-endian
//! header: JSON, `head -c 2000` shows it
//! component, then the request of each trace, as long as the header says
//! BLAKE3 of everything before, 32 bytes
//! ```
//! Nothing of a file is believed before its checksum holds, and then nothing that its own numbers do not bear out.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Bundle, BundledTrace};
use crate::assemble::trace::Completion;
use crate::engine::fault::Fault;
use crate::engine::{EngineLimits, FaultKind};
use crate::signal::stamp::rfc3339;

/// What a bundle begins with.
pub const MAGIC: &[u8] = b"betrace bundle\n";

/// Grows when an older host could not read what a newer one writes.
pub const FORMAT: u32 = 1;

/// A file that is read: the largest component that may be configured, and as much again for the rest.
pub const MOST_BYTES: u64 = 2 << 30;

const CHECKSUM: usize = blake3::OUT_LEN;

/// A file that is no bundle that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: it is longer than {MOST_BYTES} bytes, which no bundle is", path.display())]
    TooLarge { path: PathBuf },
    #[error("{}: it is not a bundle: it does not begin like one", path.display())]
    Foreign { path: PathBuf },
    #[error("{}: it is a bundle of format {format}, and this betrace reads {FORMAT}; use the one that wrote it", path.display())]
    Format { path: PathBuf, format: u32 },
    #[error("{}: the bundle is damaged: {what}; copy it again from where it was written", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{}: the bundle's header can't be read: {reason}; use the betrace that wrote it", path.display())]
    Header { path: PathBuf, reason: String },
}

#[derive(Serialize, Deserialize)]
struct Header {
    betrace: String,
    wasmtime: String,
    /// For who looks at the file.
    faulted: String,
    faulted_at: u64,
    rule: String,
    origin: String,
    generation: u64,
    component: ComponentHeader,
    fault: FaultHeader,
    limits: LimitsHeader,
    traces: Vec<TraceHeader>,
}

#[derive(Serialize, Deserialize)]
struct ComponentHeader {
    bytes: usize,
    blake3: String,
}

#[derive(Serialize, Deserialize)]
struct FaultHeader {
    kind: String,
    message: String,
    call: u64,
}

/// The bounds of the sandbox, those of a call.
#[derive(Serialize, Deserialize)]
struct LimitsHeader {
    deadline_ns: u64,
    memory_bytes: usize,
    keep_bytes: usize,
    stack_bytes: usize,
    table_elements: usize,
    call_bytes: usize,
    trace_bytes: usize,
    result_bytes: usize,
    findings: usize,
    component_bytes: usize,
    compile_ns: u64,
}

#[derive(Serialize, Deserialize)]
struct TraceHeader {
    id: String,
    bytes: usize,
    completion: String,
    missing_parents: u32,
    dropped: bool,
    root: u32,
}

/// Whether a file begins like a bundle.
pub fn is_bundle(path: &Path) -> bool {
    let mut head = Vec::new();
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut read = || {
        File::open(path)?
            .take(MAGIC.len() as u64)
            .read_to_end(&mut head)
    };
    is_file && read().is_ok() && head == MAGIC
}

/// The bytes of a bundle's file.
pub fn encode(bundle: &Bundle) -> Vec<u8> {
    let header = Header {
        betrace: bundle.betrace.clone(),
        wasmtime: bundle.wasmtime.clone(),
        faulted: rfc3339(bundle.faulted_at),
        faulted_at: bundle.faulted_at,
        rule: bundle.rule.clone(),
        origin: bundle.origin.clone(),
        generation: bundle.generation,
        component: ComponentHeader {
            bytes: bundle.component.len(),
            blake3: blake3::hash(&bundle.component).to_hex().to_string(),
        },
        fault: FaultHeader {
            kind: bundle.fault.kind.name().to_owned(),
            message: bundle.fault.message.clone(),
            call: bundle.call,
        },
        limits: LimitsHeader::from(&bundle.limits),
        traces: bundle.traces.iter().map(TraceHeader::from).collect(),
    };
    // A struct of texts and numbers always is JSON.
    let header = serde_json::to_vec_pretty(&header).unwrap_or_default();
    let requests = bundle.traces.iter().map(|trace| &trace.request);
    let size = bundle.component.len() + requests.clone().map(Bytes::len).sum::<usize>();
    let mut out = Vec::with_capacity(MAGIC.len() + 8 + header.len() + size + CHECKSUM);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(
        &u32::try_from(header.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    out.extend_from_slice(&header);
    out.extend_from_slice(&bundle.component);
    requests.for_each(|request| out.extend_from_slice(request));
    let checksum = blake3::hash(&out);
    out.extend_from_slice(checksum.as_bytes());
    out
}

/// Reads a bundle's file.
pub fn read(path: &Path) -> Result<Bundle, BundleError> {
    let unreadable = |source| BundleError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // One byte more tells a file that is too long, whatever its metadata says.
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(BundleError::TooLarge {
            path: path.to_owned(),
        });
    }
    decode(bytes.into(), path)
}

/// The bundle in a file's bytes; `path` is where they are from.
pub fn decode(bytes: Bytes, path: &Path) -> Result<Bundle, BundleError> {
    let path = || path.to_owned();
    let damaged = |what| BundleError::Damaged { path: path(), what };
    let Some(after) = bytes.strip_prefix(MAGIC) else {
        return Err(BundleError::Foreign { path: path() });
    };
    let (format, after) = number(after).ok_or_else(|| damaged("it ends in its first bytes"))?;
    if format != FORMAT {
        return Err(BundleError::Format {
            path: path(),
            format,
        });
    }
    let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM>() else {
        return Err(damaged("it ends in its first bytes"));
    };
    // Whoever can write the file can write the checksum: it tells accidents, not lies, so what follows is checked too.
    if blake3::hash(body) != blake3::Hash::from_bytes(*checksum) {
        return Err(damaged("its checksum is another"));
    }
    let (len, _) = number(after).ok_or_else(|| damaged("it ends in its first bytes"))?;
    let mut rest = Rest {
        bytes: bytes.slice(..body.len()),
        at: MAGIC.len() + 8,
    };
    let too_short = || damaged("it is shorter than its header says");
    let header = rest.take(len as usize).ok_or_else(too_short)?;
    let header: Header = serde_json::from_slice(&header).map_err(|error| BundleError::Header {
        path: path(),
        reason: error.to_string(),
    })?;
    let unknown = |what: &str, word: &str| BundleError::Header {
        path: path(),
        reason: format!("`{word}` is no {what}"),
    };
    let component = rest.take(header.component.bytes).ok_or_else(too_short)?;
    if blake3::hash(&component).to_hex().as_str() != header.component.blake3 {
        return Err(damaged(
            "its component is not the one that its header names",
        ));
    }
    let kind = named(FaultKind::ALL, FaultKind::name, &header.fault.kind)
        .ok_or_else(|| unknown("kind of fault", &header.fault.kind))?;
    let mut traces = Vec::new();
    for trace in &header.traces {
        let completion = named(Completion::ALL, Completion::name, &trace.completion)
            .ok_or_else(|| unknown("way to complete a trace", &trace.completion))?;
        traces.push(BundledTrace {
            id: id(&trace.id).ok_or_else(|| unknown("trace id", &trace.id))?,
            request: rest.take(trace.bytes).ok_or_else(too_short)?,
            completion,
            missing_parents: trace.missing_parents,
            dropped: trace.dropped,
            root: trace.root,
        });
    }
    if rest.at != body.len() {
        return Err(damaged("it is longer than its header says"));
    }
    Ok(Bundle {
        limits: header.limits.limits(),
        betrace: header.betrace,
        wasmtime: header.wasmtime,
        faulted_at: header.faulted_at,
        rule: header.rule,
        origin: header.origin,
        generation: header.generation,
        component,
        fault: Fault::new(kind, header.fault.message),
        call: header.fault.call,
        traces,
    })
}

/// A number, and what is behind it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

fn named<T: Copy>(
    all: impl IntoIterator<Item = T>,
    name: impl Fn(T) -> &'static str,
    word: &str,
) -> Option<T> {
    all.into_iter().find(|&one| name(one) == word)
}

fn id(hex: &str) -> Option<[u8; 16]> {
    let is_id = hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = is_id.then(|| u128::from_str_radix(hex, 16).ok())?;
    number.map(u128::to_be_bytes)
}

/// Bytes that are taken piece by piece.
struct Rest {
    bytes: Bytes,
    at: usize,
}

impl Rest {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        let end = self
            .at
            .checked_add(len)
            .filter(|end| *end <= self.bytes.len())?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Some(taken)
    }
}

impl From<&BundledTrace> for TraceHeader {
    fn from(trace: &BundledTrace) -> TraceHeader {
        TraceHeader {
            id: format!("{:032x}", u128::from_be_bytes(trace.id)),
            bytes: trace.request.len(),
            completion: trace.completion.name().to_owned(),
            missing_parents: trace.missing_parents,
            dropped: trace.dropped,
            root: trace.root,
        }
    }
}

impl From<&EngineLimits> for LimitsHeader {
    fn from(limits: &EngineLimits) -> LimitsHeader {
        LimitsHeader {
            deadline_ns: u64::try_from(limits.deadline.as_nanos()).unwrap_or(u64::MAX),
            memory_bytes: limits.memory_bytes,
            keep_bytes: limits.keep_bytes,
            stack_bytes: limits.stack_bytes,
            table_elements: limits.table_elements,
            call_bytes: limits.call_bytes,
            trace_bytes: limits.trace_bytes,
            result_bytes: limits.result_bytes,
            findings: limits.findings,
            component_bytes: limits.component_bytes,
            compile_ns: u64::try_from(limits.compile.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl LimitsHeader {
    /// For one worker. An engine checks them before it believes them.
    fn limits(&self) -> EngineLimits {
        EngineLimits {
            deadline: Duration::from_nanos(self.deadline_ns),
            memory_bytes: self.memory_bytes,
            keep_bytes: self.keep_bytes,
            stack_bytes: self.stack_bytes,
            table_elements: self.table_elements,
            call_bytes: self.call_bytes,
            trace_bytes: self.trace_bytes,
            result_bytes: self.result_bytes,
            findings: self.findings,
            component_bytes: self.component_bytes,
            compile: Duration::from_nanos(self.compile_ns),
            // One rule is repeated, on one thread.
            warm_instances: 1,
            ..EngineLimits::for_workers(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let trace = |id: u8, request: &'static [u8]| BundledTrace {
            id: [id; 16],
            request: Bytes::from_static(request),
            completion: Completion::Idle,
            missing_parents: 2,
            dropped: true,
            root: 1,
        };
        Bundle {
            betrace: "0.1.0".to_owned(),
            wasmtime: "48.0.8".to_owned(),
            faulted_at: 1_700_000_000_000_000_000,
            rule: "pay".to_owned(),
            origin: "rules/pay.wasm".to_owned(),
            generation: 7,
            component: Bytes::from_static(b"\0asm and so on"),
            limits: EngineLimits {
                warm_instances: 1,
                memory_bytes: 1 << 20,
                ..EngineLimits::for_workers(1)
            },
            fault: Fault::new(FaultKind::Memory, "out of it"),
            call: 3,
            traces: vec![trace(1, b"first"), trace(2, b""), trace(3, b"third")],
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        decode(bytes.into(), Path::new("a.bundle"))
            .expect_err("it is none")
            .to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let written = encode(&bundle());
        let read = decode(written.into(), Path::new("a.bundle")).expect("it is one");
        assert_eq!(read, bundle());
    }

    #[test]
    fn any_damage_is_told_and_never_a_panic() {
        let written = encode(&bundle());
        for cut in 0..written.len() {
            let said = text(written[..cut].to_vec());
            assert!(
                said.contains("damaged") || said.contains("not a bundle"),
                "{said}"
            );
        }
        for at in 0..written.len() {
            let mut bytes = written.clone();
            bytes[at] ^= 0x20;
            text(bytes);
        }
    }

    /// With a checksum that is right, as whoever forges a file can make it.
    fn forged(change: impl Fn(&str) -> String) -> String {
        let written = encode(&bundle());
        let header = MAGIC.len() + 8;
        let len = u32::from_le_bytes(written[header - 4..header].try_into().expect("four"));
        let (head, rest) = written[header..].split_at(len as usize);
        let head = change(std::str::from_utf8(head).expect("JSON"));
        let mut bytes = written[..header - 4].to_vec();
        bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&rest[..rest.len() - CHECKSUM]);
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        text(bytes)
    }

    #[test]
    fn a_header_that_lies_is_not_believed() {
        let replaced = |from: &'static str, to: &'static str| {
            forged(move |header| {
                assert!(header.contains(from), "{header}");
                header.replace(from, to)
            })
        };
        let most = "\"bytes\": 18446744073709551615";
        assert!(replaced("\"bytes\": 5", most).contains("shorter than its header"));
        assert!(replaced("\"bytes\": 14", most).contains("shorter than its header"));
        assert!(replaced("\"bytes\": 14", "\"bytes\": 13").contains("not the one"));
        assert!(replaced("\"bytes\": 5", "\"bytes\": 4").contains("longer than its header"));
        assert!(replaced("\"memory\"", "\"magic\"").contains("`magic` is no kind of fault"));
        assert!(replaced("\"idle\"", "\"bored\"").contains("`bored` is no way"));
        assert!(replaced("\"01010101", "\"+1010101").contains("is no trace id"));
        assert!(replaced("{", "").contains("header can't be read"));
    }

    #[test]
    fn what_is_foreign_or_newer_says_so() {
        assert_eq!(
            text(b"{\"resourceSpans\": []}".to_vec()),
            "a.bundle: it is not a bundle: it does not begin like one"
        );
        let mut newer = encode(&bundle());
        newer[MAGIC.len()] = 9;
        assert_eq!(
            text(newer),
            "a.bundle: it is a bundle of format 9, and this betrace reads 1; use the one that wrote it"
        );
    }
}
