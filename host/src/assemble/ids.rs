//! What completion reads of a span: its ids, its kind, and whether its parent is in another process.

use crate::otlp::span::is_remote;
use crate::otlp::wire::{Lead, Wire, fields, take_fixed64, take_lead, take_short, varint};

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

impl Ids {
    /// Those of a span of which the scan found that they lead it.
    #[inline]
    pub(super) fn leading(mut span: &[u8], remote: bool) -> Ids {
        Ids::of(&take_lead(&mut span), remote)
    }

    #[inline(always)]
    fn of(lead: &Lead<'_>, remote: bool) -> Ids {
        Ids {
            span: lead.span_id.map_or(0, first_eight),
            parent: lead.parent_id.and_then(parent),
            kind: lead.kind.unwrap_or_default().into(),
            remote,
        }
    }

    /// Of a field that comes twice the last counts, as in prost. Attributes, which are most of a span, are skipped by their length.
    pub(super) fn read(span: &[u8]) -> Ids {
        let mut rest = span;
        let mut ids = Ids::of(&take_lead(&mut rest), false);
        let _times = [0x39, 0x41].map(|tag| take_fixed64(&mut rest, tag));
        loop {
            while take_short(&mut rest, 0x4a).is_some() {}
            if rest.is_empty() {
                return ids;
            }
            match ids.read_field(rest) {
                Some(tail) => rest = tail,
                None => return Ids::read_slowly(span),
            }
        }
    }

    /// Reads any field but a group, and returns what is behind it.
    fn read_field<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut rest)?;
                self.set(tag >> 3, Wire::Varint(value));
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let len = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, tail) = rest.split_at_checked(len)?;
                self.set(tag >> 3, Wire::Bytes(bytes));
                rest = tail;
            }
            5 => {
                let (value, tail) = rest.split_first_chunk()?;
                self.set(tag >> 3, Wire::Fixed32(u32::from_le_bytes(*value)));
                rest = tail;
            }
            _ => return None,
        }
        Some(rest)
    }

    /// For a span that holds a group.
    #[cold]
    fn read_slowly(span: &[u8]) -> Ids {
        let mut ids = Ids::of(&Lead::default(), false);
        for (number, wire) in fields(span) {
            ids.set(number.into(), wire);
        }
        ids
    }

    fn set(&mut self, number: u64, wire: Wire<'_>) {
        match (number, wire) {
            (2, Wire::Bytes(bytes)) => self.span = first_eight(bytes),
            (4, Wire::Bytes(bytes)) => self.parent = parent(bytes),
            (6, Wire::Varint(kind)) => self.kind = kind as i32,
            (16, Wire::Fixed32(flags)) => self.remote = is_remote(flags),
            _ => {}
        }
    }
}

/// An empty id, or one of zeros alone, is none.
#[inline]
fn parent(bytes: &[u8]) -> Option<Parent> {
    if let Ok(&id) = <&[u8; 8]>::try_from(bytes) {
        return eight(u64::from_be_bytes(id));
    }
    bytes.iter().any(|&byte| byte != 0).then(|| Parent {
        usable: false,
        id: first_eight(bytes),
    })
}

#[inline]
fn eight(id: u64) -> Option<Parent> {
    (id != 0).then_some(Parent { usable: true, id })
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
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::otlp::scan::{Scan, scan};

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..200)
    }

    fn id() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            3 => proptest::collection::vec(any::<u8>(), 8),
            1 => proptest::collection::vec(0..2_u8, 0..12),
        ]
    }

    fn span() -> impl Strategy<Value = Span> {
        let ids = (id(), id(), any::<i32>(), any::<u32>());
        let rest = (".{0,200}", ".{0,200}", any::<u64>(), any::<u32>());
        (ids, rest).prop_map(
            |((span_id, parent_span_id, kind, flags), (name, key, time, dropped))| Span {
                span_id,
                parent_span_id,
                kind,
                flags,
                name: name.clone(),
                trace_state: key.clone(),
                start_time_unix_nano: time,
                dropped_events_count: dropped,
                attributes: [key, name]
                    .map(|key| KeyValue {
                        key,
                        ..KeyValue::default()
                    })
                    .into(),
                ..Span::default()
            },
        )
    }

    proptest! {
        #[test]
        fn fields_are_read_as_prost_does(spans in proptest::collection::vec(span(), 1..4), group in any::<bool>()) {
            let mut encoded: Vec<u8> = spans.iter().flat_map(Message::encode_to_vec).collect();
            if group {
                // Field 99 as an empty group.
                encoded.extend([0x9b, 0x06, 0x9c, 0x06]);
            }
            let span = Span::decode(encoded.as_slice()).expect("what prost wrote");
            let ids = Ids::read(&encoded);
            prop_assert_eq!(ids.span, first_eight(&span.span_id));
            prop_assert_eq!(ids.parent, parent(&span.parent_span_id));
            prop_assert_eq!(ids.kind, span.kind);
            prop_assert_eq!(ids.remote, span.flags & 0x300 == 0x300);
        }

        #[test]
        fn ids_that_lead_are_all_there_is(spans in proptest::collection::vec(span(), 1..3), trace_id in any::<bool>()) {
            let mut encoded = if trace_id { [&[0x0a, 16][..], &[7; 16]].concat() } else { Vec::new() };
            for span in &spans {
                // Usable ids, or the scan keeps nothing of it.
                let usable = Span { span_id: vec![1; 8], parent_span_id: vec![2; 8], ..span.clone() };
                usable.encode(&mut encoded).expect("room");
            }
            if !trace_id {
                encoded.extend([&[0x0a, 16][..], &[7; 16]].concat());
            }
            let message = |number: u8, bytes: &[u8]| {
                let mut message = vec![number << 3 | 2];
                prost::encode_length_delimiter(bytes.len(), &mut message).expect("room");
                [&message[..], bytes].concat()
            };
            let mut found = Scan::default();
            scan(&message(1, &message(2, &message(2, &encoded))), &mut found).expect("what prost wrote");
            let [scanned] = found.spans[..] else {
                return Err(TestCaseError::fail("one span"));
            };
            let ids = Ids::read(&encoded);
            prop_assert_eq!(scanned.remote, ids.remote);
            let plain = spans.len() == 1 && trace_id;
            prop_assert!(scanned.ids_lead || !plain || spans[0].kind as u32 >= 0x80 || spans[0].name.len() >= 0x80 || spans[0].trace_state.len() >= 0x80);
            if scanned.ids_lead {
                prop_assert_eq!(Ids::leading(&encoded, scanned.remote), ids);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(head in span(), tail in bytes(), cut in any::<prop::sample::Index>()) {
            let mut encoded = head.encode_to_vec();
            encoded.truncate(cut.index(encoded.len() + 1));
            encoded.extend(tail);
            Ids::read(&encoded);
        }
    }

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
        assert!(Ids::read(&bytes).parent.is_some() && Ids::read(&bytes).remote);
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
