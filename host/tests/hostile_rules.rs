//! The corpus of hostile rules, one after the other beside honest ones over the same traffic. Of each: the host lives, the
//! other rules find all that they find without it, the fault is counted with its kind, and its text says what it was.
//!
//! `engine_faults.rs` looks closer at single ones.

mod guests;

use std::sync::Arc;
use std::time::Duration;

use betrace::columns::projection::Intrinsic;
use betrace::engine::{Engine, EngineLimits, FaultKind, LoadError, Rule, Worker};
use betrace::time::Time;
use guests::{
    ANSWER, Describe, Image, Reads, Span, columns, component, component_with, engine_with, found,
    load, module_of, path, set, span,
};

/// Batches of traffic: more than a guest behaves for.
const BATCHES: usize = 1_010;

/// What a hostile rule leads to.
enum Leads {
    /// It is refused when it is loaded, and that is said.
    Refused(&'static str),
    /// It faults in so many calls at least, like this.
    Faults(FaultKind, &'static str),
    /// It harms nobody.
    Nothing,
}

struct Hostile {
    name: &'static str,
    component: Vec<u8>,
    leads: Leads,
}

fn describe(id: &'static str) -> Describe<'static> {
    Describe {
        id,
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["bypass"],
        ..Describe::default()
    }
}

fn guest(name: &'static str, leads: Leads) -> Hostile {
    let component = component(name, &describe("hostile"));
    Hostile {
        name,
        component,
        leads,
    }
}

fn answers(name: &'static str, answer: &[u8], leads: Leads) -> Hostile {
    let component = component_with("fixed", &describe("hostile"), answer);
    Hostile {
        name,
        component,
        leads,
    }
}

/// The bytes of an answer whose record is these bytes and zeros.
fn record(bytes: &[u8]) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    image.put(0, bytes);
    image.bytes
}

/// `ok` with one finding, and what `write` makes of it.
fn finding(write: impl Fn(&mut Image, usize)) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    let at = image.list(4, 1, 28);
    image.list(at + 8, 0, 4);
    image.list(at + 20, 0, 16);
    write(&mut image, at);
    image.bytes
}

/// `ok` with so many findings that lie where all is zero.
fn zeros(count: u32) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    image.number(4, 192 << 10);
    image.number(8, count);
    image.bytes
}

/// A rule with one function of so many additions.
fn long_function(additions: usize) -> Vec<u8> {
    let text = std::fs::read_to_string(path("name")).expect("the guest is there");
    let body = "(local.set $a (i64.add (local.get $a) (i64.const 1)))".repeat(additions);
    let marker = "(;realloc;)";
    let function = format!("{marker}\n(func (local $a i64) {body})");
    module_of(&text.replacen(marker, &function, 1), &describe("hostile"))
}

/// A component of so many bytes, most of them in a section that means nothing.
fn padded(bytes: usize) -> Vec<u8> {
    let mut component = component("name", &describe("hostile"));
    let payload = bytes as u32;
    component.push(0);
    let mut left = payload;
    while left >= 0x80 {
        component.push(left as u8 | 0x80);
        left >>= 7;
    }
    component.push(left as u8);
    component.push(4);
    component.extend_from_slice(b"none");
    component.resize(component.len() + bytes - 5, 0);
    component
}

fn corpus() -> Vec<Hostile> {
    use FaultKind::{Error, Index, Invalid, Memory, Stack, Timeout, TooMuch, Trap};
    use Leads::{Faults, Nothing, Refused};
    let intrinsics = [Intrinsic::Name, Intrinsic::Service, Intrinsic::Duration];
    // All columns that a manifest may ask for, and one more.
    let keys: Vec<String> = (0..257).map(|key| format!("key.{key}")).collect();
    let reads: Vec<Reads<'_>> = keys.iter().map(|key| Reads::Attribute(key)).collect();
    let all = intrinsics.map(Reads::Intrinsic);
    let everything = |columns: &[Reads<'_>]| {
        let describe = Describe {
            columns,
            ..describe("hostile")
        };
        component_with("fixed", &describe, &record(&[0]))
    };
    let mut corpus = vec![
        guest("trap", Faults(Trap, "unreachable")),
        guest("loop", Faults(Timeout, "")),
        guest("recursion", Faults(Stack, "call stack exhausted")),
        guest("grow", Faults(Memory, "unreachable")),
        guest("table_grow", Faults(Memory, "unreachable")),
        guest("hoard", Nothing),
        guest("realloc_trap", Faults(Trap, "unreachable")),
        guest("realloc_loop", Faults(Timeout, "")),
        guest("realloc_outside", Faults(Invalid, "")),
        guest("realloc_unaligned", Faults(Invalid, "align")),
        guest("post_trap", Faults(Trap, "unreachable")),
        guest("thousandth", Faults(Trap, "unreachable")),
        guest("describe_changes", Faults(Index, "clause 1")),
        guest("describe_trap", Refused("`describe` failed: trap: ")),
        guest("describe_loop", Refused("`describe` failed: timeout: ")),
        guest("describe_wrong", Refused("`describe` failed: invalid: ")),
        guest(
            "start_trap",
            Refused("no instance can be made of it: start: "),
        ),
        answers(
            "an error",
            &[&[1][..], &[0; 11]].concat(),
            Faults(Error, "without a text"),
        ),
        answers(
            "neither ok nor an error",
            &record(&[7]),
            Faults(Invalid, ""),
        ),
        answers(
            "more findings than may be",
            &zeros(20_000),
            Faults(TooMuch, "findings"),
        ),
        answers(
            "more bytes than are lifted",
            &zeros(140_000),
            Faults(TooMuch, ""),
        ),
        answers(
            "findings outside of memory",
            &zeros(u32::MAX / 28),
            Faults(Invalid, ""),
        ),
        answers(
            "an error that is not text",
            &{
                let mut image = Image::new(ANSWER, 12);
                image.put(0, &[1]);
                image.text(4, b"\xff\xfe");
                image.bytes
            },
            Faults(Invalid, "utf-8"),
        ),
        answers(
            "a trace that is not there",
            &finding(|image, at| image.number(at, u32::MAX)),
            Faults(Index, "trace"),
        ),
        answers(
            "a clause that is not there",
            &finding(|image, at| image.number(at + 4, 9)),
            Faults(Index, "clause 9"),
        ),
        answers(
            "a span that is not there",
            &finding(|image, at| {
                let list = image.list(at + 8, 1, 4);
                image.number(list, u32::MAX);
            }),
            Faults(Index, ""),
        ),
        answers(
            "a value of no kind",
            &finding(|image, at| {
                let list = image.list(at + 20, 1, 16);
                image.put(list, &[99]);
            }),
            Faults(Invalid, ""),
        ),
    ];
    let more = [
        (
            "imports that it may not have",
            wat::parse_file(path("import")).expect("it is WebAssembly text"),
            Refused("it imports `wasi:clocks/monotonic-clock@0.2.0`, `secret`"),
        ),
        (
            "a manifest that asks for more than there may be",
            everything(&reads),
            Refused("its manifest is not valid: the number of columns is 257"),
        ),
        (
            "a manifest that asks for all that there may be",
            everything(&[&reads[..253], &all].concat()),
            Nothing,
        ),
        (
            "a module of 100 MiB",
            padded(100 << 20),
            Refused("at most 33554432 are allowed"),
        ),
        (
            "a function that takes seconds to compile",
            long_function(1_000_000),
            Refused("raise `rule-compile`"),
        ),
    ];
    corpus.extend(more.map(|(name, component, leads)| Hostile {
        name,
        component,
        leads,
    }));
    corpus
}

/// A batch of traffic: in each an honest rule has something to find.
fn batch(number: usize) -> Vec<Vec<Span>> {
    let mut batch = vec![vec![span("charge", "pay")]; 3];
    batch[number % 3].push(span("bypass", "pay"));
    batch
}

#[test]
fn beside_a_hostile_rule_the_others_find_all_that_they_find_without_it() {
    let engine = engine_with(EngineLimits {
        warm_instances: 8,
        // What loops here is ended soon, as it is no matter how long it would take.
        deadline: Duration::from_millis(20),
        ..EngineLimits::for_workers(2)
    });
    for hostile in corpus() {
        let loaded = Rule::load(&engine, &hostile.component, hostile.name).map(Arc::new);
        let rule = match (&hostile.leads, loaded) {
            (Leads::Refused(why), Err(error)) => {
                let text = error.to_string();
                assert!(text.contains(why), "{}: {text}", hostile.name);
                assert!(text.starts_with(hostile.name), "it is named: {text}");
                None
            }
            (Leads::Refused(_), Ok(_)) => panic!("{}: it was not refused", hostile.name),
            (_, Err(error)) => panic!("{}: {error}", hostile.name),
            (_, Ok(rule)) => Some(rule),
        };
        traffic(&engine, hostile.name, rule.as_ref());
        if let (Some(rule), Leads::Faults(kind, why)) = (&rule, &hostile.leads) {
            let counts = rule.counts();
            let fault = rule.last_fault().expect("it faulted");
            assert!(
                counts.faults(*kind) >= 1 && counts.faults(*kind) == counts.all_faults(),
                "{}: {counts:?} {fault}",
                hostile.name
            );
            let text = fault.to_string().to_lowercase();
            let told =
                text.starts_with(kind.name()) && text.contains(why) && !fault.message.is_empty();
            assert!(told, "{}: {text}", hostile.name);
        }
        if let (Some(rule), Leads::Nothing) = (&rule, &hostile.leads) {
            assert_eq!(
                rule.counts().all_faults(),
                0,
                "{}: {:?}",
                hostile.name,
                rule.last_fault()
            );
        }
    }
}

/// Batch after batch, a millisecond apart, to an honest rule before and one behind the hostile one.
fn traffic(engine: &Arc<Engine>, name: &str, hostile: Option<&Arc<Rule>>) {
    let honest = [
        load(engine, "name", &describe("before")),
        load(engine, "name", &describe("after")),
    ];
    let mut rules = honest.to_vec();
    if let Some(hostile) = hostile {
        rules.insert(1, hostile.clone());
    }
    let set = set(&rules);
    let last = rules.len() as u32 - 1;
    let mut worker = Worker::new(engine.clone());
    let mut incidents = Vec::new();
    for number in 0..BATCHES {
        let (columns, traces) = columns(&set, &batch(number));
        let now = Time::default().after(Duration::from_millis(number as u64));
        let mut findings = Vec::new();
        worker.evaluate_live(&set, &columns, &traces, &mut findings, now, &mut incidents);
        for rule in [0, last] {
            let traces: Vec<u32> = found(&findings, rule)
                .iter()
                .map(|(trace, _)| *trace)
                .collect();
            assert_eq!(
                traces,
                [number as u32 % 3],
                "{name}, batch {number}, rule {rule}"
            );
        }
    }
    for rule in &honest {
        let counts = rule.counts();
        assert_eq!((counts.all_faults(), counts.unjudged), (0, 0), "{name}");
        assert_eq!(counts.traces, 3 * BATCHES as u64, "{name}");
    }
    if let Some(rule) = hostile {
        let counts = rule.counts();
        assert!(counts.all_faults() <= 5, "{name}: the breaker ends it");
        // Each trace was given to it or is counted.
        let judged = 3 * BATCHES as u64 - counts.unjudged;
        assert!(judged <= counts.traces, "{name}: {counts:?}");
        assert_eq!(incidents.len() as u64, counts.all_faults(), "{name}");
    }
}

#[test]
fn what_could_take_too_long_to_compile_is_refused_before_it_is_compiled() {
    let load = |additions: usize| {
        let engine = engine_with(EngineLimits {
            compile: Duration::from_secs(1),
            ..EngineLimits::for_workers(1)
        });
        Rule::load(&engine, &long_function(additions), "long.wasm")
    };
    assert!(load(1_000).is_ok());
    let error = load(20_000).expect_err("140 KB in one function");
    assert!(matches!(error, LoadError::Effort { .. }));
    let text = error.to_string();
    let says = "long.wasm: to compile it could take 2 s, of which one function of 140004 bytes 2 s, and at most 1 s are allowed";
    assert!(text.starts_with(says), "{text}");
}
