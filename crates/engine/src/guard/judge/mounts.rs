//! Mounts: `Binds`, `Mounts`, `VolumesFrom` and the volume driver of a container, and what a container has that
//! exists already.

use base::names::VolumeName;
use serde_json::Value;

use super::super::host_path::{self, Access, Missing};
use super::super::lookup::Object;
use super::super::refusal::{Refusal, Rule, shown};
use super::super::shape::Shaped;
use super::Case;

/// What Docker knows as the consistency of a mount; on Linux all mean the same.
const CONSISTENCIES: [&str; 5] = ["", "default", "consistent", "cached", "delegated"];

/// What the third part of a bind says.
struct BindMode {
    access: Access,
    /// Whether the source is given another security label, for which it has to be written to.
    relabels: bool,
}

impl Case<'_> {
    /// The mounts of a container to be created.
    pub(super) async fn mounts(&self, host: &Value) -> Result<(), Refusal> {
        self.volume_driver("HostConfig.VolumeDriver", host.text("VolumeDriver"))?;
        for bind in host.texts("Binds") {
            self.bind("HostConfig.Binds", bind).await?;
        }
        for (index, mount) in host.items("Mounts").enumerate() {
            self.mount(&format!("HostConfig.Mounts[{index}]"), mount).await?;
        }
        for (target, options) in host.pairs("Tmpfs") {
            let at = format!("HostConfig.Tmpfs[{}]", shown(target));
            self.tmpfs_options(&at, options.as_str().unwrap_or_default())?;
        }
        Ok(())
    }

    /// The containers whose mounts are taken over. Gives back the list with ids in the place of names, so that a
    /// container renamed meanwhile is not taken for the one that was looked at.
    pub(super) async fn volumes_from(&self, host: &Value) -> Result<Vec<String>, Refusal> {
        let mut pinned = Vec::new();
        for from in host.texts("VolumesFrom") {
            pinned.push(self.taken_from("HostConfig.VolumesFrom", from).await?);
        }
        Ok(pinned)
    }

    /// `source:target:mode`, `source:target`, or `target` for a new volume.
    async fn bind(&self, at: &str, bind: &str) -> Result<(), Refusal> {
        let refuse = |reason: &'static str| Refusal::new(Rule::Bind, self.what(at), bind, reason);
        let parts: Vec<&str> = bind.split(':').collect();
        let (source, target, mode) = match *parts.as_slice() {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, mode] => (Some(source), target, mode),
            _ => return Err(refuse("it is not source:target or source:target:mode")),
        };
        if !target.starts_with('/') {
            return Err(refuse("the target in the container has to be an absolute path"));
        }
        let mode = self.bind_mode(at, bind, mode)?;
        match source {
            None => Ok(()),
            Some(source) if source.starts_with('/') => {
                let access = if mode.relabels { Access::Write } else { mode.access };
                self.host_source(at, source, access, Missing::Created)
            }
            Some(source) => self.volume_used(at, source, mode.access, VolumeMade::ByUse).await,
        }
    }

    fn bind_mode(&self, at: &str, bind: &str, mode: &str) -> Result<BindMode, Refusal> {
        let mut out = BindMode {
            access: Access::Write,
            relabels: false,
        };
        for option in mode.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => out.access = Access::Read,
                "z" | "Z" => out.relabels = true,
                "rw" | "nocopy" | "consistent" | "cached" | "delegated" | "default" => {}
                "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => {
                    self.propagation(at, option)?;
                }
                _ => {
                    let reason = "the guard does not know this mount option";
                    return Err(Refusal::new(Rule::Bind, self.what(at), bind, reason));
                }
            }
        }
        Ok(out)
    }

    fn propagation(&self, at: &str, mode: &str) -> Result<(), Refusal> {
        if matches!(mode, "" | "private" | "rprivate")
            || self.policy.propagation.iter().any(|own| own == mode)
        {
            return Ok(());
        }
        let reason = "mounts would pass between the container and the host";
        Err(self.refuse_unlisted(Rule::Bind, at, mode, reason, "propagation"))
    }

    /// One of `Mounts`, of a container or a service.
    pub(super) async fn mount(&self, at: &str, mount: &Value) -> Result<(), Refusal> {
        let source = mount.text("Source");
        let access = if mount.flag("ReadOnly") {
            Access::Read
        } else {
            Access::Write
        };
        let at = |name: &str| format!("{at}.{name}");
        self.one_mount(&at, mount)?;
        match mount.text("Type") {
            "bind" => {
                let options = mount.at("BindOptions");
                self.propagation(&at("BindOptions.Propagation"), options.text("Propagation"))?;
                // What is mounted below the source would stay writable.
                let access = if options.flag("ReadOnlyNonRecursive") {
                    Access::Write
                } else {
                    access
                };
                let missing = if options.flag("CreateMountpoint") {
                    Missing::Created
                } else {
                    Missing::Error
                };
                self.host_source(&at("Source"), source, access, missing)
            }
            "volume" => {
                let options = mount.at("VolumeOptions");
                let driver = options.at("DriverConfig");
                self.volume(
                    &at("VolumeOptions.DriverConfig"),
                    driver.text("Name"),
                    driver.at("Options"),
                )?;
                if source.is_empty() {
                    return Ok(());
                }
                let made = if self.bears_label(options.at("Labels")) {
                    VolumeMade::Labelled
                } else {
                    VolumeMade::ByUse
                };
                self.volume_used(&at("Source"), source, access, made).await
            }
            "tmpfs" => {
                let options = mount.at("TmpfsOptions").items("Options");
                let options = options.map(|option| option.as_array().map(Vec::as_slice).unwrap_or_default());
                for option in options {
                    let option: Vec<&str> = option.iter().filter_map(Value::as_str).collect();
                    self.tmpfs_options(&at("TmpfsOptions.Options"), &option.join("="))?;
                }
                Ok(())
            }
            "image" => self.image_used(&at("Source"), source).await,
            "npipe" => {
                let reason = "a named pipe of the host is a way to the programs behind it";
                if self.policy.sockets.iter().any(|own| own.as_os_str() == source) {
                    return Ok(());
                }
                Err(self.refuse_unlisted(Rule::Socket, &at("Source"), source, reason, "sockets"))
            }
            "cluster" => self.volume_driver(&at("Type"), "cluster"),
            other => {
                let reason = "the guard does not know this type of mount";
                Err(Refusal::new(Rule::Bind, self.what(&at("Type")), other, reason))
            }
        }
    }

    /// Podman writes the parts of a mount into one text, comma after comma, and reads that; of two sources there the
    /// last one counts.
    fn one_mount(&self, at: &impl Fn(&str) -> String, mount: &Value) -> Result<(), Refusal> {
        for name in ["Source", "Target"] {
            let value = mount.text(name);
            if value.chars().any(|c| matches!(c, ',' | '"') || c.is_control()) {
                let reason = "some engines read further options after a comma, quote or line break in it";
                return Err(Refusal::new(Rule::Bind, self.what(&at(name)), value, reason));
            }
        }
        let consistency = mount.text("Consistency");
        if !CONSISTENCIES.contains(&consistency) {
            let reason = "it is consistent, cached, delegated or default; some engines read further options in another";
            return Err(Refusal::new(
                Rule::Bind,
                self.what(&at("Consistency")),
                consistency,
                reason,
            ));
        }
        Ok(())
    }

    fn host_source(&self, at: &str, source: &str, access: Access, missing: Missing) -> Result<(), Refusal> {
        host_path::mount(
            self.policy,
            self.surroundings,
            &self.what(at),
            source,
            access,
            missing,
        )
    }

    async fn taken_from(&self, at: &str, from: &str) -> Result<String, Refusal> {
        let (name, mode) = from.split_once(':').unwrap_or((from, ""));
        let access = match mode {
            "" | "rw" | "z" | "Z" | "rw,z" | "rw,Z" => Access::Write,
            "ro" => Access::Read,
            _ => {
                let reason = "the guard does not know this mode";
                return Err(Refusal::new(Rule::VolumesFrom, self.what(at), from, reason));
            }
        };
        let container = self.must_look_up(self.container(at, name)?).await?;
        self.in_scope(at, name, container.at("Config").at("Labels"))?;
        let judged = self.existing_mounts(at, &container, access).await;
        judged.map_err(|inner| Refusal {
            rule: Rule::VolumesFrom,
            reason: format!(
                "that container has a mount that is closed: {} ({})",
                inner.reason, inner.value
            )
            .into(),
            value: shown(from),
            ..inner
        })?;
        let id = self.id_of(at, name, &container, "Id")?;
        Ok(if mode.is_empty() {
            id
        } else {
            format!("{id}:{mode}")
        })
    }

    /// The mounts of a container that exists, used with at most this access.
    pub(super) async fn existing_mounts(
        &self,
        at: &str,
        container: &Value,
        most: Access,
    ) -> Result<(), Refusal> {
        for mount in container.items("Mounts") {
            let writes = most == Access::Write && mount.flag("RW");
            let access = if writes { Access::Write } else { Access::Read };
            match mount.text("Type") {
                "bind" => {
                    self.propagation(at, mount.text("Propagation"))?;
                    self.host_source(at, mount.text("Source"), access, Missing::Error)?;
                }
                "volume" => {
                    self.volume_used(at, mount.text("Name"), access, VolumeMade::ByUse)
                        .await?;
                }
                "tmpfs" | "image" => {}
                "cluster" => self.volume_driver(at, "cluster")?,
                other => {
                    let reason = "the guard does not know this type of mount";
                    return Err(Refusal::new(Rule::Bind, self.what(at), other, reason));
                }
            }
        }
        Ok(())
    }

    /// A named volume, which may be a directory of the host in disguise.
    async fn volume_used(
        &self,
        at: &str,
        name: &str,
        access: Access,
        made: VolumeMade,
    ) -> Result<(), Refusal> {
        let Ok(name) = VolumeName::parse(name) else {
            let reason = "it is neither an absolute path nor the name of a volume";
            return Err(Refusal::new(Rule::Bind, self.what(at), name, reason));
        };
        let volume = self.look_up(Object::Volume(name.to_string())).await?;
        let Some(volume) = volume else {
            if self.policy.label.is_some() && made == VolumeMade::ByUse {
                let reason = "the volume would be made without the label; create it first, with the label";
                return Err(self.out_of_scope(at, name.as_str(), reason));
            }
            return Ok(());
        };
        if !self
            .policy
            .volumes
            .iter()
            .any(|permitted| permitted == name.as_str())
        {
            self.in_scope(at, name.as_str(), volume.at("Labels"))?;
        }
        self.volume_with_access(at, volume.text("Driver"), volume.at("Options"), access)
    }
}

/// How a volume comes into being that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VolumeMade {
    /// Without labels, because a container names it.
    ByUse,
    /// With the label to which the host is confined.
    Labelled,
}
