//! One attribute: from a `KeyValue`'s bytes to the tag and the 64 bits of a cell.
//!
//! Encoders write a key, then a value, and nothing else: [`split`] takes that form apart without looking into the value,
//! so that an attribute nobody reads costs a key lookup. Every other form goes through [`value::key_value`].

use super::batch::{NONE, tag};
use super::symbols::Symbols;
use crate::otlp::value::{self, Value};
use crate::otlp::wire::{ShortAttribute, varint};

/// Tag and value of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) tag: u8,
    pub(super) value: u64,
}

impl Cell {
    pub(super) const MISSING: Cell = Cell {
        tag: tag::MISSING,
        value: 0,
    };

    /// Text that is not UTF-8 is missing.
    pub(super) fn new(value: Value<'_>, symbols: &mut Symbols) -> Cell {
        let (tag, value) = match value {
            Value::Missing => (tag::MISSING, 0),
            Value::Bool(v) => (tag::BOOL, u64::from(v)),
            Value::Int(v) => (tag::INT, v as u64),
            Value::Float(v) => (tag::FLOAT, v.to_bits()),
            Value::Text(text) => return Cell::text(text, symbols),
            Value::Array(_) => (tag::ARRAY, 0),
            Value::Map(_) => (tag::MAP, 0),
            Value::Bytes(_) => (tag::BYTES, 0),
        };
        Cell { tag, value }
    }

    pub(super) fn text(text: &[u8], symbols: &mut Symbols) -> Cell {
        let cell = |symbol| Cell {
            tag: tag::TEXT,
            value: u64::from(symbol),
        };
        symbols.intern(text).map_or(Cell::MISSING, cell)
    }

    pub(super) fn is_missing(self) -> bool {
        self.tag == tag::MISSING
    }

    /// The symbol, where this is text.
    pub(super) fn symbol(self) -> u32 {
        if self.tag == tag::TEXT {
            self.value as u32
        } else {
            NONE
        }
    }
}

/// A `KeyValue` whose value is read when asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) key: &'a [u8],
    value: Lazy<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Lazy<'a> {
    /// An `AnyValue` and the `KeyValue` that holds it and nothing after it.
    Plain(&'a [u8], &'a [u8]),
    Read(Value<'a>),
}

/// Key and value of a `KeyValue`.
#[inline]
pub(super) fn split(message: &[u8]) -> Attribute<'_> {
    if let Some((key, any)) = plain(message) {
        return Attribute {
            key,
            value: Lazy::Plain(any, message),
        };
    }
    let (key, value) = value::key_value(message);
    Attribute {
        key,
        value: Lazy::Read(value),
    }
}

impl<'a> From<ShortAttribute<'a>> for Attribute<'a> {
    #[inline]
    fn from(short: ShortAttribute<'a>) -> Attribute<'a> {
        Attribute {
            key: short.key,
            value: Lazy::Plain(short.value, short.message),
        }
    }
}

impl<'a> Attribute<'a> {
    #[inline]
    pub(super) fn value(&self) -> Value<'a> {
        match self.value {
            Lazy::Read(value) => value,
            Lazy::Plain(any, message) => {
                plain_value(any).unwrap_or_else(|| value::key_value(message).1)
            }
        }
    }
}

/// Key and `AnyValue` payload, where these two are all there is and the key is short.
#[inline]
fn plain(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[0x0a, len], rest) = message.split_first_chunk()? else {
        return None;
    };
    if len >= 0x80 {
        return None;
    }
    let (key, rest) = rest.split_at_checked(usize::from(len))?;
    let (&0x12, mut rest) = rest.split_first()? else {
        return None;
    };
    let len = varint(&mut rest)?;
    (len == rest.len() as u64).then_some((key, rest))
}

/// The value of an `AnyValue` payload with one scalar member and nothing else.
#[inline]
fn plain_value(any: &[u8]) -> Option<Value<'_>> {
    let (&tag, mut rest) = any.split_first()?;
    let value = match tag {
        0x0a => {
            let len = varint(&mut rest)?;
            return (len == rest.len() as u64).then_some(Value::Text(rest));
        }
        0x10 => Value::Bool(varint(&mut rest)? != 0),
        0x18 => Value::Int(varint(&mut rest)? as i64),
        0x21 => return Some(Value::Float(f64::from_le_bytes(rest.try_into().ok()?))),
        _ => return None,
    };
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use prost::Message;

    fn encode(key: &str, value: Option<any_value::Value>) -> Vec<u8> {
        KeyValue {
            key: key.into(),
            value: Some(AnyValue { value }),
            ..KeyValue::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn plain_and_general_reading_agree() {
        use any_value::Value as V;
        let values = [
            None,
            Some(V::BoolValue(true)),
            Some(V::IntValue(i64::MIN)),
            Some(V::DoubleValue(-0.0)),
            Some(V::StringValue("x".repeat(300))),
            Some(V::StringValue(String::new())),
            Some(V::BytesValue(vec![1])),
        ];
        for key in ["", "k", &"k".repeat(200)] {
            for value in &values {
                let mut bytes = encode(key, value.clone());
                for extra in [&[][..], &[0x98, 0x06, 0x01], &[0x12, 0x02, 0x18, 0x07]] {
                    bytes.extend_from_slice(extra);
                    let attribute = split(&bytes);
                    assert_eq!((attribute.key, attribute.value()), value::key_value(&bytes));
                }
            }
        }
    }
}
