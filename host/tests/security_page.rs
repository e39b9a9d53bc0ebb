//! `docs/security.md` promises nothing without a test: each that it names exists.

use std::path::Path;

#[test]
fn each_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/security.md")).expect("the page is there");
    let named: Vec<(&str, &str)> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .filter(|(file, _)| file.ends_with(".rs"))
        .collect();
    assert!(named.len() > 30, "the page names its tests: {named:?}");
    for (file, function) in named {
        let source = std::fs::read_to_string(root.join(file))
            .unwrap_or_else(|error| panic!("`{file}`: {error}"));
        let mut lines = source.lines().map(str::trim);
        let is_test = std::iter::from_fn(|| {
            // The attribute of a test stands on a line before it, alone or with others.
            lines.find(|line| matches!(*line, "#[test]" | "#[tokio::test]"))?;
            lines.find(|line| line.contains("fn "))
        })
        .any(|line| line.contains(&format!("fn {function}(")));
        assert!(is_test, "`{file}` has no test `{function}`");
    }
}
