//! "Did you mean": the nearest of a list of words, by edit distance.

/// The candidate nearest to `word`, when it is near enough to be a slip of the keyboard.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LONGEST).collect();
    let allowed = allowance(word.len());
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len(), *candidate))
        .map(|(_, candidate)| candidate)
}

/// ``; did you mean `x`?`` for the nearest candidate, else nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// Longer words are compared by their beginnings: the cost stays bounded whatever a script says.
const LONGEST: usize = 64;

/// One slip in a short word, two in a middling one, three in a long one.
fn allowance(length: usize) -> usize {
    match length {
        0..=1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    }
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours; case is no difference.
fn distance(word: &[char], candidate: &str) -> usize {
    let other: Vec<char> = candidate.chars().take(LONGEST).collect();
    let same = |a: char, b: char| a == b || a.eq_ignore_ascii_case(&b);
    let width = other.len() + 1;
    let mut before: Vec<usize> = vec![0; width];
    let mut above: Vec<usize> = (0..width).collect();
    for (row, &left) in word.iter().enumerate() {
        let mut current = vec![row + 1; width];
        for (column, &right) in other.iter().enumerate() {
            let changed = above[column] + usize::from(!same(left, right));
            let mut best = changed.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && same(left, other[column - 1]) && same(word[row - 1], right);
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before = std::mem::replace(&mut above, current);
    }
    above[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 5] = ["strip_prefix", "rewrite", "to", "timeout", "upstream"];

    #[test]
    fn a_slip_finds_its_word() {
        assert_eq!(closest("strip_perfix", WORDS), Some("strip_prefix"));
        assert_eq!(closest("upstrem", WORDS), Some("upstream"));
        assert_eq!(closest("Timeout", WORDS), Some("timeout"));
        assert_eq!(closest("ot", WORDS), Some("to"));
    }

    #[test]
    fn something_else_finds_nothing() {
        assert_eq!(closest("cache", WORDS), None);
        assert_eq!(closest("x", WORDS), None);
        assert_eq!(closest("", WORDS), None);
        assert_eq!(did_you_mean("zzz", WORDS), "");
    }

    #[test]
    fn a_very_long_word_costs_no_more_than_a_long_one() {
        assert_eq!(closest(&"a".repeat(1 << 20), WORDS), None);
    }
}
