//! `server list`: what is switched on, whether it could run, and how it does in the gateways that run.

use anyhow::Result;
use gateway::{ServerState, ServerStatus};
use serde_json::json;

use super::desk::Desk;
use crate::cli::{InProfile, Json};
use crate::commands::{catalog, gateway as shown};
use crate::control::{self, Told};
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// A server, as far as this machine knows.
struct Row {
    name: String,
    kind: String,
    /// What keeps it from running.
    lacks: Vec<String>,
    about: String,
}

pub(super) async fn list(settings: &Settings, profile: &InProfile, json: Json) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    let mut rows = Vec::new();
    if settings.config.docker.enabled {
        rows.push(Row {
            name: "docker".to_owned(),
            kind: "built-in".to_owned(),
            lacks: Vec::new(),
            about: "Docker Engine".to_owned(),
        });
    }
    for name in crate::shell::names(settings) {
        rows.push(Row {
            name: name.to_owned(),
            kind: "built-in".to_owned(),
            lacks: Vec::new(),
            about: "Commands".to_owned(),
        });
    }
    if settings.config.files.enabled {
        rows.push(Row {
            name: "files".to_owned(),
            kind: "built-in".to_owned(),
            lacks: Vec::new(),
            about: crate::files::about(&settings.in_profile(&desk.profile)),
        });
    }
    let servers = settings
        .config
        .profiles
        .get(&desk.profile)
        .map(|profile| &profile.servers);
    for (name, setup) in servers.into_iter().flatten() {
        let name_text = name.to_string();
        rows.push(match desk.find(name.as_str()) {
            Err(error) => Row {
                name: name_text,
                kind: String::new(),
                lacks: vec![error.to_string()],
                about: String::new(),
            },
            Ok(found) => Row {
                name: name_text,
                kind: found.entry.kind_name().to_owned(),
                lacks: match desk.plan(&found, setup).await? {
                    Ok(_) => Vec::new(),
                    Err(lacks) => lacks.iter().map(ToString::to_string).collect(),
                },
                about: catalog::summary(found.entry),
            },
        });
    }
    let running = control::gateways(settings).await;
    let with_live: Vec<_> = rows
        .iter()
        .map(|row| (row, live(&running, &row.name, &desk.profile)))
        .collect();
    if json.json {
        let records: Vec<_> = with_live.iter().map(|(row, live)| record(row, live)).collect();
        output::json(&records)?;
    } else {
        let cells: Vec<_> = with_live.iter().map(|(row, live)| cells(row, live)).collect();
        output::line(&output::columns(["SERVER", "KIND", "STATE", ""], &cells))?;
    }
    Ok(Exit::Done)
}

/// The server in each gateway that runs and has it in this profile.
fn live<'a>(running: &'a [Told], name: &str, profile: &str) -> Vec<(&'a Told, &'a ServerStatus)> {
    let here = |server: &&ServerStatus| {
        server.name == name
            && (server.profiles.is_empty() || server.profiles.iter().any(|other| other == profile))
    };
    running
        .iter()
        .filter_map(|told| Some((told, told.status.servers.iter().find(here)?)))
        .collect()
}

/// What lacks comes first, then what fails somewhere; a server that is merely stopped is ready to start.
fn cells(row: &Row, live: &[(&Told, &ServerStatus)]) -> [String; 4] {
    let cells = |state: &str, about: &str| {
        [
            row.name.clone(),
            row.kind.clone(),
            state.to_owned(),
            about.to_owned(),
        ]
    };
    if let Some(lack) = row.lacks.first() {
        return cells("lacks", lack);
    }
    let states = || live.iter().map(|(_, server)| server);
    if let Some(failed) = states().find(|server| server.state == ServerState::Failed) {
        return cells("failed", &shown::trouble(failed).unwrap_or_default());
    }
    let order = [
        ServerState::Ready,
        ServerState::Idle,
        ServerState::Starting,
        ServerState::Stopping,
    ];
    let liveliest = order
        .into_iter()
        .find(|state| states().any(|server| server.state == *state));
    let held = states().map(|server| server.held).max().unwrap_or_default();
    let about = if held > 0 {
        shown::held(held, &row.name)
    } else {
        row.about.clone()
    };
    cells(liveliest.map_or("ready", shown::word), &about)
}

fn record(row: &Row, live: &[(&Told, &ServerStatus)]) -> serde_json::Value {
    let state = if row.lacks.is_empty() { "ready" } else { "lacks" };
    let gateways: Vec<_> = live
        .iter()
        .map(|(told, server)| json!({"pid": told.pid, "server": server}))
        .collect();
    json!({
        "name": row.name,
        "kind": row.kind,
        "state": state,
        "lacks": row.lacks,
        "gateways": gateways,
    })
}
