//! The bytes of a segment: a header, then records. Pure; what was read is never trusted.
//!
//! ```text
//! segment   "BTRCWAL\n" | version u16 | kind u8 | 0 x5 | number u64 | 0 u32 | crc of these 28 bytes
//! record    "BTR\x01" | kind u8 | 0 x3 | segment u32 | length u32 | time u64 | crc of the body | crc of these 28 bytes | body
//! ```
//! Numbers are little-endian. A record names its segment (the low half of its number), so that a file can be used again: what
//! stood in it before belongs to another segment. Its header has a checksum of its own, so that damage to a body doesn't hide
//! the records behind it.

use memchr::memmem;

/// What a segment begins with.
const MAGIC: [u8; 8] = *b"BTRCWAL\n";

/// What a record begins with.
const MARK: [u8; 4] = *b"BTR\x01";

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u16 = 1;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 32;

/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 32;

/// Bytes of a decided trace in the body of a record: its id, and what completed it.
pub(super) const DECIDED_BYTES: usize = 17;

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Requests: the bytes of an `ExportTraceServiceRequest` each.
    Requests,
    /// Traces that were decided, [`DECIDED_BYTES`] each.
    Decided,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Requests => 1,
            Kind::Decided => 2,
        }
    }
}

/// What is wrong with the header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// It is of another version.
    Version(u16),
    /// It can't be what was written.
    Damaged,
}

/// The header of a segment.
pub(super) fn segment_header(kind: Kind, number: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[10] = kind.byte();
    header[16..24].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Whether `bytes` begin with the header of this segment.
pub(super) fn check_segment(bytes: &[u8], kind: Kind, number: u64) -> Result<(), HeaderError> {
    let header = bytes
        .first_chunk::<SEGMENT_HEADER>()
        .ok_or(HeaderError::Damaged)?;
    if header[..8] != MAGIC {
        return Err(HeaderError::Damaged);
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version == VERSION {
        let is_ours = *header == segment_header(kind, number);
        return is_ours.then_some(()).ok_or(HeaderError::Damaged);
    }
    // Whatever else another version changes, its header's checksum stands where ours does, so damage is told from age.
    let crc = crc32fast::hash(&header[..28]);
    if header[28..] == crc.to_le_bytes() {
        Err(HeaderError::Version(version))
    } else {
        Err(HeaderError::Damaged)
    }
}

/// A record's header, for a body of so many bytes with this checksum.
pub(super) fn record_header(
    kind: Kind,
    segment: u64,
    time: u64,
    length: u32,
    crc: u32,
) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    header[..4].copy_from_slice(&MARK);
    header[4] = kind.byte();
    header[8..12].copy_from_slice(&(segment as u32).to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[16..24].copy_from_slice(&time.to_le_bytes());
    header[24..28].copy_from_slice(&crc.to_le_bytes());
    let own = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&own.to_le_bytes());
    header
}

/// Reads a segment. What its own header says is [`check_segment`]'s; records are known by the number.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    kind: Kind,
    segment: u64,
    at: usize,
    ended: bool,
}

/// What is found in a segment, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Record {
        /// When it was written, in Unix nanoseconds by the log's clock.
        time: u64,
        body: &'a [u8],
    },
    /// Bytes that are no record, with records behind them.
    Damaged { offset: usize, length: usize },
    /// From here on there is no record: `torn` where one was begun.
    End { offset: usize, torn: bool },
}

/// A record where one was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look<'a> {
    Whole {
        time: u64,
        body: &'a [u8],
    },
    /// The header is right, the body is not or is cut; the next record would begin there.
    Broken {
        next: usize,
    },
    Nothing,
}

impl<'a> Records<'a> {
    /// Of the bytes of a whole segment.
    pub(super) fn new(bytes: &'a [u8], kind: Kind, segment: u64) -> Records<'a> {
        Records {
            bytes,
            kind,
            segment,
            at: SEGMENT_HEADER.min(bytes.len()),
            ended: false,
        }
    }

    /// The record that begins here.
    fn look(&self, at: usize) -> Look<'a> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            return Look::Nothing;
        };
        let four = |at: usize| {
            let bytes = header.get(at..at + 4).and_then(<[u8]>::first_chunk);
            bytes.copied().map_or(0, u32::from_le_bytes)
        };
        if !is_header(header) || header[4] != self.kind.byte() || four(8) != self.segment as u32 {
            return Look::Nothing;
        }
        let length = four(12) as usize;
        let next = at.saturating_add(RECORD_HEADER).saturating_add(length);
        match behind.get(..length) {
            Some(body) if crc32fast::hash(body) == four(24) => Look::Whole {
                time: u64::from(four(16)) | u64::from(four(20)) << 32,
                body,
            },
            _ => Look::Broken { next },
        }
    }

    /// Whether what stands from here on is what a file held before it was used again: no record of this segment, but some of
    /// another.
    fn is_of_before(&self, at: usize) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        if matches!(self.look(at), Look::Broken { .. }) {
            return false;
        }
        memmem::find_iter(rest, &MARK).any(|found| {
            let header = rest.get(found..).and_then(<[u8]>::first_chunk);
            header.is_some_and(is_header)
        })
    }

    fn is_whole(&self, at: usize) -> bool {
        matches!(self.look(at), Look::Whole { .. })
    }

    /// Where the next whole record is. A broken one's length is believed first: its body may hold anything, also what looks
    /// like a record.
    fn next_whole(&self, look: Look<'a>) -> Option<usize> {
        if let Look::Broken { next } = look
            && self.is_whole(next)
        {
            return Some(next);
        }
        let rest = self.bytes.get(self.at + 1..)?;
        let mut marks = memmem::find_iter(rest, &MARK).map(|found| self.at + 1 + found);
        marks.find(|&at| self.is_whole(at))
    }
}

fn is_header(header: &[u8; RECORD_HEADER]) -> bool {
    header[..4] == MARK && header[28..] == crc32fast::hash(&header[..28]).to_le_bytes()
}

impl<'a> Iterator for Records<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if self.ended {
            return None;
        }
        let look = self.look(self.at);
        if let Look::Whole { time, body } = look {
            self.at += RECORD_HEADER + body.len();
            return Some(Found::Record { time, body });
        }
        let offset = self.at;
        match self.next_whole(look) {
            Some(next) => {
                self.at = next;
                Some(Found::Damaged {
                    offset,
                    length: next - offset,
                })
            }
            None => {
                self.ended = true;
                let torn = offset < self.bytes.len() && !self.is_of_before(offset);
                Some(Found::End { offset, torn })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBER: u64 = 7;

    fn record(segment: u64, time: u64, body: &[u8]) -> Vec<u8> {
        let crc = crc32fast::hash(body);
        let header = record_header(Kind::Requests, segment, time, body.len() as u32, crc);
        [&header[..], body].concat()
    }

    fn segment(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = segment_header(Kind::Requests, NUMBER).to_vec();
        for (time, body) in (0..).zip(bodies) {
            bytes.extend(record(NUMBER, time, body));
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Found<'_>> {
        Records::new(bytes, Kind::Requests, NUMBER).collect()
    }

    fn bodies(found: &[Found<'_>]) -> Vec<(u64, Vec<u8>)> {
        let body = |found: &Found<'_>| match found {
            Found::Record { time, body } => Some((*time, body.to_vec())),
            _ => None,
        };
        found.iter().filter_map(body).collect()
    }

    fn some_bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8)
    }

    #[test]
    fn a_header_says_what_it_is_of() {
        let bytes = segment_header(Kind::Requests, NUMBER);
        assert_eq!(check_segment(&bytes, Kind::Requests, NUMBER), Ok(()));
        let damaged = Err(HeaderError::Damaged);
        assert_eq!(check_segment(&bytes, Kind::Requests, 8), damaged);
        assert_eq!(check_segment(&bytes, Kind::Decided, NUMBER), damaged);
        assert_eq!(check_segment(&bytes[..31], Kind::Requests, NUMBER), damaged);
        let mut newer = bytes;
        newer[8] = 2;
        assert_eq!(check_segment(&newer, Kind::Requests, NUMBER), damaged);
        let crc = crc32fast::hash(&newer[..28]);
        newer[28..].copy_from_slice(&crc.to_le_bytes());
        let version = Err(HeaderError::Version(2));
        assert_eq!(check_segment(&newer, Kind::Requests, NUMBER), version);
    }

    /// What is on disks must be readable for ever: these bytes must not change while the version is 1.
    #[test]
    fn version_1_is_these_bytes() {
        let bytes = segment(&[b"abc".to_vec()]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (header, record) = hex.split_at(2 * SEGMENT_HEADER);
        insta::assert_snapshot!(header, @"4254524357414c0a0100010000000000070000000000000000000000f740d160");
        insta::assert_snapshot!(record, @"425452010100000007000000030000000000000000000000c241243515d555ee616263");
    }

    #[test]
    fn what_a_file_held_before_is_not_read() {
        let mut bytes = segment(&[b"new".to_vec()]);
        let end = bytes.len();
        bytes.extend(record(NUMBER - 1, 0, b"old"));
        bytes.extend(record(NUMBER - 1, 0, b"older"));
        let found = read(&bytes);
        assert_eq!(bodies(&found), [(0, b"new".to_vec())]);
        let clean = Found::End {
            offset: end,
            torn: false,
        };
        assert_eq!(found.last(), Some(&clean));
    }

    #[test]
    fn a_record_inside_a_damaged_body_is_not_taken_for_one() {
        let body = [record(NUMBER, 9, b"forged"), b"x".to_vec()].concat();
        let mut bytes = segment(&[body.clone(), b"after".to_vec()]);
        bytes[SEGMENT_HEADER + RECORD_HEADER + body.len() - 1] ^= 1;
        assert_eq!(bodies(&read(&bytes)), [(1, b"after".to_vec())]);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(written in some_bodies()) {
            let bytes = segment(&written);
            let found = read(&bytes);
            prop_assert_eq!(bodies(&found), (0..).zip(written).collect::<Vec<_>>());
            prop_assert_eq!(found.last(), Some(&Found::End { offset: bytes.len(), torn: false }));
        }

        /// Wherever it is cut, all records before the cut are read, and where the last was cut it is told.
        #[test]
        fn any_cut_loses_only_what_is_behind_it(written in some_bodies()) {
            let bytes = segment(&written);
            let mut ends = vec![SEGMENT_HEADER];
            for body in &written {
                ends.push(ends[ends.len() - 1] + RECORD_HEADER + body.len());
            }
            for cut in SEGMENT_HEADER..=bytes.len() {
                let found = read(&bytes[..cut]);
                let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
                prop_assert_eq!(bodies(&found).len(), whole, "cut at {}", cut);
                let torn = !ends.contains(&cut);
                prop_assert_eq!(found.last(), Some(&Found::End { offset: ends[whole], torn }), "cut at {}", cut);
            }
        }

        /// A bit that flips takes the record that it is in and no other, and is told.
        #[test]
        fn a_flipped_bit_takes_one_record(written in some_bodies(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            prop_assume!(!written.is_empty());
            let mut bytes = segment(&written);
            let at = SEGMENT_HEADER + at.index(bytes.len() - SEGMENT_HEADER);
            bytes[at] ^= 1 << bit;
            let mut end = SEGMENT_HEADER;
            let hit = written.iter().position(|body| { end += RECORD_HEADER + body.len(); at < end });
            let hit = hit.expect("it is in one of them");
            let found = read(&bytes);
            let mut wanted: Vec<(u64, Vec<u8>)> = (0..).zip(written.clone()).collect();
            wanted.remove(hit);
            prop_assert_eq!(bodies(&found), wanted);
            let told = found.iter().filter(|found| matches!(found, Found::Damaged { .. })).count();
            prop_assert_eq!(told, usize::from(hit + 1 < written.len()));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let count = read(&bytes).len();
            prop_assert!(count >= 1);
            let mut marked = segment(&[]);
            marked.extend(MARK);
            marked.extend(&bytes);
            read(&marked);
        }
    }
}
