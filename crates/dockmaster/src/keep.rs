//! The sources of secrets that the configuration names.

use anyhow::{Result, bail};
use secrets::{
    DockerPass, EnvFile, Environment, Folder, Helper, PROGRAM_TIME, Programs, Source, Sources, Vault,
    VaultKey,
};

use crate::env::Var;
use crate::exit::{Exit, Failure};
use crate::settings::Settings;

/// Where secrets are looked for if nobody says anything.
const USUAL: [&str; 2] = ["environment", "file"];

/// The chain of sources, in their order.
pub(crate) fn sources(settings: &Settings) -> Result<Sources> {
    let usual = USUAL.map(str::to_owned).to_vec();
    let named = settings.config.secrets.sources.as_ref().unwrap_or(&usual);
    let chain = named.iter().map(|name| {
        source(settings, name)
            .map_err(|error| Failure::new(Exit::Faulty, format!("secrets.sources: {error}")).into())
    });
    Ok(Sources::new(chain.collect::<Result<Vec<_>>>()?))
}

fn source(settings: &Settings, text: &str) -> Result<Source> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let path = || -> Result<std::path::PathBuf> {
        let path = match (rest.strip_prefix("~/"), &settings.folders.home) {
            (Some(below), Some(home)) => home.join(below),
            _ => std::path::PathBuf::from(rest),
        };
        if !path.is_absolute() {
            bail!("{text:?} needs an absolute path: \"{kind}:/path\"");
        }
        Ok(path)
    };
    Ok(match kind {
        "environment" if rest.is_empty() => {
            Source::Environment(Environment::new(settings.environment.secrets().iter().cloned()))
        }
        "file" if rest.is_empty() => Source::Vault(vault(settings)),
        "folder" => Source::Folder(Folder::new(path()?)),
        "env-file" => Source::EnvFile(EnvFile::new(path()?)),
        "helper" => Source::Helper(Helper::new(rest, programs(settings))?),
        "docker-pass" if rest.is_empty() => Source::DockerPass(DockerPass::new(programs(settings))),
        _ => bail!(
            "{text:?} is no source; there are environment, file, folder:PATH, env-file:PATH, helper:NAME and docker-pass"
        ),
    })
}

fn vault(settings: &Settings) -> Vault {
    let state = &settings.folders.state;
    let key = match settings.environment.text(Var::Passphrase) {
        Some(passphrase) => VaultKey::Passphrase(base::Secret::new(passphrase)),
        None => VaultKey::File(state.join("secrets.key")),
    };
    Vault::new(state.join("secrets"), key)
}

fn programs(settings: &Settings) -> Programs {
    Programs {
        path: settings.environment.raw(Var::Path),
        withhold: settings
            .environment
            .secrets()
            .iter()
            .map(|(name, _)| name.clone())
            .chain([Var::Token, Var::Passphrase].map(|var| var.name().to_owned()))
            .collect(),
        limit: PROGRAM_TIME,
    }
}
