//! The Docker server: what it costs a model and a user, beside the daemon itself and its peers.

use crate::echo::Era;
use crate::figures::{Series, fine, milliseconds, thousands, tokens};
use crate::fixture::{CONTAINERS, Fixture, LINES};
use crate::front::{Front, Home};
use crate::http::Connection;
use crate::machine;
use crate::measure::{self, Flood, Gateway, WIDE};
use crate::page::Page;
use crate::process::{OneCpu, own_cpu};
use crate::relay::per_call;
use crate::stdio::Server;
use crate::subject::{self, Call, Subject};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

const CALLS: usize = 200;
/// More, since CPU is counted in hundredths of a second.
const INSPECTS: usize = 2_000;
/// A peer needs up to a second for a list of 100.
const PEER_CALLS: usize = 20;
const FLOOD: usize = WIDE * 50;

/// What is measured and where.
struct Bench<'a> {
    dockmaster: &'a str,
    own: Subject,
    inspect: Call,
    peers: Vec<Subject>,
    environment: Vec<(String, String)>,
    socket: String,
    fixture: &'a Fixture,
    page: &'a mut Page,
}

/// Measures what the Docker server costs, beside its peers.
pub(crate) fn measure(page: &mut Page, dockmaster: &str, peers: &Path, fixture: &Fixture) -> Result<()> {
    let home = Home::new("")?;
    let mut bench = Bench {
        dockmaster,
        own: subject::own(dockmaster, &fixture.talker),
        inspect: subject::inspect(&fixture.one),
        peers: subject::peers(peers, &fixture.talker),
        // A fresh home: no configuration, an empty audit file.
        environment: home.environment(),
        socket: machine::socket(),
        fixture,
        page,
    };
    bench.starts()?;
    bench.toolsets()?;
    bench.lists()?;
    bench.inspects()?;
    bench.logs()?;
    bench.floods()?;
    bench.size()
}

impl Bench<'_> {
    fn starts(&mut self) -> Result<()> {
        self.page.section(
            "Start",
            "From spawning the process to the whole answer to `tools/list`, over stdio; memory one second later.",
            "| server | starts | ms | memory, MiB | tools | answer, tokens |",
        );
        let own = self.start(0)?;
        let (median, idle) = (own.times.median(), own.idle);
        self.page.target(
            "start to the answered tools/list",
            "≤ 10 ms",
            &format!("{} ms", milliseconds(median)),
            median <= 10.0,
        );
        self.page.target(
            "memory when idle",
            "≤ 12 MiB",
            &format!("{idle:.1} MiB"),
            idle <= 12.0,
        );
        for peer in 1..=self.peers.len() {
            self.start(peer)?;
        }
        Ok(())
    }

    /// Measures the start of subject `number`: 0 is this program.
    fn start(&mut self, number: usize) -> Result<measure::Start> {
        let subject = self.subject(number);
        let (name, starts) = (subject.name, subject.starts);
        eprintln!("start of {name}");
        let start = measure::start(&subject.command, &self.environment, starts)?;
        self.page.row(&[
            name,
            &starts.to_string(),
            &start.times.cell(),
            &format!("{:.1}", start.idle),
            &start.tools.to_string(),
            &tokens(start.list_bytes),
        ]);
        Ok(start)
    }

    fn subject(&self, number: usize) -> &Subject {
        number.checked_sub(1).map_or(&self.own, |peer| &self.peers[peer])
    }

    fn toolsets(&mut self) -> Result<()> {
        self.page.section(
            "Toolsets",
            "What `tools/list` costs a model.",
            "| toolset | tools | answer, bytes | tokens |",
        );
        for (toolset, most) in [
            ("standard", Some(3_200)),
            ("compact", Some(1_300)),
            ("full", None),
        ] {
            let command = [self.dockmaster, "gateway", "run", "--toolset", toolset].map(str::to_owned);
            let start = measure::start(&command, &self.environment, 1)?;
            let bytes = start.list_bytes;
            self.page.row(&[
                toolset,
                &start.tools.to_string(),
                &thousands(bytes),
                &tokens(bytes),
            ]);
            if let Some(most) = most {
                let (what, limit) = (
                    format!("`{toolset}` tools/list"),
                    format!("≤ {} tokens", thousands(most)),
                );
                self.page.target(
                    &what,
                    &limit,
                    &format!("{} tokens", tokens(bytes)),
                    bytes.div_ceil(4) <= most,
                );
            }
        }
        Ok(())
    }

    fn lists(&mut self) -> Result<()> {
        let others = self.fixture.others;
        self.page.section(
            "List of containers",
            &format!(
                "All {} containers of the engine: {CONTAINERS} with the labels of a compose project and three variables, \
                 and {others} that were there. The daemon's own time is that of the same list over its socket; it and \
                 ours are measured in turns.",
                CONTAINERS + others
            ),
            "| server | calls | ms | text, tokens | whole answer, bytes |",
        );
        eprintln!("lists");
        let mut daemon_times = Series::default();
        let mut connection = Connection::unix(&self.socket)?;
        let mut server = Server::start(&self.own.command, &self.environment)?;
        let between = measure::daemon(&mut connection, "/containers/json?all=1", &mut daemon_times);
        let own = measure::calls(&mut server, &self.own.list, CALLS, between)?;
        let bytes = connection.get("/containers/json?all=1")?.body.len();
        self.page.row(&[
            "the daemon itself",
            &CALLS.to_string(),
            &daemon_times.cell(),
            "",
            &thousands(bytes),
        ]);
        let name = self.own.name;
        self.page.row(&[
            name,
            &CALLS.to_string(),
            &own.times.cell(),
            &tokens(own.text_bytes),
            &thousands(own.answer_bytes),
        ]);
        let used = tokens(own.text_bytes);
        self.page.target(
            "list of 100 containers",
            "≤ 1 800 tokens",
            &format!("{used} tokens"),
            own.text_bytes <= 7_200,
        );
        let share = own.times.median() / daemon_times.median();
        self.page.target(
            "its time over the daemon's own",
            "≤ 1.5 ×",
            &format!("{share:.2} ×"),
            share <= 1.5,
        );
        for number in 0..self.peers.len() {
            let peer = &self.peers[number];
            let mut server = Server::start(&peer.command, &self.environment)?;
            let calls = measure::calls(&mut server, &peer.list, PEER_CALLS, || Ok(()))?;
            let name = peer.name;
            let (text, answer) = (tokens(calls.text_bytes), thousands(calls.answer_bytes));
            self.page
                .row(&[name, &PEER_CALLS.to_string(), &calls.times.cell(), &text, &answer]);
        }
        Ok(())
    }

    fn inspects(&mut self) -> Result<()> {
        self.page.section(
            "Inspect",
            "One container. None of these peers has such a tool. A call of the daemon itself and one of ours in turns, so \
             that it has rested as long before the one as before the other, by a client with requests made beforehand. \
             Client and server share one CPU, the daemon has all.",
            "| server | calls | ms | CPU of it a call, ms | text, tokens |",
        );
        eprintln!("inspect");
        let path = format!("/containers/{}/json", self.fixture.one);
        let (mut daemon_times, mut times) = (Series::default(), Series::default());
        let mut connection = Connection::unix(&self.socket)?;
        let Front {
            ref mut client,
            ref process,
            ..
        } = Front::stdio(&self.own.command, &self.environment, Era::Legacy)?;
        let Call { tool, arguments } = &self.inspect;
        let answer = client.ask("tools/call", json!({"name": tool, "arguments": arguments}))?;
        let text_bytes = answer["content"][0]["text"].as_str().map_or(0, str::len);
        let request = client.call(tool, arguments, "\"content\"");
        let mut daemon = measure::daemon(&mut connection, &path, &mut daemon_times);
        let together = OneCpu::new();
        let before = own_cpu(process.pid());
        for _ in 0..INSPECTS {
            daemon()?;
            times.time(|| client.once(&request))?;
        }
        let cpu = per_call(before, process.pid(), INSPECTS);
        drop(together);
        drop(daemon);
        let bytes = connection.get(&path)?.body.len();
        let count = INSPECTS.to_string();
        self.page.row(&[
            "the daemon itself",
            &count,
            &daemon_times.cell(),
            "",
            &tokens(bytes),
        ]);
        let text = tokens(text_bytes);
        self.page
            .row(&[self.own.name, &count, &times.cell(), &fine(cpu), &text]);
        let used = format!("{text} tokens");
        self.page
            .target("inspect digest", "≤ 400 tokens", &used, text_bytes <= 1_600);
        let over = times.median() - daemon_times.median();
        self.page.target(
            "its time over the daemon's own",
            "≤ 0.3 ms",
            &format!("{} ms, of which {} ms CPU of ours", milliseconds(over), fine(cpu)),
            over <= 0.3,
        );
        Ok(())
    }

    fn logs(&mut self) -> Result<()> {
        self.page.section(
            &format!("{} log lines asked for at once", thousands(LINES)),
            "Memory before the call and at its highest.",
            "| server | ms | text, tokens | whole answer, bytes | memory before, MiB | highest, MiB |",
        );
        for number in 0..=self.peers.len() {
            let subject = self.subject(number);
            let name = subject.name;
            eprintln!("logs by {name}");
            let logs = match measure::logs(subject, &self.environment) {
                Ok(logs) => logs,
                Err(error) if number > 0 => {
                    self.page.row(&[
                        name,
                        &format!("failed: {error}").replace('|', "/"),
                        "",
                        "",
                        "",
                        "",
                    ]);
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.page.row(&[
                name,
                &milliseconds(logs.milliseconds),
                &tokens(logs.text_bytes),
                &thousands(logs.answer_bytes),
                &format!("{:.1}", logs.before),
                &format!("{:.1}", logs.highest),
            ]);
            if number == 0 {
                let used = format!("{} tokens, {:.1} MiB", tokens(logs.text_bytes), logs.highest);
                let met = logs.text_bytes <= 32_000 && logs.highest <= logs.before + 16.0;
                self.page.target(
                    "60 000 log lines",
                    "≤ 8 000 tokens, memory bounded (16 MiB more)",
                    &used,
                    met,
                );
            }
        }
        Ok(())
    }

    fn floods(&mut self) -> Result<()> {
        self.page.section(
            &format!("{WIDE} calls at once"),
            &format!(
                "`inspect_container`, {} calls with {WIDE} under way at any time.",
                thousands(FLOOD)
            ),
            "| way | calls per second | failed |",
        );
        eprintln!("floods");
        let path = format!("/containers/{}/json", self.fixture.one);
        let daemon = measure::flood_connections(
            || Connection::unix(&self.socket),
            |connection| connection.get(&path).map(drop),
            FLOOD,
        )?;
        self.flood("the daemon itself, 64 connections", &daemon);
        let mut server = Server::start(&self.own.command, &self.environment)?;
        let stdio = measure::flood_stdio(&mut server, &self.inspect, FLOOD)?;
        self.flood("dockmaster over stdio", &stdio);
        let gateway = Gateway::start(self.dockmaster, &self.environment)?;
        let call = &self.inspect;
        let http = measure::flood_connections(
            || gateway.open(),
            |connection| gateway.call(connection, call),
            FLOOD,
        )?;
        self.flood("dockmaster over HTTP, 64 connections", &http);
        let failed = stdio.failed + http.failed;
        let here = format!(
            "{failed} errors; {:.0}/s over stdio, {:.0}/s over HTTP",
            stdio.per_second, http.per_second
        );
        self.page
            .target("64 calls at once", "no error", &here, failed == 0);
        Ok(())
    }

    fn flood(&mut self, way: &str, flood: &Flood) {
        self.page.row(&[
            way,
            &format!("{:.0}", flood.per_second),
            &flood.failed.to_string(),
        ]);
    }

    fn size(&mut self) -> Result<()> {
        let bytes = fs_err::metadata(self.dockmaster)?.len();
        let megabytes = format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
        self.page
            .target("executable, stripped", "≤ 25 MB", &megabytes, bytes <= 25_000_000);
        Ok(())
    }
}
