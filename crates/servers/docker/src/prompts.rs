//! Prompts: deploying a set of containers, and finding out what is wrong with one. Their words fit the tools that
//! the client sees.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::plan::PROJECT;
use crate::{diagnose, pick, status};
use base::names::ContainerRef;
use engine::Filters;
use engine::ops::containers::ContainerQuery;
use serde_json::Value;
use server_kit::Toolset;
use server_kit::answer::fence;
use server_kit::hosts::HOST;
use server_kit::rmcp::model::{JsonObject, Prompt, PromptArgument};
use std::fmt::Write as _;

/// Longest text of an argument; a goal, not a book.
const MAX_ARGUMENT: usize = 4_000;

/// The prompts; with an argument for the host where there are others.
pub(crate) fn listed(has_others: bool) -> Vec<Prompt> {
    let argument = |name: &str, description: &str| {
        PromptArgument::new(name)
            .with_description(description)
            .with_required(true)
    };
    let prompt = |name: &str, description: &str, mut arguments: Vec<PromptArgument>| {
        if has_others {
            let host = PromptArgument::new(HOST).with_description("Where; local if left out");
            arguments.push(host.with_required(false));
        }
        Prompt::new(name, Some(description), Some(arguments))
    };
    vec![
        prompt(
            "deploy_containers",
            "Deploy a set of containers that belong together, by a plan that you see first.",
            vec![
                argument("project", "Name of the set; goes before all names"),
                argument("goal", "What is to run, in your words"),
            ],
        ),
        prompt(
            "triage_container",
            "Find out why a container is down or unwell, and what to do.",
            vec![argument("container", "Its name or id")],
        ),
    ]
}

/// The host that the arguments name. Clients send an empty one for what was left out.
pub(crate) fn host(arguments: &JsonObject) -> Option<&str> {
    let host = arguments.get(HOST)?.as_str()?.trim();
    Some(host).filter(|host| !host.is_empty())
}

/// Where it is, and what that means for calls; nothing for the local host.
fn place(ctx: &Ctx) -> (String, String) {
    match ctx.other_host() {
        None => (String::new(), String::new()),
        Some(host) => (
            format!(" on the host {host}"),
            format!("Give {HOST}={host} with every call of a Docker tool.\n"),
        ),
    }
}

/// The text of a prompt.
///
/// # Errors
/// There is no such prompt, or an argument is missing or none.
pub(crate) async fn text(ctx: &Ctx, name: &str, arguments: &JsonObject) -> Result<String, ToolError> {
    match name {
        "deploy_containers" => {
            deploy(ctx, argument(arguments, "project")?, argument(arguments, "goal")?).await
        }
        "triage_container" => triage(ctx, argument(arguments, "container")?).await,
        _ => Err(
            ToolError::arguments(format!("there is no prompt {:?}", base::text::cut(name, 60)))
                .fix("the prompts are deploy_containers and triage_container"),
        ),
    }
}

fn argument<'a>(arguments: &'a JsonObject, name: &str) -> Result<&'a str, ToolError> {
    match arguments
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
    {
        Some(text) => Ok(base::text::cut(text, MAX_ARGUMENT)),
        None => Err(ToolError::arguments(format!("argument {name} is missing"))),
    }
}

async fn deploy(ctx: &Ctx, project: &str, goal: &str) -> Result<String, ToolError> {
    let project = ContainerRef::parse(project)?;
    let state = state_of(ctx, project.as_str()).await?;
    let how = match ctx.state().options.toolset {
        Toolset::Full => format!(
            "1. Call plan_containers with project={project}, the containers in the order of starting, and the networks \
             and volumes they share. Names are short; the project's name is put before them.\n\
             2. Show me the plan, and wait for my word.\n\
             3. Call apply_plan with exactly that plan. Should it be refused as stale, go back to 1.\n\
             4. Tell me how each container is reached. Use diagnose_container for one that is not well.\n\
             To take the project down, plan it with nothing in it and remove=containers, or remove=all if I want its \
             data gone too."
        ),
        Toolset::Standard => format!(
            "1. Write a plan: networks, volumes and containers, each name beginning with {project}-, each with the \
             label {PROJECT}={project}; what exists already and is as wanted stays. Show it to me, and wait for my word.\n\
             2. Do exactly that: create_network, create_volume, create_container with start=true, in this order.\n\
             3. Check with list_containers and monitor_container_logs that all are well, and tell me how each is \
             reached. If a step fails, stop and show me what was done and what was not."
        ),
        Toolset::Compact => format!(
            "1. Write a plan: networks and containers, each name beginning with {project}-; what exists already and \
             is as wanted stays. Show it to me, and wait for my word.\n\
             2. Do exactly that with network-management and run-container (detach=true).\n\
             3. Tell me how each is reached. If a step fails, stop and show me what was done and what was not."
        ),
    };
    let (place, with_host) = place(ctx);
    Ok(format!(
        "Deploy this with Docker{place}, as project {project}:\n\n{goal}\n\nHow:\n{with_host}{how}\n\nWhat there is \
         now:\n{state}"
    ))
}

/// What the project has now, in the frame of strangers' text.
async fn state_of(ctx: &Ctx, project: &str) -> Result<String, ToolError> {
    let label = Filters::new().with("label", format!("{PROJECT}={project}"));
    let engine = ctx.engine();
    let query = ContainerQuery {
        all: true,
        ..ContainerQuery::default()
    };
    let containers = engine.container_list(&query).await?;
    let networks = engine.network_list(&label).await?;
    let volumes = engine.volume_list(&label).await?;
    let prefix = format!("{project}-");
    let mut text = String::new();
    for container in containers.iter().filter(|container| {
        container["Labels"][PROJECT] == project || pick::container_name(container).starts_with(&prefix)
    }) {
        let status = status::short(pick::text(container, "/Status"));
        _ = writeln!(
            text,
            "container {} ({}): {status}",
            pick::container_name(container),
            pick::text(container, "/Image")
        );
    }
    for network in &networks {
        _ = writeln!(text, "network {}", pick::text(network, "/Name"));
    }
    for volume in &volumes {
        _ = writeln!(text, "volume {}", pick::text(volume, "/Name"));
    }
    if text.is_empty() {
        return Ok("nothing of this project".to_owned());
    }
    Ok(fence(
        "names from the engine",
        &base::text::clean(text.trim_end()),
    ))
}

async fn triage(ctx: &Ctx, container: &str) -> Result<String, ToolError> {
    let container = ContainerRef::parse(container)?;
    let diagnosis = diagnose::container(ctx, &container).await?;
    let diagnosis = ctx.state().core.pages.first("", diagnosis);
    let more = match ctx.state().options.toolset {
        Toolset::Full => {
            "monitor_container_logs, inspect_container and get_events tell more. Settings are corrected with \
             recreate_container, which keeps the old container until the new one is well."
        }
        Toolset::Standard => "monitor_container_logs, inspect_container and get_container_stats tell more.",
        Toolset::Compact => "manage-container starts, stops and restarts it.",
    };
    let (place, with_host) = place(ctx);
    Ok(format!(
        "Find out what is wrong with container {container}{place}. Below is what the engine knows. Say what most probably \
         happened and why you think so, then what to do, least intrusive first. Change nothing before I agree. \
         {more}\n{with_host}\n{diagnosis}"
    ))
}
