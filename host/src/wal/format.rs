//! The bytes of a segment: a header, then records. Pure; what was read is never trusted.
//!
//! ```text
//! segment   "BTRCWAL\n" | version u16 | kind u8 | reused u8 | salt u64 | number u64 | crc of these 28 bytes
//! record    "BTR\x02" | length u32 | salt u64 | time u64 | crc of the body | crc of the place and of these 28 bytes | body
//! place     number u64 | offset u64 | kind u8
//! ```
//! Numbers are little-endian. A file's salt is drawn when it is begun, and nobody who sends requests knows it; a record has it,
//! and its checksum is of the place that it was written to. So no bytes of a request are a record, not even those of a copy of
//! one, and nothing is that a file held before it was used again. A record's header has a checksum of its own, so that damage
//! to a body doesn't hide the records behind it.

use std::hash::{BuildHasher, RandomState};

use memchr::memmem;

/// What a segment begins with.
const MAGIC: [u8; 8] = *b"BTRCWAL\n";

/// What a record begins with.
const MARK: [u8; 4] = *b"BTR\x02";

/// The version that is written, and the only one that is read. Records of version 1 have no salt: they can't be told from
/// bytes that somebody sent.
pub(super) const VERSION: u16 = 2;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 32;

/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 32;

/// Bytes of a decided trace in the body of a record: its id, what is told of it, and the time of the last request that it may
/// have spans of.
pub(super) const DECIDED_BYTES: usize = 25;

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Requests: the bytes of an `ExportTraceServiceRequest` each.
    Requests,
    /// A place in the file of signals, and traces that were decided, [`DECIDED_BYTES`] each.
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

/// What the records of one segment are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) salt: u64,
    /// The file was another segment's before: what stands behind the last record may be of that.
    pub(super) is_reused: bool,
}

impl Stamp {
    /// That of a segment that is begun.
    pub(super) fn draw(kind: Kind, number: u64, is_reused: bool) -> Stamp {
        Stamp {
            kind,
            number,
            // Keyed by the operating system's randomness.
            salt: RandomState::new().hash_one(number),
            is_reused,
        }
    }

    /// That which these bytes of a segment's file begin with.
    pub(super) fn read(bytes: &[u8], kind: Kind, number: u64) -> Result<Stamp, HeaderError> {
        let header = bytes
            .first_chunk::<SEGMENT_HEADER>()
            .ok_or(HeaderError::Damaged)?;
        let crc = crc32fast::hash(&header[..28]);
        if header[..8] != MAGIC || header[28..] != crc.to_le_bytes() {
            return Err(HeaderError::Damaged);
        }
        // Whatever else another version changes, its header's checksum stands where ours does, so damage is told from age.
        let version = u16::from_le_bytes([header[8], header[9]]);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let stamp = Stamp {
            kind,
            number,
            salt: long(header, 12),
            is_reused: header[11] != 0,
        };
        let is_ours = *header == stamp.segment_header();
        is_ours.then_some(stamp).ok_or(HeaderError::Damaged)
    }

    /// That of a segment whose header is damaged: what its records say of themselves, as long as they agree. None where they
    /// don't, as then some were forged.
    pub(super) fn guess(bytes: &[u8], kind: Kind, number: u64) -> Option<Stamp> {
        let mut guessed: Option<Stamp> = None;
        let mut passed = SEGMENT_HEADER;
        for at in memmem::find_iter(bytes, &MARK) {
            let header = bytes.get(at..).and_then(<[u8]>::first_chunk);
            let Some(header) = header.filter(|_| at >= passed) else {
                continue;
            };
            let stamp = Stamp {
                kind,
                number,
                salt: long(header, 8),
                is_reused: true,
            };
            let Look::Whole { body, .. } = stamp.look(bytes, at) else {
                continue;
            };
            passed = at + RECORD_HEADER + body.len();
            if guessed.is_some_and(|other| other != stamp) {
                return None;
            }
            guessed = Some(stamp);
        }
        guessed
    }

    /// The header of the segment.
    pub(super) fn segment_header(&self) -> [u8; SEGMENT_HEADER] {
        let mut header = [0; SEGMENT_HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        header[10] = self.kind.byte();
        header[11] = u8::from(self.is_reused);
        header[12..20].copy_from_slice(&self.salt.to_le_bytes());
        header[20..28].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// The header of a record that stands at this offset, for a body of so many bytes with this checksum.
    pub(super) fn record_header(
        &self,
        offset: u64,
        time: u64,
        length: u32,
        crc: u32,
    ) -> [u8; RECORD_HEADER] {
        let mut header = [0; RECORD_HEADER];
        header[..4].copy_from_slice(&MARK);
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..16].copy_from_slice(&self.salt.to_le_bytes());
        header[16..24].copy_from_slice(&time.to_le_bytes());
        header[24..28].copy_from_slice(&crc.to_le_bytes());
        let own = self.checksum(offset, &header);
        header[28..].copy_from_slice(&own.to_le_bytes());
        header
    }

    fn checksum(&self, offset: u64, header: &[u8; RECORD_HEADER]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.number.to_le_bytes());
        crc.update(&offset.to_le_bytes());
        crc.update(&[self.kind.byte()]);
        crc.update(&header[..28]);
        crc.finalize()
    }

    /// The record that begins here.
    fn look<'a>(&self, bytes: &'a [u8], at: usize) -> Look<'a> {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            return Look::Nothing;
        };
        let is_header = header[..4] == MARK
            && long(header, 8) == self.salt
            && short(header, 28) == self.checksum(at as u64, header);
        if !is_header {
            return Look::Nothing;
        }
        let length = short(header, 4) as usize;
        let next = at.saturating_add(RECORD_HEADER).saturating_add(length);
        match behind.get(..length) {
            Some(body) if crc32fast::hash(body) == short(header, 24) => Look::Whole {
                time: long(header, 16),
                body,
            },
            _ => Look::Broken { next },
        }
    }

    /// Whether a record of this segment was begun here, be it whole or not.
    fn was_begun(&self, bytes: &[u8], at: usize) -> bool {
        let begun = bytes.get(at..).unwrap_or_default();
        begun.starts_with(&MARK) && begun.get(8..16) == Some(&self.salt.to_le_bytes())
    }
}

fn short(header: &[u8; 32], at: usize) -> u32 {
    let bytes = header.get(at..).and_then(<[u8]>::first_chunk);
    bytes.copied().map_or(0, u32::from_le_bytes)
}

fn long(header: &[u8; 32], at: usize) -> u64 {
    let bytes = header.get(at..).and_then(<[u8]>::first_chunk);
    bytes.copied().map_or(0, u64::from_le_bytes)
}

/// Reads a segment.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    stamp: Stamp,
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
    pub(super) fn new(bytes: &'a [u8], stamp: Stamp) -> Records<'a> {
        Records {
            bytes,
            stamp,
            at: SEGMENT_HEADER.min(bytes.len()),
            ended: false,
        }
    }

    fn is_whole(&self, at: usize) -> bool {
        matches!(self.stamp.look(self.bytes, at), Look::Whole { .. })
    }

    /// Where the next whole record is. A broken one's length is believed first.
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

impl<'a> Iterator for Records<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if self.ended {
            return None;
        }
        let look = self.stamp.look(self.bytes, self.at);
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
                let torn = offset < self.bytes.len()
                    && (!self.stamp.is_reused || self.stamp.was_begun(self.bytes, offset));
                Some(Found::End { offset, torn })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: Stamp = Stamp {
        kind: Kind::Requests,
        number: 7,
        salt: 0x1122_3344_5566_7788,
        is_reused: false,
    };

    /// A record at the end of `bytes`.
    fn append(bytes: &mut Vec<u8>, stamp: &Stamp, time: u64, body: &[u8]) {
        let crc = crc32fast::hash(body);
        let header = stamp.record_header(bytes.len() as u64, time, body.len() as u32, crc);
        bytes.extend(header);
        bytes.extend(body);
    }

    fn segment_of(stamp: &Stamp, bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = stamp.segment_header().to_vec();
        for (time, body) in (0..).zip(bodies) {
            append(&mut bytes, stamp, time, body);
        }
        bytes
    }

    fn segment(bodies: &[Vec<u8>]) -> Vec<u8> {
        segment_of(&STAMP, bodies)
    }

    fn read(bytes: &[u8]) -> Vec<Found<'_>> {
        Records::new(bytes, STAMP).collect()
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
        let bytes = STAMP.segment_header();
        let read = |bytes: &[u8]| Stamp::read(bytes, Kind::Requests, STAMP.number);
        assert_eq!(read(&bytes), Ok(STAMP));
        let reused = Stamp {
            is_reused: true,
            ..STAMP
        };
        assert_eq!(read(&reused.segment_header()), Ok(reused));
        let damaged = Err(HeaderError::Damaged);
        assert_eq!(Stamp::read(&bytes, Kind::Requests, 8), damaged);
        assert_eq!(Stamp::read(&bytes, Kind::Decided, STAMP.number), damaged);
        assert_eq!(read(&bytes[..31]), damaged);
        for version in [1, 3] {
            let mut other = bytes;
            other[8] = version;
            assert_eq!(read(&other), damaged);
            let crc = crc32fast::hash(&other[..28]);
            other[28..].copy_from_slice(&crc.to_le_bytes());
            let of_version = Err(HeaderError::Version(u16::from(version)));
            assert_eq!(read(&other), of_version);
        }
    }

    #[test]
    fn no_two_segments_have_the_same_salt() {
        let draw = || Stamp::draw(Kind::Requests, 1, false).salt;
        assert_ne!(draw(), draw());
    }

    /// What is on disks must be readable for ever: these bytes must not change while the version is 2.
    #[test]
    fn version_2_is_these_bytes() {
        let bytes = segment(&[b"abc".to_vec()]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (header, record) = hex.split_at(2 * SEGMENT_HEADER);
        insta::assert_snapshot!(header, @"4254524357414c0a0200010088776655443322110700000000000000162ed211");
        insta::assert_snapshot!(record, @"425452020300000088776655443322110000000000000000c241243591825a06616263");
    }

    #[test]
    fn what_a_file_held_before_is_not_read() {
        let stamp = Stamp {
            is_reused: true,
            ..STAMP
        };
        let mut bytes = segment_of(&stamp, &[b"new".to_vec()]);
        let end = bytes.len();
        for number in [STAMP.number, STAMP.number - 1] {
            let before = Stamp {
                number,
                salt: 9,
                ..STAMP
            };
            append(&mut bytes, &before, 0, b"old");
        }
        let found: Vec<Found<'_>> = Records::new(&bytes, stamp).collect();
        assert_eq!(bodies(&found), [(0, b"new".to_vec())]);
        let end_of = |torn| Found::End { offset: end, torn };
        assert_eq!(found.last(), Some(&end_of(false)));
        // A record that was begun over it is told, and what it held before is not read behind it.
        let torn = segment_of(&stamp, &[b"new".to_vec(), vec![7; 30]]);
        bytes[..torn.len() - 10].copy_from_slice(&torn[..torn.len() - 10]);
        let found: Vec<Found<'_>> = Records::new(&bytes, stamp).collect();
        assert_eq!(bodies(&found), [(0, b"new".to_vec())]);
        assert_eq!(found.last(), Some(&end_of(true)));
    }

    /// Somebody may send what a log holds, as who collects its files for a report.
    #[test]
    fn a_copy_of_a_record_inside_a_request_is_no_record() {
        let mut bytes = segment(&[b"first".to_vec()]);
        let copy = bytes[SEGMENT_HEADER..].to_vec();
        let outer = bytes.len();
        let body = [b"attribute ", &copy[..], &bytes[..], b"x"].concat();
        append(&mut bytes, &STAMP, 1, &body);
        append(&mut bytes, &STAMP, 2, b"after");
        let left = [(0, b"first".to_vec()), (2, b"after".to_vec())];
        // Whether its header is damaged, so that what is in it is looked through, or its body.
        for damaged in [outer, outer + 5, outer + RECORD_HEADER + body.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[damaged] ^= 1;
            assert_eq!(bodies(&read(&bytes)), left, "damaged at {damaged}");
        }
    }

    /// Whoever knows how a log is made, and even where in it a request will stand, does not know the salt.
    #[test]
    fn a_forged_record_inside_a_request_is_no_record() {
        let mut bytes = segment(&[]);
        let outer = bytes.len();
        let forger = Stamp { salt: 0, ..STAMP };
        let mut forged = vec![0; outer + RECORD_HEADER];
        append(&mut forged, &forger, 9, b"forged");
        append(&mut bytes, &STAMP, 0, &forged[outer + RECORD_HEADER..]);
        append(&mut bytes, &STAMP, 1, b"after");
        bytes[outer] ^= 1;
        assert_eq!(bodies(&read(&bytes)), [(1, b"after".to_vec())]);
        // Where the segment's header is damaged as well, nobody knows which of the two is right.
        assert_eq!(Stamp::guess(&bytes, Kind::Requests, STAMP.number), None);
    }

    #[test]
    fn without_its_header_a_segment_is_known_by_its_records() {
        let bytes = segment(&[vec![1; 40], vec![2; 40]]);
        let guess = |bytes: &[u8]| Stamp::guess(bytes, Kind::Requests, STAMP.number);
        let guessed = guess(&bytes).expect("they agree");
        assert_eq!(guessed.salt, STAMP.salt);
        let mut first_damaged = bytes.clone();
        first_damaged[SEGMENT_HEADER] ^= 1;
        assert_eq!(guess(&first_damaged), Some(guessed));
        assert_eq!(guess(&bytes[..SEGMENT_HEADER]), None);
        assert_eq!(Stamp::guess(&bytes, Kind::Requests, 8), None);
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
