//! The word that was probably meant, for messages about names that do not exist.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Names longer than this are not compared: the comparison takes quadratic time.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, if one is near: the same but for case, `-`, `_` and `.`, or one
/// or two typing errors apart (one in each four letters of short words).
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = plain(word);
    let allowed = (word.len() / 4).min(2);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Lower case, without separators.
fn plain(word: &str) -> Vec<u8> {
    let letters = word.bytes().filter(|c| !b"-_. ".contains(c));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// `, did you mean "..."?` or nothing.
pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| alloc::format!("; did you mean \"{name}\"?"))
}

/// Insertions, deletions and replacements that turn `a` into `b` (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut next = vec![0; b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        next[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = row[j] + usize::from(x != y);
            next[j + 1] = replaced.min(row[j + 1] + 1).min(next[j] + 1);
        }
        core::mem::swap(&mut row, &mut next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_others_are_not() {
        let names = ["holocene_time", "isthmus_time", "block_time", "alt_da"];
        assert_eq!(nearest("holoceneTime", names), Some("holocene_time"));
        assert_eq!(nearest("holocen_time", names), Some("holocene_time"));
        assert_eq!(nearest("block-tim", names), Some("block_time"));
        assert_eq!(nearest("gas_token", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest(&"x".repeat(65), names), None);
        assert_eq!(did_you_mean(Some("a")), "; did you mean \"a\"?");
        assert_eq!(did_you_mean(None), "");
    }

    #[test]
    fn distance_counts_typing_errors() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"abc", b"abc"), 0);
    }
}
