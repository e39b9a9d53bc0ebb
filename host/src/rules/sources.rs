//! Paths to rule files: files as they are, folders walked for `.betrace` and `.wasm`.
//!
//! In a folder, hidden files and files of other kinds are passed over, as editors and people leave all sorts of things
//! there; a file that is named has to be a rule. Files come in the order of the paths, those of a folder by name, each
//! once.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders in folders. Deeper than people nest, and where a link that leads back to a folder above it ends.
pub const DEPTH: usize = 16;

/// Rule files of one load: ten times the rules that one host is made for.
pub const FILES: usize = 100_000;

/// A file that holds rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub kind: SourceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Rules in BeTrace's language.
    Betrace,
    /// A component, or a core module that carries its WIT.
    Wasm,
}

/// The files that were found, and the paths that gave none.
#[derive(Debug, Default)]
pub struct Sources {
    pub files: Vec<SourceFile>,
    pub errors: Vec<SourceError>,
}

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: a pipe, a socket or a device; rules are files", path.display())]
    NoFile { path: PathBuf },
    #[error("{}: neither a `.betrace` nor a `.wasm` file; rename it, or name the folder it is in", path.display())]
    Extension { path: PathBuf },
    #[error("{}: the folder holds no rules; put `.betrace` or `.wasm` files into it", path.display())]
    NoRules { path: PathBuf },
    #[error("{}: more than {DEPTH} folders deep; is there a link to a folder above it?", path.display())]
    TooDeep { path: PathBuf },
    #[error("{}: more than {FILES} rule files; name fewer folders", path.display())]
    TooMany { path: PathBuf },
}

impl SourceError {
    /// The path below which files may be that were not found.
    pub fn hides(&self) -> Option<&Path> {
        match self {
            SourceError::Unreadable { path, .. }
            | SourceError::TooDeep { path }
            | SourceError::TooMany { path } => Some(path),
            SourceError::NoFile { .. }
            | SourceError::Extension { .. }
            | SourceError::NoRules { .. } => None,
        }
    }
}

/// A path as a rule file, by its name.
pub fn file(path: &Path) -> Option<SourceFile> {
    Some(SourceFile {
        path: path.to_owned(),
        kind: kind(path)?,
    })
}

/// Finds the rule files of `paths`.
pub fn find(paths: &[PathBuf]) -> Sources {
    walk(paths).sources
}

/// The rule files of `paths`, and the folders that were walked for them.
#[derive(Debug, Default)]
pub struct Walked {
    pub sources: Sources,
    /// In the order of the files: where each is, links followed.
    pub real: Vec<PathBuf>,
    pub folders: Vec<PathBuf>,
}

/// Finds the rule files of `paths`, and the folders that they may be in.
pub fn walk(paths: &[PathBuf]) -> Walked {
    let mut walk = Walk::default();
    for path in paths {
        walk.named(path);
    }
    Walked {
        sources: walk.found,
        real: walk.real,
        folders: walk.folders,
    }
}

#[derive(Default)]
struct Walk {
    found: Sources,
    real: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Real paths, so that a file that is reached twice is loaded once.
    seen: HashSet<PathBuf>,
}

impl Walk {
    fn named(&mut self, path: &Path) {
        match fs::metadata(path) {
            Err(error) => self.unreadable(path, error),
            Ok(metadata) if metadata.is_dir() => {
                let files = self.found.files.len();
                let errors = self.found.errors.len();
                let any = self.folder(path, DEPTH);
                // A folder whose files were all named before is not empty.
                if !any && (files, errors) == (self.found.files.len(), self.found.errors.len()) {
                    self.found.errors.push(SourceError::NoRules {
                        path: path.to_owned(),
                    });
                }
            }
            Ok(metadata) => match kind(path) {
                Some(kind) => self.file(path, kind, &metadata),
                None => self.found.errors.push(SourceError::Extension {
                    path: path.to_owned(),
                }),
            },
        }
    }

    /// Walks a folder; returns whether a rule file is in it.
    fn folder(&mut self, path: &Path, depth: usize) -> bool {
        if depth == 0 {
            self.found.errors.push(SourceError::TooDeep {
                path: path.to_owned(),
            });
            return false;
        }
        let entries = match entries(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable(path, error);
                return false;
            }
        };
        self.folders.push(path.to_owned());
        let mut any = false;
        for entry in entries {
            match fs::metadata(&entry) {
                Ok(metadata) if metadata.is_dir() => any |= self.folder(&entry, depth - 1),
                metadata => {
                    let Some(kind) = kind(&entry) else { continue };
                    any = true;
                    match metadata {
                        Ok(metadata) => self.file(&entry, kind, &metadata),
                        Err(error) => self.unreadable(&entry, error),
                    }
                }
            }
        }
        any
    }

    fn file(&mut self, path: &Path, kind: SourceKind, metadata: &fs::Metadata) {
        // To read a pipe would wait for its writer, for ever.
        if !metadata.is_file() {
            self.found.errors.push(SourceError::NoFile {
                path: path.to_owned(),
            });
            return;
        }
        if self.found.files.len() == FILES {
            if !matches!(self.found.errors.last(), Some(SourceError::TooMany { .. })) {
                self.found.errors.push(SourceError::TooMany {
                    path: path.to_owned(),
                });
            }
            return;
        }
        match fs::canonicalize(path) {
            Ok(real) => {
                if self.seen.insert(real.clone()) {
                    self.real.push(real);
                    self.found.files.push(SourceFile {
                        path: path.to_owned(),
                        kind,
                    });
                }
            }
            Err(error) => self.unreadable(path, error),
        }
    }

    fn unreadable(&mut self, path: &Path, source: io::Error) {
        self.found.errors.push(SourceError::Unreadable {
            path: path.to_owned(),
            source,
        });
    }
}

/// What is in a folder, hidden files left out, by name.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

fn kind(path: &Path) -> Option<SourceKind> {
    match path.extension()?.to_str()? {
        "betrace" => Some(SourceKind::Betrace),
        "wasm" => Some(SourceKind::Wasm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        folder
    }

    fn names(sources: &Sources, folder: &tempfile::TempDir) -> Vec<String> {
        let name = |file: &SourceFile| {
            let path = file
                .path
                .strip_prefix(folder.path())
                .expect("it is in the folder");
            path.display().to_string()
        };
        sources.files.iter().map(name).collect()
    }

    #[test]
    fn a_folder_is_walked_and_what_is_no_rule_is_passed_over() {
        let folder = folder(&[
            "b.betrace",
            "a/z.wasm",
            "a/.hidden.betrace",
            ".git/c.betrace",
            "README.md",
            "a.betrace~",
        ]);
        let sources = find(&[folder.path().to_owned()]);
        assert_eq!(names(&sources, &folder), ["a/z.wasm", "b.betrace"]);
        assert_eq!(sources.files[0].kind, SourceKind::Wasm);
        assert!(sources.errors.is_empty(), "{:?}", sources.errors);
    }

    #[test]
    fn a_file_that_is_named_twice_comes_once() {
        let folder = folder(&["a.betrace", "b.betrace"]);
        let sources = find(&[
            folder.path().join("b.betrace"),
            folder.path().to_owned(),
            folder.path().to_owned(),
        ]);
        assert_eq!(names(&sources, &folder), ["b.betrace", "a.betrace"]);
        assert!(sources.errors.is_empty(), "{:?}", sources.errors);
    }

    #[test]
    fn each_path_that_gives_nothing_says_why() {
        let folder = folder(&["rules.txt", "empty/README.md"]);
        let path = |name: &str| folder.path().join(name);
        let sources = find(&[path("rules.txt"), path("empty"), path("absent")]);
        assert!(sources.files.is_empty());
        let errors: Vec<String> = sources.errors.iter().map(ToString::to_string).collect();
        let says = |at: usize, name: &str, what: &str| {
            assert_eq!(errors[at], format!("{}: {what}", path(name).display()));
        };
        says(
            0,
            "rules.txt",
            "neither a `.betrace` nor a `.wasm` file; rename it, or name the folder it is in",
        );
        says(
            1,
            "empty",
            "the folder holds no rules; put `.betrace` or `.wasm` files into it",
        );
        says(
            2,
            "absent",
            "No such file or directory (os error 2); check the path and its permissions",
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_named_and_not_read() {
        let folder = folder(&["a.betrace"]);
        let socket = folder.path().join("b.betrace");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let device = folder.path().join("c.wasm");
        std::os::unix::fs::symlink("/dev/zero", &device).expect("a link");
        for paths in [
            vec![folder.path().to_owned()],
            vec![socket.clone(), device.clone()],
        ] {
            let sources = find(&paths);
            let named: Vec<&Path> = sources
                .errors
                .iter()
                .map(|error| match error {
                    SourceError::NoFile { path } => path.as_path(),
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(named, [&socket, &device]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_ends() {
        let folder = folder(&["a.betrace"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).expect("a link");
        let sources = find(&[folder.path().to_owned()]);
        assert_eq!(sources.files.len(), 1);
        assert!(
            matches!(sources.errors[..], [SourceError::TooDeep { .. }]),
            "{:?}",
            sources.errors
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_unreadable() {
        let folder = folder(&["a.betrace"]);
        std::os::unix::fs::symlink(folder.path().join("gone"), folder.path().join("b.betrace"))
            .expect("a link");
        let sources = find(&[folder.path().to_owned()]);
        assert_eq!(sources.files.len(), 1);
        assert!(
            matches!(sources.errors[..], [SourceError::Unreadable { .. }]),
            "{:?}",
            sources.errors
        );
    }
}
