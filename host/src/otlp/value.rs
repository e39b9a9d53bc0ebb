//! Attributes: a `KeyValue` message to its key and typed value, with prost's merging: a later `value` field merges into
//! an earlier one, and the last member of the oneof wins. An array or a map that is repeated with no other member between
//! is joined; after another member it starts anew.

use super::wire::{Fields, Wire, fields};

/// An `AnyValue`. Text is not checked to be UTF-8 here: whoever reads it checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No member of the oneof is set, or it is an index into a dictionary that traces don't have.
    Missing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
    Array(Array<'a>),
    Map(Map<'a>),
    Bytes(&'a [u8]),
}

/// An array; its elements are read when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a>(Holder<'a>);

/// A map; its entries are read when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map<'a>(Holder<'a>);

/// Splits a `KeyValue` into key and value.
#[inline]
pub fn key_value(message: &[u8]) -> (&[u8], Value<'_>) {
    let mut key: &[u8] = &[];
    let mut value = Value::Missing;
    for (number, wire) in fields(message) {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => read_any(bytes, Holder::KeyValue(message), &mut value),
            _ => {}
        }
    }
    (key, value)
}

/// The attributes that lie in `message` as field `number`, in the order they came.
pub fn attributes(message: &[u8], number: u32) -> impl Iterator<Item = (&[u8], Value<'_>)> {
    fields(message).filter_map(move |field| match field {
        (n, Wire::Bytes(bytes)) if n == number => Some(key_value(bytes)),
        _ => None,
    })
}

impl<'a> Array<'a> {
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        self.0.items(ARRAY).map(any)
    }
}

impl<'a> Map<'a> {
    /// Entries in the order they came; of a repeated key the first counts.
    pub fn entries(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        self.0.items(MAP).map(key_value)
    }
}

/// Numbers of the oneof's members.
const ARRAY: u32 = 5;
const MAP: u32 = 6;
const LAST_MEMBER: u32 = 8;

/// The message in which all parts of an array or a map lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder<'a> {
    /// Has a value, perhaps in several parts, as field 2.
    KeyValue(&'a [u8]),
    /// An element of an array, which is in one part.
    AnyValue(&'a [u8]),
}

impl<'a> Holder<'a> {
    /// The items of the array or map, which is member `wanted`: of all its parts after the last other member.
    fn items(self, wanted: u32) -> impl Iterator<Item = &'a [u8]> {
        let mut start = 0;
        for (i, (number, _)) in self.members().enumerate() {
            if number != wanted && (1..=LAST_MEMBER).contains(&number) {
                start = i + 1;
            }
        }
        self.members()
            .skip(start)
            .filter_map(move |member| payload(member, wanted))
            .flat_map(fields)
            .filter_map(|item| payload(item, 1))
    }

    fn members(self) -> Members<'a> {
        match self {
            Holder::KeyValue(message) => Members {
                outer: fields(message),
                inner: fields(&[]),
            },
            Holder::AnyValue(message) => Members {
                outer: fields(&[]),
                inner: fields(message),
            },
        }
    }
}

/// Fields of an `AnyValue`, over all its parts.
struct Members<'a> {
    outer: Fields<'a>,
    inner: Fields<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (u32, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(member) = self.inner.next() {
                return Some(member);
            }
            if let (2, Wire::Bytes(part)) = self.outer.next()? {
                self.inner = fields(part);
            }
        }
    }
}

fn payload((number, wire): (u32, Wire<'_>), wanted: u32) -> Option<&[u8]> {
    match wire {
        Wire::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    }
}

/// Reads an `AnyValue` that is not an attribute's.
fn any(message: &[u8]) -> Value<'_> {
    let mut value = Value::Missing;
    read_any(message, Holder::AnyValue(message), &mut value);
    value
}

/// Merges the members of an `AnyValue` payload into `value`.
#[inline]
fn read_any<'a>(message: &'a [u8], holder: Holder<'a>, value: &mut Value<'a>) {
    for (number, wire) in fields(message) {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => *value = Value::Text(bytes),
            (2, Wire::Varint(v)) => *value = Value::Bool(v != 0),
            (3, Wire::Varint(v)) => *value = Value::Int(v as i64),
            (4, Wire::Fixed64(v)) => *value = Value::Float(f64::from_bits(v)),
            (ARRAY, Wire::Bytes(_)) => *value = Value::Array(Array(holder)),
            (MAP, Wire::Bytes(_)) => *value = Value::Map(Map(holder)),
            (7, Wire::Bytes(bytes)) => *value = Value::Bytes(bytes),
            (LAST_MEMBER, Wire::Varint(_)) => *value = Value::Missing,
            _ => {}
        }
    }
}
