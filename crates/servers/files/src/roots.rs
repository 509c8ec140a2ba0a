//! The roots that the configuration names, and which of them a caller's path is in.

use crate::fault::Fault;
use crate::local::Local;
use crate::names;
use crate::place::Place;
use crate::remote::{Remote, Way};
use server_kit::{Code, ToolError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory whose files may be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// An absolute path without `..`. Links in it are followed when it is used.
    pub path: PathBuf,
    /// Whether files may be changed there.
    pub write: bool,
}

/// All of one host.
#[derive(Debug)]
pub(crate) struct Roots {
    roots: Vec<Open>,
    /// The table of the configuration that names them: `files`, `hosts.prod.files`.
    table: String,
}

#[derive(Debug)]
struct Open {
    root: Root,
    /// Its true path, if it had another when the server was made.
    canonical: Option<PathBuf>,
    place: Arc<dyn Place>,
}

/// Something in a root.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub(crate) place: Arc<dyn Place>,
    /// From the root on; empty for the root itself.
    pub(crate) at: PathBuf,
    root: PathBuf,
}

/// What is to be done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Roots {
    pub(crate) fn new(roots: Vec<Root>, hard_links: bool) -> Self {
        let open = |root: Root| Open {
            canonical: std::fs::canonicalize(&root.path)
                .ok()
                .filter(|canonical| *canonical != root.path),
            place: Arc::new(Local::new(root.path.clone(), hard_links)),
            root,
        };
        Self::of("files".to_owned(), roots.into_iter().map(open).collect())
    }

    /// Those of another host.
    pub(crate) fn far(host: &str, roots: Vec<Root>, hard_links: bool, way: &Arc<dyn Way>) -> Self {
        let open = |root: Root| Open {
            canonical: None,
            place: Arc::new(Remote::new(root.path.clone(), hard_links, Arc::clone(way))),
            root,
        };
        Self::of(
            format!("hosts.{host}.files"),
            roots.into_iter().map(open).collect(),
        )
    }

    fn of(table: String, mut roots: Vec<Open>) -> Self {
        // A root in a root comes first, so that what it permits holds there.
        roots.sort_by_key(|open| std::cmp::Reverse(open.root.path.components().count()));
        Self { roots, table }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The roots as they are configured.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Root> {
        self.roots.iter().rev().map(|open| &open.root)
    }

    /// What a caller's path means. A relative one is taken from the root, if there is but one.
    ///
    /// # Errors
    /// It is no path, in none of the roots, or in one that may not be written.
    pub(crate) fn find(&self, text: &str, access: Access) -> Result<Spot, ToolError> {
        let path = names::parse(text).map_err(|fault| {
            ToolError::arguments(format!("path {:?}: {fault}", base::text::cut(text, 120)))
                .fix("give the path from / on, in one of the directories of list_allowed_directories")
        })?;
        let (open, at) = self.holding(&path).ok_or_else(|| self.outside(&path))?;
        if at.starts_with(crate::trash::FOLDER) {
            return Err(Fault::Trash.during("use", &names::shown(&path)));
        }
        if access == Access::Write && !open.root.write {
            let root = names::shown(&open.root.path);
            return Err(ToolError::new(Code::Refused, format!("{root} may only be read")).fix(format!(
                "only the owner of the configuration can allow it, with `[{}] roots = [{{ path = \"{root}\", write = true }}]`",
                self.table
            )));
        }
        Ok(Spot {
            place: Arc::clone(&open.place),
            at,
            root: open.root.path.clone(),
        })
    }

    /// The roots that may be written, each as a spot.
    pub(crate) fn writable(&self) -> impl Iterator<Item = Spot> {
        self.roots.iter().filter(|open| open.root.write).map(|open| Spot {
            place: Arc::clone(&open.place),
            at: PathBuf::new(),
            root: open.root.path.clone(),
        })
    }

    fn holding(&self, path: &Path) -> Option<(&Open, PathBuf)> {
        if path.is_relative() {
            return match self.roots.as_slice() {
                [only] => Some((only, path.to_owned())),
                _ => None,
            };
        }
        self.roots.iter().find_map(|open| {
            let bases = [Some(&open.root.path), open.canonical.as_ref()];
            let at = bases
                .into_iter()
                .flatten()
                .find_map(|base| path.strip_prefix(base).ok())?;
            Some((open, at.to_owned()))
        })
    }

    fn outside(&self, path: &Path) -> ToolError {
        let roots: Vec<String> = self.all().map(|root| names::shown(&root.path)).collect();
        let shown = names::shown(path);
        let shown = base::text::cut(&shown, 200);
        let cause = if path.is_relative() {
            format!("{shown} is relative, and there are several roots")
        } else {
            format!("{shown} is in none of the roots")
        };
        ToolError::new(Code::Refused, cause).fix(format!(
            "use a path in {}; only the owner of the configuration can add to `[{}] roots`",
            roots.join(", "),
            self.table
        ))
    }
}

impl Spot {
    /// The whole path as answers show it.
    pub(crate) fn shown(&self) -> String {
        self.shown_at(&self.at)
    }

    /// The whole path of something else in the same root.
    pub(crate) fn shown_at(&self, at: &Path) -> String {
        if at.as_os_str().is_empty() {
            return names::shown(&self.root);
        }
        names::shown(self.root.join(at))
    }

    /// Whether both are in the same root.
    pub(crate) fn beside(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn check(roots: &[(&str, bool)], path: &str, access: Access, expected: &str) {
        let roots = roots
            .iter()
            .map(|(path, write)| Root {
                path: (*path).into(),
                write: *write,
            })
            .collect();
        let found = Roots::new(roots, false).find(path, access);
        let found = match found {
            Ok(spot) => format!("{} + {}", spot.root.display(), spot.at.display()),
            Err(error) => error.cause.clone(),
        };
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn which_root() {
        let two = [("/srv/a", true), ("/srv/a/ro", false)];
        for (path, access, expected) in [
            ("/srv/a/x", Access::Write, "/srv/a + x"),
            ("/srv/a", Access::Read, "/srv/a + "),
            ("/srv/a/ro/x", Access::Read, "/srv/a/ro + x"),
            ("/srv/a/ro/x", Access::Write, "/srv/a/ro may only be read"),
            ("/srv/ab", Access::Read, "/srv/ab is in none of the roots"),
            ("/etc/passwd", Access::Read, "/etc/passwd is in none of the roots"),
            ("x", Access::Read, "x is relative, and there are several roots"),
            (
                "/srv/a/../b",
                Access::Read,
                "path \"/srv/a/../b\": it has `..`; write the path without",
            ),
            // FULLWIDTH SOLIDUS and ONE DOT LEADER are no separators and no dots.
            (
                "/srv\u{ff0f}a/x",
                Access::Read,
                "/srv\u{ff0f}a/x is in none of the roots",
            ),
            (
                "/srv/a/.dockmaster-trash/x",
                Access::Read,
                "can't use /srv/a/.dockmaster-trash/x: it belongs to the trash of this server",
            ),
        ] {
            check(&two, path, access, expected);
        }
        check(&[("/srv/a", true)], "x/y", Access::Write, "/srv/a + x/y");
    }
}
