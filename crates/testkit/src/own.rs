//! A real Docker Engine that belongs to one test, which may stop, kill and freeze it: what happens when a daemon goes
//! away is not to be tried on an engine that others use.

use crate::{Daemon, eventually};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// A `dockerd` with all its state in a folder of its own, in a mount and a network namespace of its own, without a
/// bridge. Ends with this value.
#[derive(Debug)]
pub struct OwnEngine {
    folder: tempfile::TempDir,
    process: Option<Child>,
    further: Vec<&'static str>,
}

impl OwnEngine {
    /// Starts one; says why where this machine or user can't.
    ///
    /// # Errors
    /// There is no `dockerd` on the `PATH`, or this is not root.
    pub async fn start() -> Result<Self, &'static str> {
        Self::start_with(&[]).await
    }

    /// The same with further arguments of `dockerd`.
    ///
    /// # Errors
    /// As [`OwnEngine::start`].
    pub async fn start_with(further: &[&'static str]) -> Result<Self, &'static str> {
        let works = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            let done = command
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            done.status().is_ok_and(|status| status.success())
        };
        if !works("dockerd", &["--version"]) {
            return Err("there is no dockerd on the PATH");
        }
        if !works("unshare", &["--mount", "--net", "true"]) {
            return Err("namespaces need root");
        }
        let mut engine = Self {
            folder: tempfile::tempdir().expect("the temporary folder is writable"),
            process: None,
            further: further.to_owned(),
        };
        engine.launch().await;
        Ok(engine)
    }

    /// The same engine for the other fixtures.
    pub fn daemon(&self) -> Daemon {
        Daemon::at(self.socket())
    }

    /// As `DOCKER_HOST` would name it.
    pub fn endpoint(&self) -> String {
        self.daemon().endpoint()
    }

    /// Starts it again, after [`OwnEngine::kill`] or [`OwnEngine::stop`], and waits until it answers.
    pub async fn launch(&mut self) {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(at("log"))
            .expect("the folder is ours");
        drop(fs_err::remove_file(self.socket()));
        // A killed daemon leaves the numbers of itself and of its containerd, and a new one would think that they run
        // if another process has such a number, or where nobody reaps the dead.
        drop(fs_err::remove_file(at("pid")));
        drop(fs_err::remove_file(at("exec/containerd/containerd.pid")));
        let child = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private", "dockerd"])
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false"])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("pid"), "-H", &format!("unix://{}", at("d.sock"))])
            .args(&self.further)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("unshare ran a moment ago");
        self.process = Some(child);
        let socket = self.socket();
        eventually("the engine of this test to answer", async || {
            answers(&socket).await.then_some(())
        })
        .await;
    }

    /// Ends it as an administrator would, and waits for its end.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        self.wait().await;
    }

    /// Ends it at once, as a crash would, and waits for its end.
    pub async fn kill(&mut self) {
        self.signal("KILL").await;
        self.wait().await;
    }

    /// Lets it hang: the system still takes connections for it, and nobody answers.
    pub async fn freeze(&self) {
        let id = self.signal("STOP").await;
        // Its threads stop one after the other.
        eventually("the engine of this test to stand still", async || {
            is_still(id).then_some(())
        })
        .await;
    }

    /// Lets it go on.
    pub async fn thaw(&self) {
        self.signal("CONT").await;
    }

    fn socket(&self) -> PathBuf {
        Path::join(self.folder.path(), "d.sock")
    }

    async fn signal(&self, signal: &str) -> u32 {
        let id = self
            .process
            .as_ref()
            .and_then(Child::id)
            .expect("the engine runs");
        let status = Command::new("kill")
            .args(["-s", signal, &id.to_string()])
            .status()
            .await;
        assert!(
            status.is_ok_and(|status| status.success()),
            "kill -s {signal} {id}"
        );
        id
    }

    async fn wait(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.wait().await.expect("a child can be waited for");
        }
    }
}

/// Whether all threads of a process are stopped (state `T` in `proc_pid_stat(5)`, behind the name in brackets).
fn is_still(id: u32) -> bool {
    let tasks = fs_err::read_dir(format!("/proc/{id}/task"));
    tasks.into_iter().flatten().flatten().all(|task| {
        let stat = fs_err::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// Whether a daemon answers there. One that is starting takes connections and drops them, so no failure counts.
async fn answers(socket: &Path) -> bool {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.0 200 "))
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), ask).await;
    answer.is_ok_and(Result::unwrap_or_default)
}
