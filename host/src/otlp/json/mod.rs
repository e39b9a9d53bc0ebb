//! OTLP JSON at the edge: a request in JSON becomes protobuf bytes, so that behind this module there is one format; and
//! spans and values become JSON again, for people and for signals.
//!
//! In: objects by the tables in `names.rs`, keys in lowerCamelCase or snake_case, ids in hexadecimal, 64-bit integers as
//! numbers or strings, enums as numbers or names, bytes in base64; `null` is absent, unknown keys are ignored. Messages nest
//! at most as deep as the scan allows, so whatever comes out of here, the scan accepts. The bytes are never more than the
//! JSON was, and the stack never deeper than that nesting.

mod convert;
mod names;
mod number;
mod output;
mod reader;

use thiserror::Error;

pub use output::{span_to_json, spans_to_json, value_to_json};

use convert::Converter;

/// JSON that is no `ExportTraceServiceRequest`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid OTLP JSON {}(line {line}, column {column}): {what}", at(path))]
pub struct JsonError {
    /// Where in the document, as `resourceSpans[0].scopeSpans[1]`; empty for the document itself.
    pub path: String,
    /// From 1; the column counts bytes.
    pub line: usize,
    pub column: usize,
    pub what: String,
}

/// Converts one request.
pub fn to_protobuf(json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut converter = Converter::new(json)?;
    let request = converter.request()?;
    converter.expect_end()?;
    Ok(request)
}

/// Converts the requests of a text that holds any number of them, one after another: JSON lines, as the Collector's file
/// exporter writes, or documents that span lines. Ends after the first error.
pub fn documents(json: &[u8]) -> Documents<'_> {
    Documents(match Converter::new(json) {
        Ok(converter) => State::Reading(converter),
        Err(error) => State::Failed(error),
    })
}

/// See [`documents`].
#[derive(Debug)]
pub struct Documents<'a>(State<'a>);

#[derive(Debug)]
enum State<'a> {
    Reading(Converter<'a>),
    Failed(JsonError),
    Done,
}

impl Iterator for Documents<'_> {
    type Item = Result<Vec<u8>, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.0, State::Done) {
            State::Reading(mut converter) => {
                if converter.at_end() {
                    return None;
                }
                let request = converter.request();
                if request.is_ok() {
                    self.0 = State::Reading(converter);
                }
                Some(request)
            }
            State::Failed(error) => Some(Err(error)),
            State::Done => None,
        }
    }
}

fn at(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!("at `{path}` "),
    }
}
