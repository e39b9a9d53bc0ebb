//! Durations, sizes and counts as people write them, and back. Errors say what would be right.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A duration such as `500ms`, `1.5s` or `10m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    quantity(
        text,
        &DURATION_UNITS,
        "a duration",
        "`500ms`, `6s` or `10m`",
        "ns, us, ms, s, m or h",
    )
    .map(Duration::from_nanos)
}

/// A size in bytes such as `512KiB`, `64MiB` or `1.5GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    quantity(
        text,
        &SIZE_UNITS,
        "a size",
        "`512KiB`, `64MiB` or `1GiB`",
        "B, KiB, MiB, GiB, TiB or kB, MB, GB, TB",
    )
}

/// A whole number; underscores may group its digits.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "`{text}` is not a whole number: write it like `50000`"
        ));
    }
    digits.parse().map_err(|_| format!("`{text}` is too large"))
}

/// `nanoseconds` in the largest unit that divides them.
pub(super) fn show_duration(nanoseconds: u64) -> String {
    show(nanoseconds, &DURATION_UNITS)
}

/// `bytes` in the largest binary unit that divides them.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS[..5])
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let unit = units
        .iter()
        .rev()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    unit.map_or_else(
        || "0".to_owned(),
        |(name, factor)| format!("{}{name}", value / factor),
    )
}

/// A number, possibly with a fraction, and a unit.
fn quantity(
    text: &str,
    units: &[(&str, u64)],
    what: &str,
    examples: &str,
    names: &str,
) -> Result<u64, String> {
    let text = text.trim();
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(format!(
            "`{text}` is not {what}: write a number and a unit, such as {examples}"
        ));
    }
    let unit = unit.trim();
    if unit.is_empty() {
        if whole.bytes().all(|digit| digit == b'0') && fraction.is_empty() {
            return Ok(0);
        }
        return Err(format!(
            "`{text}` has no unit: write {what} such as {examples}"
        ));
    }
    let factor = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| {
        format!("`{unit}` is not a unit of {what}: use {names}, as in {examples}")
    })?;
    scaled(whole, fraction, factor)
        .ok_or_else(|| format!("`{text}` is too large, or too fine for its unit"))
}

/// `whole.fraction x factor`, if it is a whole number that fits.
fn scaled(whole: &str, fraction: &str, factor: u64) -> Option<u64> {
    let fraction = fraction.trim_end_matches('0');
    let digits = u32::try_from(fraction.len()).ok()?;
    let scale = 10_u128.checked_pow(digits)?;
    let fraction: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let number = whole
        .parse::<u128>()
        .ok()?
        .checked_mul(scale)?
        .checked_add(fraction)?;
    let value = number.checked_mul(u128::from(factor))?;
    value
        .is_multiple_of(scale)
        .then_some(value / scale)
        .and_then(|value| u64::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, nanoseconds) in [
            ("500ms", 500_000_000),
            ("6s", 6_000_000_000),
            ("10m", 600_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.1s", 100_000_000),
            ("1h", 3_600_000_000_000),
            ("250us", 250_000),
            (" 2 ms ", 2_000_000),
            ("0", 0),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_nanos(nanoseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_are_binary_or_decimal_as_written() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("1.5KiB", 1_536),
            ("2MB", 2_000_000),
            ("7b", 7),
            ("0", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn errors_show_what_would_be_right() {
        let error = |text| duration(text).expect_err(text);
        assert_eq!(
            error("6"),
            "`6` has no unit: write a duration such as `500ms`, `6s` or `10m`"
        );
        assert_eq!(
            error("6 sec"),
            "`sec` is not a unit of a duration: use ns, us, ms, s, m or h, as in `500ms`, `6s` or `10m`"
        );
        assert_eq!(
            error("soon"),
            "`soon` is not a duration: write a number and a unit, such as `500ms`, `6s` or `10m`"
        );
        assert_eq!(
            error("0.5ns"),
            "`0.5ns` is too large, or too fine for its unit"
        );
        for bad in [
            "",
            "-1s",
            "1.s",
            ".5s",
            "1.2.3s",
            "99999999999999999999h",
            "1e3s",
            "1s1s",
            "\u{663}s",
        ] {
            error(bad);
        }
        assert_eq!(
            size("64").expect_err("no unit"),
            "`64` has no unit: write a size such as `512KiB`, `64MiB` or `1GiB`"
        );
        assert_eq!(
            count("many").expect_err("no number"),
            "`many` is not a whole number: write it like `50000`"
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            prop_assert_eq!(duration(&show_duration(value)), Ok(Duration::from_nanos(value)));
            prop_assert_eq!(size(&show_size(value)), Ok(value));
        }

        #[test]
        fn no_text_panics(text in "[0-9.]{0,40}[a-zA-Z ]{0,4}|.{0,20}") {
            let _ = (duration(&text), size(&text), count(&text));
        }
    }
}
