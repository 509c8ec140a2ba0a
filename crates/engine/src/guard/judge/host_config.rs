//! The host configuration: what a container is given of the host.
//!
//! [`Case::powers`] are the settings through which a container's processes could act on the host; an existing
//! container with one of them is unsafe to reach into. The others matter only when they are set.

use serde_json::Value;

use super::super::policy::{Capability, Namespace};
use super::super::refusal::{Refusal, Rule, shown};
use super::super::shape::Shaped;
use super::Case;

/// Who wrote the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The request.
    Request,
    /// The daemon, of a container that exists: it fills in its own defaults.
    Existing,
}

/// The least that Docker hides since 20.10. Newer engines hide more.
const MASKED: [&str; 8] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

/// The least that Docker makes read-only.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Log drivers that keep what they get on the host.
const LOG_DRIVERS: [&str; 5] = ["", "json-file", "local", "journald", "none"];

/// Options of those drivers. Others would be obeyed by the daemon's default driver, whichever that is.
const LOG_OPTIONS: [&str; 13] = [
    "max-size",
    "max-file",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "mode",
    "max-buffer-size",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
];

impl Case<'_> {
    /// All of it, as a request sets it.
    pub(super) async fn host_config(&self, host: &Value) -> Result<(), Refusal> {
        self.powers(host, Origin::Request)?;
        self.resources(host, "HostConfig.")?;
        self.sysctls("HostConfig.Sysctls", host.at("Sysctls"))?;
        self.runtime(host)?;
        self.annotations(host)?;
        self.log_driver(
            "HostConfig.LogConfig",
            host.at("LogConfig").text("Type"),
            host.at("LogConfig").at("Config"),
        )?;
        self.published(host)?;
        self.network_joined("HostConfig.NetworkMode", host.text("NetworkMode"))
            .await?;
        self.links(host).await?;
        self.mounts(host).await
    }

    /// What gives a container power over the host, mounts and networks aside.
    pub(super) fn powers(&self, host: &Value, origin: Origin) -> Result<(), Refusal> {
        if host.flag("Privileged") && !self.policy.privileged {
            let reason = "a privileged container is root on the host";
            return Err(self.refuse(
                Rule::Privileged,
                "HostConfig.Privileged",
                "true",
                reason,
                "privileged",
            ));
        }
        self.namespaces(host, origin)?;
        let added = host.at("CapAdd");
        let added: Vec<&str> = added.as_str().into_iter().chain(host.texts("CapAdd")).collect();
        self.capabilities("HostConfig.CapAdd", &added)?;
        self.devices(host, "HostConfig.")?;
        self.security_opts(host)?;
        // Of a privileged container the daemon says that nothing is masked.
        if !host.flag("Privileged") {
            self.masked("HostConfig.MaskedPaths", host.at("MaskedPaths"), &MASKED)?;
            self.masked("HostConfig.ReadonlyPaths", host.at("ReadonlyPaths"), &READ_ONLY)?;
        }
        Ok(())
    }

    /// What containers can be given, and later be updated to.
    pub(super) fn resources(&self, host: &Value, prefix: &str) -> Result<(), Refusal> {
        let at = |name: &str| format!("{prefix}{name}");
        self.devices(host, prefix)?;
        let parent = host.text("CgroupParent");
        if !parent.is_empty() && !self.policy.cgroup_parents.iter().any(|own| own == parent) {
            let reason = "another cgroup has other limits, and may be the host's own";
            return Err(self.refuse_unlisted(
                Rule::CgroupParent,
                &at("CgroupParent"),
                parent,
                reason,
                "cgroup_parents",
            ));
        }
        if host.flag("OomKillDisable") && !self.policy.oom_protection {
            let reason = "the container could take all memory and could not be stopped";
            return Err(self.refuse(Rule::Oom, &at("OomKillDisable"), "true", reason, "oom_protection"));
        }
        self.oom_score(&at("OomScoreAdj"), host)
    }

    pub(super) fn oom_score(&self, at: &str, host: &Value) -> Result<(), Refusal> {
        let score = host.int("OomScoreAdj");
        if score < 0 && !self.policy.oom_protection {
            let reason = "when memory runs out, processes of the host would be ended before the container's";
            return Err(self.refuse(Rule::Oom, at, &score.to_string(), reason, "oom_protection"));
        }
        Ok(())
    }

    fn namespaces(&self, host: &Value, origin: Origin) -> Result<(), Refusal> {
        // The value for none, and the values that are a namespace of the container's own.
        let own: [(&str, Namespace, &[&str]); 5] = [
            ("PidMode", Namespace::Pid, &["", "private"]),
            ("IpcMode", Namespace::Ipc, &["", "none", "private", "shareable"]),
            ("UTSMode", Namespace::Uts, &["", "private"]),
            ("UsernsMode", Namespace::User, &["", "private"]),
            ("CgroupnsMode", Namespace::Cgroup, &["", "private"]),
        ];
        for (field, namespace, safe) in own {
            let mode = host.text(field);
            // With cgroups of version 1 the daemon says "host" where nobody asked for it.
            let by_default = origin == Origin::Existing && namespace == Namespace::Cgroup;
            if !safe.contains(&mode) && !by_default {
                self.namespace(&format!("HostConfig.{field}"), mode, namespace)?;
            }
        }
        let cgroup = host.text("Cgroup");
        if !cgroup.is_empty() {
            self.namespace("HostConfig.Cgroup", cgroup, Namespace::Cgroup)?;
        }
        match host.text("NetworkMode") {
            mode if mode == "host" || mode.contains(':') => {
                self.namespace("HostConfig.NetworkMode", mode, Namespace::Network)
            }
            _ => Ok(()),
        }
    }

    /// A namespace that is not the container's own.
    pub(super) fn namespace(&self, at: &str, mode: &str, namespace: Namespace) -> Result<(), Refusal> {
        let known = mode == "host"
            || mode
                .strip_prefix("container:")
                .is_some_and(|name| !name.is_empty());
        if known && self.policy.namespaces.contains(&namespace) {
            return Ok(());
        }
        if !known {
            let reason = "the guard does not know this value";
            return Err(Refusal::new(Rule::Namespace, self.what(at), mode, reason));
        }
        let reason = if mode == "host" {
            "the container would share a namespace of the host, with its processes, network or users"
        } else {
            "the container would share a namespace of another container and what that one may do"
        };
        let refusal = self.refuse_unlisted(Rule::Namespace, at, namespace.as_str(), reason, "namespaces");
        Err(Refusal {
            value: shown(mode),
            ..refusal
        })
    }

    pub(super) fn capabilities(&self, at: &str, added: &[&str]) -> Result<(), Refusal> {
        for name in added {
            let capability = Capability::parse(name);
            let is_open = capability.as_ref().is_some_and(|capability| {
                Capability::DEFAULT.contains(&capability.as_str())
                    || self.policy.capabilities.contains(capability)
            });
            if !is_open {
                let reason = "it is not among the capabilities that containers have by default";
                return Err(self.refuse_unlisted(Rule::Capability, at, name, reason, "capabilities"));
            }
        }
        Ok(())
    }

    /// Devices, device rules and device requests.
    fn devices(&self, host: &Value, prefix: &str) -> Result<(), Refusal> {
        let at = |name: &str| format!("{prefix}{name}");
        for device in host.items("Devices") {
            let path = device.text("PathOnHost");
            if !self.policy.devices.iter().any(|own| own.as_os_str() == path) {
                let reason = "the container would work on a device of the host";
                return Err(self.refuse_unlisted(Rule::Device, &at("Devices"), path, reason, "devices"));
            }
        }
        for rule in host.texts("DeviceCgroupRules") {
            if !self.policy.device_cgroup_rules.iter().any(|own| own == rule) {
                let reason = "the container could work on devices of the host";
                return Err(self.refuse_unlisted(
                    Rule::Device,
                    &at("DeviceCgroupRules"),
                    rule,
                    reason,
                    "device_cgroup_rules",
                ));
            }
        }
        for request in host.items("DeviceRequests") {
            self.device_request(&at("DeviceRequests"), request)?;
        }
        Ok(())
    }

    fn device_request(&self, at: &str, request: &Value) -> Result<(), Refusal> {
        let driver = request.text("Driver");
        if driver == "cdi" {
            // A CDI specification can hand over anything: devices, mounts, hooks that run on the host.
            let ids: Vec<&str> = request.texts("DeviceIDs").collect();
            let closed = ids
                .iter()
                .find(|id| !self.policy.cdi_devices.iter().any(|own| own == **id));
            return match (closed, ids.is_empty()) {
                (None, false) => Ok(()),
                (closed, _) => {
                    let reason = "a CDI device brings whatever its specification on the host says";
                    let id = closed.copied().unwrap_or_default();
                    Err(self.refuse_unlisted(Rule::Gpu, at, id, reason, "cdi_devices"))
                }
            };
        }
        let asks_for_gpu = |set: &Value| {
            set.as_array()
                .is_some_and(|set| set.iter().any(|name| name == "gpu"))
        };
        let mut sets = request.items("Capabilities").peekable();
        let only_gpus = sets.peek().is_some() && sets.all(asks_for_gpu);
        if self.policy.gpus && only_gpus && matches!(driver, "" | "nvidia" | "amd") {
            return Ok(());
        }
        let reason = if only_gpus {
            "GPUs are shared with the host and its other users"
        } else {
            "the request is not for GPUs, and no other device drivers are known"
        };
        Err(self.refuse(Rule::Gpu, at, driver, reason, "gpus"))
    }

    fn security_opts(&self, host: &Value) -> Result<(), Refusal> {
        const STRICTER: [&str; 3] = [
            "no-new-privileges",
            "no-new-privileges:true",
            "no-new-privileges=true",
        ];
        let closed = host.texts("SecurityOpt").find(|option| {
            !STRICTER.contains(option) && !self.policy.security_opts.iter().any(|own| own == option)
        });
        match closed {
            None => Ok(()),
            Some(option) => {
                let reason = "it can switch off what confines the container";
                Err(self.refuse_unlisted(
                    Rule::SecurityOpt,
                    "HostConfig.SecurityOpt",
                    option,
                    reason,
                    "security_opts",
                ))
            }
        }
    }

    fn masked(&self, at: &str, paths: &Value, least: &[&str]) -> Result<(), Refusal> {
        let Some(paths) = paths.as_array() else {
            return Ok(());
        };
        let missing = least.iter().find(|own| !paths.iter().any(|path| path == **own));
        match missing {
            Some(path) if !self.policy.unmasked_paths => {
                let reason = "the list leaves out this path, which Docker keeps from containers";
                Err(self.refuse(Rule::MaskedPaths, at, path, reason, "unmasked_paths"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn sysctls(&self, at: &str, sysctls: &Value) -> Result<(), Refusal> {
        let names = sysctls
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        for name in names {
            self.sysctl(at, name)?;
        }
        Ok(())
    }

    pub(super) fn sysctl(&self, at: &str, name: &str) -> Result<(), Refusal> {
        if self.policy.sysctls.iter().any(|own| own == name) {
            return Ok(());
        }
        let reason = "kernel parameters are shared with the host unless the kernel keeps them apart";
        Err(self.refuse_unlisted(Rule::Sysctl, at, name, reason, "sysctls"))
    }

    fn runtime(&self, host: &Value) -> Result<(), Refusal> {
        let runtime = host.text("Runtime");
        if matches!(runtime, "" | "runc" | "io.containerd.runc.v2")
            || self.policy.runtimes.iter().any(|own| own == runtime)
        {
            return Ok(());
        }
        let reason = "another runtime may confine less";
        Err(self.refuse_unlisted(Rule::Runtime, "HostConfig.Runtime", runtime, reason, "runtimes"))
    }

    fn annotations(&self, host: &Value) -> Result<(), Refusal> {
        let mut names = host.pairs("Annotations").map(|(name, _)| name);
        let closed = names.find(|name| !self.policy.annotations.iter().any(|own| own == name));
        match closed {
            None => Ok(()),
            Some(name) => {
                let reason =
                    "runtimes obey annotations, some of which reach out to the host; a label does nothing";
                Err(self.refuse_unlisted(
                    Rule::Annotation,
                    "HostConfig.Annotations",
                    name,
                    reason,
                    "annotations",
                ))
            }
        }
    }

    pub(super) fn log_driver(&self, at: &str, driver: &str, options: &Value) -> Result<(), Refusal> {
        if self.policy.log_drivers.iter().any(|own| own == driver) {
            return Ok(());
        }
        if !LOG_DRIVERS.contains(&driver) {
            let reason =
                "this log driver sends the container's output elsewhere, from the host's own network";
            return Err(self.refuse_unlisted(Rule::LogDriver, at, driver, reason, "log_drivers"));
        }
        let mut names = options
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        match names.find(|name| !LOG_OPTIONS.contains(name)) {
            None => Ok(()),
            Some(option) => {
                let reason = "the guard does not know this option, which a log driver could obey";
                Err(Refusal::new(Rule::LogDriver, self.what(at), option, reason)
                    .allowed_by_entry("log_drivers", driver))
            }
        }
    }

    async fn links(&self, host: &Value) -> Result<(), Refusal> {
        for link in host.texts("Links") {
            let name = link.split(':').next().unwrap_or_default();
            self.container_in_scope("HostConfig.Links", name).await?;
        }
        for field in [
            "PidMode",
            "IpcMode",
            "NetworkMode",
            "UTSMode",
            "UsernsMode",
            "CgroupnsMode",
            "Cgroup",
        ] {
            if let Some(name) = host.text(field).strip_prefix("container:") {
                self.container_in_scope(&format!("HostConfig.{field}"), name)
                    .await?;
            }
        }
        Ok(())
    }
}
