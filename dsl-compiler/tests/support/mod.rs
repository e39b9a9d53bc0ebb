//! What the compiler's tests share.
#![allow(unreachable_pub, reason = "public within the test binary")]

pub mod notation;
