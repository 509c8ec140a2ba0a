//! The container of one call of a per-call tool: the arguments that a model gave, filled into the tool's templates.
//!
//! The arguments come from a model, so nothing in them can do more than the tool's author provided for: each fills its
//! own place, no shell takes it apart, and a path is mounted only under the user's roots. Deliberately absent: running
//! it.

use serde_json::{Map, Value as Json};

use crate::lack::{Lack, LackSort};
use crate::mounts::{self, Made};
use crate::plan::{Container, PerCall};
use crate::planner::Around;
use crate::schema;
use crate::template::{NoSecrets, Scope, Template};

/// More bytes than these in one argument are refused; Linux takes 128 KiB.
const MAX_ARGUMENT: usize = 120 << 10;

/// The container that runs for a call of `tool` with these arguments.
pub fn fill(tool: &PerCall, arguments: &Map<String, Json>) -> Result<Container, Vec<Lack>> {
    let mut lacks: Vec<Lack> = schema::check(&tool.input_schema, &Json::Object(arguments.clone()))
        .into_iter()
        .map(|violation| {
            Lack::new(
                LackSort::Config,
                format!("the arguments of {}: {violation}", tool.name),
                "",
            )
        })
        .collect();
    let scope = Scope {
        server: "",
        config: arguments,
        secret: &NoSecrets,
    };
    let around = Around {
        roots: tool.templates.roots.clone(),
        host: tool.templates.host.clone(),
        ..Around::default()
    };
    let mut container = tool.container.clone();
    for template in &tool.templates.command {
        for filled in Template::parse(template).spread(&scope) {
            let text = filled.shown();
            if text.len() > MAX_ARGUMENT || text.contains('\0') {
                let what = format!("an argument of {} is too long or holds a zero byte", tool.name);
                lacks.push(Lack::new(LackSort::Config, what, ""));
            }
            container.command.push(text);
        }
    }
    for template in &tool.templates.volumes {
        for filled in Template::parse(template).spread(&scope) {
            match mounts::of_entry(&filled, &around, "") {
                Ok(Made::Mount(mount, _)) => container.mounts.push(mount),
                // A socket that a call names is no part of the plan that a person has seen.
                Ok(Made::DockerSocket) => {
                    let what = format!("{} may not be given the Docker socket by a call", tool.name);
                    lacks.push(Lack::new(LackSort::Path, what, ""));
                }
                Ok(Made::Nothing(_)) => {}
                Err(lack) => lacks.push(lack),
            }
        }
    }
    if let Some(user) = &tool.templates.user {
        container.user = Template::parse(user)
            .fill(&scope)
            .text()
            .filter(|user| !user.is_empty());
    }
    if lacks.is_empty() {
        Ok(container)
    } else {
        Err(lacks)
    }
}
