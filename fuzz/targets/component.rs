//! Any bytes as a rule's file: no panic, no hang, no memory past the limits; what loads survives a probe and a batch.
//!
//! The first byte says what the others are: a file as it is, a core module without its WIT, or edits of a component or module
//! that is one: compiled rules and the guests of the host's tests, by the order of their names.

#![no_main]

#[path = "../../host/tests/guests/mod.rs"]
mod guests;
mod rules_support;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use betrace::columns::projection::Intrinsic;
use guests::{Describe, On, Reads, bare_module, component, module_of, module_with};
use libfuzzer_sys::fuzz_target;

/// A header alone: eight bytes.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let bytes = match first % 4 {
        0 => rest.to_vec(),
        1 => with_wit(rest),
        _ => match rest.split_first() {
            Some((base, edits)) => edited(*base, edits),
            None => return,
        },
    };
    if let Ok(rule) = rules_support::try_load(&bytes) {
        rules_support::judge(rule);
    }
});

/// A module, with the section behind it that says of which world it is.
fn with_wit(module: &[u8]) -> Vec<u8> {
    static WIT: OnceLock<Vec<u8>> = OnceLock::new();
    let wit =
        WIT.get_or_init(|| module_of("(module)", &Describe::default()).split_off(MODULE.len()));
    [module, wit].concat()
}

/// Each edit has four bytes: where (two), what, and a value. Most keep the length, so that sections stay whole.
fn edited(base: u8, edits: &[u8]) -> Vec<u8> {
    static BASES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let bases = BASES.get_or_init(bases);
    let mut bytes = bases[base as usize % bases.len()].clone();
    for edit in edits.as_chunks::<4>().0 {
        let [low, high, what, value] = *edit;
        if bytes.is_empty() {
            break;
        }
        let at = u16::from_le_bytes([low, high]) as usize % bytes.len();
        match what % 8 {
            0..=2 => bytes[at] = value,
            3 => bytes[at] = bytes[at].wrapping_add(value),
            4 => bytes[at] ^= 1 << (value % 8),
            5 => bytes.truncate(at),
            6 => bytes.insert(at, value),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

/// Components and modules that load, and those that are made not to.
fn bases() -> Vec<Vec<u8>> {
    let describe = Describe {
        id: "guest",
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["GET"],
        triggers: &[&[On::Name("GET"), On::Attribute("amount")]],
        ..Describe::default()
    };
    let mut bases = Vec::new();
    for rule in files("rules", "betrace") {
        let source = std::fs::read(&rule).expect("the rule is there");
        let compiled = betrace_dsl::compile("rule", &source).rules;
        bases.extend(compiled.into_iter().map(|rule| rule.component));
    }
    for guest in files("host/tests/guests", "wat") {
        let name = guest
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("it is text");
        let bare = bare_module(name, &describe, &[]);
        // One is the text of a component.
        if bare.starts_with(MODULE) {
            bases.push(module_with(name, &describe, &[]));
            bases.push(component(name, &describe));
        } else {
            bases.push(bare);
        }
    }
    bases
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = files
        .map(|file| file.expect("it can be read").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|is| is == ending));
    files.sort();
    files
}
