//! From a plan to the request that makes its container: everything is shut that the plan does not open.
//!
//! Pure, so that what would run can be read in a test. What each line is for, and what a server can ask for, is told
//! in `docs/servers.md`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use base::Secret;
use catalog::plan::{Container, Gpus, Network, Source};
use engine::models::{
    ContainerCreateBody, DeviceRequest, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, MountVolumeOptions, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};

use crate::Error;
use crate::egress::Way;
use crate::images::Image;
use crate::instances::{EngineKind, Host};
use crate::labels::Labels;

/// Who a server is when neither its image nor its plan says so: a number that no system gives to anybody (the
/// "nonroot" of the distroless images).
const NOBODY: &str = "65532:65532";
/// Root, who has no capability here.
const ROOT: &str = "0:0";
/// Seconds between the stop signal and the kill, where the engine itself ends the container.
const STOP_TIMEOUT: i64 = 5;
/// The folder for temporary files has a quarter of the memory, within these bounds: it is memory, too.
const TMP: (u64, u64) = (16 << 20, 1 << 30);

/// What is known beside the plan when a container is made.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) server: &'a str,
    pub(crate) image: &'a Image,
    pub(crate) host: Host,
    /// `uid:gid` of the owner of a folder on this machine that is mounted for writing.
    pub(crate) owner: Option<String>,
    /// How it gets to its proxy.
    pub(crate) egress: Option<Way>,
    /// Files of secrets: where each lies in the memory of this machine.
    pub(crate) secret_files: HashMap<String, PathBuf>,
    /// The filtered Docker socket.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) labels: Labels,
    /// For volumes that its mounts make.
    pub(crate) volume_labels: Labels,
    /// The server reads from its standard input.
    pub(crate) stdin: bool,
    /// The plan's command is all that runs: the image's own entrypoint does not come before it.
    pub(crate) is_whole: bool,
}

/// The request.
pub(crate) fn body(
    container: &Container,
    facts: Facts<'_>,
    secret: &dyn Fn(&str) -> Option<Secret>,
) -> Result<ContainerCreateBody, Error> {
    let user = user(container, &facts);
    let env = env(container, &facts, user.is_some(), secret)?;
    let command = command(container, &facts, secret)?;
    let (entrypoint, command) = program(command, &facts)?;
    let mounts = mounts(container, &facts)?;
    let limits = &container.limits;
    let cpus = facts.host.cpus.map_or(limits.cpus, |host| limits.cpus.min(host));
    let memory = i64::try_from(limits.memory).unwrap_or(i64::MAX);
    let (network_mode, dns) = network(container, &facts);
    let host = HostConfig {
        // Nothing of the kernel's powers, and no way to get any.
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: (!container.capabilities.is_empty()).then(|| container.capabilities.clone()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        // Nothing to write to but memory and what is mounted.
        readonly_rootfs: Some(!container.writable_root),
        tmpfs: Some(tmpfs(container, user.as_deref(), facts.host.kind)),
        mounts: (!mounts.is_empty()).then_some(mounts),
        // Bounds. Swap is counted with memory, so equal means none.
        memory: Some(memory),
        memory_swap: Some(memory),
        #[expect(clippy::cast_possible_truncation, reason = "a number of processors fits")]
        nano_cpus: Some((cpus * 1e9) as i64),
        pids_limit: Some(limits.pids.into()),
        ulimits: Some(ulimits(facts.host.kind)),
        // Its output is read as it comes; kept by the engine it would fill the disk.
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        }),
        // It ends with its gateway: the engine must not bring it back.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        init: Some(true),
        network_mode: Some(network_mode),
        dns,
        extra_hosts: extra_hosts(container),
        device_requests: container.gpus.map(|gpus| vec![device_request(gpus)]),
        ..HostConfig::default()
    };
    Ok(ContainerCreateBody {
        image: Some(facts.image.id.clone()),
        entrypoint,
        cmd: (!command.is_empty()).then_some(command),
        env: Some(env),
        user,
        working_dir: container.working_dir.clone(),
        attach_stdin: Some(facts.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(facts.stdin),
        stdin_once: Some(facts.stdin),
        tty: Some(false),
        // It would run something again and again that nobody asks for.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        stop_timeout: Some(STOP_TIMEOUT),
        labels: Some(facts.labels.into_map()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    })
}

/// Who it runs as; `None` leaves it to the image.
///
/// The plan's word counts first, then the image's. Where neither says (which means root), it is nobody in particular,
/// unless it has to write where only root may: a new volume, and what lies in an old one, belongs to the image's
/// user; or has to use a capability. Root without capabilities has no power over files of others, and no way to get
/// it. For a folder of the user's it is the folder's owner, so that files there stay his.
fn user(container: &Container, facts: &Facts<'_>) -> Option<String> {
    if container.user.is_some() {
        return container.user.clone();
    }
    // An image that was made here names nobody as its user, which says nothing of what the server needs.
    let is_made_here = container.build.is_some();
    if !is_root(&facts.image.user) && !is_made_here {
        return None;
    }
    let writes_volume = container
        .mounts
        .iter()
        .any(|mount| !mount.read_only && matches!(mount.source, Source::Volume(_)));
    // Capabilities that are added count for root alone.
    if writes_volume || container.writable_root || !container.capabilities.is_empty() {
        return is_made_here.then(|| ROOT.to_owned());
    }
    Some(facts.owner.clone().unwrap_or_else(|| NOBODY.to_owned()))
}

fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    matches!(name, "" | "root") || name.parse() == Ok(0_u32)
}

fn command(
    container: &Container,
    facts: &Facts<'_>,
    secret: &dyn Fn(&str) -> Option<Secret>,
) -> Result<Vec<String>, Error> {
    let asked = Asked::new(secret);
    let command = container.arguments(|name| asked.value(name));
    let command = command.ok_or_else(|| asked.missing(facts.server))?;
    Ok(command
        .iter()
        .map(|argument| argument.expose().to_owned())
        .collect())
}

/// The entrypoint and its arguments. A relay comes before the program that would run otherwise, which therefore has to
/// be known.
fn program(command: Vec<String>, facts: &Facts<'_>) -> Result<(Option<Vec<String>>, Vec<String>), Error> {
    let of_image: &[String] = if facts.is_whole {
        &[]
    } else {
        &facts.image.entrypoint
    };
    #[cfg(unix)]
    if let Some(Way::Socket { relay, .. }) = &facts.egress {
        let mut entrypoint = relay.entrypoint();
        entrypoint.extend(of_image.iter().cloned());
        let command = if command.is_empty() {
            facts.image.command.clone()
        } else {
            command
        };
        if of_image.is_empty() && command.is_empty() {
            let fault = format!(
                "{} names no program to run; give it `args`",
                facts.image.reference
            );
            return Err(Error::plan(facts.server, fault));
        }
        return Ok((Some(entrypoint), command));
    }
    if facts.is_whole {
        // An empty list would leave the image's in its place; without its own arguments the program is its own.
        let mut words = command.into_iter();
        return Ok((words.next().map(|first| vec![first]), words.collect()));
    }
    Ok((None, command))
}

/// Secrets as they are asked for, and which one had no value.
struct Asked<'a> {
    secret: &'a dyn Fn(&str) -> Option<Secret>,
    missing: RefCell<String>,
}

impl<'a> Asked<'a> {
    fn new(secret: &'a dyn Fn(&str) -> Option<Secret>) -> Self {
        Self {
            secret,
            missing: RefCell::default(),
        }
    }

    fn value(&self, name: &str) -> Option<Secret> {
        let value = (self.secret)(name);
        if value.is_none() {
            name.clone_into(&mut self.missing.borrow_mut());
        }
        value
    }

    fn missing(&self, server: &str) -> Error {
        Error::MissingSecret {
            server: server.to_owned(),
            name: self.missing.borrow().clone(),
        }
    }
}

fn env(
    container: &Container,
    facts: &Facts<'_>,
    other_user: bool,
    secret: &dyn Fn(&str) -> Option<Secret>,
) -> Result<Vec<String>, Error> {
    let mut env: Vec<String> = Vec::new();
    // The home that the image names belongs to the image's user, and on a read-only root nobody can write there.
    let names_home = |entry: &String| entry.starts_with("HOME=");
    if other_user || (!container.writable_root && !facts.image.env.iter().any(names_home)) {
        env.push("HOME=/tmp".to_owned());
    }
    if let Some(way) = &facts.egress {
        env.extend(proxy_env(way.proxy()));
    }
    for (name, value) in &container.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::plan(
                facts.server,
                format!("{name:?} is no name for a variable of the environment"),
            ));
        }
        let asked = Asked::new(secret);
        let filled = value.fill(|name| asked.value(name));
        let filled = filled.ok_or_else(|| asked.missing(facts.server))?;
        env.push(format!("{name}={}", filled.expose()));
    }
    Ok(env)
}

/// What HTTP clients look for. Some want lower case, some upper; Node.js has to be told to look at all.
fn proxy_env(proxy: SocketAddr) -> Vec<String> {
    let url = format!("http://{proxy}");
    let mut env = vec!["NODE_USE_ENV_PROXY=1".to_owned()];
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        env.push(format!("{name}={url}"));
        env.push(format!("{}={url}", name.to_ascii_lowercase()));
    }
    for name in ["NO_PROXY", "no_proxy"] {
        env.push(format!("{name}=localhost,127.0.0.1,::1"));
    }
    env
}

/// A core dump would put what a process knew on the host's disk.
///
/// Where Podman is told of any limit it sets those on files and processes itself, to what it was compiled with, which
/// fails where it may not go so high; so it is told of them, too. The bound on processes is another (`pids`).
fn ulimits(kind: EngineKind) -> Vec<ResourcesUlimits> {
    let limits: &[(&str, i64)] = match kind {
        EngineKind::Docker => &[("core", 0)],
        EngineKind::Podman => &[("core", 0), ("nofile", 16_384), ("nproc", 16_384)],
    };
    let limit = |(name, most): &(&str, i64)| ResourcesUlimits {
        name: Some((*name).to_owned()),
        soft: Some(*most),
        hard: Some(*most),
    };
    limits.iter().map(limit).collect()
}

fn tmpfs(container: &Container, user: Option<&str>, kind: EngineKind) -> HashMap<String, String> {
    // The runtime gives the mount the mode of the image's own folder, which may be closed to others; its owner gets in.
    let number = user
        .and_then(|user| user.split(':').next())
        .filter(|user| user.parse::<u32>().is_ok());
    let owner = match (number, kind) {
        (None, _) => String::new(),
        (Some(number), EngineKind::Docker) => format!(",uid={number}"),
        // It knows no `uid`, and gives the mount to the container's user if asked so.
        (Some(_), EngineKind::Podman) => ",U".to_owned(),
    };
    let size = (container.limits.memory / 4).clamp(TMP.0, TMP.1);
    // Programs may be run from it: package runners and interpreters with compiled parts do.
    let options = |mode: &str| format!("rw,exec,nosuid,nodev,size={size},mode={mode}{owner}");
    let mut tmpfs = HashMap::from([("/tmp".to_owned(), options("1777"))]);
    for mount in &container.mounts {
        if mount.source == Source::Tmpfs {
            tmpfs.insert(mount.target.clone(), options("1777"));
        }
    }
    // A folder that is mounted there otherwise takes its place.
    for mount in &container.mounts {
        if mount.source != Source::Tmpfs {
            tmpfs.remove(&mount.target);
        }
    }
    tmpfs
}

fn mounts(container: &Container, facts: &Facts<'_>) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    for mount in &container.mounts {
        if !mount.target.starts_with('/') {
            let fault = format!("{:?} is no absolute path in a container", mount.target);
            return Err(Error::plan(facts.server, fault));
        }
        #[cfg(unix)]
        if crate::egress::relay::is_ours(&mount.target) {
            let fault = format!(
                "{:?} is where Dockmaster mounts what it needs itself",
                mount.target
            );
            return Err(Error::plan(facts.server, fault));
        }
        let made = match &mount.source {
            Source::Path(path) => {
                let Some(path) = path.to_str() else {
                    let fault = format!("{} is not written in Unicode", path.display());
                    return Err(Error::plan(facts.server, fault));
                };
                bind(path, &mount.target, mount.read_only)
            }
            Source::Volume(name) => Mount {
                typ: Some(MountType::VOLUME),
                source: Some(name.clone()),
                target: Some(mount.target.clone()),
                read_only: Some(mount.read_only),
                volume_options: Some(MountVolumeOptions {
                    labels: Some(facts.volume_labels.clone().into_map()),
                    ..MountVolumeOptions::default()
                }),
                ..Mount::default()
            },
            Source::Secret(name) => {
                let file = facts.secret_files.get(name).and_then(|path| path.to_str());
                let Some(file) = file else {
                    return Err(Error::MissingSecret {
                        server: facts.server.to_owned(),
                        name: name.clone(),
                    });
                };
                given(file, &mount.target, true)
            }
            Source::Tmpfs => continue,
        };
        mounts.push(made);
    }
    if let Some(socket) = facts.socket.as_ref().and_then(|path| path.to_str()) {
        mounts.push(given(socket, "/var/run/docker.sock", false));
    }
    #[cfg(unix)]
    if let Some(Way::Socket { socket, relay }) = &facts.egress {
        for (source, target) in relay.mounts(socket) {
            let Some(source) = source.to_str() else {
                let fault = format!("{} is not written in Unicode", source.display());
                return Err(Error::plan(facts.server, fault));
            };
            mounts.push(given(source, &target, true));
        }
    }
    Ok(mounts)
}

/// What Dockmaster itself gives. Its propagation is the engine's default: that is private, but for what lies among the
/// engine's own files, as the volumes of a bridge do, where Docker demands another.
fn given(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        bind_options: None,
        ..bind(source, target, read_only)
    }
}

fn bind(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// The network's name and the name servers. Where only the proxy is to be reached it resolves the names, too; a
/// resolver of the engine's would pass questions on to the world outside (CVE-2024-29018), and an address where
/// nobody answers makes it fail at once.
fn network(container: &Container, facts: &Facts<'_>) -> (String, Option<Vec<String>>) {
    match (&container.network, &facts.egress) {
        (Network::Open, _) => ("bridge".to_owned(), None),
        (Network::Hosts(_), Some(Way::Network { id, .. })) => {
            (id.clone(), Some(vec!["127.0.0.1".to_owned()]))
        }
        (Network::None | Network::Hosts(_), _) => ("none".to_owned(), None),
    }
}

fn extra_hosts(container: &Container) -> Option<Vec<String>> {
    let hosts: Vec<String> = container
        .extra_hosts
        .iter()
        .map(|(host, address)| format!("{host}:{address}"))
        .collect();
    (!hosts.is_empty()).then_some(hosts)
}

fn device_request(gpus: Gpus) -> DeviceRequest {
    let count = match gpus {
        Gpus::All => -1,
        Gpus::Count(count) => count.into(),
    };
    DeviceRequest {
        count: Some(count),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

#[cfg(test)]
mod tests;
