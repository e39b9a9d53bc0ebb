//! Core module to component, by the worlds in `wit/rule.wit`.

use std::fmt;
use std::sync::OnceLock;

use wasm_encoder::{ComponentSectionId, Encode};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SizeAlign, TypeId, WorldId};

const WIT: &str = include_str!("../../../wit/rule.wit");

/// A rule that can't be made a component: a bound of WebAssembly, or a fault of the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmitError(pub(super) String);

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rule can't be made a component: {}", self.0)
    }
}

impl std::error::Error for EmitError {}

/// What a component is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    BatchRule,
    ExplainRule,
}

/// The ABI, parsed once.
pub(super) struct Abi {
    pub(super) resolve: Resolve,
    pub(super) sizes: SizeAlign,
    batch_rule: WorldId,
    explain_rule: WorldId,
}

impl Abi {
    pub(super) fn get() -> Result<&'static Abi, EmitError> {
        static ABI: OnceLock<Result<Abi, EmitError>> = OnceLock::new();
        ABI.get_or_init(Abi::parse).as_ref().map_err(Clone::clone)
    }

    fn parse() -> Result<Abi, EmitError> {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("rule.wit", WIT).map_err(error)?;
        let world = |name| resolve.select_world(&[package], Some(name)).map_err(error);
        let (batch_rule, explain_rule) = (world("batch-rule")?, world("explain-rule")?);
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        Ok(Abi {
            resolve,
            sizes,
            batch_rule,
            explain_rule,
        })
    }

    /// A type of the ABI's interfaces by name.
    pub(super) fn named(&self, name: &str) -> Result<TypeId, EmitError> {
        let found = self
            .resolve
            .interfaces
            .iter()
            .find_map(|(_, interface)| interface.types.get(name).copied());
        found.ok_or_else(|| EmitError(format!("rule.wit has no `{name}`")))
    }
}

/// What stands around the core module in a component of a world: the same for every rule, since all of a world export the same.
struct Around {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// The component of a core module. To encode one takes longer than all other phases, so it is done once a world, and what that
/// put around its module is put around the others.
pub(super) fn wrap(module: &[u8], world: World) -> Result<Vec<u8>, EmitError> {
    static BATCH_RULE: OnceLock<Option<Around>> = OnceLock::new();
    static EXPLAIN_RULE: OnceLock<Option<Around>> = OnceLock::new();
    let around = match world {
        World::BatchRule => &BATCH_RULE,
        World::ExplainRule => &EXPLAIN_RULE,
    };
    if let Some(around) = around.get() {
        return match around {
            Some(around) => Ok(around.put(module)),
            None => encode(module, world),
        };
    }
    let component = encode(module, world)?;
    around.get_or_init(|| Around::of(&component, module));
    Ok(component)
}

impl Around {
    /// None where the module does not stand in the component as it is.
    fn of(component: &[u8], module: &[u8]) -> Option<Around> {
        let mut windows = component.windows(module.len().max(1));
        let at = windows.position(|window| window == module)?;
        let mut head = vec![ComponentSectionId::CoreModule as u8];
        (module.len() as u32).encode(&mut head);
        let before = component.get(..at)?.strip_suffix(&head[..])?;
        Some(Around {
            before: before.to_vec(),
            after: component.get(at + module.len()..)?.to_vec(),
        })
    }

    fn put(&self, module: &[u8]) -> Vec<u8> {
        let mut component = self.before.clone();
        component.push(ComponentSectionId::CoreModule as u8);
        module.encode(&mut component);
        component.extend_from_slice(&self.after);
        component
    }
}

fn encode(module: &[u8], world: World) -> Result<Vec<u8>, EmitError> {
    let abi = Abi::get()?;
    let world = match world {
        World::BatchRule => abi.batch_rule,
        World::ExplainRule => abi.explain_rule,
    };
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &abi.resolve, world, StringEncoding::UTF8)
        .map_err(error)?;
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(false).encode())
        .map_err(error)
}

fn error(cause: impl fmt::Display) -> EmitError {
    EmitError(format!("{cause:#}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What is put together is what would have been encoded, byte for byte: the version of a rule is a hash of it.
    #[test]
    fn what_stands_around_a_module_is_the_same_for_all() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        let mut compared = 0;
        for case in std::fs::read_dir(corpus).expect("the corpus is there") {
            let case = case.expect("an entry").path();
            for file in std::fs::read_dir(case).expect("a folder") {
                let path = file.expect("an entry").path();
                if path.extension().is_none_or(|ending| ending != "betrace") {
                    continue;
                }
                let source = std::fs::read(&path).expect("a file");
                let (rules, _) = crate::check("rule", &source);
                let text = std::str::from_utf8(&source).expect("text");
                for rule in &rules {
                    let plan = crate::plan::plan(rule, text).expect("it has a plan");
                    let module = crate::emit::core_module(&plan).expect("it has a module");
                    compare(&module, World::BatchRule, &path);
                    let of = crate::plan::explain(rule, text).expect("it can be explained");
                    let module = crate::emit::explanation_module(&of).expect("it has a module");
                    compare(&module, World::ExplainRule, &path);
                    compared += 1;
                }
            }
        }
        assert!(compared > 50, "only {compared} rules");
    }

    fn compare(module: &[u8], world: World, path: &Path) {
        let (put, encoded) = (wrap(module, world), encode(module, world));
        assert!(put == encoded, "{world:?} of {}", path.display());
    }
}
