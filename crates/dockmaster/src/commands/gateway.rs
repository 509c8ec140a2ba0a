//! `gateway status`, `gateway reload` and `gateway client-config`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use gateway::{InstanceStatus, ServerState, ServerStatus, Status, What};

use super::host::states;
use super::status;
use crate::cli::{Address, Json};
use crate::control::{self, Told};
use crate::exit::{Exit, Failure};
use crate::settings::{Settings, Transport};
use crate::{clients, output, token};

/// Asks the gateways that run how they do; with an address, the one that listens there.
pub(crate) async fn status(settings: &Settings, wanted: Address, json: Json) -> Result<Exit> {
    let running = if wanted.host.is_none() && wanted.port.is_none() {
        control::gateways(settings).await
    } else {
        Vec::new()
    };
    if !running.is_empty() {
        if json.json {
            output::json(&running)?;
            return Ok(Exit::Done);
        }
        let shown: Vec<_> = running
            .iter()
            .map(|told| {
                let mut text = shown(&head(told), &told.status);
                // One alone is what the Docker server's line tells of.
                if told.hosts.len() > 1 {
                    _ = write!(text, "\n\n{}", states::table(&told.hosts));
                }
                for bridge in &told.bridges {
                    _ = write!(text, "\n{}", bridge.line());
                }
                text
            })
            .collect();
        output::line(&shown.join("\n\n"))?;
        return Ok(Exit::Done);
    }
    let address = address(settings);
    let told = status::fetch(address, token::find(settings)?.as_ref()).await?;
    if json.json {
        output::json(&told)?;
        return Ok(Exit::Done);
    }
    let status: Status =
        serde_json::from_value(told).context("the gateway's status is of another version")?;
    output::line(&shown(&format!("at {}", clients::url(address)), &status))?;
    Ok(Exit::Done)
}

/// Has the gateways that run take the configuration over as it is now.
pub(crate) async fn reload(settings: &Settings) -> Result<Exit> {
    let renewed = control::renew(settings).await?;
    match (renewed.done, renewed.failed) {
        (_, 1..) => Ok(Exit::Failed),
        (0, 0) => {
            let message =
                "no gateway runs here; what is configured now holds from the next `dockmaster gateway run`";
            Err(Failure::new(Exit::Unavailable, message).into())
        }
        _ => Ok(Exit::Done),
    }
}

fn head(told: &Told) -> String {
    let place = match told.address {
        Some(address) => format!("at {}", clients::url(address)),
        None => "over stdio".to_owned(),
    };
    format!("{place}, process {}", told.pid)
}

fn shown(place: &str, status: &Status) -> String {
    let mut text = format!(
        "gateway {} {place}, up {}\ncalls {} ({} at work, {} refused, {} failed), sessions {}\n",
        one_line(&status.version),
        ago(status.uptime_seconds),
        status.calls,
        status.calls_at_work,
        status.calls_refused,
        status.calls_failed,
        status.sessions,
    );
    let row = |server: &ServerStatus| {
        [
            server.name.clone(),
            word(server.state).to_owned(),
            server.tools.to_string(),
            server.starts.to_string(),
            server.calls.to_string(),
            trouble(server).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = status.servers.iter().map(row).collect();
    text.push_str(&output::columns(
        ["SERVER", "STATE", "TOOLS", "STARTS", "CALLS", "LAST ERROR"],
        &rows,
    ));
    for server in &status.servers {
        if !server.instances.is_empty() || !server.history.is_empty() || server.held > 0 {
            _ = write!(text, "\n\n{}", detail(server));
        }
    }
    text
}

/// That tools of a server are held back, and what to do.
pub(crate) fn held(tools: usize, server: &str) -> String {
    let (tools, wait) = match tools {
        1 => ("1 tool".to_owned(), "waits"),
        tools => (format!("{tools} tools"), "wait"),
    };
    format!("{tools} {wait} for approval: dockmaster server approve {server}")
}

/// A server's instances and what happened to them.
fn detail(server: &ServerStatus) -> String {
    let mut text = server.name.clone();
    if server.held > 0 {
        _ = write!(text, "\n  {}", held(server.held, &server.name));
    }
    for instance in &server.instances {
        _ = write!(text, "\n  {}", instance_line(instance, server.memory_bytes));
    }
    let rows: Vec<_> = server
        .history
        .iter()
        .map(|event| {
            [
                format!("  {} ago", ago(event.seconds_ago)),
                happened(event.what).to_owned(),
                one_line(&event.instance),
                one_line(&event.why),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let table = output::columns(["  WHEN", "WHAT", "FOR", "WHY"], &rows);
        _ = write!(text, "\n{table}");
    }
    text
}

fn instance_line(instance: &InstanceStatus, memory: u64) -> String {
    let mut text = format!("{}: {}", one_line(&instance.owner), word(instance.state));
    if let Some(idle) = instance.idle_seconds {
        _ = write!(text, " for {}", ago(idle));
    }
    _ = write!(
        text,
        ", up {}, calls {}",
        ago(instance.up_seconds),
        instance.calls
    );
    if memory > 0 {
        _ = write!(text, ", at most {} of memory", base::text::bytes(memory));
    }
    text
}

/// What went wrong last with a server, and when it is tried again.
pub(crate) fn trouble(server: &ServerStatus) -> Option<String> {
    let error = one_line(server.last_error.as_deref()?);
    Some(match server.next_try_seconds {
        Some(wait) => format!("{error} (tried again in {} at the earliest)", ago(wait)),
        None => error,
    })
}

/// A state in one word.
pub(crate) fn word(state: ServerState) -> &'static str {
    match state {
        ServerState::Stopped => "stopped",
        ServerState::Starting => "starting",
        ServerState::Ready => "ready",
        ServerState::Idle => "idle",
        ServerState::Stopping => "stopping",
        ServerState::Failed => "failed",
    }
}

fn happened(what: What) -> &'static str {
    match what {
        What::Started => "started",
        What::Failed => "failed",
        What::Stopped => "stopped",
        What::Died => "died",
    }
}

fn ago(seconds: u64) -> String {
    base::text::ago(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// A stranger's text as a part of a line.
fn one_line(text: &str) -> String {
    base::text::clean(text).replace(['\n', '\t'], " ")
}

/// Prints what to paste into a client.
pub(crate) fn client_config(settings: &Settings) -> Result<Exit> {
    let client = match settings.config.gateway.transport {
        Transport::Stdio => clients::stdio(&std::env::current_exe()?, settings),
        Transport::Http => clients::http(address(settings), &token::obtain(settings)?),
    };
    output::json(&client)?;
    if output::person_is_watching() {
        output::note(&format!("\n{}", clients::PLACES))?;
    }
    Ok(Exit::Done)
}

fn address(settings: &Settings) -> SocketAddr {
    SocketAddr::new(settings.config.gateway.host, settings.config.gateway.port)
}
