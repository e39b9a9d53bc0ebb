//! `did you mean`: the closest of some candidates, by edit distance.

/// Longer words are not compared: nobody misspells them by a letter, and distance costs length squared.
const MAX_WORD: usize = 40;

/// The candidate that is nearest to what was written, if it is near: a third of its letters may differ.
pub fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = letters(written)?;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters = letters(candidate)?;
            let distance = distance(&written, &letters);
            (distance <= written.len().max(letters.len()).div_ceil(3))
                .then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance < candidate.chars().count())
        .map(|(_, candidate)| candidate)
}

fn letters(word: &str) -> Option<Vec<char>> {
    let letters: Vec<char> = word
        .chars()
        .take(MAX_WORD + 1)
        .flat_map(char::to_lowercase)
        .collect();
    (letters.len() <= MAX_WORD).then_some(letters)
}

/// Letters put in, left out, replaced, or two neighbours swapped.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != y);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_as_counted_by_hand() {
        let distance = |a: &str, b: &str| distance(&letters(a).unwrap(), &letters(b).unwrap());
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("count", "cuont"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("Where", "where"), 0);
    }

    #[test]
    fn far_words_are_no_suggestion() {
        assert_eq!(closest("cuont", ["where", "count"]), Some("count"));
        assert_eq!(closest("frobnicate", ["where", "count"]), None);
        assert_eq!(closest("x", ["a", "b"]), None);
        assert_eq!(closest(&"c".repeat(1_000_000), ["count"]), None);
    }
}
