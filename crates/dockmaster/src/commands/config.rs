//! `config show`, `config path` and `config check`.

use anyhow::{Result, bail};
use serde_json::json;

use crate::cli::Config;
use crate::env::Var;
use crate::exit::Exit;
use crate::settings::table::SETTINGS;
use crate::settings::{LOCAL, Origin, Settings, Shown};
use crate::{engines, files, output};

/// Does one of them.
pub(crate) fn run(settings: &Settings, command: &Config) -> Result<Exit> {
    match command {
        Config::Show(json) if json.json => output::json(&shown(settings))?,
        Config::Show(_) => output::line(&show(settings))?,
        Config::Path(json) if json.json => output::json(&json!({
            "config": settings.file,
            "exists": settings.has_file(),
            "state": settings.folders.state,
            "database": settings.database(),
            "token": settings.folders.token_file(),
        }))?,
        Config::Path(_) => output::line(&settings.file.display().to_string())?,
        Config::Check => check(settings)?,
        Config::Explain { name } => return explain(name.as_deref().unwrap_or_default()),
    }
    Ok(Exit::Done)
}

/// The configuration as a file that would say all of it, each line with where its value came from.
fn show(settings: &Settings) -> String {
    let mut text = String::new();
    let mut table = "";
    for value in &shown(settings) {
        let (own, name) = value.key.rsplit_once('.').unwrap_or(("", &value.key));
        if own != table {
            let gap = if table.is_empty() { "" } else { "\n" };
            text.extend([gap, "[", own, "]\n"]);
            table = own;
        }
        // What was found out is no setting, and would be one if the line were taken into a file.
        let is_setting = !value.is_words() && !matches!(value.origin, Origin::Found { .. });
        let hidden = if is_setting { "" } else { "# " };
        text.extend([
            hidden,
            name,
            " = ",
            &value.value,
            "  # ",
            &value.origin.to_string(),
            "\n",
        ]);
    }
    text.pop();
    text
}

/// All values. The endpoint is what most questions are about, so it is found out here and now.
fn shown(settings: &Settings) -> Vec<Shown> {
    let mut shown = settings.shown();
    let endpoint = shown
        .iter_mut()
        .find(|value| value.key == "hosts.local.endpoint" && value.origin == Origin::Default);
    if let Some(endpoint) = endpoint {
        match engines::find(settings, LOCAL) {
            Ok(found) => {
                endpoint.value = format!("{:?}", found.endpoint.to_string());
                endpoint.origin = Origin::Found {
                    how: found.origin.to_string(),
                };
            }
            Err(error) => {
                endpoint.value = format!("({error})");
                if settings.environment.text(Var::DockerContext).is_some() {
                    endpoint.origin = Origin::Environment {
                        variable: Var::DockerContext.name(),
                    };
                }
            }
        }
    }
    shown
}

/// What keys and variables mean, of those whose name begins with `name`.
fn explain(name: &str) -> Result<Exit> {
    let keys = SETTINGS.iter().map(|setting| (setting.key, setting.about));
    let variables = Var::ALL.iter().map(|var| (var.name(), var.about()));
    let known: Vec<_> = keys
        .chain(variables)
        .filter(|(known, _)| known.starts_with(name))
        .collect();
    if known.is_empty() {
        bail!("there is no key or variable {name:?}; `dockmaster config explain` lists them all");
    }
    for (known, about) in known {
        output::line(&format!("{known}\n    {}", about.trim().replace('`', "")))?;
    }
    Ok(Exit::Done)
}

/// The file was read already, or we would not be here; what is left are values that only their users can judge.
fn check(settings: &Settings) -> Result<()> {
    for (name, _) in settings.config.hosts.all() {
        engines::of(settings, name)?;
    }
    files::check(settings)?;
    let file = settings.folders.shown(&settings.file);
    let verdict = if settings.has_file() {
        format!("{file} is in order")
    } else {
        format!("there is no {file}; all is at its default")
    };
    output::note(&verdict)?;
    Ok(())
}
