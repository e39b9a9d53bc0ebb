//! The messages of a trace export request as data: which field number has which form on the wire.
//!
//! ```text
//! ExportTraceServiceRequest
//! └ 1 ResourceSpans *
//!   ├ 1 Resource                       1 attributes *, 2 dropped, 3 EntityRef *
//!   ├ 2 ScopeSpans *
//!   │ ├ 1 InstrumentationScope         1 name, 2 version, 3 attributes *, 4 dropped
//!   │ ├ 2 Span *
//!   │ │ ├ 1 trace id, 2 span id, 3 trace state, 4 parent id, 5 name, 6 kind, 7 start, 8 end, 16 flags
//!   │ │ ├ 9 attributes *, 10 dropped
//!   │ │ ├ 11 Event *                   1 time, 2 name, 3 attributes *, 4 dropped
//!   │ │ │ 12 dropped
//!   │ │ ├ 13 Link *                    1 trace id, 2 span id, 3 trace state, 4 attributes *, 5 dropped, 6 flags
//!   │ │ │ 14 dropped
//!   │ │ └ 15 Status                    2 message, 3 code
//!   │ └ 3 schema url
//!   └ 3 schema url
//!
//! attributes: KeyValue                 1 key, 2 AnyValue, 3 index of a key (profiles only)
//! EntityRef                            1 schema url, 2 type, 3 id keys *, 4 description keys *
//! AnyValue, one of                     1 text, 2 bool, 3 int, 4 double, 5 ArrayValue, 6 KeyValueList, 7 bytes,
//!                                      8 index of a text (profiles only)
//! ArrayValue                           1 AnyValue *
//! KeyValueList                         1 KeyValue *
//! ```
//! `*` is a repeated field. What is not drawn is an unknown field, which is skipped.
//!
//! The four outer messages are walked by [`scan`](super::scan), which notes where their parts lie; everything below is
//! checked from these tables.

/// A message: the form of each field, by its number. 0 is no number.
pub(super) struct Shape(&'static [Form]);

/// How a field lies on the wire.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Unknown,
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Message(&'static Shape),
}

impl Shape {
    #[inline]
    pub(super) fn form(&self, number: u32) -> Form {
        self.0
            .get(number as usize)
            .copied()
            .unwrap_or(Form::Unknown)
    }
}

use Form::{Bytes, Fixed32, Fixed64, Message, Unknown, Varint};

pub(super) static RESOURCE: Shape =
    Shape(&[Unknown, Message(&KEY_VALUE), Varint, Message(&ENTITY_REF)]);

pub(super) static SCOPE: Shape = Shape(&[Unknown, Bytes, Bytes, Message(&KEY_VALUE), Varint]);

pub(super) static SPAN: Shape = Shape(&[
    Unknown,
    Bytes,
    Bytes,
    Bytes,
    Bytes,
    Bytes,
    Varint,
    Fixed64,
    Fixed64,
    Message(&KEY_VALUE),
    Varint,
    Message(&EVENT),
    Varint,
    Message(&LINK),
    Varint,
    Message(&STATUS),
    Fixed32,
]);

pub(super) static KEY_VALUE: Shape = Shape(&[Unknown, Bytes, Message(&ANY_VALUE), Varint]);

static EVENT: Shape = Shape(&[Unknown, Fixed64, Bytes, Message(&KEY_VALUE), Varint]);

static LINK: Shape = Shape(&[
    Unknown,
    Bytes,
    Bytes,
    Bytes,
    Message(&KEY_VALUE),
    Varint,
    Fixed32,
]);

static STATUS: Shape = Shape(&[Unknown, Unknown, Bytes, Varint]);

static ENTITY_REF: Shape = Shape(&[Unknown, Bytes, Bytes, Bytes, Bytes]);

static ANY_VALUE: Shape = Shape(&[
    Unknown,
    Bytes,
    Varint,
    Varint,
    Fixed64,
    Message(&ARRAY_VALUE),
    Message(&KEY_VALUE_LIST),
    Bytes,
    Varint,
]);

static ARRAY_VALUE: Shape = Shape(&[Unknown, Message(&ANY_VALUE)]);

static KEY_VALUE_LIST: Shape = Shape(&[Unknown, Message(&KEY_VALUE)]);
