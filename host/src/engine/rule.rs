//! A component's bytes to a rule: compiled, without imports, asked for its manifest.
//!
//! Everything that can fail does so here, before the rule is published.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wit_component::ComponentEncoder;

use super::breaker::Breaker;
use super::code::{Built, Code, Compiled};
use super::counters::{Counters, Counts};
use super::effort::effort;
use super::fault::Fault;
use super::instance::{self, Instance, StartError};
use super::layout::Layout;
use super::manifest::{Manifest, ManifestError};
use super::names::{self, FunctionName};
use super::runtime::Engine;
use super::slow::Slow;
use super::times::Quantiles;
use crate::time::Time;

/// A loaded rule. Shared by all workers and by every rule set that holds it, so that its instances stay warm while other
/// rules change.
#[derive(Clone)]
pub struct Rule {
    /// The manifest's id.
    pub id: String,
    /// The first 32 hex digits of the BLAKE3 hash of the component's bytes.
    pub version: String,
    pub manifest: Manifest,
    /// The file that it came from.
    pub origin: PathBuf,
    /// Unlike any other rule that this process loaded.
    key: u64,
    component_bytes: usize,
    /// The component itself, where no source gives it again.
    bytes: Option<Arc<[u8]>>,
    names: Box<[FunctionName]>,
    layout: Layout,
    /// Shared by all that are made of it: what is optimised once is so for all.
    code: Arc<Code>,
    /// Shared with the versions before, so that what is counted of a rule never falls.
    counters: Arc<Counters>,
    /// Of this version, wherever it is in force.
    breaker: Arc<Breaker>,
    /// Of this version, wherever it is in force.
    slow: Arc<Slow>,
    source: Option<Arc<RuleSource>>,
}

/// What a rule was compiled from.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// The name of its file without its ending: the id of a bare rule.
    pub stem: String,
    /// The rule alone, as a file of that name would hold it: of a file with a thousand rules none keeps the other ones'.
    pub text: Vec<u8>,
    /// Whether its compiler had nothing to say of it.
    pub clean: bool,
}

/// Why a component is no rule.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{origin}: it is neither a WebAssembly component nor a core module")]
    NotWasm { origin: String },
    #[error("{origin}: it is {bytes} bytes long, at most {most} are allowed")]
    TooLarge {
        origin: String,
        bytes: usize,
        most: usize,
    },
    #[error(
        "{origin}: it is a core module that does not say which world it is of; build it with the SDK or \
         `betrace compile`, or wrap it with `wasm-tools component new`"
    )]
    NoWorld { origin: String },
    #[error("{origin}: the core module is not what its own WIT says: {reason}")]
    Encode { origin: String, reason: String },
    #[error(
        "{origin}: to compile it could take {seconds} s, of which one function of {bytes} bytes {longest} s, and at most \
         {most} s are allowed; split its large functions, or raise `rule-compile`"
    )]
    Effort {
        origin: String,
        seconds: f64,
        longest: f64,
        bytes: usize,
        most: u64,
    },
    #[error("{origin}: it does not compile: {reason}")]
    Compile { origin: String, reason: String },
    #[error("{origin}: it imports {}, but a rule may import nothing; build it without WASI", .imports.join(", "))]
    Imports {
        origin: String,
        imports: Vec<String>,
    },
    #[error("{origin}: it is not a `betrace:rule/batch-rule`: {reason}")]
    World { origin: String, reason: String },
    /// Of an explanation, which is made from a rule that runs.
    #[error(
        "{origin} has {parts} parts, of which at most {most} are explained; the rule runs all the same: split it into several to read why they fire"
    )]
    TooManyParts {
        origin: String,
        parts: usize,
        most: usize,
    },
    #[error("{origin}: no instance can be made of it: {fault}")]
    Start { origin: String, fault: Fault },
    #[error(
        "{origin}: all {instances} instances of the pool are in use; raise the limit on instances or load again"
    )]
    PoolFull { origin: String, instances: usize },
    #[error("{origin}: `describe` failed: {fault}")]
    Describe { origin: String, fault: Fault },
    #[error("{origin}: its manifest is not valid: {error}")]
    Manifest {
        origin: String,
        error: ManifestError,
    },
}

impl Rule {
    /// Loads a component, or a core module that carries the WIT of `batch-rule`. `origin` is where it came from.
    pub fn load(
        engine: &Engine,
        bytes: &[u8],
        origin: impl AsRef<Path>,
    ) -> Result<Self, LoadError> {
        let path = origin.as_ref();
        let origin = || path.display().to_string();
        let compiler = engine.compiler();
        let (bytes, built) = component(engine, bytes, origin, |bytes| compiler.rule(bytes))?;
        let (component, is_optimised) = (built.component, built.is_optimised);
        let pre =
            instance::prepare(compiler.linker(), &component).map_err(|error| LoadError::World {
                origin: origin(),
                reason: format!("{error:#}"),
            })?;
        let compiled = Compiled {
            component,
            pre,
            is_optimised,
        };
        // Thrown away after one call: what a rule does in `describe` can't reach what it sees later.
        let mut instance = Instance::start(engine, &compiled).map_err(|error| match error {
            StartError::Fault(fault) => LoadError::Start {
                origin: origin(),
                fault,
            },
            StartError::PoolFull => LoadError::PoolFull {
                origin: origin(),
                instances: engine.limits().instances(),
            },
        })?;
        let manifest = instance.describe().map_err(|fault| LoadError::Describe {
            origin: origin(),
            fault,
        })?;
        let manifest = Manifest::check(manifest).map_err(|error| LoadError::Manifest {
            origin: origin(),
            error,
        })?;
        Ok(Self {
            id: manifest.id.clone(),
            version: version(&bytes),
            layout: Layout::new(&manifest),
            manifest,
            origin: path.to_owned(),
            key: next_key(),
            component_bytes: bytes.len(),
            bytes: Some(bytes.as_ref().into()),
            names: names::read(&bytes),
            code: Arc::new(Code::new(compiled, &bytes)),
            counters: Arc::default(),
            breaker: Arc::default(),
            slow: Arc::default(),
            source: None,
        })
    }

    /// This rule as it is put in force: it counts on where `before` is, or from 0 whatever it did until now, and its breaker
    /// is closed.
    pub fn in_force(&self, before: Option<&Rule>, source: Option<&Arc<RuleSource>>) -> Rule {
        Rule {
            counters: before.map_or_else(Arc::default, |before| before.counters.clone()),
            breaker: Arc::default(),
            slow: Arc::default(),
            source: source.cloned(),
            bytes: self.bytes.clone().filter(|_| source.is_none()),
            ..self.clone()
        }
    }

    /// What it was compiled from; none of a component that came as such.
    pub fn source(&self) -> Option<&Arc<RuleSource>> {
        self.source.as_ref()
    }

    /// What it did so far, over all workers and all versions that it succeeds.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// What it counts with: other than that of a rule which had its id before, was removed, and came back.
    pub fn counted_by(&self) -> Weak<Counters> {
        Arc::downgrade(&self.counters)
    }

    /// Its latest fault.
    pub fn last_fault(&self) -> Option<Fault> {
        self.counters.last_fault()
    }

    /// Counts signals that were made of its findings.
    pub fn signalled(&self, certain: u64, unsure: u64) {
        let severity = self.manifest.severity;
        self.counters.signalled(severity, certain, unsure);
    }

    /// Whether live traffic may ask it.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Whether workers that lag pass it over.
    pub fn slow(&self) -> &Slow {
        &self.slow
    }

    /// How much CPU time its calls took in the last one to two minutes; none where there were none.
    pub fn quantiles(&self, now: Time) -> Option<Quantiles> {
        self.counters.quantiles(now)
    }

    /// The component's bytes, where no source gives them again: a folder of thousands of rules does not keep theirs.
    pub fn component_kept(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// Unlike that of any other rule that this process loaded.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn names(&self) -> &[FunctionName] {
        &self.names
    }

    /// The size of the component.
    pub fn component_bytes(&self) -> usize {
        self.component_bytes
    }

    pub(super) fn component(&self) -> Component {
        self.code.current().component.clone()
    }

    /// Whether it runs optimised code.
    pub fn is_optimised(&self) -> bool {
        self.code.is_optimised()
    }

    /// Has it run optimised code some time, where the engine loads rules without.
    pub fn optimise(&self, engine: &Engine) {
        engine.compiler().optimise(&self.code);
    }

    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    pub(super) fn instance(&self, engine: &Engine) -> Result<Instance, StartError> {
        Instance::start(engine, &self.code.current())
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The component of these bytes, which imports nothing, as `compile` gives its code.
pub(super) fn component<'a>(
    engine: &Engine,
    bytes: &'a [u8],
    origin: impl Fn() -> String,
    compile: impl FnOnce(&[u8]) -> wasmtime::Result<Built>,
) -> Result<(Cow<'a, [u8]>, Built), LoadError> {
    let most = engine.limits().component_bytes;
    if bytes.len() > most {
        return Err(LoadError::TooLarge {
            origin: origin(),
            bytes: bytes.len(),
            most,
        });
    }
    let bytes = component_bytes(bytes, &origin)?;
    check_effort(&bytes, engine.limits().compile, &origin)?;
    let built = compile(&bytes).map_err(|error| LoadError::Compile {
        origin: origin(),
        reason: format!("{error:#}"),
    })?;
    let imports = imports(engine, &built.component);
    if !imports.is_empty() {
        return Err(LoadError::Imports {
            origin: origin(),
            imports,
        });
    }
    Ok((bytes, built))
}

/// Refuses what could take too long to compile, before anything is compiled.
fn check_effort(
    component: &[u8],
    most: Duration,
    origin: impl Fn() -> String,
) -> Result<(), LoadError> {
    let effort = effort(component);
    if effort.all <= most {
        return Ok(());
    }
    Err(LoadError::Effort {
        origin: origin(),
        seconds: effort.all.as_secs_f64().ceil(),
        longest: effort.longest.as_secs_f64().ceil(),
        bytes: effort.bytes,
        most: most.as_secs(),
    })
}

/// The version of a component: its content's hash.
pub fn version(component: &[u8]) -> String {
    /// 128 bits: no two versions of a rule meet by chance, and a signal's line stays short.
    const HEX_DIGITS: usize = 32;
    let mut hex = blake3::hash(component).to_hex().to_string();
    hex.truncate(HEX_DIGITS);
    hex
}

/// A component as it is; a core module wrapped into the component that its custom section describes.
fn component_bytes<'a>(
    bytes: &'a [u8],
    origin: impl Fn() -> String,
) -> Result<Cow<'a, [u8]>, LoadError> {
    if wasmparser::Parser::is_component(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    if !wasmparser::Parser::is_core_wasm(bytes) {
        return Err(LoadError::NotWasm { origin: origin() });
    }
    if !has_wit(bytes) {
        return Err(LoadError::NoWorld { origin: origin() });
    }
    ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode())
        .map(Cow::Owned)
        .map_err(|error| LoadError::Encode {
            origin: origin(),
            reason: format!("{error:#}"),
        })
}

/// Whether a core module carries the custom section that wit-bindgen and wit-component write.
fn has_wit(module: &[u8]) -> bool {
    wasmparser::Parser::new(0).parse_all(module).map_while(Result::ok).any(|payload| {
        matches!(payload, wasmparser::Payload::CustomSection(section) if section.name().starts_with("component-type"))
    })
}

/// What a component imports, but for interfaces of nothing but types: those are how WIT names the types of exports.
fn imports(engine: &Engine, component: &Component) -> Vec<String> {
    let wasm = engine.wasm();
    component
        .component_type()
        .imports(wasm)
        .filter(|(_, import)| !is_types(wasm, &import.ty))
        .map(|(name, _)| format!("`{name}`"))
        .collect()
}

fn is_types(wasm: &wasmtime::Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::Type(_) => true,
        ComponentItem::ComponentInstance(instance) => instance
            .exports(wasm)
            .all(|(_, export)| is_types(wasm, &export.ty)),
        _ => false,
    }
}

fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
