//! What distance does: hosts behind a wire that holds every byte up, beside the least that such a wire costs anybody; a
//! server that runs on such a host; and a link that is cut for half a minute.

use crate::Place;
use crate::attach;
use crate::client::Client;
use crate::container;
use crate::echo::{ECHO, Era};
use crate::far::Hosts;
use crate::figures::{Series, fine, milliseconds};
use crate::front::Home;
use crate::http::Connection;
use crate::machine::socket;
use crate::page::Page;
use crate::relay::echo_call;
use crate::stdio::Server;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use testkit::{Scope, Sshd, ThreeHosts};

const CALLS: usize = 40;
const HOSTS: usize = 10;
/// From one end of the wire to the other.
const ONE_WAY: Duration = Duration::from_millis(20);
/// How long the link is cut.
const CUT: Duration = Duration::from_secs(30);

pub(crate) fn wire(page: &mut Page, place: &Place, sshd: &Sshd) -> Result<()> {
    let nominal = 2 * ONE_WAY;
    eprintln!("{HOSTS} hosts, {} ms away", nominal.as_millis());
    page.section(
        &format!("Hosts {} ms away", nominal.as_millis()),
        &format!(
            "The same sshd {HOSTS} times, each through a wire of its own that holds every byte up for {} ms. The \
             connections are there. What a wire costs anybody is a byte that comes back through one, in turns with the \
             calls: two threads wake late on each way. Beside it the least that a request through SSH costs, `/_ping` on one \
             kept connection through `ssh -L` to the daemon's socket. Over a round trip: what is left of the median over \
             that byte's.",
            ONE_WAY.as_millis()
        ),
        "| what | calls | ms | over a round trip, ms |",
    );
    let wires: Vec<u16> = (0..HOSTS).map(|_| delayed(sshd.port())).collect::<Result<_>>()?;
    let hosts = Hosts::new(sshd, &wires, "")?;
    let mut server = hosts.gateway(place.dockmaster)?;
    let mut byte = Byte::over(Way::Delayed)?;
    let mut forwarded = Forwarded::through(sshd, delayed(sshd.port())?)?;
    let mut trips = Series::default();
    let mut floor = Series::default();
    let mut row = |page: &mut Page, what: &str, tool: &str, host: &str| {
        let arguments = json!({ "host": host });
        for _ in 0..2 {
            server.call(tool, &arguments)?;
            forwarded.connection.get("/_ping")?;
        }
        let (mut times, mut own) = (Series::default(), Series::default());
        for _ in 0..CALLS {
            own.time(|| byte.there_and_back())?;
            trips.time(|| byte.there_and_back())?;
            floor.time(|| forwarded.connection.get("/_ping"))?;
            times.time(|| server.call(tool, &arguments))?;
        }
        let (median, over) = (times.median(), times.median() - own.median());
        page.row(&[what, &CALLS.to_string(), &times.cell(), &milliseconds(over)]);
        anyhow::Ok((median, over))
    };
    let (_, over) = row(page, "one host (`ping_engine`)", "ping_engine", "far0")?;
    let (list, _) = row(
        page,
        "all hosts, side by side (`list_containers`)",
        "list_containers",
        "*",
    )?;
    let trip = trips.median();
    let calls = (2 * CALLS).to_string();
    page.row(&["a byte there and back", &calls, &trips.cell(), ""]);
    page.row(&[
        "`/_ping` by `ssh -L`, on one kept connection",
        &calls,
        &floor.cell(),
        &milliseconds(floor.median() - trip),
    ]);
    page.target(
        "each later call, over a network round trip, after 40 ms of rest",
        "≤ 1 ms",
        &format!("{} ms", milliseconds(over)),
        over <= 1.0,
    );
    let trips = list / (nominal.as_secs_f64() * 1e3);
    page.target(
        "a list over ten hosts that are 40 ms away",
        "≤ 2 round trips",
        &format!("{trips:.2}"),
        trips <= 2.0,
    );
    Ok(())
}

/// How far away something is on this machine.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Here,
    /// [`ONE_WAY`] each way.
    Delayed,
}

impl Way {
    /// A port by which one gets to `port` like this.
    fn to(self, port: u16) -> Result<u16> {
        match self {
            Self::Here => Ok(port),
            Self::Delayed => delayed(port),
        }
    }
}

/// A byte that somebody at the other end sends back.
pub(crate) struct Byte(TcpStream);

impl Byte {
    pub(crate) fn over(way: Way) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            let mut byte = [0];
            if let Ok((mut stream, _)) = listener.accept() {
                stream.set_nodelay(true).ok();
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            }
        });
        let stream = TcpStream::connect(("127.0.0.1", way.to(port)?))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub(crate) fn there_and_back(&mut self) -> Result<()> {
        let mut byte = [1];
        self.0.write_all(&byte)?;
        Ok(self.0.read_exact(&mut byte)?)
    }
}

/// The daemon's socket, forwarded by the system's `ssh`, and one connection to it.
struct Forwarded {
    child: Child,
    connection: Connection,
}

impl Forwarded {
    fn through(sshd: &Sshd, port: u16) -> Result<Self> {
        let own = sshd.home().join("forwarded.sock");
        let home = sshd.home();
        let mut child = Command::new("ssh")
            .args(["-N", "-F", "none", "-o", "StrictHostKeyChecking=no"])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "StreamLocalBindUnlink=yes",
            ])
            .args(["-i", &home.join(".ssh/id_ed25519").display().to_string()])
            .args(["-L", &format!("{}:{}", own.display(), socket())])
            .args(["-p", &port.to_string(), &format!("{}@127.0.0.1", Sshd::user())])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start ssh")?;
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(connection) = Connection::unix(&own.display().to_string()) {
                return Ok(Self { child, connection });
            }
            if Instant::now() > until {
                let _ = child.kill();
                anyhow::bail!("ssh -L does not listen");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The trivial server in a container on a far host, beside its twin that is attached to without any way between.
pub(crate) fn servers(page: &mut Page, place: &Place, sshd: &Sshd) -> Result<()> {
    eprintln!("a server on a far host");
    page.section(
        "A server on a host behind SSH",
        "The trivial server in a container, placed on such a host. Of a call through the gateway is taken what a byte takes \
         that comes back over the same way, and what a call of the twin takes that is attached to directly over the engine's \
         socket, all in turns. After 40 ms of rest, as each call over the delaying wire has on both ends, a virtual machine \
         finds its caches cold, and the same instructions take several times as long.",
        "| host | calls | through the gateway, ms | the twin, ms | a byte there and back, ms | added, ms |",
    );
    let scope = Scope::new("bench-far");
    let measured = container::image(place, &scope).and_then(|image| {
        let mut added = |way| added(page, place, sshd, (&scope, &image), way);
        Ok([
            ("one after the other", added(Way::Here)?),
            ("after 40 ms of rest", added(Way::Delayed)?),
        ])
    });
    place.runtime.block_on(scope.finish());
    for (when, added) in measured? {
        page.target(
            &format!("a call to a server on a remote host, over the round trip, {when}"),
            "≤ 0.3 ms",
            &format!("{} ms", fine(added)),
            added <= 0.3,
        );
    }
    Ok(())
}

fn added(
    page: &mut Page,
    place: &Place,
    sshd: &Sshd,
    (scope, image): (&Scope, &str),
    way: Way,
) -> Result<f64> {
    let (host, twins, count) = match way {
        Way::Here => ("on this machine", "twin-here", 10 * CALLS),
        Way::Delayed => ("40 ms away", "twin-far", 2 * CALLS),
    };
    let further = format!(
        "[servers.echo]\nimage = \"{image}\"\nargs = [\"--era\", \"legacy\"]\n[profiles.default.servers.echo]\nhost = \"far0\"\n"
    );
    let hosts = Hosts::new(sshd, &[way.to(sshd.port())?], &further)?;
    let mut server = hosts.gateway(place.dockmaster)?;
    let arguments = json!({ "text": "a word to the wise" });
    server.call(ECHO, &arguments)?;
    let mut twin = place.runtime.block_on(twin(scope, image, twins))?;
    let request = echo_call(&twin);
    let mut byte = Byte::over(way)?;
    let (mut calls, mut direct, mut trips) = (Series::default(), Series::default(), Series::default());
    for _ in 0..count {
        trips.time(|| byte.there_and_back())?;
        direct.time(|| twin.once(&request))?;
        calls.time(|| server.call(ECHO, &arguments))?;
    }
    let added = calls.median() - direct.median() - trips.median();
    page.row(&[
        host,
        &count.to_string(),
        &calls.fine_cell(),
        &direct.fine_cell(),
        &trips.fine_cell(),
        &fine(added),
    ]);
    Ok(added)
}

async fn twin(scope: &Scope, image: &str, name: &str) -> Result<Client> {
    let body = json!({
        "Image": image, "Cmd": ["--era", "legacy"], "OpenStdin": true, "StdinOnce": true,
        "AttachStdin": true, "AttachStdout": true, "HostConfig": { "NetworkMode": "none" },
    });
    let id = scope.create(name, body).await;
    let (output, input) = attach::attach(&socket(), &id)?;
    let daemon = scope.daemon();
    daemon
        .post(&format!("/containers/{id}/start"), &Value::Null)
        .await
        .ok();
    Client::over_pipe(output, input, Era::Legacy)
}

/// A link that is cut for half a minute, and calls that go on all the while.
pub(crate) fn cut(page: &mut Page, place: &Place) -> Result<()> {
    let Ok(hosts) = ThreeHosts::take() else {
        eprintln!("without a link to cut: this machine makes no network namespaces");
        return Ok(());
    };
    eprintln!("a link that is cut for {} s", CUT.as_secs());
    let home = Home::new("[hosts.two]\nendpoint = \"ssh://two\"\n")?;
    let mut environment = home.environment();
    environment.push(("HOME".to_owned(), hosts.home().display().to_string()));
    let command = [place.dockmaster, "gateway", "run"].map(str::to_owned);
    let mut server = Server::start(&command, &environment)?;
    let scope = Scope::on(hosts.daemon("two"), "bench-cut");
    let wish = json!({
        "name": "create_container", "arguments": {
            "host": "two", "image": place.runtime.block_on(testkit::image_on(scope.daemon())), "labels": scope.labels(),
        },
    });
    let (mut made, mut unknown, mut failed) = (0_usize, 0_usize, 0_usize);
    let mut longest = Duration::ZERO;
    let mut once = |server: &mut Server| -> Result<bool> {
        let begun = Instant::now();
        let answer = server.request("tools/call", &wish)?;
        longest = longest.max(begun.elapsed());
        let text = answer.text();
        let is_made = answer.message["result"]["isError"] != true;
        if is_made {
            made += 1;
        } else if text.contains("may have happened") {
            unknown += 1;
        } else {
            ensure!(text.contains("on host two"), "{text}");
            failed += 1;
        }
        Ok(is_made)
    };
    for _ in 0..3 {
        ensure!(once(&mut server)?, "the host does not work before the cut");
    }
    hosts.run(&["cut", "two"]);
    let begun = Instant::now();
    let first_after = std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(CUT);
            hosts.run(&["heal", "two"]);
        });
        loop {
            ensure!(begun.elapsed() < 5 * CUT, "the host does not work after the cut");
            if once(&mut server)? && begun.elapsed() >= CUT {
                return Ok(begun.elapsed().saturating_sub(CUT));
            }
        }
    })?;
    for _ in 0..3 {
        ensure!(once(&mut server)?, "the host does not work after the cut");
    }
    drop(server);
    let list = place
        .runtime
        .block_on(scope.daemon().get("/containers/json?all=1"))
        .ok()
        .json();
    let is_ours = |container: &&Value| container["Labels"][Scope::KEY] == scope.value();
    let there = list.as_array().into_iter().flatten().filter(is_ours).count();
    place.runtime.block_on(scope.finish());
    drop(hosts);
    page.section(
        &format!("A link that is cut for {} s", CUT.as_secs()),
        "A host in a network namespace of its own, and one `create_container` after the other, without names. The link is \
         cut, and healed half a minute later; the gateway goes on.",
        "| calls that made a container | that failed | that may have | the longest | the first that works, after healing \
         | containers there |",
    );
    page.row(&[
        &made.to_string(),
        &failed.to_string(),
        &unknown.to_string(),
        &format!("{:.1} s", longest.as_secs_f64()),
        &format!("{:.1} s", first_after.as_secs_f64()),
        &there.to_string(),
    ]);
    let is_right = (made..=made + unknown).contains(&there);
    page.target(
        "a link cut for 30 s: containers made, of calls that say so and calls that can't know",
        "none twice",
        &format!("{there} of {made} and {unknown}"),
        is_right,
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
