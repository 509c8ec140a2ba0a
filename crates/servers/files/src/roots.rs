//! The roots that the configuration names, and which of them a caller's path is in.

use crate::confine::Part;
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

/// Where the roots of a host stand in the configuration; refusals tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The table that names them: `files`, `hosts.prod.files`.
    pub table: String,
    /// The setting that lets none of them be written, whatever that table says: `hosts.prod.mode`.
    pub read_only_by: Option<String>,
}

/// All of one host.
#[derive(Debug)]
pub(crate) struct Roots {
    all: Vec<Open>,
    named: Named,
    /// Whether files with several names are read.
    hard_links: bool,
    /// Where a client has roots of its own: what it was confined from.
    confined: Option<Confined>,
}

#[derive(Debug)]
struct Confined {
    /// The client's roots, as it says.
    client: String,
    /// The configured ones.
    whole: String,
}

#[derive(Debug)]
struct Open {
    root: Root,
    /// Other paths that mean the same: its true one, if it had another when the server was made.
    others: Vec<PathBuf>,
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
    pub(crate) fn new(roots: Vec<Root>, hard_links: bool, named: Named) -> Self {
        let open = |root: Root| Open {
            others: std::fs::canonicalize(&root.path)
                .ok()
                .filter(|canonical| *canonical != root.path)
                .into_iter()
                .collect(),
            place: Arc::new(Local::new(root.path.clone(), hard_links)),
            root,
        };
        let roots = roots.into_iter().map(open).collect();
        Self::of(named, roots, hard_links)
    }

    /// These parts of them, for a client whose own roots have these addresses.
    pub(crate) fn confined(&self, parts: Vec<Part>, client: &[String]) -> Self {
        let open = |part: Part| Open {
            others: part.others,
            place: Arc::new(Local::held(part.root.path.clone(), part.dir, self.hard_links)),
            root: part.root,
        };
        let roots = parts.into_iter().map(open).collect();
        Self {
            confined: Some(Confined {
                client: some(client.iter().map(String::as_str)),
                whole: some(self.all().map(|root| names::shown(&root.path))),
            }),
            ..Self::of(self.named.clone(), roots, self.hard_links)
        }
    }

    /// Those of another host.
    pub(crate) fn far(roots: Vec<Root>, hard_links: bool, named: Named, way: &Arc<dyn Way>) -> Self {
        let open = |root: Root| Open {
            others: Vec::new(),
            place: Arc::new(Remote::new(root.path.clone(), hard_links, Arc::clone(way))),
            root,
        };
        Self::of(named, roots.into_iter().map(open).collect(), hard_links)
    }

    fn of(named: Named, mut roots: Vec<Open>, hard_links: bool) -> Self {
        // A root in a root comes first, so that what it permits holds there.
        roots.sort_by_key(|open| std::cmp::Reverse(open.root.path.components().count()));
        Self {
            all: roots,
            named,
            hard_links,
            confined: None,
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The roots as they are configured.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &Root> {
        self.all.iter().rev().map(|open| &open.root)
    }

    /// The root of this path.
    pub(crate) fn named(&self, path: &Path) -> Option<&Root> {
        self.all().find(|root| root.path == path)
    }

    /// What a client that is confined has to know of it.
    pub(crate) fn remark(&self) -> Option<String> {
        let Confined { client, whole } = self.confined.as_ref()?;
        Some(if self.is_empty() {
            format!(
                "the client's own roots ({client}) and those of the configuration ({whole}) have nothing in common"
            )
        } else {
            "this is what the client's own roots and those of the configuration have in common".to_owned()
        })
    }

    /// That a client reaches nothing, if it is so.
    pub(crate) fn nothing(&self) -> Option<ToolError> {
        let Confined { whole, .. } = self.confined.as_ref().filter(|_| self.is_empty())?;
        let cause = format!("no files can be reached, for {}", self.remark()?);
        Some(ToolError::new(Code::Refused, cause).fix(format!(
            "have the person open a folder in the client that lies in {whole}; where the client is on another machine than its \
             files, the owner of the configuration can write `client_roots = false` under [files]"
        )))
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
        if at.iter().any(|name| name == crate::trash::FOLDER) {
            return Err(Fault::Trash.during("use", &names::shown(&path)));
        }
        if access == Access::Write && !open.root.write {
            let root = names::shown(&open.root.path);
            let line = match &self.named.read_only_by {
                Some(setting) => format!("by another `{setting}` (or `--mode`), since the host is read-only"),
                None => format!("with `write = true` for it in `[{}] roots`", self.named.table),
            };
            return Err(
                ToolError::new(Code::Refused, format!("{root} may only be read")).fix(format!(
                    "only the owner of the configuration can allow it, {line}"
                )),
            );
        }
        Ok(Spot {
            place: Arc::clone(&open.place),
            at,
            root: open.root.path.clone(),
        })
    }

    /// The roots that may be written, each as a spot.
    pub(crate) fn writable(&self) -> impl Iterator<Item = Spot> {
        self.all.iter().filter(|open| open.root.write).map(|open| Spot {
            place: Arc::clone(&open.place),
            at: PathBuf::new(),
            root: open.root.path.clone(),
        })
    }

    fn holding(&self, path: &Path) -> Option<(&Open, PathBuf)> {
        if path.is_relative() {
            return match self.all.as_slice() {
                [only] => Some((only, path.to_owned())),
                _ => None,
            };
        }
        self.all.iter().find_map(|open| {
            let at = std::iter::once(&open.root.path)
                .chain(&open.others)
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
        } else if self.confined.is_some() {
            format!("{shown} is in none of the roots that this client shares with the configuration")
        } else {
            format!("{shown} is in none of the roots")
        };
        let more = match &self.confined {
            Some(Confined { whole, .. }) => format!("the person can open more in the client, of {whole}"),
            None => format!(
                "only the owner of the configuration can add to `[{}] roots`",
                self.named.table
            ),
        };
        ToolError::new(Code::Refused, cause).fix(format!("use a path in {}; {more}", roots.join(", ")))
    }
}

/// Some names in words: "a, b and 3 more", "none".
fn some(names: impl ExactSizeIterator<Item = impl AsRef<str>>) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<String> = names
        .take(SHOWN)
        .map(|name| {
            let name = base::text::clean(base::text::cut(name.as_ref(), 120)).into_owned();
            name.replace(['\n', '\t'], " ").trim().to_owned()
        })
        .collect();
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
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
        let found = Roots::new(roots, false, Named::default()).find(path, access);
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
