//! What the compiler's tests share.

pub mod notation;
