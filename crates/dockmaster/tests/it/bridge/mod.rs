//! Bridges: this executable in a container of its own, on an engine under test as the engine of another host.

mod egress;
mod engines;
mod life;
mod passing;
mod secret_files;
mod sharing;
mod socket;
mod talker;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::Daemon;

use crate::harness::{Dockmaster, EXECUTABLE, Ended};

const VERSION: &str = "2025-11-25";
/// What a bridge makes for its servers bears this, with the bridge's id.
const MADE_BY: &str = "dockmaster.made-by-bridge";

/// A Dockmaster with a host `far` that gets a bridge. When the test fails, what is left of that is removed.
pub(crate) struct Bridged {
    dockmaster: Dockmaster,
    /// The engine of `far`.
    daemon: Daemon,
    /// The server that is placed on it.
    server: String,
}

impl Bridged {
    /// On the engine under test.
    fn new(dockmaster: Dockmaster, server: &str) -> Self {
        Self::on(Daemon::here(), dockmaster, server)
    }

    /// On this engine.
    fn on(daemon: Daemon, dockmaster: Dockmaster, server: &str) -> Self {
        Self {
            dockmaster,
            daemon,
            server: server.to_owned(),
        }
    }

    /// A command of an executable without what debuggers want: a tenth of its size goes into the image.
    fn small(&self, arguments: &[&str]) -> Ended {
        let output = self.small_command(arguments).output().unwrap();
        Ended::new(output, &self.dockmaster)
    }

    fn small_command(&self, arguments: &[&str]) -> Command {
        let of = self.dockmaster.command(arguments);
        let mut command = Command::new(small());
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.dockmaster.home());
        command.envs(of.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null());
        command
    }

    /// Puts the bridge there.
    fn install(&self) -> Ended {
        let installed = self.small(&["host", "install", "far"]);
        assert_eq!(installed.code(), 0, "{}", installed.transcript());
        installed
    }

    /// Takes it away again, and sees to it that nothing is left.
    async fn uninstall(&self) {
        let id = self.id();
        let uninstalled = self.small(&["host", "uninstall", "far"]);
        assert_eq!(uninstalled.code(), 0, "{}", uninstalled.transcript());
        assert_eq!(self.left(&id).await, Vec::<String>::new());
    }

    fn record(&self) -> Value {
        let text = fs_err::read_to_string(self.file("bridges/far.json"));
        serde_json::from_str(&text.unwrap()).unwrap()
    }

    fn id(&self) -> String {
        self.record()["id"].as_str().unwrap().to_owned()
    }

    /// Everything that a bridge of this id, or its servers, left on the engine.
    async fn left(&self, id: &str) -> Vec<String> {
        let all = all_of(&self.daemon, id).await;
        all.into_iter().map(|(_, name)| name).collect()
    }
}

impl Deref for Bridged {
    type Target = Dockmaster;

    fn deref(&self) -> &Dockmaster {
        &self.dockmaster
    }
}

/// A test that fails leaves its bridge, which nobody else would end, and kills its gateways, which then end no server.
impl Drop for Bridged {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        // It is gone with the bridge, where that was uninstalled.
        let has_bridge = self.file("bridges/far.json").exists();
        let bridge = has_bridge.then(|| self.id()).into_iter();
        let marks: Vec<String> = bridge
            .chain([format!("\"dockmaster.server\":\"{}\"", self.server)])
            .collect();
        let daemon = self.daemon.clone();
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                // The bridge comes first, so that it makes no others, and volumes after what uses them.
                for mark in &marks {
                    for (path, _) in all_of(&daemon, mark).await {
                        daemon.delete(&path).await;
                    }
                }
            });
        });
        // A second panic here would hide the first.
        drop(removal.join());
    }
}

/// What has this in its name or its labels, such as all that a bridge of this id and its servers are made of: the path that
/// removes it, and its name. In the order in which it can be removed.
async fn all_of(daemon: &Daemon, mark: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (path, list, name, key, remove) in [
        ("/containers/json?all=1", "", "Names", "Id", "containers"),
        ("/networks", "", "Name", "Id", "networks"),
        ("/volumes", "Volumes", "Name", "Name", "volumes"),
        ("/images/json", "", "RepoTags", "Id", "images"),
    ] {
        let answer = daemon.get(path).await.ok().json();
        let list = if list.is_empty() { &answer } else { &answer[list] };
        let found = list.as_array().into_iter().flatten().filter(|one| {
            let text = format!("{}{}", one[name], one["Labels"]);
            text.contains(mark)
        });
        let mut found: Vec<&Value> = found.collect();
        found.sort_by_key(|one| one["Labels"][MADE_BY].is_string());
        all.extend(found.into_iter().map(|one| {
            let path = format!("/{remove}/{}?force=1", one[key].as_str().unwrap_or_default());
            (path, one[name].to_string())
        }));
    }
    all
}

/// The executable without what debuggers want: beside it, and made once for each build.
fn small() -> PathBuf {
    let small = Path::new(EXECUTABLE).with_extension("small");
    let made = |path: &Path| fs_err::metadata(path).and_then(|found| found.modified()).ok();
    // One process makes it; who came before it may run what is there already.
    let lock = fs_err::File::create(small.with_extension("lock"))
        .unwrap()
        .into_file();
    lock.lock().unwrap();
    if made(&small) < made(Path::new(EXECUTABLE)) {
        let draft = small.with_extension(std::process::id().to_string());
        let stripped = Command::new("strip")
            .arg("-o")
            .arg(&draft)
            .arg(EXECUTABLE)
            .status();
        if !stripped.is_ok_and(|status| status.success()) {
            fs_err::copy(EXECUTABLE, &draft).unwrap();
        }
        fs_err::rename(draft, &small).unwrap();
    }
    small
}
