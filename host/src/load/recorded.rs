//! Recorded requests, to be repeated: files of OTLP into templates.

use std::collections::HashSet;

use super::deck::TEMPLATE_BYTES;
use super::template::Template;
use crate::replay::input::{InputError, Source};

#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("the files hold no span")]
    Empty,
    #[error("the files hold more than {} MiB", TEMPLATE_BYTES >> 20)]
    TooLarge,
}

/// A recording.
#[derive(Debug)]
pub struct Recorded {
    pub templates: Vec<Template>,
    /// That differ.
    pub traces: u64,
    pub spans: u64,
}

impl Recorded {
    /// Reads files whole. What follows one another in them is joined to requests of up to so many spans, as a recording may
    /// hold one service's few spans at a time.
    pub fn read(sources: &[Source], request: u64) -> Result<Recorded, RecordedError> {
        let mut reading = Reading::default();
        for source in sources {
            let mut input = source.open()?;
            while let Some(chunk) = input.next() {
                let chunk = chunk?;
                // Alone first, so that damage is told with its place.
                let spans = Template::new(&chunk.bytes)
                    .map_err(|error| input.broken(chunk.at, error))?
                    .spans();
                if reading.spans > 0 && reading.spans + spans > request {
                    reading.close();
                }
                reading.spans += spans;
                reading.bytes += chunk.bytes.len() as u64;
                reading.pending.extend_from_slice(&chunk.bytes);
                if reading.bytes > TEMPLATE_BYTES {
                    return Err(RecordedError::TooLarge);
                }
            }
        }
        reading.close();
        let templates = reading.templates;
        let traces: HashSet<[u8; 16]> = templates.iter().flat_map(Template::trace_ids).collect();
        let spans = templates.iter().map(Template::spans).sum();
        if spans == 0 {
            return Err(RecordedError::Empty);
        }
        Ok(Recorded {
            templates,
            traces: traces.len() as u64,
            spans,
        })
    }
}

#[derive(Debug, Default)]
struct Reading {
    templates: Vec<Template>,
    /// The request that is being joined, and its spans: messages one after the other are one message.
    pending: Vec<u8>,
    spans: u64,
    bytes: u64,
}

impl Reading {
    fn close(&mut self) {
        let bytes = std::mem::take(&mut self.pending);
        // Each of its parts was scanned, and so can be their whole.
        if std::mem::take(&mut self.spans) > 0
            && let Ok(template) = Template::new(&bytes)
        {
            self.templates.push(template);
        }
    }
}

impl RecordedError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            RecordedError::Input(error) => error.help(),
            RecordedError::Empty => {
                "name files with recorded traces, such as the Collector's file exporter writes"
            }
            RecordedError::TooLarge => {
                "name fewer files, or a part of them: a load repeats what it is given"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::load::traffic::trace;

    #[test]
    fn lines_and_protobuf_are_joined_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let protobuf = folder.path().join("a.pb");
        let mut file = std::fs::File::create(&protobuf).unwrap();
        for number in 0..6 {
            file.write_all(&trace(number, 4)).unwrap();
        }
        let json = folder.path().join("a.jsonl");
        let line = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"a"}]}]}]}"#;
        std::fs::write(&json, format!("{line}\n{line}\n")).unwrap();
        let sources = [Source::File(protobuf), Source::File(json)];
        let recorded = Recorded::read(&sources, 9).unwrap();
        assert_eq!((recorded.traces, recorded.spans), (7, 26));
        let spans: Vec<u64> = recorded.templates.iter().map(Template::spans).collect();
        assert_eq!(spans, [8, 8, 9, 1]);
    }

    #[test]
    fn files_without_a_span_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        let read = Recorded::read(&[Source::File(path)], 9);
        assert!(matches!(read, Err(RecordedError::Empty)), "{read:?}");
    }
}
