//! Rule files to rules. What is wrong with one is told for that one, and the others are loaded.
//!
//! Of two rules with one id the first stays, and the second is a problem that names both files: a copy that someone
//! edits must not take the original out of service.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::sources::{SourceFile, SourceKind};
use crate::engine::limits::SPARE_INSTANCES;
use crate::engine::rule::version;
use crate::engine::{Engine, LoadError, Rule, RuleSet};

/// Bytes of a `.betrace` file: room for 64 rules of the largest size.
pub const SOURCE_BYTES: usize = 4 << 20;

/// Turns the source of a file into components. An argument, so that loading knows no compiler.
pub type Compile<'a> = &'a (dyn Fn(Source<'_>) -> Compiled + Sync);

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

/// Loads the rules of `files`, on all cores, as machine code takes some ten milliseconds a rule. A rule that `previous`
/// has in the same version from the same file is taken from there, so that its instances stay warm and its counters go
/// on.
pub fn load(
    engine: &Engine,
    files: &[SourceFile],
    compile: Compile<'_>,
    previous: Option<&RuleSet>,
) -> Loaded {
    let rules = previous.iter().flat_map(|set| &set.rules);
    let loading = Loading {
        engine,
        compile,
        known: rules
            .map(|rule| ((rule.origin.as_path(), rule.version.as_str()), rule))
            .collect(),
    };
    merged(loading.all(files))
}

/// What a file gave, in the file's order.
struct OfFile {
    path: PathBuf,
    warnings: Vec<String>,
    rules: Vec<Result<Arc<Rule>, Problem>>,
}

/// Puts the files' rules together, in the files' order, whoever was loaded first.
fn merged(files: Vec<OfFile>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut ids: HashMap<String, PathBuf> = HashMap::new();
    for file in files {
        loaded.warnings.extend(file.warnings);
        for rule in file.rules {
            let rule = match rule {
                Ok(rule) => rule,
                Err(problem) => {
                    loaded.problems.push(problem);
                    continue;
                }
            };
            match ids.entry(rule.id.clone()) {
                Entry::Occupied(first) => loaded.problems.push(Problem::Duplicate {
                    id: rule.id.clone(),
                    first: first.get().clone(),
                    second: file.path.clone(),
                }),
                Entry::Vacant(vacant) => {
                    vacant.insert(file.path.clone());
                    loaded.rules.push(rule);
                }
            }
        }
    }
    loaded
}

struct Loading<'a> {
    engine: &'a Engine,
    compile: Compile<'a>,
    /// By origin and version.
    known: HashMap<(&'a Path, &'a str), &'a Arc<Rule>>,
}

impl Loading<'_> {
    /// Each thread takes the next file that none has taken.
    fn all(&self, files: &[SourceFile]) -> Vec<OfFile> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(files.len()));
        let work = || {
            loop {
                let index = next.fetch_add(1, Relaxed);
                let Some(file) = files.get(index) else { break };
                let loaded = self.file(file);
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.push((index, loaded));
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        // Each rule is asked for its manifest in an instance that must be to spare.
        let threads = cores.min(files.len()).min(SPARE_INSTANCES);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where no thread is to be had, the others do its work.
                let _ = std::thread::Builder::new()
                    .name("rules".to_owned())
                    .spawn_scoped(scope, work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, file)| file).collect()
    }

    fn file(&self, file: &SourceFile) -> OfFile {
        let mut of_file = OfFile {
            path: file.path.clone(),
            warnings: Vec::new(),
            rules: Vec::new(),
        };
        if let Err(problem) = self.fill(file, &mut of_file) {
            of_file.rules.push(Err(problem));
        }
        of_file
    }

    fn fill(&self, file: &SourceFile, out: &mut OfFile) -> Result<(), Problem> {
        let path = &file.path;
        match file.kind {
            SourceKind::Wasm => {
                let bytes = read(path, self.engine.limits().component_bytes)?;
                out.rules.push(self.component(path, &bytes));
            }
            SourceKind::Betrace => {
                let bytes = read(path, SOURCE_BYTES)?;
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let compiled = (self.compile)(Source {
                    path,
                    stem: &stem,
                    bytes: &bytes,
                });
                self.compiled(path, compiled, out)?;
            }
        }
        Ok(())
    }

    fn compiled(&self, path: &Path, compiled: Compiled, out: &mut OfFile) -> Result<(), Problem> {
        let (errors, warnings): (Vec<_>, Vec<_>) = compiled
            .messages
            .into_iter()
            .partition(|message| message.error);
        out.warnings
            .extend(warnings.into_iter().map(|message| message.text));
        if !errors.is_empty() {
            let texts: Vec<String> = errors.into_iter().map(|message| message.text).collect();
            return Err(Problem::Source {
                path: path.to_owned(),
                errors: texts.len(),
                text: texts.join("\n"),
            });
        }
        // Where one does not load, the other rules of the file do all the same.
        let rules = compiled.rules.iter();
        out.rules
            .extend(rules.map(|rule| self.component(path, &rule.component)));
        Ok(())
    }

    fn component(&self, path: &Path, bytes: &[u8]) -> Result<Arc<Rule>, Problem> {
        match self.known.get(&(path, version(bytes).as_str())) {
            Some(&rule) => Ok(rule.clone()),
            None => Ok(Arc::new(Rule::load(self.engine, bytes, path)?)),
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
