//! Three hosts in network namespaces of their own, as `scripts/hosts` makes them: sshd and an engine on each, the third
//! reached through the first. Whoever has them may cut links, kill daemons and fill disks; all of it is taken back before
//! the next one has them.

use crate::{Daemon, variable};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One process has them once at a time. Of several processes the runner of the tests takes care.
static ONE: Mutex<()> = Mutex::new(());

/// The hosts `one`, `two` and `three`.
#[derive(Debug)]
pub struct ThreeHosts {
    home: PathBuf,
    _one: MutexGuard<'static, ()>,
}

impl ThreeHosts {
    /// The hosts that `DOCKMASTER_TEST_HOSTS` names (what `scripts/hosts up` prints), whole.
    ///
    /// # Errors
    /// It names none; the text says how to have some.
    pub fn take() -> Result<Self, &'static str> {
        let Some(home) = variable("DOCKMASTER_TEST_HOSTS") else {
            return Err("no hosts; DOCKMASTER_TEST_HOSTS=$(scripts/hosts up) gives them");
        };
        let hosts = Self {
            home: home.into(),
            _one: ONE.lock().unwrap_or_else(PoisonError::into_inner),
        };
        hosts.run(&["mend"]);
        Ok(hosts)
    }

    /// A folder with `.ssh` and `tls` of somebody who may use them.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The engine of a host, past network and SSH.
    pub fn daemon(&self, host: &str) -> Daemon {
        Daemon::at(self.folder().join(host).join("run/docker.sock"))
    }

    /// The folder of the hosts themselves.
    fn folder(&self) -> &Path {
        self.home.parent().expect("the folder of hosts has a parent")
    }

    /// `scripts/hosts` with these words; gives what it prints.
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.begin(words).wait_with_output();
        let output = output.expect("a child can be waited for");
        assert!(
            output.status.success(),
            "scripts/hosts {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The same, while something else goes on.
    pub fn begin(&self, words: &[&str]) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/hosts");
        let folder = self.folder().file_name().unwrap_or_default().to_string_lossy();
        let set = folder
            .strip_prefix("hosts-")
            .expect("scripts/hosts names its folders so");
        Command::new(script)
            .args(words)
            .env("DOCKMASTER_HOSTS_SET", set)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("scripts/hosts runs")
    }
}

impl Drop for ThreeHosts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whoever has them next takes back what is left.
            return;
        }
        self.run(&["mend"]);
    }
}
