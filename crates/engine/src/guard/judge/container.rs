//! Creating, starting and committing containers.

use serde_json::Value;

use super::super::endpoints::{Endpoint, Judge};
use super::super::host_path::{self, Access, Missing};
use super::super::lookup::Object;
use super::super::refusal::{Refusal, Rule};
use super::super::shape::{Shaped, find};
use super::super::shapes;
use super::Case;

/// Refuses fields of the host configuration outside of it. Engine 20.10 obeys them there when the body has no
/// `HostConfig` (28 does not), so they are no harmless mistake.
pub(super) fn in_place(body: Value, endpoint: &Endpoint) -> Result<Value, Refusal> {
    if endpoint.judge == Judge::ContainerCreate
        && let Value::Object(map) = &body
        && let Some(name) = map.keys().find(|name| {
            find(shapes::CONTAINER_CREATE, name).is_none() && find(shapes::HOST_CONFIG, name).is_some()
        })
    {
        let reason = "it belongs into HostConfig; some engines obey it here too";
        return Err(Refusal::new(
            Rule::UnknownField,
            format!("{}: the body", endpoint.title),
            name,
            reason,
        ));
    }
    Ok(body)
}

/// Instructions that leave labels alone.
const NO_LABELS: [&str; 8] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Whether a line of `changes` could be `LABEL`, or a part of it: lines can be continued (by whatever character an
/// `escape` directive names), and a byte order mark may stand before the first. So a line counts as harmless only if
/// it begins with another instruction, whole.
fn may_label(line: &str) -> bool {
    let Some(word) = line.split_ascii_whitespace().next() else {
        return false;
    };
    !NO_LABELS.iter().any(|own| own.eq_ignore_ascii_case(word))
}

impl Case<'_> {
    pub(super) async fn container_create(&self, body: &mut Value) -> Result<(), Refusal> {
        self.must_bear_label("Labels", body.at("Labels"))?;
        self.image_used("Image", body.text("Image")).await?;
        self.environment(body)?;
        self.volumes_made(body)?;
        let host = body.at("HostConfig");
        self.host_config(host).await?;
        for (network, endpoint) in body.at("NetworkingConfig").pairs("EndpointsConfig") {
            let at = "NetworkingConfig.EndpointsConfig";
            self.network_joined(at, network).await?;
            self.endpoint(
                &format!("{at}.{}", super::super::refusal::shown(network)),
                endpoint,
            )
            .await?;
        }
        let pinned = self.volumes_from(host).await?;
        if !pinned.is_empty() {
            body["HostConfig"]["VolumesFrom"] = pinned.into();
        }
        Ok(())
    }

    /// Variables of a container. Podman fills in one without a value from the daemon's own environment, and takes all
    /// that begin like it when it ends in `*`; Docker takes the variable away.
    fn environment(&self, body: &Value) -> Result<(), Refusal> {
        match body.texts("Env").find(|variable| !variable.contains('=')) {
            None => Ok(()),
            Some(variable) => {
                let reason = "it has no '=', and some engines would fill it in from their own environment";
                Err(Refusal::new(Rule::Body, self.what("Env"), variable, reason))
            }
        }
    }

    /// `Volumes`: places for new volumes. Podman reads them as it reads binds.
    fn volumes_made(&self, body: &Value) -> Result<(), Refusal> {
        match body.pairs("Volumes").find(|(place, _)| place.contains(':')) {
            None => Ok(()),
            Some((place, _)) => {
                let reason = "some engines read a bind mount in a name with a colon; that belongs into Binds";
                Err(Refusal::new(Rule::Bind, self.what("Volumes"), place, reason))
            }
        }
    }

    /// What a container that exists would be given anew when it starts. Only mounts under a root are judged: the
    /// others are its owner's doing, and the guard let none of them through.
    pub(super) async fn container_start(&self) -> Result<Option<String>, Refusal> {
        if self.query.get("checkpoint").is_some() || self.query.get("checkpoint-dir").is_some() {
            self.checkpoint()?;
            self.checkpoint_dir(
                "checkpoint-dir",
                self.query.get("checkpoint-dir").unwrap_or_default(),
            )?;
        }
        if self.policy.roots.is_empty() {
            return Ok(None);
        }
        let container = self
            .must_look_up(Object::Container(self.name().to_owned()))
            .await?;
        for mount in container.items("Mounts") {
            match mount.text("Type") {
                "bind" => self.still_in_place(mount.text("Source"), mount.flag("RW"))?,
                "volume" => {
                    let volume = self
                        .look_up(Object::Volume(mount.text("Name").to_owned()))
                        .await?;
                    let Some(options) = volume.as_ref().map(|volume| volume.at("Options")) else {
                        continue;
                    };
                    let write = mount.flag("RW") && !super::volume::is_read_only(options);
                    self.still_in_place(options.text("device"), write)?;
                }
                _ => {}
            }
        }
        self.id_of("the container", self.name(), &container, "Id")
            .map(Some)
    }

    fn still_in_place(&self, source: &str, write: bool) -> Result<(), Refusal> {
        if !host_path::is_under_a_root(self.policy, source) {
            return Ok(());
        }
        let access = if write { Access::Write } else { Access::Read };
        let what = self.what("a mount of the container");
        host_path::mount(
            self.policy,
            self.surroundings,
            &what,
            source,
            access,
            Missing::Error,
        )
    }

    pub(super) async fn commit(&self, body: &Value) -> Result<(), Refusal> {
        let container = self.query.get("container").unwrap_or_default();
        if self.policy.registries.is_some() && !self.policy.build {
            let reason =
                "images may only come from listed registries, and a commit makes one with any content";
            return Err(self.refuse(Rule::Build, "container", container, reason, "build"));
        }
        if let Some(label) = &self.policy.label {
            self.container_in_scope("container", container).await?;
            // The image takes over the container's labels, unless they are written over.
            let foreign = body.pairs("Labels").any(|(key, value)| {
                key == label.key() && !value.as_str().is_some_and(|value| label.is(key, value))
            });
            let mut changes = self.query.all("changes").flat_map(str::lines);
            if foreign || changes.any(may_label) {
                let reason = "it could take away the label to which this host is confined";
                return Err(self.out_of_scope("Labels", "", reason));
            }
        }
        Ok(())
    }

    pub(super) fn checkpoint(&self) -> Result<(), Refusal> {
        if self.policy.checkpoints {
            return Ok(());
        }
        let reason =
            "a checkpoint holds the container's whole memory, and restoring one skips the container's checks";
        Err(self.refuse(Rule::Checkpoint, "checkpoints", "", reason, "checkpoints"))
    }

    /// A directory of the host into which the daemon writes, or from which it reads.
    pub(super) fn checkpoint_dir(&self, at: &str, dir: &str) -> Result<(), Refusal> {
        if dir.is_empty() {
            return Ok(());
        }
        host_path::mount(
            self.policy,
            self.surroundings,
            &self.what(at),
            dir,
            Access::Write,
            Missing::Created,
        )
    }
}
