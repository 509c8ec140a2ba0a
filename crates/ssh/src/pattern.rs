//! Wildcards as OpenSSH's files write them (`PATTERNS` in `ssh_config(5)`): `*` is any text, `?` one character, and a
//! pattern that begins with `!` takes out of a list what it matches.
//!
//! Deliberately absent: brackets and alternatives, which those files do not have.

use wildmatch::WildMatch;

/// Whether a list of patterns takes `text`: at least one matches, and none of the negated ones does.
pub(crate) fn list_takes<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut taken = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, text) => return false,
            Some(_) => {}
            None => taken |= matches(pattern, text),
        }
    }
    taken
}

/// Whether one pattern, which is not negated, matches the whole text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    WildMatch::new(pattern).matches(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (patterns, text, expected) in [
            ("host", "host", true),
            ("host", "hosts", false),
            ("*", "", true),
            ("h?st", "host", true),
            ("h?st", "hst", false),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("!bad *", "bad", false),
            ("* !bad", "bad", false),
            ("* !bad", "good", true),
            ("!bad", "good", false),
            ("!bad.*", "bad.x", false),
            ("a b", "b", true),
            ("10.0.*", "10.0.3.4", true),
            ("", "x", false),
            ("[*]:22??", "[h]:2201", true),
        ] {
            assert_eq!(
                list_takes(patterns.split(' '), text),
                expected,
                "{patterns:?} {text:?}"
            );
        }
    }
}
