//! Why is it down: everything that the engine knows about a container's trouble, in one bounded answer.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::logs::{self, LogQuery};
use crate::pick;
use crate::tools::containers::digest;
use base::names::{ContainerRef, ImageRef};
use engine::ops::containers::ContainerQuery;
use serde_json::Value;
use server_kit::answer::{Answer, Digest};
use std::fmt::Write as _;

/// Last lines of output.
const LINES: u32 = 20;
/// Bytes of them.
const OUTPUT: usize = 3_000;
/// Health checks told of.
const CHECKS: usize = 3;
/// The exit code of a container whose process 1 ended by signal 9.
const SIGKILLED: i64 = 128 + 9;

/// The diagnosis of one container.
pub(crate) async fn container(ctx: &Ctx, container: &ContainerRef) -> Result<Answer, ToolError> {
    let mut details = ctx.engine().container_inspect(container).await?;
    base::redact::json(&mut details);
    let ports = wanted_ports(&details);
    let holders = if pick::yes(&details, "/State/Running") || ports.is_empty() {
        Vec::new()
    } else {
        holders(ctx, &ports, pick::text(&details, "/Id")).await
    };
    let image = missing_image(ctx, &details).await;
    let query = LogQuery {
        tail: Some(LINES),
        timestamps: true,
        ..LogQuery::default()
    };
    let output = logs::read(ctx.engine(), container, &query, OUTPUT).await;
    let findings = findings(&details, &holders, image.as_deref());
    let mut text = Digest::new()
        .line(
            "container",
            format!("{} ({})", pick::container_name(&details), image_of(&details)),
        )
        .line("state", digest::state(&details))
        .line(
            "restart policy",
            // "no" is what nobody asked for, and as good as none.
            match pick::text(&details, "/HostConfig/RestartPolicy/Name") {
                "no" => "",
                policy => policy,
            },
        )
        .line("health", pick::text(&details, "/State/Health/Status"))
        .into_text();
    for finding in findings {
        text.push_str("\nfinding: ");
        text.push_str(&finding);
    }
    let checks = checks(&details);
    if !checks.is_empty() {
        text.push_str("\nlast health checks:\n");
        text.push_str(&checks);
    }
    match output {
        Ok(page) if page.lines == 0 => text.push_str("\nno output"),
        Ok(page) => {
            text.push_str("\nlast output:\n");
            text.push_str(&page.text);
        }
        Err(error) => _ = write!(text, "\nits output can't be read: {}", error.whole_cause()),
    }
    Ok(Answer::text(text).untrusted(format!("diagnosis of container {container}, with its own output")))
}

fn image_of(details: &Value) -> &str {
    base::text::cut(pick::text(details, "/Config/Image"), 120)
}

/// Ports of the host that the container asks for.
fn wanted_ports(details: &Value) -> Vec<i64> {
    pick::members(details, "/HostConfig/PortBindings")
        .flat_map(|(_, bindings)| bindings.as_array().into_iter().flatten())
        .filter_map(|binding| pick::text(binding, "/HostPort").parse().ok())
        .filter(|port| *port != 0)
        .collect()
}

/// Ports that another container has, with its name.
async fn holders(ctx: &Ctx, ports: &[i64], own_id: &str) -> Vec<(i64, String)> {
    let Ok(running) = ctx.engine().container_list(&ContainerQuery::default()).await else {
        return Vec::new();
    };
    let mut holders = Vec::new();
    for container in running
        .iter()
        .filter(|container| pick::text(container, "/Id") != own_id)
    {
        for port in pick::list(container, "/Ports") {
            let port = pick::number(port, "/PublicPort");
            let holder = (port, pick::container_name(container).to_owned());
            if ports.contains(&port) && !holders.contains(&holder) {
                holders.push(holder);
            }
        }
    }
    holders
}

/// The image's reference, if the image is gone or the reference means another one now.
async fn missing_image(ctx: &Ctx, details: &Value) -> Option<String> {
    let reference = pick::text(details, "/Config/Image");
    let image = ImageRef::parse(reference).ok()?;
    match ctx.engine().image_inspect(&image).await {
        Ok(found) if pick::text(&found, "/Id") == pick::text(details, "/Image") => None,
        Ok(_) => Some(format!(
            "{reference} means a newer image now; recreate_container would use that"
        )),
        Err(engine::Error::NotFound { .. }) => {
            Some(format!("its image {reference} is not on this engine any more"))
        }
        Err(_) => None,
    }
}

/// What the facts mean, and what to do about it.
fn findings(details: &Value, holders: &[(i64, String)], image: Option<&str>) -> Vec<String> {
    let mut findings = Vec::new();
    let code = pick::number(details, "/State/ExitCode");
    let status = pick::text(details, "/State/Status");
    if pick::yes(details, "/State/OOMKilled") {
        let limit = match pick::count(details, "/HostConfig/Memory") {
            0 => "the host ran out of memory".to_owned(),
            limit => format!("it may use {}", base::text::bytes(limit)),
        };
        findings.push(format!(
            "it was killed for want of memory: {limit}; raise memory with update_container"
        ));
    } else if code == SIGKILLED && status == "exited" {
        findings.push(killed(pick::count(details, "/HostConfig/Memory")));
    } else if matches!(code, 126 | 127) && status != "running" {
        let command: Vec<&str> = std::iter::once(pick::text(details, "/Path"))
            .chain(pick::texts(details, "/Args"))
            .collect();
        let command = command.join(" ");
        findings.push(format!(
            "the command {:?} can't be run in this image; correct command or entrypoint with recreate_container",
            base::text::cut(&command, 120)
        ));
    }
    for (port, holder) in holders {
        findings.push(format!(
            "port {port} of the host, which it wants, is held by container {holder}"
        ));
    }
    let error = pick::text(details, "/State/Error");
    if holders.is_empty() && (error.contains("already allocated") || error.contains("already in use")) {
        findings
            .push("a port that it wants was taken when it was started; no container holds it now".to_owned());
    }
    if let Some(image) = image {
        findings.push(image.to_owned());
    }
    let restarts = pick::number(details, "/RestartCount");
    if status == "restarting" || restarts > 3 {
        findings.push(format!(
            "it restarts again and again ({restarts} times): see its last output"
        ));
    }
    let nothing_yet = findings.is_empty();
    let state = match (status, pick::text(details, "/State/Health/Status")) {
        ("running", "unhealthy") => Some("it runs, but its health check fails: see the last checks"),
        ("running", "starting") => Some("its health check has not succeeded yet"),
        ("paused", _) => Some("it is paused; unpause_container lets it go on"),
        ("created", _) => Some("it was never started; start_container starts it"),
        ("running", _) if nothing_yet => Some("it runs, and nothing is wrong that the engine knows of"),
        ("exited", _) if nothing_yet && code == 0 => {
            Some("it ended by itself without error: its command does not keep running, or it was stopped")
        }
        _ => None,
    };
    findings.extend(state.map(str::to_owned));
    findings
}

/// What may have sent signal 9 to a container that may use `limit` bytes of memory (0: all of the host's). Engines
/// that use cgroups of version 1 miss now and then that it was for want of memory: the notice comes after the end.
fn killed(limit: u64) -> String {
    match limit {
        0 => "it was killed (signal 9): by hand, by a stop that it ignored, or by a host out of memory"
            .to_owned(),
        limit => format!(
            "it was killed (signal 9): by hand, by a stop that it ignored, or for want of memory, which the engine does \
             not always notice; it may use {}, update_container raises that",
            base::text::bytes(limit)
        ),
    }
}

/// The last health checks, one line each.
fn checks(details: &Value) -> String {
    let log = pick::list(details, "/State/Health/Log");
    let last = &log[log.len().saturating_sub(CHECKS)..];
    let lines: Vec<String> = last
        .iter()
        .map(|check| {
            let output = pick::text(check, "/Output").trim().replace('\n', " ");
            format!(
                "exit {}: {}",
                pick::number(check, "/ExitCode"),
                base::text::cut(&output, 300)
            )
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_become_findings() {
        for (details, holders, expected) in [
            (
                json!({ "State": { "Status": "exited", "ExitCode": 137, "OOMKilled": true },
                        "HostConfig": { "Memory": 64 << 20 } }),
                vec![],
                vec![
                    "it was killed for want of memory: it may use 64 MiB; raise memory with update_container",
                ],
            ),
            (
                json!({ "State": { "Status": "exited", "ExitCode": 137 }, "HostConfig": { "Memory": 64 << 20 } }),
                vec![],
                vec![
                    "it was killed (signal 9): by hand, by a stop that it ignored, or for want of memory, which the \
                     engine does not always notice; it may use 64 MiB, update_container raises that",
                ],
            ),
            (
                json!({ "State": { "Status": "exited", "ExitCode": 137 }, "HostConfig": { "Memory": 0 } }),
                vec![],
                vec![
                    "it was killed (signal 9): by hand, by a stop that it ignored, or by a host out of memory",
                ],
            ),
            (
                json!({ "State": { "Status": "running", "ExitCode": 137 } }),
                vec![],
                vec!["it runs, and nothing is wrong that the engine knows of"],
            ),
            (
                json!({ "State": { "Status": "exited", "ExitCode": 127 }, "Path": "ngnix", "Args": ["-x"] }),
                vec![],
                vec![
                    "the command \"ngnix -x\" can't be run in this image; correct command or entrypoint with \
                     recreate_container",
                ],
            ),
            (
                json!({ "State": { "Status": "created", "Error": "Bind for 0.0.0.0:80 failed: port is already allocated" } }),
                vec![(80, "web".to_owned())],
                vec![
                    "port 80 of the host, which it wants, is held by container web",
                    "it was never started; start_container starts it",
                ],
            ),
            (
                json!({ "State": { "Status": "running", "Health": { "Status": "unhealthy" } }, "RestartCount": 9 }),
                vec![],
                vec![
                    "it restarts again and again (9 times): see its last output",
                    "it runs, but its health check fails: see the last checks",
                ],
            ),
            (
                json!({ "State": { "Status": "running" } }),
                vec![],
                vec!["it runs, and nothing is wrong that the engine knows of"],
            ),
        ] {
            assert_eq!(findings(&details, &holders, None), expected);
        }
    }

    #[test]
    fn health_output_is_bounded() {
        let log: Vec<Value> = (0..9)
            .map(|n| json!({ "ExitCode": n, "Output": format!("{}\nx", "o".repeat(900)) }))
            .collect();
        let text = checks(&json!({ "State": { "Health": { "Log": log } } }));
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("exit 6: ") && text.len() < 1_000, "{text}");
    }
}
