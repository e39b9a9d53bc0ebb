//! Paths to rule files: files as they are, folders walked for `.betrace` and `.wasm`.
//!
//! In a folder, hidden files and files of other kinds are passed over, as editors and people leave all sorts of things
//! there; a file that is named has to be a rule. Files come in the order of the paths, those of a folder by name, each
//! once.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders in folders. Deeper than people nest.
pub const DEPTH: usize = 16;

/// Folders of one load: more than a file system tells events of, by default.
pub const FOLDERS: usize = 10_000;

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
    #[error("{}: more than {DEPTH} folders deep; move it up", path.display())]
    TooDeep { path: PathBuf },
    #[error("{}: more than {FOLDERS} folders; name the ones that hold rules", path.display())]
    TooManyFolders { path: PathBuf },
    #[error("{}: more than {FILES} rule files; name fewer folders", path.display())]
    TooMany { path: PathBuf },
}

impl SourceError {
    /// The path below which files may be that were not found.
    pub fn hides(&self) -> Option<&Path> {
        match self {
            // A file that is gone from a folder that is there was removed.
            SourceError::Unreadable { path, source }
                if source.kind() == io::ErrorKind::NotFound && folder_of(path) != path =>
            {
                (!folder_of(path).is_dir()).then_some(path)
            }
            SourceError::Unreadable { path, .. }
            | SourceError::TooDeep { path }
            | SourceError::TooManyFolders { path }
            | SourceError::TooMany { path } => Some(path),
            SourceError::NoFile { .. }
            | SourceError::Extension { .. }
            | SourceError::NoRules { .. } => None,
        }
    }

    fn is_too_many_folders(&self) -> bool {
        matches!(self, SourceError::TooManyFolders { .. })
    }
}

/// The folder whose being there tells that what is missing of a path was removed: of a rule file the one around it, of a
/// folder itself.
pub fn folder_of(path: &Path) -> &Path {
    match kind(path) {
        Some(_) if !path.is_dir() => match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => path,
        },
        _ => path,
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
    /// Real paths of folders: a few links among them could lead on for ever, and to no further file.
    entered: HashSet<PathBuf>,
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
        match fs::canonicalize(path) {
            Ok(real) if self.entered.contains(&real) => return true,
            Ok(_) if depth == 0 => {
                self.found.errors.push(SourceError::TooDeep {
                    path: path.to_owned(),
                });
                return false;
            }
            Ok(_) if self.entered.len() == FOLDERS => {
                if !self
                    .found
                    .errors
                    .iter()
                    .any(SourceError::is_too_many_folders)
                {
                    self.found.errors.push(SourceError::TooManyFolders {
                        path: path.to_owned(),
                    });
                }
                return false;
            }
            Ok(real) => self.entered.insert(real),
            Err(error) => {
                self.unreadable(path, error);
                return false;
            }
        };
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
    fn links_that_lead_back_and_beside_each_other_lead_to_nothing_new() {
        let folder = folder(&["a.betrace", "b/b.betrace"]);
        for link in 0..4 {
            let link = format!("again{link}");
            std::os::unix::fs::symlink(folder.path(), folder.path().join(&link)).expect("a link");
            std::os::unix::fs::symlink(folder.path(), folder.path().join("b").join(&link))
                .expect("a link");
        }
        let walked = walk(&[folder.path().to_owned()]);
        assert_eq!(walked.sources.files.len(), 2);
        assert_eq!(walked.folders.len(), 2, "{:?}", walked.folders);
        let errors = &walked.sources.errors;
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn folders_that_are_nested_too_deep_are_told() {
        let path = vec!["f"; DEPTH].join("/") + "/a.betrace";
        let folder = folder(&["b.betrace", &path]);
        let sources = find(&[folder.path().to_owned()]);
        assert_eq!(names(&sources, &folder), ["b.betrace"]);
        assert!(
            matches!(sources.errors[..], [SourceError::TooDeep { .. }]),
            "{:?}",
            sources.errors
        );
    }

    #[test]
    fn a_missing_file_hides_nothing_while_its_folder_is_there() {
        let folder = folder(&["a.betrace"]);
        let hidden = |path: &str| {
            let path = folder.path().join(path);
            let sources = find(&[path]);
            sources.errors[0].hides().map(Path::to_owned)
        };
        assert_eq!(hidden("gone.betrace"), None);
        for path in ["gone", "gone/gone.betrace"] {
            assert_eq!(hidden(path), Some(folder.path().join(path)));
        }
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
