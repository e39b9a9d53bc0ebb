//! Reads JSON text from front to back, one token at a time, without building a tree.
//!
//! Strict as RFC 8259, with one exception: half of a surrogate pair in an escape becomes U+FFFD, since JavaScript writes
//! such strings and one of them should not cost its sender the whole request.

use std::borrow::Cow;

use super::number::number_len;

/// How deep values that nobody reads may nest.
const SKIPPED_NESTING: u32 = 100;

/// Where and why reading failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: String,
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(json: &'a [u8]) -> Result<Reader<'a>, Fault> {
        let text = std::str::from_utf8(json).map_err(|error| Fault {
            at: error.valid_up_to(),
            what: "the text is not UTF-8".to_owned(),
        })?;
        let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Ok(Reader { text, at })
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The first byte of the next token.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let space = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at += space;
        rest.get(space).copied()
    }

    /// Reads `byte`, which starts or ends an object or an array.
    pub(super) fn open(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(match byte {
                b'{' => "an object",
                _ => "an array",
            }));
        }
        self.at += 1;
        Ok(())
    }

    /// The next key of an object, its colon read as well; none at the object's end.
    pub(super) fn key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Fault> {
        if !self.another(first, b'}')? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether an array has another element.
    pub(super) fn element(&mut self, first: bool) -> Result<bool, Fault> {
        self.another(first, b']')
    }

    /// Reads `null`, if it is next.
    pub(super) fn null(&mut self) -> Result<bool, Fault> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal("null").map(|()| true)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b't') => self.literal("true").map(|()| true),
            Some(b'f') => self.literal("false").map(|()| false),
            _ => Err(self.unexpected("`true` or `false`")),
        }
    }

    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string"));
        }
        self.at += 1;
        let plain = self.plain()?;
        if self.rest().first() == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while self.rest().first() == Some(&b'\\') {
            text.push(self.escape()?);
            text.push_str(self.plain()?);
        }
        self.at += 1;
        Ok(Cow::Owned(text))
    }

    /// A number as it is written, or the text of a string.
    pub(super) fn number_or_string(&mut self) -> Result<Cow<'a, str>, Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number().map(Cow::Borrowed),
            _ => Err(self.unexpected("a number")),
        }
    }

    /// Reads over any value.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        self.skip_value(SKIPPED_NESTING)
    }

    pub(super) fn fault(&self, what: impl Into<String>) -> Fault {
        Fault {
            at: self.at,
            what: what.into(),
        }
    }

    /// That the next token is not `wanted`.
    pub(super) fn unexpected(&mut self, wanted: &str) -> Fault {
        self.peek();
        let found = match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            None => "the end of the text".to_owned(),
            Some('{') => "an object".to_owned(),
            Some('[') => "an array".to_owned(),
            Some('"') => "a string".to_owned(),
            Some('0'..='9') => "a number".to_owned(),
            Some(other) => format!("`{}`", other.escape_debug()),
        };
        self.fault(format!("expected {wanted}, found {found}"))
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Reads the comma before another item, or the end.
    fn another(&mut self, first: bool, end: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                // A comma must be followed by an item, not by the end.
                if self.peek() == Some(end) {
                    return Err(self.fault("a comma has nothing behind it"));
                }
                Ok(true)
            }
            _ => Err(self.unexpected(match end {
                b'}' => "`,` or `}`",
                _ => "`,` or `]`",
            })),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Fault> {
        let after = self.rest().get(word.len());
        if !self.rest().starts_with(word.as_bytes())
            || after.is_some_and(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(self.fault(format!("expected `{word}`")));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        let len = number_len(self.rest());
        match self.text.get(start..start + len) {
            Some(number) if len > 0 => {
                self.at += len;
                Ok(number)
            }
            _ => Err(self.fault("a number is malformed")),
        }
    }

    /// The text up to the next quote or backslash.
    fn plain(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        let Some(len) = memchr::memchr2(b'"', b'\\', self.rest()) else {
            return Err(self.fault("a string has no end"));
        };
        let plain = self.text.get(start..start + len).unwrap_or_default();
        if let Some(control) = plain.bytes().position(|byte| byte < 0x20) {
            self.at += control;
            return Err(self.fault("a string holds a control character, which must be escaped"));
        }
        self.at += len;
        Ok(plain)
    }

    /// The character of an escape sequence.
    fn escape(&mut self) -> Result<char, Fault> {
        let character = match self.rest().get(1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.fault("an escape sequence is unknown")),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, Fault> {
        let Some(unit) = self.unit() else {
            return Err(self.fault("`\\u` needs four hexadecimal digits"));
        };
        self.at += 6;
        if !(0xd800..0xdc00).contains(&unit) {
            return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        match self.unit() {
            Some(low @ 0xdc00..0xe000) => {
                self.at += 6;
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => Ok(char::REPLACEMENT_CHARACTER),
        }
    }

    /// The UTF-16 unit of the `\uXXXX` that is next, if one is.
    fn unit(&self) -> Option<u32> {
        let digits = self.rest().strip_prefix(b"\\u")?.get(..4)?;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        })
    }

    fn skip_value(&mut self, left: u32) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{' | b'[') if left == 0 => {
                Err(self.fault(format!("nests deeper than {SKIPPED_NESTING}")))
            }
            Some(b'{') => {
                self.at += 1;
                let mut first = true;
                while self.key(first)?.is_some() {
                    first = false;
                    self.skip_value(left - 1)?;
                }
                Ok(())
            }
            Some(b'[') => {
                self.at += 1;
                let mut first = true;
                while self.element(first)? {
                    first = false;
                    self.skip_value(left - 1)?;
                }
                Ok(())
            }
            Some(b'"') => self.string().map(drop),
            Some(b't' | b'f') => self.bool().map(drop),
            Some(b'n') => self.null().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(self.unexpected("a value")),
        }
    }
}
