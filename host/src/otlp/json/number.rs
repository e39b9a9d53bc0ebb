//! Numbers as JSON writes them, read without a detour over `f64`: 64-bit ids and times keep every digit.

/// How many bytes at the start of `text` are one JSON number; 0 if it starts with none.
pub(super) fn number_len(text: &[u8]) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let at = |i: usize| text.get(i).copied();
    let mut len = usize::from(at(0) == Some(b'-'));
    match (at(len), digits(len)) {
        (_, 0) => return 0,
        (Some(b'0'), _) => len += 1,
        (_, count) => len += count,
    }
    if at(len) == Some(b'.') {
        match digits(len + 1) {
            0 => return 0,
            count => len += 1 + count,
        }
    }
    if let Some(b'e' | b'E') = at(len) {
        let sign = usize::from(matches!(at(len + 1), Some(b'+' | b'-')));
        match digits(len + 1 + sign) {
            0 => return 0,
            count => len += 1 + sign + count,
        }
    }
    len
}

/// The value of a number that is whole, whichever way it is written (`1500`, `1.5e3`), and has at most 20 digits (as
/// `u64` does).
pub(super) fn integer(text: &str) -> Option<i128> {
    if text.is_empty() || number_len(text.as_bytes()) != text.len() {
        return None;
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // An exponent too large for i64 is too large for the result, whatever the digits.
    let shift = exponent
        .parse::<i64>()
        .ok()?
        .checked_sub(fraction.len() as i64)?
        .checked_add(zeros as i64)?;
    let shift = u32::try_from(shift).ok()?;
    if significant.len() as u64 + u64::from(shift) > MAX_DIGITS {
        return None;
    }
    let value = significant.parse::<i128>().ok()? * 10_i128.pow(shift);
    Some(if negative { -value } else { value })
}

/// As many as the largest `u64` has.
const MAX_DIGITS: u64 = 20;

/// The value of a number, or of one of the names that JSON has no number for.
pub(super) fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if text.is_empty() || number_len(text.as_bytes()) != text.len() => None,
        _ => text.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_json_says() {
        let cases = [
            ("0", 1),
            ("-0", 2),
            ("01", 1),
            ("12,", 2),
            ("1.5e+3]", 6),
            ("1e5", 3),
            ("", 0),
            ("-", 0),
            ("+1", 0),
            (".5", 0),
            ("1.", 0),
            ("1e", 0),
            ("1e+", 0),
            ("NaN", 0),
        ];
        for (text, len) in cases {
            assert_eq!(number_len(text.as_bytes()), len, "{text}");
        }
    }

    #[test]
    fn integers_are_exact() {
        let cases = [
            ("9223372036854775807", Some(i128::from(i64::MAX))),
            ("-9223372036854775808", Some(i128::from(i64::MIN))),
            ("18446744073709551615", Some(i128::from(u64::MAX))),
            ("1.544712660300000001e18", Some(1_544_712_660_300_000_001)),
            ("1500e-2", Some(15)),
            ("0.0e99999999999999999999", Some(0)),
            ("-0", Some(0)),
            ("100.00", Some(100)),
            ("1.5", None),
            ("15e-2", None),
            ("1e20", None),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", None),
            ("", None),
            (" 1", None),
            ("0x10", None),
            ("1_000", None),
        ];
        for (text, value) in cases {
            assert_eq!(integer(text), value, "{text}");
        }
    }

    #[test]
    fn doubles_are_numbers_or_named() {
        assert_eq!(double("0.1"), Some(0.1));
        assert_eq!(double("1e308"), Some(1e308));
        assert_eq!(double("-Infinity"), Some(f64::NEG_INFINITY));
        assert!(double("NaN").is_some_and(f64::is_nan));
        for text in ["inf", "nan", "1e309", "", "1.", "+1", "infinity"] {
            assert_eq!(double(text), None, "{text}");
        }
    }
}
