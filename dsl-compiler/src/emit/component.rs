//! Core module to component, by the worlds in `wit/rule.wit`.

use std::fmt;
use std::sync::OnceLock;

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

pub(super) fn wrap(module: &[u8], world: World) -> Result<Vec<u8>, EmitError> {
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
