//! Did you mean: the known name nearest to one that isn't known.

/// The nearest of `names`, if it is near enough that a slip of the fingers may explain the difference.
pub fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_ascii_lowercase().replace('_', "-");
    // Nobody means a name of this length by a much longer text, and the distance takes the product of both.
    let longest = 64;
    if unknown.len() > longest {
        return None;
    }
    let near = (unknown.chars().count() / 3).max(1);
    names
        .map(|name| (distance(&unknown, name), name))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|best| best.1)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + usize::from(x != *y))
                .min(left + 1)
                .min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let names = || ["settle", "otlp-grpc", "otlp-http", "memory"].into_iter();
        assert_eq!(nearest("setle", names()), Some("settle"));
        assert_eq!(nearest("OTLP_GRPC", names()), Some("otlp-grpc"));
        assert_eq!(nearest("otlp-htp", names()), Some("otlp-http"));
        assert_eq!(nearest("colour", names()), None);
        assert_eq!(nearest(&"x".repeat(100_000), names()), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
