//! Three hosts with networks, sshds and engines of their own, one of them behind another (`scripts/hosts`): the tools there,
//! and what happens when links are cut, daemons die, disks are full and keys are not what they were. The names of these tests
//! begin with `on_hosts_`: the runner takes them one at a time, and leaves them out where there can be no such hosts.

mod daemons;
mod full;
mod links;
mod offers;
mod servers;
mod tls;
mod tools;
mod trust;

use std::fmt::Write as _;
use std::ops::Deref;

use serde_json::{Value, json};
use testkit::{McpClient, Scope, ThreeHosts};

use crate::harness::Dockmaster;

const VERSION: &str = "2025-11-25";
const ALL: [&str; 3] = ["one", "three", "two"];

/// The hosts, and somebody who knows them.
struct Far {
    hosts: ThreeHosts,
    dockmaster: Dockmaster,
}

impl Far {
    /// With further lines of `ssh_config`, which hold for all hosts, and of each host's table in the configuration.
    fn new(ssh: &str, each: &str, further: &str) -> Option<Self> {
        let hosts = ThreeHosts::take();
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        let hosts = hosts.inspect_err(|why| eprintln!("skipped: {why}")).ok()?;
        let mut toml = String::new();
        for host in ALL {
            writeln!(toml, "[hosts.{host}]\nendpoint = 'ssh://{host}'\n{each}").unwrap();
        }
        let dockmaster = Dockmaster::new().configured(&(toml + further));
        let far = Self { hosts, dockmaster };
        fs_err::create_dir_all(far.dockmaster.home().join(".ssh")).unwrap();
        for file in ["id_ed25519", "config", "known_hosts"] {
            fs_err::copy(far.hosts.home().join(".ssh").join(file), far.ssh(file)).unwrap();
        }
        let config = fs_err::read_to_string(far.ssh("config")).unwrap();
        fs_err::write(far.ssh("config"), format!("{ssh}\n{config}")).unwrap();
        Some(far)
    }

    /// A file of the client's `.ssh`.
    fn ssh(&self, file: &str) -> std::path::PathBuf {
        self.dockmaster.home().join(".ssh").join(file)
    }

    /// What a test makes on a host.
    fn scope(&self, host: &str, name: &str) -> Scope {
        Scope::on(self.hosts.daemon(host), name)
    }

    /// Code and words of a call from the command line.
    fn call(&self, tool: &str, arguments: &Value) -> (i32, String) {
        let ended = self
            .dockmaster
            .run(&["tools", "call", tool, &arguments.to_string()]);
        (ended.code(), ended.stdout() + &ended.stderr())
    }

    async fn gateway(&self) -> McpClient {
        let client = self.dockmaster.client(&[]);
        client.initialize(VERSION).await;
        client
    }
}

impl Deref for Far {
    type Target = ThreeHosts;

    fn deref(&self) -> &ThreeHosts {
        &self.hosts
    }
}

/// Volumes of this scope, as the engine itself tells.
async fn volumes(scope: &Scope) -> usize {
    let list = scope.daemon().get("/volumes").await.ok().json();
    let volumes = list["Volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ours = |volume: &&Value| volume["Labels"][Scope::KEY] == scope.value();
    volumes.iter().filter(is_ours).count()
}

/// A volume to create on a host.
fn volume(scope: &Scope, host: &str, what: &str) -> Value {
    json!({"host": host, "name": scope.name(what), "labels": scope.labels()})
}

/// Calls until it succeeds; each attempt has to fail with a word that is expected.
async fn recovers(client: &McpClient, tool: &str, arguments: &Value, meanwhile: &[&str]) -> String {
    testkit::eventually(&format!("{tool} to work again"), async || {
        let answer = client.call(tool, arguments.clone()).await;
        if answer.is_error() {
            let text = answer.text();
            assert!(meanwhile.iter().any(|word| text.contains(word)), "{text}");
            return None;
        }
        Some(answer.text())
    })
    .await
}
