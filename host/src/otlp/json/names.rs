//! The messages of a trace export request as JSON names them: key, field number, form. Their nesting is drawn in
//! `otlp/shape.rs`.

/// A message's fields.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    /// Its fields are one oneof: at most one may be there.
    pub(super) one_of: bool,
}

#[derive(Debug)]
pub(super) struct Field {
    /// In lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) form: Form,
    pub(super) repeated: bool,
}

/// How a value is written, and how it lies on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Text,
    /// Bytes in hexadecimal.
    Id,
    /// Bytes in base64.
    Base64,
    Bool,
    /// A 32-bit varint, of an enum where there are names.
    Int32(Names),
    Uint32,
    Int64,
    Fixed32,
    Fixed64,
    Double,
    Message(&'static Message),
}

/// The names of an enum, from 0.
pub(super) type Names = &'static [&'static str];

impl Message {
    /// The field that `key` names, and its place in the table.
    pub(super) fn field(&self, key: &str) -> Option<(usize, &'static Field)> {
        let mut fields = self.fields.iter().enumerate();
        fields.find(|(_, field)| field.name == key || is_snake_case_of(key, field.name))
    }
}

/// Whether `key` is `name` with `_x` for each `X`.
fn is_snake_case_of(key: &str, name: &str) -> bool {
    let mut key = key.bytes();
    name.bytes().all(|byte| {
        if byte.is_ascii_uppercase() {
            key.next() == Some(b'_') && key.next() == Some(byte.to_ascii_lowercase())
        } else {
            key.next() == Some(byte)
        }
    }) && key.next().is_none()
}

const fn one(number: u32, name: &'static str, form: Form) -> Field {
    Field {
        name,
        number,
        form,
        repeated: false,
    }
}

const fn many(number: u32, name: &'static str, form: Form) -> Field {
    Field {
        name,
        number,
        form,
        repeated: true,
    }
}

const fn message(fields: &'static [Field]) -> Message {
    Message {
        fields,
        one_of: false,
    }
}

use Form::{Base64, Bool, Double, Fixed32, Fixed64, Id, Int32, Int64, Text, Uint32};

pub(super) static REQUEST: Message =
    message(&[many(1, "resourceSpans", Form::Message(&RESOURCE_SPANS))]);

static RESOURCE_SPANS: Message = message(&[
    one(1, "resource", Form::Message(&RESOURCE)),
    many(2, "scopeSpans", Form::Message(&SCOPE_SPANS)),
    one(3, "schemaUrl", Text),
]);

static RESOURCE: Message = message(&[
    many(1, "attributes", Form::Message(&KEY_VALUE)),
    one(2, "droppedAttributesCount", Uint32),
    many(3, "entityRefs", Form::Message(&ENTITY_REF)),
]);

static ENTITY_REF: Message = message(&[
    one(1, "schemaUrl", Text),
    one(2, "type", Text),
    many(3, "idKeys", Text),
    many(4, "descriptionKeys", Text),
]);

static SCOPE_SPANS: Message = message(&[
    one(1, "scope", Form::Message(&SCOPE)),
    many(2, "spans", Form::Message(&SPAN)),
    one(3, "schemaUrl", Text),
]);

static SCOPE: Message = message(&[
    one(1, "name", Text),
    one(2, "version", Text),
    many(3, "attributes", Form::Message(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Uint32),
]);

static SPAN: Message = message(&[
    one(1, "traceId", Id),
    one(2, "spanId", Id),
    one(3, "traceState", Text),
    one(4, "parentSpanId", Id),
    one(5, "name", Text),
    one(6, "kind", Int32(KINDS)),
    one(7, "startTimeUnixNano", Fixed64),
    one(8, "endTimeUnixNano", Fixed64),
    many(9, "attributes", Form::Message(&KEY_VALUE)),
    one(10, "droppedAttributesCount", Uint32),
    many(11, "events", Form::Message(&EVENT)),
    one(12, "droppedEventsCount", Uint32),
    many(13, "links", Form::Message(&LINK)),
    one(14, "droppedLinksCount", Uint32),
    one(15, "status", Form::Message(&STATUS)),
    one(16, "flags", Fixed32),
]);

static EVENT: Message = message(&[
    one(1, "timeUnixNano", Fixed64),
    one(2, "name", Text),
    many(3, "attributes", Form::Message(&KEY_VALUE)),
    one(4, "droppedAttributesCount", Uint32),
]);

static LINK: Message = message(&[
    one(1, "traceId", Id),
    one(2, "spanId", Id),
    one(3, "traceState", Text),
    many(4, "attributes", Form::Message(&KEY_VALUE)),
    one(5, "droppedAttributesCount", Uint32),
    one(6, "flags", Fixed32),
]);

static STATUS: Message = message(&[one(2, "message", Text), one(3, "code", Int32(CODES))]);

static KEY_VALUE: Message = message(&[
    one(1, "key", Text),
    one(2, "value", Form::Message(&ANY_VALUE)),
    one(3, "keyStrindex", Int32(&[])),
]);

static ANY_VALUE: Message = Message {
    one_of: true,
    fields: &[
        one(1, "stringValue", Text),
        one(2, "boolValue", Bool),
        one(3, "intValue", Int64),
        one(4, "doubleValue", Double),
        one(5, "arrayValue", Form::Message(&ARRAY_VALUE)),
        one(6, "kvlistValue", Form::Message(&KEY_VALUE_LIST)),
        one(7, "bytesValue", Base64),
        one(8, "stringValueStrindex", Int32(&[])),
    ],
};

static ARRAY_VALUE: Message = message(&[many(1, "values", Form::Message(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = message(&[many(1, "values", Form::Message(&KEY_VALUE))]);

const KINDS: Names = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

const CODES: Names = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
