//! The way from a container without any network to its proxy.
//!
//! The proxy listens on a socket that is mounted into the container, and HTTP clients want an address: so a relay runs
//! beside the server, listens on the container's own loopback and passes bytes on. It is this very executable, mounted
//! for reading, with the libraries it was linked against and the loader of them, since the image may have others or
//! none. It listens before the server's program takes its place, so nothing that a server asks for at once is lost:
//!
//! 1. *listen* opens the port, has a child take the listener, and becomes the server's program;
//! 2. *leave* starts the relay and ends, so that the relay is the init process's child and not the server's;
//! 3. *carry* passes bytes on until the container ends.
//!
//! A server may end its relay, or speak to the socket itself; it reaches the same either way. Deliberately absent: any
//! judgement, which is the proxy's.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// The first argument of an executable that is to be a relay.
pub const ARGUMENT: &str = "egress-relay";

/// In the container: everything that this needs.
const FOLDER: &str = "/.dockmaster";
const PROGRAM: &str = "/.dockmaster/relay";
const LIBRARIES: &str = "/.dockmaster/lib";
const SOCKET: &str = "/.dockmaster/proxy.sock";
/// Where it listens, in a network in which nobody else is. Above the ports that systems give out by themselves.
pub(crate) const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 61_080));
/// Connections side by side; further ones wait.
const CONNECTIONS: usize = 128;
/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// An executable that can be a relay in any container of its own machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    program: PathBuf,
    /// The loader of its libraries, and these; both absent for one that was linked whole.
    loader: Option<PathBuf>,
    libraries: Vec<PathBuf>,
}

impl Relay {
    /// `program` is the running executable and `maps` what the system says is mapped into it
    /// (`/proc/self/maps`, `proc_pid_maps(5)`).
    ///
    /// # Errors
    /// Why it can't be one: it is not there any more, or not everybody may run it.
    pub fn new(program: &Path, maps: &str) -> io::Result<Self> {
        let program = readable(program, 0o005)?;
        let mut libraries: Vec<PathBuf> = Vec::new();
        let mut loader = None;
        for path in maps.lines().filter_map(mapped) {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if ["ld-linux", "ld-musl", "ld64.so"]
                .iter()
                .any(|own| name.starts_with(own))
            {
                loader = Some(path.to_owned());
            } else if name.contains(".so") && !libraries.iter().any(|known| known == path) {
                readable(path, 0o004)?;
                libraries.push(path.to_owned());
            }
        }
        if let Some(loader) = &loader {
            readable(loader, 0o005)?;
        }
        Ok(Self {
            program,
            loader,
            libraries,
        })
    }

    /// One of copies in a folder: for an engine that knows that folder and not the files of this process.
    pub(crate) fn copied_to(&self, folder: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(folder)?;
        let copy = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            let (draft, copy) = (folder.join("draft"), folder.join(name));
            fs_err::copy(path, &draft)?;
            // A server that still runs keeps the one before.
            fs_err::rename(draft, &copy)?;
            io::Result::Ok(copy)
        };
        Ok(Self {
            program: copy(&self.program)?,
            loader: self.loader.as_ref().map(copy).transpose()?,
            libraries: self.libraries.iter().map(copy).collect::<Result<_, _>>()?,
        })
    }

    /// What is mounted for reading: from where, to where.
    pub(crate) fn mounts(&self, socket: &Path) -> Vec<(PathBuf, String)> {
        let in_folder = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (path.clone(), format!("{LIBRARIES}/{name}"))
        };
        let libraries = self.libraries.iter().chain(&self.loader).map(in_folder);
        let own = [
            (self.program.clone(), PROGRAM.to_owned()),
            (socket.to_owned(), SOCKET.to_owned()),
        ];
        own.into_iter().chain(libraries).collect()
    }

    /// What of this machine has to be open to the container, beside the socket.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.libraries.iter().chain(&self.loader).chain([&self.program])
    }

    /// What the container runs: the relay, and then `command` in its place.
    pub(crate) fn entrypoint(&self) -> Vec<String> {
        let loader = self.loader.as_ref().and_then(|loader| loader.file_name());
        let loader = loader.map(|name| format!("{LIBRARIES}/{}", name.to_string_lossy()));
        let way = Way { loader };
        let mut entrypoint = way.start();
        entrypoint.extend(["listen".to_owned(), way.to_string(), "--".to_owned()]);
        entrypoint
    }
}

/// Its path without links, if everybody may use it.
fn readable(path: &Path, mode: u32) -> io::Result<PathBuf> {
    let path = fs_err::canonicalize(path)?;
    let found = fs_err::metadata(&path)?.permissions().mode();
    if found & mode == mode {
        return Ok(path);
    }
    let fault = format!(
        "{} is not open to everybody (mode {:o})",
        path.display(),
        found & 0o777
    );
    Err(io::Error::other(fault))
}

/// The file of a line of `/proc/self/maps`.
fn mapped(line: &str) -> Option<&Path> {
    let path = line.find('/').and_then(|at| line.get(at..))?;
    (!path.ends_with(" (deleted)")).then_some(Path::new(path))
}

/// How the executable is started inside of the container.
struct Way {
    loader: Option<String>,
}

impl Way {
    fn read(text: &str) -> Self {
        Self {
            loader: (text != "-").then(|| text.to_owned()),
        }
    }

    fn start(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(loader) = &self.loader {
            words.extend([loader, "--library-path", LIBRARIES].map(str::to_owned));
        }
        words.extend([PROGRAM, ARGUMENT].map(str::to_owned));
        words
    }

    /// A further start, with this as its input and no outputs: they are the server's.
    fn again(&self, role: &str, input: Stdio) -> Command {
        let words = self.start();
        let (program, arguments) = words
            .split_first()
            .map_or((PROGRAM, &[][..]), |(first, rest)| (first, rest));
        let mut command = Command::new(program);
        command.args(arguments).args([role, &self.to_string()]);
        command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.loader.as_deref().unwrap_or("-"))
    }
}

/// Why a relay, or the server in its place, could not be started, and the exit code that says so.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct RelayError {
    what: String,
    cause: io::Error,
    /// 125 to 127, as container runtimes use them.
    pub code: u8,
}

impl RelayError {
    fn new(what: &str, cause: io::Error) -> Self {
        let what = what.to_owned();
        Self {
            what,
            cause,
            code: 125,
        }
    }
}

/// What an executable does whose first argument is [`ARGUMENT`]: `arguments` are those after it. Comes back when it is
/// done (*leave*), and not at all when it has become the server.
///
/// # Errors
/// That the proxy can't be reached, or the server's program not be run.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), RelayError> {
    let mut arguments = arguments.into_iter();
    let mut word = || {
        arguments
            .next()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let (role, way) = (word(), Way::read(&word()));
    match role.as_str() {
        "listen" => {
            drop(word());
            Err(listen(&way, arguments))
        }
        "leave" => {
            let started = way.again("carry", Stdio::inherit()).spawn();
            started
                .map(drop)
                .map_err(|cause| RelayError::new("the relay can't be started", cause))
        }
        "carry" => carry().map_err(|cause| RelayError::new("the relay can't go on", cause)),
        _ => {
            let cause = io::Error::other("this is started by Dockmaster in containers, and by nobody else");
            Err(RelayError::new("the relay can't be started", cause))
        }
    }
}

fn listen(way: &Way, mut command: impl Iterator<Item = OsString>) -> RelayError {
    let ready = || -> io::Result<()> {
        // A socket that was mounted through a virtual machine is there, and nobody answers.
        std::os::unix::net::UnixStream::connect(SOCKET)?;
        let listener = std::net::TcpListener::bind(ADDRESS)?;
        let mut left = way.again("leave", OwnedFd::from(listener).into());
        // Signals to the server's group are not meant for it.
        let left = left.process_group(0).status()?;
        if left.success() {
            Ok(())
        } else {
            Err(io::Error::other(left.to_string()))
        }
    };
    if let Err(cause) = ready() {
        return RelayError::new("Dockmaster's proxy can't be reached from this container", cause);
    }
    let program = command.next().unwrap_or_default();
    let cause = Command::new(&program).args(command).exec();
    RelayError {
        what: format!("{} can't be run", program.to_string_lossy()),
        code: if cause.kind() == io::ErrorKind::NotFound {
            127
        } else {
            126
        },
        cause,
    }
}

fn carry() -> io::Result<()> {
    let listener = std::net::TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (room, tasks) = (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new());
        loop {
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            let Ok((mut inside, _)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            tasks.spawn(async move {
                drop(inside.set_nodelay(true));
                if let Ok(mut proxy) = tokio::net::UnixStream::connect(SOCKET).await {
                    drop(copy_bidirectional(&mut inside, &mut proxy).await);
                }
                drop(permit);
            });
        }
    })
}

/// Where nothing of the image may lie and nothing else be mounted.
pub(crate) fn is_ours(target: &str) -> bool {
    Path::new(target).starts_with(FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0a0000000-55d0a0001000 r--p 00000000 fe:00 131 /usr/bin/thing
7f0000000000-7f0000001000 r--p 00000000 fe:00 132 /lib/libc.so.6
7f0000002000-7f0000003000 r-xp 00000000 fe:00 132 /lib/libc.so.6
7f0000004000-7f0000005000 r--p 00000000 fe:00 133 /lib/ld-linux-x86-64.so.2
7f0000006000-7f0000007000 r--p 00000000 fe:00 134 /tmp/gone.so (deleted)
7f0000008000-7f0000009000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0 [vdso]";

    #[test]
    fn what_is_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = folder.path().join(name);
            fs_err::write(&path, "").unwrap();
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            fs_err::canonicalize(path).unwrap()
        };
        let program = file("thing", 0o755);
        let (libc, loader) = (file("libc.so.6", 0o644), file("ld-linux-x86-64.so.2", 0o755));
        let maps = MAPS.replace("/lib/", &format!("{}/", folder.path().display()));
        let relay = Relay::new(&program, &maps).unwrap();
        let wanted = Relay {
            program: program.clone(),
            loader: Some(loader),
            libraries: vec![libc],
        };
        assert_eq!(relay, wanted);
        insta::assert_snapshot!(relay.entrypoint().join(" "), @"/.dockmaster/lib/ld-linux-x86-64.so.2 --library-path /.dockmaster/lib /.dockmaster/relay egress-relay listen /.dockmaster/lib/ld-linux-x86-64.so.2 --");
        let targets: Vec<String> = relay
            .mounts(Path::new("/x.sock"))
            .into_iter()
            .map(|(_, target)| target)
            .collect();
        assert!(targets.iter().all(|target| is_ours(target)), "{targets:?}");

        let whole = Relay::new(&program, "").unwrap();
        insta::assert_snapshot!(whole.entrypoint().join(" "), @"/.dockmaster/relay egress-relay listen - --");
        let shut = file("shut", 0o700);
        assert!(
            Relay::new(&shut, "")
                .unwrap_err()
                .to_string()
                .contains("not open to everybody")
        );
        assert!(Relay::new(Path::new("/nonexistent"), "").is_err());
    }
}
