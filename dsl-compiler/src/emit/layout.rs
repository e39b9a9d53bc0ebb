//! Values of the ABI to bytes in the data segment, laid out by the WIT types themselves.
//!
//! A value whose shape is not the type's is an error: what `describe` returns can't drift from `wit/rule.wit`.

use wit_parser::{Type, TypeDefKind};

use super::component::{Abi, EmitError};
use super::module::Module;

/// A value of some WIT type.
pub(super) enum Value<'a> {
    Bool(bool),
    U32(u32),
    Text(&'a str),
    List(Vec<Value<'a>>),
    /// Fields by name, in any order, all of them.
    Record(Vec<(&'static str, Value<'a>)>),
    /// A case by name.
    Enum(&'static str),
    /// A case by name, with its payload.
    Variant(&'static str, Box<Value<'a>>),
    /// Flags that are set, by name.
    Flags(Vec<&'static str>),
    /// An `option`.
    Optional(Option<Box<Value<'a>>>),
}

/// Puts a value into the module's data and returns its address.
pub(super) fn place(
    abi: &Abi,
    module: &mut Module,
    of: &Type,
    value: &Value<'_>,
) -> Result<u32, EmitError> {
    let mut bytes = vec![0; abi.sizes.size(of).size_wasm32()];
    write(abi, module, of, value, &mut bytes)?;
    Ok(module.data(abi.sizes.align(of).align_wasm32(), &bytes))
}

/// Puts a list of such values into the module's data and returns the address of its address and length.
pub(super) fn place_list(
    abi: &Abi,
    module: &mut Module,
    item: &Type,
    values: &[Value<'_>],
) -> Result<u32, EmitError> {
    let mut bytes = [0; 8];
    list(abi, module, item, values, &mut bytes)?;
    Ok(module.data(4, &bytes))
}

/// Writes a value into the bytes that are its own.
fn write(
    abi: &Abi,
    module: &mut Module,
    of: &Type,
    value: &Value<'_>,
    out: &mut [u8],
) -> Result<(), EmitError> {
    match (of, value) {
        (Type::Bool, Value::Bool(value)) => put(out, 0, &[u8::from(*value)]),
        (Type::U32, Value::U32(value)) => put(out, 0, &value.to_le_bytes()),
        (Type::String, Value::Text(text)) => {
            let at = module.text(text);
            put_slice(out, at, text.len())
        }
        (Type::Id(id), value) => {
            let kind = abi
                .resolve
                .types
                .get(*id)
                .map(|definition| &definition.kind);
            match (kind, value) {
                (Some(TypeDefKind::Type(inner)), value) => write(abi, module, inner, value, out),
                (Some(TypeDefKind::List(item)), Value::List(values)) => {
                    list(abi, module, item, values, out)
                }
                (Some(TypeDefKind::Option(_)), Value::Optional(None)) => put(out, 0, &[0]),
                (Some(TypeDefKind::Option(inner)), Value::Optional(Some(value))) => {
                    put(out, 0, &[1])?;
                    let offset = abi.sizes.align(inner).align_wasm32();
                    let rest = out.get_mut(offset..).ok_or_else(|| mismatch("an option"))?;
                    write(abi, module, inner, value, rest)
                }
                (Some(TypeDefKind::Record(record)), Value::Record(values)) => {
                    record_fields(abi, module, record, values, out)
                }
                (Some(TypeDefKind::Enum(cases)), Value::Enum(case)) => {
                    let index = cases.cases.iter().position(|known| known.name == *case);
                    put(out, 0, &[small(index, case)?])
                }
                (Some(TypeDefKind::Flags(flags)), Value::Flags(set)) => {
                    let mut bits = 0;
                    for flag in set {
                        let index = flags.flags.iter().position(|known| known.name == *flag);
                        bits |= 1 << small(index, flag)?;
                    }
                    put(out, 0, &[bits])
                }
                (Some(TypeDefKind::Variant(variant)), Value::Variant(case, payload)) => {
                    let index = variant.cases.iter().position(|known| known.name == *case);
                    put(out, 0, &[small(index, case)?])?;
                    let payloads = variant.cases.iter().map(|case| case.ty.as_ref());
                    let offset = abi
                        .sizes
                        .payload_offset(variant.tag(), payloads)
                        .size_wasm32();
                    let payload_type = variant
                        .cases
                        .iter()
                        .find(|known| known.name == *case)
                        .and_then(|case| case.ty.as_ref())
                        .ok_or_else(|| mismatch(case))?;
                    let rest = out.get_mut(offset..).ok_or_else(|| mismatch(case))?;
                    write(abi, module, payload_type, payload, rest)
                }
                _ => Err(mismatch("a type")),
            }
        }
        _ => Err(mismatch("a primitive")),
    }
}

fn list(
    abi: &Abi,
    module: &mut Module,
    item: &Type,
    values: &[Value<'_>],
    out: &mut [u8],
) -> Result<(), EmitError> {
    let size = abi.sizes.size(item).size_wasm32();
    let mut bytes = vec![0; size * values.len()];
    for (value, bytes) in values.iter().zip(bytes.chunks_mut(size)) {
        write(abi, module, item, value, bytes)?;
    }
    let at = module.data(abi.sizes.align(item).align_wasm32(), &bytes);
    put_slice(out, at, values.len())
}

fn record_fields(
    abi: &Abi,
    module: &mut Module,
    record: &wit_parser::Record,
    values: &[(&'static str, Value<'_>)],
    out: &mut [u8],
) -> Result<(), EmitError> {
    if record.fields.len() != values.len() {
        return Err(mismatch("the number of fields"));
    }
    let types = record.fields.iter().map(|field| &field.ty);
    let offsets = abi.sizes.field_offsets(types);
    for (field, (offset, of)) in record.fields.iter().zip(offsets) {
        let value = values.iter().find(|(name, _)| *name == field.name);
        let (_, value) = value.ok_or_else(|| mismatch(&field.name))?;
        let rest = out
            .get_mut(offset.size_wasm32()..)
            .ok_or_else(|| mismatch(&field.name))?;
        write(abi, module, of, value, rest)?;
    }
    Ok(())
}

fn put_slice(out: &mut [u8], at: u32, length: usize) -> Result<(), EmitError> {
    put(out, 0, &at.to_le_bytes())?;
    put(out, 4, &(length as u32).to_le_bytes())
}

fn put(out: &mut [u8], offset: usize, bytes: &[u8]) -> Result<(), EmitError> {
    out.get_mut(offset..offset + bytes.len())
        .ok_or_else(|| mismatch("a size"))?
        .copy_from_slice(bytes);
    Ok(())
}

/// The number of a case or a flag. All our enums, variants and flags fit a byte.
fn small(index: Option<usize>, name: &str) -> Result<u8, EmitError> {
    index
        .and_then(|index| u8::try_from(index).ok())
        .ok_or_else(|| mismatch(name))
}

fn mismatch(what: &str) -> EmitError {
    EmitError(format!("`{what}` is not as in rule.wit"))
}
