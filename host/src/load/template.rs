//! A request's bytes, and where in them the ids lie that make its traces new.
//!
//! ```text
//! [0, length as 4 bytes] ExportTraceServiceRequest      gRPC's prefix stands before the message, for HTTP it is left out
//!                        ... trace id ... trace id ...  ids: where each lies, and what it was
//! ```
//! A trace id of a request that is sent is the template's xor a mask: traces that differ go on to differ, spans of one trace
//! stay together, and another mask makes all of them new.

use bytes::{Bytes, BytesMut};

use crate::demo::random::Random;
use crate::otlp::scan::{Malformed, Scan, scan};
use crate::otlp::wire::{Wire, fields};

/// gRPC's prefix: not compressed, and the length.
pub const PREFIX: usize = 5;

const TRACE_ID: usize = 16;
/// Field numbers of a span and of a link.
const SPAN_TRACE_ID: u32 = 1;
const SPAN_LINK: u32 = 13;
const LINK_TRACE_ID: u32 = 1;

/// See the module's doc.
#[derive(Debug)]
pub struct Template {
    /// With gRPC's prefix.
    bytes: Bytes,
    ids: Vec<Id>,
    spans: u32,
}

#[derive(Clone, Copy, Debug)]
struct Id {
    at: u32,
    was: [u8; TRACE_ID],
}

impl Template {
    /// Of a message that can be scanned.
    pub fn new(message: &[u8]) -> Result<Template, Malformed> {
        let mut found = Scan::default();
        scan(message, &mut found)?;
        let mut ids = Vec::with_capacity(found.spans.len());
        for span in &found.spans {
            let start = span.range.start as usize;
            let payload = message.get(start..start + span.range.len as usize);
            for (number, wire) in payload.into_iter().flat_map(fields) {
                let Wire::Bytes(value) = wire else { continue };
                match number {
                    SPAN_TRACE_ID => ids.extend(id(message, value)),
                    SPAN_LINK => ids.extend(fields(value).filter_map(|(number, wire)| {
                        let Wire::Bytes(value) = wire else {
                            return None;
                        };
                        (number == LINK_TRACE_ID).then(|| id(message, value))?
                    })),
                    _ => {}
                }
            }
        }
        Ok(Template {
            bytes: framed(message),
            ids,
            spans: u32::try_from(found.spans.len()).unwrap_or(u32::MAX) + found.rejected,
        })
    }

    /// Spans in it, usable or not.
    pub fn spans(&self) -> u64 {
        u64::from(self.spans)
    }

    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.bytes.len() - PREFIX
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Trace ids of its spans and links, as recorded.
    pub fn trace_ids(&self) -> impl Iterator<Item = [u8; TRACE_ID]> {
        self.ids.iter().map(|id| id.was)
    }

    /// The request with this mask, gRPC's prefix before it: in `spare`, if that held this template before.
    pub fn fill(&self, spare: Option<BytesMut>, mask: [u8; TRACE_ID]) -> BytesMut {
        let mut bytes = spare.unwrap_or_else(|| BytesMut::from(&self.bytes[..]));
        for id in &self.ids {
            let masked = u128::from_ne_bytes(id.was) ^ u128::from_ne_bytes(mask);
            let at = id.at as usize;
            if let Some(place) = bytes.get_mut(at..at + TRACE_ID) {
                place.copy_from_slice(&masked.to_ne_bytes());
            }
        }
        bytes
    }

    /// The message with this mask.
    pub fn message(&self, mask: [u8; TRACE_ID]) -> Bytes {
        self.fill(None, mask).freeze().slice(PREFIX..)
    }
}

/// gRPC's prefix of a message of so many bytes.
pub fn prefix(compressed: u8, len: usize) -> [u8; PREFIX] {
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [compressed, a, b, c, d]
}

/// A message with gRPC's prefix.
pub fn framed(message: &[u8]) -> Bytes {
    [&prefix(0, message.len())[..], message].concat().into()
}

/// What makes the traces of a group new. Both words look random, so that no two groups' ids meet.
pub fn mask(seed: u64, group: u64) -> [u8; TRACE_ID] {
    let start = Random::new(seed).number();
    Random::new(start ^ group.wrapping_mul(0xd134_2543_de82_ef95)).bytes()
}

/// Where `value` lies, which is a part of `message`; only a whole id counts.
fn id(message: &[u8], value: &[u8]) -> Option<Id> {
    let was = value.try_into().ok()?;
    let at = value.as_ptr().addr().checked_sub(message.as_ptr().addr())?;
    Some(Id {
        at: u32::try_from(PREFIX + at).ok()?,
        was,
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::span::Link;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    use super::*;

    fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
    }

    fn span(trace: u8, id: u8, links: Vec<Link>) -> Span {
        Span {
            trace_id: vec![trace; 16],
            span_id: vec![id; 8],
            name: "a".into(),
            links,
            ..Span::default()
        }
    }

    #[test]
    fn only_trace_ids_are_new_and_links_follow_them() {
        let link = Link {
            trace_id: vec![1; 16],
            span_id: vec![1; 8],
            ..Link::default()
        };
        let sent = request(vec![
            span(1, 1, vec![]),
            span(2, 2, vec![link]),
            span(1, 3, vec![]),
        ]);
        let template = Template::new(&sent.encode_to_vec()).unwrap();
        assert_eq!((template.spans(), template.ids.len()), (3, 4));
        let mut expected = sent;
        let mask = mask(7, 1);
        let new = |old: u8| mask.iter().map(|byte| byte ^ old).collect::<Vec<u8>>();
        for span in &mut expected.resource_spans[0].scope_spans[0].spans {
            span.trace_id = new(span.trace_id[0]);
            for link in &mut span.links {
                link.trace_id = new(1);
            }
        }
        // A buffer that held another round is as good as a new one.
        let spare = template.fill(None, [9; 16]);
        for filled in [template.fill(None, mask), template.fill(Some(spare), mask)] {
            assert_eq!(&filled[..PREFIX], prefix(0, filled.len() - PREFIX));
            let decoded = ExportTraceServiceRequest::decode(&filled[PREFIX..]).unwrap();
            assert_eq!(decoded, expected);
        }
    }

    #[test]
    fn a_span_without_a_usable_id_is_sent_as_it_is() {
        let mut broken = span(3, 3, vec![]);
        broken.trace_id = vec![1; 3];
        let bytes = request(vec![broken, span(1, 1, vec![])]).encode_to_vec();
        let template = Template::new(&bytes).unwrap();
        assert_eq!((template.spans(), template.ids.len()), (2, 1));
    }

    #[test]
    fn masks_differ_by_group_and_by_seed() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..20 {
            for group in 0..1_000 {
                assert!(seen.insert(mask(seed, group)));
            }
        }
    }
}
