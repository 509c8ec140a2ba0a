//! Which of the known names a mistyped one was meant to be.

/// The names out of `known` nearest to `wanted`, best first, at most `limit`.
///
/// A name counts as near when it contains `wanted` (or is contained in it), or when no more than a third of
/// its letters differ.
pub fn nearest<'a, I>(wanted: &str, known: I, limit: usize) -> Vec<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| distance(&wanted, &name.to_lowercase()).map(|score| (score, name)))
        .collect();
    scored.sort_unstable();
    scored.dedup();
    // Beside a near one, those that are much farther only confuse.
    let best = scored.first().map_or(0, |(score, _)| *score);
    scored.retain(|(score, _)| *score <= best + 2);
    scored.into_iter().take(limit).map(|(_, name)| name).collect()
}

/// How far apart two names are, `None` when they have too little in common.
fn distance(wanted: &str, name: &str) -> Option<usize> {
    let edits = edits(wanted, name);
    let longest = wanted.chars().count().max(name.chars().count());
    if edits * 3 <= longest {
        return Some(edits);
    }
    let contained = wanted.len() >= 3 && name.contains(wanted) || name.len() >= 3 && wanted.contains(name);
    contained.then_some(edits)
}

/// Insertions, deletions, substitutions and swapped neighbours that turn one name into the other.
fn edits(left: &str, right: &str) -> usize {
    // Names are at most a few hundred characters; a longer text is no typing mistake.
    const LONGEST: usize = 256;
    let left: Vec<char> = left.chars().take(LONGEST).collect();
    let right: Vec<char> = right.chars().take(LONGEST).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 0..left.len() {
        let mut row = vec![i + 1];
        for j in 0..right.len() {
            let substituted = last[j] + usize::from(left[i] != right[j]);
            let mut best = substituted.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && left[i] == right[j - 1] && left[i - 1] == right[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn offers_what_was_probably_meant() {
        let known = ["web", "web-db", "cache", "worker-1"];
        for (wanted, expected) in [
            ("wbe", vec!["web"]),
            ("weeb", vec!["web"]),
            ("Web", vec!["web"]),
            ("web-d", vec!["web-db", "web"]),
            ("worker1", vec!["worker-1"]),
            ("cahce", vec!["cache"]),
            ("", vec![]),
            ("nothing-like-it", vec![]),
        ] {
            assert_eq!(nearest(wanted, known, 3), expected, "{wanted:?}");
        }
    }
}
