//! Where a file declares a rule, drawn as the compiler draws what it complains of: a rule that two files give is no mistake
//! of either, so no compiler says where it stands.

use std::path::Path;

use crate::rules::compile::{SOURCE_BYTES, read};
use crate::sinks::text::clean;

/// Columns of the line that is shown.
const COLUMNS: usize = 90;

/// The line that declares `id` in the file at `path`, as it is now; none of a bare rule, which is its whole file.
pub(super) fn declared(path: &Path, id: &str) -> Option<String> {
    let bytes = read(path, SOURCE_BYTES).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (number, line) = (1..)
        .zip(text.lines())
        .find(|(_, line)| declares(line, id))?;
    // A tab takes one column in both lines.
    let before: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let gutter = " ".repeat(format!("{number}").len());
    let path = clean(&path.display().to_string(), COLUMNS);
    Some(format!(
        "{gutter}--> {path}:{number}:{}\n{gutter} |\n{number} | {}\n{gutter} | {}{}",
        before.chars().count() + 1,
        clean(line, COLUMNS),
        " ".repeat(before.chars().count()),
        "^".repeat("rule".len()),
    ))
}

fn declares(line: &str, id: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix("rule") else {
        return false;
    };
    let name = rest.trim_start();
    name.len() < rest.len()
        && name
            .strip_prefix(id)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', ' ', '\t', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_where_it_is_declared() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("two.betrace");
        let text = "// rule dup\nrule dup-two { detect { a } }\n  rule dup{ detect { a } }\n";
        std::fs::write(&path, text).expect("a file");
        let shown = declared(&path, "dup").expect("it is there");
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines[0].starts_with(" --> ") && lines[0].ends_with(":3:3"),
            "{shown}"
        );
        assert_eq!(
            lines[1..],
            ["  |", "3 |   rule dup{ detect { a } }", "  |   ^^^^"]
        );
        assert_eq!(declared(&path, "dup-"), None);
        assert_eq!(declared(&folder.path().join("none"), "dup"), None);
    }
}
