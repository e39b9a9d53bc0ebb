//! Compiles BeTrace rules to WebAssembly components: source → tokens → AST → typed tree → plan → module → component.
//!
//! Pure: text in, bytes or diagnostics out. It knows no WebAssembly runtime and does no I/O.

#![deny(missing_docs)]

pub mod diagnostic;
pub mod emit;
pub mod plan;
#[doc(hidden)]
pub mod reference;
pub mod syntax;
pub mod types;

use diagnostic::{Code, Diagnostic, Sink, Span};
use types::tree;

/// Source to typed tree: the rules of a file that check, and all that is to be said of it. `stem` is the file's name
/// without its ending, the id of a bare body.
pub fn check(stem: &str, source: &[u8]) -> (Vec<tree::Rule>, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    let rules = match readable(source) {
        Ok(source) => {
            let file = syntax::parse(source, &mut sink);
            types::check(&file, stem, source, &mut sink)
        }
        Err(diagnostic) => {
            sink.push(diagnostic);
            Vec::new()
        }
    };
    (rules, sink.finish())
}

/// The source as text, if it is text and not too much of it.
fn readable(source: &[u8]) -> Result<&str, Diagnostic> {
    if source.len() > syntax::MAX_FILE_BYTES {
        let (size, most) = (source.len(), syntax::MAX_FILE_BYTES);
        return Err(Diagnostic::new(
            Code::FileTooLarge,
            Span::default(),
            format!("the file has {size} bytes, of at most {most}"),
        )
        .help("spread the rules over several files"));
    }
    std::str::from_utf8(source).map_err(|error| {
        let at = error.valid_up_to();
        let byte = source.get(at).copied().unwrap_or_default();
        Diagnostic::new(
            Code::InvalidUtf8,
            Span::new(at, at + 1),
            "the file is not UTF-8 text",
        )
        .here(format!("byte 0x{byte:02X} is out of place"))
        .help("save the file as UTF-8")
    })
}
