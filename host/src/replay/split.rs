//! Finds where one JSON object ends and the next starts, without understanding either: braces outside strings count.
//!
//! So JSON lines, one object over many lines, and objects with nothing between them are all read alike.

/// Gathers one object after another.
#[derive(Debug, Default)]
pub struct Splitter {
    value: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Line feeds seen before the object, and up to here.
    line: u64,
    lines: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TooLarge,
    /// Something else than an object between objects.
    Unexpected(u8),
}

impl Splitter {
    /// Prepares for the next object.
    pub fn start(&mut self) {
        let value = std::mem::take(&mut self.value);
        *self = Splitter {
            value,
            ..Splitter::default()
        };
        self.value.clear();
    }

    /// Takes bytes up to the end of the object; returns how many, and whether the object is whole.
    pub fn push(&mut self, bytes: &[u8], max: usize) -> Result<(usize, bool), Fault> {
        let mut start = 0;
        for (index, &byte) in bytes.iter().enumerate() {
            self.lines += u64::from(byte == b'\n');
            if self.depth == 0 {
                match byte {
                    b'{' => {
                        self.line = self.lines;
                        self.depth = 1;
                        start = index;
                    }
                    // A byte order mark may stand before the first.
                    b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => start = index + 1,
                    _ => {
                        self.line = self.lines;
                        return Err(Fault::Unexpected(byte));
                    }
                }
            } else if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' => self.depth += 1,
                    b'}' => self.depth -= 1,
                    _ => {}
                }
                if self.depth == 0 {
                    self.keep(bytes, start, index + 1, max)?;
                    return Ok((index + 1, true));
                }
            }
        }
        self.keep(bytes, start, bytes.len(), max)?;
        Ok((bytes.len(), false))
    }

    /// The object, once it is whole.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    pub fn is_inside(&self) -> bool {
        self.depth > 0
    }

    /// Lines before the one on which the object starts, of those that were taken for it.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Line feeds that were taken for it.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    fn keep(&mut self, bytes: &[u8], start: usize, end: usize, max: usize) -> Result<(), Fault> {
        let piece = bytes.get(start..end).unwrap_or_default();
        if self.value.len() + piece.len() > max {
            return Err(Fault::TooLarge);
        }
        self.value.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &[u8], step: usize) -> Vec<(u64, Vec<u8>)> {
        let mut splitter = Splitter::default();
        let mut values = Vec::new();
        let mut line = 1;
        splitter.start();
        for mut piece in text.chunks(step.max(1)) {
            while !piece.is_empty() {
                let (used, whole) = splitter.push(piece, usize::MAX).unwrap();
                piece = &piece[used..];
                if whole {
                    values.push((line + splitter.line(), splitter.value().to_vec()));
                    line += splitter.lines();
                    splitter.start();
                }
            }
        }
        assert!(!splitter.is_inside());
        values
    }

    proptest! {
        #[test]
        fn objects_come_out_as_they_went_in(
            texts in prop::collection::vec((".{0,12}", prop::bool::ANY, "[ \n\r\t]{0,3}"), 0..8),
            step in 1_usize..20,
        ) {
            let mut file = String::new();
            let mut expected = Vec::new();
            for (text, pretty, gap) in &texts {
                file.push_str(gap);
                let value = serde_json::json!({ "k": [{ text.as_str(): text }], "b": "{" });
                let value = if *pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
                let value = value.unwrap();
                expected.push((1 + file.matches('\n').count() as u64, value.clone().into_bytes()));
                file.push_str(&value);
            }
            prop_assert_eq!(split(file.as_bytes(), step), expected);
        }
    }

    #[test]
    fn what_is_no_object_is_refused_where_it_stands() {
        let mut splitter = Splitter::default();
        assert_eq!(
            splitter.push(b"\n\n [1]", 100),
            Err(Fault::Unexpected(b'['))
        );
        assert_eq!(splitter.line(), 2);
        splitter.start();
        assert_eq!(
            splitter.push(b"{\"a\":\"bcdefgh\"}", 10),
            Err(Fault::TooLarge)
        );
    }
}
