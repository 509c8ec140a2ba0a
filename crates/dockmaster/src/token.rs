//! The bearer token of HTTP clients: given by `DOCKMASTER_TOKEN`, else generated once and kept in a file that only
//! its owner can read.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fs_err as fs;

use crate::env::Var;
use crate::private;
use crate::settings::Settings;

/// The token, generated now if there is none yet.
pub(crate) fn obtain(settings: &Settings) -> Result<Secret> {
    if let Some(token) = find(settings)? {
        return Ok(token);
    }
    let file = settings.folders.token_file();
    generate(&file).with_context(|| format!("can't keep a generated token in {}", file.display()))?;
    // Read again: another process may have been first.
    find(settings)?.context("the token that was generated is gone")
}

/// The token, if there is one.
pub(crate) fn find(settings: &Settings) -> Result<Option<Secret>> {
    if let Some(token) = settings.environment.text(Var::Token) {
        return Ok(Some(Secret::new(token.trim())));
    }
    match fs::read_to_string(settings.folders.token_file()) {
        Ok(token) if token.trim().is_empty() => Ok(None),
        Ok(token) => Ok(Some(Secret::new(token.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("can't read the bearer token"),
    }
}

/// Writes a new token beside its place and links it there, so that it is never seen half written, and never
/// replaces one that another process has just made.
fn generate(file: &Path) -> Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    let draft = private::draft(file, format!("{}\n", URL_SAFE_NO_PAD.encode(random)).as_bytes())?;
    let linked = match fs::hard_link(&draft, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    let _ = fs::remove_file(&draft);
    Ok(linked?)
}

/// Where a person finds the token.
pub(crate) fn place(settings: &Settings) -> String {
    match settings.environment.text(Var::Token) {
        Some(_) => format!("that of {}", Var::Token.name()),
        None => format!("in {}", settings.folders.shown(&settings.folders.token_file())),
    }
}
