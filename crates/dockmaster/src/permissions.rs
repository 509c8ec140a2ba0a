//! Whether the lists of `[policy]` name what there is. A denial of a tool that has another name would deny nothing,
//! and nobody would notice; so that is an error, like a key that is not known.
//!
//! A server that is not switched on now may be another time, so a name like no other is taken as it is.

use base::names::ServerName;
use docker_server::describe;
use files_server::FilesServer;
use server_kit::Service;
use shell_server::ShellServer;

use crate::settings::{Config, nearest};
use crate::shell;

/// The servers that are built in.
const DOCKER: &str = "docker";
const FILES: &str = "files";
/// What can be called beside tools.
const BESIDE_TOOLS: [&str; 2] = ["resources.read", "prompts.get"];

/// Fails with the first name in the lists that means nothing, and its key. Patterns with `*` are taken as they are.
pub(crate) fn check(config: &Config) -> Result<(), (&'static str, String)> {
    let rules = &config.policy;
    let on = config
        .profiles
        .values()
        .flat_map(|profile| profile.servers.keys());
    let others: Vec<_> = on.chain(config.servers.keys()).map(ServerName::as_str).collect();
    for (key, patterns) in [("policy.allow", &rules.allow), ("policy.deny", &rules.deny)] {
        for pattern in patterns {
            if let Some(fault) = fault(pattern.as_str(), &others) {
                return Err((key, format!("\"{pattern}\" {fault}")));
            }
        }
    }
    Ok(())
}

/// What is wrong with a pattern, where there are these servers beside the built-in one.
fn fault(pattern: &str, others: &[&str]) -> Option<String> {
    let (server, tool) = pattern.split_once('/')?;
    if server.contains('*') {
        return None;
    }
    let known = || {
        [DOCKER, FILES, env!("CARGO_PKG_NAME")]
            .into_iter()
            .chain(shell::NAMES)
            .chain(others.iter().copied())
    };
    if !known().any(|known| known == server) {
        let near = nearest(server, known())?;
        return Some(format!("names no server; did you mean \"{near}/{tool}\"?"));
    }
    if tool.contains('*') || BESIDE_TOOLS.contains(&tool) || others.contains(&server) {
        return None;
    }
    let canonical = match server {
        DOCKER => describe::canonical(tool),
        FILES => FilesServer::table().canonical(tool),
        _ if shell::NAMES.contains(&server) => ShellServer::table().canonical(tool),
        _ => return None,
    };
    match canonical {
        Some(own) if own == tool => None,
        Some(own) => Some(format!("is another name of \"{server}/{own}\"; write that")),
        None => Some("names no tool; `dockmaster tools list --toolset full` lists them".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_nothing() {
        for (pattern, expected) in [
            ("docker/list_containers", None),
            ("docker/*", None),
            ("*/list_containers", None),
            ("docker/resources.read", None),
            ("docker/run-container", None),
            (
                "docker/docker_exec_command",
                Some("is another name of \"docker/execute_command_in_container\"; write that"),
            ),
            (
                "docker/remove_contaner",
                Some("names no tool; `dockmaster tools list --toolset full` lists them"),
            ),
            ("files/read_file", None),
            (
                "files/grep",
                Some("is another name of \"files/search_content\"; write that"),
            ),
            ("dokcer/*", Some("names no server; did you mean \"docker/*\"?")),
            ("memory/read_graph", None),
            (
                "memroy/read_graph",
                Some("names no server; did you mean \"memory/read_graph\"?"),
            ),
            ("browserbase/anything", None),
            ("shell/run_command", None),
            ("host-shell/*", None),
            (
                "host-shell/bash",
                Some("is another name of \"host-shell/run_command\"; write that"),
            ),
            (
                "shell/run",
                Some("names no tool; `dockmaster tools list --toolset full` lists them"),
            ),
        ] {
            let found = fault(pattern, &["memory"]);
            assert_eq!(found.as_deref(), expected, "{pattern}");
        }
    }
}
