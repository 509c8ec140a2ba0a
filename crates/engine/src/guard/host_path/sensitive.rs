//! What on a host must never be shared, by its names.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::super::shape::fold;

/// Directories of the system. Neither they nor what is in them nor what holds them is shared.
const SYSTEM: [&str; 33] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/cache",
    "/var/db",
    "/var/lib/cloud",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/systemd",
    "/var/log",
    "/var/run",
    "/var/spool",
    "/private/etc",
    "/private/var/db",
    "/private/var/root",
    "/private/var/run",
    "/System",
];

/// Where people keep credentials, in a home directory or wherever else these names appear.
pub(super) const CREDENTIALS: [&str; 44] = [
    ".ssh",
    ".aws",
    ".gnupg",
    ".docker",
    ".kube",
    ".azure",
    ".password-store",
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".s3cfg",
    ".boto",
    ".vault-token",
    ".terraform.d",
    ".terraformrc",
    ".minikube",
    ".mozilla",
    ".claude",
    ".claude.json",
    ".codex",
    ".gemini",
    ".colima",
    ".lima",
    ".rd",
    ".orbstack",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/rclone",
    ".config/containers",
    ".config/google-chrome",
    ".local/share/containers",
    ".local/share/docker",
    ".local/share/keyrings",
    "Library/Keychains",
];

/// Those whose presence gives a directory away as somebody's home, wherever it is.
pub(super) const HOME_MARKS: [&str; 6] = [".ssh", ".gnupg", ".aws", ".azure", ".kube", ".password-store"];

/// Sockets through which one commands containers.
pub(super) const SOCKETS: [&str; 9] = [
    "docker.sock",
    "docker.raw.sock",
    "dockershim.sock",
    "cri-dockerd.sock",
    "podman.sock",
    "containerd.sock",
    "containerd.sock.ttrpc",
    "crio.sock",
    "buildkitd.sock",
];

/// Something that must not be shared.
pub(super) struct Sensitive {
    pub(super) thing: PathBuf,
    pub(super) relation: Relation,
}

#[derive(PartialEq, Eq)]
pub(super) enum Relation {
    /// The path is the thing or lies in it.
    Inside,
    /// The path holds the thing.
    Holds,
    /// The path holds a directory of the system, and so at least a good part of it.
    HoldsSystem,
}

/// All that is sensitive about a path by its names alone.
pub(super) fn in_names(path: &Path) -> impl Iterator<Item = Sensitive> {
    system(path).chain(credentials(path))
}

fn system(path: &Path) -> impl Iterator<Item = Sensitive> {
    SYSTEM.iter().map(Path::new).filter_map(move |thing| {
        let relation = if covers(thing, path) {
            Relation::Inside
        } else if covers(path, thing) {
            Relation::HoldsSystem
        } else {
            return None;
        };
        let thing = thing.to_owned();
        Some(Sensitive { thing, relation })
    })
}

fn credentials(path: &Path) -> impl Iterator<Item = Sensitive> {
    let parts: Vec<Component<'_>> = path.components().collect();
    CREDENTIALS.iter().flat_map(move |name| {
        let wanted: Vec<&str> = name.split('/').collect();
        let is_name = |window: &[Component<'_>]| {
            let mut pairs = window.iter().zip(&wanted);
            pairs.all(|(part, own)| alike(part.as_os_str(), own))
        };
        let ends = 1..=parts.len();
        let found: Vec<Sensitive> = ends
            .filter(|end| {
                end.checked_sub(wanted.len())
                    .is_some_and(|start| is_name(&parts[start..*end]))
            })
            .map(|end| Sensitive {
                thing: parts[..end].iter().collect(),
                relation: Relation::Inside,
            })
            .collect();
        found
    })
}

/// Whether `inner` is `outer` or lies in it, by [`alike`] names.
pub(super) fn covers(outer: &Path, inner: &Path) -> bool {
    let mut parts = inner.components();
    outer.components().all(|own| {
        parts
            .next()
            .is_some_and(|part| alike_parts(part.as_os_str(), own.as_os_str()))
    })
}

pub(super) fn alike(name: &OsStr, own: &str) -> bool {
    alike_parts(name, OsStr::new(own))
}

/// Whether a file system could take two names for one: without regard to case, and to what HFS+ ignores or
/// composes. Taking two for one that are not refuses too much, never too little.
fn alike_parts(one: &OsStr, other: &OsStr) -> bool {
    one == other || bare(one) == bare(other)
}

fn bare(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    fold(&base::text::clean(&name)).to_lowercase()
}
