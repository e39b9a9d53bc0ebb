//! Guests for tests: rules written by hand as WebAssembly text, one behaviour a file, and batches for them.
//!
//! A guest's text holds markers for what all have in common: `(;memory;)`, `(;realloc;)` and `(;describe;)`.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use betrace::assemble::trace::{Completion, Trace};
use betrace::columns::batch::{Column, Columns, NONE, tag};
use betrace::columns::projection::{ColumnKey, Intrinsic, Place, Source};
use betrace::engine::{Engine, EngineLimits, Finding, Rule, RuleSet, Worker};
use wit_component::{ComponentEncoder, StringEncoding};

/// From the manifest of any package of the workspace, as benches use the guests too.
const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../host/tests/guests");

/// Where the manifest lies in a guest's memory; what is below is the guest's, what is above its heap.
const MANIFEST: u32 = 64 << 10;
const HEAP: u32 = 128 << 10;
/// Where `fixed.wat` answers from.
pub const ANSWER: u32 = 4096;

/// What a guest says of itself.
#[derive(Clone, Default)]
pub struct Describe<'a> {
    pub id: &'a str,
    pub abi: Option<u32>,
    pub clauses: Option<&'a [Clause<'a>]>,
    pub columns: &'a [Reads<'a>],
    pub constants: &'a [&'a str],
    pub triggers: &'a [&'a [On<'a>]],
}

#[derive(Clone, Copy)]
pub struct Clause<'a> {
    pub text: &'a str,
    pub stable: bool,
}

/// A column of spans.
#[derive(Clone, Copy)]
pub enum Reads<'a> {
    Intrinsic(Intrinsic),
    Text(Intrinsic),
    Attribute(&'a str),
    /// An intrinsic of events.
    Event(Intrinsic),
}

/// A trigger.
#[derive(Clone, Copy)]
pub enum On<'a> {
    Name(&'a str),
    Prefix(&'a str),
    Service(&'a str),
    Attribute(&'a str),
}

/// A span of a batch made by hand.
#[derive(Clone, Debug, Default)]
pub struct Span {
    pub name: &'static str,
    pub service: Option<&'static str>,
    pub amount: Option<i64>,
}

pub fn span(name: &'static str, service: &'static str) -> Span {
    Span {
        name,
        service: Some(service),
        amount: None,
    }
}

pub fn engine() -> Arc<Engine> {
    engine_with(EngineLimits {
        warm_instances: 8,
        ..EngineLimits::for_workers(2)
    })
}

pub fn engine_with(limits: EngineLimits) -> Arc<Engine> {
    Arc::new(Engine::new(limits).expect("the limits are valid"))
}

pub fn load(engine: &Engine, guest: &str, describe: &Describe<'_>) -> Arc<Rule> {
    Arc::new(Rule::load(engine, &component(guest, describe), guest).expect("the guest is a rule"))
}

pub fn set(rules: &[Arc<Rule>]) -> RuleSet {
    RuleSet::new(1, rules.to_vec())
}

/// Evaluates one batch.
pub fn run(worker: &mut Worker, set: &RuleSet, batch: &[Vec<Span>]) -> Vec<Finding> {
    let (columns, traces) = columns(set, batch);
    let mut findings = Vec::new();
    worker.evaluate(set, &columns, &traces, &mut findings);
    findings
}

/// What was found, by rule: its traces with their evidence.
pub fn found(findings: &[Finding], rule: u32) -> Vec<(u32, Vec<u32>)> {
    findings
        .iter()
        .filter(|f| f.rule == rule)
        .map(|f| (f.trace, f.rows.clone()))
        .collect()
}

/// The component of a guest.
pub fn component(guest: &str, describe: &Describe<'_>) -> Vec<u8> {
    component_with(guest, describe, &[])
}

/// The component of a guest with an answer for `fixed.wat`.
pub fn component_with(guest: &str, describe: &Describe<'_>, answer: &[u8]) -> Vec<u8> {
    ComponentEncoder::default()
        .validate(true)
        .module(&module_with(guest, describe, answer))
        .and_then(|mut encoder| encoder.encode())
        .expect("the guest is of the world `batch-rule`")
}

/// The core module of a guest, with the WIT of `batch-rule` in its custom section.
pub fn module_with(guest: &str, describe: &Describe<'_>, answer: &[u8]) -> Vec<u8> {
    with_world(bare_module(guest, describe, answer))
}

/// The core module of a text with the markers of a guest, with the WIT of `batch-rule` in its custom section.
pub fn module_of(text: &str, describe: &Describe<'_>) -> Vec<u8> {
    with_world(parsed(text, describe, &[]))
}

fn with_world(mut module: Vec<u8>) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(Path::new(WIT)).expect("the WIT parses");
    let world = resolve
        .select_world(&[package], Some("batch-rule"))
        .expect("there is such a world");
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the world encodes");
    module
}

/// The core module of a guest, and nothing that says what it is.
pub fn bare_module(guest: &str, describe: &Describe<'_>, answer: &[u8]) -> Vec<u8> {
    let text = std::fs::read_to_string(path(guest)).expect("the guest is there");
    parsed(&text, describe, answer)
}

fn parsed(text: &str, describe: &Describe<'_>, answer: &[u8]) -> Vec<u8> {
    let data = format!(
        "(data (i32.const {MANIFEST}) \"{}\")\n(data (i32.const {ANSWER}) \"{}\")",
        escape(&manifest(describe)),
        escape(answer)
    );
    let text = text
        .replace(
            "(;memory;)",
            &format!("(memory (export \"memory\") 3)\n{data}"),
        )
        .replace(
            "(;memory 64;)",
            &format!("(memory (export \"memory\") 64)\n{data}"),
        )
        .replace("(;realloc;)", REALLOC)
        .replace(
            "(;describe;)",
            "(func (export \"betrace:rule/rule@0.1.0#describe\") (result i32) (i32.const 65536))",
        );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

pub fn path(guest: &str) -> PathBuf {
    Path::new(GUESTS).join(format!("{guest}.wat"))
}

/// A heap that is emptied after each call, and what a guest answers with.
const REALLOC: &str = r#"
(global $heap (mut i32) (i32.const 131072))
(func $alloc (param $align i32) (param $size i32) (result i32)
  (local $at i32) (local $missing i32)
  (local.set $at (i32.and
    (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
    (i32.sub (i32.const 0) (local.get $align))))
  (global.set $heap (i32.add (local.get $at) (local.get $size)))
  (local.set $missing (i32.sub
    (i32.shr_u (i32.add (global.get $heap) (i32.const 65535)) (i32.const 16))
    (memory.size)))
  (if (i32.gt_s (local.get $missing) (i32.const 0))
    (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (unreachable)))))
  (local.get $at))
(func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
  (call $alloc (local.get $align) (local.get $size)))
(func (export "cabi_post_betrace:rule/rule@0.1.0#evaluate") (param i32)
  (global.set $heap (i32.const 131072)))
(func $finding (param $at i32) (param $trace i32) (param $evidence i32) (param $count i32) (param $more i32)
  (i32.store (local.get $at) (local.get $trace))
  (i32.store offset=4 (local.get $at) (i32.const 0))
  (i32.store offset=8 (local.get $at) (local.get $evidence))
  (i32.store offset=12 (local.get $at) (local.get $count))
  (i32.store offset=16 (local.get $at) (local.get $more))
  (i32.store offset=20 (local.get $at) (i32.const 8))
  (i32.store offset=24 (local.get $at) (i32.const 0)))
(func $answer (param $findings i32) (param $count i32) (result i32)
  (i32.store8 (i32.const 512) (i32.const 0))
  (i32.store (i32.const 516) (local.get $findings))
  (i32.store (i32.const 520) (local.get $count))
  (i32.const 512))
"#;

/// Bytes of a memory from `base` on, in which lists are placed behind the records that point to them.
pub struct Image {
    base: u32,
    pub bytes: Vec<u8>,
}

impl Image {
    pub fn new(base: u32, record: usize) -> Self {
        Self {
            base,
            bytes: vec![0; record],
        }
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn number(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    /// Room for a list of `count` elements of `size` bytes, pointed to from `at`; returns where it is.
    pub fn list(&mut self, at: usize, count: usize, size: usize) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let start = self.bytes.len();
        self.bytes.resize(start + count * size, 0);
        self.number(at, self.base + start as u32);
        self.number(at + 4, count as u32);
        start
    }

    pub fn text(&mut self, at: usize, text: &[u8]) {
        let start = self.list(at, text.len(), 1);
        self.put(start, text);
    }
}

/// The manifest as `describe` returns it (canonical ABI).
fn manifest(describe: &Describe<'_>) -> Vec<u8> {
    let mut image = Image::new(MANIFEST, 72);
    image.number(0, describe.abi.unwrap_or(1));
    image.text(4, describe.id.as_bytes());
    image.text(12, b"a guest");
    image.put(20, &[3]);
    let tags = image.list(24, 1, 8);
    image.text(tags, b"tests");
    image.text(32, b"found it");
    let clauses = describe.clauses.unwrap_or(&[Clause {
        text: "it",
        stable: true,
    }]);
    let at = image.list(40, clauses.len(), 16);
    for (index, clause) in clauses.iter().enumerate() {
        image.text(at + index * 16 + 4, clause.text.as_bytes());
        image.put(at + index * 16 + 12, &[u8::from(clause.stable)]);
    }
    let at = image.list(48, describe.columns.len(), 24);
    for (index, column) in describe.columns.iter().enumerate() {
        // table @0; source @4: discriminant, then at 8 the intrinsic or the attribute { place @8, key @12 };
        // text @20, compared @21.
        let at = at + index * 24;
        match column {
            Reads::Intrinsic(intrinsic) => image.put(at + 8, &[*intrinsic as u8]),
            Reads::Text(intrinsic) => {
                image.put(at + 8, &[*intrinsic as u8]);
                image.put(at + 20, &[1]);
            }
            Reads::Attribute(key) => {
                image.put(at + 4, &[1]);
                image.text(at + 12, key.as_bytes());
                image.put(at + 21, &[2]);
            }
            Reads::Event(intrinsic) => {
                image.put(at, &[1]);
                image.put(at + 8, &[*intrinsic as u8]);
            }
        }
    }
    let at = image.list(56, describe.constants.len(), 8);
    for (index, constant) in describe.constants.iter().enumerate() {
        image.text(at + index * 8, constant.as_bytes());
    }
    let at = image.list(64, describe.triggers.len(), 8);
    for (index, group) in describe.triggers.iter().enumerate() {
        let group_at = image.list(at + index * 8, group.len(), 16);
        for (index, trigger) in group.iter().enumerate() {
            // discriminant @0; text @4, or the attribute { place @4, key @8 }
            let at = group_at + index * 16;
            match trigger {
                On::Name(text) => image.text(at + 4, text.as_bytes()),
                On::Prefix(text) => {
                    image.put(at, &[1]);
                    image.text(at + 4, text.as_bytes());
                }
                On::Service(text) => {
                    image.put(at, &[2]);
                    image.text(at + 4, text.as_bytes());
                }
                On::Attribute(key) => {
                    image.put(at, &[3]);
                    image.text(at + 8, key.as_bytes());
                }
            }
        }
    }
    assert!(
        image.bytes.len() < (HEAP - MANIFEST) as usize,
        "a manifest of that size overlaps the heap"
    );
    image.bytes
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// The columns that `set` reads of a batch made by hand, and its traces.
pub fn columns(set: &RuleSet, batch: &[Vec<Span>]) -> (Columns, Vec<Trace>) {
    let mut columns = Columns::default();
    columns.symbols.reset(&set.projection.constants);
    columns.offsets.push(0);
    for trace in batch {
        let rows = *columns.offsets.last().expect("it has one") + trace.len() as u32;
        columns.offsets.push(rows);
        columns.starts.push(0);
    }
    let spans: Vec<&Span> = batch.iter().flatten().collect();
    let projected = set
        .projection
        .columns
        .iter()
        .map(|key| column(&mut columns, key, &spans))
        .collect();
    columns.columns = projected;
    let traces = batch.iter().enumerate().map(|(index, _)| Trace {
        id: [index as u8; 16],
        spans: Vec::new(),
        completion: Completion::Root,
        missing_parents: 0,
        dropped: false,
        root: 0,
        through: 0,
    });
    (columns, traces.collect())
}

fn column(columns: &mut Columns, key: &ColumnKey, spans: &[&Span]) -> Column {
    let mut symbol = |text: &str| {
        columns
            .symbols
            .intern(text.as_bytes())
            .expect("it is UTF-8")
    };
    match &key.source {
        Source::Intrinsic(Intrinsic::Name) => {
            Column::W32(spans.iter().map(|span| symbol(span.name)).collect())
        }
        Source::Intrinsic(Intrinsic::Service) => Column::W32(
            spans
                .iter()
                .map(|span| span.service.map_or(NONE, &mut symbol))
                .collect(),
        ),
        Source::Intrinsic(Intrinsic::Duration) => Column::W64(vec![-1; spans.len()]),
        Source::Attribute {
            place: Place::Any, ..
        } => Column::Attribute {
            tags: spans
                .iter()
                .map(|span| span.amount.map_or(tag::MISSING, |_| tag::INT))
                .collect(),
            values: spans
                .iter()
                .map(|span| span.amount.unwrap_or(0) as u64)
                .collect(),
        },
        other => panic!("no guest reads {other:?}"),
    }
}
