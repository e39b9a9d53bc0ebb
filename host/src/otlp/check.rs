//! Checks bytes against a [`Shape`]: accepted is exactly what prost decodes, but for UTF-8.
//!
//! `left` is how many levels of messages and groups may still open. prost spends one on a message, and wants one to be
//! left for an unknown field, whatever its type; so does this.

use super::scan::{Damage, Malformed};
use super::shape::{Form, Shape};

/// Messages and groups that may nest in the request. It is prost's limit, and bounds our recursion as well.
pub(super) const NESTING: u32 = 100;

/// Wire types, the lower three bits of a key.
pub(super) const VARINT: u8 = 0;
const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
const GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// A position in a message. `bytes` is the request up to the message's end, so that positions are offsets in the request.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What lies ahead.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// A field's number and wire type.
    #[inline]
    pub(super) fn key(&mut self) -> Result<(u32, u8), Malformed> {
        let start = self.at;
        let key = self.varint()?;
        let Ok(key) = u32::try_from(key) else {
            return Err(malformed(start, Damage::Key));
        };
        let (number, wire) = (key >> 3, (key & 7) as u8);
        if number == 0 {
            return Err(malformed(start, Damage::Key));
        }
        if wire > FIXED32 {
            return Err(malformed(start, Damage::WireType));
        }
        Ok((number, wire))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut value = 0;
        for (i, &byte) in rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                // The tenth byte holds the 64th bit alone.
                if i == 9 && byte > 1 {
                    break;
                }
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(malformed(self.at, Damage::Varint))
    }

    /// The value of a varint field.
    #[inline]
    pub(super) fn number(&mut self, wire: u8) -> Result<u64, Malformed> {
        self.expect(wire, VARINT)?;
        self.varint()
    }

    /// The payload of a length-delimited field.
    #[inline]
    pub(super) fn delimited(&mut self, wire: u8) -> Result<&'a [u8], Malformed> {
        let inner = self.open(wire)?;
        inner
            .bytes
            .get(inner.at..)
            .ok_or(malformed(inner.at, Damage::Short))
    }

    /// Opens the message that a length-delimited field holds; this cursor moves behind it.
    #[inline]
    pub(super) fn open(&mut self, wire: u8) -> Result<Cursor<'a>, Malformed> {
        self.expect(wire, BYTES)?;
        let start = self.at;
        let len = self.varint()?;
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| self.at.checked_add(len));
        let Some(bytes) = end.and_then(|end| self.bytes.get(..end)) else {
            return Err(malformed(start, Damage::Short));
        };
        let inner = Cursor { bytes, at: self.at };
        self.at = bytes.len();
        Ok(inner)
    }

    /// The value of a field of 32 bits.
    pub(super) fn fixed32(&mut self, wire: u8) -> Result<u32, Malformed> {
        self.expect(wire, FIXED32)?;
        let Some(value) = self.rest().first_chunk() else {
            return Err(malformed(self.at, Damage::Short));
        };
        self.at += value.len();
        Ok(u32::from_le_bytes(*value))
    }

    #[inline]
    fn skip_bytes(&mut self, count: usize) -> Result<(), Malformed> {
        if self.bytes.len() - self.at.min(self.bytes.len()) < count {
            return Err(malformed(self.at, Damage::Short));
        }
        self.at += count;
        Ok(())
    }

    /// Checks a field of `shape` whose key was read.
    pub(super) fn field(
        &mut self,
        shape: &'static Shape,
        number: u32,
        wire: u8,
        left: u32,
    ) -> Result<(), Malformed> {
        match shape.form(number) {
            Form::Bytes => self.open(wire).map(drop),
            Form::Message(shape) => {
                let start = self.at;
                let inner = self.open(wire)?;
                let left = left
                    .checked_sub(1)
                    .ok_or(malformed(start, Damage::Nesting))?;
                inner.message(shape, left)
            }
            Form::Varint => self.number(wire).map(drop),
            Form::Fixed64 => {
                self.expect(wire, FIXED64)?;
                self.skip_bytes(8)
            }
            Form::Fixed32 => {
                self.expect(wire, FIXED32)?;
                self.skip_bytes(4)
            }
            Form::Unknown => self.unknown(number, wire, left),
        }
    }

    /// Checks all fields up to the message's end.
    pub(super) fn message(mut self, shape: &'static Shape, left: u32) -> Result<(), Malformed> {
        while !self.at_end() {
            let (number, wire) = self.key()?;
            self.field(shape, number, wire, left)?;
        }
        Ok(())
    }

    /// Skips a field that is no known one.
    pub(super) fn unknown(&mut self, number: u32, wire: u8, left: u32) -> Result<(), Malformed> {
        let start = self.at;
        let Some(inside) = left.checked_sub(1) else {
            return Err(malformed(start, Damage::Nesting));
        };
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.skip_bytes(8),
            BYTES => self.open(wire).map(drop),
            GROUP => loop {
                let at = self.at;
                match self.key()? {
                    (n, END_GROUP) if n == number => break Ok(()),
                    (_, END_GROUP) => break Err(malformed(at, Damage::EndGroup)),
                    (n, wire) => self.unknown(n, wire, inside)?,
                }
            },
            FIXED32 => self.skip_bytes(4),
            _ => Err(malformed(start, Damage::EndGroup)),
        }
    }

    #[inline]
    fn expect(&self, wire: u8, wanted: u8) -> Result<(), Malformed> {
        if wire == wanted {
            Ok(())
        } else {
            Err(malformed(self.at, Damage::WireType))
        }
    }
}

/// Whether an `AnyValue` of less than 128 bytes is empty or one whole text, bool, int or double.
#[inline(always)]
pub(super) fn is_plain_value(value: &[u8]) -> bool {
    match value {
        [0x0a, len, text @ ..] => usize::from(*len) == text.len(),
        [0x10 | 0x18, number @ ..] => is_varint(number),
        [0x21, number @ ..] => number.len() == 8,
        other => other.is_empty(),
    }
}

/// Whether `bytes` are one varint of less than ten bytes.
#[inline(always)]
fn is_varint(bytes: &[u8]) -> bool {
    match bytes {
        [] => false,
        [byte] => *byte < 0x80,
        [first @ .., last] => {
            bytes.len() < 10 && *last < 0x80 && first.iter().all(|byte| *byte >= 0x80)
        }
    }
}

#[cold]
pub(super) fn malformed(offset: usize, damage: Damage) -> Malformed {
    // A request is less than 4 GiB, so nothing is cut off.
    Malformed {
        offset: offset as u32,
        damage,
    }
}
