//! A component for a person: what it says of itself, and the machine code that wasmtime made of it.
//!
//! The code is read from wasmtime's own artifact, an ELF file, and disassembled by Cranelift's instruction set
//! description of this machine: it is what runs, not a second compilation.

use std::fmt::Write;

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::layout::Kind;
use super::manifest::{ClauseKind, Manifest, intrinsic_name, place_name, table_name};
use super::names;
use super::rule::Rule;
use crate::columns::projection::{ColumnKey, Source};

/// Why there is no machine code to show.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    #[error("could not read the compiled code of `{rule}`: {reason}")]
    Artifact { rule: String, reason: String },
    #[error("no disassembler for {target}: {reason}")]
    Target { target: String, reason: String },
}

/// A function's machine code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As in the component's name section, else its number; with the number of the core module it is of.
    pub name: String,
    pub bytes: usize,
    /// One instruction a line.
    pub assembly: String,
}

/// What a rule says of itself.
pub fn describe(rule: &Rule) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write_description(&mut out, rule);
    out
}

/// The machine code of a rule, function by function, in the order that it lies in memory.
pub fn assembly(rule: &Rule) -> Result<Vec<Function>, AssemblyError> {
    let artifact = |reason: String| AssemblyError::Artifact {
        rule: rule.id.clone(),
        reason,
    };
    let elf = rule
        .component()
        .serialize()
        .map_err(|error| artifact(format!("{error:#}")))?;
    let file = object::File::parse(&*elf).map_err(|error| artifact(error.to_string()))?;
    let text = file
        .section_by_name(".text")
        .ok_or_else(|| artifact("it has no section `.text`".into()))?;
    let code = text.data().map_err(|error| artifact(error.to_string()))?;
    let disassembler = instruction_set()?
        .to_capstone()
        .map_err(|error| AssemblyError::Target {
            target: std::env::consts::ARCH.into(),
            reason: error.to_string(),
        })?;
    let mut symbols: Vec<_> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
        .collect();
    symbols.sort_by_key(|symbol| symbol.address());
    let mut functions = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        let start = symbol
            .address()
            .checked_sub(text.address())
            .and_then(|start| usize::try_from(start).ok());
        let body = start
            .and_then(|start| Some(start..start.checked_add(usize::try_from(symbol.size()).ok()?)?))
            .and_then(|range| code.get(range))
            .ok_or_else(|| artifact("a function lies outside of the code".into()))?;
        let name = symbol.name().map_err(|error| artifact(error.to_string()))?;
        let instructions = disassembler
            .disasm_all(body, symbol.address())
            .map_err(|error| artifact(format!("function `{name}`: {error}")))?;
        let mut assembly = String::new();
        for instruction in instructions.iter() {
            let operands = instruction.op_str().unwrap_or_default();
            let line = format!(
                "{:8x}  {:<8} {operands}",
                instruction.address(),
                instruction.mnemonic().unwrap_or_default(),
            );
            assembly.push_str(line.trim_end());
            assembly.push('\n');
        }
        let shown: usize = instructions
            .iter()
            .map(|instruction| instruction.len())
            .sum();
        if shown < body.len() {
            // Constants and jump tables stand behind a function's code.
            assembly.push_str(&format!(
                "          ({} bytes of data)\n",
                body.len() - shown
            ));
        }
        functions.push(Function {
            name: names::restore(rule.names(), name),
            bytes: body.len(),
            assembly,
        });
    }
    Ok(functions)
}

/// The instruction set of this machine.
fn instruction_set() -> Result<OwnedTargetIsa, AssemblyError> {
    // What Cranelift compiles for; Rust's name of the last differs from the name in a target triple.
    let architecture = match std::env::consts::ARCH {
        known @ ("x86_64" | "aarch64" | "s390x") => known,
        "riscv64" => "riscv64gc",
        other => {
            return Err(AssemblyError::Target {
                target: other.into(),
                reason: "not a target of Cranelift".into(),
            });
        }
    };
    let target = |reason: String| AssemblyError::Target {
        target: architecture.into(),
        reason,
    };
    isa::lookup_by_name(architecture)
        .map_err(|error| target(error.to_string()))?
        .finish(settings::Flags::new(settings::builder()))
        .map_err(|error| target(error.to_string()))
}

fn write_description(out: &mut String, rule: &Rule) -> std::fmt::Result {
    let manifest = &rule.manifest;
    writeln!(out, "{} ({})", manifest.id, manifest.severity.name())?;
    for line in manifest.description.lines() {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "version   {}", rule.version)?;
    writeln!(out, "from      {}", rule.origin.display())?;
    if !manifest.tags.is_empty() {
        writeln!(out, "tags      {}", manifest.tags.join(", "))?;
    }
    if !manifest.message.is_empty() {
        writeln!(out, "message   {:?}", manifest.message)?;
    }
    writeln!(out, "imports   nothing")?;
    let (component, code) = (rule.component_bytes(), rule.component().text().len());
    writeln!(
        out,
        "size      {component} bytes of WebAssembly, {code} of machine code"
    )?;
    write_clauses(out, manifest)?;
    write_columns(out, rule)?;
    if !manifest.constants.is_empty() {
        writeln!(out, "\nconstants")?;
        for constant in &manifest.constants {
            writeln!(out, "  {constant:?}")?;
        }
    }
    write_triggers(out, manifest)
}

fn write_clauses(out: &mut String, manifest: &Manifest) -> std::fmt::Result {
    writeln!(out, "\nclauses")?;
    for (index, clause) in manifest.clauses.iter().enumerate() {
        let when = match clause.kind {
            ClauseKind::Detect | ClauseKind::Never => "signals when true",
            ClauseKind::Expect | ClauseKind::Always => "signals when false",
        };
        let stable = if clause.stable {
            "stable"
        } else {
            "more spans can undo it"
        };
        writeln!(out, "  {index}  {} ({when}; {stable})", clause.kind.name())?;
        for line in clause.text.lines() {
            writeln!(out, "       {}", line.trim())?;
        }
    }
    Ok(())
}

fn write_columns(out: &mut String, rule: &Rule) -> std::fmt::Result {
    let layout = rule.layout();
    if layout.slots.is_empty() {
        return writeln!(out, "\ncolumns   none");
    }
    writeln!(out, "\ncolumns ({} bytes a span)", layout.span_bytes)?;
    for (column, slot) in rule.manifest.columns.iter().zip(&layout.slots) {
        let lists = match slot.kind {
            Kind::Symbols | Kind::Rows | Kind::Numbers | Kind::Offsets(_) => "w32",
            Kind::Wide => "w64",
            Kind::Narrow => "w8",
            Kind::Attribute => "w8 w64",
        };
        let compared = column.compared;
        let types: Vec<&str> = [
            (compared.boolean, "bool"),
            (compared.integer, "int"),
            (compared.float, "float"),
            (compared.text, "text"),
        ]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect();
        write!(out, "  {lists:<7} {}", column_name(&column.key))?;
        if column.text {
            write!(out, ", with its text")?;
        }
        if !types.is_empty() {
            write!(out, ", compared as {}", types.join(", "))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_triggers(out: &mut String, manifest: &Manifest) -> std::fmt::Result {
    if manifest.triggers.is_empty() {
        return writeln!(out, "\ntriggers  none: it sees every trace");
    }
    writeln!(
        out,
        "\ntriggers (of each line, at least one has to be in the trace)"
    )?;
    for group in &manifest.triggers {
        let group: Vec<String> = group.iter().map(ToString::to_string).collect();
        writeln!(out, "  {}", group.join(" or "))?;
    }
    Ok(())
}

fn column_name(key: &ColumnKey) -> String {
    let table = table_name(key.table);
    match &key.source {
        Source::Intrinsic(intrinsic) => format!("{table}: {}", intrinsic_name(*intrinsic)),
        Source::Attribute { place, key } => {
            format!("{table}: attribute {key:?} ({})", place_name(*place))
        }
    }
}
