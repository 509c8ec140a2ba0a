//! What to paste into an MCP client so that it uses this gateway.

use std::net::SocketAddr;
use std::path::Path;

use base::Secret;
use serde_json::{Map, Value, json};

use crate::env::Var;
use crate::settings::Settings;

/// Variables that decide what the gateway does, and that a client started from a desktop would not have.
const PASSED_ON: [Var; 9] = [
    Var::Home,
    Var::Config,
    Var::DockerHost,
    Var::DockerContext,
    Var::DockerConfig,
    Var::DockerCertPath,
    Var::DockerTlsVerify,
    Var::XdgConfigHome,
    Var::XdgStateHome,
];

/// The client starts the gateway as its child process.
pub(crate) fn stdio(executable: &Path, settings: &Settings) -> Value {
    let mut args = vec![json!("gateway"), json!("run")];
    if settings.has_file() && settings.file != settings.folders.config_file() {
        args.extend([json!("--config"), json!(settings.file)]);
    }
    let passed = PASSED_ON
        .iter()
        .filter_map(|var| Some((var.name().to_owned(), settings.environment.text(*var)?.into())));
    let passed: Map<String, Value> = passed.collect();
    let mut entry = json!({"command": executable, "args": args});
    if !passed.is_empty() {
        entry["env"] = passed.into();
    }
    json!({"mcpServers": {"dockmaster": entry}})
}

/// The gateway runs already, and the client connects to it.
pub(crate) fn http(address: SocketAddr, token: &Secret) -> Value {
    json!({"mcpServers": {"dockmaster": {
        "type": "http",
        "url": url(address),
        "headers": {"Authorization": format!("Bearer {}", token.expose())},
    }}})
}

/// The MCP endpoint. An address that stands for all is written as the loopback, by which this machine reaches it.
pub(crate) fn url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}/mcp")
}

/// Where each client keeps this, for the person.
pub(crate) const PLACES: &str = "\
Claude Desktop  claude_desktop_config.json (Settings, Developer, Edit Config); stdio
Claude Code     .mcp.json in the project, or: claude mcp add-json dockmaster 'THE INNER OBJECT'
Cursor          ~/.cursor/mcp.json";
