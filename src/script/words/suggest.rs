//! "Did you mean": the nearest of a few names, when it is near enough to be meant.

/// The name in `names` that `word` most likely was meant to be.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    let limit = match wanted.chars().count() {
        0..=4 => 1,
        5 => 2,
        length => length.div_ceil(3).min(4),
    };
    let mut best: Option<(usize, &'a str)> = None;
    for name in names {
        let candidate = name.to_lowercase();
        let mut far = distance(&wanted, &candidate);
        // `header` for `headers`, `jwks_url` for `jwks`: one contains the other, and neither is tiny.
        if far > limit && candidate.len().min(wanted.len()) >= 4 && related(&wanted, &candidate) {
            far = limit;
        }
        // A two-letter word with one letter wrong is any two-letter word.
        if wanted.len() <= 2 && far == 1 && candidate.len() != 2 {
            continue;
        }
        if name != word && far <= limit && best.is_none_or(|(least, _)| far < least) {
            best = Some((far, name));
        }
    }
    best.map(|(_, name)| name)
}

fn related(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a) || a.replace(['_', '-'], "") == b.replace(['_', '-'], "")
}

/// Damerau-Levenshtein (neighbours swapped count once), on characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
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
