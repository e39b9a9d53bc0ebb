//! Rule files to rules. What is wrong with one is told for that one, and the others are loaded.
//!
//! Of two rules with one id the first stays, and the second is a problem that names both files: a copy that someone
//! edits must not take the original out of service.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sources::{SourceFile, SourceKind};
use crate::engine::rule::version;
use crate::engine::{Engine, LoadError, Rule, RuleSet};

/// Bytes of a `.betrace` file: room for 64 rules of the largest size.
pub const SOURCE_BYTES: usize = 4 << 20;

/// Turns the source of a file into components. An argument, so that loading knows no compiler.
pub type Compile<'a> = &'a dyn Fn(Source<'_>) -> Compiled;

/// What a compiler is given.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Where the file is, for messages.
    pub path: &'a Path,
    /// The file's name without its extension: the id of a bare rule.
    pub stem: &'a str,
    pub bytes: &'a [u8],
}

/// What a compiler made of a file.
#[derive(Debug, Default)]
pub struct Compiled {
    pub rules: Vec<CompiledRule>,
    pub messages: Vec<Message>,
}

#[derive(Debug)]
pub struct CompiledRule {
    pub id: String,
    pub component: Vec<u8>,
}

/// A diagnostic, rendered for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub error: bool,
    pub text: String,
}

/// Rules, and what kept others from being among them.
#[derive(Debug, Default)]
pub struct Loaded {
    pub rules: Vec<Arc<Rule>>,
    pub problems: Vec<Problem>,
    /// Rendered warnings of files that were loaded.
    pub warnings: Vec<String>,
}

/// Why a rule of a file does not run.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{}: {source}; check the file's permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: it is a pipe, a device or a folder; name a file", path.display())]
    NoFile { path: PathBuf },
    #[error("{}: it is longer than {most} bytes; split it", path.display())]
    TooLarge { path: PathBuf, most: usize },
    /// The compiler's messages, rendered.
    #[error("{text}")]
    Source {
        path: PathBuf,
        text: String,
        errors: usize,
    },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}: the rule `{id}` is already in {}; rename one of them", second.display(), first.display())]
    Duplicate {
        id: String,
        first: PathBuf,
        second: PathBuf,
    },
}

impl Problem {
    /// How many things are to be mended.
    pub fn count(&self) -> usize {
        match self {
            Problem::Source { errors, .. } => *errors,
            _ => 1,
        }
    }
}

/// Loads the rules of `files`. A rule that `previous` has in the same version from the same file is taken from there, so
/// that its instances stay warm and its counters go on.
pub fn load(
    engine: &Engine,
    files: &[SourceFile],
    compile: Compile<'_>,
    previous: Option<&RuleSet>,
) -> Loaded {
    let mut loading = Loading {
        engine,
        loaded: Loaded::default(),
        ids: HashMap::new(),
        known: HashMap::new(),
    };
    for rule in previous.iter().flat_map(|set| &set.rules) {
        loading.known.insert((&rule.origin, &rule.version), rule);
    }
    for file in files {
        if let Err(problem) = loading.file(file, compile) {
            loading.loaded.problems.push(problem);
        }
    }
    loading.loaded
}

struct Loading<'a> {
    engine: &'a Engine,
    loaded: Loaded,
    /// Where each id is from.
    ids: HashMap<String, PathBuf>,
    known: HashMap<(&'a PathBuf, &'a String), &'a Arc<Rule>>,
}

impl Loading<'_> {
    fn file(&mut self, file: &SourceFile, compile: Compile<'_>) -> Result<(), Problem> {
        let path = &file.path;
        match file.kind {
            SourceKind::Wasm => {
                let bytes = read(path, self.engine.limits().component_bytes)?;
                self.component(path, &bytes)
            }
            SourceKind::Betrace => {
                let bytes = read(path, SOURCE_BYTES)?;
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let compiled = compile(Source {
                    path,
                    stem: &stem,
                    bytes: &bytes,
                });
                self.compiled(path, compiled)
            }
        }
    }

    fn compiled(&mut self, path: &Path, compiled: Compiled) -> Result<(), Problem> {
        let (errors, warnings): (Vec<_>, Vec<_>) = compiled
            .messages
            .into_iter()
            .partition(|message| message.error);
        self.loaded
            .warnings
            .extend(warnings.into_iter().map(|message| message.text));
        if !errors.is_empty() {
            let texts: Vec<String> = errors.into_iter().map(|message| message.text).collect();
            return Err(Problem::Source {
                path: path.to_owned(),
                errors: texts.len(),
                text: texts.join("\n"),
            });
        }
        for rule in compiled.rules {
            // The other rules of the file are loaded all the same.
            if let Err(problem) = self.component(path, &rule.component) {
                self.loaded.problems.push(problem);
            }
        }
        Ok(())
    }

    fn component(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Problem> {
        let (origin, version) = (path.to_owned(), version(bytes));
        let rule = match self.known.get(&(&origin, &version)) {
            Some(&rule) => rule.clone(),
            None => Arc::new(Rule::load(self.engine, bytes, path)?),
        };
        match self.ids.entry(rule.id.clone()) {
            Entry::Occupied(first) => Err(Problem::Duplicate {
                id: rule.id.clone(),
                first: first.get().clone(),
                second: origin,
            }),
            Entry::Vacant(vacant) => {
                vacant.insert(origin);
                self.loaded.rules.push(rule);
                Ok(())
            }
        }
    }
}

/// Reads a file that is at most `most` bytes long.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>, Problem> {
    let unreadable = |source| Problem::Unreadable {
        path: path.to_owned(),
        source,
    };
    // To open a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Problem::NoFile {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    // One byte more tells a file that is too long, whatever its metadata says.
    File::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > most {
        return Err(Problem::TooLarge {
            path: path.to_owned(),
            most,
        });
    }
    Ok(bytes)
}
