//! Text for a person: nothing that a terminal would obey, no wider than asked, numbers short.

use unicode_width::UnicodeWidthChar;

/// `text` made harmless and cut to `width` columns, the cut shown by `…`.
///
/// Names and values come from whoever sends traces: control characters (an escape sequence can rewrite the screen or the
/// window's title) and the marks that reorder or hide text are shown as `\u{..}`; white space becomes a space.
pub fn clean(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    // Where to cut if the rest does not fit: the last place that leaves a column for `…`.
    let mut cut = 0;
    for c in text.chars() {
        let (piece, columns) = shown(c);
        if used + columns > width {
            out.truncate(cut);
            if width > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(&piece);
        used += columns;
        if used < width {
            cut = out.len();
        }
    }
    out
}

/// Columns that cleaned text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// `text` cleaned, cut and filled up with spaces to exactly `width` columns.
pub fn column(text: &str, columns: usize) -> String {
    let mut cell = clean(text, columns);
    let fill = columns.saturating_sub(width(&cell));
    cell.extend(std::iter::repeat_n(' ', fill));
    cell
}

/// A duration in three digits or so: `870 us`, `12.4 ms`, `3.62 s`, `4m 07s`.
pub fn duration(ns: u64) -> String {
    let (us, ms, s) = (ns as f64 / 1e3, ns as f64 / 1e6, ns as f64 / 1e9);
    match ns {
        0 => "0 ms".to_owned(),
        1..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => scaled(us, "us"),
        1_000_000..1_000_000_000 => scaled(ms, "ms"),
        1_000_000_000..60_000_000_000 => scaled(s, "s"),
        _ => {
            let seconds = ns / 1_000_000_000;
            match seconds / 3_600 {
                0 => format!("{}m {:02}s", seconds / 60, seconds % 60),
                hours => format!("{hours}h {:02}m", seconds / 60 % 60),
            }
        }
    }
}

/// `1 span`, `2 spans`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `1 span`, `4,812 spans`.
pub fn many(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// `4,812`: digits in groups, for numbers that are read at a glance.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `body` in lines of at most `columns`, broken at spaces where there are any.
pub fn wrapped(body: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in body.split(' ') {
        let used = lines.last().map_or(0, |line| width(line));
        if used > 0 && used + 1 + width(word) > columns {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&clean(word, columns));
        }
    }
    lines
}

/// Three digits, none lost to rounding up into a fourth (`999.96` is `1000`).
fn scaled(value: f64, unit: &str) -> String {
    if value < 9.995 {
        format!("{value:.2} {unit}")
    } else if value < 99.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

fn shown(c: char) -> (std::borrow::Cow<'static, str>, usize) {
    if c.is_whitespace() {
        return (" ".into(), 1);
    }
    // Bidirectional marks, zero-width joiners and the like are format characters that reorder or hide text.
    let hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    match c.width() {
        Some(columns) if !hides && !c.is_control() => (c.to_string().into(), columns),
        _ => {
            let escaped = c.escape_unicode().to_string();
            let columns = escaped.len();
            (escaped.into(), columns)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_never_reach_a_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb", 80), "a\\u{1b}[2Jb");
        assert_eq!(clean("a\u{9b}31mb", 80), "a\\u{9b}31mb");
        assert_eq!(clean("safe\u{202e}gpj.exe", 80), "safe\\u{202e}gpj.exe");
        assert_eq!(clean("two\r\nlines\tand", 80), "two  lines and");
    }

    #[test]
    fn text_is_cut_to_its_columns() {
        assert_eq!(clean("checkout", 8), "checkout");
        assert_eq!(clean("checkout", 7), "checko…");
        assert_eq!(clean("checkout", 1), "…");
        assert_eq!(clean("checkout", 0), "");
        // Wide characters take two columns each.
        assert_eq!(clean("支払い処理", 10), "支払い処理");
        assert_eq!(clean("支払い処理", 9), "支払い処…");
        assert_eq!(column("支払い", 8), "支払い  ");
    }

    #[test]
    fn digits_come_in_groups() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (4_812, "4,812"),
            (1_234_567, "1,234,567"),
        ];
        for (n, text) in cases {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn durations_are_short() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ns"),
            (1_500, "1.50 us"),
            (999_960, "1000 us"),
            (12_400_000, "12.4 ms"),
            (842_000_000, "842 ms"),
            (3_620_000_000, "3.62 s"),
            (247_000_000_000, "4m 07s"),
            (7_380_000_000_000, "2h 03m"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }

    proptest! {
        #[test]
        fn cleaned_text_is_harmless_and_fits(text in any::<String>(), columns in 0_usize..60) {
            let cell = column(&text, columns);
            prop_assert_eq!(width(&cell), columns);
            prop_assert!(!cell.chars().any(char::is_control));
        }
    }
}
