//! Files to a published rule set: what is broken is told, what is not runs.

mod guests;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use betrace::columns::projection::Intrinsic;
use betrace::engine::{Engine, Worker};
use betrace::rules::compile::Source;
use betrace::rules::{Compiled, CompiledRule, Loaded, Message, Published, load, sources};
use guests::{Describe, Reads, component, engine, found, run, span};

fn rule(id: &str, constant: &str) -> Vec<u8> {
    component(
        "name",
        &Describe {
            id,
            columns: &[Reads::Intrinsic(Intrinsic::Name)],
            constants: &[constant],
            ..Describe::default()
        },
    )
}

/// A compiler for tests: each line of a file is the id of a rule that looks for spans of that name; `!` is a mistake and
/// `?` one that only warns.
fn compile(source: Source<'_>) -> Compiled {
    let text = std::str::from_utf8(source.bytes).expect("tests write text");
    let mut compiled = Compiled::default();
    for line in text.lines() {
        let message = |error| Message {
            error,
            text: format!("{}: {line} in {}", source.path.display(), source.stem),
            painted: String::new(),
        };
        match line.as_bytes() {
            [b'!', ..] => compiled.messages.push(message(true)),
            [b'?', ..] => compiled.messages.push(message(false)),
            _ => compiled.rules.push(CompiledRule {
                clean: true,
                id: line.into(),
                source: line.into(),
                component: rule(line, line),
            }),
        }
    }
    compiled
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file");
    }
    folder
}

fn load_all(engine: &Arc<Engine>, folder: &Path) -> Loaded {
    let found = sources::find(&[folder.to_owned()]);
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    load(engine, &found.files, &compile)
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    loaded.rules.iter().map(|rule| rule.id.as_str()).collect()
}

#[test]
fn a_broken_file_is_told_and_the_others_run() {
    let folder = folder(&[
        ("a.betrace", b"bypass\ncharge"),
        ("b.betrace", b"fine\n!mistake\n?odd\n!another"),
        ("c.wasm", b"not wasm"),
        ("d.wasm", &rule("component", "get")),
        ("e.betrace", b"?hm\nget"),
    ]);
    let engine = engine();
    let loaded = load_all(&engine, folder.path());
    assert_eq!(ids(&loaded), ["bypass", "charge", "component", "get"]);
    let path = |name| folder.path().join(name).display().to_string();
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            format!("{0}: !mistake in b\n{0}: !another in b", path("b.betrace")),
            format!(
                "{}: it is neither a WebAssembly component nor a core module",
                path("c.wasm")
            ),
        ]
    );
    let warnings: Vec<String> = loaded.warnings.iter().map(|w| w.text.clone()).collect();
    assert_eq!(
        warnings,
        [
            format!("{}: ?odd in b", path("b.betrace")),
            format!("{}: ?hm in e", path("e.betrace"))
        ]
    );

    let published = Published::new(loaded.rules);
    let findings = run(
        &mut Worker::new(engine),
        &published.current(),
        &[vec![span("charge", "a"), span("get", "b")]],
    );
    assert_eq!(
        (0..4)
            .map(|rule| found(&findings, rule).len())
            .collect::<Vec<_>>(),
        [0, 1, 1, 1]
    );
}

#[test]
fn of_two_rules_with_one_id_the_first_runs_and_both_files_are_named() {
    let folder = folder(&[
        ("a.betrace", b"same"),
        ("b.wasm", &rule("same", "other")),
        ("c.betrace", b"twice\ntwice"),
    ]);
    let loaded = load_all(&engine(), folder.path());
    assert_eq!(ids(&loaded), ["same", "twice"]);
    assert_eq!(loaded.rules[0].origin, folder.path().join("a.betrace"));
    let path = |name| folder.path().join(name).display().to_string();
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            format!(
                "{}: the rule `same` is already in {}; rename one of them",
                path("b.wasm"),
                path("a.betrace")
            ),
            format!(
                "{0}: the rule `twice` is already in {0}; rename one of them",
                path("c.betrace")
            ),
        ]
    );
}

#[test]
fn a_file_that_goes_away_or_is_too_long_is_a_problem_of_its_own() {
    let folder = folder(&[
        ("a.betrace", b"a"),
        ("b.betrace", &b"?\n".repeat(3 << 20)),
        ("c.betrace", b"c"),
    ]);
    let files = sources::find(&[folder.path().to_owned()]).files;
    fs::remove_file(folder.path().join("c.betrace")).expect("it was there");
    let loaded = load(&engine(), &files, &compile);
    assert_eq!(ids(&loaded), ["a"]);
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert!(
        problems[0].ends_with("b.betrace: it is longer than 4194304 bytes; split it"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("c.betrace: No such file"),
        "{problems:?}"
    );
}
