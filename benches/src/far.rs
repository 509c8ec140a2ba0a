//! A host behind SSH: the first call and the later ones, beside `ssh` itself and the docker CLI. What distance does is in
//! `distance`.

use crate::Place;
use crate::distance::{self, Byte, Way};
use crate::figures::{Series, milliseconds};
use crate::front::Home;
use crate::http::Connection;
use crate::machine::socket;
use crate::page::Page;
use crate::stdio::Server;
use anyhow::{Result, ensure};
use serde_json::json;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::Sshd;

const FIRSTS: usize = 30;
const CALLS: usize = 300;

pub(crate) fn measure(page: &mut Page, place: &Place) -> Result<()> {
    let sshd = place.runtime.block_on(Sshd::start(""));
    firsts(page, place, &sshd)?;
    distance::wire(page, place, &sshd)?;
    distance::servers(page, place, &sshd)?;
    distance::cut(page, place)
}

/// How the gateway is started, with these ports as hosts and the keys of somebody who may log in.
pub(crate) struct Hosts {
    home: Home,
    environment: Vec<(String, String)>,
}

impl Hosts {
    pub(crate) fn new(sshd: &Sshd, ports: &[u16], further: &str) -> Result<Self> {
        let mut config = String::new();
        let mut known = String::new();
        let key = sshd.read("host_key.pub");
        for (number, port) in ports.iter().enumerate() {
            writeln!(
                config,
                "[hosts.far{number}]\nendpoint = \"ssh://{}@127.0.0.1:{port}{}\"",
                Sshd::user(),
                socket()
            )?;
            write!(known, "[127.0.0.1]:{port} {key}")?;
        }
        fs_err::write(sshd.home().join(".ssh/known_hosts"), known)?;
        let home = Home::new(&(config + further))?;
        let mut environment = home.environment();
        environment.push(("HOME".to_owned(), sshd.home().display().to_string()));
        Ok(Self { home, environment })
    }

    pub(crate) fn gateway(&self, dockmaster: &str) -> Result<Server> {
        ensure!(self.home.path().is_dir(), "the configuration is gone");
        let command = [dockmaster, "gateway", "run"].map(str::to_owned);
        Server::start(&command, &self.environment)
    }
}

/// A program `ssh` that takes what is in the home of `sshd`: the real one looks for its files where the system's list of
/// users says.
fn systems_ssh(sshd: &Sshd) -> Result<String> {
    let home = sshd.home();
    let text = format!(
        "Host far\n User {}\n HostName 127.0.0.1\n Port {port}\n IdentityFile {home}/.ssh/id_ed25519\n \
         UserKnownHostsFile {home}/.ssh/known_hosts\n",
        Sshd::user(),
        port = sshd.port(),
        home = home.display(),
    );
    fs_err::write(home.join("config"), text)?;
    let program = home.join("bin/ssh");
    fs_err::create_dir_all(home.join("bin"))?;
    let script = format!(
        "#!/bin/sh\nexec /usr/bin/ssh -F {}/config \"$@\"\n",
        home.display()
    );
    fs_err::write(&program, script)?;
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(format!("{}/bin:/usr/bin:/bin", home.display()))
}

fn run(program: &str, arguments: &[&str], path: &str) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "{program} {arguments:?} ended with {status}");
    Ok(())
}

fn firsts(page: &mut Page, place: &Place, sshd: &Sshd) -> Result<()> {
    eprintln!("a host behind SSH");
    page.section(
        "A host behind SSH",
        &format!(
            "An sshd on this machine, and the engine's own socket behind it. `ssh far true`, a first call over a new \
             connection (the gateway runs already), and the docker CLI in turns, {FIRSTS} times each; then {CALLS} calls \
             over the connection that is there, each in turn with the same request to the daemon's socket and with a byte \
             that comes back over TCP."
        ),
        "| what | ms |",
    );
    let hosts = Hosts::new(sshd, &[sshd.port()], "")?;
    let path = systems_ssh(sshd)?;
    let ping = json!({ "host": "far0" });
    let (mut ssh, mut first, mut cli) = (Series::default(), Series::default(), Series::default());
    let has_cli = Path::new("/usr/bin/docker").exists();
    for _ in 0..FIRSTS {
        ssh.time(|| run("ssh", &["far", "true"], &path))?;
        let mut server = hosts.gateway(place.dockmaster)?;
        first.time(|| server.call("ping_engine", &ping))?;
        if has_cli {
            let arguments = ["-H", "ssh://far", "version", "--format", "{{.Server.Version}}"];
            cli.time(|| run("/usr/bin/docker", &arguments, &path))?;
        }
    }
    let mut server = hosts.gateway(place.dockmaster)?;
    let mut daemon = Connection::unix(&socket())?;
    let mut byte = Byte::over(Way::Here)?;
    let (mut later, mut own, mut trips) = (Series::default(), Series::default(), Series::default());
    server.call("ping_engine", &ping)?;
    for _ in 0..CALLS {
        trips.time(|| byte.there_and_back())?;
        own.time(|| daemon.get("/_ping"))?;
        later.time(|| server.call("ping_engine", &ping))?;
    }
    page.row(&["`ssh far true`", &ssh.cell()]);
    page.row(&["dockmaster, first call", &first.cell()]);
    if has_cli {
        page.row(&[
            "docker CLI, each call (`docker -H ssh://far version`)",
            &cli.cell(),
        ]);
    }
    page.row(&["the daemon's own socket (`/_ping`)", &own.cell()]);
    page.row(&["a byte there and back", &trips.cell()]);
    page.row(&["dockmaster, each later call", &later.cell()]);
    let ratio = first.median() / ssh.median();
    page.target(
        "first call over a new SSH connection, over `ssh host true`",
        "≤ 1.2 ×",
        &format!("{ratio:.2} ×"),
        ratio <= 1.2,
    );
    let over = later.median() - trips.median();
    page.target(
        "each later call, over a network round trip, one after the other",
        "≤ 1 ms",
        &format!("{} ms", milliseconds(over)),
        over <= 1.0,
    );
    Ok(())
}
