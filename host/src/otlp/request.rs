//! A request as it is kept: its bytes as received, and where its resources and scopes lie in them.

use bytes::Bytes;

use super::scan::{Range, Section};

/// The bytes of one export request, shared by all spans that came in it.
///
/// A [`Section`] names the resource and the scope of a span; both are runs of `parts`.
#[derive(Debug)]
pub struct Request {
    pub bytes: Bytes,
    pub sections: Box<[Section]>,
    pub parts: Box<[Range]>,
}

impl Request {
    pub fn slice(&self, range: Range) -> &[u8] {
        &self.bytes[range.start as usize..range.start as usize + range.len as usize]
    }
}
