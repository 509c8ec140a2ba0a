//! Files of tools: found, read within bounds, and judged by the catalog.

use std::path::{Path, PathBuf};

use catalog::read::Own;
use catalog::tools::{self, File, Tools};
use fs_err as fs;

use crate::settings::Settings;

/// Most bytes of a file.
const MOST: u64 = 1 << 20;

/// Where a file is that the configuration names: beside the configuration, or below the home folder where `~/` stands before.
pub(crate) fn path(settings: &Settings, written: &str) -> PathBuf {
    match (written.strip_prefix("~/"), &settings.folders.home) {
        (Some(below), Some(home)) => home.join(below),
        _ => settings
            .file
            .parent()
            .map_or_else(|| PathBuf::from(written), |folder| folder.join(written)),
    }
}

/// What stands in the file that a definition names; `None` if it names none.
///
/// # Errors
/// All that is wrong with it, one to a line, after the file's name.
pub(crate) fn read(settings: &Settings, own: &Own) -> Result<Option<Tools>, String> {
    let Some(written) = &own.tools else {
        return Ok(None);
    };
    let path = path(settings, written);
    judge(&path, own)
        .map(Some)
        .map_err(|faults| match faults.as_slice() {
            [fault] => format!("{}: {fault}", path.display()),
            faults => format!("{}:\n  {}", path.display(), faults.join("\n  ")),
        })
}

fn judge(path: &Path, own: &Own) -> Result<Tools, Vec<String>> {
    let text = bounded(path).map_err(|why| vec![why])?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        vec![format!(
            "line {line}: {}",
            error.message().trim().replace('\n', " ")
        )]
    })?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    tools::read(&file, &own.secrets, &|name| bounded(&folder.join(name)))
}

fn bounded(path: &Path) -> Result<String, String> {
    // What the error says names the file again.
    let why = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    let about = fs::metadata(path).map_err(why)?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    if about.len() > MOST {
        return Err(format!("it has {} bytes; at most {MOST} are read", about.len()));
    }
    fs::read_to_string(path).map_err(why)
}
