//! The corpus of mistakes: each folder of `tests/diagnostics` holds a rule file and `expected.txt`, what its author is
//! told. `BLESS=1 cargo test -p betrace-dsl --test diagnostics` writes what is told now.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use betrace_dsl::compile;
use betrace_dsl::diagnostic::{Code, Diagnostic, Level};

/// Their sources are too large to be kept, and `large.rs` makes them; or there is none, as far as anybody knows; or
/// `compile` tells of none, as `explain` does.
const WITHOUT_CASE: &[Code] = &[
    Code::FileTooLarge,
    Code::RuleTooLarge,
    Code::TooManyErrors,
    Code::RegexTooLarge,
    Code::NotEmitted,
    Code::NoSuchRule,
];

/// A folder, its rule file, and what the compiler says of it.
struct Case {
    folder: PathBuf,
    diagnostics: Vec<Diagnostic>,
    text: String,
}

fn cases() -> Vec<Case> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut folders: Vec<PathBuf> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders.into_iter().map(case).collect()
}

fn case(folder: PathBuf) -> Case {
    let mut files = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|end| end == "betrace"));
    let file = file.unwrap_or_else(|| panic!("{} holds no rule file", folder.display()));
    let source = fs::read(&file).unwrap();
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let diagnostics = compile(stem, &source).diagnostics;
    let source = String::from_utf8_lossy(&source);
    let name = file.file_name().unwrap().to_str().unwrap();
    let rendered = diagnostics
        .iter()
        .map(|told| told.render(name, &source, false));
    let text = rendered.collect::<Vec<_>>().join("\n\n") + "\n";
    Case {
        folder,
        diagnostics,
        text,
    }
}

#[test]
fn every_case_is_told_as_expected() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut different = Vec::new();
    for case in cases() {
        let expected = case.folder.join("expected.txt");
        if bless {
            fs::write(&expected, &case.text).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != case.text {
            different.push(format!("{}\n{}", case.folder.display(), case.text));
        }
    }
    assert!(
        different.is_empty(),
        "told otherwise (BLESS=1 keeps it):\n{}",
        different.join("\n")
    );
}

#[test]
fn every_code_has_a_case() {
    let told: BTreeSet<Code> = cases()
        .iter()
        .flat_map(|case| &case.diagnostics)
        .map(|told| told.code)
        .collect();
    let all = Code::ALL.iter().filter(|code| !WITHOUT_CASE.contains(code));
    let without: Vec<_> = all.filter(|code| !told.contains(code)).collect();
    assert!(without.is_empty(), "no case has {without:?}");
}

#[test]
fn messages_keep_to_the_house_style() {
    for told in cases().iter().flat_map(|case| &case.diagnostics) {
        assert!(!told.message.ends_with('.'), "{}", told.message);
        assert!(
            !told.message.starts_with(char::is_uppercase),
            "{}",
            told.message
        );
        assert!(
            told.labels.iter().any(|label| label.primary),
            "{}",
            told.message
        );
        let level = if told.code.as_str().starts_with('W') {
            Level::Warning
        } else {
            Level::Error
        };
        assert_eq!(told.level, level);
    }
}
