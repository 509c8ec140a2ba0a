//! Names that somebody may have meant: few, near, and found cheaply.

/// Most names that are offered.
const MOST: usize = 3;
/// Most names that are compared.
const COMPARED: usize = 2_000;
/// Longest name that is compared, in bytes; a tool's has at most 64 here.
const LONGEST: usize = 64;

/// Those of `names` that are nearest to `name`, nearest first: at most a third of its letters are otherwise, or one holds
/// the other.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_ascii_lowercase();
    if wanted.is_empty() || wanted.len() > LONGEST {
        return Vec::new();
    }
    let allowed = (wanted.len() / 3).max(1);
    let mut found: Vec<_> = names
        .take(COMPARED)
        .filter(|other| other.len() <= LONGEST)
        .filter_map(|other| {
            let folded = other.to_ascii_lowercase();
            let is_part =
                wanted.len() > 3 && folded.contains(&wanted) || folded.len() > 3 && wanted.contains(&folded);
            if !is_part && folded.len().abs_diff(wanted.len()) > allowed {
                return None;
            }
            let distance = distance(wanted.as_bytes(), folded.as_bytes());
            (is_part || distance <= allowed).then_some((distance, other))
        })
        .collect();
    found.sort_unstable();
    found.truncate(MOST);
    found.into_iter().map(|(_, other)| other).collect()
}

/// How many bytes have to be put in, left out or replaced (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.iter().enumerate() {
        let mut corner = at;
        let mut left = at + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(other) {
            let here = (corner + usize::from(a != b)).min(left + 1).min(*cell + 1);
            corner = std::mem::replace(cell, here);
            left = here;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let names = [
            "list_containers",
            "list_images",
            "remove_container",
            "exec",
            "docker_exec",
            "x",
        ];
        for (name, wanted) in [
            ("list_container", vec!["list_containers"]),
            ("listContainers", vec!["list_containers"]),
            ("LIST_IMAGES", vec!["list_images"]),
            ("exce", vec![]),
            ("exek", vec!["exec"]),
            ("container", vec!["list_containers", "remove_container"]),
            ("exec_command", vec!["exec"]),
            ("y", vec!["x"]),
            ("no_such_thing", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(nearest(name, names.into_iter()), wanted, "{name}");
        }
        assert!(nearest(&"x".repeat(10_000), names.into_iter()).is_empty());
        let many: Vec<String> = (0..9).map(|n| format!("tool_{n}")).collect();
        assert_eq!(nearest("tool_x", many.iter().map(String::as_str)).len(), MOST);
    }

    #[test]
    fn distances() {
        for (one, other, wanted) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(
                distance(one.as_bytes(), other.as_bytes()),
                wanted,
                "{one} {other}"
            );
        }
    }
}
