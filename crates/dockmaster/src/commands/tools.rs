//! `tools list`, `tools inspect` and `tools call`: the gateway's own tools, without a client in between.

use std::fmt::Write as _;
use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use docker_server::Toolset;
use gateway::{CancellationToken, Direct, Principal};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use wire::Raw;

use super::arguments;
use crate::assemble::{self, House, Refusal};
use crate::cli::{self, Json};
use crate::confirm::{Answers, Screen, Terminal};
use crate::exit::{Exit, Failure};
use crate::serve::Signals;
use crate::settings::Settings;
use crate::{output, progress, token};

/// A tool's definition, as far as it is shown.
#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "inputSchema")]
    schema: Value,
}

/// Lists what is listed to clients.
pub(crate) async fn list(settings: &Settings, json: Json) -> Result<Exit> {
    let listed = listed(settings, settings.config.docker.toolset).await?;
    let tools = listed.tools;
    if json.json {
        output::json(&tools)?;
        return Ok(Exit::Done);
    }
    let mut rows = Vec::new();
    for tool in &tools {
        let tool = parse(tool)?;
        let first = tool.description.split(['.', '\n']).next().unwrap_or_default();
        rows.push([tool.name, first.to_owned()]);
    }
    output::line(&output::columns(["TOOL", "WHAT IT DOES"], &rows))?;
    for (server, tools) in listed.held {
        output::note(&super::gateway::held(tools, &server))?;
    }
    Ok(Exit::Done)
}

/// Shows one tool.
pub(crate) async fn inspect(settings: &Settings, name: &str, json: Json) -> Result<Exit> {
    let (definition, silent) = definition(settings, name).await?;
    let definition = definition.with_context(|| {
        format!(
            "there is no tool {name:?} that may be used; `dockmaster tools list --toolset full` lists them{silent}"
        )
    })?;
    if json.json {
        output::json(&definition)?;
        return Ok(Exit::Done);
    }
    let tool = parse(&definition)?;
    output::line(&format!(
        "{}\n\n{}",
        tool.name,
        base::text::clean(&tool.description)
    ))?;
    let rows = arguments::described(&tool.schema);
    if !rows.is_empty() {
        output::line(&format!(
            "\n{}",
            output::columns(["ARGUMENT", "TYPE", "", "ABOUT"], &rows)
        ))?;
    }
    Ok(Exit::Done)
}

/// Calls one tool.
pub(crate) async fn call(settings: &Settings, call: &cli::Call) -> Result<Exit> {
    let arguments = read_arguments(settings, call).await?;
    let house = open(settings, settings.config.docker.toolset).await?;
    let answers = match (call.yes, output::person_can_answer()) {
        (true, _) => Some(Answers::Yes),
        (false, true) => Some(Answers::Person),
        (false, false) => None,
    };
    let screen = Screen::default();
    let confirmer = answers.map(|answers| {
        let screen = Screen::clone(&screen);
        Arc::new(Terminal { answers, screen }) as _
    });
    let cancel = CancellationToken::new();
    let (updates, shown) = mpsc::channel(16);
    let direct = Direct {
        principal: assemble::local_principal(settings),
        client: format!("dockmaster-cli {}", env!("CARGO_PKG_VERSION")),
        tool: call.name.clone(),
        arguments,
        confirmer,
        progress: Some(updates),
        cancel: cancel.clone(),
    };
    let mut signals = Signals::listen()?;
    let (ended, interrupted) = {
        let calling = async { tokio::join!(house.gateway.call(direct), progress::show(shown, screen)).0 };
        tokio::pin!(calling);
        tokio::select! {
            ended = &mut calling => (ended, false),
            () = signals.next() => {
                cancel.cancel();
                (calling.await, true)
            }
        }
    };
    let refusal = house.witness.refusal();
    house.close().await;
    match ended {
        _ if interrupted => Ok(Exit::Interrupted),
        Err(error) => bail!("{error}"),
        Ok(result) => show(&result, call.json, refusal),
    }
}

fn show(result: &Raw, json: Json, refusal: Option<Refusal>) -> Result<Exit> {
    let result: Value = serde_json::from_str(result.get())?;
    let failed = result["isError"] == Value::Bool(true);
    if json.json {
        output::json(&result)?;
    } else if failed {
        output::note(&text(&result))?;
    } else {
        output::line(&text(&result))?;
    }
    Ok(match (refusal, failed) {
        (Some(_), _) => Exit::Refused,
        (None, true) => Exit::Failed,
        (None, false) => Exit::Done,
    })
}

/// The text blocks; other content by its kind.
fn text(result: &Value) -> String {
    let blocks = result["content"].as_array().into_iter().flatten();
    let shown = blocks.map(|block| match block["text"].as_str() {
        Some(text) => base::text::clean(text).into_owned(),
        None => format!(
            "({} content; --json shows it)",
            block["type"].as_str().unwrap_or("unknown")
        ),
    });
    shown.collect::<Vec<_>>().join("\n")
}

async fn read_arguments(settings: &Settings, call: &cli::Call) -> Result<Map<String, Value>> {
    let usage = |message: String| anyhow::Error::from(Failure::new(Exit::Usage, message));
    let mut read = match call.arguments.as_deref() {
        None => Map::new(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("can't read standard input")?;
            arguments::object(&text).map_err(usage)?
        }
        Some(text) => arguments::object(text).map_err(usage)?,
    };
    if !call.args.is_empty() {
        let (definition, _) = definition(settings, &call.name).await?;
        let schema = definition
            .map(|definition| parse(&definition))
            .transpose()?
            .map(|tool| tool.schema);
        for arg in &call.args {
            let (name, value) = arguments::one(arg, schema.as_ref()).map_err(usage)?;
            read.insert(name, value);
        }
    }
    Ok(read)
}

/// A tool's definition by any of its names, whatever the configuration lists; and what to add where there is none.
async fn definition(settings: &Settings, name: &str) -> Result<(Option<Raw>, String)> {
    let own = docker_server::describe::canonical(name).unwrap_or_else(|| name.to_owned());
    let mut silent = String::new();
    for toolset in [Toolset::Full, Toolset::Compact] {
        let listed = listed(settings, toolset).await?;
        for tool in listed.tools {
            if parse(&tool)?.name == own {
                return Ok((Some(tool), String::new()));
            }
        }
        silent = listed.silent;
    }
    Ok((None, silent))
}

/// What is listed to clients, and what is not.
struct Listed {
    tools: Vec<Raw>,
    /// Which servers did not say theirs, and where some are held back, as it is put behind an error.
    silent: String,
    /// By server, how many tools wait to be approved.
    held: Vec<(String, usize)>,
}

async fn listed(settings: &Settings, toolset: Toolset) -> Result<Listed> {
    let house = open(settings, toolset).await?;
    let principal: Principal = assemble::local_principal(settings);
    let tools = house.gateway.tools(&principal).await;
    let mut silent = String::new();
    let mut held = Vec::new();
    for server in house.gateway.status().servers {
        if server.held > 0 {
            _ = write!(silent, "\n  {}", super::gateway::held(server.held, &server.name));
            held.push((server.name, server.held));
        } else if let Some(why) = server.last_error.filter(|_| server.tools == 0) {
            let why = base::text::clean(&why);
            let why = base::text::cut(&why, 300);
            _ = write!(
                silent,
                "\n  server {}, which may have it, does not work: {why}",
                server.name
            );
        }
    }
    house.close().await;
    Ok(Listed {
        tools: tools.map_err(|error| anyhow::anyhow!("{error}"))?,
        silent,
        held,
    })
}

async fn open(settings: &Settings, toolset: Toolset) -> Result<House> {
    let secrets = token::find(settings).unwrap_or_default().into_iter().collect();
    assemble::house(settings, toolset, secrets).await
}

fn parse(tool: &Raw) -> Result<Tool> {
    serde_json::from_str(tool.get()).context("a tool's definition is not one")
}
