//! The executable in surroundings of its own: a folder for configuration and state, and no variable of the machine's.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use testkit::{McpClient, Sshd};

pub(crate) const EXECUTABLE: &str = env!("CARGO_BIN_EXE_dockmaster");

pub(crate) struct Dockmaster {
    home: Arc<TempDir>,
    engine: String,
}

impl Dockmaster {
    /// On the engine under test.
    pub(crate) fn new() -> Self {
        Self::on(&testkit::endpoint())
    }

    /// On another engine.
    pub(crate) fn on(engine: &str) -> Self {
        Self {
            home: Arc::new(TempDir::new().unwrap()),
            engine: engine.to_owned(),
        }
    }

    /// The same surroundings, for who wants them as their own; they last as long as one of both.
    pub(crate) fn again(&self) -> Self {
        Self {
            home: Arc::clone(&self.home),
            engine: self.engine.clone(),
        }
    }

    /// With this configuration.
    pub(crate) fn configured(self, toml: &str) -> Self {
        fs_err::create_dir_all(self.folder()).unwrap();
        fs_err::write(self.folder().join("config.toml"), toml).unwrap();
        self
    }

    /// The home folder, in which the docker CLI's configuration would be.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder of configuration and state.
    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("dm")
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(EXECUTABLE);
        command.args(arguments).env_clear().current_dir(self.home.path());
        command
            .env("DOCKMASTER_HOME", self.folder())
            .env("HOME", self.home.path());
        command
            .env("DOCKER_HOST", &self.engine)
            .env("PATH", "/usr/bin:/bin");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(arguments);
        let command = command.envs(variables.iter().copied()).stdin(Stdio::null());
        Ended {
            output: command.output().unwrap(),
            folder: self.home.path().to_owned(),
        }
    }

    /// A client that starts the gateway and speaks to it over stdio.
    pub(crate) fn client(&self, arguments: &[&str]) -> McpClient {
        let command = self.command(&[&["gateway", "run"], arguments].concat());
        McpClient::spawn(command.into())
    }

    /// Puts into its home folder what is needed to log in there.
    pub(crate) fn let_in_by(&self, sshd: &Sshd) {
        fs_err::create_dir_all(self.home().join(".ssh")).unwrap();
        for file in [".ssh/id_ed25519", ".ssh/known_hosts"] {
            fs_err::copy(sshd.home().join(file), self.home().join(file)).unwrap();
        }
    }

    /// The audit, as `audit export` gives it.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let ended = self.run(&["audit", "export"]);
        ended
            .stdout()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Does to the state what no part of the program does.
    pub(crate) fn tamper(&self, sql: &str) {
        rusqlite::Connection::open(self.file("dockmaster.db"))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
}

/// How a run ended.
pub(crate) struct Ended {
    output: Output,
    folder: PathBuf,
}

impl Ended {
    /// Of a run in the surroundings of this one.
    pub(crate) fn new(output: Output, of: &Dockmaster) -> Self {
        Self {
            output,
            folder: of.home.path().to_owned(),
        }
    }

    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().unwrap_or(-1)
    }

    pub(crate) fn stdout(&self) -> String {
        self.stable(&self.output.stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        self.stable(&self.output.stderr)
    }

    /// Code, standard output and standard error, with what differs between runs and machines made the same.
    pub(crate) fn transcript(&self) -> String {
        let mut text = format!("exit {}\n", self.code());
        for (mark, stream) in [("| ", self.stdout()), ("! ", self.stderr())] {
            for line in stream.lines() {
                text.push_str(format!("{mark}{line}").trim_end());
                text.push('\n');
            }
        }
        text
    }

    fn stable(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).replace(self.folder.to_str().unwrap(), "HOME");
        text.replace(EXECUTABLE, "EXECUTABLE")
            .replace(&testkit::endpoint(), "ENGINE")
    }
}

/// Replaces runs of digits by `#`, and of hexadecimal digits as long as a hash by `HASH`; columns move with what
/// stands in them, so several spaces become two.
pub(crate) fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        let is_hash = word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hash {
            out.push_str("HASH");
        } else {
            let mut digits = false;
            for c in word.chars() {
                if !c.is_ascii_digit() {
                    out.push(c);
                } else if !digits {
                    out.push('#');
                }
                digits = c.is_ascii_digit();
            }
        }
        word.clear();
        if !(c == ' ' && out.ends_with("  ")) {
            out.push(c);
        }
    }
    out.pop();
    out
}
