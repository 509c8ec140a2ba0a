//! `version`.

use anyhow::Result;
use serde_json::json;

use crate::cli::Json;
use crate::exit::Exit;
use crate::output;

/// Prints what this program is, and what it speaks.
pub(crate) fn run(json: Json) -> Result<Exit> {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    if json.json {
        output::json(&json!({
            "name": name,
            "version": version,
            "mcp": wire::Version::ALL.map(wire::Version::as_str),
            "engine_api": {"oldest": engine::Version::OLDEST.to_string(), "newest": engine::Version::NEWEST.to_string()},
        }))?;
    } else {
        output::line(&format!("{name} {version}"))?;
    }
    Ok(Exit::Done)
}
