//! Whatever a component answers to `describe` and `evaluate`: no panic, and a manifest that is as it was written, or a refusal
//! where plain code says that it has to be refused.
//!
//! The first byte says what the others are: the answers' bytes as they lie in the rule's memory, or choices from which answers
//! are written that are nearly right.

#![no_main]

#[path = "../../host/tests/guests/mod.rs"]
mod guests;
mod rules_support;
#[path = "../../host/tests/otlp_support/soup.rs"]
#[allow(dead_code, reason = "of requests only the choices are used")]
mod soup;
mod written;

use std::sync::OnceLock;

use betrace::engine::LoadError;
use guests::{ANSWER, Describe, module_of};
use libfuzzer_sys::fuzz_target;
use soup::Choices;
use wit_component::ComponentEncoder;
use written::{MANIFEST, Written};

/// Room for each answer in the rule's memory.
const MANIFEST_BYTES: usize = 16 << 10;
const ANSWER_BYTES: usize = 2 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    if first % 2 == 0 {
        let Some((answer, rest)) = rest.split_first() else {
            return;
        };
        let (answer, manifest) = rest.split_at((*answer as usize).min(rest.len()));
        if let Ok(rule) = rules_support::try_load(&answering(manifest, answer)) {
            rules_support::judge(rule);
        }
    } else {
        agree(&Written::new(&mut Choices(rest)));
    }
});

/// The manifest that loads is the one that was written, and just those load that plain code says are valid.
fn agree(written: &Written) {
    let loaded =
        rules_support::try_load(&answering(&written.manifest_image, &written.answer_image));
    match (loaded, &written.manifest) {
        (Ok(rule), Some(manifest)) => {
            assert_eq!(rule.manifest, *manifest);
            assert!(written.is_valid(), "it loads: {manifest:?}");
            rules_support::judge(rule);
        }
        (Ok(rule), None) => panic!("no value of its type became {:?}", rule.manifest),
        (Err(LoadError::Manifest { error, .. }), Some(manifest)) => {
            assert!(!written.is_valid(), "{error}: {manifest:?}");
        }
        (Err(LoadError::Describe { .. }), None) => {}
        (Err(error), _) => panic!("{error}"),
    }
}

/// A component that answers with these bytes. It is built once: then only its memory's content changes.
fn answering(manifest: &[u8], answer: &[u8]) -> Vec<u8> {
    static BUILT: OnceLock<(Vec<u8>, [usize; 2])> = OnceLock::new();
    let (component, [manifest_at, answer_at]) = BUILT.get_or_init(|| {
        let fixed = include_str!("../../host/tests/guests/fixed.wat");
        let marks = [
            (MANIFEST, MANIFEST_BYTES, 0xa5),
            (ANSWER, ANSWER_BYTES, 0x5a),
        ];
        let data = marks.map(|(at, bytes, mark)| {
            format!(
                "(data (i32.const {at}) \"{}\")",
                format!("\\{mark:02x}").repeat(bytes)
            )
        });
        let memory = format!("(memory (export \"memory\") 64) {}", data.concat());
        let module = module_of(
            &fixed.replace("(;memory 64;)", &memory),
            &Describe::default(),
        );
        let component = ComponentEncoder::default()
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .expect("the guest is of the world `batch-rule`");
        let places = marks.map(|(_, bytes, mark)| {
            let mut runs = component.windows(bytes);
            runs.position(|run| run.iter().all(|byte| *byte == mark))
                .expect("it is there")
        });
        (component, places)
    });
    let mut component = component.clone();
    let places = [
        (*manifest_at, MANIFEST_BYTES, manifest),
        (*answer_at, ANSWER_BYTES, answer),
    ];
    for (at, room, bytes) in places {
        let bytes = &bytes[..bytes.len().min(room)];
        component[at..at + room].fill(0);
        component[at..at + bytes.len()].copy_from_slice(bytes);
    }
    component
}
