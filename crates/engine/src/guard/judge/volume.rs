//! Volumes: their drivers, and the options of the driver `local`, which can mount anything that `mount` can.

use serde_json::Value;

use super::super::host_path::{self, Access, Missing};
use super::super::refusal::{Refusal, Rule};
use super::super::shape::Shaped;
use super::Case;

/// Mount options without arguments that change nothing about where a mount leads.
const FLAGS: [&str; 24] = [
    "",
    "defaults",
    "ro",
    "rw",
    "nosuid",
    "suid",
    "nodev",
    "dev",
    "noexec",
    "exec",
    "async",
    "sync",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "mand",
    "nomand",
    "private",
];

/// Options with arguments that a `tmpfs` takes.
const TMPFS_OPTIONS: [&str; 8] = [
    "size",
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "huge",
    "mpol",
];

impl Case<'_> {
    pub(super) fn volume_create(&self, body: &Value) -> Result<(), Refusal> {
        self.must_bear_label("Labels", body.at("Labels"))?;
        if !body.at("ClusterVolumeSpec").is_null() {
            self.volume_driver("ClusterVolumeSpec", "cluster")?;
        }
        self.volume("DriverOpts", body.text("Driver"), body.at("DriverOpts"))
    }

    /// Only volumes of a cluster can be updated.
    pub(super) fn volume_update(&self) -> Result<(), Refusal> {
        self.volume_driver("the volume", "cluster")
    }

    pub(super) fn volume_driver(&self, at: &str, driver: &str) -> Result<(), Refusal> {
        if matches!(driver, "" | "local") || self.policy.volume_drivers.iter().any(|own| own == driver) {
            return Ok(());
        }
        let reason = "a volume driver decides by itself what a volume is made of";
        Err(self.refuse_unlisted(Rule::VolumeDriver, at, driver, reason, "volume_drivers"))
    }

    /// A volume to be made.
    pub(super) fn volume(&self, at: &str, driver: &str, options: &Value) -> Result<(), Refusal> {
        self.volume_with_access(at, driver, options, Access::Write)
    }

    /// A volume that is used with at most this access.
    pub(super) fn volume_with_access(
        &self,
        at: &str,
        driver: &str,
        options: &Value,
        access: Access,
    ) -> Result<(), Refusal> {
        self.volume_driver(at, driver)?;
        if !matches!(driver, "" | "local") {
            return Ok(());
        }
        self.local_options(at, options, access)
    }

    fn local_options(&self, at: &str, options: &Value, access: Access) -> Result<(), Refusal> {
        let known = ["type", "o", "device", "size"];
        let mut names = options
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        if let Some(name) = names.find(|name| !known.contains(name)) {
            let reason = "the guard does not know this option of local volumes";
            return Err(Refusal::new(Rule::VolumeDriver, self.what(at), name, reason));
        }
        let (kind, device) = (options.text("type"), options.text("device"));
        let flags: Vec<&str> = options.text("o").split(',').collect();
        // The kernel looks at the flag before it looks at the type.
        let is_bind = flags.iter().any(|flag| matches!(*flag, "bind" | "rbind"))
            || (matches!(kind, "" | "none" | "bind") && !device.is_empty());
        if is_bind {
            return self.bound(at, device, &flags, access);
        }
        match kind {
            // A size for a quota is all that can be left.
            "" | "none" if device.is_empty() => self.only_flags(Rule::VolumeDriver, at, &flags, &[]),
            "tmpfs" => self.only_flags(Rule::VolumeDriver, at, &flags, &TMPFS_OPTIONS),
            _ if self.policy.volume_types.iter().any(|own| own == kind) => Ok(()),
            _ => {
                let reason = "a local volume of this type mounts what the request says, from the network, a device or \
                              other directories";
                Err(self.refuse_unlisted(Rule::VolumeDriver, at, kind, reason, "volume_types"))
            }
        }
    }

    /// A directory of the host, disguised as a volume.
    fn bound(&self, at: &str, device: &str, flags: &[&str], access: Access) -> Result<(), Refusal> {
        let flags: Vec<&str> = flags
            .iter()
            .filter(|flag| !matches!(**flag, "bind" | "rbind" | "rprivate"))
            .copied()
            .collect();
        self.only_flags(Rule::VolumeDriver, at, &flags, &[])?;
        let access = if last_is_read_only(&flags) {
            Access::Read
        } else {
            access
        };
        host_path::mount(
            self.policy,
            self.surroundings,
            &self.what(at),
            device,
            access,
            Missing::Error,
        )
    }

    /// Options of a file system in memory, which must not turn it into another mount.
    pub(super) fn tmpfs_options(&self, at: &str, options: &str) -> Result<(), Refusal> {
        // `U` is Podman's: the new file system belongs to the container's user.
        let flags: Vec<&str> = options.split(',').filter(|flag| *flag != "U").collect();
        self.only_flags(Rule::Bind, at, &flags, &TMPFS_OPTIONS)
    }

    fn only_flags(
        &self,
        rule: Rule,
        at: &str,
        flags: &[&str],
        with_argument: &[&str],
    ) -> Result<(), Refusal> {
        let is_known = |flag: &str| match flag.split_once('=') {
            Some((name, _)) => with_argument.contains(&name),
            None => FLAGS.contains(&flag),
        };
        match flags.iter().find(|flag| !is_known(flag)) {
            None => Ok(()),
            Some(flag) => {
                let reason = "the guard does not know this mount option";
                Err(Refusal::new(rule, self.what(at), flag, reason))
            }
        }
    }
}

/// Whether a volume of these options is mounted read-only.
pub(super) fn is_read_only(options: &Value) -> bool {
    let flags: Vec<&str> = options.text("o").split(',').collect();
    last_is_read_only(&flags)
}

fn last_is_read_only(flags: &[&str]) -> bool {
    flags.iter().rev().find(|flag| matches!(**flag, "ro" | "rw")) == Some(&"ro")
}
