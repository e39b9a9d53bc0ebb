//! Words to values: numbers, durations, quoted text.

use crate::diagnostic::{Code, Diagnostic, Span};

/// A whole number; `negative` where a minus stands before it.
pub fn int(text: &str, negative: bool, span: Span) -> Result<i64, Diagnostic> {
    let digits = if negative {
        format!("-{text}")
    } else {
        text.to_owned()
    };
    digits.parse().map_err(|_| {
        Diagnostic::new(Code::NumberOutOfRange, span, "whole number is out of range").help(format!(
            "the range is {} to {}",
            i64::MIN,
            i64::MAX
        ))
    })
}

/// A number with a point or an exponent.
pub fn float(text: &str, negative: bool, span: Span) -> Result<f64, Diagnostic> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(if negative { -number } else { number }),
        _ => Err(
            Diagnostic::new(Code::NumberOutOfRange, span, "number is out of range")
                .help("the largest is about 1.8e308"),
        ),
    }
}

/// A number and a unit, in nanoseconds.
pub fn duration(text: &str, negative: bool, span: Span) -> Result<i64, Diagnostic> {
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unit: i128 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        _ => 3_600 * 1_000_000_000,
    };
    let out_of_range = || {
        Diagnostic::new(Code::NumberOutOfRange, span, "duration is out of range")
            .help("the longest is about 292 years")
    };
    let whole: i64 = whole.parse().map_err(|_| out_of_range())?;
    // Trailing zeros say nothing; more digits than these can't be whole nanoseconds in any unit.
    let fraction = fraction.trim_end_matches('0');
    let too_fine = || {
        Diagnostic::new(
            Code::NumberOutOfRange,
            span,
            "duration is finer than a nanosecond",
        )
        .help("durations are whole nanoseconds")
    };
    if fraction.len() > 18 {
        return Err(too_fine());
    }
    let scale = 10i128.pow(fraction.len() as u32);
    let parts = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<i128>().unwrap_or(0)
    };
    if parts * unit % scale != 0 {
        return Err(too_fine());
    }
    let ns = i128::from(whole) * unit + parts * unit / scale;
    i64::try_from(if negative { -ns } else { ns }).map_err(|_| out_of_range())
}

/// Quoted text without its quotes, escapes resolved; what does not escape anything is told and kept as it stands.
pub fn text(quoted: &str, start: u32, mut tell: impl FnMut(Diagnostic)) -> String {
    let mut out = String::with_capacity(quoted.len());
    for piece in pieces(quoted) {
        match piece.meaning {
            Some(c) => out.push(c),
            None => {
                let (from, until) = (piece.start, piece.end);
                let written = quoted.get(from..until).unwrap_or("");
                let span = Span::new(start as usize + from, start as usize + until);
                tell(unknown_escape(written, span));
                out.push_str(written);
            }
        }
    }
    out
}

/// Where a byte of the meant text stands in the source: for positions inside a regular expression.
pub fn source_offset(quoted: &str, meant: usize) -> usize {
    let mut length = 0;
    for piece in pieces(quoted) {
        if length >= meant {
            return piece.start;
        }
        length += piece
            .meaning
            .map_or(piece.end - piece.start, char::len_utf8);
    }
    quoted.len().saturating_sub(1)
}

fn unknown_escape(written: &str, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::UnknownEscape,
        span,
        format!("`{written}` is not an escape"),
    );
    if written.starts_with("\\u") || written.starts_with("\\x") {
        return diagnostic.help(r"a character by its number is written `\u{1F600}`");
    }
    diagnostic
        .help(format!(
            "a backslash itself, as in a regular expression, is written twice: `\\{written}`"
        ))
        .help(r#"the escapes are `\n \t \r \0 \\ \" \'` and `\u{…}`"#)
}

/// A character of the meant text, and where it stands in the quoted one.
struct Piece {
    start: usize,
    end: usize,
    /// None: an escape that is none.
    meaning: Option<char>,
}

fn pieces(quoted: &str) -> impl Iterator<Item = Piece> {
    let end = quoted.len().saturating_sub(1);
    let mut at = 1;
    std::iter::from_fn(move || {
        let rest = quoted.get(at..end)?;
        let first = rest.chars().next()?;
        let start = at;
        let (length, meaning) = if first == '\\' {
            escape(rest)
        } else {
            (first.len_utf8(), Some(first))
        };
        at += length;
        Some(Piece {
            start,
            end: at,
            meaning,
        })
    })
}

/// The escape at the start of a text: its length, and what it means.
fn escape(text: &str) -> (usize, Option<char>) {
    let Some(second) = text.chars().nth(1) else {
        return (1, None);
    };
    let simple = match second {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        '\\' | '"' | '\'' => second,
        'u' => return unicode_escape(text),
        _ => return (1 + second.len_utf8(), None),
    };
    (2, Some(simple))
}

/// `\u{…}` of one to six digits.
fn unicode_escape(text: &str) -> (usize, Option<char>) {
    let Some(rest) = text.strip_prefix("\\u{") else {
        return (2, None);
    };
    let digits = rest
        .bytes()
        .take(7)
        .take_while(u8::is_ascii_hexdigit)
        .count();
    if digits == 0 || digits > 6 || rest.as_bytes().get(digits) != Some(&b'}') {
        return (3, None);
    }
    let number = rest
        .get(..digits)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    (3 + digits + 1, number.and_then(char::from_u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> Option<i64> {
        duration(text, false, Span::default()).ok()
    }

    #[test]
    fn durations_are_exact() {
        assert_eq!(ns("250us"), Some(250_000));
        assert_eq!(ns("1.5s"), Some(1_500_000_000));
        assert_eq!(ns("0.1h"), Some(360_000_000_000));
        assert_eq!(ns("0.000000001s"), Some(1));
        assert_eq!(ns("0.10000000000000000000000s"), Some(100_000_000));
        assert_eq!(ns("0.0000000001s"), None);
        assert_eq!(ns("0.5ns"), None);
        assert_eq!(ns("2562047h"), Some(2_562_047 * 3_600_000_000_000));
        assert_eq!(ns("2562048h"), None);
        assert_eq!(ns(&format!("{}h", "9".repeat(1000))), None);
        assert_eq!(ns("9223372036854775807h"), None);
    }

    #[test]
    fn ints_have_the_range_of_64_bits() {
        let span = Span::default();
        assert_eq!(int("9223372036854775808", true, span).ok(), Some(i64::MIN));
        assert!(int("9223372036854775808", false, span).is_err());
    }

    #[test]
    fn escapes_are_resolved_and_mapped_back() {
        let quoted = r#"'a\n\u{1F600}\'b'"#;
        let meant = text(quoted, 0, |_| panic!("no mistake"));
        assert_eq!(meant, "a\n😀'b");
        assert_eq!(
            source_offset(quoted, meant.find('b').unwrap()),
            quoted.rfind('b').unwrap()
        );
        assert_eq!(source_offset(quoted, meant.len()), quoted.len() - 1);
    }

    #[test]
    fn wrong_escapes_are_told_and_kept() {
        let mut told = 0;
        assert_eq!(
            text(r"'\d \u12 \u{110000} \'", 0, |_| told += 1),
            r"\d \u12 \u{110000} \"
        );
        assert_eq!(told, 4);
    }
}
