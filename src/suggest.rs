//! "Did you mean": the nearest of a list of words, by edit distance.

/// The candidate that `word` most likely was meant to be, when one is near enough.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: String = word.to_lowercase().chars().take(LONGEST).collect();
    let allowed = allowance(wanted.chars().count());
    let mut best: Option<(usize, &'a str)> = None;
    for name in candidates {
        let candidate = name.to_lowercase();
        let mut far = distance(&wanted, &candidate);
        // `header` for `headers`, `jwks_url` for `jwks`: one contains the other, and neither is tiny.
        if far > allowed && candidate.len().min(wanted.len()) >= 4 && related(&wanted, &candidate) {
            far = allowed;
        }
        // A two-letter word with one letter wrong is any two-letter word.
        if wanted.len() <= 2 && far == 1 && candidate.len() != 2 {
            continue;
        }
        if name != word && far <= allowed && best.is_none_or(|(least, _)| far < least) {
            best = Some((far, name));
        }
    }
    best.map(|(_, name)| name)
}

/// ``; did you mean `x`?`` for the nearest candidate, else nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// Longer words are compared by their beginnings: the cost stays bounded whatever a script says.
const LONGEST: usize = 64;

fn allowance(length: usize) -> usize {
    match length {
        0..=4 => 1,
        5 => 2,
        length => length.div_ceil(3).min(4),
    }
}

fn related(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a) || a.replace(['_', '-'], "") == b.replace(['_', '-'], "")
}

/// Damerau-Levenshtein (neighbours swapped count once), on characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().take(LONGEST).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut cost = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
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
