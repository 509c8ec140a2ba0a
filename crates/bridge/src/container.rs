//! The container of a bridge, as it is asked for. Pure, so that what would run can be read in a test.

use std::collections::HashMap;

use base::names::ImageRef;
use engine::guard::{BRIDGE_LABEL, BRIDGE_NAME};
use engine::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, NetworkCreateRequest, RestartPolicy, RestartPolicyNameEnum,
    VolumeCreateRequest,
};
use serde_json::Value;

use crate::ARGUMENT;

/// Where a bridge keeps its state, in its volume.
pub const HOME: &str = "/var/lib/dockmaster";
/// The program in its image.
pub(crate) const PROGRAM: &str = "/dockmaster";
/// The variable of its environment that says where files of secrets are put.
const MEMORY_VARIABLE: &str = "DOCKMASTER_MEMORY";
/// Where the engine's socket is, in it.
const SOCKET: &str = "/var/run/docker.sock";
/// Says what an object of ours is.
const MANAGED: &str = "dockmaster.managed";
/// The version of Dockmaster in it.
pub(crate) const VERSION: &str = "dockmaster.version";
/// Memory, of which it needs a few dozen megabytes.
const MEMORY: i64 = 512 << 20;
const PROCESSES: i64 = 512;
/// Pages for the files of secrets: 16 MiB, where a page has 4 KiB.
const MEMORY_PAGES: u32 = 4096;
/// Seconds for it to end its servers.
const STOP: i64 = 20;

/// Where a bridge is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The engine's socket, on its host.
    pub socket: String,
    /// The version of Dockmaster that is installed.
    pub version: String,
    /// Whether a server that it has to run may reach hosts, which the bridge then has to reach.
    pub way_out: bool,
}

/// Its container, the volume that it keeps its state in, and its network.
pub(crate) fn name(id: &str) -> String {
    format!("{BRIDGE_NAME}-{id}")
}

/// The volume of what it gives to its servers: sockets, and the program that leads to them.
fn given(id: &str) -> String {
    format!("{}-given", name(id))
}

/// The volume of the secrets that it gives to its servers as files. It is memory: it holds something only as long as the
/// bridge runs, and is never written to a disk.
fn memory(id: &str) -> String {
    format!("{}-memory", name(id))
}

/// The names of its volumes.
pub(crate) fn volumes(id: &str) -> [String; 3] {
    [name(id), given(id), memory(id)]
}

/// The label of its images. Not that of its container, which would take it over from an image that poses as one.
pub(crate) fn of_image(id: &str) -> String {
    format!("dockmaster.bridge-image={id}")
}

/// The image's configuration, as Dockerfile instructions.
pub(crate) fn changes(id: &str, has_libraries: bool) -> Vec<String> {
    let mut changes = vec![
        format!("ENTRYPOINT [\"{PROGRAM}\", \"{ARGUMENT}\"]"),
        format!("ENV DOCKMASTER_HOME={HOME}"),
        format!("LABEL {MANAGED}=bridge-image"),
        format!("LABEL {}", of_image(id)),
    ];
    if has_libraries {
        changes.push("ENV LD_LIBRARY_PATH=/lib".to_owned());
    }
    changes
}

/// The request for one of its volumes, which stays as it is where it is there already. By itself, since Podman gives no
/// labels to one that it makes for a container.
pub(crate) fn volume(id: &str, name: String) -> VolumeCreateRequest {
    let in_memory = [
        ("type", "tmpfs".to_owned()),
        ("device", "tmpfs".to_owned()),
        // `size` would be a quota of the disk's to Podman.
        (
            "o",
            format!("mode=0700,nosuid,nodev,noexec,nr_blocks={MEMORY_PAGES}"),
        ),
    ];
    let in_memory = in_memory.map(|(key, value)| (key.to_owned(), value));
    VolumeCreateRequest {
        driver_opts: (name == memory(id)).then(|| in_memory.into()),
        name: Some(name),
        labels: Some(labels(id)),
        ..VolumeCreateRequest::default()
    }
}

/// The request for the network by which it reaches hosts.
pub(crate) fn network(id: &str) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: name(id),
        driver: Some("bridge".to_owned()),
        enable_ipv6: Some(false),
        labels: Some(labels(id)),
        ..NetworkCreateRequest::default()
    }
}

fn labels(id: &str) -> HashMap<String, String> {
    [(BRIDGE_LABEL, id), (MANAGED, "bridge")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Where the volumes of what it gives to its servers lie on the host. They are mounted at the same paths, so that what is in
/// them can be named to the engine.
pub(crate) struct Lying {
    given: String,
    memory: String,
}

impl Lying {
    /// From what the engine says of each of [`volumes`].
    pub(crate) fn read([_, given, memory]: &[Value; 3]) -> Option<Self> {
        let at = |volume: &Value| volume["Mountpoint"].as_str().map(str::to_owned);
        Some(Self {
            given: at(given)?,
            memory: at(memory)?,
        })
    }
}

/// The request for its container, in this network.
pub(crate) fn request(
    id: &str,
    image: &ImageRef,
    place: &Place,
    lying: &Lying,
    network: &str,
    restart: RestartPolicyNameEnum,
) -> ContainerCreateBody {
    let mut labels = labels(id);
    labels.insert(VERSION.to_owned(), place.version.clone());
    let host = HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            "rw,noexec,nosuid,nodev,size=64m,mode=1777".to_owned(),
        )])),
        mounts: Some(vec![
            socket(&place.socket),
            volume_at(name(id), HOME),
            volume_at(given(id), &lying.given),
            volume_at(memory(id), &lying.memory),
        ]),
        memory: Some(MEMORY),
        memory_swap: Some(MEMORY),
        pids_limit: Some(PROCESSES),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "1m".to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        }),
        // `unless-stopped` would not do after a crash: an engine that finds containers of
        // the one before running ends them first, and takes that for somebody's wish (seen on 20.10).
        restart_policy: Some(RestartPolicy {
            name: Some(restart),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        init: Some(true),
        network_mode: Some(network.to_owned()),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(image.to_string()),
        cmd: Some(vec!["serve".to_owned()]),
        env: Some(vec![
            format!("XDG_RUNTIME_DIR={}", lying.given),
            format!("{MEMORY_VARIABLE}={}", lying.memory),
        ]),
        // The socket belongs to root, who has no powers here and no way to get any.
        user: Some("0:0".to_owned()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        stop_timeout: Some(STOP),
        labels: Some(labels),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn socket(source: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(SOCKET.to_owned()),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

fn volume_at(name: String, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(name),
        target: Some(target.to_owned()),
        ..Mount::default()
    }
}
