//! Requests as no SDK writes them: fields in any order and number, unknown ones and groups, padded varints, now and then
//! a wrong wire type. All choices come from a list of bytes, so that proptest shrinks them.

/// Choices yet to be made; when they run out, each is 0, and messages end.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// True once in `n` times, and never when choices have run out.
    pub fn rarely(&mut self, n: u8) -> bool {
        self.next() % n == n - 1
    }
}

#[derive(Clone, Copy)]
pub enum Kind {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Id(usize),
    Message(&'static Fields),
}

/// A message's fields: number and kind.
pub struct Fields(&'static [(u32, Kind)]);

use Kind::{Bytes, Fixed32, Fixed64, Id, Message, Varint};

pub static REQUEST: Fields = Fields(&[(1, Message(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Fields = Fields(&[
    (2, Message(&SCOPE_SPANS)),
    (1, Message(&RESOURCE)),
    (3, Bytes),
]);
static RESOURCE: Fields = Fields(&[
    (1, Message(&KEY_VALUE)),
    (2, Varint),
    (3, Message(&ENTITY_REF)),
]);
static ENTITY_REF: Fields = Fields(&[(1, Bytes), (2, Bytes), (3, Bytes), (4, Bytes)]);
static SCOPE_SPANS: Fields = Fields(&[(2, Message(&SPAN)), (1, Message(&SCOPE)), (3, Bytes)]);
static SCOPE: Fields = Fields(&[
    (1, Bytes),
    (2, Bytes),
    (3, Message(&KEY_VALUE)),
    (4, Varint),
]);
static SPAN: Fields = Fields(&[
    (9, Message(&KEY_VALUE)),
    (1, Id(16)),
    (2, Id(8)),
    (4, Id(8)),
    (4, Id(8)),
    (4, Id(8)),
    (3, Bytes),
    (5, Bytes),
    (6, Varint),
    (7, Fixed64),
    (8, Fixed64),
    (10, Varint),
    (11, Message(&EVENT)),
    (12, Varint),
    (13, Message(&LINK)),
    (14, Varint),
    (15, Message(&STATUS)),
    (16, Fixed32),
]);
static EVENT: Fields = Fields(&[
    (1, Fixed64),
    (2, Bytes),
    (3, Message(&KEY_VALUE)),
    (4, Varint),
]);
static LINK: Fields = Fields(&[
    (1, Id(16)),
    (2, Id(8)),
    (3, Bytes),
    (4, Message(&KEY_VALUE)),
    (5, Varint),
    (6, Fixed32),
]);
static STATUS: Fields = Fields(&[(2, Bytes), (3, Varint)]);
static KEY_VALUE: Fields = Fields(&[(2, Message(&ANY_VALUE)), (1, Bytes), (3, Varint)]);
static ANY_VALUE: Fields = Fields(&[
    (5, Message(&ARRAY_VALUE)),
    (1, Bytes),
    (6, Message(&KEY_VALUE_LIST)),
    (2, Varint),
    (3, Varint),
    (4, Fixed64),
    (7, Bytes),
    (8, Varint),
]);
static ARRAY_VALUE: Fields = Fields(&[(1, Message(&ANY_VALUE))]);
static KEY_VALUE_LIST: Fields = Fields(&[(1, Message(&KEY_VALUE))]);

/// A message of some fields. Spans get their ids first, so that most of them can be used.
pub fn message(choices: &mut Choices<'_>, fields: &'static Fields) -> Vec<u8> {
    let mut out = Vec::new();
    if std::ptr::eq(fields, &SPAN) {
        field(choices, &mut out, 1, Id(16));
        field(choices, &mut out, 2, Id(8));
    }
    // Outer messages hold one field at least, or most requests would be empty.
    let outer = std::ptr::eq(fields, &REQUEST) || std::ptr::eq(fields, &RESOURCE_SPANS);
    let count = choices.next() % 7 + u8::from(outer);
    for _ in 0..count {
        let (number, kind) = fields.0[usize::from(choices.next()) % fields.0.len()];
        if choices.rarely(24) {
            unknown(choices, &mut out, 4);
        }
        field(choices, &mut out, number, kind);
    }
    out
}

fn field(choices: &mut Choices<'_>, out: &mut Vec<u8>, number: u32, kind: Kind) {
    let wrong = choices.rarely(250) && choices.rarely(8);
    let wire = match kind {
        _ if wrong => u64::from(choices.next() % 8),
        Varint => 0,
        Fixed64 => 1,
        Fixed32 => 5,
        Bytes | Id(_) | Message(&_) => 2,
    };
    varint(choices, out, u64::from(number) << 3 | wire);
    match kind {
        Varint => number_value(choices, out),
        Fixed64 => out.extend_from_slice(&[choices.next(); 8]),
        Fixed32 => out.extend_from_slice(&[choices.next(), choices.next() & 3, 0, choices.next()]),
        Bytes => {
            let len = match choices.next() {
                long @ 250.. => usize::from(long),
                short => usize::from(short % 6),
            };
            let payload = vec![choices.next() % 0xc0; len];
            delimited(choices, out, &payload);
        }
        Id(len) => {
            let len = match choices.next() {
                250.. => len - 1,
                240..250 => 0,
                _ => len,
            };
            let zeros = choices.rarely(16);
            let byte = if zeros { 0 } else { choices.next() | 1 };
            delimited(choices, out, &vec![byte; len]);
        }
        Message(fields) => {
            let payload = message(choices, fields);
            delimited(choices, out, &payload);
        }
    }
}

fn unknown(choices: &mut Choices<'_>, out: &mut Vec<u8>, depth: u32) {
    let number = match choices.next() {
        0 => u64::from(u32::MAX >> 3),
        n => 17 + u64::from(n),
    };
    match choices.next() % 5 {
        0 => {
            varint(choices, out, number << 3);
            number_value(choices, out);
        }
        1 => {
            varint(choices, out, number << 3 | 1);
            out.extend_from_slice(&[choices.next(); 8]);
        }
        2 => {
            varint(choices, out, number << 3 | 2);
            let payload = vec![choices.next(); usize::from(choices.next() % 4)];
            delimited(choices, out, &payload);
        }
        3 => {
            varint(choices, out, number << 3 | 5);
            out.extend_from_slice(&[choices.next(); 4]);
        }
        _ => {
            varint(choices, out, number << 3 | 3);
            for _ in 0..choices.next() % 3 {
                if depth > 0 {
                    unknown(choices, out, depth - 1);
                }
            }
            let end = number + u64::from(choices.rarely(100));
            varint(choices, out, end << 3 | 4);
        }
    }
}

fn number_value(choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let small = u64::from(choices.next());
    let value = match choices.next() % 8 {
        6 => u64::MAX - small,
        7 => small << 32,
        _ => small % 4,
    };
    varint(choices, out, value);
}

fn delimited(choices: &mut Choices<'_>, out: &mut Vec<u8>, payload: &[u8]) {
    varint(choices, out, payload.len() as u64);
    out.extend_from_slice(payload);
}

/// A varint, sometimes longer than it needs to be, and rarely too long.
fn varint(choices: &mut Choices<'_>, out: &mut Vec<u8>, mut value: u64) {
    let padding = match choices.next() {
        255 if choices.rarely(16) => 10,
        254 => 2,
        253 => 1,
        _ => 0,
    };
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    if padding > 0
        && let Some(last) = out.last_mut()
    {
        *last |= 0x80;
        out.extend(std::iter::repeat_n(0x80, padding - 1));
        out.push(0);
    }
}
