//! A real OpenSSH server for one test: `sshd` on a free port of the loopback, with keys and a configuration of its own,
//! where the user who runs the tests may log in.

use crate::eventually;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A running sshd, and the home folder of somebody who may log in there. Ends with this value.
#[derive(Debug)]
pub struct Sshd {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Sshd {
    /// Starts one with further lines of `sshd_config`; `{home}` in them is [`Sshd::home`]. In the home are
    /// `.ssh/id_ed25519`, whose key is let in, and `.ssh/known_hosts`, which knows the server.
    pub async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let mut sshd = Self {
            port: free_port(),
            folder,
            process: None,
        };
        let home = sshd.home();
        fs_err::create_dir_all(home.join(".ssh")).expect("the folder is ours");
        sshd.key("ed25519", ".ssh/id_ed25519", "").await;
        sshd.key("ed25519", "host_key", "").await;
        sshd.allow(".ssh/id_ed25519.pub");
        let public = sshd.read("host_key.pub");
        fs_err::write(
            home.join(".ssh/known_hosts"),
            format!("[127.0.0.1]:{} {public}", sshd.port),
        )
        .expect("the folder is ours");
        let text = format!(
            "{}\nPort {}\nListenAddress 127.0.0.1\nHostKey {{home}}/host_key\nAuthorizedKeysFile \
             {{home}}/authorized_keys\nPidFile none\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nStrictModes no\nMaxStartups 200\n",
            config, sshd.port
        );
        let text = text.replace("{home}", &home.to_string_lossy());
        fs_err::write(home.join("sshd_config"), text).expect("the folder is ours");
        sshd.run().await;
        sshd
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder with the keys: `~` of a client of this server.
    pub fn home(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Who may log in: whoever runs the tests.
    pub fn user() -> String {
        let output = std::process::Command::new("id").arg("-un").output();
        let output = output.expect("every Unix has id");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A file in the home.
    pub fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.home().join(name)).expect("the file was made before")
    }

    /// Makes a key of `kind` (`ed25519`, `ecdsa`, `rsa`) at `name` in the home, and `name.pub` beside it.
    pub async fn key(&self, kind: &str, name: &str, passphrase: &str) {
        let file = self.home().join(name);
        self.keygen(&[
            "-t",
            kind,
            "-N",
            passphrase,
            "-C",
            "test",
            "-f",
            &file.to_string_lossy(),
        ])
        .await;
    }

    /// A program that goes here as the system's `ssh` does, with further lines of `ssh_config`. It takes the home folder from
    /// the system's list of users, so it has to be told of its files.
    pub fn client(&self, config: &str) -> PathBuf {
        let home = self.home();
        let (file, program) = (home.join("ssh_config"), home.join("ssh"));
        let text = format!(
            "{config}\nHost *\n User {}\n IdentityFile {home}/.ssh/id_ed25519\n UserKnownHostsFile {home}/.ssh/known_hosts\n",
            Self::user(),
            home = home.display()
        );
        fs_err::write(&file, text).expect("the folder is ours");
        let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", file.display());
        fs_err::write(&program, script).expect("the folder is ours");
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(&program, all).expect("the file is ours");
        program
    }

    /// Lets the key in a file of the home in.
    pub fn allow(&self, public: &str) {
        let file = self.home().join("authorized_keys");
        let before = fs_err::read_to_string(&file).unwrap_or_default();
        fs_err::write(file, before + &self.read(public)).expect("the folder is ours");
    }

    /// Runs `ssh-keygen` in the home.
    pub async fn keygen(&self, arguments: &[&str]) {
        let output = Command::new("ssh-keygen")
            .arg("-q")
            .args(arguments)
            .current_dir(self.home())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("ssh-keygen is missing; install openssh-client (scripts/test does)");
        assert!(
            output.status.success(),
            "ssh-keygen {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Ends the server; connections that are open go on until they are closed.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill().await;
        }
    }

    /// Starts it again, on the same port.
    pub async fn run(&mut self) {
        let program = program("sshd").expect("sshd is missing; install openssh-server (scripts/test does)");
        // Where root starts it, sshd wants its empty folder, which packages make when they start the service.
        if Self::user() == "root" {
            let _ = fs_err::create_dir_all("/run/sshd");
        }
        let log = fs_err::File::create(self.home().join("log")).expect("the folder is ours");
        // By its whole path, as it starts itself again for each connection.
        let process = Command::new(program)
            .arg("-D")
            .arg("-e")
            .arg("-f")
            .arg(self.home().join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.into_parts().0)
            .kill_on_drop(true)
            .spawn()
            .expect("sshd starts");
        let process = self.process.insert(process);
        let port = self.port;
        if let Ok(Some(status)) = process.try_wait() {
            panic!("sshd ended with {status}: {}", self.read("log"));
        }
        eventually("sshd", || async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("the loopback has a free port")
        .port()
}

fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}
