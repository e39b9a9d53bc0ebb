//! Attributes: a `KeyValue` message to its key and typed value, with prost's merging: a later `value` field merges into
//! an earlier one, and the last member of the oneof wins (a repeated array or map is joined).

use super::wire::{Wire, fields};

/// An `AnyValue`. Text is not checked to be UTF-8 here: whoever reads it checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No member of the oneof is set.
    Missing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
    /// The `KeyValue` that holds it; its elements are read when asked for.
    Array(&'a [u8]),
    Map(&'a [u8]),
    Bytes(&'a [u8]),
}

/// Splits a `KeyValue` into key and value.
#[inline]
pub fn key_value(message: &[u8]) -> (&[u8], Value<'_>) {
    let mut key: &[u8] = &[];
    let mut value = Value::Missing;
    for (number, wire) in fields(message) {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => read_any(bytes, message, &mut value),
            _ => {}
        }
    }
    (key, value)
}

/// Merges the members of an `AnyValue` payload into `value`; an array or a map keeps `whole`, where all its parts lie.
#[inline]
fn read_any<'a>(message: &'a [u8], whole: &'a [u8], value: &mut Value<'a>) {
    for (number, wire) in fields(message) {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => *value = Value::Text(bytes),
            (2, Wire::Varint(v)) => *value = Value::Bool(v != 0),
            (3, Wire::Varint(v)) => *value = Value::Int(v as i64),
            (4, Wire::Fixed64(v)) => *value = Value::Float(f64::from_bits(v)),
            (5, Wire::Bytes(_)) => *value = Value::Array(whole),
            (6, Wire::Bytes(_)) => *value = Value::Map(whole),
            (7, Wire::Bytes(bytes)) => *value = Value::Bytes(bytes),
            _ => {}
        }
    }
}
