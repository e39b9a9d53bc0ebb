//! What names a signal and dates it: its id, hexadecimal ids, and RFC 3339 times.

use std::fmt::Write;

/// Bytes of the hash that make a signal's id: 128 bits, so that a collision is out of reach of any number of signals.
const ID_BYTES: usize = 16;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The id of the signal of one rule and one trace.
///
/// A trace id has 16 bytes and stands last, so no two pairs hash the same text.
pub fn signal_id(rule: &str, trace_id: &[u8; 16]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("betrace signal id 1");
    hasher.update(rule.as_bytes());
    hasher.update(trace_id);
    let mut id = [0; ID_BYTES];
    hasher.finalize_xof().fill(&mut id);
    hex(&id)
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A Unix time in nanoseconds as RFC 3339 in UTC, to the nanosecond. The last that fits is in the year 2554.
pub fn rfc3339(unix_ns: u64) -> String {
    let seconds = unix_ns / SECOND;
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
        unix_ns % SECOND
    )
}

/// Year, month and day of a number of days since 1970-01-01.
///
/// Counts years from March, so that the leap day is a year's last and months have a regular rhythm: 153 days to five
/// months. 146,097 days are 400 years.
fn civil(days: u64) -> (u64, u64, u64) {
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    const CYCLE: u64 = 146_097;
    let since = days + EPOCH;
    let (cycle, day_of_cycle) = (since / CYCLE, since % CYCLE);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000000Z"),
            (1_709_164_799, "2024-02-28T23:59:59.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(seconds * SECOND), text);
        }
        assert_eq!(rfc3339(1_000_000_001), "1970-01-01T00:00:01.000000001Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = civil(0);
        for day in 1..250_000 {
            let next = civil(day);
            let expected = if next.2 > 1 {
                (last.0, last.1, last.2 + 1)
            } else {
                next
            };
            assert_eq!(next, expected);
            assert!(next > last && next.2 <= 31 && next.1 <= 12);
            last = next;
        }
    }

    #[test]
    fn an_id_depends_on_rule_and_trace_alone() {
        let id = signal_id("payment-fraud-check", &[7; 16]);
        assert_eq!(id, signal_id("payment-fraud-check", &[7; 16]));
        assert_eq!(id.len(), 32);
        assert_ne!(id, signal_id("payment-fraud-checks", &[7; 16]));
        assert_ne!(id, signal_id("payment-fraud-check", &[8; 16]));
        // It is written down by whoever stores signals: it must never change.
        insta::assert_snapshot!(id, @"2cf07bfe3cba4a758b2370027eced8cf");
    }
}
