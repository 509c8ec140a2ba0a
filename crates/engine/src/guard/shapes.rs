//! The bodies of the Engine API, 1.41 to 1.56, as far as requests send them. A field that an older version had
//! and a newer one dropped stays listed: the daemon that doesn't have it ignores it.
//!
//! A new field of a new engine is refused until someone has read what it does and written it down here.

use super::shape::{Kind, Shape};

use Kind::{Any, Bool, Empty, Float, Int, List, Map, Struct, Text, TextOrInt, TextOrTexts, Texts};

/// `POST /containers/create`.
pub(super) const CONTAINER_CREATE: Shape = &join::<{ CONFIG.len() + 2 }>(
    CONFIG,
    &[
        ("HostConfig", Struct(HOST_CONFIG)),
        ("NetworkingConfig", Struct(NETWORKING_CONFIG)),
    ],
);

/// What an image or container is to run. The body of `POST /commit`.
pub(super) const CONFIG: Shape = &[
    ("Hostname", Text),
    ("Domainname", Text),
    ("User", Text),
    ("AttachStdin", Bool),
    ("AttachStdout", Bool),
    ("AttachStderr", Bool),
    ("ExposedPorts", Map(&Empty)),
    ("Tty", Bool),
    ("OpenStdin", Bool),
    ("StdinOnce", Bool),
    ("Env", Texts),
    ("Cmd", TextOrTexts),
    ("Healthcheck", Struct(HEALTH)),
    ("ArgsEscaped", Bool),
    ("Image", Text),
    ("Volumes", Map(&Empty)),
    ("WorkingDir", Text),
    ("Entrypoint", TextOrTexts),
    ("NetworkDisabled", Bool),
    ("MacAddress", Text),
    ("OnBuild", Texts),
    ("Labels", Map(&Text)),
    ("StopSignal", Text),
    ("StopTimeout", Int),
    ("Shell", TextOrTexts),
];

const HEALTH: Shape = &[
    ("Test", Texts),
    ("Interval", Int),
    ("Timeout", Int),
    ("Retries", Int),
    ("StartPeriod", Int),
    ("StartInterval", Int),
];

/// `POST /containers/{id}/update`.
pub(super) const CONTAINER_UPDATE: Shape =
    &join::<{ RESOURCES.len() + 1 }>(RESOURCES, &[("RestartPolicy", Struct(RESTART_POLICY))]);

const RESOURCES: Shape = &[
    ("CpuShares", Int),
    ("Memory", Int),
    ("NanoCpus", Int),
    ("CgroupParent", Text),
    ("BlkioWeight", Int),
    (
        "BlkioWeightDevice",
        List(&Struct(&[("Path", Text), ("Weight", Int)])),
    ),
    ("BlkioDeviceReadBps", List(&THROTTLE)),
    ("BlkioDeviceWriteBps", List(&THROTTLE)),
    ("BlkioDeviceReadIOps", List(&THROTTLE)),
    ("BlkioDeviceWriteIOps", List(&THROTTLE)),
    ("CpuPeriod", Int),
    ("CpuQuota", Int),
    ("CpuRealtimePeriod", Int),
    ("CpuRealtimeRuntime", Int),
    ("CpusetCpus", Text),
    ("CpusetMems", Text),
    (
        "Devices",
        List(&Struct(&[
            ("PathOnHost", Text),
            ("PathInContainer", Text),
            ("CgroupPermissions", Text),
        ])),
    ),
    ("DeviceCgroupRules", Texts),
    ("DeviceRequests", List(&Struct(DEVICE_REQUEST))),
    ("KernelMemory", Int),
    ("KernelMemoryTCP", Int),
    ("MemoryReservation", Int),
    ("MemorySwap", Int),
    ("MemorySwappiness", Int),
    ("OomKillDisable", Bool),
    ("PidsLimit", Int),
    ("Ulimits", ULIMITS),
    ("CpuCount", Int),
    ("CpuPercent", Int),
    ("IOMaximumIOps", Int),
    ("IOMaximumBandwidth", Int),
    // The specification lists it among the resources, the engine among the host configuration.
    ("Init", Bool),
];

const THROTTLE: Kind = Struct(&[("Path", Text), ("Rate", Int)]);

const ULIMITS: Kind = List(&Struct(&[("Name", Text), ("Soft", Int), ("Hard", Int)]));

const DEVICE_REQUEST: Shape = &[
    ("Driver", Text),
    ("Count", Int),
    ("DeviceIDs", Texts),
    ("Capabilities", List(&Texts)),
    ("Options", Map(&Text)),
];

const RESTART_POLICY: Shape = &[("Name", Text), ("MaximumRetryCount", Int)];

pub(super) const HOST_CONFIG: Shape = &join::<{ RESOURCES.len() + HOST_ONLY.len() }>(RESOURCES, HOST_ONLY);

const HOST_ONLY: Shape = &[
    ("Binds", Texts),
    ("ContainerIDFile", Text),
    ("LogConfig", Struct(&[("Type", Text), ("Config", Map(&Text))])),
    ("NetworkMode", Text),
    (
        "PortBindings",
        Map(&List(&Struct(&[("HostIp", Text), ("HostPort", Text)]))),
    ),
    ("RestartPolicy", Struct(RESTART_POLICY)),
    ("AutoRemove", Bool),
    ("VolumeDriver", Text),
    ("VolumesFrom", Texts),
    ("Mounts", List(&Struct(MOUNT))),
    ("ConsoleSize", List(&Int)),
    ("Annotations", Map(&Text)),
    ("CapAdd", TextOrTexts),
    ("CapDrop", TextOrTexts),
    ("CgroupnsMode", Text),
    ("Dns", Texts),
    ("DnsOptions", Texts),
    ("DnsSearch", Texts),
    ("ExtraHosts", Texts),
    ("GroupAdd", Texts),
    ("IpcMode", Text),
    ("Cgroup", Text),
    ("Links", Texts),
    ("OomScoreAdj", Int),
    ("PidMode", Text),
    ("Privileged", Bool),
    ("PublishAllPorts", Bool),
    ("ReadonlyRootfs", Bool),
    ("SecurityOpt", Texts),
    ("StorageOpt", Map(&Text)),
    ("Tmpfs", Map(&Text)),
    ("UTSMode", Text),
    ("UsernsMode", Text),
    ("ShmSize", Int),
    ("Sysctls", Map(&Text)),
    ("Runtime", Text),
    ("Isolation", Text),
    ("MaskedPaths", Texts),
    ("ReadonlyPaths", Texts),
    ("Umask", TextOrInt),
];

const MOUNT: Shape = &[
    ("Type", Text),
    ("Source", Text),
    ("Target", Text),
    ("ReadOnly", Bool),
    ("Consistency", Text),
    (
        "BindOptions",
        Struct(&[
            ("Propagation", Text),
            ("NonRecursive", Bool),
            ("CreateMountpoint", Bool),
            ("ReadOnlyNonRecursive", Bool),
            ("ReadOnlyForceRecursive", Bool),
        ]),
    ),
    (
        "VolumeOptions",
        Struct(&[
            ("NoCopy", Bool),
            ("Labels", Map(&Text)),
            ("DriverConfig", Struct(DRIVER)),
            ("Subpath", Text),
        ]),
    ),
    ("ImageOptions", Struct(&[("Subpath", Text)])),
    (
        "TmpfsOptions",
        Struct(&[("SizeBytes", Int), ("Mode", Int), ("Options", List(&Texts))]),
    ),
    ("ClusterOptions", Empty),
];

const DRIVER: Shape = &[("Name", Text), ("Options", Map(&Text))];

const NETWORKING_CONFIG: Shape = &[("EndpointsConfig", Map(&Struct(ENDPOINT)))];

const ENDPOINT: Shape = &[
    (
        "IPAMConfig",
        Struct(&[
            ("IPv4Address", Text),
            ("IPv6Address", Text),
            ("LinkLocalIPs", Texts),
        ]),
    ),
    ("Links", Texts),
    ("MacAddress", Text),
    ("Aliases", Texts),
    ("DriverOpts", Map(&Text)),
    ("GwPriority", Int),
    ("NetworkID", Text),
    ("EndpointID", Text),
    ("Gateway", Text),
    ("IPAddress", Text),
    ("IPPrefixLen", Int),
    ("IPv6Gateway", Text),
    ("GlobalIPv6Address", Text),
    ("GlobalIPv6PrefixLen", Int),
    ("DNSNames", Texts),
];

/// `POST /containers/{id}/exec`.
pub(super) const EXEC_CREATE: Shape = &[
    ("User", Text),
    ("Privileged", Bool),
    ("Tty", Bool),
    ("ConsoleSize", List(&Int)),
    ("AttachStdin", Bool),
    ("AttachStderr", Bool),
    ("AttachStdout", Bool),
    ("Detach", Bool),
    ("DetachKeys", Text),
    ("Env", Texts),
    ("WorkingDir", Text),
    ("Cmd", Texts),
];

/// `POST /exec/{id}/start`.
pub(super) const EXEC_START: Shape = &[("Detach", Bool), ("Tty", Bool), ("ConsoleSize", List(&Int))];

/// `POST /containers/{id}/checkpoints`.
pub(super) const CHECKPOINT_CREATE: Shape =
    &[("CheckpointID", Text), ("CheckpointDir", Text), ("Exit", Bool)];

/// `POST /networks/create`.
pub(super) const NETWORK_CREATE: Shape = &[
    ("Name", Text),
    ("CheckDuplicate", Bool),
    ("Driver", Text),
    ("Scope", Text),
    ("EnableIPv4", Bool),
    ("EnableIPv6", Bool),
    (
        "IPAM",
        Struct(&[
            ("Driver", Text),
            ("Options", Map(&Text)),
            (
                "Config",
                List(&Struct(&[
                    ("Subnet", Text),
                    ("IPRange", Text),
                    ("Gateway", Text),
                    ("AuxiliaryAddresses", Map(&Text)),
                ])),
            ),
        ]),
    ),
    ("Internal", Bool),
    ("Attachable", Bool),
    ("Ingress", Bool),
    ("ConfigOnly", Bool),
    ("ConfigFrom", Struct(&[("Network", Text)])),
    ("Options", Map(&Text)),
    ("Labels", Map(&Text)),
];

/// `POST /networks/{id}/connect`.
pub(super) const NETWORK_CONNECT: Shape = &[("Container", Text), ("EndpointConfig", Struct(ENDPOINT))];

/// `POST /networks/{id}/disconnect`.
pub(super) const NETWORK_DISCONNECT: Shape = &[("Container", Text), ("Force", Bool)];

/// `POST /volumes/create`.
pub(super) const VOLUME_CREATE: Shape = &[
    ("Name", Text),
    ("Driver", Text),
    ("DriverOpts", Map(&Text)),
    ("Labels", Map(&Text)),
    ("ClusterVolumeSpec", Any),
];

/// `PUT /volumes/{name}`.
pub(super) const VOLUME_UPDATE: Shape = &[("Spec", Any)];

/// `POST /services/create` and `POST /services/{id}/update`.
pub(super) const SERVICE: Shape = &[
    ("Name", Text),
    ("Labels", Map(&Text)),
    ("TaskTemplate", Struct(TASK)),
    (
        "Mode",
        Struct(&[
            ("Replicated", Struct(&[("Replicas", Int)])),
            ("Global", Empty),
            (
                "ReplicatedJob",
                Struct(&[("MaxConcurrent", Int), ("TotalCompletions", Int)]),
            ),
            ("GlobalJob", Empty),
        ]),
    ),
    ("UpdateConfig", Struct(UPDATE_CONFIG)),
    ("RollbackConfig", Struct(UPDATE_CONFIG)),
    ("Networks", List(&Struct(NETWORK_ATTACHMENT))),
    (
        "EndpointSpec",
        Struct(&[
            ("Mode", Text),
            (
                "Ports",
                List(&Struct(&[
                    ("Name", Text),
                    ("Protocol", Text),
                    ("TargetPort", Int),
                    ("PublishedPort", Int),
                    ("PublishMode", Text),
                ])),
            ),
        ]),
    ),
];

const TASK: Shape = &[
    ("PluginSpec", Any),
    ("ContainerSpec", Struct(CONTAINER_SPEC)),
    ("NetworkAttachmentSpec", Struct(&[("ContainerID", Text)])),
    (
        "Resources",
        Struct(&[
            ("Limits", Struct(LIMITS)),
            ("Reservations", Struct(LIMITS)),
            ("SwapBytes", Int),
            ("MemorySwappiness", Int),
        ]),
    ),
    (
        "RestartPolicy",
        Struct(&[
            ("Condition", Text),
            ("Delay", Int),
            ("MaxAttempts", Int),
            ("Window", Int),
        ]),
    ),
    (
        "Placement",
        Struct(&[
            ("Constraints", Texts),
            (
                "Preferences",
                List(&Struct(&[("Spread", Struct(&[("SpreadDescriptor", Text)]))])),
            ),
            ("MaxReplicas", Int),
            (
                "Platforms",
                List(&Struct(&[("Architecture", Text), ("OS", Text)])),
            ),
        ]),
    ),
    ("ForceUpdate", Int),
    ("Runtime", Text),
    ("Networks", List(&Struct(NETWORK_ATTACHMENT))),
    ("LogDriver", Struct(DRIVER)),
];

const LIMITS: Shape = &[
    ("NanoCPUs", Int),
    ("MemoryBytes", Int),
    ("Pids", Int),
    (
        "GenericResources",
        List(&Struct(&[
            ("NamedResourceSpec", Struct(&[("Kind", Text), ("Value", Text)])),
            ("DiscreteResourceSpec", Struct(&[("Kind", Text), ("Value", Int)])),
        ])),
    ),
];

const UPDATE_CONFIG: Shape = &[
    ("Parallelism", Int),
    ("Delay", Int),
    ("FailureAction", Text),
    ("Monitor", Int),
    ("MaxFailureRatio", Float),
    ("Order", Text),
];

const NETWORK_ATTACHMENT: Shape = &[("Target", Text), ("Aliases", Texts), ("DriverOpts", Map(&Text))];

const CONTAINER_SPEC: Shape = &[
    ("Image", Text),
    ("Labels", Map(&Text)),
    ("Command", Texts),
    ("Args", Texts),
    ("Hostname", Text),
    ("Env", Texts),
    ("Dir", Text),
    ("User", Text),
    ("Groups", Texts),
    (
        "Privileges",
        Struct(&[
            (
                "CredentialSpec",
                Struct(&[("Config", Text), ("File", Text), ("Registry", Text)]),
            ),
            (
                "SELinuxContext",
                Struct(&[
                    ("Disable", Bool),
                    ("User", Text),
                    ("Role", Text),
                    ("Type", Text),
                    ("Level", Text),
                ]),
            ),
            ("Seccomp", Struct(&[("Mode", Text), ("Profile", Text)])),
            ("AppArmor", Struct(&[("Mode", Text)])),
            ("NoNewPrivileges", Bool),
        ]),
    ),
    ("TTY", Bool),
    ("OpenStdin", Bool),
    ("ReadOnly", Bool),
    ("Mounts", List(&Struct(MOUNT))),
    ("StopSignal", Text),
    ("StopGracePeriod", Int),
    ("HealthCheck", Struct(HEALTH)),
    ("Hosts", Texts),
    (
        "DNSConfig",
        Struct(&[("Nameservers", Texts), ("Search", Texts), ("Options", Texts)]),
    ),
    (
        "Secrets",
        List(&Struct(&[
            ("File", FILE),
            ("SecretID", Text),
            ("SecretName", Text),
        ])),
    ),
    (
        "Configs",
        List(&Struct(&[
            ("File", FILE),
            ("Runtime", Empty),
            ("ConfigID", Text),
            ("ConfigName", Text),
        ])),
    ),
    ("OomScoreAdj", Int),
    ("Isolation", Text),
    ("Init", Bool),
    ("Sysctls", Map(&Text)),
    ("CapabilityAdd", Texts),
    ("CapabilityDrop", Texts),
    ("Ulimits", ULIMITS),
];

const FILE: Kind = Struct(&[("Name", Text), ("UID", Text), ("GID", Text), ("Mode", Int)]);

/// `POST /secrets/create`, `POST /configs/create` and their updates.
pub(super) const SECRET: Shape = &[
    ("Name", Text),
    ("Labels", Map(&Text)),
    ("Data", Text),
    ("Driver", Struct(DRIVER)),
    ("Templating", Struct(DRIVER)),
];

/// `POST /auth`.
pub(super) const AUTH: Shape = &[
    ("username", Text),
    ("password", Text),
    ("auth", Text),
    ("email", Text),
    ("serveraddress", Text),
    ("identitytoken", Text),
    ("registrytoken", Text),
];

/// Two lists of fields as one.
const fn join<const N: usize>(first: Shape, second: Shape) -> [(&'static str, Kind); N] {
    let mut out = [("", Any); N];
    let mut at = 0;
    while at < N {
        out[at] = if at < first.len() {
            first[at]
        } else {
            second[at - first.len()]
        };
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::shape::fold;
    use super::*;

    /// No two fields of one struct may fold alike, or one of them could not be told from the other.
    fn check(shape: Shape) {
        let mut names: Vec<_> = shape.iter().map(|(name, _)| fold(name)).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "{names:?}");
        for (_, kind) in shape {
            check_kind(*kind);
        }
    }

    fn check_kind(kind: Kind) {
        match kind {
            Struct(shape) => check(shape),
            List(kind) | Map(kind) => check_kind(*kind),
            _ => {}
        }
    }

    #[test]
    fn fields_are_distinct() {
        for shape in [
            CONTAINER_CREATE,
            CONTAINER_UPDATE,
            CONFIG,
            EXEC_CREATE,
            EXEC_START,
            CHECKPOINT_CREATE,
            NETWORK_CREATE,
            NETWORK_CONNECT,
            NETWORK_DISCONNECT,
            VOLUME_CREATE,
            VOLUME_UPDATE,
            SERVICE,
            SECRET,
            AUTH,
        ] {
            check(shape);
        }
    }
}
