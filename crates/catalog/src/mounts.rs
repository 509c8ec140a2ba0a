//! From what an entry and a user write of mounts to mounts of a plan: paths of the host only under the user's roots,
//! names of volumes, and the Docker socket, which nobody gets as it is.
//!
//! Judged by the spelling alone; where links lead is judged by the guard in `engine` when the container is made.

use std::path::{Component, Path, PathBuf};

use base::names::VolumeName;

use crate::lack::{Lack, LackSort};
use crate::plan::{Mount, Root, Source};
use crate::planner::Around;
use crate::template::Filled;

/// What one mount becomes.
pub(crate) enum Made {
    /// A mount, with what a person should know of it.
    Mount(Mount, Option<String>),
    /// The filtered Docker socket.
    DockerSocket,
    /// Nothing, and why.
    Nothing(String),
}

/// A mount of an entry, filled in: `source:target[:mode]`.
pub(crate) fn of_entry(filled: &Filled, around: &Around, mend: &str) -> Result<Made, Lack> {
    let parts = filled.split();
    let shown = filled.shown();
    let text = |part: &Filled| part.text().unwrap_or_default();
    let fault = |why: &str| {
        Lack::new(
            LackSort::Entry,
            format!("its mount {shown:?} can't be made: {why}"),
            "",
        )
    };
    let (source, target, modes) = match parts.as_slice() {
        [target] => (String::new(), text(target), String::new()),
        [source, target] => (text(source), text(target), String::new()),
        [source, target, modes] => (text(source), text(target), text(modes)),
        _ => return Err(fault("it has more parts than source, target and mode")),
    };
    if filled.chunks.is_empty() {
        return Ok(Made::Nothing("nothing is configured for it".to_owned()));
    }
    if parts.len() > 1 && source.is_empty() {
        return Ok(Made::Nothing(format!(
            "nothing is mounted at {target}, as nothing is configured for it"
        )));
    }
    let read_only = modes.split(',').any(|mode| mode == "ro");
    let from_user = parts.first().is_some_and(Filled::has_data);
    make(&source, &target, read_only, around, &Asker { from_user, mend }).map_err(|why| match why {
        Refused::Lack(lack) => lack,
        Refused::Target(why) => fault(why),
    })
}

/// Who wants a mount: what is said when it is refused depends on it.
pub(crate) struct Asker<'a> {
    /// The source comes from the user's configuration.
    pub(crate) from_user: bool,
    /// How the user changes it.
    pub(crate) mend: &'a str,
}

/// Why there is no mount.
pub(crate) enum Refused {
    /// The user can mend it.
    Lack(Lack),
    /// The place in the container is not one.
    Target(&'static str),
}

/// One mount.
pub(crate) fn make(
    source: &str,
    target: &str,
    read_only: bool,
    around: &Around,
    asker: &Asker<'_>,
) -> Result<Made, Refused> {
    if is_docker_socket(source) {
        return Ok(Made::DockerSocket);
    }
    let target = target_path(target).map_err(Refused::Target)?;
    let mount = |source, read_only| Mount {
        source,
        target: target.clone(),
        read_only,
    };
    if source.is_empty() {
        return Ok(Made::Mount(mount(Source::Tmpfs, false), None));
    }
    if is_volume(source) {
        return Ok(Made::Mount(
            mount(Source::Volume(source.to_owned()), read_only),
            None,
        ));
    }
    let path = host_path(source, around.home.as_deref()).map_err(|why| {
        Refused::Lack(Lack::new(
            LackSort::Config,
            format!("{source:?} can't be mounted: {why}"),
            asker.mend,
        ))
    })?;
    match root_of(&path, &around.roots) {
        Some(root) if root.write || read_only => Ok(Made::Mount(mount(Source::Path(path), read_only), None)),
        Some(root) => {
            let note = format!(
                "{} is read only, as its root {} is; with write = true there it could be written",
                path.display(),
                root.path.display()
            );
            Ok(Made::Mount(mount(Source::Path(path), true), Some(note)))
        }
        None => Err(Refused::Lack(outside(&path, read_only, around, asker.from_user))),
    }
}

/// The lack of a root.
fn outside(path: &Path, read_only: bool, around: &Around, from_user: bool) -> Lack {
    let write = if read_only { "" } else { ", write = true" };
    let who = if from_user {
        "is to be mounted"
    } else {
        "is what its entry wants to mount"
    };
    let host = &around.host;
    let (what, mend) = if (around.is_sensitive)(path) {
        (
            "is a folder of the system or of credentials, or holds such",
            format!(
                "mount another; if it has to be this one, [hosts.{host}.guard] has to name it both in `roots` and in \
                 `allow_sensitive`"
            ),
        )
    } else {
        (
            "is under none of your roots",
            format!(
                "write under [hosts.{host}.guard]: roots = [{{ path = {:?}{write} }}]",
                path.display().to_string()
            ),
        )
    };
    Lack::new(
        LackSort::Path,
        format!("{} {who}, and {what}", path.display()),
        mend,
    )
}

/// The innermost root that holds `path`.
pub(crate) fn root_of<'r>(path: &Path, roots: &'r [Root]) -> Option<&'r Root> {
    roots
        .iter()
        .filter(|root| path.starts_with(&root.path))
        .max_by_key(|root| root.path.components().count())
}

/// A path of the host: absolute, without `..`; `~/` and `$HOME/` before it mean the home folder.
pub(crate) fn host_path(text: &str, home: Option<&Path>) -> Result<PathBuf, &'static str> {
    let below = ["~/", "$HOME/", "${HOME}/"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    let path = match (below, home) {
        (Some(below), Some(home)) => home.join(below.trim_start_matches('/')),
        (Some(_), None) => return Err("there is no home folder here to resolve it against"),
        (None, Some(home)) if matches!(text, "~" | "$HOME" | "${HOME}") => home.to_owned(),
        (None, _) => PathBuf::from(text),
    };
    if text.chars().any(char::is_control) {
        return Err("it has control characters");
    }
    if !path.is_absolute() {
        return Err("a path of the host is absolute");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("a path of the host has no ..");
    }
    // Collected anew, it has no doubled slashes, no `.` and no slash behind it.
    Ok(path.components().collect())
}

pub(crate) fn target_path(text: &str) -> Result<String, &'static str> {
    if !text.starts_with('/') {
        return Err("the place in the container is an absolute path");
    }
    if text.len() > 1024 || text.chars().any(|c| c.is_control() || c == ':') {
        return Err("the place in the container has characters that no path has");
    }
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    match parts.first() {
        None => Err("it would replace the container's root"),
        Some(&("proc" | "sys" | "dev")) => Err("/proc, /sys and /dev belong to the engine"),
        _ if parts.contains(&"..") => Err("the place in the container has .."),
        _ => Ok(format!("/{}", parts.join("/"))),
    }
}

/// The socket of an engine, by the places where they are.
fn is_docker_socket(source: &str) -> bool {
    let normal: PathBuf = Path::new(source).components().collect();
    let name = normal
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    matches!(
        name,
        "docker.sock" | "podman.sock" | "containerd.sock" | "docker.raw.sock"
    ) || source.starts_with(r"\\.\pipe\docker")
}

fn is_volume(source: &str) -> bool {
    !source.contains(['/', '\\', '~', '$']) && VolumeName::parse(source).is_ok()
}
