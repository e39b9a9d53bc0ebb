//! Core module to component, by the world in `wit/rule.wit`.

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

/// The ABI, parsed once.
pub(super) struct Abi {
    pub(super) resolve: Resolve,
    pub(super) sizes: SizeAlign,
    world: WorldId,
}

impl Abi {
    pub(super) fn get() -> Result<&'static Abi, EmitError> {
        static ABI: OnceLock<Result<Abi, EmitError>> = OnceLock::new();
        ABI.get_or_init(Abi::parse).as_ref().map_err(Clone::clone)
    }

    fn parse() -> Result<Abi, EmitError> {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("rule.wit", WIT).map_err(error)?;
        let world = resolve
            .select_world(&[package], Some("batch-rule"))
            .map_err(error)?;
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        Ok(Abi {
            resolve,
            sizes,
            world,
        })
    }

    /// A type of the ABI's interface by name.
    pub(super) fn named(&self, name: &str) -> Option<TypeId> {
        self.resolve
            .interfaces
            .iter()
            .find_map(|(_, interface)| interface.types.get(name).copied())
    }
}

pub(super) fn wrap(module: &[u8]) -> Result<Vec<u8>, EmitError> {
    let abi = Abi::get()?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &abi.resolve, abi.world, StringEncoding::UTF8)
        .map_err(error)?;
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(false).encode())
        .map_err(error)
}

fn error(cause: impl fmt::Display) -> EmitError {
    EmitError(format!("{cause:#}"))
}
