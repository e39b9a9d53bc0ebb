//! What completion reads of a span: its ids, its kind, and whether its parent is in another process.

use crate::otlp::wire::{Wire, fields};

/// One span's ids. Ids are big-endian numbers, so that they compare as their bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) span: u64,
    pub(super) parent: Option<Parent>,
    pub(super) kind: i32,
    /// The flags say that the parent is in another process. Older SDKs don't say.
    pub(super) remote: bool,
}

/// A parent's id. One that is not 8 bytes long names no span: it is missing whatever its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parent {
    pub(super) usable: bool,
    pub(super) id: u64,
}

/// OTLP's `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const REMOTE: u32 = 0x100 | 0x200;

impl Ids {
    /// Of a field that comes twice the last counts, as in prost.
    #[inline]
    pub(super) fn read(span: &[u8]) -> Ids {
        let mut ids = Ids {
            span: 0,
            parent: None,
            kind: 0,
            remote: false,
        };
        for (number, wire) in fields(span) {
            match (number, wire) {
                (2, Wire::Bytes(bytes)) => ids.span = first_eight(bytes),
                (4, Wire::Bytes(bytes)) => ids.parent = parent(bytes),
                (6, Wire::Varint(kind)) => ids.kind = kind as i32,
                (16, Wire::Fixed32(flags)) => ids.remote = flags & REMOTE == REMOTE,
                _ => {}
            }
        }
        ids
    }
}

/// An empty id, or one of zeros alone, is none.
#[inline]
fn parent(bytes: &[u8]) -> Option<Parent> {
    let usable = bytes.len() == 8;
    let id = first_eight(bytes);
    (id != 0 || (!usable && bytes.iter().any(|&byte| byte != 0))).then_some(Parent { usable, id })
}

#[inline]
fn first_eight(bytes: &[u8]) -> u64 {
    if let Some(&eight) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(eight);
    }
    bytes.iter().fold(0, |id, &byte| id << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message;

    use super::*;

    #[test]
    fn the_last_field_counts() {
        let first = Span {
            span_id: vec![1; 8],
            parent_span_id: vec![2; 8],
            kind: 1,
            flags: 0x300,
            ..Span::default()
        };
        let mut bytes = first.encode_to_vec();
        assert_eq!(
            Ids::read(&bytes),
            Ids {
                span: 0x0101_0101_0101_0101,
                parent: Some(Parent {
                    usable: true,
                    id: 0x0202_0202_0202_0202
                }),
                kind: 1,
                remote: true
            }
        );
        // An empty parent, encoded by hand since prost leaves defaults out, and the flag that only says "I'd know".
        bytes.extend([0x22, 0, 0x85, 0x01, 0, 1, 0, 0]);
        let ids = Ids::read(&bytes);
        assert_eq!((ids.parent, ids.remote), (None, false));
    }

    #[test]
    fn an_odd_parent_is_a_parent_unless_it_is_zeros() {
        assert_eq!(parent(&[0; 8]), None);
        assert_eq!(parent(&[0; 3]), None);
        assert_eq!(parent(&[0; 9]), None);
        assert_eq!(
            parent(&[0, 0, 7]),
            Some(Parent {
                usable: false,
                id: 7
            })
        );
        assert_eq!(
            parent(&[0, 0, 0, 0, 0, 0, 0, 0, 7]),
            Some(Parent {
                usable: false,
                id: 0
            })
        );
    }
}
