//! What a project is to be like, as the caller says it.

use super::{PROJECT, SPEC};
use crate::create::{Body, Settings};
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::values::Source;
use base::names::{ContainerRef, NetworkRef, VolumeName};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A project as wanted. Names are short; the project's name is put before them.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) project: String,
    pub(crate) containers: Vec<WantedContainer>,
    pub(crate) networks: Vec<WantedNetwork>,
    pub(crate) volumes: Vec<WantedVolume>,
    pub(crate) remove: Remove,
}

/// What becomes of things of the project that are not wanted any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Remove {
    /// They stay.
    #[default]
    Nothing,
    /// Containers and networks go, volumes stay.
    Containers,
    /// Everything goes, volumes with their data too.
    All,
}

/// A network by name, or with settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a name, or an object with name, driver, internal")]
pub(crate) enum NetworkSpec {
    Name(String),
    Full(NetworkSettings),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkSettings {
    name: String,
    driver: Option<String>,
    #[serde(default)]
    internal: bool,
}

/// A volume by name, or with settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a name, or an object with name, driver")]
pub(crate) enum VolumeSpec {
    Name(String),
    Full(VolumeSettings),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VolumeSettings {
    name: String,
    driver: Option<String>,
}

/// A container with its full name.
#[derive(Debug, Clone)]
pub(crate) struct WantedContainer {
    pub(crate) name: ContainerRef,
    pub(crate) settings: Settings,
}

/// A network with its full name.
#[derive(Debug, Clone)]
pub(crate) struct WantedNetwork {
    pub(crate) name: NetworkRef,
    pub(crate) driver: Option<String>,
    pub(crate) internal: bool,
}

/// A volume with its full name.
#[derive(Debug, Clone)]
pub(crate) struct WantedVolume {
    pub(crate) name: VolumeName,
    pub(crate) driver: Option<String>,
}

impl fmt::Display for WantedContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.settings.shown(), self.settings.reaches())
    }
}

impl Wanted {
    /// Puts the project's name before all names, and resolves references between its parts.
    ///
    /// # Errors
    /// Names that are none or come twice, and settings that make no sense in a plan.
    pub(crate) fn new(
        project: &str,
        containers: Vec<Settings>,
        networks: Vec<NetworkSpec>,
        volumes: Vec<VolumeSpec>,
        remove: Remove,
    ) -> Result<Self, ToolError> {
        ContainerRef::parse(project)
            .map_err(|error| ToolError::arguments(format!("parameter project: {error}")))?;
        let full = |name: &str| format!("{project}-{name}");
        let mut wanted = Self {
            project: project.to_owned(),
            remove,
            ..Self::default()
        };
        let mut own_networks = Vec::new();
        for network in networks {
            let network = match network {
                NetworkSpec::Name(name) => NetworkSettings {
                    name,
                    driver: None,
                    internal: false,
                },
                NetworkSpec::Full(settings) => settings,
            };
            wanted.networks.push(WantedNetwork {
                name: NetworkRef::parse(&full(&network.name))?,
                driver: network.driver,
                internal: network.internal,
            });
            own_networks.push(network.name);
        }
        let mut own_volumes = Vec::new();
        for volume in volumes {
            let volume = match volume {
                VolumeSpec::Name(name) => VolumeSettings { name, driver: None },
                VolumeSpec::Full(settings) => settings,
            };
            wanted.volumes.push(WantedVolume {
                name: VolumeName::parse(&full(&volume.name))?,
                driver: volume.driver,
            });
            own_volumes.push(volume.name);
        }
        for settings in containers {
            let container = in_project(settings, &full, &own_networks, &own_volumes)?;
            if wanted.containers.iter().any(|other| other.name == container.name) {
                return Err(ToolError::arguments(format!(
                    "parameter containers: {} comes twice",
                    container.name
                )));
            }
            wanted.containers.push(container);
        }
        Ok(wanted)
    }
}

fn in_project(
    mut settings: Settings,
    full: &impl Fn(&str) -> String,
    own_networks: &[String],
    own_volumes: &[String],
) -> Result<WantedContainer, ToolError> {
    let Some(short) = settings.name.take() else {
        return Err(ToolError::arguments(
            "parameter containers: each has a name, which comes after the project's",
        ));
    };
    if settings.image.is_none() {
        return Err(ToolError::arguments(format!(
            "parameter containers: {short} has no image"
        )));
    }
    if settings.wait.is_some() || settings.start.is_some() || settings.auto_remove == Some(true) {
        return Err(ToolError::arguments(format!(
            "parameter containers: {short}: start, wait and auto_remove have no place in a plan, which starts all \
             containers and keeps them"
        )));
    }
    let name = ContainerRef::parse(&full(short.as_str()))?;
    settings.network = match settings.network {
        Some(network) if own_networks.contains(&network) => Some(full(&network)),
        // Containers of a project should find each other.
        None => own_networks.first().map(|network| full(network)),
        other => other,
    };
    let is_own = settings
        .network
        .as_ref()
        .is_some_and(|network| own_networks.iter().any(|own| full(own) == *network));
    if is_own {
        let aliases = settings.aliases.get_or_insert_default();
        if !aliases.contains(&short.to_string()) {
            aliases.push(short.to_string());
        }
    }
    for volume in settings.volumes.iter_mut().flatten() {
        if let Source::Named(name) = &mut volume.source
            && own_volumes.contains(name)
        {
            *name = full(name);
        }
    }
    settings.name = Some(name.clone());
    Ok(WantedContainer { name, settings })
}

impl WantedContainer {
    /// The body to make it from, with the labels of the project, and the digest that tells whether a container was
    /// made from it.
    pub(crate) fn body(&self, ctx: &Ctx, project: &str) -> Result<(Body, String), ToolError> {
        let mut body = Body::default();
        body.apply(&self.settings)?;
        body.label(PROJECT, project);
        if let Some((name, value)) = ctx.scope_label() {
            body.label(name, value);
        }
        let json = serde_json::to_vec(body.json()).unwrap_or_default();
        let digest = Sha256::digest(&json);
        let spec: String = digest[..8].iter().fold(String::new(), |mut text, byte| {
            _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        });
        body.label(SPEC, &spec);
        Ok((body, spec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wanted(containers: Value, networks: Value, volumes: Value) -> Result<Wanted, ToolError> {
        Wanted::new(
            "shop",
            serde_json::from_value(containers).unwrap(),
            serde_json::from_value(networks).unwrap(),
            serde_json::from_value(volumes).unwrap(),
            Remove::Nothing,
        )
    }

    #[test]
    fn parts_find_each_other_by_short_names() {
        let wanted = wanted(
            json!([{ "name": "db", "image": "postgres:16", "volumes": ["data:/data", "other:/x", "/srv:/srv"] }]),
            json!(["back", { "name": "front", "internal": true }]),
            json!(["data"]),
        )
        .unwrap();
        let [db] = wanted.containers.as_slice() else {
            panic!("one container")
        };
        assert_eq!(db.name.as_str(), "shop-db");
        assert_eq!(db.settings.network.as_deref(), Some("shop-back"));
        assert_eq!(db.settings.aliases.as_deref(), Some(&["db".to_owned()][..]));
        let sources: Vec<_> = db
            .settings
            .volumes
            .iter()
            .flatten()
            .map(|volume| &volume.source)
            .collect();
        let expected = [
            Source::Named("shop-data".into()),
            Source::Named("other".into()),
            Source::Host("/srv".into()),
        ];
        assert_eq!(sources, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (containers, part) in [
            (json!([{ "image": "x" }]), "each has a name"),
            (json!([{ "name": "a" }]), "has no image"),
            (
                json!([{ "name": "a", "image": "x", "wait": true }]),
                "have no place",
            ),
            (
                json!([{ "name": "a", "image": "x" }, { "name": "a", "image": "y" }]),
                "comes twice",
            ),
        ] {
            let error = wanted(containers, json!([]), json!([])).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
