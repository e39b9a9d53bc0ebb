//! Recorded traces from files: OTLP in any of its forms, as a stream of protobuf requests.
//!
//! ```text
//! path or `-` -> unpacked (gzip, zstd) -> layout (JSON values, protobuf, framed protobuf) -> [Chunk { bytes, at }]
//! ```
//! All is told from content, never from a name. A stream is read as it comes, one request in memory at a time, so a file
//! may be larger than memory. What goes wrong names the file, the place and what to do.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::sniff::{self, Layout, PEEK, Packing};
use super::split::{Fault, Splitter};
use crate::otlp::json;

/// Bytes of one request. A Collector writes some megabytes at most; a trace's worth of pretty-printed JSON is far below.
pub const MAX_REQUEST: usize = 256 << 20;

/// Requests with nothing in them, one after another. An idle exporter sends none, so this many are no recording but an
/// endless file.
const EMPTY_REQUESTS: u32 = 100_000;

/// Bytes of a request with nothing in it: a field's tag and a zero.
const EMPTY_BYTES: usize = 2;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// Where recorded traces come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Stdin,
    File(PathBuf),
}

/// One export request as protobuf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub bytes: Bytes,
    pub at: Position,
}

/// Where in its input a request starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Counted from 1.
    Line(u64),
    /// In the unpacked bytes, counted from 0.
    Byte(u64),
}

#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("can't read {input}: {source}")]
    Read { input: String, source: io::Error },
    #[error("{input} is a folder")]
    Folder { input: String },
    #[error("{input} is not OTLP")]
    Unknown { input: String },
    #[error("{input}, {at}: {what}")]
    Broken {
        input: String,
        at: Position,
        what: String,
    },
    #[error("{input}, {at}: the input ends in the middle of a request")]
    CutOff { input: String, at: Position },
    #[error("{input}, {at}: a request of more than {} MiB", MAX_REQUEST >> 20)]
    TooLarge { input: String, at: Position },
}

/// The requests of one source, in the order in which they were recorded. Ends after its first error.
pub struct Input {
    name: String,
    reader: Box<dyn BufRead>,
    layout: Layout,
    splitter: Splitter,
    line: u64,
    offset: u64,
    /// Empty requests since the last that was not.
    empty: u32,
    over: bool,
}

impl Source {
    /// `-` is stdin.
    pub fn new(argument: &Path) -> Source {
        if argument == Path::new("-") {
            Source::Stdin
        } else {
            Source::File(argument.to_owned())
        }
    }

    /// Bytes of it, where that is known before it is read.
    pub fn size(&self) -> Option<u64> {
        match self {
            Source::Stdin => None,
            Source::File(path) => {
                let metadata = std::fs::metadata(path).ok()?;
                metadata.is_file().then_some(metadata.len())
            }
        }
    }

    pub fn open(&self) -> Result<Input, InputError> {
        self.open_counted(|_| {})
    }

    /// As [`open`](Source::open); `count` is told of all bytes that are read, as they lie in the file.
    pub fn open_counted(&self, count: impl FnMut(u64) + 'static) -> Result<Input, InputError> {
        match self {
            Source::Stdin => Input::new("stdin", Counted(io::stdin(), count)),
            Source::File(path) => {
                let input = path.display().to_string();
                if path.is_dir() {
                    return Err(InputError::Folder { input });
                }
                match File::open(path) {
                    Ok(file) => Input::new(&input, Counted(file, count)),
                    Err(source) => Err(InputError::Read { input, source }),
                }
            }
        }
    }
}

/// Tells of the bytes that are read through it.
struct Counted<R, C>(R, C);

impl<R: Read, C: FnMut(u64)> Read for Counted<R, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        (self.1)(read as u64);
        Ok(read)
    }
}

impl Input {
    /// The requests in the bytes of `reader`, called `name` in errors.
    pub fn new(name: &str, reader: impl Read + 'static) -> Result<Input, InputError> {
        let failed = |source| InputError::Read {
            input: name.to_owned(),
            source,
        };
        let (head, packed) = peek(reader).map_err(failed)?;
        let unpacked: Box<dyn Read> = match sniff::packing(&head) {
            Packing::Plain => Box::new(packed),
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Packing::Zstd => Box::new(zstd::Decoder::new(packed).map_err(failed)?),
        };
        let (head, reader) = peek(unpacked).map_err(failed)?;
        let layout = sniff::layout(&head).ok_or_else(|| InputError::Unknown {
            input: name.to_owned(),
        })?;
        Ok(Input {
            name: name.to_owned(),
            reader: Box::new(BufReader::with_capacity(BUFFER, reader)),
            layout,
            splitter: Splitter::default(),
            line: 1,
            offset: 0,
            empty: 0,
            over: false,
        })
    }

    /// The error that a request of this input is damaged, found by who reads its bytes.
    pub fn broken(&self, at: Position, what: impl std::fmt::Display) -> InputError {
        InputError::Broken {
            input: self.name.clone(),
            at,
            what: what.to_string(),
        }
    }

    /// The error of a request whose object starts at `at`, at the line where it is broken.
    fn broken_json(&self, at: Position, error: &json::JsonError) -> InputError {
        let below = (error.line as u64).saturating_sub(1);
        let at = match at {
            Position::Line(line) => Position::Line(line + below),
            byte => byte,
        };
        let path = if error.path.is_empty() {
            String::new()
        } else {
            format!(" in `{}`", error.path)
        };
        self.broken(at, format!("column {}{path}: {}", error.column, error.what))
    }

    fn next_chunk(&mut self) -> Result<Option<Chunk>, InputError> {
        match self.layout {
            Layout::Empty => Ok(None),
            Layout::Json => self.next_json(),
            Layout::Protobuf => self.next_field(),
            Layout::Framed => self.next_frame(),
        }
    }

    /// Keeps an input of nothing from being read for ever.
    fn bound_empty(&mut self, chunk: Chunk) -> Result<Chunk, InputError> {
        self.empty = if chunk.bytes.len() <= EMPTY_BYTES {
            self.empty + 1
        } else {
            0
        };
        if self.empty > EMPTY_REQUESTS {
            let what = format!("more than {EMPTY_REQUESTS} empty requests one after another");
            return Err(self.broken(chunk.at, what));
        }
        Ok(chunk)
    }

    fn next_json(&mut self) -> Result<Option<Chunk>, InputError> {
        self.splitter.start();
        loop {
            let available = self.reader.fill_buf().map_err(|source| InputError::Read {
                input: self.name.clone(),
                source,
            })?;
            if available.is_empty() {
                let at = Position::Line(self.line + self.splitter.line());
                return if self.splitter.is_inside() {
                    Err(InputError::CutOff {
                        input: self.name.clone(),
                        at,
                    })
                } else {
                    Ok(None)
                };
            }
            let step = self.splitter.push(available, MAX_REQUEST);
            let at = Position::Line(self.line + self.splitter.line());
            match step {
                Ok((used, false)) => self.reader.consume(used),
                Ok((used, true)) => {
                    self.reader.consume(used);
                    let bytes = json::to_protobuf(self.splitter.value())
                        .map_err(|error| self.broken_json(at, &error))?;
                    self.line += self.splitter.lines();
                    return Ok(Some(Chunk {
                        bytes: bytes.into(),
                        at,
                    }));
                }
                Err(Fault::TooLarge) => {
                    return Err(InputError::TooLarge {
                        input: self.name.clone(),
                        at,
                    });
                }
                Err(Fault::Unexpected(byte)) => {
                    let shown = char::from(byte).escape_default();
                    return Err(self.broken(
                        at,
                        format!("expected `{{`, where a request starts, and found `{shown}`"),
                    ));
                }
            }
        }
    }

    /// One field of the message: as a message of its own it has one `ResourceSpans`, and joined they are the whole.
    fn next_field(&mut self) -> Result<Option<Chunk>, InputError> {
        let at = Position::Byte(self.offset);
        let mut head = Vec::new();
        let Some(tag) = self.varint(&mut head, at)? else {
            return Ok(None);
        };
        let rest = match tag & 7 {
            0 => {
                self.some_varint(&mut head, at)?;
                0
            }
            1 => 8,
            2 => self.some_varint(&mut head, at)?,
            5 => 4,
            _ => return Err(self.broken(at, "this is not protobuf, or it is damaged")),
        };
        let bytes = self.take(head, rest, at)?;
        Ok(Some(Chunk { bytes, at }))
    }

    fn next_frame(&mut self) -> Result<Option<Chunk>, InputError> {
        let at = Position::Byte(self.offset);
        let mut head = Vec::new();
        if !self.byte(&mut head)? {
            return Ok(None);
        }
        let len = self.take(head, 3, at)?;
        let len = len
            .iter()
            .fold(0_u64, |len, byte| len << 8 | u64::from(*byte));
        if len == 0 {
            return Err(self.broken(at, "the length of a message is 0"));
        }
        let frame = self.take(Vec::new(), len, at)?;
        let frame = match sniff::packing(&frame) {
            Packing::Plain => frame,
            Packing::Zstd => self.unpack(zstd::Decoder::new(&frame[..]), at)?,
            Packing::Gzip => self.unpack(Ok(flate2::read::MultiGzDecoder::new(&frame[..])), at)?,
        };
        let bytes = match sniff::layout(frame.get(..PEEK.min(frame.len())).unwrap_or_default()) {
            Some(Layout::Json) => json::to_protobuf(&frame)
                .map_err(|error| self.broken(at, error))?
                .into(),
            Some(Layout::Protobuf | Layout::Empty) => frame,
            _ => {
                return Err(self.broken(
                    at,
                    "the message behind this length is neither protobuf nor JSON",
                ));
            }
        };
        Ok(Some(Chunk { bytes, at }))
    }

    fn unpack(&self, decoder: io::Result<impl Read>, at: Position) -> Result<Bytes, InputError> {
        let mut bytes = Vec::new();
        decoder
            .and_then(|decoder| decoder.take(MAX_REQUEST as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| self.broken(at, error))?;
        if bytes.len() > MAX_REQUEST {
            return Err(InputError::TooLarge {
                input: self.name.clone(),
                at,
            });
        }
        Ok(bytes.into())
    }

    /// `head`, and the next `rest` bytes behind it.
    fn take(&mut self, mut head: Vec<u8>, rest: u64, at: Position) -> Result<Bytes, InputError> {
        if rest > MAX_REQUEST as u64 {
            return Err(InputError::TooLarge {
                input: self.name.clone(),
                at,
            });
        }
        let read = (&mut self.reader).take(rest).read_to_end(&mut head);
        let read = read.map_err(|source| InputError::Read {
            input: self.name.clone(),
            source,
        })?;
        self.offset += read as u64;
        if (read as u64) < rest {
            return Err(InputError::CutOff {
                input: self.name.clone(),
                at,
            });
        }
        Ok(head.into())
    }

    fn some_varint(&mut self, raw: &mut Vec<u8>, at: Position) -> Result<u64, InputError> {
        let cut = InputError::CutOff {
            input: self.name.clone(),
            at,
        };
        self.varint(raw, at)?.ok_or(cut)
    }

    /// A varint, its bytes appended to `raw`; none at the end of the input.
    fn varint(&mut self, raw: &mut Vec<u8>, at: Position) -> Result<Option<u64>, InputError> {
        let mut value = 0_u64;
        for shift in 0..10 {
            if !self.byte(raw)? {
                return match shift {
                    0 => Ok(None),
                    _ => Err(InputError::CutOff {
                        input: self.name.clone(),
                        at,
                    }),
                };
            }
            let byte = raw.last().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Ok(Some(value));
            }
        }
        Err(self.broken(at, "this is not protobuf, or it is damaged"))
    }

    /// Appends the next byte to `to`; false at the end.
    fn byte(&mut self, to: &mut Vec<u8>) -> Result<bool, InputError> {
        let available = self.reader.fill_buf();
        let available = available.map_err(|source| InputError::Read {
            input: self.name.clone(),
            source,
        })?;
        let Some(&byte) = available.first() else {
            return Ok(false);
        };
        self.reader.consume(1);
        self.offset += 1;
        to.push(byte);
        Ok(true)
    }
}

impl Iterator for Input {
    type Item = Result<Chunk, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.next_chunk().transpose();
        let next = next.map(|chunk| chunk.and_then(|chunk| self.bound_empty(chunk)));
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Position::Line(line) => write!(f, "line {line}"),
            Position::Byte(byte) => write!(f, "byte {byte}"),
        }
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// The first bytes of a stream, and the whole stream.
fn peek(mut reader: impl Read) -> io::Result<(Vec<u8>, impl Read)> {
    let mut head = Vec::with_capacity(PEEK);
    (&mut reader).take(PEEK as u64).read_to_end(&mut head)?;
    let whole = io::Cursor::new(head.clone()).chain(reader);
    Ok((head, whole))
}

impl InputError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            InputError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the path; `-` reads stdin"
            }
            InputError::Read { .. } => {
                "check that it can be read and, if it is compressed, that it is whole"
            }
            InputError::Folder { .. } => "name its files, for instance with `FOLDER/*`",
            InputError::Unknown { .. } => {
                "it should hold OTLP traces: protobuf, JSON, or JSON lines as the Collector's file exporter writes them, \
                 plain or compressed with gzip or zstd"
            }
            InputError::Broken { .. } => {
                "it should hold OTLP export requests (`ExportTraceServiceRequest`)"
            }
            InputError::CutOff { .. } => {
                "if something is still writing to it, wait until that has stopped"
            }
            InputError::TooLarge { .. } => "split it into smaller requests",
        }
    }
}
