use proptest::prelude::*;

use super::pattern::{Path, Pattern};
use super::*;

/// Which of `paths` the patterns leave, judged from the root.
fn kept<'a>(patterns: &str, paths: &[&'a str]) -> Vec<&'a str> {
    let ignore = Ignore::parse(patterns.as_bytes()).unwrap();
    let is_kept = |path: &&str| !ignore.ignores(path.as_bytes());
    paths.iter().copied().filter(is_kept).collect()
}

fn check_match(pattern: &str, path: &str, expected: bool) {
    let found = Pattern::compile(&clean(pattern.as_bytes()))
        .unwrap()
        .matches(&Path::new(path.as_bytes()));
    assert_eq!(found, expected, "{pattern:?} on {path:?}");
}

#[test]
fn patterns_of_one_path() {
    for (pattern, matched, unmatched) in [
        // Literal text, with what a regular expression would take for its own.
        ("src", &["src"][..], &["src/a", "asrc", "src2", ""][..]),
        ("a.b", &["a.b"], &["axb"]),
        ("a+(b)|{c}$", &["a+(b)|{c}$"], &["aab"]),
        ("c^d*", &["c^d", "c^de"], &["cd"]),
        // Within one part of the path.
        ("*", &["a", ".a", "a b", "é"], &["a/b"]),
        ("*.rs", &[".rs", "a.rs"], &["a.rsx", "d/a.rs"]),
        ("a*c*e", &["ace", "abcde", "acce"], &["ac", "abcd", "a/ce"]),
        ("a/*/c", &["a/b/c", "a//c"], &["a/c", "a/b/b/c"]),
        ("?", &["a", "é", "☺"], &["", "ab", "/"]),
        ("a?b", &["axb", "a☺b"], &["ab", "a/b"]),
        // Classes.
        ("[ac]", &["a", "c"], &["b", "", "ac"]),
        ("[a-cx]1", &["a1", "b1", "c1", "x1"], &["d1", "a"]),
        ("[^a-c]", &["d", "☺"], &["a", "b", "c", ""]),
        ("[α-ω]*", &["λ", "λόγος"], &["l"]),
        (r"[\]\-\\]", &["]", "-", r"\"], &["a"]),
        ("[*?]", &["*", "?"], &["a", "ab"]),
        ("[!a]", &["!", "a"], &["b"]),
        ("[z-a]", &[], &["a", "m", "z"]),
        ("x]", &["x]"], &["x"]),
        // Escapes.
        (r"\*", &["*"], &["a"]),
        (r"a\?b", &["a?b"], &["axb"]),
        (r"\d", &["d"], &["1", r"\d"]),
        (r"\!x", &["!x"], &["x"]),
        // Any number of directories.
        ("**", &["a", "a/b", "a/b/c"], &[]),
        ("**/a", &["a", "b/a", "b/c/a"], &["ba", "a/b", "b/xa"]),
        ("**a", &["a", "ba", "b/a", "b/xa"], &["ab"]),
        ("**.log", &["x.log", "d/x.log", ".log"], &["x.logs"]),
        ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
        ("a**", &["a", "ab", "ab/c", "a/b"], &["b"]),
        ("a/**/c", &["a/c", "a/b/c", "a/b/b/c"], &["ac", "a/bc", "a/b"]),
        ("a**c", &["ac", "ab/c", "a/c"], &["abc"]),
        ("**/*.rs", &["a.rs", "d/a.rs", "d/e/.rs"], &["a.r", "a.rs/b"]),
        ("**/a/**", &["a/b", "x/a/b", "x/a/b/c"], &["a", "x/a", "xa/b"]),
        ("**/a/*", &["a/b", "x/a/b"], &["a", "a/b/c"]),
        ("a/*/**", &["a/b/c", "a/b/c/d"], &["a/b", "a"]),
        ("**/**/x?", &["xy", "a/xy", "a/b/xy"], &["x", "axy"]),
        ("[a]**", &["a", "ab", "a/b"], &["b"]),
        ("**/[ab]", &["a", "x/b"], &["x/c", "xa"]),
        ("***", &["a", "a/b"], &[]),
    ] {
        for path in matched {
            check_match(pattern, path, true);
        }
        for path in unmatched {
            check_match(pattern, path, false);
        }
    }
}

#[test]
fn what_a_line_means() {
    // line, the pattern it comes to ("" for none)
    for (line, expected) in [
        ("a", "a"),
        ("", ""),
        (" \t ", ""),
        ("# a", ""),
        (" # a", "# a"),
        ("#", ""),
        ("  a b  ", "a b"),
        ("\u{a0}a\u{2003}", "a"),
        ("a\r", "a"),
        ("/a", "a"),
        ("//a//b//", "a/b"),
        ("./a", "a"),
        ("a/", "a"),
        ("a/./b/../c", "a/c"),
        ("../a", "../a"),
        ("/../a", "a"),
        ("a/..", "."),
        (".", "."),
        ("/", "/"),
        ("!a", "!a"),
        ("! /a/ ", "!a"),
        ("!!a", "!!a"),
        ("!a/../b", "!b"),
        ("!", "!"),
        ("!/", "!/"),
        ("**/", "**"),
        (r"\#a", r"\#a"),
    ] {
        let found = normalize(line.as_bytes()).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&found), expected, "{line:?}");
    }
}

#[test]
fn the_last_match_decides() {
    let tree = ["a", "a/x", "a/x/1", "a/y", "b", "b/x", "c.md", "d/c.md"];
    for (patterns, expected) in [
        ("", &tree[..]),
        ("a", &["b", "b/x", "c.md", "d/c.md"]),
        ("a/", &["b", "b/x", "c.md", "d/c.md"]),
        ("a\n!a/x", &["a/x", "a/x/1", "b", "b/x", "c.md", "d/c.md"]),
        ("!a/x\na", &["b", "b/x", "c.md", "d/c.md"]),
        ("a\n!a/x\na/x/1", &["a/x", "b", "b/x", "c.md", "d/c.md"]),
        ("*\n!b", &["b", "b/x"]),
        ("*\n!d/c.md", &["d/c.md"]),
        ("**\n!**/x", &["a/x", "a/x/1", "b/x"]),
        ("*.md", &["a", "a/x", "a/x/1", "a/y", "b", "b/x", "d/c.md"]),
        (
            "**/*.md\n!c.md",
            &["a", "a/x", "a/x/1", "a/y", "b", "b/x", "c.md"],
        ),
        ("*/x", &["a", "a/y", "b", "c.md", "d/c.md"]),
        ("a/**", &["a", "b", "b/x", "c.md", "d/c.md"]),
        (".\n/\n..", &tree),
        ("# a\n\n  b  ", &["a", "a/x", "a/x/1", "a/y", "c.md", "d/c.md"]),
        ("\u{feff}a\r\nb\r\n", &["c.md", "d/c.md"]),
        // An exception that had nothing to undo for the directory does not count for what is below it.
        ("a/x\n!a", &["a", "a/y", "b", "b/x", "c.md", "d/c.md"]),
        // The second reading takes this for an exception.
        ("*\n/!b", &["b", "b/x"]),
    ] {
        assert_eq!(kept(patterns, &tree), expected, "{patterns:?}");
    }
}

#[test]
fn names_that_are_not_utf8() {
    let ignore = Ignore::parse(b"\xff\xfe*\nexact\xff").unwrap();
    for (path, expected) in [
        (&b"\xff\xfe"[..], true),
        (b"\xff\xfeb", true),
        (b"\xff", false),
        (b"exact\xff", true),
        (b"exact\xfe", false),
    ] {
        assert_eq!(ignore.ignores(path), expected, "{path:?}");
    }
}

#[test]
fn lines_that_are_no_patterns() {
    for (content, line) in [
        ("!", 1),
        ("a\n! ", 2),
        ("!/", 1),
        ("\n\n[", 3),
        ("[]", 1),
        ("[]a]", 1),
        ("[^]", 1),
        ("[a", 1),
        ("[a-]", 1),
        ("[-a]", 1),
        ("[a-b-c]", 1),
        ("[a-\\]", 1),
        ("a\\", 1),
        ("!a[", 1),
    ] {
        let error = Ignore::parse(content.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{content:?}: {error}");
    }
    let long = "x".repeat(LINE);
    assert!(Ignore::parse(long.as_bytes()).is_err());
    assert!(Ignore::parse(&long.as_bytes()[1..]).is_ok());
    insta::assert_snapshot!(
        Ignore::parse(b"ok\nsrc/[a-]\n").unwrap_err(),
        @"line 2: \"src/[a-]\" is not a pattern: a '-' in a class stands between two characters, or is written '\\-'"
    );
}

#[test]
fn ignored_directories_that_must_be_read() {
    for (patterns, dir, expected) in [
        ("*", "a", false),
        ("*\n!b", "a", false),
        ("*\n!a/b", "a", true),
        ("*\n!a/b/c", "a/b", true),
        ("*\n!a/b/c", "a/c", false),
        ("*\n!ab", "a", false),
        ("*\n!**/x", "a/b", true),
        ("*\n!**", "a", true),
        ("*\n!src/**/*.rs", "src/x/y", true),
        ("*\n!src/**/*.rs", "doc", false),
        ("*\n!*/keep", "a", true),
        ("*\n!*/keep", "a/b", false),
        ("*\n!a/**", "a/b", true),
        ("*\n!ab/**", "a", false),
        ("*\n!a/b/**", "a", true),
        ("*\n!a[b]/c", "ab", true),
    ] {
        let ignore = Ignore::parse(patterns.as_bytes()).unwrap();
        assert_eq!(
            ignore.may_except_below(dir.as_bytes()),
            expected,
            "{patterns:?} below {dir}"
        );
    }
}

#[test]
fn a_literal_line_matches_its_path_alone() {
    for path in [
        "Dockerfile",
        "!x",
        "#x",
        "a*b",
        "a?",
        "[x]",
        r"a\b",
        "d/[*]",
        "x]",
    ] {
        let ignore = Ignore::parse(&literal(path.as_bytes())).unwrap();
        assert!(ignore.ignores(path.as_bytes()), "{path}");
        assert!(!ignore.ignores(b"other"), "{path}");
    }
}

/// What `?`, `*` and `**/` mean, written down without regard to cost.
fn naive(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            let after_slash = |at: &usize| *at == 0 || path[at - 1] == b'/';
            (0..=path.len())
                .filter(after_slash)
                .any(|at| naive(rest, &path[at..]))
        }
        [b'*', rest @ ..] => {
            let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
            (0..=end).any(|at| naive(rest, &path[at..]))
        }
        [b'?', rest @ ..] => matches!(path, [first, after @ ..] if *first != b'/' && naive(rest, after)),
        [c, rest @ ..] => matches!(path, [first, after @ ..] if first == c && naive(rest, after)),
    }
}

/// The same for a whole file, a path being ignored with all that is below it.
fn naive_ignores(lines: &[String], path: &str) -> bool {
    let ends: Vec<usize> = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()])
        .collect();
    let mut matched_above = vec![false; lines.len()];
    let mut ignored = false;
    for end in ends {
        ignored = false;
        for (line, above) in lines.iter().zip(&mut matched_above) {
            let (is_exception, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern),
                None => (false, line.as_str()),
            };
            let is_tried = is_exception == ignored;
            *above = *above || is_tried && naive(pattern.as_bytes(), &path.as_bytes()[..end]);
            if *above {
                ignored = !is_exception;
            }
        }
    }
    ignored
}

proptest! {
    #[test]
    fn no_content_and_no_path_panics(content in proptest::collection::vec(any::<u8>(), 0..200), path in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(ignore) = Ignore::parse(&content) {
            ignore.ignores(&path);
            ignore.may_except_below(&path);
        }
    }

    #[test]
    fn odd_patterns_neither_panic_nor_disagree_on_what_may_be_below(
        content in r"([!/ab*?\[\]\\^.#\- ]|\*\*/){0,20}(\n([!/ab*?\[\]^-]|\*\*){0,12})?",
        dir in "[ab.]{1,3}(/[ab.]{1,3}){0,2}",
        name in "[ab.*]{1,4}(/[ab]{1,2})?",
    ) {
        if let Ok(ignore) = Ignore::parse(content.as_bytes()) {
            let (ignored, _) = ignore.judge(dir.as_bytes(), None);
            let path = format!("{dir}/{name}");
            // What is not read for lack of exceptions must be ignored.
            if ignore.ignores(dir.as_bytes()) && !ignore.may_except_below(dir.as_bytes()) {
                prop_assert!(ignore.ignores(path.as_bytes()), "{content:?} {path:?} {ignored}");
            }
        }
    }

    #[test]
    fn simple_patterns_mean_what_they_say(
        lines in proptest::collection::vec(r"!?(\*\*/)?[ab*?]{1,3}(/[ab*?]{1,2}){0,2}", 0..5),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        // `**` inside a part has a meaning of its own, and is in the tables.
        let is_simple = |line: &&String| !line.trim_start_matches('!').trim_start_matches("**/").contains("**");
        let lines: Vec<String> = lines.iter().filter(is_simple).cloned().collect();
        let ignore = Ignore::parse(lines.join("\n").as_bytes()).unwrap();
        prop_assert_eq!(ignore.ignores(path.as_bytes()), naive_ignores(&lines, &path), "{:?}", lines);
    }
}
