//! The OTLP wire format, read lazily: spans stay as the bytes that came, and what a rule asks for is read from them.

pub mod request;
pub mod scan;
pub mod value;
pub mod wire;
