//! Sockets that engines put where they can be found without being named.

use std::path::{Path, PathBuf};

use super::{Origin, Surroundings};
use crate::Endpoint;

const SYSTEM: &str = "/var/run/docker.sock";

/// Sockets in the home folder, and whose they are.
const AT_HOME: [(&str, &str); 8] = [
    (".docker/run/docker.sock", "Docker Desktop"),
    (".docker/desktop/docker.sock", "Docker Desktop"),
    (".orbstack/run/docker.sock", "OrbStack"),
    (".colima/default/docker.sock", "Colima"),
    (".config/colima/default/docker.sock", "Colima"),
    (".rd/docker.sock", "Rancher Desktop"),
    (".lima/docker/sock/docker.sock", "Lima"),
    (
        ".local/share/containers/podman/machine/podman.sock",
        "the Podman machine",
    ),
];

/// The first socket that this user may use; else the first that is there, so that the error at its use names it;
/// else the usual endpoint.
pub(super) fn find(around: &Surroundings) -> (Endpoint, Origin) {
    choose(candidates(around, Path::new("/")), usual())
}

fn choose(candidates: Vec<(PathBuf, &'static str)>, usual: Endpoint) -> (Endpoint, Origin) {
    let there: Vec<_> = candidates.iter().filter(|(path, _)| is_socket(path)).collect();
    let usable = there.iter().find(|(path, _)| may_use(path));
    if let Some((path, owner)) = usable.or(there.first()) {
        return (Endpoint::Unix(path.clone()), Origin::Socket { owner });
    }
    let looked_for = candidates.into_iter().map(|(path, _)| path).collect();
    (usual, Origin::Nowhere { looked_for })
}

fn usual() -> Endpoint {
    if cfg!(windows) {
        Endpoint::Npipe(r"\\.\pipe\docker_engine".to_owned())
    } else {
        Endpoint::Unix(SYSTEM.into())
    }
}

/// Where to look, in order. Paths of the system are below `root`.
fn candidates(around: &Surroundings, root: &Path) -> Vec<(PathBuf, &'static str)> {
    if cfg!(windows) {
        return Vec::new();
    }
    let system = |path: &str| root.join(path.trim_start_matches('/'));
    let runtime = around
        .xdg_runtime_dir
        .clone()
        .filter(|path| path.is_absolute())
        .or_else(|| around.uid.map(|uid| system(&format!("/run/user/{uid}"))));
    let mut found = vec![(system(SYSTEM), "the system's engine")];
    found.extend(
        runtime
            .iter()
            .map(|runtime| (runtime.join("docker.sock"), "the rootless engine")),
    );
    if let Some(home) = around.home().filter(|home| home.is_absolute()) {
        found.extend(AT_HOME.iter().map(|(path, owner)| (home.join(path), *owner)));
    }
    found.extend(
        runtime
            .iter()
            .map(|runtime| (runtime.join("podman/podman.sock"), "rootless Podman")),
    );
    found.push((system("/run/podman/podman.sock"), "Podman"));
    found
}

fn is_socket(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        fs_err::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
    }
    #[cfg(not(unix))]
    {
        path.exists()
    }
}

fn may_use(path: &Path) -> bool {
    #[cfg(unix)]
    {
        rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK).is_ok()
    }
    #[cfg(not(unix))]
    {
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Which of the sockets that exist is chosen.
    fn check(existing: &[&str], around: impl Fn(&Path) -> Surroundings, expected: Option<(&str, &str)>) {
        let root = tempfile::tempdir().unwrap();
        let _sockets: Vec<_> = existing
            .iter()
            .map(|path| {
                let path = root.path().join(path);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                UnixListener::bind(path).unwrap()
            })
            .collect();
        let candidates = candidates(&around(root.path()), root.path());
        let (endpoint, origin) = choose(candidates, Endpoint::Unix("/usual".into()));
        let found = match (&endpoint, &origin) {
            (Endpoint::Unix(path), Origin::Socket { owner }) => {
                Some((path.strip_prefix(root.path()).unwrap().to_str().unwrap(), *owner))
            }
            _ => None,
        };
        assert_eq!(found, expected, "{existing:?}: {endpoint} {origin}");
    }

    fn everything(root: &Path) -> Surroundings {
        Surroundings {
            xdg_runtime_dir: Some(root.join("runtime")),
            home: Some(root.join("home")),
            uid: Some(7),
            ..Surroundings::default()
        }
    }

    #[test]
    fn the_first_that_is_there() {
        let all = [
            ("var/run/docker.sock", "the system's engine"),
            ("runtime/docker.sock", "the rootless engine"),
            ("home/.docker/run/docker.sock", "Docker Desktop"),
            ("home/.docker/desktop/docker.sock", "Docker Desktop"),
            ("home/.orbstack/run/docker.sock", "OrbStack"),
            ("home/.colima/default/docker.sock", "Colima"),
            ("home/.config/colima/default/docker.sock", "Colima"),
            ("home/.rd/docker.sock", "Rancher Desktop"),
            ("home/.lima/docker/sock/docker.sock", "Lima"),
            (
                "home/.local/share/containers/podman/machine/podman.sock",
                "the Podman machine",
            ),
            ("runtime/podman/podman.sock", "rootless Podman"),
            ("run/podman/podman.sock", "Podman"),
        ];
        for at in 0..all.len() {
            let existing: Vec<_> = all[at..].iter().map(|(path, _)| *path).collect();
            check(&existing, everything, Some(all[at]));
        }
        check(&[], everything, None);
    }

    #[test]
    fn the_runtime_folder_by_the_users_number() {
        let around = |_: &Path| Surroundings {
            uid: Some(7),
            ..Surroundings::default()
        };
        check(
            &["run/user/7/docker.sock"],
            around,
            Some(("run/user/7/docker.sock", "the rootless engine")),
        );
        check(&["run/user/8/docker.sock"], around, None);
        check(&["run/user/7/docker.sock"], |_| Surroundings::default(), None);
        let relative = |_: &Path| Surroundings {
            home: Some("home".into()),
            ..Surroundings::default()
        };
        check(&["home/.docker/run/docker.sock"], relative, None);
    }

    #[test]
    fn a_file_is_no_socket() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("var/run")).unwrap();
        fs_err::write(root.path().join("var/run/docker.sock"), "").unwrap();
        let (_, origin) = choose(candidates(&Surroundings::default(), root.path()), usual());
        let origin = origin.to_string().replace(root.path().to_str().unwrap(), "");
        insta::assert_snapshot!(origin, @"no engine was found: none of /var/run/docker.sock, /run/podman/podman.sock is there; install or start an engine, or say where it is with DOCKER_HOST");
    }
}
