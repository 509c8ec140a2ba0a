//! Dotted paths into what the engine answers: `State.Health.Status`, `Mounts.0.Source`, `Networks.*.IPAddress`.

use crate::error::ToolError;
use serde_json::Value;
use server_kit::near::nearest;

/// One line `path: value` for each path; a `*` stands for every member and gives a line for each.
///
/// # Errors
/// A path that leads nowhere, with the names that there are at the point where it went astray.
pub(crate) fn project(value: &Value, paths: &[String]) -> Result<String, ToolError> {
    let mut lines = Vec::new();
    for path in paths {
        let steps: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).collect();
        follow(value, &steps, &mut Vec::new(), &mut lines)?;
    }
    Ok(lines.join("\n"))
}

fn follow(
    value: &Value,
    steps: &[&str],
    behind: &mut Vec<String>,
    lines: &mut Vec<String>,
) -> Result<(), ToolError> {
    let Some((step, rest)) = steps.split_first() else {
        lines.push(format!("{}: {}", behind.join("."), shown(value)));
        return Ok(());
    };
    if *step == "*" {
        for (name, member) in members(value) {
            behind.push(name);
            // Members need not be alike: what one lacks is left out.
            drop(follow(member, rest, behind, lines));
            behind.pop();
        }
        return Ok(());
    }
    let Some((name, member)) = step_into(value, step) else {
        return Err(astray(value, step, behind));
    };
    behind.push(name);
    follow(member, rest, behind, lines)?;
    behind.pop();
    Ok(())
}

/// The member of this name, in whatever case it was written.
fn step_into<'a>(value: &'a Value, step: &str) -> Option<(String, &'a Value)> {
    match value {
        Value::Object(object) => object
            .get_key_value(step)
            .or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(step)))
            .map(|(name, member)| (name.clone(), member)),
        Value::Array(list) => {
            let index: usize = step.parse().ok()?;
            list.get(index).map(|member| (step.to_owned(), member))
        }
        _ => None,
    }
}

fn members(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, member)| (name.clone(), member))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(n, member)| (n.to_string(), member))
            .collect(),
        _ => Vec::new(),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn astray(value: &Value, step: &str, behind: &[String]) -> ToolError {
    let place = if behind.is_empty() {
        "the top".to_owned()
    } else {
        behind.join(".")
    };
    let step = base::text::cut(step, 60);
    let error = ToolError::arguments(format!("parameter fields: there is no {step:?} at {place}"));
    let names: Vec<String> = members(value).into_iter().map(|(name, _)| name).collect();
    let near = nearest(step, names.iter().map(String::as_str), 3);
    match (near.is_empty(), names.is_empty()) {
        (false, _) => error.fix(format!("did you mean {}?", near.join(" or "))),
        (true, false) => {
            let mut shown = names.join(", ");
            shown.truncate(base::text::cut(&shown, 400).len());
            error.fix(format!("there are {shown}"))
        }
        (true, true) => error.fix("end the path before it: what is there has no members"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn projections() {
        let value = json!({
            "State": { "Status": "running", "Health": { "Status": "healthy" } },
            "Mounts": [{ "Source": "/a" }, { "Type": "tmpfs" }],
            "Empty": {},
        });
        for (paths, expected) in [
            (vec!["State.Status"], "State.Status: running"),
            (
                vec!["state.health", "Mounts.0.Source"],
                "State.Health: {\"Status\":\"healthy\"}\nMounts.0.Source: /a",
            ),
            (vec!["Mounts.*.Source"], "Mounts.0.Source: /a"),
            (
                vec!["State.Stauts"],
                "invalid_arguments: parameter fields: there is no \"Stauts\" at State\nfix: did you mean Status?",
            ),
            (
                vec!["Nowhere"],
                "invalid_arguments: parameter fields: there is no \"Nowhere\" at the top\n\
                 fix: there are State, Mounts, Empty",
            ),
            (
                vec!["Empty.x"],
                "invalid_arguments: parameter fields: there is no \"x\" at Empty\n\
                 fix: end the path before it: what is there has no members",
            ),
        ] {
            let paths: Vec<String> = paths.into_iter().map(str::to_owned).collect();
            let answer = project(&value, &paths).unwrap_or_else(|error| error.to_string());
            assert_eq!(answer, expected);
        }
    }
}
