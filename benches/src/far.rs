//! Hosts behind SSH: the first call and the later ones, beside `ssh` itself and the docker CLI; and through a wire of
//! 40 ms, what a call and a list over ten hosts wait for.

use crate::Place;
use crate::figures::{Series, milliseconds};
use crate::front::Home;
use crate::http::Connection;
use crate::machine::socket;
use crate::page::Page;
use crate::stdio::Server;
use anyhow::{Result, ensure};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use testkit::Sshd;

const FIRSTS: usize = 30;
const CALLS: usize = 300;
const FAR_CALLS: usize = 40;
const HOSTS: usize = 10;
/// From one end of the wire to the other.
const ONE_WAY: Duration = Duration::from_millis(20);

pub(crate) fn measure(page: &mut Page, place: &Place) -> Result<()> {
    let sshd = place.runtime.block_on(Sshd::start(""));
    firsts(page, place, &sshd)?;
    wire(page, place, &sshd)
}

/// How the gateway is started, with these ports as hosts and the keys of somebody who may log in.
struct Hosts {
    home: Home,
    environment: Vec<(String, String)>,
}

impl Hosts {
    fn new(sshd: &Sshd, ports: &[u16]) -> Result<Self> {
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
        let home = Home::new(&config)?;
        let mut environment = home.environment();
        environment.push(("HOME".to_owned(), sshd.home().display().to_string()));
        Ok(Self { home, environment })
    }

    fn gateway(&self, dockmaster: &str) -> Result<Server> {
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
             over the connection that is there, each in turn with the same request to the daemon's socket."
        ),
        "| what | ms |",
    );
    let hosts = Hosts::new(sshd, &[sshd.port()])?;
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
    let (mut later, mut own) = (Series::default(), Series::default());
    server.call("ping_engine", &ping)?;
    for _ in 0..CALLS {
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
    page.row(&["dockmaster, each later call", &later.cell()]);
    let ratio = first.median() / ssh.median();
    page.target(
        "first call over a new SSH connection, over `ssh host true`",
        "≤ 1.2 ×",
        &format!("{ratio:.2} ×"),
        ratio <= 1.2,
    );
    Ok(())
}

fn wire(page: &mut Page, place: &Place, sshd: &Sshd) -> Result<()> {
    let trip = 2 * ONE_WAY;
    eprintln!("{HOSTS} hosts, {} ms away", trip.as_millis());
    page.section(
        &format!("Hosts {} ms away", trip.as_millis()),
        &format!(
            "The same sshd {HOSTS} times, each through a wire of its own that holds every byte up for {} ms. The \
             connections are there. Over a round trip: what is left of the median.",
            ONE_WAY.as_millis()
        ),
        "| what | calls | ms | over a round trip, ms |",
    );
    let wires: Vec<u16> = (0..HOSTS).map(|_| delayed(sshd.port())).collect::<Result<_>>()?;
    let hosts = Hosts::new(sshd, &wires)?;
    let mut server = hosts.gateway(place.dockmaster)?;
    let trip = trip.as_secs_f64() * 1e3;
    let mut row = |page: &mut Page, what: &str, tool: &str, host: &str| {
        let arguments = json!({ "host": host });
        for _ in 0..2 {
            server.call(tool, &arguments)?;
        }
        let mut times = Series::default();
        for _ in 0..FAR_CALLS {
            times.time(|| server.call(tool, &arguments))?;
        }
        let median = times.median();
        page.row(&[
            what,
            &FAR_CALLS.to_string(),
            &times.cell(),
            &milliseconds(median - trip),
        ]);
        anyhow::Ok(median)
    };
    let one = row(page, "one host (`ping_engine`)", "ping_engine", "far0")?;
    let list = row(
        page,
        "all hosts, side by side (`list_containers`)",
        "list_containers",
        "*",
    )?;
    let over = one - trip;
    page.target(
        "each later call, over a network round trip",
        "≤ 1 ms",
        &format!("{} ms", milliseconds(over)),
        over <= 1.0,
    );
    let trips = list / trip;
    page.target(
        "a list over ten hosts that are 40 ms away",
        "≤ 2 round trips",
        &format!("{trips:.2}"),
        trips <= 2.0,
    );
    Ok(())
}

/// A port whose connections go to `port`, each byte late. It lives as long as this process.
fn delayed(port: u16) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let own = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                continue;
            };
            // One that can't be set up is closed, and the measurement fails.
            let _ = late(&near, &far).and_then(|()| late(&far, &near));
        }
    });
    Ok(own)
}

/// Takes what comes from one end to the other, late.
fn late(from: &TcpStream, to: &TcpStream) -> Result<()> {
    from.set_nodelay(true)?;
    let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        for (due, bytes) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Write).ok();
    });
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let part = bytes.get(..count).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + ONE_WAY, part)).is_err() {
                break;
            }
        }
    });
    Ok(())
}
