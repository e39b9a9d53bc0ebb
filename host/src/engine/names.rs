//! The names that a component's core modules give their functions, for people who read machine code. wasmtime's own
//! symbols replace what is not a letter or a digit by `?`.

use wasmparser::{BinaryReader, Name, NameSectionReader, Parser, Payload};

/// Bytes of names that a rule keeps: what 64 KiB of source can give. A component that has more shows wasmtime's symbols.
const NAME_BYTES: usize = 64 << 10;

/// A function: core module by its place in the component, number in the module's index space, name.
pub(super) type FunctionName = (u32, u32, Box<str>);

/// Reads all names. Custom sections need not make sense; what can't be read is left out.
pub(super) fn read(component: &[u8]) -> Box<[FunctionName]> {
    let mut names = Vec::new();
    let mut left = NAME_BYTES;
    let mut module = None;
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else { break };
        match payload {
            Payload::ModuleSection { .. } => module = Some(module.map_or(0, |last: u32| last + 1)),
            Payload::CustomSection(section) if section.name() == "name" => {
                let Some(module) = module else { continue };
                let reader = NameSectionReader::new(BinaryReader::new(
                    section.data(),
                    section.data_offset(),
                ));
                functions(reader, module, &mut left, &mut names);
            }
            _ => {}
        }
    }
    names.into()
}

fn functions(
    reader: NameSectionReader<'_>,
    module: u32,
    left: &mut usize,
    names: &mut Vec<FunctionName>,
) {
    for subsection in reader.into_iter().map_while(Result::ok) {
        let Name::Function(map) = subsection else {
            continue;
        };
        for naming in map.into_iter().map_while(Result::ok) {
            let Some(rest) = left.checked_sub(naming.name.len()) else {
                return;
            };
            *left = rest;
            names.push((module, naming.index, naming.name.into()));
        }
    }
}

/// The symbol `wasm[0]::function[12]::set?1` as people know it, `wasm[0]::function[12]::set 1`. Control characters stay `?`.
pub(super) fn restore(names: &[FunctionName], symbol: &str) -> String {
    restored(names, symbol).unwrap_or_else(|| symbol.to_owned())
}

fn restored(names: &[FunctionName], symbol: &str) -> Option<String> {
    let (module, rest) = symbol.strip_prefix("wasm[")?.split_once("]::function[")?;
    let (function, _) = rest.split_once(']')?;
    let (of, at): (u32, u32) = (module.parse().ok()?, function.parse().ok()?);
    let (_, _, name) = names
        .iter()
        .find(|(module, index, _)| (*module, *index) == (of, at))?;
    let name = name.replace(char::is_control, "?");
    Some(format!("wasm[{module}]::function[{function}]::{name}"))
}
