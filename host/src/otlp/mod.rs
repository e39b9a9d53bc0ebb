//! The OTLP wire format, read lazily: spans stay as the bytes that came, and what a rule asks for is read from them.
//!
//! ```text
//! JSON -> json ─┐
//! protobuf ─────┴> scan (shape, check) -> Request, [ScannedSpan] -> span, value, text, when something is read
//! ```

mod check;
mod shape;

pub mod json;
pub mod request;
pub mod scan;
pub mod span;
pub mod text;
pub mod touch;
pub mod value;
pub mod wire;
