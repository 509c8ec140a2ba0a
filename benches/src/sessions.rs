//! Many sessions over HTTP: held, and abandoned.

use crate::Place;
use crate::client::Client;
use crate::echo::Era;
use crate::front::{Front, Home, Way, echo};
use crate::page::Page;
use crate::process::{handles, own_memory};
use crate::relay::{config, echo_call, wait_for_tools};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

const HELD: usize = 1_000;
const ABANDONED: usize = 10_000;
/// So many MiB more than before count as none: code that was touched meanwhile, and what the allocator keeps.
const ALLOWED: f64 = 4.0;

pub(crate) fn measure(page: &mut Page, place: &Place) -> Result<()> {
    page.section(
        "Sessions",
        &format!(
            "Streamable HTTP, legacy era. {HELD} sessions at once, each with one call made and an \
             open stream; then all ended by DELETE. {ABANDONED} sessions opened and left alone; then ended likewise, \
             as far as the gateway has not ended them itself. Memory and file handles are the gateway's alone."
        ),
        "| when | sessions opened | memory, MiB | file handles |",
    );
    let command = echo(&place.this, Era::Legacy);
    let home = Home::new(&config(&format!("command = {command:?}")))?;
    let mut front = Front::gateway(place.dockmaster, &home, Way::Http, Era::Legacy)?;
    wait_for_tools(&mut front.client, 1)?;
    let request = echo_call(&front.client);
    front.client.once(&request)?;
    let pid = front.process.pid();

    // What the first round takes and does not give back may be the allocator's; what later ones add is a leak.
    let fresh = State::of(pid);
    fresh.row(page, "at the start", 1);
    // One handle is this client's own connection, which the gateway closes once it was idle for long.
    let (before, at_start) = (fresh.handles, fresh.memory);
    let mut after_first = at_start;
    for round in ["first", "second"] {
        eprintln!("{HELD} sessions held, {round} round");
        let held = hold(&front.client)?;
        let state = State::of(pid);
        ensure!(state.handles >= HELD, "the gateway ended streams by itself");
        state.row(page, &format!("held, {round} round"), HELD);
        end(&front.client, held)?;
        let ended = settled(pid, before);
        ended.row(page, "ended", HELD);
        if round == "first" {
            after_first = ended.memory;
        }
    }
    eprintln!("{ABANDONED} sessions abandoned");
    let ids = abandon(&front.client)?;
    State::of(pid).row(page, "abandoned", ABANDONED);
    // The gateway has ended the longest idle ones; a connection that long idle it has closed as well.
    let mut late = front.client.fresh()?;
    forget(&mut late, &ids)?;
    late.once(&echo_call(&late))
        .context("a session that was opened after all")?;
    late.other("DELETE", "")?;
    drop(late);
    let last = settled(pid, before);
    last.row(page, "ended", ABANDONED);

    let left = last.handles.saturating_sub(before);
    let leaked = last.memory - after_first;
    page.target(
        &format!("{HELD} sessions held twice, {ABANDONED} abandoned: no leak after the first round"),
        &format!("≤ {ALLOWED:.0} MiB more, no handle more"),
        &format!("{leaked:+.1} MiB, {left} handles more"),
        leaked <= ALLOWED && left == 0,
    );
    let kept = last.memory - at_start;
    page.target(
        "memory is back when all have ended",
        &format!("≤ {ALLOWED:.0} MiB more than at the start"),
        &format!("{kept:+.1} MiB"),
        kept <= ALLOWED,
    );
    Ok(())
}

struct State {
    memory: f64,
    handles: usize,
}

impl State {
    fn of(pid: u32) -> Self {
        Self {
            memory: own_memory(pid),
            handles: handles(pid),
        }
    }

    fn row(&self, page: &mut Page, when: &str, sessions: usize) {
        let (memory, handles) = (format!("{:.1}", self.memory), self.handles.to_string());
        page.row(&[when, &sessions.to_string(), &memory, &handles]);
    }
}

/// Once no more handles are open than before, or after a time that says that they stay.
fn settled(pid: u32, handles_before: usize) -> State {
    let deadline = Instant::now() + Duration::from_secs(10);
    while handles(pid) > handles_before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Tasks that end and idle threads take a moment more.
    std::thread::sleep(Duration::from_secs(1));
    State::of(pid)
}

/// A session's id and the connection of its stream.
type Held = (String, Client);

fn hold(like: &Client) -> Result<Vec<Held>> {
    let mut held = Vec::with_capacity(HELD);
    for number in 0..HELD {
        let mut client = like.fresh()?;
        let request = echo_call(&client);
        client.once(&request)?;
        let mut stream = client.another(1)?;
        let status = stream.other("GET", "")?;
        ensure!(status == 200, "the stream of session {number}: {status}");
        held.push((session(&client)?, stream));
    }
    Ok(held)
}

fn session(client: &Client) -> Result<String> {
    client
        .session()
        .map(str::to_owned)
        .context("the gateway opens a session")
}

/// All by one connection, which needs no session of its own.
fn end(like: &Client, held: Vec<Held>) -> Result<()> {
    let mut connection = like.another(1)?;
    for (id, _stream) in held {
        let status = connection.other_session("DELETE", &id)?;
        ensure!(status < 300, "a session is not ended: {status}");
    }
    Ok(())
}

/// Gives the ids of the sessions.
fn abandon(like: &Client) -> Result<Vec<String>> {
    (0..ABANDONED)
        .map(|_| {
            let client = like.fresh()?;
            client
                .session()
                .map(str::to_owned)
                .context("the gateway opens a session")
        })
        .collect()
}

fn forget(client: &mut Client, ids: &[String]) -> Result<()> {
    for id in ids {
        let status = client.other_session("DELETE", id)?;
        ensure!(status < 300 || status == 404, "a session is not ended: {status}");
    }
    Ok(())
}
