//! A rule to start from, for whoever has none yet.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::rules::sources;

/// The name of the example in a folder.
const NAME: &str = "example.betrace";

/// The example.
pub(super) const EXAMPLE: &str = include_str!("example.betrace");

/// Writes the example where `paths` hold no rule file; returns where, if it did. Nothing is ever overwritten.
pub(super) fn write(paths: &[PathBuf]) -> Result<Option<PathBuf>, Failure> {
    let Some(first) = paths.first() else {
        return Ok(None);
    };
    if !sources::find(paths).files.is_empty() {
        return Ok(None);
    }
    let failed = |at: &Path, error: io::Error| {
        Failure::new(format!(
            "can't write an example to {}: {error}",
            at.display()
        ))
        .help("name a folder that can be written, or one that holds `.betrace` files")
    };
    let path = match fs::metadata(first) {
        Ok(metadata) if metadata.is_dir() => first.join(NAME),
        // Something that is no folder of rules: what is wrong with it is told when it is loaded.
        Ok(_) => return Ok(None),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Ok(None),
        Err(_) => match first.extension().and_then(|extension| extension.to_str()) {
            Some("betrace") => first.clone(),
            Some("wasm") => return Ok(None),
            _ => first.join(NAME),
        },
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    match file.and_then(|mut file| file.write_all(EXAMPLE.as_bytes())) {
        Ok(()) => Ok(Some(path)),
        // It came meanwhile, or can't be read.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(failed(&path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_written_where_there_is_no_rule() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("my/rules");
        let written = write(std::slice::from_ref(&absent)).expect("it can be written");
        assert_eq!(written, Some(absent.join(NAME)));
        let text = fs::read_to_string(absent.join(NAME)).expect("it is there");
        assert_eq!(text, EXAMPLE);
        assert_eq!(write(&[absent]).expect("nothing fails"), None);
        let file = folder.path().join("other/pay.betrace");
        let written = write(std::slice::from_ref(&file)).expect("it can be written");
        assert_eq!(written, Some(file));
    }

    #[test]
    fn nothing_is_overwritten_and_no_folder_with_rules_is_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("own.betrace");
        fs::write(&own, "mine").expect("a file");
        let absent = folder.path().join("absent");
        for paths in [
            vec![folder.path().to_owned()],
            vec![absent.clone(), own.clone()],
        ] {
            assert_eq!(write(&paths).expect("nothing fails"), None);
        }
        assert!(!absent.exists());
        assert_eq!(fs::read_to_string(&own).expect("it is there"), "mine");
        let other = folder.path().join("notes.txt");
        fs::write(&other, "mine").expect("a file");
        assert_eq!(
            write(std::slice::from_ref(&other)).expect("nothing fails"),
            None
        );
        assert_eq!(fs::read_to_string(&other).expect("it is there"), "mine");
    }

    #[test]
    fn the_example_compiles_without_a_word() {
        let output = betrace_dsl::compile("example", EXAMPLE.as_bytes());
        assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics);
        assert_eq!(output.rules.len(), 1);
    }
}
