//! `gateway status` and `gateway client-config`.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::status;
use crate::cli::Json;
use crate::exit::Exit;
use crate::settings::{Settings, Transport};
use crate::{clients, output, token};

/// What is shown of a gateway's status; the whole of it comes with `--json`.
#[derive(Deserialize)]
struct Status {
    version: String,
    uptime_seconds: i64,
    sessions: u64,
    calls: u64,
    calls_at_work: u64,
    calls_refused: u64,
    calls_failed: u64,
    servers: Vec<Server>,
}

#[derive(Deserialize)]
struct Server {
    name: String,
    state: String,
    tools: u64,
    starts: u64,
    calls: u64,
    last_error: Option<String>,
}

/// Asks the gateway that listens where ours would.
pub(crate) async fn status(settings: &Settings, json: Json) -> Result<Exit> {
    let address = address(settings);
    let told = status::fetch(address, token::find(settings)?.as_ref()).await?;
    if json.json {
        output::json(&told)?;
        return Ok(Exit::Done);
    }
    let status: Status =
        serde_json::from_value(told).context("the gateway's status is of another version")?;
    output::line(&format!(
        "gateway {} at {}, up {}\ncalls {} ({} at work, {} refused, {} failed), sessions {}",
        status.version,
        clients::url(address),
        base::text::ago(status.uptime_seconds),
        status.calls,
        status.calls_at_work,
        status.calls_refused,
        status.calls_failed,
        status.sessions,
    ))?;
    let row = |server: &Server| {
        let error = base::text::clean(server.last_error.as_deref().unwrap_or_default()).into_owned();
        let numbers = [server.tools, server.starts, server.calls].map(|number| number.to_string());
        let [tools, starts, calls] = numbers;
        [
            server.name.clone(),
            server.state.clone(),
            tools,
            starts,
            calls,
            error,
        ]
    };
    let rows: Vec<_> = status.servers.iter().map(row).collect();
    output::line(&output::columns(
        ["SERVER", "STATE", "TOOLS", "STARTS", "CALLS", "LAST ERROR"],
        &rows,
    ))?;
    Ok(Exit::Done)
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
