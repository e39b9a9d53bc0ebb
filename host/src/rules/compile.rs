//! Rule files to rules. What is wrong with one is told for that one, and the others are loaded.
//!
//! Of two rules with one id the first stays, and the second is a problem that names both files: a copy that someone
//! edits must not take the original out of service.

use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::{HashMap, HashMapExt};

use super::sources::{SourceFile, SourceKind};
use crate::engine::limits::LOADERS;
use crate::engine::rule::version;
use crate::engine::{Engine, LoadError, Rule, RuleSource, probe};

/// Bytes of a `.betrace` file: room for 64 rules of the largest size.
pub const SOURCE_BYTES: usize = 4 << 20;

/// Turns the source of a file into components. An argument, so that loading knows no compiler.
pub type Compile<'a> = &'a (dyn Fn(Source<'_>) -> Compiled + Sync);

/// What a compiler is given.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Where the file is, for messages.
    pub path: &'a Path,
    /// The file's name without its extension: the id of a bare rule.
    pub stem: &'a str,
    pub bytes: &'a [u8],
    /// Whether a rule of this id and [`CompiledRule::source`] is there already: it needs no component.
    pub known: &'a dyn Fn(&str, &str) -> betrace_dsl::Known,
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
    /// The rule alone, as a file of the same name would hold it: with the same id and source it is the same rule.
    pub source: String,
    /// Whether no message is about it.
    pub clean: bool,
    /// Empty where it was known.
    pub component: Vec<u8>,
}

/// A diagnostic, rendered for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub error: bool,
    pub text: String,
    /// With colours.
    pub painted: String,
}

/// Rules, and what kept others from being among them.
#[derive(Debug, Default)]
pub struct Loaded {
    pub rules: Vec<Arc<Rule>>,
    pub problems: Vec<Problem>,
    /// Of files that were loaded.
    pub warnings: Vec<Message>,
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
        /// With colours.
        painted: String,
        errors: usize,
    },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Probe(#[from] probe::ProbeError),
    #[error("{}: the rule `{id}` is already in {}; rename one of them", second.display(), first.display())]
    Duplicate {
        id: String,
        first: PathBuf,
        second: PathBuf,
    },
}

impl Problem {
    /// As it is told to a person. What the compiler renders says itself that it is an error.
    pub fn rendered(&self, color: bool) -> String {
        match self {
            Problem::Source { painted, .. } if color => painted.clone(),
            Problem::Source { text, .. } => text.clone(),
            other => format!("error: {other}"),
        }
    }

    /// How many things are to be mended.
    pub fn count(&self) -> usize {
        match self {
            Problem::Source { errors, .. } => *errors,
            _ => 1,
        }
    }
}

/// Loads the rules of `files`, on all cores, as machine code takes some ten milliseconds a rule.
pub fn load(engine: &Arc<Engine>, files: &[SourceFile], compile: Compile<'_>) -> Loaded {
    let loading = Loading {
        engine,
        compile,
        known: &Known::default(),
        before: &|_| None,
    };
    merged(loading.all(files))
}

/// Rules that were loaded before. Taken instead of loaded again, their instances stay warm.
#[derive(Debug, Default)]
pub(super) struct Known {
    files: HashMap<PathBuf, Vec<Arc<Rule>>>,
    /// Of files that are gone, and may be here under another name.
    moved: Vec<Arc<Rule>>,
}

impl Known {
    pub(super) fn add(&mut self, path: &Path, rules: &[Arc<Rule>]) {
        self.files.insert(path.to_owned(), rules.to_vec());
    }

    pub(super) fn add_moved(&mut self, rules: &[Arc<Rule>]) {
        self.moved.extend_from_slice(rules);
    }

    /// What a file may hold again; its own come last, so that they count most.
    fn of_file(&self, path: &Path) -> impl Iterator<Item = &Arc<Rule>> {
        let own = self.files.get(path).map_or(&[][..], Vec::as_slice);
        self.moved.iter().chain(own)
    }
}

/// A rule's id, where it is known, and what loading it led to.
type OfRule = (Option<String>, Result<Arc<Rule>, Problem>);

/// What a file gave, in the file's order.
pub(super) struct OfFile {
    pub(super) path: PathBuf,
    pub(super) warnings: Vec<Message>,
    /// Of its bytes, where it could be read.
    pub(super) content: Option<blake3::Hash>,
    /// With their ids, where these are known.
    pub(super) rules: Vec<OfRule>,
}

/// Puts the files' rules together, in the files' order, whoever was loaded first.
fn merged(files: Vec<OfFile>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut ids: HashMap<String, PathBuf> = HashMap::new();
    for file in files {
        loaded.warnings.extend(file.warnings);
        for (_, rule) in file.rules {
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

pub(super) struct Loading<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) compile: Compile<'a>,
    pub(super) known: &'a Known,
    /// The rule of this id that is in force.
    pub(super) before: &'a (dyn Fn(&str) -> Option<Arc<Rule>> + Sync),
}

impl Loading<'_> {
    /// Each thread takes the next file that none has taken.
    pub(super) fn all(&self, files: &[SourceFile]) -> Vec<OfFile> {
        let around = tracing::Span::current();
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(files.len()));
        let work = || {
            loop {
                let index = next.fetch_add(1, Relaxed);
                let Some(file) = files.get(index) else { break };
                let span =
                    tracing::info_span!(parent: &around, "compile", file = %file.path.display());
                let loaded = span.in_scope(|| self.file(file));
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.push((index, loaded));
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        // Each rule is asked for its manifest in an instance that must be to spare.
        let threads = cores.min(files.len()).min(LOADERS);
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
            content: None,
            rules: Vec::new(),
        };
        if let Err(problem) = self.fill(file, &mut of_file) {
            of_file.rules.push((None, Err(problem)));
        }
        of_file
    }

    fn fill(&self, file: &SourceFile, out: &mut OfFile) -> Result<(), Problem> {
        let path = &file.path;
        match file.kind {
            SourceKind::Wasm => {
                let bytes = read(path, self.engine.limits().component_bytes)?;
                out.content = Some(blake3::hash(&bytes));
                let version = version(&bytes);
                let mut known = self.known.of_file(path);
                let rule = match known.find(|known| known.version == version) {
                    Some(known) => Ok(known.clone()),
                    None => self.component(path, &bytes, None),
                };
                out.rules.push((None, rule));
            }
            SourceKind::Betrace => {
                let bytes = read(path, SOURCE_BYTES)?;
                out.content = Some(blake3::hash(&bytes));
                self.source(path, &bytes, out)?;
            }
        }
        Ok(())
    }

    fn source(&self, path: &Path, bytes: &[u8], out: &mut OfFile) -> Result<(), Problem> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let known: HashMap<(&str, &[u8]), &Arc<Rule>> = self
            .known
            .of_file(path)
            .filter_map(|rule| Some(((rule.id.as_str(), &rule.source()?.text[..]), rule)))
            .collect();
        let compiled = (self.compile)(Source {
            path,
            stem: &stem,
            bytes,
            known: &|id, source| match known.get(&(id, source.as_bytes())) {
                None => betrace_dsl::Known::No,
                Some(rule) if rule.source().is_some_and(|source| source.clean) => {
                    betrace_dsl::Known::Clean
                }
                Some(_) => betrace_dsl::Known::Warned,
            },
        });
        let (errors, warnings): (Vec<_>, Vec<_>) = compiled
            .messages
            .into_iter()
            .partition(|message| message.error);
        out.warnings.extend(warnings);
        if !errors.is_empty() {
            let texts: Vec<&str> = errors.iter().map(|error| error.text.as_str()).collect();
            let painted: Vec<&str> = errors.iter().map(|error| error.painted.as_str()).collect();
            return Err(Problem::Source {
                path: path.to_owned(),
                errors: texts.len(),
                text: texts.join("\n"),
                painted: painted.join("\n"),
            });
        }
        // Where one does not load, the other rules of the file do all the same.
        for rule in compiled.rules {
            let loaded = match known.get(&(rule.id.as_str(), rule.source.as_bytes())) {
                Some(&known) => Ok(known.clone()),
                None => {
                    let source = Arc::new(RuleSource {
                        stem: stem.clone().into_owned(),
                        text: rule.source.into_bytes(),
                        clean: rule.clean,
                    });
                    self.component(path, &rule.component, Some(&source))
                }
            };
            out.rules.push((Some(rule.id), loaded));
        }
        Ok(())
    }

    /// A rule that has shown that it runs. It counts on where the version before it is.
    fn component(
        &self,
        path: &Path,
        bytes: &[u8],
        source: Option<&Arc<RuleSource>>,
    ) -> Result<Arc<Rule>, Problem> {
        let rule = Arc::new(Rule::load(self.engine, bytes, path)?);
        probe::probe(self.engine, &rule)?;
        let before = (self.before)(&rule.id);
        // All that are in force of this component share its code.
        rule.optimise(self.engine);
        Ok(Arc::new(rule.in_force(before.as_deref(), source)))
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
