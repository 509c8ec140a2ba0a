//! Under which names clients see what several servers list. Names stay as they are while only one server has them;
//! where two collide, both get their server's name in front, so that which one is meant never depends on the order of
//! the servers or on which of them runs. No name is longer than 64 characters; one that would be is cut and ends in a
//! hash of the whole. URIs that two servers list are rewritten so that the rewriting can be undone. All of it is pure.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

/// Names longer than this are refused by model providers.
pub(crate) const LONGEST: usize = 64;
/// Digits of a hash in a name: two of a million names collide with a chance of one in ten thousand, and are told apart
/// even then.
const HASH: usize = 10;

/// A server, and the names that it lists, each once.
pub(crate) struct Claims<'a> {
    pub(crate) server: &'a str,
    /// Put before all its names.
    pub(crate) prefix: Option<&'a str>,
    pub(crate) names: Vec<&'a str>,
}

/// The exposed name for each name of each claim, in their order: different for all, `None` for what cannot be told
/// apart from another of the same server.
pub(crate) fn expose(claims: &[Claims<'_>]) -> Vec<Vec<Option<String>>> {
    // How far each name had to be changed: 0 is as it is, 1 with the prefix, 2 with a hash as well.
    let mut levels: Vec<Vec<u8>> = claims
        .iter()
        .map(|claim| vec![u8::from(claim.prefix.is_some()); claim.names.len()])
        .collect();
    // Each round raises at least one of them, or is the last.
    loop {
        let mut holders: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (server, claim) in claims.iter().enumerate() {
            for (at, name) in claim.names.iter().enumerate() {
                let exposed = exposed(claim, name, levels[server][at]);
                holders.entry(skeleton(&exposed)).or_default().push((server, at));
            }
        }
        let mut is_done = true;
        for together in holders.into_values() {
            let is_shared = together.iter().any(|(server, _)| *server != together[0].0);
            if !is_shared {
                for (server, at) in changed_into_another(claims, &levels, &together) {
                    levels[server][at] += 1;
                    is_done = false;
                }
                continue;
            }
            // Those that were left alone so far give way first: a prefix that somebody chose stays what it is.
            let least = together
                .iter()
                .map(|(server, at)| levels[*server][*at])
                .min()
                .unwrap_or(2);
            for (server, at) in together {
                if levels[server][at] == least && least < 2 {
                    levels[server][at] += 1;
                    is_done = false;
                }
            }
        }
        if is_done {
            break;
        }
    }
    let mut taken = HashSet::new();
    let mut by_name: Vec<usize> = (0..claims.len()).collect();
    by_name.sort_by_key(|server| claims[*server].server);
    let mut exposed_names: Vec<Vec<Option<String>>> =
        claims.iter().map(|claim| vec![None; claim.names.len()]).collect();
    for server in by_name {
        let claim = &claims[server];
        for (at, name) in claim.names.iter().enumerate() {
            let exposed = exposed(claim, name, levels[server][at]);
            if taken.insert(exposed.clone()) {
                exposed_names[server][at] = Some(exposed);
            }
        }
    }
    exposed_names
}

/// Names of one server that were given exactly the name which another of its names has unchanged.
fn changed_into_another(
    claims: &[Claims<'_>],
    levels: &[Vec<u8>],
    together: &[(usize, usize)],
) -> Vec<(usize, usize)> {
    let level = |&(server, at): &(usize, usize)| levels[server][at];
    let exposed = |&(server, at): &(usize, usize)| {
        let claim = &claims[server];
        exposed(claim, claim.names[at], levels[server][at])
    };
    let gives_way = |one: &&(usize, usize)| {
        let is_taken = |other: &(usize, usize)| level(other) < level(one) && exposed(other) == exposed(one);
        level(one) < 2 && together.iter().any(is_taken)
    };
    together.iter().filter(gives_way).copied().collect()
}

fn exposed(claim: &Claims<'_>, name: &str, level: u8) -> String {
    let plain = plain(name);
    let prefix = claim.prefix.unwrap_or(claim.server);
    match level {
        0 => fit(&plain),
        1 => fit(&format!("{prefix}_{plain}")),
        _ => {
            let hash = short_hash(&format!("{}\0{name}", claim.server));
            let whole = format!("{prefix}_{plain}");
            format!("{}_{hash}", base::text::cut(&whole, LONGEST - HASH - 1))
        }
    }
}

/// A name of visible ASCII characters as it is. In any other what a reader can't tell from something else gives way to
/// `_`, and a hash of the whole says which it was.
fn plain(name: &str) -> String {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return name.to_owned();
    }
    let visible: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .collect();
    format!(
        "{}_{}",
        base::text::cut(&visible, LONGEST - HASH - 1),
        short_hash(name)
    )
}

fn fit(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    format!(
        "{}_{}",
        base::text::cut(name, LONGEST - HASH - 1),
        short_hash(name)
    )
}

/// The first digits of a text's SHA-256.
pub(crate) fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(HASH / 2)
        .fold(String::with_capacity(HASH), |mut hash, byte| {
            use std::fmt::Write as _;
            // Writing to a string does not fail.
            let _ = write!(hash, "{byte:02x}");
            hash
        })
}

/// What is left of a name for the hasty reader: two names with the same are taken for one another.
fn skeleton(name: &str) -> String {
    name.chars()
        .map(|c| match c.to_ascii_lowercase() {
            '-' | '.' | '/' | ':' => '_',
            '0' => 'o',
            '1' | 'i' | '|' => 'l',
            c => c,
        })
        .collect()
}

/// Marks a rewritten URI; the server's name and the rest follow.
const MARK: &str = "dockmaster.";

/// A URI or template of `server` that must not be taken for another server's: `file:///a` becomes
/// `file://dockmaster.SERVER/` and `/a`. The scheme stays, as clients look at it.
pub(crate) fn marked(server: &str, uri: &str) -> String {
    match scheme(uri) {
        Some((scheme, rest)) => match rest.strip_prefix("//") {
            Some(rest) => format!("{scheme}://{MARK}{server}/{rest}"),
            None => format!("{scheme}:{MARK}{server}:{rest}"),
        },
        None => format!("{MARK}{server}:{uri}"),
    }
}

/// The server and its own URI, if `uri` is one that [`marked`] made, or was made after a template that it made.
pub(crate) fn unmarked(uri: &str) -> Option<(&str, String)> {
    let (head, rest, separator) = match scheme(uri) {
        // One that had no scheme: the mark itself looks like one.
        _ if uri.starts_with(MARK) => (None, uri, ':'),
        Some((scheme, rest)) => match rest.strip_prefix("//") {
            Some(rest) => (Some((scheme, "://")), rest, '/'),
            None => (Some((scheme, ":")), rest, ':'),
        },
        None => return None,
    };
    let (server, own) = rest.strip_prefix(MARK)?.split_once(separator)?;
    let own = match head {
        Some((scheme, joint)) => format!("{scheme}{joint}{own}"),
        None => own.to_owned(),
    };
    Some((server, own))
}

/// A scheme (RFC 3986, 3.1) and what follows its colon.
fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims<'a>(servers: &[(&'a str, Option<&'a str>, &[&'a str])]) -> Vec<Claims<'a>> {
        let claims = servers.iter();
        claims
            .map(|(server, prefix, names)| Claims {
                server,
                prefix: *prefix,
                names: names.to_vec(),
            })
            .collect()
    }

    fn check(servers: &[(&str, Option<&str>, &[&str])], wanted: &[&[&str]]) {
        let names = expose(&claims(servers));
        let names: Vec<Vec<_>> = names
            .iter()
            .map(|names| names.iter().map(|name| name.as_deref().unwrap_or("-")).collect())
            .collect();
        assert_eq!(names, wanted, "{servers:?}");
    }

    #[test]
    fn names() {
        check(
            &[("a", None, &["read", "x.y"]), ("b", None, &["write"])],
            &[&["read", "x.y"], &["write"]],
        );
        check(
            &[("a", None, &["read"]), ("b", None, &["read"])],
            &[&["a_read"], &["b_read"]],
        );
        // Given a prefix, a server has it whether it needs it or not, and leaves the others theirs.
        check(
            &[("a", Some("my"), &["read"]), ("b", None, &["read"])],
            &[&["my_read"], &["read"]],
        );
        // For a hasty reader these are the same.
        check(
            &[
                ("a", None, &["read_file"]),
                ("b", None, &["Read-File"]),
                ("c", None, &["read_fi1e"]),
            ],
            &[&["a_read_file"], &["b_Read-File"], &["c_read_fi1e"]],
        );
        // Cyrillic and zero width.
        check(
            &[
                ("a", None, &["r\u{435}ad", "re\u{200b}ad"]),
                ("b", None, &["read"]),
            ],
            &[&["r_ad_e0d37576ab", "re_ad_b5dbb2e5c0"], &["read"]],
        );
        // What has the prefix collides again.
        check(
            &[
                ("a", None, &["b_c"]),
                ("a_b", None, &["c"]),
                ("x", None, &["b_c", "c", "a_b_c"]),
            ],
            &[
                &["a_b_c_662f0bbbda"],
                &["a_b_c_0c1d18f5e7"],
                &["x_b_c", "x_c", "x_a_b_c"],
            ],
        );
        check(&[("a", None, &[""])], &[&["_e3b0c44298"]]);
    }

    #[test]
    fn a_prefixed_name_does_not_hide_another_of_its_server() {
        let names = expose(&claims(&[("a", None, &["x", "a_x"]), ("b", None, &["x"])]));
        assert_eq!(names[0][1].as_deref(), Some("a_x"));
        assert_eq!(names[1][0].as_deref(), Some("b_x"));
        let changed = names[0][0].as_deref().unwrap();
        assert!(changed.starts_with("a_x_") && changed.len() > 4, "{changed}");
    }

    #[test]
    fn long_names_stay_different() {
        let (one, two) = ("x".repeat(70) + "1", "x".repeat(70) + "2");
        let (of_a, of_b): ([&str; 2], [&str; 1]) = ([&one, &two], [&one]);
        let names = expose(&claims(&[("a", None, &of_a), ("b", None, &of_b)]));
        let all: Vec<_> = names.iter().flatten().flatten().collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 3, "{all:?}");
        assert!(all.iter().all(|name| name.len() <= LONGEST), "{all:?}");
    }

    #[test]
    fn marked_uris_can_be_undone() {
        for (uri, wanted) in [
            ("file:///a/b", "file://dockmaster.s//a/b"),
            ("ui://app/page", "ui://dockmaster.s/app/page"),
            ("urn:isbn:1", "urn:dockmaster.s:isbn:1"),
            ("plain text", "dockmaster.s:plain text"),
            ("{+uri}", "dockmaster.s:{+uri}"),
            ("db://{table}/x", "db://dockmaster.s/{table}/x"),
        ] {
            assert_eq!(marked("s", uri), wanted);
            assert_eq!(unmarked(wanted), Some(("s", uri.to_owned())));
        }
        for uri in ["file:///dockmaster.s/a", "https://dockmaster.example", "x", ""] {
            assert_eq!(unmarked(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn marking_is_undone(server in "[a-z0-9][a-z0-9-]{0,20}", uri in "([a-z]{1,4}:(//)?)?\\PC{0,30}") {
            let marked = marked(&server, &uri);
            prop_assert_eq!(unmarked(&marked), Some((server.as_str(), uri.clone())));
        }

        #[test]
        fn exposed_names_are_short_different_and_do_not_depend_on_the_order(
            servers in proptest::collection::btree_map(
                "[ab]{1,2}(_[ab])?",
                (proptest::option::of("[ab]"), proptest::collection::btree_set("([ab]_){0,3}[aA01b\u{430}]{1,2}|x{60,70}[12]", 0..6)),
                1..5,
            ),
            turn in 0usize..5,
        ) {
            let mut all: Vec<Claims<'_>> = servers
                .iter()
                .map(|(server, (prefix, names))| Claims {
                    server,
                    prefix: prefix.as_deref(),
                    names: names.iter().map(String::as_str).collect(),
                })
                .collect();
            let of = |claims: &[Claims<'_>]| -> HashMap<(String, String), Option<String>> {
                let exposed = expose(claims);
                let pairs = claims.iter().zip(exposed);
                pairs
                    .flat_map(|(claim, names)| {
                        let server = claim.server.to_owned();
                        let own: Vec<_> = claim.names.iter().map(|name| (*name).to_owned()).collect();
                        own.into_iter().zip(names).map(move |(own, name)| ((server.clone(), own), name))
                    })
                    .collect()
            };
            let names = of(&all);
            let exposed: Vec<_> = names.values().flatten().collect();
            prop_assert_eq!(exposed.iter().collect::<HashSet<_>>().len(), exposed.len());
            prop_assert!(exposed.len() == names.len(), "none is lost: {:?}", names);
            for name in &exposed {
                prop_assert!(name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_graphic()), "{}", name);
            }
            // A name that only one server has is left alone.
            for ((server, own), name) in &names {
                let candidates = |server: &String, name: &String| {
                    let prefix = servers[server].0.as_ref().unwrap_or(server);
                    [skeleton(&plain(name)), skeleton(&fit(&format!("{prefix}_{}", plain(name))))]
                };
                let others = names.keys().filter(|(other, _)| other != server);
                let is_alone = !others
                    .flat_map(|(other, name)| candidates(other, name))
                    .any(|candidate| candidate == skeleton(own));
                if is_alone && servers[server].0.is_none() && own.is_ascii() && own.len() <= LONGEST {
                    prop_assert_eq!(name.as_deref(), Some(own.as_str()));
                }
            }
            let turn = turn % all.len();
            all.rotate_left(turn);
            prop_assert_eq!(names, of(&all));
        }
    }
}
