//! Bytes on their way into the cache before they are read.
//!
//! Spans wait in memory for seconds until their trace is complete, and are read field after field, each of which says where
//! the next begins: a reader would wait for every cache line in turn. Lines that are asked for without looking at them
//! arrive together.

use std::hint::black_box;

/// What a cache line is on the machines that matter; on others this only helps less.
const LINE_BYTES: usize = 64;

/// Spans to touch before they are read: enough to keep memory busy, few enough to be still there when their turn comes.
pub const AT_ONCE: usize = 32;

/// Asks for all lines of these payloads.
pub fn touch<'a>(payloads: impl Iterator<Item = &'a [u8]>) {
    let mut sum = 0_u8;
    for bytes in payloads {
        for byte in bytes.iter().step_by(LINE_BYTES) {
            sum = sum.wrapping_add(*byte);
        }
    }
    black_box(sum);
}
