//! Twenty servers in containers: a start that needs none of them, and what they cost this program in memory.

use crate::Place;
use crate::container::image;
use crate::echo::{ECHO, Era};
use crate::figures::milliseconds;
use crate::front::{Front, Home, Way};
use crate::measure;
use crate::page::Page;
use crate::process::own_memory;
use crate::relay::wait_for_tools;
use anyhow::{Result, ensure};
use serde_json::json;
use std::fmt::Write;
use std::time::Duration;
use testkit::Scope;

const SERVERS: usize = 20;
const STARTS: usize = 50;
/// So many calls each server has answered before memory is read.
const CALLS: usize = 10;

pub(crate) fn measure(page: &mut Page, place: &Place) -> Result<()> {
    let scope = Scope::new("bench-twenty");
    let measured = rows(page, place, &scope);
    place.runtime.block_on(scope.finish());
    measured
}

fn rows(page: &mut Page, place: &Place, scope: &Scope) -> Result<()> {
    page.section(
        "Twenty servers in containers",
        &format!(
            "{SERVERS} servers in containers are switched on beside the Docker server, and what they list is known from an \
             earlier run. Start: from spawning the process to the whole answer to `tools/list`, {STARTS} times; no \
             container runs. Then all {SERVERS} are called {CALLS} times each, so all run. Memory is the gateway's \
             alone, a second after."
        ),
        "| what | ms | tools | memory, MiB |",
    );
    let image = image(place, scope)?;
    let home = Home::new(&config(&image))?;
    eprintln!("{SERVERS} containers, to know what they list");
    let tools = {
        let mut first = Front::gateway(place.dockmaster, &home, Way::Stdio, Era::Legacy)?;
        wait_for_tools(&mut first.client, SERVERS)?
    };
    eprintln!("{SERVERS} servers, start");
    let command = [place.dockmaster, "gateway", "run"].map(str::to_owned);
    let start = measure::start(&command, &home.environment(), STARTS)?;
    ensure!(
        start.tools == tools,
        "{} tools are listed, not {tools}",
        start.tools
    );
    page.row(&[
        "start",
        &start.times.cell(),
        &start.tools.to_string(),
        &format!("{:.1}", start.idle),
    ]);
    let median = start.times.median();
    page.target(
        "start to the answered tools/list, twenty servers in containers",
        "≤ 20 ms",
        &format!("{} ms", milliseconds(median)),
        median <= 20.0,
    );
    page.target(
        "memory when idle, with them",
        "≤ 15 MiB",
        &format!("{:.1} MiB", start.idle),
        start.idle <= 15.0,
    );

    eprintln!("{SERVERS} containers, live");
    let mut front = Front::gateway(place.dockmaster, &home, Way::Stdio, Era::Legacy)?;
    front.client.ask("tools/list", json!({}))?;
    std::thread::sleep(Duration::from_secs(1));
    let before = own_memory(front.process.pid());
    for number in 0..SERVERS {
        let tool = format!("{}_{ECHO}", name(number));
        let request = front
            .client
            .call(&tool, &json!({ "text": "are you there" }), "are you there");
        for _ in 0..CALLS {
            front.client.once(&request)?;
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    let live = own_memory(front.process.pid());
    let running = running(place, scope, &image);
    ensure!(running == SERVERS, "{running} containers run, not {SERVERS}");
    #[expect(clippy::cast_precision_loss, reason = "twenty")]
    let each = (live - before) / SERVERS as f64;
    page.row(&["all twenty run", "", &tools.to_string(), &format!("{live:.1}")]);
    page.target(
        "memory of ours per live container",
        "≤ 0.5 MiB",
        &format!("{each:.2} MiB"),
        each <= 0.5,
    );
    Ok(())
}

fn name(number: usize) -> String {
    format!("echo-{number}")
}

fn config(image: &str) -> String {
    let mut config = String::new();
    for number in 0..SERVERS {
        let name = name(number);
        // Writing to a String cannot fail.
        write!(
            config,
            "[servers.{name}]\nimage = \"{image}\"\n\n[profiles.default.servers.{name}]\nprefix = \"{name}\"\n\
             memory = \"64MiB\"\n\n"
        )
        .ok();
    }
    config
}

/// Containers of the image that run.
fn running(place: &Place, scope: &Scope, image: &str) -> usize {
    let list = scope.daemon().get("/containers/json");
    let list = place.runtime.block_on(list).ok().json();
    let containers = list.as_array().into_iter().flatten();
    containers
        .filter(|container| {
            container["Labels"]["dockmaster.image"]
                .as_str()
                .is_some_and(|name| name.ends_with(image))
        })
        .count()
}
