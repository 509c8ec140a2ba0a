//! Paths of the host: brought to their true place, then compared with what must never be shared and with the
//! roots that the policy names. What must never be shared comes first, also inside a root.
//!
//! A check here can't bind the future: whoever may write in a root can put a link there after the check. That is
//! why starting a container judges its mounts again, and why `docs/guard.md` advises against nested mounts.

use std::ffi::OsStr;
use std::fs::FileType;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::policy::{Policy, Symlinks};
use super::refusal::{Refusal, Rule, shown};
use super::{Mode, Surroundings};

mod sensitive;

use sensitive::{CREDENTIALS, HOME_MARKS, Relation, SOCKETS, Sensitive, alike, covers};

/// Whether a path is refused for what its name says it is or holds, even beneath a root: a folder of the system, or of
/// credentials. Nothing is looked up, so a link may lead to such a folder all the same.
#[must_use]
pub fn is_sensitive(path: &Path) -> bool {
    sensitive::in_names(path).next().is_some()
}

/// What is wanted of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// What happens where the source of a mount does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The daemon makes a directory, which is a write.
    Created,
    /// The daemon answers with an error, or the mount was made long ago.
    Error,
}

/// How many homes are looked into when the directory that holds all of them is to be mounted.
const MAX_HOMES: usize = 4096;

/// Judges the source of a mount. `what` is the place in the request.
pub(super) fn mount(
    policy: &Policy,
    surroundings: &Surroundings,
    what: &str,
    source: &str,
    access: Access,
    missing: Missing,
) -> Result<(), Refusal> {
    let refuse = |reason: String| Refusal::new(Rule::Bind, what, source, reason);
    let spelled = spelled(source).map_err(|reason| refuse(reason.to_owned()))?;
    let found = match policy.symlinks {
        _ if surroundings.shares(&spelled) => {
            resolve(&spelled).map_err(|error| refuse(unresolved(&error)))?
        }
        Symlinks::Lexical => Found::unseen(spelled.clone()),
        Symlinks::Resolve => {
            let reason = "the engine is not on this machine, so links in the path can't be followed and it could lead anywhere";
            return Err(refuse(reason.to_owned()).allowed_by("symlinks = \"lexical\""));
        }
    };
    let case = Case {
        policy,
        surroundings,
        what,
        source,
        spelled: &spelled,
        found: &found,
    };
    case.judge(access, missing)
}

/// Judges a path that this program is asked to use itself, and gives back its true place.
pub(super) fn own_use(
    policy: &Policy,
    surroundings: &Surroundings,
    path: &Path,
    access: Access,
) -> Result<PathBuf, Refusal> {
    let source = path.to_string_lossy();
    let what = match access {
        Access::Read => "reading from this machine: the path",
        Access::Write => "writing to this machine: the path",
    };
    let refuse = |reason: String| Refusal::new(Rule::Bind, what, &source, reason);
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(refuse("it has to be absolute and without '..'".to_owned()));
    }
    let found = resolve(path).map_err(|error| refuse(unresolved(&error)))?;
    if policy.mode != Mode::Open {
        let case = Case {
            policy,
            surroundings,
            what,
            source: &source,
            spelled: path,
            found: &found,
        };
        case.judge(access, Missing::Error)?;
    }
    Ok(found.path)
}

/// Whether a path lies under a root, as both are spelled or in truth: only such mounts can be the guard's doing.
pub(super) fn is_under_a_root(policy: &Policy, source: &str) -> bool {
    let path = Path::new(source);
    policy
        .roots
        .iter()
        .any(|root| path.starts_with(&root.path) || path.starts_with(true_place(&root.path)))
}

/// The source of a mount as a path: absolute, `/` only, without `..` and control characters.
fn spelled(source: &str) -> Result<PathBuf, &'static str> {
    if !source.starts_with('/') {
        return Err("the source of a bind mount has to be an absolute path");
    }
    if source.contains('\\') || source.chars().any(char::is_control) {
        return Err("the path holds a backslash or a control character");
    }
    if source.split('/').any(|part| part == "..") {
        return Err("the path holds '..'");
    }
    // Doubled slashes and '.' go away here, as they do in the daemon.
    Ok(Path::new(source).components().collect())
}

/// A path in its true place.
struct Found {
    path: PathBuf,
    /// `None` if nothing is there.
    kind: Option<FileType>,
    /// Whether this machine's files say so.
    seen: bool,
}

impl Found {
    fn unseen(path: PathBuf) -> Self {
        Self {
            path,
            kind: None,
            seen: false,
        }
    }
}

/// Follows all links of the part of a path that exists. A link to nowhere is an error: the daemon might make
/// what it points to.
fn resolve(path: &Path) -> io::Result<Found> {
    let mut rest: Vec<&OsStr> = Vec::new();
    let mut at = path;
    loop {
        match fs_err::symlink_metadata(at) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
                    return Err(error);
                };
                rest.push(name);
                at = parent;
            }
            Err(error) => return Err(error),
        }
    }
    let mut true_path = fs_err::canonicalize(at)?;
    true_path.extend(rest.iter().rev());
    let kind = if rest.is_empty() {
        Some(fs_err::symlink_metadata(&true_path)?.file_type())
    } else {
        None
    };
    Ok(Found {
        path: true_path,
        kind,
        seen: true,
    })
}

fn true_place(path: &Path) -> PathBuf {
    resolve(path).map_or_else(|_| path.to_owned(), |found| found.path)
}

fn unresolved(error: &io::Error) -> String {
    // fs_err names the path, which may hold anything.
    format!("its true place can't be found: {}", shown(&error.to_string()))
}

struct Case<'a> {
    policy: &'a Policy,
    surroundings: &'a Surroundings,
    what: &'a str,
    source: &'a str,
    spelled: &'a Path,
    found: &'a Found,
}

impl Case<'_> {
    fn judge(&self, access: Access, missing: Missing) -> Result<(), Refusal> {
        self.not_our_own()?;
        if self.is_allowed_socket() {
            return Ok(());
        }
        self.no_socket()?;
        self.nothing_sensitive()?;
        self.under_a_root(access, missing)?;
        self.no_device()
    }

    fn refuse(&self, rule: Rule, reason: String) -> Refusal {
        let reason = if self.found.path == self.spelled {
            reason
        } else {
            format!("it leads to {}, and {reason}", shown_path(&self.found.path))
        };
        Refusal::new(rule, self.what, self.source, reason)
    }

    /// Both the path as it is spelled and its true place.
    fn both(&self) -> [&Path; 2] {
        [self.spelled, &self.found.path]
    }

    fn not_our_own(&self) -> Result<(), Refusal> {
        let touches = |own: &Path| {
            self.both()
                .iter()
                .any(|path| covers(own, path) || covers(path, own))
        };
        let Surroundings {
            protected: own,
            given,
            ..
        } = self.surroundings;
        if given
            .iter()
            .any(|given| self.spelled == given && self.found.path == true_place(given))
        {
            return Ok(());
        }
        if own.iter().any(|own| touches(own) || touches(&true_place(own))) {
            let reason =
                "Dockmaster's own configuration and state are there, and they decide what is allowed";
            return Err(self.refuse(Rule::Bind, reason.to_owned()));
        }
        Ok(())
    }

    fn is_socket(&self) -> bool {
        self.found.kind.is_some_and(is_socket)
    }

    fn is_allowed_socket(&self) -> bool {
        // Remotely the spelling has to do, as it does for everything else.
        (self.is_socket() || !self.found.seen)
            && self
                .policy
                .sockets
                .iter()
                .any(|own| self.both().contains(&own.as_path()))
    }

    fn no_socket(&self) -> Result<(), Refusal> {
        let named = |path: &Path| {
            let name = path.file_name();
            name.is_some_and(|name| SOCKETS.iter().any(|own| alike(name, own)))
        };
        if self.is_socket() || self.both().into_iter().any(named) {
            let reason = "through a socket one commands the program behind it, and whoever commands the engine is root on the host";
            let refusal = self.refuse(Rule::Socket, reason.to_owned());
            // What only has the name of one can't be opened as one.
            let can_be_opened = self.is_socket() || !self.found.seen;
            return Err(if can_be_opened {
                refusal.allowed_by_entry("sockets", self.source)
            } else {
                refusal
            });
        }
        let held =
            |socket: &PathBuf| self.found.seen && exists(socket) && !self.policy.sockets.contains(socket);
        if let Some(socket) = SOCKETS.iter().map(|name| self.found.path.join(name)).find(held) {
            let socket = socket.to_string_lossy();
            let reason = format!(
                "it holds {}, through which one commands the engine",
                shown(&socket)
            );
            return Err(self
                .refuse(Rule::Socket, reason)
                .allowed_by_entry("sockets", &socket));
        }
        Ok(())
    }

    fn nothing_sensitive(&self) -> Result<(), Refusal> {
        for path in self.both() {
            if let Some(sensitive) = sensitive::in_names(path).find(|found| !self.is_excepted(found, path)) {
                return Err(self.too_sensitive(&sensitive, path));
            }
        }
        match self.held_credentials() {
            Some(held) => Err(self.too_sensitive(&held, &self.found.path)),
            None => Ok(()),
        }
    }

    fn too_sensitive(&self, sensitive: &Sensitive, path: &Path) -> Refusal {
        let thing = shown_path(&sensitive.thing);
        let reason = match sensitive.relation {
            Relation::Inside => {
                format!("{thing} holds what the host or its people trust in, and is never shared")
            }
            Relation::Holds | Relation::HoldsSystem => format!("it holds {thing}, which is never shared"),
        };
        let refusal = self.refuse(Rule::Bind, reason);
        let except = match sensitive.relation {
            Relation::Inside => path,
            Relation::Holds => &sensitive.thing,
            Relation::HoldsSystem => return refusal,
        };
        refusal.allowed_by_entry("allow_sensitive", &except.to_string_lossy())
    }

    /// An exception lifts only what it names: a path in the sensitive place, or the very thing a path holds.
    fn is_excepted(&self, sensitive: &Sensitive, path: &Path) -> bool {
        self.policy
            .allow_sensitive
            .iter()
            .any(|except| match sensitive.relation {
                Relation::Inside => covers(&sensitive.thing, except) && path.starts_with(except),
                Relation::Holds => covers(&sensitive.thing, except) && covers(except, &sensitive.thing),
                Relation::HoldsSystem => false,
            })
    }

    /// Credentials that exist below the path, where homes are and where something looks like one.
    fn held_credentials(&self) -> Option<Sensitive> {
        let path = &self.found.path;
        let held = |thing: PathBuf| {
            let sensitive = Sensitive {
                thing,
                relation: Relation::Holds,
            };
            (!self.is_excepted(&sensitive, path)).then_some(sensitive)
        };
        let parents = ["/home", "/Users", "/var/home"].map(Path::new);
        let is_home = path.parent().is_some_and(|parent| parents.contains(&parent));
        let holds_homes = parents.contains(&path.as_path());
        if !self.found.seen {
            // Nobody can look, so it is taken for what it seems to be.
            return (is_home || holds_homes)
                .then(|| held(path.join(".ssh")))
                .flatten();
        }
        let mut homes: Vec<PathBuf> = Vec::new();
        homes.extend(
            self.surroundings
                .home
                .iter()
                .map(|home| true_place(home))
                .filter(|home| home.starts_with(path)),
        );
        if is_home {
            homes.push(path.clone());
        }
        if holds_homes && let Ok(entries) = fs_err::read_dir(path) {
            homes.extend(entries.take(MAX_HOMES).flatten().map(|entry| entry.path()));
        }
        let in_homes = homes
            .iter()
            .flat_map(|home| CREDENTIALS.iter().map(|name| home.join(name)));
        let here = HOME_MARKS.iter().map(|name| path.join(name));
        in_homes.chain(here).filter(|thing| exists(thing)).find_map(held)
    }

    fn under_a_root(&self, access: Access, missing: Missing) -> Result<(), Refusal> {
        let path = &self.found.path;
        let place = |root: &Path| {
            if self.found.seen {
                true_place(root)
            } else {
                root.to_owned()
            }
        };
        let root = self
            .policy
            .roots
            .iter()
            .map(|root| (place(&root.path), root))
            .filter(|(place, _)| path.starts_with(place))
            // The innermost root decides, and of two equal ones the one that allows less.
            .max_by_key(|(place, root)| (place.components().count(), !root.write));
        let Some((_, root)) = root else {
            return Err(self
                .refuse(Rule::Bind, self.outside())
                .allowed_by_root(path, access));
        };
        let creates = missing == Missing::Created && self.found.seen && self.found.kind.is_none();
        if root.write || (access == Access::Read && !creates) {
            return Ok(());
        }
        let own = shown_path(&root.path);
        let reason = if access == Access::Write {
            format!("{own} may only be read; mount it read-only")
        } else {
            format!("it does not exist, and the engine would make it, but {own} may only be read")
        };
        Err(self
            .refuse(Rule::Bind, reason)
            .allowed_by_root(&root.path, Access::Write))
    }

    fn outside(&self) -> String {
        let roots: Vec<String> = self
            .policy
            .roots
            .iter()
            .take(5)
            .map(|root| {
                let how = if root.write { "" } else { " (read-only)" };
                format!("{}{how}", shown_path(&root.path))
            })
            .collect();
        if roots.is_empty() {
            "no directory of the host is open; use a named volume".to_owned()
        } else {
            format!("it is in none of the open directories: {}", roots.join(", "))
        }
    }

    fn no_device(&self) -> Result<(), Refusal> {
        if self.found.kind.is_some_and(is_device) {
            let reason = "it is a device of the host; ask for it as a device".to_owned();
            return Err(self.refuse(Rule::Device, reason));
        }
        Ok(())
    }
}

fn exists(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok()
}

fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

#[cfg(unix)]
fn is_socket(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&kind)
}

#[cfg(unix)]
fn is_device(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_block_device() || kind.is_char_device()
}

#[cfg(not(unix))]
fn is_socket(_: FileType) -> bool {
    false
}

#[cfg(not(unix))]
fn is_device(_: FileType) -> bool {
    false
}
