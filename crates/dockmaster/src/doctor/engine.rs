//! The engine: which one is meant, whether it answers, and how it does.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::discover::{Found, Origin};
use engine::guard::Mode;
use engine::{Endpoint, Engine, Request, path};
use jiff::Timestamp;
use serde_json::Value;

use super::Check;
use crate::engines;
use crate::settings::{LOCAL, Settings};
#[cfg(unix)]
use crate::user;

/// How long the engine may take for a word.
const PATIENCE: Duration = Duration::from_secs(5);
/// A clock that differs by more makes logs and `since` misleading, in seconds.
const SKEW: i64 = 5;
/// Less free space than this is soon used up by one image, in bytes.
#[cfg(unix)]
const SPACE: u64 = 2 << 30;

/// All checks of the engine at hand.
pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    if !settings.config.docker.enabled {
        return vec![Check::ok("engine", "not used: docker.enabled is false")];
    }
    of(settings, LOCAL).await
}

/// All checks of the engine of a host.
pub(super) async fn of(settings: &Settings, name: &str) -> Vec<Check> {
    let (engine, found) = match engines::of(settings, name) {
        Ok(engine) => engine,
        Err(error) => {
            let fix = if name == LOCAL {
                "say where it is, in DOCKER_HOST or under [hosts.local]".to_owned()
            } else {
                format!("say where it is: dockmaster host edit {name} ssh://user@host")
            };
            return vec![Check::fault("engine", format!("{error:#}"), fix)];
        }
    };
    let mut checks = vec![place(&found)];
    if let Endpoint::Unix(socket) = &found.endpoint {
        checks.extend(socket_access(settings, socket));
    }
    match version(&engine, &found.endpoint, patience(settings, &found.endpoint)).await {
        Ok(version) => {
            checks.push(version);
            checks.extend(info(&engine, &found.endpoint).await);
        }
        Err(fault) => checks.push(fault),
    }
    checks.push(guard(settings, name));
    checks.push(credentials(&engine).await);
    checks
}

fn place(found: &Found) -> Check {
    let told = format!("{} ({})", found.endpoint, found.origin);
    match found.origin {
        Origin::Nowhere { .. } => Check::fault("engine", told, INSTALL),
        _ if matches!(found.endpoint, Endpoint::Tcp(_)) && !found.endpoint.is_local() => Check::warning(
            "engine",
            format!("{told}: in the clear, so whoever is on the way can read and do everything"),
            "use ssh://, or TLS with a folder of certificates",
        ),
        _ => Check::ok("engine", told),
    }
}

const INSTALL: &str = "install one (Debian, Ubuntu: sudo apt install docker.io) and start it (sudo systemctl start docker), or set \
                       DOCKER_HOST to where one is";

/// Whether this user may use the socket; nothing if it is not there, which the next check tells better.
#[cfg(unix)]
fn socket_access(settings: &Settings, socket: &Path) -> Option<Check> {
    use std::os::unix::fs::MetadataExt;

    use rustix::fs::{Access, access};

    let about = fs_err::metadata(socket).ok()?;
    let told = format!(
        "{}, mode {:o}, group {}",
        socket.display(),
        about.mode() & 0o777,
        user::group(about.gid())
    );
    if access(socket, Access::READ_OK | Access::WRITE_OK).is_ok() {
        let open = about.mode() & 0o006 == 0o006;
        return Some(if open {
            let fix = format!("sudo chmod o= {}", socket.display());
            Check::warning(
                "socket",
                format!("{told}: every user of this machine can use it, and so become root"),
                fix,
            )
        } else {
            Check::ok("socket", told)
        });
    }
    let user = user::name(&settings.environment);
    let fix = format!(
        "sudo usermod -aG {} {user}, and log in again; or use a rootless engine",
        user::group(about.gid())
    );
    Some(Check::fault(
        "socket",
        format!("{told}: this user may not use it"),
        fix,
    ))
}

#[cfg(not(unix))]
fn socket_access(_settings: &Settings, _socket: &Path) -> Option<Check> {
    None
}

/// How long the first word may take. On the way to another machine several steps are gone, each with limits of its own,
/// and a person at a terminal may be asked whether a fingerprint is right.
fn patience(settings: &Settings, endpoint: &Endpoint) -> Duration {
    match endpoint {
        Endpoint::Ssh(_) if settings.is_attended => Duration::from_mins(5),
        Endpoint::Ssh(_) => Duration::from_secs(30),
        _ => PATIENCE,
    }
}

async fn version(engine: &Engine, endpoint: &Endpoint, patience: Duration) -> Result<Check, Check> {
    let begun = Instant::now();
    let answer: Result<Value, _> = engine
        .json(Request::get(path!["version"]).deadline(patience))
        .await;
    let took = begun.elapsed();
    let unreachable = |error: engine::Error| {
        let advice = match endpoint {
            // What is wrong on the way there says what helps.
            Endpoint::Ssh(_) => "mend that, and ask again",
            _ => "start the engine, or say where it is",
        };
        Check::fault("answers", error.to_string(), advice)
    };
    let answer = answer.map_err(unreachable)?;
    let spoken = engine.api_version().await.map_err(unreachable)?;
    let word = |name: &str| answer[name].as_str().unwrap_or("unknown").to_owned();
    Ok(Check::ok(
        "answers",
        format!(
            "Engine {}, API {}, speaking {spoken}, after {:.1} ms",
            word("Version"),
            word("ApiVersion"),
            took.as_secs_f64() * 1000.0
        ),
    ))
}

async fn info(engine: &Engine, endpoint: &Endpoint) -> Vec<Check> {
    let answer: Result<Value, _> = engine.json(Request::get(path!["info"]).deadline(PATIENCE)).await;
    let Ok(info) = answer else {
        return vec![Check::warning(
            "info",
            "the engine does not say how it does",
            "look at its log (journalctl -u docker)",
        )];
    };
    let mut checks = vec![kind(&info)];
    checks.extend(clock(&info));
    if matches!(endpoint, Endpoint::Unix(_)) {
        checks.extend(
            info["DockerRootDir"]
                .as_str()
                .and_then(|folder| space("images", Path::new(folder))),
        );
    }
    checks
}

fn kind(info: &Value) -> Check {
    let word = |name: &str| info[name].as_str().unwrap_or("unknown");
    let options = info["SecurityOptions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let rootless = options.into_iter().any(|option| option.contains("rootless"));
    let told = format!(
        "{}{}, {}, storage {}, cgroup {}",
        if rootless { "rootless, " } else { "" },
        word("OperatingSystem"),
        word("Architecture"),
        word("Driver"),
        word("CgroupVersion"),
    );
    let warnings = info["Warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let warnings: Vec<_> = warnings
        .map(|warning| warning.trim_start_matches("WARNING: "))
        .collect();
    if warnings.is_empty() {
        return Check::ok("host", told);
    }
    Check::warning("host", told, format!("the engine says: {}", warnings.join("; ")))
}

/// The engine's clock against ours; the answer took some time, so only seconds count.
fn clock(info: &Value) -> Option<Check> {
    let theirs: Timestamp = info["SystemTime"].as_str()?.parse().ok()?;
    let skew = theirs.as_second() - base::clock::now().as_second();
    let told = format!("the engine's differs by {} s", skew.abs());
    Some(if skew.abs() <= SKEW {
        Check::ok("clock", told)
    } else {
        Check::warning(
            "clock",
            told,
            "let both be set by NTP (timedatectl set-ntp true), or times in logs mislead",
        )
    })
}

/// Free space where this folder is; nothing if it can't be seen from here.
#[cfg(unix)]
pub(super) fn space(name: &'static str, folder: &Path) -> Option<Check> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let about = rustix::fs::statvfs(there).ok()?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let told = format!("{} free at {}", base::text::bytes(free), folder.display());
    Some(if free >= SPACE {
        Check::ok(name, told)
    } else {
        Check::warning(
            name,
            told,
            "make room: dockmaster tools call get_system_df tells what takes it",
        )
    })
}

#[cfg(not(unix))]
pub(super) fn space(_name: &'static str, _folder: &Path) -> Option<Check> {
    None
}

fn guard(settings: &Settings, name: &str) -> Check {
    let Some(host) = settings.config.hosts.get(name) else {
        return Check::ok("guard", "there is no such host");
    };
    let rules = &settings.config.policy;
    let told = format!(
        "mode {}; calls: {}, asking before what would {}",
        host.mode,
        rules.preset,
        rules.ask.as_str()
    );
    match host.mode {
        Mode::Open => {
            let fix = format!("set mode = \"guarded\" under [hosts.{name}], and open there what is needed");
            Check::warning(
                "guard",
                format!("{told}: whoever may call tools can become root on the engine's host"),
                fix,
            )
        }
        _ => Check::ok("guard", told),
    }
}

async fn credentials(engine: &Engine) -> Check {
    match engine.options().credentials.known_registries().await {
        Ok(known) if known.is_empty() => Check::ok("registries", "no credentials; public images only"),
        Ok(known) => {
            let known: Vec<_> = known.iter().map(ToString::to_string).collect();
            Check::ok("registries", format!("credentials for {}", known.join(", ")))
        }
        Err(error) => Check::warning(
            "registries",
            error.to_string(),
            "private images can't be had until that is mended",
        ),
    }
}
