//! Making a plan: the steps from how things are to how they are wanted.

use super::now::{Now, NowContainer};
use super::wanted::{Remove, Wanted, WantedContainer};
use super::{Plan, Step};
use crate::create::Body;
use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use server_kit::Answer;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Makes a plan, keeps it, and tells it.
pub(crate) async fn make(ctx: &Ctx, wanted: Wanted, patience: Duration) -> Result<Answer, ToolError> {
    let now = Now::look(ctx, &wanted).await?;
    let mut bodies = Vec::new();
    for container in &wanted.containers {
        bodies.push(container.body(ctx, &wanted.project)?);
    }
    let project = wanted.project.clone();
    let (steps, unchanged) = steps(wanted, bodies, &now)?;
    if steps.is_empty() {
        return Ok(Answer::text(format!(
            "project {project} is as wanted: nothing to do\n{}",
            unchanged.join("\n")
        )));
    }
    let mut text = String::new();
    for (number, step) in steps.iter().enumerate() {
        _ = writeln!(text, "{}. {step}", number + 1);
    }
    for line in &unchanged {
        _ = writeln!(text, "   {line}");
    }
    let handle = ctx.state().plans.keep(Plan {
        project: project.clone(),
        host: ctx.host().to_owned(),
        steps,
        now,
        patience,
        since: Instant::now(),
    });
    Ok(
        Answer::text(format!("plan for project {project}:\n{text}")).note(format!(
            "apply_plan with plan={handle} does exactly this; good once, for 15 minutes"
        )),
    )
}

/// The steps, and what needs none.
fn steps(
    wanted: Wanted,
    bodies: Vec<(Body, String)>,
    now: &Now,
) -> Result<(Vec<Step>, Vec<String>), ToolError> {
    let mut steps = Vec::new();
    let mut unchanged = Vec::new();
    let mut keep: Vec<String> = Vec::new();
    for network in wanted.networks {
        keep.push(network.name.to_string());
        match now.networks.get(network.name.as_str()) {
            Some(existing) if !existing.owned => return Err(foreign(Kind::Network, network.name.as_str())),
            Some(_) => unchanged.push(format!("network {} stays", network.name)),
            None => steps.push(Step::CreateNetwork(network)),
        }
    }
    for volume in wanted.volumes {
        keep.push(volume.name.to_string());
        match now.volumes.get(volume.name.as_str()) {
            Some(existing) if !existing.owned => return Err(foreign(Kind::Volume, volume.name.as_str())),
            Some(_) => unchanged.push(format!("volume {} stays", volume.name)),
            None => steps.push(Step::CreateVolume(volume)),
        }
    }
    for (container, (body, spec)) in wanted.containers.into_iter().zip(bodies) {
        keep.push(container.name.to_string());
        match now.containers.get(container.name.as_str()) {
            Some(existing) if !existing.owned => {
                return Err(foreign(Kind::Container, container.name.as_str()));
            }
            Some(existing) => match change(existing, &container, &spec, now) {
                Some(why) => steps.push(Step::ReplaceContainer {
                    id: existing.id.clone(),
                    new: Box::new(container),
                    body,
                    why,
                }),
                None if existing.running => {
                    unchanged.push(format!("container {} stays as it is", container.name));
                }
                None => steps.push(Step::StartContainer {
                    id: existing.id.clone(),
                    name: container.name.to_string(),
                }),
            },
            None => steps.push(Step::CreateContainer(Box::new(container), body)),
        }
    }
    steps.extend(removals(wanted.remove, &keep, now));
    Ok((steps, unchanged))
}

/// Why a container must be replaced; `None` if it need not.
fn change(existing: &NowContainer, container: &WantedContainer, spec: &str, now: &Now) -> Option<String> {
    let image = container
        .settings
        .image
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let image_id = now.images.get(&image).map(String::as_str).unwrap_or_default();
    if existing.image_id != image_id {
        return Some(if existing.image == image {
            format!("{image} is a newer image now")
        } else {
            format!("image {} becomes {image}", existing.image)
        });
    }
    (existing.spec != spec).then(|| "other settings".to_owned())
}

fn removals(remove: Remove, keep: &[String], now: &Now) -> Vec<Step> {
    let mut steps = Vec::new();
    if remove == Remove::Nothing {
        return steps;
    }
    let unwanted = |name: &String, owned: bool| owned && !keep.contains(name);
    for (name, container) in now
        .containers
        .iter()
        .filter(|(name, it)| unwanted(name, it.owned))
    {
        steps.push(Step::RemoveContainer {
            id: container.id.clone(),
            name: name.clone(),
        });
    }
    for (name, network) in now.networks.iter().filter(|(name, it)| unwanted(name, it.owned)) {
        steps.push(Step::RemoveNetwork {
            id: network.id.clone(),
            name: name.clone(),
        });
    }
    if remove == Remove::All {
        for (name, _) in now.volumes.iter().filter(|(name, it)| unwanted(name, it.owned)) {
            steps.push(Step::RemoveVolume { name: name.clone() });
        }
    }
    steps
}

fn foreign(kind: Kind, name: &str) -> ToolError {
    let kind = kind.as_str();
    ToolError::new(
        Code::NameInUse,
        format!("{kind} {name} exists already and does not belong to this project"),
    )
    .fix(format!(
        "choose another project name, or remove or rename {kind} {name}"
    ))
}
