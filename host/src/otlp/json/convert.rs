//! JSON text to the protobuf bytes of one message after another, by the tables in `names.rs`.
//!
//! A message's length stands before it and is known after it: one byte is left for it, and a message of 128 bytes or more
//! is moved up to make room. Most messages are attributes, which are shorter.

use std::fmt::Write;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::JsonError;
use super::names::{Field, Form, Message, Names, REQUEST};
use super::number::{double, integer};
use super::reader::{Fault, Reader};
use crate::otlp::check::NESTING;

/// Converts requests from a text, one after another.
#[derive(Debug)]
pub(super) struct Converter<'a> {
    reader: Reader<'a>,
    out: Vec<u8>,
    /// Where the reader is; after a fault, where that happened.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(&'static str),
    Index(usize),
}

impl<'a> Converter<'a> {
    pub(super) fn new(json: &'a [u8]) -> Result<Converter<'a>, JsonError> {
        match Reader::new(json) {
            Ok(reader) => Ok(Converter {
                reader,
                out: Vec::new(),
                path: Vec::new(),
            }),
            Err(fault) => Err(error(json, &[], fault)),
        }
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.reader.peek().is_none()
    }

    pub(super) fn request(&mut self) -> Result<Vec<u8>, JsonError> {
        match self.message(&REQUEST, NESTING) {
            Ok(()) => Ok(std::mem::take(&mut self.out)),
            Err(fault) => Err(self.error(fault)),
        }
    }

    pub(super) fn expect_end(&mut self) -> Result<(), JsonError> {
        if self.at_end() {
            return Ok(());
        }
        let fault = self.reader.unexpected("the end of the text");
        Err(self.error(fault))
    }

    fn error(&self, fault: Fault) -> JsonError {
        error(self.reader.text().as_bytes(), &self.path, fault)
    }

    /// Converts an object's fields; `left` levels of messages may open below it.
    fn message(&mut self, message: &'static Message, left: u32) -> Result<(), Fault> {
        self.reader.open(b'{')?;
        let (mut first, mut seen) = (true, 0_u32);
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let Some((place, field)) = message.field(&key) else {
                self.reader.skip()?;
                continue;
            };
            self.path.push(Step::Key(field.name));
            if !self.reader.null()? {
                if seen & 1 << place != 0 {
                    return Err(self.reader.fault("is there twice"));
                }
                if message.one_of && seen != 0 {
                    return Err(self.reader.fault("a value can't have two types"));
                }
                seen |= 1 << place;
                self.field(field, left)?;
            }
            self.path.pop();
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field, left: u32) -> Result<(), Fault> {
        if !field.repeated {
            return self.value(field, left);
        }
        self.reader.open(b'[')?;
        let mut index = 0;
        while self.reader.element(index == 0)? {
            self.path.push(Step::Index(index));
            self.value(field, left)?;
            self.path.pop();
            index += 1;
        }
        Ok(())
    }

    /// Converts a value, with its key on the wire before it.
    fn value(&mut self, field: &'static Field, left: u32) -> Result<(), Fault> {
        match field.form {
            Form::Text => {
                let text = self.reader.string()?;
                self.bytes(field, text.as_bytes());
            }
            Form::Id => {
                let bytes = self.parsed(Reader::string, "hexadecimal digits, two a byte", hex)?;
                self.bytes(field, &bytes);
            }
            Form::Base64 => {
                let bytes = self.parsed(Reader::string, "base64", base64)?;
                self.bytes(field, &bytes);
            }
            Form::Bool => {
                let value = self.reader.bool()?;
                self.varint_field(field, u64::from(value));
            }
            Form::Int32(names) => {
                let value = self.int32(names)?;
                // A negative number of 32 bits takes ten bytes, as one of 64 would.
                self.varint_field(field, i64::from(value) as u64);
            }
            Form::Uint32 => {
                let value: u32 = self.integer("an integer of 32 bits, not negative")?;
                self.varint_field(field, u64::from(value));
            }
            Form::Int64 => {
                let value: i64 = self.integer("an integer of 64 bits")?;
                self.varint_field(field, value as u64);
            }
            Form::Fixed32 => {
                let value: u32 = self.integer("an integer of 32 bits, not negative")?;
                self.key(field, 5);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Form::Fixed64 => {
                let value: u64 = self.integer("an integer of 64 bits, not negative")?;
                self.key(field, 1);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Form::Double => {
                let wanted = "a number, `NaN`, `Infinity` or `-Infinity`";
                let value = self.parsed(Reader::number_or_string, wanted, double)?;
                self.key(field, 1);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Form::Message(message) => {
                let Some(left) = left.checked_sub(1) else {
                    let what = format!("messages nest deeper than {NESTING}");
                    return Err(self.reader.fault(what));
                };
                self.key(field, 2);
                let start = self.out.len();
                self.out.push(0);
                self.message(message, left)?;
                self.set_length(start);
            }
        }
        Ok(())
    }

    fn int32(&mut self, names: Names) -> Result<i32, Fault> {
        let parse = |text: &str| match names.iter().position(|name| *name == text) {
            Some(number) => i32::try_from(number).ok(),
            None => integer(text)?.try_into().ok(),
        };
        let wanted = match names {
            [] => "an integer of 32 bits".to_owned(),
            names => format!("an integer or one of {}", names.join(", ")),
        };
        self.parsed(Reader::number_or_string, &wanted, parse)
    }

    fn integer<N: TryFrom<i128>>(&mut self, wanted: &str) -> Result<N, Fault> {
        self.parsed(Reader::number_or_string, wanted, |text| {
            integer(text)?.try_into().ok()
        })
    }

    /// Reads a token and parses it; where it is not what is `wanted`, the fault stands at the token.
    fn parsed<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<std::borrow::Cow<'a, str>, Fault>,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        self.reader.peek();
        let at = self.reader.at();
        let text = read(&mut self.reader)?;
        parse(&text).ok_or_else(|| Fault {
            at,
            what: format!("expected {wanted}, found `{}`", shortened(&text)),
        })
    }

    fn key(&mut self, field: &Field, wire: u32) {
        self.varint(u64::from(field.number << 3 | wire));
    }

    fn varint_field(&mut self, field: &Field, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn bytes(&mut self, field: &Field, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn varint(&mut self, value: u64) {
        let (bytes, len) = varint(value);
        self.out.extend(bytes.into_iter().take(len));
    }

    /// Writes the length of what follows `start`, where one byte was left for it.
    fn set_length(&mut self, start: usize) {
        let (bytes, len) = varint((self.out.len() - start - 1) as u64);
        let length = bytes.into_iter().take(len);
        self.out.splice(start..=start, length);
    }
}

/// A varint and how many bytes it takes.
fn varint(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = value as u8 | 0x80;
        value >>= 7;
        if value == 0 {
            *byte &= 0x7f;
            return (bytes, i + 1);
        }
    }
    (bytes, 10)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| match pair {
            [high, low] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                u8::try_from(digit(high)? << 4 | digit(low)?).ok()
            }
            _ => None,
        })
        .collect()
}

/// Both alphabets, padded or not: senders differ.
fn base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);
    let engine = if text.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    engine.decode(text).ok()
}

/// As much of a text as an error should repeat.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn error(json: &[u8], path: &[Step], fault: Fault) -> JsonError {
    let before = json.get(..fault.at).unwrap_or(json);
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |i| i + 1);
    let mut text = String::new();
    for step in path {
        // Writing to a String can't fail.
        let _ = match step {
            Step::Key(key) if text.is_empty() => write!(text, "{key}"),
            Step::Key(key) => write!(text, ".{key}"),
            Step::Index(index) => write!(text, "[{index}]"),
        };
    }
    JsonError {
        path: text,
        line: memchr::memchr_iter(b'\n', before).count() + 1,
        column: before.len() - line_start + 1,
        what: fault.what,
    }
}
