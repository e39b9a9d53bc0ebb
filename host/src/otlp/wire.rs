//! Protobuf's wire format over bytes that [`scan`](super::scan) has accepted: fields of a message, one after another.
//!
//! Damage can't occur here, since nothing unscanned is read; where it would, the iteration ends.

/// A field's value as it lies on the wire. A group is skipped, its content with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The fields of `message`, as (number, value).
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// See [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Wire<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        // Nearly all of a span: a small field number and a short payload.
        if let Some((&[tag, len], rest)) = self.rest.split_first_chunk()
            && tag & 0x87 == 2
            && len < 0x80
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(len))
        {
            self.rest = rest;
            return Some((u32::from(tag >> 3), Wire::Bytes(bytes)));
        }
        self.any()
    }
}

impl<'a> Fields<'a> {
    /// What is not read yet.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn any(&mut self) -> Option<(u32, Wire<'a>)> {
        loop {
            let tag = varint(&mut self.rest)?;
            let number = (tag >> 3) as u32;
            let value = match tag & 7 {
                0 => Wire::Varint(varint(&mut self.rest)?),
                1 => Wire::Fixed64(u64::from_le_bytes(*take(&mut self.rest)?)),
                2 => {
                    let len = usize::try_from(varint(&mut self.rest)?).ok()?;
                    let (bytes, rest) = self.rest.split_at_checked(len)?;
                    self.rest = rest;
                    Wire::Bytes(bytes)
                }
                3 => {
                    skip_group(&mut self.rest)?;
                    continue;
                }
                5 => Wire::Fixed32(u32::from_le_bytes(*take(&mut self.rest)?)),
                _ => return None,
            };
            return Some((number, value));
        }
    }
}

/// The payload of the field that `tag` begins, if that is what comes next and its length takes one byte.
#[inline(always)]
pub(crate) fn take_short<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    if let [first, len @ ..0x80, tail @ ..] = rest
        && *first == tag
        && let Some((payload, tail)) = tail.split_at_checked(usize::from(*len))
    {
        *rest = tail;
        return Some(payload);
    }
    None
}

/// The same of a number of 64 bits.
#[inline(always)]
pub(crate) fn take_fixed64(rest: &mut &[u8], tag: u8) -> Option<u64> {
    if let [first, tail @ ..] = rest
        && *first == tag
        && let Some((number, tail)) = tail.split_first_chunk()
    {
        *rest = tail;
        return Some(u64::from_le_bytes(*number));
    }
    None
}

/// The same of a varint of one byte.
#[inline(always)]
pub(crate) fn take_small(rest: &mut &[u8], tag: u8) -> Option<u8> {
    if let [first, number @ ..0x80, tail @ ..] = rest
        && *first == tag
    {
        let number = *number;
        *rest = tail;
        return Some(number);
    }
    None
}

/// The fields that SDKs write before a span's times: what is there of them, in this order and each with a length of one byte.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lead<'a> {
    pub(crate) trace_id: Option<&'a [u8]>,
    pub(crate) span_id: Option<&'a [u8]>,
    pub(crate) parent_id: Option<&'a [u8]>,
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) kind: Option<u8>,
}

/// Takes what a span begins with. What does not come in this order is left to whoever reads the rest.
#[inline(always)]
pub(crate) fn take_lead<'a>(rest: &mut &'a [u8]) -> Lead<'a> {
    let trace_id = take_short(rest, 0x0a);
    let span_id = take_short(rest, 0x12);
    let _trace_state = take_short(rest, 0x1a);
    Lead {
        trace_id,
        span_id,
        parent_id: take_short(rest, 0x22),
        name: take_short(rest, 0x2a),
        kind: take_small(rest, 0x30),
    }
}

/// An attribute as SDKs write it: a key, a value and nothing else, so short that every length takes one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortAttribute<'a> {
    pub(crate) key: &'a [u8],
    /// The `AnyValue`.
    pub(crate) value: &'a [u8],
    /// The `KeyValue` that holds both.
    pub(crate) message: &'a [u8],
}

/// The attribute of a span (field 9) that comes next, if it is a short one. No value is looked into.
#[inline(always)]
pub(crate) fn take_attribute<'a>(rest: &mut &'a [u8]) -> Option<ShortAttribute<'a>> {
    // Two tags, and two lengths below 128, looked at in one step.
    const FORM: u32 = u32::from_le_bytes([0x4a, 0, 0x0a, 0]);
    const FIXED: u32 = u32::from_le_bytes([0xff, 0x80, 0xff, 0x80]);
    let head = u32::from_le_bytes(*rest.first_chunk()?);
    if head & FIXED != FORM {
        return None;
    }
    let (len, key) = ((head >> 8 & 0xff) as usize, (head >> 24) as usize);
    let (message, behind) = rest.split_at_checked(2)?.1.split_at_checked(len)?;
    let (key, [0x12, len, value @ ..]) = message.split_at_checked(2)?.1.split_at_checked(key)?
    else {
        return None;
    };
    if usize::from(*len) != value.len() {
        return None;
    }
    *rest = behind;
    Some(ShortAttribute {
        key,
        value,
        message,
    })
}

/// Reads a varint; none where the bytes end first.
#[inline(always)]
pub fn varint(rest: &mut &[u8]) -> Option<u64> {
    let (&first, tail) = rest.split_first()?;
    if first < 0x80 {
        *rest = tail;
        return Some(u64::from(first));
    }
    if let [second @ ..0x80, tail @ ..] = tail {
        *rest = tail;
        return Some(u64::from(first & 0x7f) | u64::from(*second) << 7);
    }
    long_varint(first, tail, rest)
}

#[inline(never)]
fn long_varint<'a>(first: u8, tail: &'a [u8], rest: &mut &'a [u8]) -> Option<u64> {
    let mut value = u64::from(first & 0x7f);
    for (i, &byte) in tail.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * (i + 1));
        if byte < 0x80 {
            *rest = &tail[i + 1..];
            return Some(value);
        }
    }
    None
}

#[inline]
fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(head)
}

/// Skips to behind the end of a group whose start was read. The scan bounds how deep groups nest.
fn skip_group(rest: &mut &[u8]) -> Option<()> {
    let mut depth = 1_u32;
    while depth > 0 {
        match varint(rest)? & 7 {
            0 => drop(varint(rest)?),
            1 => drop(take::<8>(rest)?),
            2 => {
                let len = usize::try_from(varint(rest)?).ok()?;
                *rest = rest.get(len..)?;
            }
            3 => depth += 1,
            4 => depth -= 1,
            5 => drop(take::<4>(rest)?),
            _ => return None,
        }
    }
    Some(())
}
