//! Who is measured, and by which of its tools.

use serde_json::{Value, json};
use std::path::Path;

/// A tool and how it is called.
pub(crate) struct Call {
    pub(crate) tool: &'static str,
    pub(crate) arguments: Value,
}

/// An MCP server for Docker.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) command: Vec<String>,
    /// Starts measured: a server that needs seconds is started less often.
    pub(crate) starts: usize,
    /// Lists all containers, running or not.
    pub(crate) list: Call,
    /// Gives all logs of the container `talker`.
    pub(crate) logs: Call,
}

fn call(tool: &'static str, arguments: Value) -> Call {
    Call { tool, arguments }
}

/// This program, with its standard set of tools.
pub(crate) fn own(dockmaster: &str, talker: &str) -> Subject {
    Subject {
        name: "dockmaster",
        command: [dockmaster, "gateway", "run"].map(str::to_owned).into(),
        starts: 50,
        list: call("list_containers", json!({ "all": true })),
        logs: call(
            "monitor_container_logs",
            json!({ "container": talker, "tail": "all" }),
        ),
    }
}

/// Our tool that shows one container; none of the peers has one.
pub(crate) fn inspect(container: &str) -> Call {
    call("inspect_container", json!({ "container": container }))
}

/// The peers that could be installed into `folder`.
pub(crate) fn peers(folder: &Path, talker: &str) -> Vec<Subject> {
    let python = |name: &str| vec![folder.join(name).join("bin").join(name).display().to_string()];
    let script = folder
        .join("mcp-docker-server/node_modules/.bin/mcp-docker-server")
        .display()
        .to_string();
    let all = [
        Subject {
            name: "mcp-server-docker (PyPI)",
            command: python("mcp-server-docker"),
            starts: 5,
            list: call("list_containers", json!({ "all": true })),
            logs: call(
                "fetch_container_logs",
                json!({ "container_id": talker, "tail": 60_000 }),
            ),
        },
        Subject {
            name: "docker-mcp (PyPI, with mcp<2)",
            command: python("docker-mcp"),
            starts: 5,
            list: call("list-containers", json!({})),
            logs: call("get-logs", json!({ "container_name": talker })),
        },
        Subject {
            name: "mcp-docker-server (npm)",
            command: vec!["node".to_owned(), script],
            starts: 10,
            list: call("list_containers", json!({ "all": true })),
            logs: call("container_logs", json!({ "id": talker, "tail": 60_000 })),
        },
    ];
    all.into_iter()
        .filter(|peer| {
            peer.command
                .last()
                .is_some_and(|program| Path::new(program).exists())
        })
        .collect()
}
