//! An OCI registry for one test: the `docker-registry` program on a free port of the loopback, where every
//! engine accepts plain HTTP.

use crate::eventually;
use crate::http1::Address;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A user of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: &'static str,
    /// The password.
    pub password: &'static str,
}

/// A running registry; ends with this value.
#[derive(Debug)]
pub struct Registry {
    authority: String,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Who may use a registry started by [`Registry::start_with_password`].
    pub const CREDENTIALS: Credentials = Credentials {
        user: "dockmaster",
        password: "correct-horse",
    };

    /// Starts a registry that anyone may read and write.
    pub async fn start() -> Self {
        Self::launch(|_| String::new()).await
    }

    /// Starts a registry that knows only [`Registry::CREDENTIALS`].
    pub async fn start_with_password() -> Self {
        // bcrypt, 2^5 rounds, of the password above: the one scheme that the registry reads.
        const HTPASSWD: &str = "dockmaster:$2y$05$abcdefghijklmnopqrstuuZ0Fx87Pb/Aqb0E90lfvCwzXnaFKUHpS\n";
        Self::launch(|folder| {
            let file = folder.join("htpasswd");
            fs_err::write(&file, HTPASSWD).expect("the folder is ours");
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display())
        })
        .await
    }

    /// Starts a registry that takes tokens of the server at `realm`, for the service and by the issuer
    /// `dockmaster-test`, signed with the key of `certificate` (PEM).
    pub async fn start_with_tokens(realm: &str, certificate: &str) -> Self {
        Self::launch(|folder| {
            let file = folder.join("tokens.pem");
            fs_err::write(&file, certificate).expect("the folder is ours");
            let bundle = file.display();
            format!(
                "auth: {{token: {{realm: '{realm}', service: dockmaster-test, issuer: dockmaster-test, \
                 rootcertbundle: {bundle}}}}}\n"
            )
        })
        .await
    }

    /// `host:port`, as it stands at the head of an image reference.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    async fn launch(auth: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let root = folder.path().display();
        let auth = auth(folder.path());
        // The program cannot be told "any port", so one is asked for and given back just before.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("the loopback has a free port")
            .port();
        let authority = format!("127.0.0.1:{port}");
        let configuration = format!(
            "version: 0.1\n\
             log: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '{authority}'}}\n{auth}"
        );
        let file = folder.path().join("config.yml");
        fs_err::write(&file, configuration).expect("the folder is ours");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry is installed (scripts/test does)");
        let address = Address::Tcp(authority.clone());
        eventually("the registry to listen", async || address.connect().await.ok()).await;
        Self {
            authority,
            _process: process,
            _folder: folder,
        }
    }
}
