//! Where a copy ends up: the rules of `docker cp`, which are those of `cp -a` with fewer surprises.
//!
//! | target | a file | a directory | `directory/.` |
//! |---|---|---|---|
//! | an existing directory | into it | into it, with its name | its contents into it |
//! | an existing file | in its place | refused | refused |
//! | nothing | under that name | under that name | under that name |
//! | nothing, written `x/` | refused | under that name | under that name |

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its own name, the last part of its path. Empty for the root directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether only what is in the directory is meant: the path ends in `/.`, or is the root.
    pub contents_only: bool,
}

impl Item {
    /// An item by the path that was asked for and by what was found there.
    pub fn new(path: &str, is_directory: bool) -> Self {
        let contents_only = path == "." || path.ends_with("/.") || path.trim_end_matches('/').is_empty();
        let (_, name) = split(path);
        Self {
            name: name.to_owned(),
            is_directory,
            contents_only: contents_only && is_directory,
        }
    }
}

/// What is at the target, links resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Nothing,
    /// A file, or anything else that is not a directory.
    File,
    /// A directory.
    Directory,
}

/// Where the archive is to be unpacked, and under what name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The directory to unpack in; it must exist.
    pub directory: String,
    /// The name of the item there; `None` puts the contents of a directory right into `directory`.
    pub name: Option<String>,
}

/// Why something can't be copied there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// A directory on a file.
    #[error("{target} is a file, and a directory can't be copied onto it; name a directory or a new name")]
    DirectoryOntoFile {
        /// The target as it was given.
        target: String,
    },
    /// `x/` where `x` is a file.
    #[error(
        "{target} is written as a directory, but is a file; leave out the slash at the end to replace it"
    )]
    NotADirectory {
        /// The target as it was given.
        target: String,
    },
    /// `x/` where there is nothing.
    #[error(
        "{target} does not exist, and the slash at its end asks for a directory; \
         create it first, or leave out the slash"
    )]
    NoDirectory {
        /// The target as it was given.
        target: String,
    },
    /// A target without a name of its own.
    #[error("{target:?} names nothing that could be created")]
    NoName {
        /// The target as it was given.
        target: String,
    },
}

/// Decides where `item` goes when it is copied to `target`, at which there is `existing`.
pub fn place(item: &Item, target: &str, existing: Existing) -> Result<Placement, PlacementError> {
    let owned = || target.to_owned();
    let wants_directory = target.ends_with('/') || target.ends_with("/.") || target == ".";
    match existing {
        Existing::Directory => Ok(Placement {
            directory: owned(),
            name: (!item.contents_only).then(|| item.name.clone()),
        }),
        Existing::File if item.is_directory => Err(PlacementError::DirectoryOntoFile { target: owned() }),
        Existing::File if wants_directory => Err(PlacementError::NotADirectory { target: owned() }),
        Existing::Nothing if wants_directory && !item.is_directory => {
            Err(PlacementError::NoDirectory { target: owned() })
        }
        Existing::File | Existing::Nothing => {
            let (directory, name) = split(target);
            if matches!(name, "" | "." | "..") {
                return Err(PlacementError::NoName { target: owned() });
            }
            Ok(Placement {
                directory: directory.to_owned(),
                name: Some(name.to_owned()),
            })
        }
    }
}

/// Directory and last part of a path, without slashes and `/.` at its end. The directory of a lone name is `.`.
fn split(path: &str) -> (&str, &str) {
    let mut path = path;
    loop {
        let shorter = path.trim_end_matches('/');
        let shorter = shorter.strip_suffix("/.").unwrap_or(shorter);
        if shorter == path {
            break;
        }
        path = shorter;
    }
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((directory, name)) => (directory, name),
        None => (".", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        source: &str,
        is_directory: bool,
        target: &str,
        existing: Existing,
        expected: Result<(&str, Option<&str>), &str>,
    ) {
        let found = place(&Item::new(source, is_directory), target, existing);
        let found = found
            .as_ref()
            .map(|placement| (placement.directory.as_str(), placement.name.as_deref()))
            .map_err(|error| match error {
                PlacementError::DirectoryOntoFile { .. } => "directory onto file",
                PlacementError::NotADirectory { .. } => "not a directory",
                PlacementError::NoDirectory { .. } => "no directory",
                PlacementError::NoName { .. } => "no name",
            });
        assert_eq!(found, expected, "{source} -> {target} ({existing:?})");
    }

    #[test]
    fn the_rules_of_docker_cp() {
        use Existing::{Directory, File, Nothing};
        const FILE: bool = false;
        const DIRECTORY: bool = true;
        for (source, is_directory, target, existing, expected) in [
            ("/a/f", FILE, "/srv", Directory, Ok(("/srv", Some("f")))),
            ("/a/f", FILE, "/srv/", Directory, Ok(("/srv/", Some("f")))),
            ("/a/f", FILE, "/srv/g", File, Ok(("/srv", Some("g")))),
            ("/a/f", FILE, "/srv/g/", File, Err("not a directory")),
            ("/a/f", FILE, "/srv/g", Nothing, Ok(("/srv", Some("g")))),
            ("/a/f", FILE, "/g", Nothing, Ok(("/", Some("g")))),
            ("/a/f", FILE, "g", Nothing, Ok((".", Some("g")))),
            ("/a/f", FILE, "/srv/new/", Nothing, Err("no directory")),
            ("/a/f", FILE, "/srv/new/.", Nothing, Err("no directory")),
            ("/a/d", DIRECTORY, "/srv", Directory, Ok(("/srv", Some("d")))),
            ("/a/d/", DIRECTORY, "/srv", Directory, Ok(("/srv", Some("d")))),
            ("/a/d//", DIRECTORY, "/srv", Directory, Ok(("/srv", Some("d")))),
            ("/a/d/.", DIRECTORY, "/srv", Directory, Ok(("/srv", None))),
            ("/", DIRECTORY, "/srv", Directory, Ok(("/srv", None))),
            (".", DIRECTORY, "/srv", Directory, Ok(("/srv", None))),
            ("/a/d", DIRECTORY, "/srv/g", File, Err("directory onto file")),
            ("/a/d/.", DIRECTORY, "/srv/g", File, Err("directory onto file")),
            ("/a/d", DIRECTORY, "/srv/new", Nothing, Ok(("/srv", Some("new")))),
            ("/a/d", DIRECTORY, "/srv/new/", Nothing, Ok(("/srv", Some("new")))),
            (
                "/a/d/.",
                DIRECTORY,
                "/srv/new",
                Nothing,
                Ok(("/srv", Some("new"))),
            ),
            ("/a/d", DIRECTORY, "/srv/..", Nothing, Err("no name")),
            ("/a/d", DIRECTORY, "", Nothing, Err("no name")),
        ] {
            check(source, is_directory, target, existing, expected);
        }
    }
}
