//! A signal as text.

use super::paint::Paint;
use super::person;
use crate::signal::Emission;

/// How a stream writes signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For a person, with the trace drawn.
    Person { paint: Paint, width: usize },
}

impl Format {
    /// Whether signals need their trace's outline.
    pub fn draws(self) -> bool {
        matches!(self, Format::Person { .. })
    }

    /// Appends `emission` as whole lines.
    pub fn write(self, emission: &Emission, out: &mut Vec<u8>) {
        match self {
            Format::Json => {
                let before = out.len();
                match serde_json::to_writer(&mut *out, &*emission.signal) {
                    Ok(()) => out.push(b'\n'),
                    // Names and numbers always serialise; half a line would be worse than none.
                    Err(_) => out.truncate(before),
                }
            }
            Format::Person { paint, width } => {
                out.extend(person::view(emission, paint, width).bytes())
            }
        }
    }
}
