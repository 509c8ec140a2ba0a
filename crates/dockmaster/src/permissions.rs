//! Whether the lists of `[policy]` name what there is. A denial of a tool that has another name would deny nothing,
//! and nobody would notice; so that is an error, like a key that is not known.

use docker_server::describe;
use policy::Rules;

/// The one server there is so far.
const DOCKER: &str = "docker";
/// What can be called beside tools.
const BESIDE_TOOLS: [&str; 2] = ["resources.read", "prompts.get"];

/// Fails with the first name in the lists that means nothing, and its key. Patterns with `*` are taken as they are.
pub(crate) fn check(rules: &Rules) -> Result<(), (&'static str, String)> {
    for (key, patterns) in [("policy.allow", &rules.allow), ("policy.deny", &rules.deny)] {
        for pattern in patterns {
            if let Some(fault) = fault(pattern.as_str()) {
                return Err((key, format!("\"{pattern}\" {fault}")));
            }
        }
    }
    Ok(())
}

fn fault(pattern: &str) -> Option<String> {
    let (server, tool) = pattern.split_once('/')?;
    if server.contains('*') {
        return None;
    }
    if ![DOCKER, env!("CARGO_PKG_NAME")].contains(&server) {
        return Some(format!("names no server; there is {DOCKER}"));
    }
    if server != DOCKER || tool.contains('*') || BESIDE_TOOLS.contains(&tool) {
        return None;
    }
    match describe::canonical(tool) {
        Some(own) if own == tool => None,
        Some(own) => Some(format!("is another name of \"{DOCKER}/{own}\"; write that")),
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
            ("dokcer/*", Some("names no server; there is docker")),
        ] {
            assert_eq!(fault(pattern).as_deref(), expected, "{pattern}");
        }
    }
}
