//! What the relay costs: the trivial server called directly and through the gateway, in turns, by every way in and out;
//! and through other programs that relay.

use crate::Place;
use crate::client::{Client, Endpoint, Request, calls, flood};
use crate::echo::{ECHO, Era};
use crate::figures::{Series, fine};
use crate::front::{Environment, Front, Home, Way, echo, free_port};
use crate::page::Page;
use crate::process::{OneCpu, cpu, own_cpu, own_memory};
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, Instant};

/// Calls one after the other of one side, before it is the other side's turn.
const BURST: usize = 50;
const BURSTS: usize = 60;
/// Calls under way at any time when many come side by side.
const WIDE: usize = 16;
const FLOOD: usize = 20_000;
/// The peers need longer for each.
const PEER_BURSTS: usize = 40;
const PEER_FLOOD: usize = 2_000;

/// A way through the gateway.
struct Route {
    way: Way,
    client: Era,
    /// How the server is reached.
    behind: Way,
    server: Era,
}

const fn route(way: Way, client: Era, behind: Way, server: Era) -> Route {
    Route {
        way,
        client,
        behind,
        server,
    }
}

impl Route {
    fn measure(&self, place: &Place) -> Result<(Compared, Wide)> {
        let mut direct = match self.behind {
            Way::Stdio => Front::stdio(&echo(&place.this, self.server), &[], self.server)?,
            Way::Http => Front::echo_http(&place.this, self.server)?,
        };
        // The HTTP server behind the gateway is the one that is called directly; of processes each has its own.
        let server = match direct.client.endpoint() {
            None => format!("command = {:?}", echo(&place.this, self.server)),
            Some(endpoint) => format!("url = \"http://{}{}\"", endpoint.authority, endpoint.path),
        };
        let home = Home::new(&config(&server))?;
        let mut through = Front::gateway(place.dockmaster, &home, self.way, self.client)?;
        wait_for_tools(&mut through.client, 1)?;
        let compared = in_turns(&mut direct.client, &mut through, BURSTS)?;
        Ok((compared, wide(&mut through, FLOOD)?))
    }
}

const ROUTES: [Route; 9] = [
    route(Way::Stdio, Era::Legacy, Way::Stdio, Era::Legacy),
    route(Way::Stdio, Era::Modern, Way::Stdio, Era::Modern),
    route(Way::Stdio, Era::Legacy, Way::Stdio, Era::Modern),
    route(Way::Stdio, Era::Modern, Way::Stdio, Era::Legacy),
    route(Way::Stdio, Era::Modern, Way::Http, Era::Modern),
    route(Way::Http, Era::Legacy, Way::Stdio, Era::Legacy),
    route(Way::Http, Era::Modern, Way::Stdio, Era::Modern),
    route(Way::Http, Era::Legacy, Way::Http, Era::Legacy),
    route(Way::Http, Era::Modern, Way::Http, Era::Modern),
];

/// The call of which all of this is about.
pub(crate) fn echo_call(client: &Client) -> Request {
    client.call(
        ECHO,
        &json!({ "text": "a word to the wise" }),
        "a word to the wise",
    )
}

/// Calls made directly and through something, in turns, and many side by side.
pub(crate) struct Compared {
    pub(crate) direct: Series,
    pub(crate) through: Series,
    /// CPU in milliseconds that each call cost what is in between.
    pub(crate) cpu: f64,
}

impl Compared {
    pub(crate) fn added(&self) -> f64 {
        self.through.median() - self.direct.median()
    }

    pub(crate) fn added_slow(&self) -> f64 {
        self.through.slow() - self.direct.slow()
    }
}

/// Turns of [`BURST`] calls each, after as many that do not count; all on one CPU.
pub(crate) fn in_turns(direct: &mut Client, through: &mut Front, bursts: usize) -> Result<Compared> {
    let _together = OneCpu::new();
    let (near, far) = (echo_call(direct), echo_call(&through.client));
    calls(direct, &near, BURST, &mut Series::default())?;
    calls(&mut through.client, &far, BURST, &mut Series::default())?;
    let before = own_cpu(through.process.pid());
    let mut compared = Compared {
        direct: Series::default(),
        through: Series::default(),
        cpu: 0.0,
    };
    for _ in 0..bursts {
        calls(direct, &near, BURST, &mut compared.direct)?;
        calls(&mut through.client, &far, BURST, &mut compared.through)?;
    }
    compared.cpu = per_call(before, through.process.pid(), bursts * BURST);
    Ok(compared)
}

/// CPU a call in milliseconds, where [`own_cpu`] was `before`.
#[expect(clippy::cast_precision_loss, reason = "some thousand calls")]
pub(crate) fn per_call(before: f64, pid: u32, calls: usize) -> f64 {
    (own_cpu(pid) - before) / calls as f64
}

/// Many side by side.
struct Wide {
    per_second: f64,
    /// CPU in milliseconds a call: of what is measured, and of this load generator.
    cpu: f64,
    generator: f64,
}

fn wide(front: &mut Front, count: usize) -> Result<Wide> {
    let request = echo_call(&front.client);
    flood(&mut front.client, &request, WIDE, WIDE * 10)?;
    let (pid, own) = (front.process.pid(), std::process::id());
    let (before, generator) = (own_cpu(pid), cpu(own));
    let per_second = flood(&mut front.client, &request, WIDE, count)?;
    #[expect(clippy::cast_precision_loss, reason = "some thousand calls")]
    let generator = (cpu(own) - generator) / count as f64;
    Ok(Wide {
        per_second,
        cpu: per_call(before, pid, count),
        generator,
    })
}

/// A configuration with one server that is called `echo`.
pub(crate) fn config(server: &str) -> String {
    format!("[instances]\ncommands = true\n\n[servers.echo]\n{server}\n\n[profiles.default.servers.echo]\n")
}

pub(crate) fn measure(page: &mut Page, place: &Place) {
    page.section(
        "Relay",
        &format!(
            "A trivial server of ours (`bench serve-echo`) called directly and through the gateway, in turns of {BURST} \
             calls, by one client that waits for each answer; then {WIDE} calls side by side, by one thread with \
             requests made beforehand. *Added* is the difference of the medians, and of the 99th percentiles. The \
             server is called directly over the same transport by which the gateway calls it. CPU is the gateway's. \
             Until the calls come side by side, client, gateway and server share one CPU: on a virtual machine waking \
             another one costs more than relaying, and each time something else."
        ),
        "| client → server | eras | directly, ms | through the gateway, ms | added, p50 | added, p99 | CPU a call, ms \
         | calls/s, 16 wide | CPU a call then | the generator's own |",
    );
    let [mut stdio, mut http, mut cpu, mut wide_cpu, mut slowest] = [(); 5].map(|()| Worst::default());
    for route in &ROUTES {
        let name = format!("{} → {}", route.way.name(), behind(route.behind));
        let eras = format!("{} → {}", route.client.name(), route.server.name());
        eprintln!("relay {name}, {eras}");
        let label = format!("{name}, {eras}");
        let added = match route.way {
            Way::Stdio => &mut stdio,
            Way::Http => &mut http,
        };
        // The targets are for a server on this machine; what a second HTTP exchange costs stands beside it.
        let counts = route.behind == Way::Stdio;
        let (compared, wide) = match route.measure(place) {
            Ok(measured) => measured,
            Err(error) => {
                let why = format!("failed: {error:#}").replace(['|', '\n'], " ");
                page.row(&[&name, &eras, &why, "", "", "", "", "", "", ""]);
                for worst in [added, &mut cpu, &mut wide_cpu, &mut slowest] {
                    worst.note(f64::INFINITY, &label);
                }
                continue;
            }
        };
        page.row(&[
            &name,
            &eras,
            &compared.direct.fine_cell(),
            &compared.through.fine_cell(),
            &fine(compared.added()),
            &fine(compared.added_slow()),
            &fine(compared.cpu),
            &format!("{:.0}", wide.per_second),
            &fine(wide.cpu),
            &fine(wide.generator),
        ]);
        if counts {
            added.note(compared.added(), &label);
            cpu.note(compared.cpu, &label);
            wide_cpu.note(wide.cpu, &label);
            slowest.note(-wide.per_second, &label);
        }
    }
    let target = |page: &mut Page, what: &str, worst: &Worst, most: f64| {
        let here = format!("{} ms ({})", fine(worst.value), worst.label);
        let here = if worst.value.is_finite() {
            here
        } else {
            worst.failed()
        };
        page.target(what, &format!("≤ {most:.2} ms"), &here, worst.value <= most);
    };
    for (what, worst, most) in [
        ("a call to a local server adds, over stdio", &stdio, 0.10),
        ("a call to a local server adds, over HTTP", &http, 0.15),
        ("CPU of the gateway such a call, one after the other", &cpu, 0.06),
        ("CPU of the gateway such a call, 16 side by side", &wide_cpu, 0.06),
    ] {
        target(page, &format!("{what}, at worst"), worst, most);
    }
    let least = -slowest.value;
    let here = format!("{least:.0}/s ({})", slowest.label);
    let here = if least.is_finite() { here } else { slowest.failed() };
    let met = least >= 10_000.0;
    page.target("such calls, 16 side by side, at worst", "≥ 10 000/s", &here, met);
}

const fn behind(way: Way) -> &'static str {
    match way {
        Way::Stdio => "process",
        Way::Http => "HTTP",
    }
}

/// The largest of some figures, and whose it is.
#[derive(Default)]
struct Worst {
    value: f64,
    label: String,
}

impl Worst {
    fn failed(&self) -> String {
        format!("failed: {}", self.label)
    }

    fn note(&mut self, value: f64, label: &str) {
        if self.label.is_empty() || value > self.value {
            (self.value, self.label) = (value, label.to_owned());
        }
    }
}

/// Waits until `servers` trivial servers are listed; gives how many tools there are in all.
pub(crate) fn wait_for_tools(client: &mut Client, servers: usize) -> Result<usize> {
    let deadline = Instant::now() + Duration::from_secs(20 + 5 * servers as u64);
    loop {
        let list = client.ask("tools/list", json!({}))?;
        let tools = list["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        let echoes = tools
            .iter()
            .filter(|tool| tool["name"].as_str().is_some_and(|name| name.ends_with(ECHO)));
        if echoes.count() >= servers {
            return Ok(tools.len());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "after {} s, {} tools are listed, and none of the server behind it",
            20 + 5 * servers,
            tools.len()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Programs that put a stdio server behind HTTP, all before the same server.
pub(crate) fn peers(page: &mut Page, place: &Place) -> Result<()> {
    page.section(
        "Relays beside ours",
        &format!(
            "The same trivial server as a local process behind Streamable HTTP, legacy era: by this program, and by \
             what installs from PyPI and npm; measured as above, {} calls each. Memory is that of the relay alone, \
             after all calls. The bare relay is the system's share: one `recv`, `write`, `read` and `send` a call, a thread \
             for each connection, and nothing looked at.",
            PEER_BURSTS * BURST
        ),
        "| relay | through it, ms | added, p50 | added, p99 | CPU a call, ms | calls/s, 16 wide | CPU a call then | \
         memory, MiB |",
    );
    let behind = echo(&place.this, Era::Legacy);
    let home = Home::new(&config(&format!("command = {behind:?}")))?;
    eprintln!("relay by dockmaster");
    let own = Front::gateway(place.dockmaster, &home, Way::Http, Era::Legacy)?;
    peer(page, place, "dockmaster", own)?;
    let bare = Front::bare_relay(&place.this, Era::Legacy)?;
    peer(page, place, "a bare relay", bare)?;

    let python = place.peers.join("mcp-proxy/bin/mcp-proxy");
    let script = place.peers.join("supergateway/node_modules/.bin/supergateway");
    let quoted = behind.join(" ");
    for (name, program, arguments) in [
        ("mcp-proxy (PyPI)", &python, {
            let mut arguments = ["--pass-environment", "--port", "PORT", "--"]
                .map(str::to_owned)
                .to_vec();
            arguments.extend(behind.clone());
            arguments
        }),
        ("supergateway (npm), stateful", &script, {
            let fixed = [
                "--outputTransport",
                "streamableHttp",
                "--stateful",
                "--logLevel",
                "none",
            ];
            let mut arguments = fixed.map(str::to_owned).to_vec();
            arguments.extend(["--port", "PORT", "--stdio", &quoted].map(str::to_owned));
            arguments
        }),
    ] {
        if !program.exists() {
            page.row(&[name, "not installed", "", "", "", "", "", ""]);
            continue;
        }
        eprintln!("relay by {name}");
        let port = free_port()?;
        let endpoint = Endpoint {
            authority: format!("127.0.0.1:{port}"),
            path: "/mcp".to_owned(),
            headers: String::new(),
        };
        let mut command = vec![program.display().to_string()];
        command.extend(arguments.into_iter().map(|word| match word.as_str() {
            "PORT" => port.clone(),
            _ => word,
        }));
        let environment: &Environment = &[];
        let measured = Front::http(&command, environment, &endpoint, Era::Legacy)
            .and_then(|front| peer(page, place, name, front));
        if let Err(error) = measured {
            let why = format!("failed: {error:#}").replace(['|', '\n'], " ");
            page.row(&[name, &why, "", "", "", "", "", ""]);
        }
    }
    Ok(())
}

fn peer(page: &mut Page, place: &Place, name: &str, mut through: Front) -> Result<()> {
    wait_for_tools(&mut through.client, 1)?;
    let mut direct = Front::stdio(&echo(&place.this, Era::Legacy), &[], Era::Legacy)?;
    let compared = in_turns(&mut direct.client, &mut through, PEER_BURSTS)?;
    let wide = wide(&mut through, PEER_FLOOD)?;
    page.row(&[
        name,
        &compared.through.fine_cell(),
        &fine(compared.added()),
        &fine(compared.added_slow()),
        &fine(compared.cpu),
        &format!("{:.0}", wide.per_second),
        &fine(wide.cpu),
        &format!("{:.1}", own_memory(through.process.pid())),
    ]);
    Ok(())
}
