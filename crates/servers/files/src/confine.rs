//! What a client reaches that has roots of its own: what these and the configured ones have in common, on this machine.
//!
//! It is judged by open directories and not by paths: each root is opened, and which lies in which is found by going up from
//! the handle of the one (`..`) until it is the other. What comes of it stays open, and the call works beneath these very
//! handles, so it makes no difference what is put in the place of a path meanwhile. Paths only say by which name the model
//! may call a directory.
//!
//! A root of the client that lies in a configured one counts, with what is allowed there; of one that holds configured
//! ones these count; any other is passed over, and so is what is no directory of this machine. Deliberately absent: asking the
//! client (`server-kit`), and other hosts, whose files a client's roots say nothing about.

use crate::names;
use crate::roots::{Root, Roots};
use crate::trash;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::io;
use std::path::{Path, PathBuf};

/// Roots of a client that are looked at; the rest is passed over. An editor has one to ten.
const MOST: usize = 128;

/// A directory that is reached.
pub(crate) struct Part {
    pub(crate) root: Root,
    /// Other paths that it is known by.
    pub(crate) others: Vec<PathBuf>,
    pub(crate) dir: Dir,
}

/// The parts of some roots that a client reaches whose own have these addresses.
pub(crate) fn to(whole: &Roots, addresses: &[String]) -> Roots {
    let ours: Vec<Opened> = whole.all().filter_map(|root| Opened::at(&root.path)).collect();
    let theirs = addresses.iter().take(MOST).filter_map(|address| path_of(address));
    let theirs = outermost(theirs.filter_map(|path| Opened::at(&path)).collect());
    let mut parts = Vec::new();
    for client in theirs {
        let beneath = ours
            .iter()
            .filter(|own| own.steps_to(&client).is_some_and(|steps| steps > 0));
        parts.extend(beneath.filter_map(|own| own.part(whole.named(&own.path)?.clone()).ok()));
        let holding = ours
            .iter()
            .filter_map(|own| Some((client.steps_to(own)?, own)))
            .min_by_key(|(steps, _)| *steps);
        let Some((_, own)) = holding else { continue };
        let Some(root) = whole.named(&own.path) else {
            continue;
        };
        let below = client.canonical.strip_prefix(&own.canonical).ok();
        // What was deleted is no part of a root.
        if below.is_some_and(|below| below.iter().any(|name| name == trash::FOLDER)) {
            continue;
        }
        let path = below.map_or_else(|| client.path.clone(), |below| own.path.join(below));
        let part = client.part(Root {
            // Without the separator that joining nothing leaves.
            path: path.components().collect(),
            write: root.write,
        });
        // Without a handle there is no reaching it.
        let Ok(mut part) = part else { continue };
        part.others.push(client.path.clone());
        parts.push(part);
    }
    whole.confined(parts, addresses)
}

/// Those that lie in no other one, each once.
fn outermost(all: Vec<Opened>) -> Vec<Opened> {
    let mut kept: Vec<Opened> = Vec::new();
    for one in all {
        if kept.iter().any(|other| one.steps_to(other).is_some()) {
            continue;
        }
        kept.retain(|other| other.steps_to(&one).is_none());
        kept.push(one);
    }
    kept
}

/// A directory, open, and what it lies in.
struct Opened {
    /// As it is called.
    path: PathBuf,
    /// Its path without links, by which names are told apart and nothing is opened.
    canonical: PathBuf,
    dir: Dir,
    /// Itself, and what is above it up to the top.
    way: Vec<Id>,
}

impl Opened {
    /// `None`: there is no such directory, or it may not be opened.
    fn at(path: &Path) -> Option<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority()).ok()?;
        Some(Self {
            way: way_up(&dir, path).ok()?,
            canonical: std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            path: path.to_owned(),
            dir,
        })
    }

    /// How many steps up the other one is: none if it is the same; `None` if this does not lie in it.
    fn steps_to(&self, other: &Self) -> Option<usize> {
        let top = other.way.first()?;
        self.way.iter().position(|id| id == top)
    }

    fn part(&self, root: Root) -> io::Result<Part> {
        let others = Some(self.canonical.clone()).filter(|path| *path != root.path);
        Ok(Part {
            root,
            others: others.into_iter().collect(),
            dir: self.dir.try_clone()?,
        })
    }
}

/// What a directory is known by while it is open, whatever it is called.
#[cfg(unix)]
type Id = (u64, u64);
#[cfg(not(unix))]
type Id = PathBuf;

#[cfg(unix)]
fn way_up(dir: &Dir, _path: &Path) -> io::Result<Vec<Id>> {
    use cap_std::fs::MetadataExt as _;
    use rustix::fs::{Mode, OFlags};
    /// Far more than a path can have names.
    const STEPS: usize = 4_096;
    // Linux goes through a directory that may be searched and not read.
    #[cfg(target_os = "linux")]
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let id = |dir: &Dir| dir.dir_metadata().map(|found| (found.dev(), found.ino()));
    let mut way = vec![id(dir)?];
    let mut above = dir.try_clone()?;
    while way.len() < STEPS {
        let fd = rustix::fs::openat(&above, "..", flags, Mode::empty())?;
        above = Dir::from_std_file(std::fs::File::from(fd));
        let next = id(&above)?;
        if way.last() == Some(&next) {
            return Ok(way);
        }
        way.push(next);
    }
    Err(io::ErrorKind::InvalidFilename.into())
}

#[cfg(not(unix))]
fn way_up(_dir: &Dir, path: &Path) -> io::Result<Vec<Id>> {
    let path = std::fs::canonicalize(path)?;
    Ok(path.ancestors().map(Path::to_owned).collect())
}

/// The absolute path that a `file:` address names on this machine (RFC 8089); `None` if it names none. What could be read in
/// two ways is none: query, fragment, `..`.
fn path_of(address: &str) -> Option<PathBuf> {
    let (scheme, rest) = address.split_once(':')?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, _) = rest.split_once('/')?;
            let is_here = host.is_empty() || host.eq_ignore_ascii_case("localhost");
            is_here.then(|| &rest[host.len()..])?
        }
        None => rest,
    };
    if !scheme.eq_ignore_ascii_case("file") || !path.starts_with('/') || path.contains(['?', '#']) {
        return None;
    }
    let bytes = decoded(path)?;
    #[cfg(unix)]
    let path = {
        use std::os::unix::ffi::OsStringExt as _;
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    };
    #[cfg(not(unix))]
    let path = {
        // `/C:/x`: the drive is the first name.
        let text = String::from_utf8(bytes).ok()?;
        PathBuf::from(
            text.strip_prefix('/')
                .filter(|rest| rest.contains(':'))
                .unwrap_or(&text),
        )
    };
    names::plain(&path).ok().filter(|path| path.is_absolute())
}

/// Text in which `%41` stands for a byte.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            char::from(rest.next()?)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        bytes.push(digit()? << 4 | digit()?);
    }
    Some(bytes)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::{Access, Named};
    use fs_err as fs;
    use std::os::unix::fs::symlink;

    /// A tree with the directories `a/b/c` and `d`, and links: `to-a`, and `a/to-d`, which leads out of `a`.
    fn tree() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b/c ü")).unwrap();
        fs::create_dir(top.path().join("d")).unwrap();
        fs::create_dir_all(top.path().join("a").join(trash::FOLDER).join("x")).unwrap();
        fs::write(top.path().join("a/file"), "x").unwrap();
        symlink("a", top.path().join("to-a")).unwrap();
        symlink("../d", top.path().join("a/to-d")).unwrap();
        top
    }

    /// What is reached, with `*` where it may be written; paths from the top of the tree on.
    fn reached(ours: &[(&str, bool)], theirs: &[&str]) -> Vec<String> {
        let tree = tree();
        let top = tree.path().to_str().unwrap();
        let root = |(path, write): &(&str, bool)| Root {
            path: tree.path().join(path),
            write: *write,
        };
        let whole = Roots::new(ours.iter().map(root).collect(), false, Named::default());
        let theirs: Vec<String> = theirs.iter().map(|uri| uri.replace("TOP", top)).collect();
        let confined = to(&whole, &theirs);
        assert_eq!(confined.nothing().is_some(), confined.is_empty());
        let shown = |root: &Root| {
            let path = root.path.strip_prefix(top).unwrap().display().to_string();
            path + if root.write { "*" } else { "" }
        };
        confined.all().map(shown).collect()
    }

    #[test]
    fn what_both_have_in_common() {
        let check = |ours: &[(&str, bool)], theirs: &[&str], expected: &[&str]| {
            assert_eq!(reached(ours, theirs), expected, "{ours:?} and {theirs:?}");
        };
        let a = [("a", true)];
        // The same, in all spellings.
        for same in [
            "file://TOP/a",
            "file://TOP/a/",
            "file://localhost/TOP/a",
            "FILE://LocalHost/TOP/a",
            "file:TOP/a",
            "file://TOP/%61",
            "file://TOP/./a//",
            "file://TOP/to-a",
        ] {
            check(&a, &[same], &["a*"]);
        }
        // One in the other, either way.
        check(&a, &["file://TOP/a/b"], &["a/b*"]);
        check(&a, &["file://TOP/to-a/b/c%20%C3%bc"], &["a/b/c ü*"]);
        check(&a, &["file://TOP/a/b/c ü"], &["a/b/c ü*"]);
        check(&[("to-a", true)], &["file://TOP/a/b"], &["to-a/b*"]);
        check(&a, &["file://TOP"], &["a*"]);
        check(&a, &["file:///"], &["a*"]);
        // Beside each other, out of it, not there, no directory.
        for none in [
            "file://TOP/d",
            "file://TOP/a/to-d",
            "file://TOP/ab",
            "file://TOP/a/no",
            "file://TOP/a/file",
            "file://TOP/a/b/../..",
            "file://TOP/a/b/%2e%2e",
            "file://TOP/a/.dockmaster-trash",
            "file://TOP/to-a/.dockmaster-trash/x",
        ] {
            check(&a, &[none], &[]);
        }
        // Nothing of this machine, or nothing at all.
        for none in [
            "https://example.com/TOP/a",
            "file://elsewhere/TOP/a",
            "file://",
            "file://TOP/a?x",
            "file://TOP/a#b",
            "file://TOP/a%",
            "file://TOP/a%zz",
            "file://TOP/a%00",
            "file:a",
            "TOP/a",
            "a",
            "",
        ] {
            check(&a, &[none], &[]);
        }
        check(&a, &[], &[]);
        check(&a, &["file://TOP/d", "file://TOP/a/b"], &["a/b*"]);
        // Several, some in others.
        check(
            &a,
            &["file://TOP/a/b", "file://TOP/a", "file://TOP/to-a/b"],
            &["a*"],
        );
        let nested = [("a", false), ("a/b", true), ("d", false)];
        check(&nested, &["file://TOP"], &["a", "d", "a/b*"]);
        check(&nested, &["file://TOP/a"], &["a", "a/b*"]);
        check(&nested, &["file://TOP/a/b"], &["a/b*"]);
        check(
            &nested,
            &["file://TOP/a/b/c%20ü", "file://TOP/d"],
            &["d", "a/b/c ü*"],
        );
        // What holds one of two.
        check(&[("a/b", true), ("d", true)], &["file://TOP/to-a"], &["a/b*"]);
    }

    #[test]
    fn paths_of_what_is_reached() {
        let tree = tree();
        let top = tree.path().display().to_string();
        let root = Root {
            path: tree.path().join("to-a"),
            write: false,
        };
        let whole = Roots::new(vec![root], false, Named::default());
        let confined = to(&whole, &[format!("file://{top}/to-a/b")]);
        let at = |path: &str| confined.find(path, Access::Read).map(|spot| spot.at);
        for path in ["c ü", &format!("{top}/a/b/c ü"), &format!("{top}/to-a/b/c ü")] {
            assert_eq!(at(path).unwrap(), Path::new("c ü"), "{path}");
        }
        for path in [
            format!("{top}/to-a/file"),
            format!("{top}/a/to-d"),
            format!("{top}/d"),
        ] {
            let refused = at(&path).unwrap_err();
            assert!(
                refused
                    .cause
                    .contains("in none of the roots that this client shares")
            );
        }
        let wrote = confined.find("c ü", Access::Write).unwrap_err();
        assert!(wrote.cause.ends_with("may only be read"), "{}", wrote.cause);
        let long: Vec<String> = (0..20).map(|n| format!("x:{n}\n\u{7}")).collect();
        let nothing = to(&whole, &long).nothing().unwrap();
        assert!(
            nothing.cause.contains("x:6, x:7 and 12 more"),
            "{}",
            nothing.cause
        );
        let nothing = to(&whole, &[]).nothing().unwrap();
        assert!(nothing.cause.contains("own roots (none)"), "{}", nothing.cause);
    }
}
